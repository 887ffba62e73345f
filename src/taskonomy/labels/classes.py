"""The classes of the semantic tasks: 16 objects, their ImageNet classes, and the indoor categories of Places."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectClass:
    """An object of `segment_semantic` (values 2 to 17 of its files) and its index among ImageNet's 1000 classes."""

    name: str
    imagenet: int


# In the order of the released files' values; value = position + 2. 0 is uncertain, 1 background.
OBJECTS = (
    ObjectClass("bottle", 907),
    ObjectClass("chair", 559),
    ObjectClass("couch", 831),
    ObjectClass("potted plant", 738),
    ObjectClass("bed", 564),
    ObjectClass("dining table", 532),
    ObjectClass("toilet", 861),
    ObjectClass("tv", 851),
    ObjectClass("microwave", 651),
    ObjectClass("oven", 827),
    ObjectClass("toaster", 859),
    ObjectClass("sink", 896),
    ObjectClass("refrigerator", 760),
    ObjectClass("book", 921),
    ObjectClass("clock", 892),
    ObjectClass("vase", 883),
)
UNCERTAIN, BACKGROUND, FIRST_OBJECT = 0, 1, 2
OBJECT_VALUES = {one.name: FIRST_OBJECT + position for position, one in enumerate(OBJECTS)}

# The 63 categories of Places that occur inside homes, offices and small public buildings, with their index among its 365. The paper keeps 63 as
# well, but did not publish which ones, so this list is our own.
PLACES = {
    "alcove": 3, "art_gallery": 19, "art_school": 20, "art_studio": 21, "artists_loft": 22, "attic": 26, "auditorium": 27, "ballroom": 35,
    "banquet_hall": 38, "bar": 39, "basement": 43, "bathroom": 45, "beauty_salon": 50, "bedchamber": 51, "bedroom": 52, "bookstore": 60,
    "cafeteria": 75, "childs_room": 89, "classroom": 92, "closet": 95, "coffee_shop": 99, "computer_room": 100, "conference_center": 101,
    "conference_room": 102, "corridor": 106, "dining_hall": 120, "dining_room": 121, "dorm_room": 124, "dressing_room": 126,
    "elevator_lobby": 130, "entrance_hall": 134, "garage/indoor": 156, "gymnasium/indoor": 168, "home_office": 176, "home_theater": 177,
    "hospital_room": 179, "hotel_room": 182, "jacuzzi/indoor": 195, "kindergarden_classroom": 202, "kitchen": 203, "laundromat": 208,
    "lecture_room": 210, "library/indoor": 212, "living_room": 215, "lobby": 217, "locker_room": 219, "mezzanine": 228, "museum/indoor": 236,
    "nursery": 240, "office": 244, "office_cubicles": 246, "pantry": 253, "playroom": 269, "reception": 280, "recreation_room": 281,
    "restaurant_kitchen": 285, "sauna": 295, "shower": 303, "staircase": 317, "storage_room": 318, "television_room": 328,
    "utility_room": 343, "waiting_room": 352,
}  # fmt: skip
PLACES_COUNT = 365
