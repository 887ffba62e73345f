"""Procedural textures: square, seamless pictures of linear reflectance, one function per pattern."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Complex, Float, Float32, Int

LARGEST, SMALLEST = 256, 8  # sides of textures, texels; each size is half the one before, and distant surfaces are looked up in the small ones
LEAST_DRAWN = 64  # side from which the patterns can be told

Colour = tuple[float, float, float]
Picture = Float[np.ndarray, "side side 3"]
Pattern = Callable[[np.random.Generator, Float[np.ndarray, "colours 3"], int], Picture]


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


def drawn_side(resolution: int) -> int:
    """Return the side at which textures are drawn for images of a resolution, texels: two for each pixel of the image.

    A texture covers 0.4 to 2.4 m, and an image about 2 m of a surface two metres away, so more texels than this are seen from very near alone.
    """
    return min(max(1 << (2 * resolution - 1).bit_length(), LEAST_DRAWN), LARGEST)


def picture(material: Material, rng: np.random.Generator, side: int = LARGEST) -> Float32[np.ndarray, "side side 3"]:
    """Draw the texture of a material, `side` texels square: a power of two; fewer texels show the same picture with less detail."""
    return np.clip(PATTERNS[material.pattern](rng, np.array(material.colours, float), side), 0.005, 0.95).astype(np.float32, order="C")


@cache
def _weights(low: float, high: float | None, stretch: float, roughness: float) -> Float[np.ndarray, "side half"]:
    """Return the weight of noise at each frequency that the largest picture can show."""
    down, right = np.meshgrid(np.fft.fftfreq(LARGEST, 1 / LARGEST), np.arange(LARGEST // 2), indexing="ij")
    frequency = np.hypot(down * stretch, right)
    weight = np.where((frequency >= low) & (frequency <= (high or LARGEST)), np.maximum(frequency, 1.0) ** -roughness, 0)
    weight[0, 0] = 0
    return weight


@cache
def _band(side: int, low: float, high: float | None, stretch: float, roughness: float) -> tuple[Float[np.ndarray, "side half"], float]:
    """Return the weight of noise at each frequency that a picture can show, and the expected variance of what is too fine for it."""
    weight = _weights(low, high, stretch, roughness)
    half = side // 2
    shown = np.concatenate([weight[:half, :half], weight[-half:, :half]])
    # A frequency to the right stands for its negative, too; of those straight down, both are there.
    energy = [(one[:, 0] ** 2).sum() + 2 * (one[:, 1:] ** 2).sum() for one in (weight, shown)]
    shown[:, 1:] *= np.sqrt(0.5)  # the real and the imaginary part of an amplitude have deviation 1 each
    return shown, float(energy[0] - energy[1])


def _amplitudes(rng: np.random.Generator, side: int) -> Complex[np.ndarray, "side half"]:
    """Draw the amplitude of each frequency, low ones first, so that pictures of any size have those in common."""
    own = np.random.Generator(np.random.PCG64(int(rng.integers(2**63))))
    half = SMALLEST // 2
    known = own.standard_normal((2 * half, 2 * half)).view(complex)
    while 2 * half < side:
        finer = own.standard_normal((4 * half, 4 * half)).view(complex)
        finer[:half, :half], finer[-half:, :half] = known[:half], known[half:]
        known, half = finer, 2 * half
    return known


def _noise(
    rng: np.random.Generator, side: int, low: float, high: float | None = None, stretch: float = 1.0, roughness: float = 1.5
) -> Float[np.ndarray, "side side"]:
    """Draw seamless noise between two frequencies (per picture), with mean 0; `stretch` > 1 draws it out downwards.

    Its deviation is 1 in the largest picture; a smaller one lacks the frequencies that it cannot show.
    """
    weight, lost = _band(side, low, high, stretch, roughness)
    values = np.fft.irfft2(_amplitudes(rng, side) * weight, (side, side), norm="forward")
    return values / np.sqrt(values.var() + lost)


def _grid(side: int) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """Return coordinates of texel centres from 0 to 1, downwards and to the right."""
    line = (np.arange(side) + 0.5) / side
    down, right = np.meshgrid(line, line, indexing="ij")
    return down, right


def _mix(first: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"], share: Float[np.ndarray, "side side"]) -> Picture:
    # Channel by channel: NumPy is slow where the innermost axis has three numbers.
    return np.moveaxis(first[:, None, None] + (second - first)[:, None, None] * np.clip(share, 0, 1), 0, -1)


def _shaded(colour: Float[np.ndarray, "3"], factor: Float[np.ndarray, "side side"]) -> Picture:
    """Return one colour, lighter in some places and darker in others."""
    return np.moveaxis(colour[:, None, None] * factor, 0, -1)


@_pattern
def _plain(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw one colour with hardly visible wear."""
    return _shaded(colours[0], 1 + 0.005 * _noise(rng, side, 1, 12))


