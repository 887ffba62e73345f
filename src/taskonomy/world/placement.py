"""The placement of a room's furniture: poses are proposed for each model until one touches nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from taskonomy.world.floor_plan import Room
from taskonomy.world.furniture_registry import MODELS, Model
from taskonomy.world.style import Style

TRIES = 14
FACING = (-90.0, 0.0, 90.0, 180.0)  # degrees that turn the front of a model into the room, from the walls at low x, low y, high x, high y


@dataclass(frozen=True)
class Rule:
    """A rule for part of the furniture of a room.

    Attributes:
        models: Keys of `MODELS`; one is drawn each time, but a row takes them all in turn.
        how: A key of `PLACEMENTS`.
        count: Least and greatest number of models to try.
        on: Names of the models on, around, beside or before which these are put.
        height: Range of the lower edge of what hangs on a wall, metres.
    """

    models: tuple[str, ...]
    how: str
    count: tuple[int, int] = (1, 1)
    on: tuple[str, ...] = ()
    height: tuple[float, float] = (1.3, 1.6)


@dataclass(frozen=True)
class Placed:
    """A model at its place: as placed, in its own frame, and the pose (x, y, z in metres, turn in degrees) between the two."""

    model: Model
    own: Model
    pose: tuple[float, float, float, float]


@dataclass
class Site:
    """A room while it is being furnished; `blocked` are boxes that nothing may enter."""

    room: Room
    style: Style
    blocked: list[Float[np.ndarray, "2 3"]]
    placed: list[Placed] = field(default_factory=list)

    def fits(self, model: Model) -> bool:
        """Return whether a placed model stays inside the room and enters no blocked box."""
        boxes = np.stack([shape.bounds for shape, _material in model.parts])
        low, high = np.array(self.room.low), np.array(self.room.high)
        if (boxes[:, 0] < low - 1e-6).any() or (boxes[:, 1] > high + 1e-6).any():
            return False
        if not self.blocked:
            return True
        others = np.stack(self.blocked)
        gap = np.maximum(boxes[:, None, 0] - others[None, :, 1], others[None, :, 0] - boxes[:, None, 1]).max(axis=-1)
        return bool((gap >= 0).all())

    def take(self, own: Model, pose: tuple[float, float, float, float]) -> bool:
        """Place a model at a pose if it fits there, and return whether it did."""
        model = own.placed(*pose)
        if not self.fits(model):
            return False
        self.placed.append(Placed(model, own, pose))
        # Furniture stands on rugs, so they block nothing.
        if own.name != "rug":
            self.blocked += [shape.bounds for shape, _material in model.parts]
        return True

    def parents(self, rule: Rule) -> list[Placed]:
        """Return the placed models that a rule refers to."""
        return [one for one in self.placed if one.own.name in rule.on]


Poses = Iterator[tuple[float, float, float, float]]
Placement = Callable[[Site, Model, Rule, np.random.Generator], Poses]
PLACEMENTS: dict[str, Placement] = {}


def _placement(function: Placement) -> Placement:
    PLACEMENTS[function.__name__.strip("_")] = function
    return function


def _at_wall(site: Site, own: Model, side: int, share: float, z: float, gap: float) -> tuple[float, float, float, float]:
    """Return the pose with its back at a wall, `share` of the way along it; `z` and `gap` in metres."""
    axis, bounds = side % 2, own.bounds
    back = (site.room.low if side < 2 else site.room.high)[axis]
    inwards = 1 if side < 2 else -1
    across = back + inwards * (gap - bounds[0, 1])
    left, right = -bounds[0, 0] + 0.03, bounds[1, 0] + 0.03
    if FACING[side] in (-90.0, 180.0):
        left, right = right, left
    along = site.room.low[1 - axis] + left + share * (site.room.high[1 - axis] - site.room.low[1 - axis] - left - right)
    return (across, along, z, FACING[side]) if axis == 0 else (along, across, z, FACING[side])


@_placement
def _wall(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses on the floor, with the back at a wall."""
    for _ in range(TRIES):
        yield _at_wall(site, own, int(rng.integers(4)), rng.random(), 0.0 - min(own.bounds[0, 2], 0), 0.03)


