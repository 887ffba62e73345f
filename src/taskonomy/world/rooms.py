"""Types of rooms as data: their size, finish, light and furniture."""

from dataclasses import dataclass

from taskonomy.world.placement import Rule

SMALL = ("vase", "bottle", "book_pile", "small_plant", "table_clock", "bowl")
PICTURES = Rule(("painting",), "hung", (1, 4), height=(1.15, 1.5))
CLOCK = Rule(("wall_clock",), "hung", (0, 1), height=(1.6, 1.85))
PLANT = Rule(("plant",), "corner", (0, 2))
RUG = Rule(("rug",), "middle", (0, 1))


@dataclass(frozen=True)
class RoomType:
    """How rooms of one kind are built.

    Attributes:
        rank: Order by size: kinds of rank 0 get a building's largest rooms, of rank 9 its smallest.
        tint: Colour of the walls, around which rooms of the kind vary: hue, saturation and value of sRGB, each in [0, 1].
        floors: Patterns to draw the floor from.
        walls: Patterns to draw the walls from; the first is the most frequent.
        rules: The furniture, in the order in which it is placed.
    """

    rank: float
    tint: tuple[float, float, float]
    floors: tuple[str, ...]
    walls: tuple[str, ...]
    rules: tuple[Rule, ...]


def _ceiling(*models: str, most: int = 1) -> Rule:
    return Rule(models, "ceiling", (most, most))


WARM, HARD, OFFICE = ("planks", "parquet", "carpet"), ("tiles", "checks", "marble"), ("carpet", "planks", "granite")
PAPER = ("plain", "damask", "stripes", "plain", "plain", "bricks")
TILED, PAINT = ("tiles", "tiles", "plain"), ("plain", "plain", "plain", "stripes", "bricks")

