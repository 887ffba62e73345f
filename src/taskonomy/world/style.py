"""Colours and materials shared by the furniture of one room."""

import colorsys
from dataclasses import dataclass

import numpy as np

from taskonomy.world.textures import Colour, Material


def colour(hue: float, saturation: float, value: float) -> Colour:
    """Return the linear reflectance of a colour given as hue, saturation and value of sRGB, each in [0, 1]."""
    red, green, blue = (float(channel) ** 2.2 for channel in colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)))
    return red, green, blue


def grey(value: float) -> Colour:
    """Return the linear reflectance of a grey given as an sRGB value in [0, 1]."""
    return colour(0, 0, value)


@dataclass(frozen=True)
class Style:
    """Materials of a room's furniture, by role."""

    wood: Material
    second_wood: Material
    fabric: Material
    second_fabric: Material
    bedding: Material
    metal: Material
    dark: Material
    white: Material
    ceramic: Material
    stone: Material
    accent: Material
    leaf: Material
    front: Material
    trim: Material


def draw_woods(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Draw a dark and a light tone of one wood."""
    hue, saturation, value = rng.uniform(0.04, 0.11), rng.uniform(0.25, 0.7), rng.uniform(0.3, 0.85)
    return colour(hue, saturation, value * 0.75), colour(hue + 0.01, saturation * 0.85, value)


def draw_cloth(rng: np.random.Generator) -> Material:
    """Draw a woven material, plain or patterned."""
    hue = rng.random()
    first = colour(hue, rng.uniform(0.1, 0.75), rng.uniform(0.25, 0.9))
    second = colour(hue + rng.choice([0.04, 0.12, 0.5]), rng.uniform(0.1, 0.6), rng.uniform(0.4, 0.95))
    pattern = str(rng.choice(["fabric", "fabric", "stripes", "tartan", "dots", "damask", "carpet"]))
    return Material(pattern, (first, second), metres=float(rng.uniform(0.35, 0.7)))


def draw_style(rng: np.random.Generator) -> Style:
    """Draw the materials of one room."""
    wood, second_wood = draw_woods(rng), draw_woods(rng)
    accent = colour(rng.random(), rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.9))
    front = [
        Material("plain", (colour(rng.random(), rng.uniform(0.0, 0.45), rng.uniform(0.35, 0.95)),)),
        Material("wood", second_wood, metres=0.6),
    ][int(rng.integers(2))]
    return Style(
        wood=Material("wood", wood, metres=0.5),
        second_wood=Material("wood", second_wood, metres=0.6),
        fabric=draw_cloth(rng),
        second_fabric=draw_cloth(rng),
        bedding=draw_cloth(rng),
        metal=Material("brushed", (grey(rng.uniform(0.45, 0.75)),), metres=0.5),
        dark=Material("plain", (grey(rng.uniform(0.08, 0.22)),)),
        white=Material("plain", (grey(rng.uniform(0.85, 0.95)),)),
        ceramic=Material("plain", (colour(0.12, rng.uniform(0, 0.05), 0.95),)),
        stone=Material(
            str(rng.choice(["marble", "granite"])),
            (grey(rng.uniform(0.2, 0.9)), colour(rng.random(), 0.15, rng.uniform(0.2, 0.6)), grey(0.5)),
            metres=0.8,
        ),
        accent=Material("plain", (accent,)),
        leaf=Material(
            "leaf", (colour(rng.uniform(0.24, 0.36), 0.75, 0.28), colour(rng.uniform(0.22, 0.34), 0.6, rng.uniform(0.45, 0.65))), metres=0.3
        ),
        front=front,
        trim=Material("plain", (grey(rng.uniform(0.85, 0.93)),)) if rng.random() < 0.6 else Material("wood", wood, metres=0.5),
    )


def draw_print(rng: np.random.Generator) -> Material:
    """Draw the material of a cover or label."""
    first = colour(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.25, 0.9))
    return Material("print", (first, colour(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.3, 0.95))), metres=0)
