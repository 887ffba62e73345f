"""Procedural textures: square, seamless pictures of linear reflectance, one function per pattern."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Float32

SIDE = 256  # of a texture, texels
LEVELS = 6  # each half the size of the one before; distant surfaces are looked up in the small ones

Colour = tuple[float, float, float]
Picture = Float[np.ndarray, "side side 3"]
Pattern = Callable[[np.random.Generator, Float[np.ndarray, "colours 3"]], Picture]


@dataclass(frozen=True)
class Material:
    """The look of a surface.

    Attributes:
        pattern: A key of `PATTERNS`.
        colours: Colours of the pattern, linear reflectance.
        metres: Side of the picture on the surface, metres; 0: stretched over each part.
        emission: Light given off, added to the reflected light.
    """

    pattern: str
    colours: tuple[Colour, ...]
    metres: float = 1.0
    emission: Colour = (0.0, 0.0, 0.0)


PATTERNS: dict[str, Pattern] = {}


def _pattern(function: Pattern) -> Pattern:
    PATTERNS[function.__name__.strip("_")] = function
    return function


def picture(material: Material, rng: np.random.Generator) -> Float32[np.ndarray, "side side 3"]:
    """Draw the texture of a material, `SIDE` texels square."""
    return np.clip(PATTERNS[material.pattern](rng, np.array(material.colours, float)), 0.005, 0.95).astype(np.float32, order="C")


@cache
def _band(low: float, high: float | None, stretch: float, roughness: float) -> Float[np.ndarray, "side half"]:
    """Return the weight of noise at each frequency."""
    down, right = np.meshgrid(np.fft.fftfreq(SIDE, 1 / SIDE), np.fft.rfftfreq(SIDE, 1 / SIDE), indexing="ij")
    frequency = np.hypot(down * stretch, right)
    inside = (frequency >= low) & (frequency <= (high or SIDE))
    weight = np.where(inside, np.maximum(frequency, 1.0) ** -roughness, 0)
    weight[0, 0] = 0
    return weight


def _noise(
    rng: np.random.Generator, low: float, high: float | None = None, stretch: float = 1.0, roughness: float = 1.5
) -> Float[np.ndarray, "side side"]:
    """Draw seamless noise between two frequencies (per picture), with mean 0 and deviation 1; `stretch` > 1 draws it out downwards."""
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * _band(low, high, stretch, roughness), (SIDE, SIDE))
    return values / values.std()


def _grid() -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """Return coordinates of texel centres from 0 to 1, downwards and to the right."""
    line = (np.arange(SIDE) + 0.5) / SIDE
    down, right = np.meshgrid(line, line, indexing="ij")
    return down, right


def _mix(first: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"], share: Float[np.ndarray, "side side"]) -> Picture:
    # Channel by channel: NumPy is slow where the innermost axis has three numbers.
    return np.moveaxis(first[:, None, None] + (second - first)[:, None, None] * np.clip(share, 0, 1), 0, -1)


def _shaded(colour: Float[np.ndarray, "3"], factor: Float[np.ndarray, "side side"]) -> Picture:
    """Return one colour, lighter in some places and darker in others."""
    return np.moveaxis(colour[:, None, None] * factor, 0, -1)


@_pattern
def _plain(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw one colour with hardly visible wear."""
    return _shaded(colours[0], 1 + 0.005 * _noise(rng, 1, 12))