ROOMS = {
    "bedroom": RoomType(
        3,
        (0.06, 0.22, 0.86),
        WARM,
        PAPER,
        (
            RUG,
            Rule(("bed",), "wall"),
            Rule(("nightstand",), "beside", (1, 2), ("bed",)),
            Rule(("wardrobe",), "wall"),
            Rule(("dresser",), "wall", (0, 1)),
            Rule(("armchair", "chair"), "wall", (0, 1)),
            Rule(("table_lamp",), "on", (1, 2), ("nightstand",)),
            Rule(("table_clock", "book_pile", "vase"), "on", (1, 3), ("nightstand", "dresser")),
            Rule(("tv",), "on", (0, 1), ("dresser",)),
            PICTURES,
            PLANT,
            _ceiling("pendant", "ceiling_lamp"),
        ),
    ),
    "living_room": RoomType(
        0,
        (0.11, 0.16, 0.93),
        WARM,
        PAPER,
        (
            RUG,
            Rule(("couch",), "wall"),
            Rule(("coffee_table",), "opposite", (1, 1), ("couch",)),
            Rule(("sideboard",), "wall"),
            Rule(("tv",), "on", (1, 1), ("sideboard",)),
            Rule(("bookcase",), "wall", (0, 2)),
            Rule(("armchair",), "wall", (0, 2)),
            Rule(("side_table",), "beside", (0, 2), ("couch", "armchair")),
            Rule(("floor_lamp",), "corner", (1, 2)),
            Rule(("books",), "on", (3, 9), ("bookcase",)),
            Rule(SMALL, "on", (2, 5), ("coffee_table", "sideboard", "side_table", "bookcase")),
            PICTURES,
            CLOCK,
            PLANT,
            Rule(("plant",), "wall", (0, 1)),
            _ceiling("pendant", "ceiling_lamp"),
        ),
    ),
    "kitchen": RoomType(
        4,
        (0.16, 0.32, 0.9),
        HARD,
        ("plain", "tiles", "stripes"),
        (
            Rule(("refrigerator", "counter", "counter", "oven", "counter"), "row"),
            Rule(("counter", "counter", "counter"), "row"),
            Rule(("kitchen_sink",), "on", (1, 1), ("counter",)),
            Rule(("microwave",), "on", (1, 1), ("counter", "island")),
            Rule(("toaster",), "on", (1, 1), ("counter", "island")),
            Rule(("bottle", "bowl", "small_plant", "bottle", "plate"), "on", (3, 7), ("counter",)),
            Rule(("wall_cabinet",), "hung", (3, 6), height=(1.42, 1.5)),
            Rule(("dining_table", "round_table", "island"), "middle"),
            Rule(("chair", "stool"), "around", (2, 4), ("dining_table", "round_table")),
            Rule((*SMALL, "plate"), "on", (1, 3), ("dining_table", "round_table", "island")),
            CLOCK,
            Rule(("painting",), "hung", (0, 1)),
            _ceiling("pendant", "ceiling_lamp"),
        ),
    ),
    "bathroom": RoomType(
        8,
        (0.5, 0.2, 0.93),
        HARD,
        TILED,
        (
            Rule(("toilet",), "wall"),
            Rule(("washbasin",), "wall"),
            Rule(("bathtub",), "wall"),
            Rule(("mirror",), "hung", (1, 1), height=(1.1, 1.2)),
            Rule(("towel_shelf",), "hung", (1, 2), height=(1.3, 1.6)),
            Rule(("bottle",), "on", (1, 4), ("towel_shelf",)),
            Rule(("small_plant",), "on", (0, 1), ("towel_shelf",)),
            Rule(("stool",), "anywhere", (0, 1)),
            _ceiling("ceiling_lamp", "pendant"),
        ),
    ),
    "dining_room": RoomType(
        2,
        (0.02, 0.32, 0.78),
        WARM,
        PAPER,
        (
            RUG,
            Rule(("dining_table", "round_table"), "middle"),
            Rule(("chair",), "around", (4, 6), ("dining_table", "round_table")),
            Rule(("sideboard",), "wall"),
            Rule(("wardrobe",), "wall", (0, 1)),
            Rule((*SMALL, "plate", "plate"), "on", (2, 5), ("dining_table", "round_table")),
            Rule((*SMALL, "table_lamp"), "on", (1, 3), ("sideboard",)),
            PICTURES,
            CLOCK,
            PLANT,
            _ceiling("pendant"),
        ),
    ),
    "childs_room": RoomType(
        5,
        (0.92, 0.3, 0.9),
        WARM,
        ("plain", "dots", "stripes"),
        (
            RUG,
            Rule(("single_bed",), "wall"),
            Rule(("wardrobe", "dresser"), "wall"),
            Rule(("desk",), "wall"),
            Rule(("chair",), "before", (1, 1), ("desk",)),
            Rule(("bookcase",), "wall", (0, 1)),
            Rule(("books",), "on", (1, 4), ("bookcase",)),
            Rule(("table_lamp", "book_pile"), "on", (1, 3), ("desk",)),
            Rule(("toy_blocks",), "anywhere", (1, 4)),
            PICTURES,
            CLOCK,
            _ceiling("pendant", "ceiling_lamp"),
        ),
    ),
    "closet": RoomType(
        9,
        (0.09, 0.34, 0.7),
        WARM,
        PAINT,
        (
            Rule(("rack",), "wall", (1, 2)),
            Rule(("wardrobe",), "wall", (1, 2)),
            Rule(("dresser",), "wall", (0, 1)),
            Rule(("mirror",), "hung", (0, 1), height=(0.9, 1.1)),
            Rule(("vase", "bottle"), "on", (0, 2), ("dresser",)),
            Rule(("stool",), "anywhere", (0, 1)),
            _ceiling("ceiling_lamp"),
        ),
    ),
    "home_office": RoomType(
        6,
        (0.33, 0.22, 0.82),
        WARM,
        PAPER,
        (
            RUG,
            Rule(("desk",), "wall"),
            Rule(("office_chair",), "before", (1, 1), ("desk",)),
            Rule(("monitor",), "on", (1, 2), ("desk",)),
            Rule(("keyboard",), "on", (1, 1), ("desk",)),
            Rule(("bookcase",), "wall", (1, 2)),
            Rule(("books",), "on", (3, 8), ("bookcase",)),
            Rule(("vase", "table_clock"), "on", (0, 2), ("bookcase",)),
            Rule(("table_lamp", "book_pile"), "on", (1, 2), ("desk",)),
            Rule(("couch", "armchair"), "wall", (0, 1)),
            PICTURES,
            PLANT,
            CLOCK,
            _ceiling("pendant", "ceiling_lamp"),
        ),
    ),
    "corridor": RoomType(
        10,
        (0.13, 0.06, 0.88),
        (*WARM, *HARD),
        PAPER,
        (
            Rule(("sideboard", "dresser"), "wall", (0, 1)),
            Rule(("vase", "bowl"), "on", (0, 1), ("sideboard", "dresser")),
            Rule(("chair",), "wall", (0, 1)),
            Rule(("painting",), "hung", (2, 5)),
            CLOCK,
            PLANT,
            _ceiling("ceiling_lamp", "pendant", most=2),
        ),
    ),
    "library/indoor": RoomType(
        1,
        (0.05, 0.38, 0.62),
        WARM,
        PAINT,
        (
            Rule(("bookcase",), "wall", (5, 9)),
            Rule(("dining_table",), "middle"),
            Rule(("chair",), "around", (3, 5), ("dining_table",)),
            Rule(("books",), "on", (14, 26), ("bookcase",)),
            Rule(("book_pile", "table_lamp"), "on", (2, 4), ("dining_table",)),
            Rule(("armchair",), "anywhere", (0, 2)),
            CLOCK,
            PLANT,
            _ceiling("light_panel", "pendant", most=2),
        ),
    ),
    "classroom": RoomType(
        0,
        (0.24, 0.24, 0.86),
        OFFICE,
        PAINT,
        (
            Rule(("whiteboard",), "hung", (1, 2), height=(0.9, 1.0)),
            Rule(("school_desk",), "grid", (6, 10)),
            *[Rule(("chair",), "before", (1, 1), ("school_desk",))] * 10,
            Rule(("desk",), "wall"),
            Rule(("book_pile", "book_pile", "bottle"), "on", (3, 7), ("school_desk", "desk")),
            Rule(("bookcase",), "wall", (0, 2)),
            Rule(("books",), "on", (1, 5), ("bookcase",)),
            CLOCK,
            Rule(("painting",), "hung", (0, 2)),
            _ceiling("light_panel", most=3),
        ),
    ),
    "conference_room": RoomType(
        1,
        (0.62, 0.24, 0.76),
        OFFICE,
        PAINT,
        (
            Rule(("conference_table",), "middle"),
            Rule(("office_chair",), "around", (5, 8), ("conference_table",)),
            Rule(("wall_tv", "whiteboard"), "hung", (1, 2), height=(0.95, 1.1)),
            Rule(("sideboard",), "wall", (0, 1)),
            Rule(("bottle", "book_pile", "plate"), "on", (2, 5), ("conference_table",)),
            Rule(("vase",), "on", (0, 1), ("sideboard",)),
            Rule(("painting",), "hung", (0, 2)),
            CLOCK,
            PLANT,
            _ceiling("light_panel", most=2),
        ),
    ),
    "office": RoomType(
        4,
        (0.57, 0.12, 0.85),
        OFFICE,
        PAINT,
        (
            Rule(("desk",), "wall", (2, 3)),
            *[Rule(("office_chair",), "before", (1, 1), ("desk",))] * 3,
            Rule(("monitor",), "on", (2, 4), ("desk",)),
            Rule(("keyboard",), "on", (1, 3), ("desk",)),
            Rule(("bottle", "book_pile", "small_plant"), "on", (1, 4), ("desk",)),
            Rule(("bookcase", "rack"), "wall", (1, 2)),
            Rule(("books",), "on", (2, 6), ("bookcase",)),
            Rule(("whiteboard",), "hung", (0, 1), height=(0.9, 1.0)),
            CLOCK,
            PLANT,
            _ceiling("light_panel", most=2),
        ),
    ),
    "waiting_room": RoomType(
        3,
        (0.42, 0.24, 0.86),
        OFFICE,
        PAINT,
        (
            Rule(("couch",), "wall", (1, 2)),
            Rule(("chair",), "wall", (2, 4)),
            Rule(("coffee_table",), "middle"),
            Rule(("book_pile", "vase"), "on", (1, 3), ("coffee_table",)),
            Rule(("wall_tv",), "hung", (0, 1), height=(1.3, 1.4)),
            PICTURES,
            CLOCK,
            PLANT,
            _ceiling("light_panel", most=2),
        ),
    ),
    "storage_room": RoomType(
        9,
        (0.6, 0.03, 0.68),
        ("granite", "tiles"),
        PAINT,
        (Rule(("rack",), "wall", (2, 4)), Rule(("stool",), "anywhere", (0, 2)), Rule(("refrigerator",), "wall", (0, 1)), _ceiling("ceiling_lamp")),
    ),
    "hotel_room": RoomType(
        3,
        (0.8, 0.2, 0.78),
        ("carpet", "planks"),
        PAPER,
        (
            Rule(("single_bed",), "wall", (2, 2)),
            Rule(("nightstand",), "beside", (1, 1), ("single_bed",)),
            Rule(("desk",), "wall"),
            Rule(("chair",), "before", (1, 1), ("desk",)),
            Rule(("wall_tv",), "hung", (1, 1), height=(1.1, 1.3)),
            Rule(("wardrobe",), "wall", (0, 1)),
            Rule(("table_lamp",), "on", (1, 1), ("nightstand",)),
            Rule(("vase", "bottle"), "on", (1, 2), ("desk",)),
            PICTURES,
            _ceiling("ceiling_lamp"),
        ),
    ),
}

# Use of a building -> the rooms it may have, drawn without repetition (the first two always); the floor plan may add a corridor.
USES = {
    "home": ("living_room", "kitchen", "bedroom", "bathroom", "dining_room", "childs_room", "home_office", "closet"),
    "house": ("bedroom", "bathroom", "living_room", "kitchen", "library/indoor", "childs_room", "dining_room", "home_office"),
    "office": ("office", "conference_room", "waiting_room", "bathroom", "kitchen", "library/indoor", "storage_room"),
    "school": ("classroom", "library/indoor", "office", "bathroom", "storage_room", "conference_room", "dining_room"),
    "hotel": ("hotel_room", "dining_room", "bathroom", "waiting_room", "kitchen", "bedroom", "closet"),
}
DWELLINGS = ("home", "house")  # these are drawn twice as often as the others
