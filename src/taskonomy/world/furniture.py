"""Furniture that stands on floors: seats, beds, tables, storage."""

import numpy as np

from taskonomy.world.furniture_registry import Model, model
from taskonomy.world.meshes import Shape, box, capsule, cone, cushion, cylinder
from taskonomy.world.style import Style, draw_cloth, draw_print


def _legs(width: float, depth: float, height: float, thick: float, *, round_: bool = False, inset: float = 0.0) -> list[Shape]:
    """Return four legs at the corners of a rectangle; sizes in metres."""
    right, ahead = width / 2 - thick / 2 - inset, depth / 2 - thick / 2 - inset
    corners = [(sx * right, sy * ahead) for sx in (-1, 1) for sy in (-1, 1)]
    if round_:
        return [cylinder(thick / 2, height, x, y) for x, y in corners]
    return [box(thick, thick, height, x, y) for x, y in corners]


@model("chair")
def chair(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a wooden chair with a back of slats, or an upholstered one."""
    width, depth, seat, back = rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.46), rng.uniform(0.43, 0.47), rng.uniform(0.8, 1.0)
    frame = (style.wood, style.second_wood, style.metal)[rng.integers(3)]
    made.add(frame, *_legs(width, depth, seat - 0.04, 0.035, round_=bool(rng.integers(2))))
    if rng.random() < 0.5:
        made.add(style.fabric, cushion(width, depth, 0.08, 0.03, z=seat - 0.04))
        made.add(style.fabric, cushion(width * 0.95, 0.06, back - seat - 0.1, 0.03, y=-depth / 2 + 0.03, z=seat + 0.08))
        made.add(frame, *[box(0.03, 0.03, 0.16, sx * width * 0.35, -depth / 2 + 0.03, seat - 0.03) for sx in (-1, 1)])
        return
    made.add(frame, cushion(width, depth, 0.04, 0.015, z=seat - 0.04))
    made.add(frame, *[cylinder(0.018, back - seat, sx * (width / 2 - 0.02), -depth / 2 + 0.02, seat) for sx in (-1, 1)])
    slats = int(rng.integers(2, 5))
    for height in np.linspace(seat + 0.14, back - 0.05, slats):
        made.add(frame, box(width - 0.04, 0.018, 0.05, 0, -depth / 2 + 0.02, float(height) - 0.025))


@model("chair")
def office_chair(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a swivel chair on a five-armed base."""
    made.add(style.metal, cylinder(0.03, 0.34, z=0.08))
    for angle in range(5):
        made.add(
            style.dark, box(0.28, 0.045, 0.035, 0.15, 0, 0.055).turned("z", 72 * angle + 90), cylinder(0.03, 0.05, 0.27).turned("z", 72 * angle + 90)
        )
    made.add(style.fabric, cushion(0.48, 0.46, 0.1, 0.045, z=0.42))
    made.add(style.fabric, cushion(0.44, 0.09, 0.5, 0.045, y=-0.22, z=0.6))
    made.add(style.dark, box(0.06, 0.03, 0.2, 0, -0.275, 0.46))
    if rng.random() < 0.6:
        made.add(
            style.dark, *[box(0.05, 0.26, 0.03, sx * 0.26, 0, 0.66) for sx in (-1, 1)], *[box(0.03, 0.03, 0.18, sx * 0.26, 0, 0.49) for sx in (-1, 1)]
        )


@model("chair")
def armchair(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build one seat between two arms."""
    _sofa(rng, style, made, rng.uniform(0.78, 0.92), 1)


@model("chair")
def stool(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a round seat on three legs."""
    height = rng.uniform(0.42, 0.65)
    made.add(style.wood, *[cylinder(0.018, height - 0.04, 0.13 * np.cos(turn), 0.13 * np.sin(turn)) for turn in (0, 2.09, 4.19)])
    made.add(style.fabric, cylinder(0.18, 0.05, z=height - 0.05))


def _sofa(rng: np.random.Generator, style: Style, made: Model, width: float, seats: int) -> None:
    depth, arm, back = rng.uniform(0.8, 0.92), rng.uniform(0.12, 0.2), rng.uniform(0.72, 0.88)
    cloth, round_by = style.fabric, rng.uniform(0.03, 0.07)
    made.add(style.wood, *_legs(width, depth, 0.1, 0.05, round_=True, inset=0.04))
    made.add(cloth, cushion(width - 2 * arm, depth - 0.1, 0.2, 0.02, z=0.1))
    made.add(cloth, cushion(width - 2 * arm, 0.2, back - 0.12, round_by, y=-depth / 2 + 0.1, z=0.12))
    made.add(cloth, *[cushion(arm, depth, rng.uniform(0.5, 0.52), round_by, sx * (width - arm) / 2, 0, 0.1) for sx in (-1, 1)])
    each = (width - 2 * arm) / seats
    for seat in range(seats):
        x = -width / 2 + arm + each * (seat + 0.5)
        made.add(cloth, cushion(each - 0.01, depth - 0.22, 0.14, 0.05, x, 0.1, 0.3))
        made.add(cloth, cushion(each - 0.02, 0.14, 0.34, 0.06, x, -depth / 2 + 0.27, 0.44))
    for side in (-1, 1):
        if rng.random() < 0.6:
            pillow = cushion(0.38, 0.12, 0.36, 0.06).turned("x", 18).moved(side * (width / 2 - arm - 0.24), -depth / 2 + 0.46, 0.46)
            made.add(draw_cloth(rng), pillow)


@model("couch")
def couch(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a sofa for two or three."""
    seats = int(rng.integers(2, 4))
    _sofa(rng, style, made, 0.35 + seats * rng.uniform(0.58, 0.68), seats)


@model("bed")
def bed(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a double bed, its head at the back."""
    _bed(rng, style, made, rng.uniform(1.4, 1.75))


@model("bed")
def single_bed(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a bed for one."""
    _bed(rng, style, made, rng.uniform(0.88, 1.0))


def _bed(rng: np.random.Generator, style: Style, made: Model, width: float) -> None:
    length, frame = 2.02, (style.wood, style.second_wood, style.fabric)[rng.integers(3)]
    made.add(style.wood, *_legs(width, length, 0.14, 0.07))
    made.add(frame, box(width, length, 0.16, z=0.14))
    made.add(frame, cushion(width, 0.08, rng.uniform(0.85, 1.15), 0.03, y=-length / 2 - 0.04))
    made.add(style.white, cushion(width - 0.04, length - 0.04, 0.2, 0.06, z=0.3))
    made.add(style.bedding, cushion(width + 0.03, length * 0.68, 0.17, 0.07, y=length * 0.16, z=0.36))
    pillows = 2 if width > 1.2 else 1
    for number in range(pillows):
        x = (number - (pillows - 1) / 2) * width / 2
        made.add(style.white, cushion(0.6, 0.4, 0.15, 0.075, x, -length / 2 + 0.28, 0.49))
    if rng.random() < 0.5:
        made.add(style.second_fabric, cushion(0.42, 0.14, 0.36, 0.07).turned("x", 25).moved(0, -length / 2 + 0.62, 0.52))


@model("dining table")
def dining_table(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a rectangular table on four legs."""
    width, depth = rng.uniform(1.3, 1.9), rng.uniform(0.8, 0.95)
    _table(rng, style, made, width, depth, rng.uniform(0.72, 0.76))


@model("dining table")
def round_table(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a round table on one foot."""
    radius, height = rng.uniform(0.45, 0.6), rng.uniform(0.72, 0.76)
    made.add(style.wood, cylinder(radius, 0.04, z=height - 0.04, sections=40), cylinder(0.06, height - 0.08, z=0.04), cone(radius * 0.55, 0.08, 0.05))
    made.shelf(radius * 1.2, radius * 1.2, height)


def _table(rng: np.random.Generator, style: Style, made: Model, width: float, depth: float, height: float) -> None:
    top = (style.wood, style.second_wood, style.stone)[rng.choice(3, p=[0.5, 0.3, 0.2])]
    made.add(top, cushion(width, depth, 0.04, 0.01, z=height - 0.04))
    made.add(style.wood, *_legs(width, depth, height - 0.04, 0.06, round_=bool(rng.integers(2)), inset=0.03))
    made.add(style.wood, *[box(width - 0.2, 0.02, 0.08, 0, sy * (depth / 2 - 0.06), height - 0.12) for sy in (-1, 1)])
    made.shelf(width - 0.1, depth - 0.1, height)


@model()
def conference_table(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a long table on two panels."""
    width, depth = rng.uniform(1.9, 2.5), rng.uniform(0.95, 1.2)
    made.add(style.wood, cushion(width, depth, 0.05, 0.02, z=0.7), *[box(0.08, depth * 0.7, 0.7, sx * width * 0.36) for sx in (-1, 1)])
    made.shelf(width - 0.1, depth - 0.1, 0.75)


@model()
def coffee_table(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a low table."""
    _table(rng, style, made, rng.uniform(0.8, 1.2), rng.uniform(0.45, 0.6), rng.uniform(0.36, 0.45))


@model()
def side_table(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a small round table."""
    height = rng.uniform(0.45, 0.6)
    made.add(style.second_wood, cylinder(0.24, 0.03, z=height - 0.03), cylinder(0.025, height - 0.05, z=0.02), cylinder(0.16, 0.02))
    made.shelf(0.3, 0.3, height)


@model()
def desk(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a writing desk with a chest of drawers at one side."""
    width, depth = rng.uniform(1.1, 1.5), rng.uniform(0.6, 0.7)
    made.add(style.wood, cushion(width, depth, 0.035, 0.01, z=0.705))
    made.add(style.wood, box(0.03, depth - 0.04, 0.705, -width / 2 + 0.03), box(width - 0.1, 0.02, 0.3, 0, -depth / 2 + 0.04, 0.4))
    _front(style, made, width / 2 - 0.22, 0.38, depth - 0.06, 0.02, 0.685, drawers=3)
    made.shelf(width - 0.1, depth - 0.1, 0.74)


@model()
def school_desk(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a pupil's table on metal legs."""
    made.add(style.wood, cushion(0.7, 0.5, 0.03, 0.01, z=0.69))
    made.add(style.metal, *_legs(0.66, 0.46, 0.69, 0.03, round_=True))
    made.shelf(0.6, 0.4, 0.72)


def _front(style: Style, made: Model, x: float, width: float, depth: float, low: float, high: float, *, drawers: int = 0, doors: int = 0) -> None:
    """Add a closed body with drawers above each other or doors side by side, and their handles; sizes in metres."""
    made.add(style.front, box(width, depth - 0.02, high - low, x, -0.01, low))
    gap, front = 0.006, depth / 2 - 0.02
    for number in range(drawers):
        each = (high - low) / drawers
        made.add(style.front, box(width - 2 * gap, 0.02, each - 2 * gap, x, front + 0.01, low + number * each + gap))
        made.add(style.metal, capsule(0.008, 0.12).turned("y", 90).moved(x - 0.06, front + 0.03, low + (number + 0.5) * each))
    for number in range(doors):
        each = width / doors
        left = x - width / 2 + number * each
        made.add(style.front, box(each - 2 * gap, 0.02, high - low - 2 * gap, left + each / 2, front + 0.01, low + gap))
        handle = left + (each - 0.05 if number % 2 == 0 else 0.05)
        made.add(style.metal, capsule(0.008, 0.14, handle, front + 0.03, (low + high) / 2 - 0.07))


@model()
def nightstand(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a bedside table with two drawers."""
    width, depth, height = rng.uniform(0.4, 0.5), 0.4, rng.uniform(0.45, 0.58)
    made.add(style.wood, *_legs(width, depth, 0.08, 0.04))
    _front(style, made, 0, width, depth, 0.08, height - 0.02, drawers=2)
    made.add(style.wood, box(width + 0.02, depth + 0.01, 0.02, z=height - 0.02))
    made.shelf(width - 0.06, depth - 0.06, height)


@model()
def dresser(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a chest of drawers."""
    width, depth, height = rng.uniform(0.8, 1.2), 0.45, rng.uniform(0.75, 1.05)
    made.add(style.wood, *_legs(width, depth, 0.08, 0.05))
    _front(style, made, 0, width, depth, 0.08, height - 0.03, drawers=int(rng.integers(3, 5)))
    made.add(style.wood, box(width + 0.03, depth + 0.02, 0.03, z=height - 0.03))
    made.shelf(width - 0.1, depth - 0.1, height)


@model()
def sideboard(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a low, wide cupboard with doors."""
    width, depth, height = rng.uniform(1.2, 1.7), 0.42, rng.uniform(0.5, 0.8)
    made.add(style.metal, *_legs(width, depth, 0.12, 0.03, round_=True))
    _front(style, made, 0, width, depth, 0.12, height - 0.02, doors=int(rng.integers(2, 5)))
    made.add(style.wood, box(width + 0.02, depth + 0.02, 0.02, z=height - 0.02))
    made.shelf(width - 0.1, depth - 0.1, height)


@model()
def wardrobe(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a tall cupboard with doors."""
    width, height = rng.uniform(0.9, 1.6), rng.uniform(1.9, 2.2)
    made.add(style.dark, box(width - 0.04, 0.5, 0.08))
    _front(style, made, 0, width, 0.58, 0.08, height - 0.03, doors=int(rng.integers(2, 4)))
    made.add(style.wood, box(width + 0.03, 0.6, 0.03, z=height - 0.03))


@model()
def bookcase(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build open shelves, to be filled with books."""
    width, depth, height = rng.uniform(0.7, 1.1), 0.3, rng.uniform(1.5, 2.1)
    levels = int(rng.integers(4, 6))
    made.add(
        style.wood, *[box(0.025, depth, height, sx * (width / 2 - 0.0125)) for sx in (-1, 1)], box(width - 0.05, 0.012, height, 0, -depth / 2 + 0.006)
    )
    step = (height - 0.03) / levels
    for level in range(levels + 1):
        made.add(style.wood, box(width - 0.05, depth - 0.012, 0.022, 0, 0.006, level * step))
        if level < levels:
            made.shelf(width - 0.07, depth - 0.06, level * step + 0.022, step - 0.03)


@model()
def rack(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build metal shelving with boxes on it."""
    width, depth, height = rng.uniform(0.9, 1.2), 0.4, rng.uniform(1.6, 2.0)
    made.add(style.metal, *_legs(width, depth, height, 0.03))
    for level in range(4):
        z = 0.1 + level * (height - 0.2) / 3
        made.add(style.second_wood, box(width - 0.07, depth - 0.01, 0.02, z=z))
        x = -width / 2 + 0.06
        while level < 3 and x < width / 2 - 0.3:
            size = rng.uniform(0.18, 0.3)
            if rng.random() < 0.75:
                made.add(draw_print(rng), box(size, depth - 0.1, rng.uniform(0.12, (height - 0.2) / 3 - 0.08), x + size / 2, 0, z + 0.02))
            x += size + 0.03


@model()
def counter(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a kitchen unit with a worktop."""
    kitchen_unit(style, made, 0.6, drawers=int(rng.choice([0, 3])))


def kitchen_unit(style: Style, made: Model, width: float, drawers: int = 0) -> None:
    """Add body, plinth and worktop of one kitchen unit, whose top is a shelf."""
    made.add(style.dark, box(width, 0.52, 0.1, 0, -0.03))
    _front(style, made, 0, width, 0.58, 0.1, 0.86, drawers=drawers, doors=0 if drawers else 2)
    made.add(style.stone, box(width, 0.61, 0.04, 0, 0.0, 0.86))
    made.shelf(width - 0.08, 0.5, 0.9, 0.5)


@model()
def wall_cabinet(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a cupboard that hangs above a worktop."""
    _front(style, made, 0, rng.choice([0.6, 0.9, 1.2]), 0.34, 0, rng.uniform(0.6, 0.75), doors=2)


@model()
def towel_shelf(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a small board on the wall."""
    made.add(style.wood, box(0.6, 0.18, 0.025), *[box(0.02, 0.14, 0.1, sx * 0.22, -0.02, -0.1) for sx in (-1, 1)])
    made.shelf(0.5, 0.12, 0.025, 0.4)
