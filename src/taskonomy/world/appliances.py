"""Appliances, sanitary ware and screens."""

import numpy as np

from taskonomy.world.furniture import kitchen_unit
from taskonomy.world.furniture_registry import Model, model
from taskonomy.world.meshes import box, capsule, cushion, cylinder, ellipsoid, lathe
from taskonomy.world.style import Style, colour, grey
from taskonomy.world.textures import Material


def vary(value: float, rng: np.random.Generator) -> float:
    """Vary a size by at most an eighth, in five steps: few distinct profiles, so that equal ones share one mesh."""
    return round(float(value * rng.choice([0.88, 0.94, 1.0, 1.06, 1.12])), 4)


@model("sink")
def kitchen_sink(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a basin with a tap, to stand on a worktop."""
    _basin(style, made, 0.5, 0.4, style.metal)


def _basin(style: Style, made: Model, width: float, depth: float, of: Material) -> None:
    rim, high = 0.03, 0.05
    made.add(
        of,
        *[box(rim, depth, high, sx * (width - rim) / 2) for sx in (-1, 1)],
        *[box(width - 2 * rim, rim, high, 0, sy * (depth - rim) / 2) for sy in (-1, 1)],
    )
    made.add(of, box(width - 2 * rim, depth - 2 * rim, 0.006))
    made.add(style.dark, cylinder(0.025, 0.004, z=0.006))
    made.add(style.metal, cylinder(0.016, 0.26, 0, -depth / 2 + 0.03, 0.02), capsule(0.013, 0.2).turned("x", -90).moved(0, -depth / 2 + 0.02, 0.27))
    made.add(style.metal, *[cylinder(0.014, 0.05, sx * 0.08, -depth / 2 + 0.03, 0.04) for sx in (-1, 1)])


@model("sink")
def washbasin(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a round ceramic bowl on a pedestal."""
    wide = vary(0.25, rng)
    bowl = lathe(
        ((0, 0.62), (wide * 0.5, 0.65), (wide * 0.9, 0.74), (wide, 0.84), (wide * 0.92, 0.84), (wide * 0.8, 0.76), (wide * 0.4, 0.71), (0, 0.7)), 32
    )
    made.add(style.ceramic, bowl, lathe(((0, 0), (0.13, 0), (0.08, 0.12), (0.07, 0.4), (0.1, 0.66), (0, 0.66))))
    made.add(style.metal, cylinder(0.015, 0.16, 0, -wide + 0.02, 0.82), capsule(0.012, 0.15).turned("x", -90).moved(0, -wide + 0.01, 0.97))
    made.add(style.ceramic, box(0.14, 0.06, 0.2, 0, -wide + 0.01, 0.62))


@model("toilet")
def toilet(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a toilet: bowl, seat, lid and cistern."""
    bowl = lathe(((0, 0), (0.12, 0), (0.1, 0.12), (0.13, 0.28), (0.19, 0.38), (0.19, 0.4), (0.15, 0.4), (0.1, 0.32), (0, 0.28)), 32)
    made.add(style.ceramic, bowl.stretched(1, 1.3, 1).moved(0, 0.12))
    made.add(style.white, lathe(((0.13, 0.4), (0.2, 0.4), (0.2, 0.43), (0.13, 0.43), (0.13, 0.4)), 32).stretched(1, 1.3, 1).moved(0, 0.12))
    made.add(style.ceramic, cushion(0.4, 0.18, 0.38, 0.03, 0, -0.24, 0.4), box(0.24, 0.2, 0.4, 0, -0.18))
    made.add(style.white, cylinder(0.19, 0.02, sections=32).turned("x", 80).moved(0, -0.12, 0.62))
    made.add(style.metal, cylinder(0.02, 0.015, 0, -0.24, 0.78))


@model()
def bathtub(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a tub with walls and a floor."""
    width, depth, high, rim = rng.uniform(1.5, 1.7), 0.75, 0.55, 0.07
    made.add(
        style.ceramic,
        *[cushion(rim, depth, high, 0.03, sx * (width - rim) / 2) for sx in (-1, 1)],
        *[cushion(width - rim, rim, high, 0.03, 0, sy * (depth - rim) / 2) for sy in (-1, 1)],
    )
    made.add(style.ceramic, box(width - rim, depth - rim, 0.15))
    made.add(style.metal, capsule(0.02, 0.18).turned("y", 90).moved(-width / 2 + 0.02, 0, 0.66), cylinder(0.02, 0.1, -width / 2 + 0.04, 0, 0.55))


@model("refrigerator")
def refrigerator(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a refrigerator with the freezer above or below, and two handles."""
    width, depth, high, split = rng.uniform(0.6, 0.8), 0.66, rng.uniform(1.6, 1.9), float(rng.choice([0.55, 1.2]))
    skin = style.metal if rng.random() < 0.5 else style.white
    made.add(skin, box(width, depth - 0.06, high - 0.04, 0, -0.03, 0.04))
    made.add(style.dark, box(width - 0.04, depth - 0.1, 0.04, 0, -0.03))
    for low, top in ((0.06, split), (split + 0.012, high)):
        made.add(skin, cushion(width, 0.055, top - low, 0.015, 0, depth / 2 - 0.03, low))
        made.add(
            style.dark,
            capsule(
                0.013,
                min(0.4, top - low - 0.1),
                width / 2 - 0.06,
                depth / 2 + 0.02,
                low + 0.05 if low > 0.5 else top - min(0.4, top - low - 0.1) - 0.05,
            ),
        )


@model("oven")
def oven(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a cooker: window and handle in front, knobs, four plates on top."""
    skin = (style.metal, style.white, style.dark)[rng.integers(3)]
    made.add(skin, box(0.6, 0.58, 0.88, 0, -0.01))
    made.add(style.dark, box(0.46, 0.012, 0.34, 0, 0.286, 0.26), box(0.58, 0.56, 0.012, 0, -0.01, 0.88))
    made.add(style.metal, capsule(0.012, 0.5).turned("y", 90).moved(-0.25, 0.32, 0.68))
    made.add(style.dark, *[cylinder(0.022, 0.03).turned("x", -90).moved(x, 0.28, 0.79) for x in (-0.21, -0.12, 0.12, 0.21)])
    made.add(
        style.metal,
        *[cylinder(radius, 0.01, sx * 0.14, sy * 0.13, 0.892) for sx, sy, radius in ((-1, -1, 0.07), (1, -1, 0.09), (-1, 1, 0.09), (1, 1, 0.07))],
    )


@model("microwave")
def microwave(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a microwave: a door with a window, and a panel of buttons."""
    skin = (style.metal, style.white, style.dark)[rng.integers(3)]
    made.add(skin, cushion(0.48, 0.34, 0.28, 0.012))
    made.add(Material("plain", (grey(0.06),)), box(0.29, 0.01, 0.19, -0.06, 0.173, 0.045))
    made.add(style.dark, box(0.1, 0.008, 0.24, 0.175, 0.172, 0.02))
    made.add(style.white, *[box(0.02, 0.006, 0.015, 0.15 + 0.025 * column, 0.178, 0.05 + 0.03 * row) for row in range(4) for column in range(3)])


@model("toaster")
def toaster(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a toaster with two slots and a lever."""
    made.add((style.metal, style.accent)[rng.integers(2)], cushion(0.3, 0.18, 0.19, 0.05, z=0.01))
    made.add(
        style.dark, box(0.28, 0.16, 0.015), *[box(0.22, 0.025, 0.006, 0, y, 0.197) for y in (-0.035, 0.035)], box(0.012, 0.04, 0.02, 0.155, 0, 0.12)
    )


@model("tv")
def tv(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a flat screen on a foot, on or off."""
    _screen(rng, made, rng.uniform(0.9, 1.3), style)


@model("tv")
def wall_tv(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a flat screen that hangs on the wall."""
    _screen(rng, made, rng.uniform(0.9, 1.5), style, foot=False)


@model("tv")
def monitor(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a computer's screen."""
    _screen(rng, made, rng.uniform(0.48, 0.62), style)


def _screen(rng: np.random.Generator, made: Model, width: float, style: Style, *, foot: bool = True) -> None:
    high, low = width * 0.57, 0.1 if foot else 0.0
    casing = Material("plain", (grey(0.1),))
    made.add(casing, cushion(width, 0.04, high, 0.01, z=low))
    if foot:
        made.add(casing, cylinder(0.02, low + 0.05, y=-0.02), cushion(width * 0.35, 0.16, 0.015, 0.007))
    on = rng.random() < 0.5
    colours = tuple(colour(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.0)) for _ in range(5))
    shown = Material("painting", colours, metres=0, emission=(0.25, 0.27, 0.3)) if on else Material("plain", (grey(0.07),))
    made.add(shown, box(width - 0.04, 0.006, high - 0.04, 0, 0.02, low + 0.02))


@model()
def keyboard(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a keyboard with keys in rows, and a mouse."""
    made.add(style.dark, box(0.42, 0.14, 0.015))
    made.add(style.white, *[box(0.37, 0.02, 0.006, 0, -0.045 + 0.03 * row, 0.015) for row in range(4)], ellipsoid(0.06, 0.1, 0.04, 0.29, 0, 0.02))


@model()
def island(rng: np.random.Generator, style: Style, made: Model) -> None:
    """Build a free-standing kitchen unit."""
    kitchen_unit(style, made, 1.2, drawers=3)