@_pattern
def _wood(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw the grain of one piece of wood, along the picture's height."""
    _down, right = _grid()
    rings = np.sin(2 * np.pi * (6 * right + 0.25 * _noise(rng, 1, 6, stretch=4)))
    return _mix(colours[0], colours[-1], 0.5 + 0.3 * rings + 0.15 * _noise(rng, 8, 90, stretch=16, roughness=0.5))


def _pieces(
    rng: np.random.Generator, rows: int, columns: int, shift: float, gap: float
) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """Lay a bond of rectangles: a random number per rectangle, and the share of each texel that is joint."""
    down, right = _grid()
    row = np.floor(down * rows)
    across = right * columns + row * shift
    number = rng.random((rows, columns))[row.astype(int), np.floor(across).astype(int) % columns]
    from_edge = np.minimum(0.5 - abs(down * rows - row - 0.5), (0.5 - abs(across - np.floor(across) - 0.5)) * rows / columns) / rows
    return number, np.clip(1.5 - from_edge * SIDE / max(gap * SIDE, 1), 0, 1)


@_pattern
def _planks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw floor boards."""
    number, joint = _pieces(rng, 2, 12, 0.0, 0.003)
    grain = _noise(rng, 4, 100, stretch=12, roughness=0.8)
    board = _mix(colours[0], colours[1], 0.5 + 0.9 * (number - 0.5) + 0.15 * grain)
    return board * (1 - 0.65 * joint[..., None])


@_pattern
def _parquet(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw squares of staves, of alternating direction."""
    down, right = _grid()
    turned = (np.floor(down * 4) + np.floor(right * 4)) % 2 > 0
    stave = np.where(turned, down, right) * 16
    number = rng.random((4, 4, 4))[np.floor(down * 4).astype(int), np.floor(right * 4).astype(int), np.floor(stave).astype(int) % 4]
    joint = abs(stave - np.round(stave)) < 0.06
    grain = np.where(turned, _noise(rng, 6, 100, stretch=10).T, _noise(rng, 6, 100, stretch=10))
    return _mix(colours[0], colours[1], number + 0.12 * grain) * (1 - 0.5 * joint[..., None])


@_pattern
def _tiles(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw square tiles; the last colour is the joint."""
    number, joint = _pieces(rng, 4, 4, 0.0, 0.008)
    tile = _shaded(colours[0], 0.94 + 0.1 * number + 0.02 * _noise(rng, 4, 40))
    return _mix(np.zeros(3), np.ones(3), 1 - joint) * tile + _shaded(colours[-1], joint)


@_pattern
def _bricks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw bricks in running bond; the last colour is the mortar."""
    number, joint = _pieces(rng, 12, 4, 0.5, 0.006)
    stone = _mix(colours[0], colours[1], number + 0.15 * _noise(rng, 10, 80, roughness=0.5))
    return stone * (1 - joint[..., None]) + _shaded(colours[-1], joint)


@_pattern
def _checks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a chessboard of tiles."""
    down, right = _grid()
    number, joint = _pieces(rng, 4, 4, 0.0, 0.004)
    odd = (np.floor(down * 4) + np.floor(right * 4)) % 2
    return _mix(colours[0], colours[1], odd) * (1 - 0.3 * joint + 0.06 * (number - 0.5))[..., None]


@_pattern
def _stripes(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw vertical bands of random widths."""
    _down, right = _grid()
    edges = np.sort(rng.random(rng.integers(5, 14)))
    return colours[(np.searchsorted(edges, right) % len(edges)) % len(colours)] * (1 + 0.02 * _noise(rng, 20, 120, roughness=0.3))[..., None]


@_pattern
def _tartan(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw bands in both directions, laid over each other."""
    sett = colours[rng.integers(0, len(colours), 8)][np.arange(SIDE) * 24 // SIDE % 8]
    return (sett[:, None] + sett[None]) / 2


@_pattern
def _fabric(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a weave."""
    down, right = _grid()
    weave = np.sin(2 * np.pi * 32 * down) * np.sin(2 * np.pi * 32 * right)
    return _shaded(colours[0], 1 + 0.07 * weave + 0.05 * _noise(rng, 4, 100, roughness=0.6))


@_pattern
def _marble(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw veins in stone."""
    veins = np.exp(-6 * abs(_noise(rng, 1, 40, roughness=1.9))) + 0.5 * np.exp(-9 * abs(_noise(rng, 3, 60, roughness=1.7)))
    return _mix(colours[0], colours[-1], 0.8 * veins + 0.05 * _noise(rng, 1, 10))


@_pattern
def _granite(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw grains of a few colours."""
    grains = np.stack([_noise(rng, 20, 90, roughness=0.3) for _ in colours])
    return colours[grains.argmax(axis=0)]


@_pattern
def _carpet(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a short pile."""
    return _mix(colours[0], colours[-1], 0.5 + 0.18 * _noise(rng, 10, 110, roughness=0.2))


@_pattern
def _dots(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw discs on an even ground, in rows that are offset by half."""
    down, right = _grid()
    row = np.floor(down * 6)
    across = right * 6 + 0.5 * (row % 2)
    distance = np.hypot(down * 6 - row - 0.5, across - np.floor(across) - 0.5)
    return _mix(colours[0], colours[1], (0.3 - distance) * 20)


@_pattern
def _damask(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a mirrored ornament, as on wallpaper."""
    down, right = _grid()
    x, y = 4 * np.pi * right, 4 * np.pi * down
    first, second = rng.integers(1, 4, 2)
    ornament = np.cos(x) + np.cos(y) + 0.8 * np.cos(first * x) * np.cos((second + 1) * y) + 0.5 * np.cos(3 * x) * np.cos(2 * y)
    return _mix(colours[0], colours[1], ornament * 4)


@_pattern
def _rug(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw nested frames and diamonds, to be stretched over a whole rug."""
    down, right = _grid()
    frame = np.minimum.reduce([down, right, 1 - down, 1 - right])
    band = np.searchsorted(np.array([0.03, 0.07, 0.09, 0.14]), frame)
    diamond = np.floor((abs(right - 0.5) + abs(down - 0.5)) * rng.integers(6, 14)).astype(int)
    index = np.where(band < 4, band, diamond)
    return colours[index % len(colours)] * (1 + 0.06 * _noise(rng, 20, 120, roughness=0.3))[..., None]


@_pattern
def _painting(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw sky, hills and shapes within a mount, to be stretched over a frame."""
    image = np.empty((SIDE, SIDE, 3), np.float32)
    down, right = _grid()
    image[:] = _mix(colours[0], colours[1], down)
    for colour in colours[2:]:
        height = rng.uniform(0.35, 0.8) + 0.08 * np.sin(2 * np.pi * (right * rng.uniform(0.5, 2) + rng.random()))
        for channel in range(3):
            image[..., channel][down > height] = colour[channel]
    for _ in range(rng.integers(2, 7)):
        colour = colours[rng.integers(len(colours))].tolist()
        centre = rng.integers(30, SIDE - 30, 2).tolist()
        size = rng.integers(8, 50, 2).tolist()
        cv2.ellipse(image, centre, size, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    mount = int(rng.integers(0, 40))
    framed = np.full_like(image, 0.8)
    framed[mount : SIDE - mount, mount : SIDE - mount] = cv2.resize(image, (SIDE - 2 * mount, SIDE - 2 * mount), interpolation=cv2.INTER_AREA)
    return framed.astype(float)


@_pattern
def _print(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a cover or a label: a ground, a band, and lines of lettering."""
    image = np.empty((SIDE, SIDE, 3), np.float32)
    image[:] = colours[0]
    top = int(rng.integers(20, 140))
    cv2.rectangle(image, (0, top), (SIDE, top + int(rng.integers(20, 80))), colours[-1].tolist(), -1)
    for line in range(20, SIDE - 20, 36):
        cv2.line(image, (40, line), (int(rng.integers(80, 220)), line), (colours[-1] * 0.5 + 0.3).tolist(), 8, cv2.LINE_AA)
    return image.astype(float)


@_pattern
def _dial(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw a clock face with twelve marks and two hands, upright."""
    image = np.empty((SIDE, SIDE, 3), np.float32)
    image[:] = colours[0]
    middle = SIDE // 2
    ink = colours[-1].tolist()
    for angle in np.arange(12) * np.pi / 6:
        way = np.array([np.cos(angle), np.sin(angle)])
        near, far = (middle + way * 92).astype(int).tolist(), (middle + way * 112).astype(int).tolist()
        cv2.line(image, near, far, ink, 8, cv2.LINE_AA)
    for length, width in ((60, 10), (88, 6)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (middle + length * np.array([np.cos(angle), np.sin(angle)])).astype(int).tolist()
        cv2.line(image, (middle, middle), tip, ink, width, cv2.LINE_AA)
    return image.astype(float)


@_pattern
def _leaf(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw blotches of green."""
    return _mix(colours[0], colours[-1], 0.5 + 0.35 * _noise(rng, 3, 60))


@_pattern
def _brushed(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"]) -> Picture:
    """Draw metal, brushed downwards."""
    return _shaded(colours[0], 1 + 0.05 * _noise(rng, 4, 128, stretch=30, roughness=0.3))
