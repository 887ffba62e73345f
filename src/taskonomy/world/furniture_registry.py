"""Pieces of furniture as lists of shapes with materials, and the registry of the functions that build them."""

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
    """A level rectangle on which other things can stand: corners, height, and free height above it, metres."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float
    free: float = 9.0


@dataclass(frozen=True)
class Glow:
    """A ball of light inside a model: centre and radius in metres, and its power in watts per steradian, times pi."""

    centre: tuple[float, float, float]
    radius: float
    power: tuple[float, float, float]


@dataclass
class Model:
    """A model to place: x to its right, its back at low y, its front at high y, its foot at z = 0; metres.

    Attributes:
        parts: Shapes with their materials.
        shelves: Rectangles on which other things can stand.
        glows: Lights inside it.
        category: Its value in `segment_semantic`.
        name: Name of the function that built it, a key of `MODELS`.
    """

    parts: list[tuple[Shape, Material]] = field(default_factory=list)
    shelves: list[ShelfModel] = field(default_factory=list)
    glows: list[Glow] = field(default_factory=list)
    category: int = BACKGROUND
    name: str = ""

    def add(self, material: Material, *shapes: Shape) -> None:
        """Add shapes of one material."""
        self.parts += [(shape, material) for shape in shapes]

    def shelf(self, width: float, depth: float, height: float, free: float = 9.0, y: float = 0) -> None:
        """Add a shelf on which things can be put, centred on x; sizes in metres."""
        self.shelves.append(ShelfModel((-width / 2, y - depth / 2), (width / 2, y + depth / 2), height, free))

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Return the bounding box's lower and upper corner, metres."""
        corners = np.stack([shape.bounds for shape, _material in self.parts])
        return np.stack([corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)])

    def placed(self, x: float, y: float, z: float, degrees: float) -> "Model":
        """Return the model turned about z, then moved; shelves stay parallel to the axes only for quarter turns."""
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
    """Register, under its name, a function that fills an empty model of a class of `OBJECTS` (None: background)."""

    def register(fill: Callable[[np.random.Generator, Style, Model], None]) -> Build:
        def build(rng: np.random.Generator, style: Style) -> Model:
            made = Model(category=OBJECT_VALUES[category] if category else BACKGROUND, name=fill.__name__)
            fill(rng, style, made)
            return made

        MODELS[fill.__name__] = build
        return build

    return register
