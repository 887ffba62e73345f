"""Floor plans: rectangles split into rooms, doors between them, windows in outer walls, all parallel to the axes."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

THICKNESS = 0.14  # thickness of walls, metres
NARROW = 1.35  # least width of a corridor, metres

Rect = tuple[float, float, float, float]  # low x, low y, high x, high y, measured to the middle of the walls


@dataclass(frozen=True)
class Room:
    """A box of air: `low` and `high` lie on its walls, floor and ceiling. `kind` is a key of `PLACES`."""

    kind: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def box(self) -> Float[np.ndarray, "2 3"]:
        """Return the box's lower and upper corner, metres."""
        return np.array([self.low, self.high])


@dataclass(frozen=True)
class Opening:
    """A hole through a wall.

    Attributes:
        rooms: Indices of the rooms it joins; a window has only one.
        axis: The axis that crosses the wall: 0 or 1.
        at: Position of the wall's middle on that axis, metres.
        span: Both ends along the wall, metres.
        height: Lower and upper edge, metres.
    """

    rooms: tuple[int, ...]
    axis: int
    at: float
    span: tuple[float, float]
    height: tuple[float, float]


def _split(rng: np.random.Generator, rect: Rect) -> tuple[Rect, Rect]:
    """Split a rectangle in two, across its longer side."""
    x0, y0, x1, y1 = rect
    share = rng.uniform(0.38, 0.62)
    if x1 - x0 > y1 - y0:
        middle = x0 + share * (x1 - x0)
        return (x0, y0, middle, y1), (middle, y0, x1, y1)
    middle = y0 + share * (y1 - y0)
    return (x0, y0, x1, middle), (x0, middle, x1, y1)


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def draw_rectangles(rng: np.random.Generator, rooms: int, *, corridor: bool) -> list[Rect]:
    """Draw rooms of about 9 to 25 square metres that fill a rectangle, largest first; a corridor, if any, comes last."""
    wide = float(rng.uniform(2.9, 3.9) * np.ceil(rooms / 2))
    deep = float(rng.uniform(6.6, 8.6))
    passage: list[Rect] = []
    rects: list[Rect] = [(0.0, 0.0, wide, deep)]
    if corridor:
        low = float(deep * rng.uniform(0.4, 0.45))
        high = low + float(rng.uniform(NARROW, 1.8))
        rects, passage = [(0.0, 0.0, wide, low), (0.0, high, wide, deep + 1.0)], [(0.0, low, wide, high)]
    while len(rects) + len(passage) < rooms:
        rects.sort(key=_area)
        rects += _split(rng, rects.pop())
    return [*sorted(rects, key=_area, reverse=True), *passage]


def _shared(one: Rect, two: Rect) -> tuple[int, float, float, float] | None:
    """Return the wall that two rectangles share: the axis across it, its position on that axis, and its ends; None without one."""
    for axis in (0, 1):
        for first, second in ((one, two), (two, one)):
            if abs(first[axis + 2] - second[axis]) < 1e-6:
                low, high = max(first[1 - axis], second[1 - axis]), min(first[3 - axis], second[3 - axis])
                if high - low > 1.25:
                    return axis, first[axis + 2], low, high
    return None


def draw_doors(rng: np.random.Generator, rects: list[Rect], ceiling: float) -> list[Opening]:
    """Draw doors and wide passages: enough to walk from every room to every other, and some more."""
    pairs = [(pair, wall) for pair in combinations(range(len(rects)), 2) if (wall := _shared(rects[pair[0]], rects[pair[1]]))]
    group = list(range(len(rects)))
    doors = []
    for index in rng.permutation(len(pairs)):
        (one, two), (axis, at, low, high) = pairs[index]
        if group[one] == group[two] and rng.random() > 0.3:
            continue
        joined = group[two]
        group = [group[one] if other == joined else other for other in group]
        room = high - low - 2 * (THICKNESS / 2 + 0.12)
        wide = rng.uniform(1.3, 2.2) if rng.random() < 0.35 else rng.uniform(0.8, 0.95)
        wide = min(wide, room)
        start = low + THICKNESS / 2 + 0.12 + rng.uniform(0, room - wide)
        doors.append(Opening((one, two), axis, at, (start, start + wide), (0.0, min(rng.uniform(2.02, 2.2), ceiling - 0.2))))
    return doors


def draw_windows(rng: np.random.Generator, rects: list[Rect], ceiling: float) -> list[Opening]:
    """Draw windows in most outer walls that are long enough."""
    outer = (min(r[0] for r in rects), min(r[1] for r in rects), max(r[2] for r in rects), max(r[3] for r in rects))
    windows = []
    for room, rect in enumerate(rects):
        for side in range(4):
            axis = side % 2
            low, high = rect[1 - axis] + 0.5, rect[3 - axis] - 0.5
            if abs(rect[side] - outer[side]) > 1e-6 or high - low < 0.5 or rng.random() < 0.3:
                continue
            wide = min(rng.uniform(0.8, 2.2), high - low)
            start = low + rng.uniform(0, high - low - wide)
            sill = rng.uniform(0.75, 1.05)
            windows.append(Opening((room,), axis, rect[side], (start, start + wide), (sill, min(sill + rng.uniform(0.9, 1.4), ceiling - 0.25))))
    return windows


def inside(rect: Rect, kind: str, ceiling: float) -> Room:
    """Return the room between the faces of its walls."""
    half = THICKNESS / 2
    return Room(kind, (rect[0] + half, rect[1] + half, 0.0), (rect[2] - half, rect[3] - half, ceiling))