@_pattern
def _wood(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw the grain of one piece of wood, along the picture's height."""
    _down, right = _grid(side)
    rings = np.sin(2 * np.pi * (6 * right + 0.25 * _noise(rng, side, 1, 6, stretch=4)))
    return _mix(colours[0], colours[-1], 0.5 + 0.3 * rings + 0.15 * _noise(rng, side, 8, 90, stretch=16, roughness=0.5))


def _pieces(
    rng: np.random.Generator, side: int, rows: int, columns: int, shift: float, gap: float
) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """Lay a bond of rectangles: a random number per rectangle, and the share of each texel that is joint."""
    down, right = _grid(side)
    row = np.floor(down * rows)
    across = right * columns + row * shift
    number = rng.random((rows, columns))[row.astype(int), np.floor(across).astype(int) % columns]
    from_edge = np.minimum(0.5 - abs(down * rows - row - 0.5), (0.5 - abs(across - np.floor(across) - 0.5)) * rows / columns) / rows
    return number, _covered(from_edge, max(gap, 1 / LARGEST), 1 / side)


def _covered(distance: Float[np.ndarray, "side side"], half_width: float, texel: float) -> Float[np.ndarray, "side side"]:
    """Return the share of texels that a line covers, from the distance of their middles to its middle; all in one unit."""
    return np.clip(np.minimum(half_width, distance + texel / 2) - np.maximum(-half_width, distance - texel / 2), 0, None) / texel


@_pattern
def _planks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw floor boards."""
    number, joint = _pieces(rng, side, 2, 12, 0.0, 0.003)
    grain = _noise(rng, side, 4, 100, stretch=12, roughness=0.8)
    board = _mix(colours[0], colours[1], 0.5 + 0.9 * (number - 0.5) + 0.15 * grain)
    return board * (1 - 0.65 * joint[..., None])


@_pattern
def _parquet(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw squares of staves, of alternating direction."""
    down, right = _grid(side)
    turned = (np.floor(down * 4) + np.floor(right * 4)) % 2 > 0
    stave = np.where(turned, down, right) * 16
    number = rng.random((4, 4, 4))[np.floor(down * 4).astype(int), np.floor(right * 4).astype(int), np.floor(stave).astype(int) % 4]
    joint = _covered(abs(stave - np.round(stave)), 0.06, 16 / side)
    grain = np.where(turned, _noise(rng, side, 6, 100, stretch=10).T, _noise(rng, side, 6, 100, stretch=10))
    return _mix(colours[0], colours[1], number + 0.12 * grain) * (1 - 0.5 * joint[..., None])


@_pattern
def _tiles(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw square tiles; the last colour is the joint."""
    number, joint = _pieces(rng, side, 4, 4, 0.0, 0.008)
    tile = _shaded(colours[0], 0.94 + 0.1 * number + 0.02 * _noise(rng, side, 4, 40))
    return _mix(np.zeros(3), np.ones(3), 1 - joint) * tile + _shaded(colours[-1], joint)


@_pattern
def _bricks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw bricks in running bond; the last colour is the mortar."""
    number, joint = _pieces(rng, side, 12, 4, 0.5, 0.006)
    stone = _mix(colours[0], colours[1], number + 0.15 * _noise(rng, side, 10, 80, roughness=0.5))
    return stone * (1 - joint[..., None]) + _shaded(colours[-1], joint)


@_pattern
def _checks(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a chessboard of tiles."""
    down, right = _grid(side)
    number, joint = _pieces(rng, side, 4, 4, 0.0, 0.004)
    odd = (np.floor(down * 4) + np.floor(right * 4)) % 2
    return _mix(colours[0], colours[1], odd) * (1 - 0.3 * joint + 0.06 * (number - 0.5))[..., None]


@_pattern
def _stripes(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw vertical bands of random widths."""
    _down, right = _grid(side)
    edges = np.sort(rng.random(rng.integers(5, 14)))
    return colours[(np.searchsorted(edges, right) % len(edges)) % len(colours)] * (1 + 0.02 * _noise(rng, side, 20, 120, roughness=0.3))[..., None]


@_pattern
def _tartan(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw bands in both directions, laid over each other."""
    sett = colours[rng.integers(0, len(colours), 8)][np.arange(side) * 24 // side % 8]
    return (sett[:, None] + sett[None]) / 2


@_pattern
def _fabric(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a weave."""
    down, right = _grid(side)
    weave = np.sin(2 * np.pi * 32 * down) * np.sin(2 * np.pi * 32 * right)
    return _shaded(colours[0], 1 + 0.07 * weave + 0.05 * _noise(rng, side, 4, 100, roughness=0.6))


@_pattern
def _marble(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw veins in stone."""
    veins = np.exp(-6 * abs(_noise(rng, side, 1, 40, roughness=1.9))) + 0.5 * np.exp(-9 * abs(_noise(rng, side, 3, 60, roughness=1.7)))
    return _mix(colours[0], colours[-1], 0.8 * veins + 0.05 * _noise(rng, side, 1, 10))


@_pattern
def _granite(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw grains of a few colours."""
    grains = np.stack([_noise(rng, side, 20, 90, roughness=0.3) for _ in colours])
    return colours[grains.argmax(axis=0)]


@_pattern
def _carpet(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a short pile."""
    return _mix(colours[0], colours[-1], 0.5 + 0.18 * _noise(rng, side, 10, 110, roughness=0.2))


@_pattern
def _dots(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw discs on an even ground, in rows that are offset by half."""
    down, right = _grid(side)
    row = np.floor(down * 6)
    across = right * 6 + 0.5 * (row % 2)
    distance = np.hypot(down * 6 - row - 0.5, across - np.floor(across) - 0.5)
    return _mix(colours[0], colours[1], (0.3 - distance) * 20)


@_pattern
def _damask(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a mirrored ornament, as on wallpaper."""
    down, right = _grid(side)
    x, y = 4 * np.pi * right, 4 * np.pi * down
    first, second = rng.integers(1, 4, 2)
    ornament = np.cos(x) + np.cos(y) + 0.8 * np.cos(first * x) * np.cos((second + 1) * y) + 0.5 * np.cos(3 * x) * np.cos(2 * y)
    return _mix(colours[0], colours[1], ornament * 4)


@_pattern
def _rug(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw nested frames and diamonds, to be stretched over a whole rug."""
    down, right = _grid(side)
    frame = np.minimum.reduce([down, right, 1 - down, 1 - right])
    band = np.searchsorted(np.array([0.03, 0.07, 0.09, 0.14]), frame)
    diamond = np.floor((abs(right - 0.5) + abs(down - 0.5)) * rng.integers(6, 14)).astype(int)
    index = np.where(band < 4, band, diamond)
    return colours[index % len(colours)] * (1 + 0.06 * _noise(rng, side, 20, 120, roughness=0.3))[..., None]


@_pattern
def _painting(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw sky, hills and shapes within a mount, to be stretched over a frame."""
    image = np.empty((side, side, 3), np.float32)
    down, right = _grid(side)
    image[:] = _mix(colours[0], colours[1], down)
    for colour in colours[2:]:
        height = rng.uniform(0.35, 0.8) + 0.08 * np.sin(2 * np.pi * (right[0] * rng.uniform(0.5, 2) + rng.random()))
        image[down > height] = colour
    for _ in range(rng.integers(2, 7)):
        colour = colours[rng.integers(len(colours))].tolist()
        centre = _texels(rng.integers(30, LARGEST - 30, 2), side)
        size = _texels(rng.integers(8, 50, 2), side)
        cv2.ellipse(image, centre, size, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    mount = int(rng.integers(0, 40)) * side // LARGEST
    framed = np.full_like(image, 0.8)
    framed[mount : side - mount, mount : side - mount] = cv2.resize(image, (side - 2 * mount, side - 2 * mount), interpolation=cv2.INTER_AREA)
    return framed.astype(float)


def _texels(of_largest: Int[np.ndarray, "..."], side: int) -> list[int]:
    """Convert lengths in texels of the largest picture to those of this one, 1 at least."""
    return np.maximum(of_largest * side // LARGEST, 1).tolist()


@_pattern
def _print(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a cover or a label: a ground, a band, and lines of lettering."""
    image = np.empty((side, side, 3), np.float32)
    image[:] = colours[0]
    top = rng.integers(20, 140)
    first, last = _texels(np.array([top, top + rng.integers(20, 80)]), side)
    cv2.rectangle(image, (0, first), (side, last), colours[-1].tolist(), -1)
    for line in range(20, LARGEST - 20, 36):
        left, right, height, thick = _texels(np.array([40, rng.integers(80, 220), line, 8]), side)
        cv2.line(image, (left, height), (right, height), (colours[-1] * 0.5 + 0.3).tolist(), thick, cv2.LINE_AA)
    return image.astype(float)


@_pattern
def _dial(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw a clock face with twelve marks and two hands, upright."""
    image = np.empty((side, side, 3), np.float32)
    image[:] = colours[0]
    middle, thick, thin = _texels(np.array([LARGEST // 2, 8, 6]), side)
    ink = colours[-1].tolist()
    for angle in np.arange(12) * np.pi / 6:
        way = np.array([np.cos(angle), np.sin(angle)]) * side / LARGEST
        cv2.line(image, (middle + way * 92).astype(int).tolist(), (middle + way * 112).astype(int).tolist(), ink, thick, cv2.LINE_AA)
    for length, width in ((60, thick), (88, thin)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (middle + length * np.array([np.cos(angle), np.sin(angle)]) * side / LARGEST).astype(int).tolist()
        cv2.line(image, (middle, middle), tip, ink, width, cv2.LINE_AA)
    return image.astype(float)


@_pattern
def _leaf(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw blotches of green."""
    return _mix(colours[0], colours[-1], 0.5 + 0.35 * _noise(rng, side, 3, 60))


@_pattern
def _brushed(rng: np.random.Generator, colours: Float[np.ndarray, "colours 3"], side: int) -> Picture:
    """Draw metal, brushed downwards."""
    return _shaded(colours[0], 1 + 0.05 * _noise(rng, side, 4, 128, stretch=30, roughness=0.3))