@_placement
def _corner(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses on the floor, in a corner."""
    for side in rng.permutation(4):
        for share in rng.permutation(2):
            yield _at_wall(site, own, int(side), abs(float(share) - 0.03), 0.0, 0.06)


@_placement
def _hung(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses on a wall."""
    for _ in range(TRIES):
        yield _at_wall(site, own, int(rng.integers(4)), rng.random(), float(rng.uniform(*rule.height)), 0.004)


@_placement
def _middle(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses around the middle of the room, along its longer side."""
    (x0, y0, _z0), (x1, y1, _z1) = site.room.low, site.room.high
    turn = 0.0 if x1 - x0 > y1 - y0 else 90.0
    for attempt in range(TRIES):
        loose = 0.02 + 0.02 * attempt
        x, y = (x0 + x1) / 2 + (x1 - x0) * rng.uniform(-loose, loose), (y0 + y1) / 2 + (y1 - y0) * rng.uniform(-loose, loose)
        yield float(x), float(y), 0.0, turn + 90.0 * (attempt % 4 == 3)


@_placement
def _anywhere(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses anywhere on the floor."""
    for _ in range(TRIES):
        x, y = rng.uniform(site.room.low[:2], site.room.high[:2]).tolist()
        yield x, y, 0.0, float(rng.choice([0, 90, 180, 270]))


@_placement
def _grid(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses in rows that all face low x."""
    (x0, y0, _z0), (x1, y1, _z1) = site.room.low, site.room.high
    for x in np.arange(x0 + 1.5, x1 - 0.9, 1.25):
        for y in np.arange(y0 + 0.65, y1 - 0.5, 1.0):
            yield float(x), float(y), 0.0, -90.0


@_placement
def _ceiling(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses under the ceiling, spread evenly along the room."""
    (x0, y0, _z0), (x1, y1, z1) = site.room.low, site.room.high
    most = rule.count[1]
    for share in (np.arange(most) + 0.5) / most:
        x, y = (x0 + (x1 - x0) * share, (y0 + y1) / 2) if x1 - x0 > y1 - y0 else ((x0 + x1) / 2, y0 + (y1 - y0) * share)
        yield float(x), float(y), float(z1 - own.bounds[1, 2] - 0.001), 0.0


@_placement
def _around(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses at the edges of a table, facing it, pushed in a little."""
    for parent in site.parents(rule):
        low, high = parent.model.bounds
        for side in rng.permutation(4):
            axis, out = int(side) % 2, -1 if side < 2 else 1
            length = high[1 - axis] - low[1 - axis]
            seats = max(int(length / 0.62), 1)
            for seat in range(seats):
                push = rng.uniform(-0.15, 0.12)
                across = (low if out < 0 else high)[axis] + out * (own.bounds[1, 1] + push)
                along = low[1 - axis] + length * (seat + 0.5) / seats
                turn = FACING[side] + rng.uniform(-9, 9)
                yield (float(across), float(along), 0.0, turn) if axis == 0 else (float(along), float(across), 0.0, turn)


def _relative(parent: Placed, right: float, ahead: float, turn: float) -> tuple[float, float, float, float]:
    x, y, _z, degrees = parent.pose
    angle = np.radians(degrees)
    return float(x + right * np.cos(angle) - ahead * np.sin(angle)), float(y + right * np.sin(angle) + ahead * np.cos(angle)), 0.0, degrees + turn


@_placement
def _beside(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses to the left and right of another model, with the backs in line."""
    for parent in site.parents(rule):
        for side in rng.permutation([-1, 1]):
            edge = parent.own.bounds[1, 0] + 0.06 + own.bounds[1, 0]
            yield _relative(parent, float(side * edge), float(parent.own.bounds[0, 1] - own.bounds[0, 1] + 0.02), 0.0)


@_placement
def _before(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses in front of another model, facing it."""
    for parent in site.parents(rule):
        for gap in rng.uniform(-0.15, 0.3, 3):
            yield _relative(
                parent, float(rng.uniform(-0.06, 0.06)), float(parent.own.bounds[1, 1] + own.bounds[1, 1] + gap), 180.0 + rng.uniform(-14, 14)
            )


@_placement
def _opposite(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses at walking distance in front of another model, parallel to it."""
    for parent in site.parents(rule):
        for gap in (0.35, 0.45, 0.3):
            yield _relative(parent, 0.0, float(parent.own.bounds[1, 1] - own.bounds[0, 1] + gap), 0.0)


@_placement
def _on(site: Site, own: Model, rule: Rule, rng: np.random.Generator) -> Poses:
    """Yield poses on the shelves of other models."""
    places = [(shelf, parent) for parent in site.parents(rule) for shelf in parent.model.shelves]
    for _ in range(TRIES if places else 0):
        shelf, parent = places[rng.integers(len(places))]
        quarter = (parent.pose[3] / 90) % 2
        size = own.bounds[1, :2] - own.bounds[0, :2]
        room = np.subtract(shelf.high, shelf.low) - (size if quarter == 0 else size[::-1])
        if (room < 0).any() or own.bounds[1, 2] > shelf.free:
            continue
        corner = np.array(shelf.low) + rng.random(2) * room
        own_middle = own.placed(0, 0, 0, parent.pose[3]).bounds
        x, y = (corner - own_middle[0, :2]).tolist()
        yield x, y, shelf.height + 0.0005, parent.pose[3]


def _row(site: Site, rule: Rule, rng: np.random.Generator) -> None:
    """Place units side by side along the wall with room for most of them."""
    owns = [MODELS[name](rng, site.style) for name in rule.models]
    best: tuple[list[Placed], list[Float[np.ndarray, "2 3"]]] = ([], [])
    for side in rng.permutation(4):
        trial = Site(site.room, site.style, list(site.blocked), list(site.placed))
        length = site.room.high[1 - side % 2] - site.room.low[1 - side % 2]
        cursor, waiting = 0.02, list(owns)
        while waiting and cursor < length - 0.3:
            own = waiting[0]
            width = float(own.bounds[1, 0] - own.bounds[0, 0])
            free = max(length - width - 0.06, 1e-6)
            share = (cursor - 0.03) / free
            if share <= 1 and trial.take(own, _at_wall(trial, own, int(side), max(share, 0), 0.0, 0.02)):
                waiting.pop(0)
                cursor += width + 0.004
            else:
                cursor += 0.1
        if len(trial.placed) > len(best[0]):
            best = (trial.placed, trial.blocked)
    if len(best[0]) > len(site.placed):
        site.placed, site.blocked = best


def furnish(site: Site, rules: tuple[Rule, ...], rng: np.random.Generator) -> None:
    """Place the furniture that the rules ask for, as far as there is room."""
    for rule in rules:
        if rule.how == "row":
            _row(site, rule, rng)
            continue
        for _ in range(int(rng.integers(rule.count[0], rule.count[1] + 1))):
            own = MODELS[rule.models[rng.integers(len(rule.models))]](rng, site.style)
            for pose in PLACEMENTS[rule.how](site, own, rule, rng):
                if site.take(own, pose):
                    break
