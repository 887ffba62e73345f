"""Lamps, and objects that stand on tables or hang on walls."""

import numpy as np

from taskonomy.world.appliances import vary
from taskonomy.world.furniture_registry import Glow, Model, model
from taskonomy.world.meshes import box, cushion, cylinder, ellipsoid, lathe, sphere
from taskonomy.world.style import Style, colour, draw_print, grey
from taskonomy.world.textures import Material


def _glowing(tint: tuple[float, float, float], strength: float) -> Material:
    red, green, blue = tint
    return Material("plain", (grey(0.9),), emission=(red * strength, green * strength, blue * strength))


def _tint(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw a colour of light from candle-warm to neutral white, with red, green and blue of mean 1."""
    warm = rng.uniform(0.0, 1.0)
    tint = np.array([1.0, 0.92 - 0.12 * warm, 0.88 - 0.4 * warm])
    red, green, blue = (tint / tint.mean()).tolist()
    return red, green, blue


def _glow(made: Model, rng: np.random.Generator, centre: tuple[float, float, float], radius: float, power: float) -> Material:
    """Add a light to a model and return the material of its shade."""
    tint = _tint(rng)
    red, green, blue = tint
    made.glows.append(Glow(centre, radius, (red * power, green * power, blue * power)))
    return _glowing(tint, 2.5)


@model("vase")
def vase(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a turned vase, sometimes with flowers."""
    belly, neck, lip, high = vary(0.075, rng), vary(0.035, rng), vary(0.055, rng), vary(0.26, rng)
    turn = np.linspace(0, 1, 14)
    radius = np.interp(turn, [0, 0.1, 0.4, 0.75, 1], [belly * 0.6, belly * 0.8, belly, neck, lip])
    smooth = np.convolve(np.pad(radius, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    outside = [(round(float(r), 5), round(float(t * high), 5)) for r, t in zip(smooth, turn, strict=True)]
    inside = [(outside[-1][0] - 0.006, high), (outside[-4][0] - 0.006, outside[-4][1]), (0.0, outside[-4][1] - 0.01)]
    glaze = Material(
        str(rng.choice(["plain", "stripes", "marble", "dots"])),
        (colour(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.3, 0.9)), grey(0.9), style.accent.colours[0]),
        metres=0.2,
    )
    made.add(glaze, lathe(((0.0, 0.0), *outside, *inside)))
    if rng.random() < 0.6:
        petal = Material("plain", (colour(rng.random(), 0.7, 0.9),))
        for _ in range(int(rng.integers(3, 7))):
            lean, angle, long = rng.uniform(4, 22), rng.uniform(0, 360), rng.uniform(0.15, 0.3)
            stem = cylinder(0.003, long, z=0, sections=6).turned("x", lean).turned("z", angle).moved(0, 0, high - 0.05)
            made.add(style.leaf, stem)
            made.add(petal, sphere(rng.uniform(0.018, 0.032), z=long).turned("x", lean).turned("z", angle).moved(0, 0, high - 0.05))


@model("bottle")
def bottle(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a bottle: body, shoulder, neck, a cap and a label."""
    wide, high = vary(0.038, rng), vary(0.28, rng)
    glass = Material("plain", (colour(rng.choice([0.05, 0.3, 0.35, 0.55, 0.6]), rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.8)),))
    shape = (
        (0.0, 0.0),
        (wide, 0.0),
        (wide, high * 0.55),
        (wide * 0.92, high * 0.62),
        (wide * 0.6, high * 0.7),
        (wide * 0.36, high * 0.78),
        (wide * 0.36, high * 0.95),
        (0.0, high * 0.95),
    )
    made.add(glass, lathe(shape))
    made.add(style.accent, cylinder(round(wide * 0.4, 4), 0.02, z=high * 0.95))
    made.add(draw_print(rng), lathe(((wide * 1.02, high * 0.15), (wide * 1.02, high * 0.45))))


@model("book")
def books(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a row of upright books."""
    x, depth = -0.3, 0.2
    covers = [draw_print(rng) for _ in range(3)]
    count = int(rng.integers(4, 14))
    for _ in range(count):
        thick, high = rng.uniform(0.018, 0.045), rng.uniform(0.17, 0.25)
        made.add(covers[rng.integers(3)], box(thick, depth * rng.uniform(0.8, 1), high, x + thick / 2))
        x += thick + 0.002


@model("book")
def book_pile(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a pile of books."""
    z = 0.0
    for _ in range(int(rng.integers(1, 5))):
        thick = rng.uniform(0.015, 0.04)
        cover = draw_print(rng)
        slab = box(rng.uniform(0.2, 0.28), rng.uniform(0.15, 0.2), thick).turned("z", rng.uniform(-12, 12)).moved(0, 0, z)
        made.add(cover, slab)
        z += thick + 0.001


@model("clock")
def wall_clock(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a round dial in a frame."""
    radius = vary(0.16, rng)
    rim = (style.wood, style.metal, style.dark, style.accent)[rng.integers(4)]
    ring = lathe(((0.0, 0.0), (radius, 0.0), (radius, 0.035), (radius * 0.93, 0.045), (radius * 0.86, 0.035), (radius * 0.86, 0.02), (0, 0.02)), 40)
    made.add(rim, ring.turned("x", -90).moved(0, -0.02, radius))
    dial = Material("dial", (grey(rng.choice([0.95, 0.9, 0.15])), colour(rng.random(), 0.7, 0.35)), metres=0)
    made.add(dial, cylinder(round(radius * 0.86, 4), 0.004, sections=40).turned("x", -90).moved(0, 0.001, radius))


@model("clock")
def table_clock(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a dial in a block of wood."""
    made.add(style.wood, cushion(0.16, 0.06, 0.17, 0.02))
    made.add(Material("dial", (grey(0.93), grey(0.1)), metres=0), cylinder(0.06, 0.004, sections=32).turned("x", -90).moved(0, 0.03, 0.09))


def _leaves(rng: np.random.Generator, style: Style, made: Model, foot: float, spread: float, high: float, count: int) -> None:
    for number in range(count):
        lean, turn, long = rng.uniform(8, 65), 360 * (number / count) + rng.uniform(-15, 15), high * rng.uniform(0.55, 1.0)
        blade = ellipsoid(0.32 * long, 0.02, long, 0, 0, long / 2).stretched(spread, 1, 1)
        made.add(style.leaf, blade.turned("x", -lean).turned("z", turn).moved(0, 0, foot))


@model("potted plant")
def plant(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a large plant in a pot on the floor."""
    pot = Material(
        str(rng.choice(["plain", "stripes", "wood"])),
        (colour(rng.uniform(0, 0.1), rng.uniform(0, 0.7), rng.uniform(0.4, 0.9)), grey(0.85)),
        metres=0.3,
    )
    made.add(pot, lathe(((0, 0), (0.12, 0), (0.17, 0.3), (0.155, 0.3), (0.145, 0.27), (0, 0.27))))
    if rng.random() < 0.5:
        _leaves(rng, style, made, 0.28, rng.uniform(0.4, 0.9), rng.uniform(0.5, 0.8), int(rng.integers(9, 15)))
        return
    trunk = rng.uniform(0.4, 0.8)
    made.add(style.wood, cylinder(0.02, trunk, z=0.26, sections=10))
    for _ in range(int(rng.integers(5, 9))):
        made.add(
            style.leaf, sphere(rng.uniform(0.09, 0.16), rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), 0.3 + trunk + rng.uniform(-0.05, 0.25))
        )


@model("potted plant")
def small_plant(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a plant for a table."""
    made.add(style.accent, lathe(((0, 0), (0.05, 0), (0.065, 0.1), (0.058, 0.1), (0.055, 0.09), (0, 0.09))))
    _leaves(rng, style, made, 0.09, rng.uniform(0.5, 1.0), rng.uniform(0.13, 0.22), int(rng.integers(7, 12)))


@model()
def bowl(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a bowl of fruit."""
    made.add(style.accent, lathe(((0, 0), (0.05, 0), (0.1, 0.03), (0.14, 0.08), (0.13, 0.08), (0.09, 0.04), (0, 0.02)), 32))
    for number in range(int(rng.integers(3, 6))):
        fruit = Material("plain", (colour(rng.choice([0.0, 0.08, 0.15, 0.3]), 0.8, 0.8),))
        made.add(fruit, sphere(0.035, 0.05 * np.cos(1.3 * number), 0.05 * np.sin(1.3 * number), 0.075))


@model()
def plate(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a plate and a cup."""
    made.add(style.ceramic, lathe(((0, 0), (0.07, 0), (0.12, 0.02), (0.11, 0.02), (0.07, 0.008), (0, 0.008)), 32))
    made.add(style.accent, lathe(((0, 0), (0.03, 0), (0.038, 0.09), (0.033, 0.09), (0.028, 0.01), (0, 0.01)), 20).moved(0.16, 0.05))


@model()
def toy_blocks(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build toy blocks and a ball."""
    for number in range(int(rng.integers(3, 7))):
        paint = Material("plain", (colour(rng.random(), 0.8, 0.9),))
        size = rng.uniform(0.06, 0.11)
        made.add(paint, box(size, size, size).turned("z", rng.uniform(0, 90)).moved(0.16 * (number % 3) - 0.16, 0.16 * (number // 3) - 0.1))
    made.add(Material("stripes", (colour(rng.random(), 0.8, 0.9), grey(0.9)), metres=0.3), sphere(0.1, 0.34, 0, 0.1))


@model()
def floor_lamp(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a lamp with a shade on a tall pole."""
    high = rng.uniform(1.4, 1.7)
    shade = _glow(made, rng, (0, 0, high), 0.24, rng.uniform(2.0, 5.0))
    made.add(style.metal, cylinder(0.014, high - 0.1, sections=12), cylinder(0.14, 0.025))
    made.add(shade, lathe(((0.2, high - 0.14), (0.13, high + 0.14))))


@model()
def table_lamp(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a lamp with a shade on a turned foot."""
    shade = _glow(made, rng, (0, 0, 0.38), 0.17, rng.uniform(1.0, 2.5))
    made.add(style.accent, lathe(((0, 0), (0.07, 0), (0.05, 0.05), (0.07, 0.12), (0.03, 0.22), (0.012, 0.27), (0, 0.27))))
    made.add(shade, lathe(((0.13, 0.28), (0.09, 0.48))))


@model()
def pendant(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a lamp that hangs from the ceiling: a globe, or a cone with its bulb."""
    drop = rng.uniform(0.3, 0.6)
    shade = _glow(made, rng, (0, 0, 0.14), 0.18, rng.uniform(4.0, 9.0))
    made.add(style.dark, cylinder(0.006, drop - 0.02, z=0.28, sections=8), cylinder(0.05, 0.02, z=0.26 + drop))
    if rng.random() < 0.5:
        made.add(shade, sphere(0.14, z=0.14))
        return
    made.add(style.accent, lathe(((0.17, 0.1), (0.04, 0.27), (0, 0.29))))
    made.add(shade, sphere(0.06, z=0.12))


@model()
def ceiling_lamp(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a flat dome under the ceiling."""
    shade = _glow(made, rng, (0, 0, 0.0), 0.2, rng.uniform(4.0, 9.0))
    made.add(shade, lathe(((0, 0), (0.1, 0.012), (0.16, 0.045), (0.18, 0.08))))
    made.add(style.metal, cylinder(0.19, 0.02, z=0.08))


@model()
def light_panel(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build an office's luminous square in the ceiling."""
    shade = _glow(made, rng, (0, 0, -0.1), 0.16, rng.uniform(4.0, 8.0))
    made.add(style.white, box(0.62, 0.62, 0.03, z=0.012))
    made.add(shade, box(0.56, 0.56, 0.012))


@model()
def painting(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a picture in its frame."""
    width, high = rng.uniform(0.35, 1.1), rng.uniform(0.35, 0.8)
    frame = (style.wood, style.dark, style.metal, style.white)[rng.integers(4)]
    made.add(
        frame,
        *[box(0.03, 0.03, high, sx * (width / 2 - 0.015)) for sx in (-1, 1)],
        *[box(width - 0.06, 0.03, 0.03, 0, 0, z) for z in (0, high - 0.03)],
    )
    hue = rng.random()
    colours = tuple(colour(hue + rng.normal(0, 0.12), rng.uniform(0.1, 0.8), rng.uniform(0.3, 0.95)) for _ in range(6))
    made.add(Material("painting", colours, metres=0), box(width - 0.06, 0.012, high - 0.06, 0, -0.004, 0.03))


@model()
def mirror(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a framed pane."""
    width, high = rng.uniform(0.45, 0.7), rng.uniform(0.6, 0.9)
    made.add(style.metal, box(width, 0.02, high))
    made.add(Material("plain", (grey(0.75),)), box(width - 0.04, 0.006, high - 0.04, 0, 0.012, 0.02))


@model()
def whiteboard(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a board with writing and a tray."""
    width, high = rng.uniform(1.5, 2.2), 1.0
    made.add(style.metal, box(width, 0.02, high), box(width * 0.6, 0.06, 0.02, 0, 0.03, 0))
    ground = grey(0.93) if rng.random() < 0.6 else colour(0.38, 0.5, 0.3)
    ink = colour(rng.choice([0.0, 0.6, 0.66]), 0.8, 0.5) if ground[0] > 0.5 else grey(0.9)
    made.add(Material("print", (ground, ground, ink), metres=0), box(width - 0.06, 0.006, high - 0.06, 0, 0.012, 0.03))


@model()
def rug(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a rug that lies flat under furniture."""
    hue = rng.random()
    colours = tuple(colour(hue + rng.normal(0, 0.1), rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9)) for _ in range(int(rng.integers(2, 5))))
    made.add(Material("rug", colours, metres=0), box(rng.uniform(1.6, 2.3), rng.uniform(1.1, 1.6), 0.008))
