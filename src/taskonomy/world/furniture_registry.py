"""A piece of furniture as a list of shapes and materials, and the registry of those who build one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from taskonomy.labels.classes import BACKGROUND, OBJECT_VALUES
from taskonomy.world.meshes import Shape
from taskonomy.world.style import Style
from taskonomy.world.textures import Material


@dataclass(frozen=True)
class ShelfModel:
    """A level rectangle on which other things can stand, and the free height above it."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    free: float = 9.0


@dataclass(frozen=True)
class Glow:
    """A ball of light inside a model: where, how large, and what it sends out (watts per steradian, times pi)."""

    centre: tuple[float, float, float]
    radius: float
    power: tuple[float, float, float]


@dataclass
class Model:
    """Something to place: x to its right, its back at low y and its front at high y, its foot at z = 0.

    Attributes:
        parts: Shapes and what they are made of.
        shelves: Where other things can stand.
        glows: Lights inside it.
        category: Value of `segment_semantic`.
        name: Who built it.
    """

    parts: list[tuple[Shape, Material]] = field(default_factory=list)
    shelves: list[ShelfModel] = field(default_factory=list)
    glows: list[Glow] = field(default_factory=list)
    category: int = BACKGROUND
    name: str = ""

    def add(self, material: Material, *shapes: Shape) -> None:
        """More shapes of one material."""
        self.parts += [(shape, material) for shape in shapes]

    def shelf(self, width: float, depth: float, height: float, free: float = 9.0, y: float = 0) -> None:
        """A place to put things, centred."""
        self.shelves.append(ShelfModel((-width / 2, y - depth / 2), (width / 2, y + depth / 2), height, free))

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lower and upper corner."""
        corners = np.stack([shape.bounds for shape, _material in self.parts])
        return np.stack([corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)])

    def placed(self, x: float, y: float, z: float, degrees: float) -> "Model":
        """Turned about z, then moved; shelves stay rectangles along the axes only for quarter turns."""
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

        def flat(point: tuple[float, float]) -> tuple[float, float]:
            right, ahead = turn @ point
            return float(right + x), float(ahead + y)

        shelves = []
        for shelf in self.shelves:
            one, two = flat(shelf.low), flat(shelf.high)
            low, high = (min(one[0], two[0]), min(one[1], two[1])), (max(one[0], two[0]), max(one[1], two[1]))
            shelves.append(ShelfModel(low, high, shelf.height + z, shelf.free))
        glows = [replace(glow, centre=(*flat(glow.centre[:2]), glow.centre[2] + z)) for glow in self.glows]
        parts = [(shape.turned("z", degrees).moved(x, y, z), material) for shape, material in self.parts]
        return Model(parts, shelves, glows, self.category, self.name)


Build = Callable[[np.random.Generator, Style], Model]
MODELS: dict[str, Build] = {}


def model(category: str | None = None) -> Callable[[Callable[[np.random.Generator, Style, Model], None]], Build]:
    """Register a function that fills an empty model under its own name, with its class among `OBJECTS` (None: background)."""

    def register(fill: Callable[[np.random.Generator, Style, Model], None]) -> Build:
        def build(rng: np.random.Generator, style: Style) -> Model:
            made = Model(category=OBJECT_VALUES[category] if category else BACKGROUND, name=fill.__name__)
            fill(rng, style, made)
            return made

        MODELS[fill.__name__] = build
        return build

    return register
