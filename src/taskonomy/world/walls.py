"""Walls with holes, floors, ceilings, and joinery: baseboards, door cases, window frames, curtains."""

from dataclasses import dataclass

import numpy as np

from taskonomy.world.floor_plan import THICKNESS, Opening, Room
from taskonomy.world.furniture_registry import Model
from taskonomy.world.meshes import Shape, box, capsule, cylinder, rectangle
from taskonomy.world.style import Style, draw_cloth
from taskonomy.world.textures import Material

REVEAL = 0.22  # depth of a window behind the wall's face, metres


@dataclass(frozen=True)
class Finish:
    """Materials of a room's six sides."""

    wall: Material
    accent: Material
    floor: Material
    ceiling: Material


def _holes(openings: list[Opening], room: int, axis: int, at: float) -> list[Opening]:
    near = THICKNESS
    found = [hole for hole in openings if room in hole.rooms and hole.axis == axis and abs(hole.at - at) < near]
    return sorted(found, key=lambda hole: hole.span)


def _on_wall(axis: int, at: float, along: float, z: float) -> tuple[float, float, float]:
    return (at, along, z) if axis == 0 else (along, at, z)


def _slab(axis: int, low: tuple[float, float, float], high: tuple[float, float, float]) -> Shape:
    """Build a box from its lower and upper corner, each given as (across the wall, along it, up), metres."""
    (a0, b0, z0), (a1, b1, z1) = low, high
    across, along, middle = abs(a1 - a0), abs(b1 - b0), ((a0 + a1) / 2, (b0 + b1) / 2)
    x, y = middle if axis == 0 else middle[::-1]
    wide, deep = (across, along) if axis == 0 else (along, across)
    return box(wide, deep, z1 - z0, x, y, z0)


def room_shell(room: Room, number: int, openings: list[Opening], finish: Finish, trim: Material, accent_side: int) -> list[Model]:
    """Build floor, ceiling, four walls, and baseboards."""
    (x0, y0, z0), (x1, y1, z1) = room.low, room.high
    floor, ceiling, board = Model(name="floor"), Model(name="ceiling"), Model(name="baseboard")
    floor.add(finish.floor, rectangle((x0, y0, z0), (x1 - x0, 0, 0), (0, y1 - y0, 0)))
    ceiling.add(finish.ceiling, rectangle((x0, y0, z1), (0, y1 - y0, 0), (x1 - x0, 0, 0)))
    made = [floor, ceiling, board]
    for side in range(4):
        axis, inwards = side % 2, 1 if side < 2 else -1
        at = (room.low if side < 2 else room.high)[axis]
        start, end = room.low[1 - axis], room.high[1 - axis]
        wall = Model(name="wall")
        pieces: list[tuple[float, float, float, float]] = []
        cursor = start
        for hole in _holes(openings, number, axis, at):
            pieces.append((cursor, hole.span[0], z0, z1))
            pieces += [(*hole.span, low, high) for low, high in ((z0, hole.height[0]), (hole.height[1], z1)) if high - low > 1e-6]
            cursor = hole.span[1]
        pieces.append((cursor, end, z0, z1))
        for low, high, bottom, top in pieces:
            corner = _on_wall(axis, at, low, bottom)
            along, up = _on_wall(axis, 0, high - low, 0), (0.0, 0.0, top - bottom)
            # Counter-clockwise as seen from inside.
            first, second = (along, up) if (axis == 0) == (inwards > 0) else (up, along)
            wall.add(finish.accent if side == accent_side else finish.wall, rectangle(corner, first, second))
            if bottom == z0:
                board.add(trim, _slab(axis, (at, low, z0), (at + inwards * 0.014, high, z0 + 0.09)))
        made.append(wall)
    return made


def door_case(rng: np.random.Generator, hole: Opening, style: Style) -> list[Model]:
    """Build lining and architraves; a narrow door may have its leaf, standing open."""
    case = Model(name="door case")
    (low, high), top, half = hole.span, hole.height[1], THICKNESS / 2
    near, far = hole.at - half - 0.002, hole.at + half + 0.002
    case.add(style.trim, *[_slab(hole.axis, (near, along, 0), (far, along + inset, top)) for along, inset in ((low, 0.025), (high, -0.025))])
    case.add(style.trim, _slab(hole.axis, (near, low, top - 0.025), (far, high, top)))
    case.add(style.wood, _slab(hole.axis, (near, low, -0.02), (far, high, 0.004)))
    for face, out in ((near, -1), (far, 1)):
        sides = [_slab(hole.axis, (face, along, 0), (face + out * 0.016, along + wide, top + 0.07)) for along, wide in ((low, -0.07), (high, 0.07))]
        case.add(style.trim, *sides, _slab(hole.axis, (face, low, top), (face + out * 0.016, high, top + 0.07)))
    made = [case]
    if high - low < 1.0 and rng.random() < 0.6:
        out = int(rng.choice([-1, 1]))
        hinge = low + 0.03 if rng.random() < 0.5 else high - 0.07
        start = hole.at + out * (half + 0.02)
        end = start + out * (high - low - 0.06)
        leaf = Model(name="door")
        leaf.add(style.trim, _slab(hole.axis, (start, hinge, 0.01), (end, hinge + 0.04, top - 0.035)))
        for bottom, upper in ((0.15, 0.85), (1.05, top - 0.2)):
            inner = (start + out * 0.12, end - out * 0.12)
            leaf.add(style.trim, _slab(hole.axis, (inner[0], hinge - 0.008, bottom), (inner[1], hinge + 0.048, upper)))
        knob = end - out * 0.06
        for along in (hinge - 0.05, hinge + 0.05):
            x, y, z = _on_wall(hole.axis, knob, along + 0.02, 1.0)
            leaf.add(
                style.metal,
                capsule(0.012, 0.1)
                .turned("x" if hole.axis == 0 else "y", 90)
                .moved(x, y, z)
                .moved(*_on_wall(hole.axis, 0, 0.05, 0) if hole.axis == 0 else (-0.05, 0, 0)),
            )
        made.append(leaf)
    return made


def window_case(rng: np.random.Generator, hole: Opening, room: Room, style: Style) -> list[Model]:
    """Build reveals, frame, bars and a sill, and for some windows curtains."""
    case = Model(name="window")
    (low, high), (bottom, top) = hole.span, hole.height
    middle = (room.low[hole.axis] + room.high[hole.axis]) / 2
    out = 1 if hole.at > middle else -1
    face = room.high[hole.axis] if out > 0 else room.low[hole.axis]
    back = face + out * REVEAL
    reveals = [_slab(hole.axis, (face, along, bottom), (back, along + wide, top)) for along, wide in ((low, -0.03), (high, 0.03))]
    case.add(style.white, *reveals, *[_slab(hole.axis, (face, low - 0.03, z), (back, high + 0.03, z + 0.03)) for z in (bottom - 0.03, top)])
    pane = back - out * 0.06
    bars = [(low, low + 0.05), (high - 0.05, high)]
    if high - low > 0.9:
        bars.append(((low + high) / 2 - 0.035, (low + high) / 2 + 0.035))
    case.add(style.trim, *[_slab(hole.axis, (pane, one, bottom), (pane + out * 0.05, two, top)) for one, two in bars])
    levels = [bottom, top - 0.05] + ([bottom + 0.62 * (top - bottom)] if rng.random() < 0.5 else [])
    case.add(style.trim, *[_slab(hole.axis, (pane + out * 0.01, low, z), (pane + out * 0.04, high, z + 0.05)) for z in levels])
    case.add(style.trim, _slab(hole.axis, (face - out * 0.07, low - 0.06, bottom - 0.035), (face, high + 0.06, bottom)))
    made = [case]
    if rng.random() < 0.5 and top + 0.15 < room.high[2]:
        curtain = Model(name="curtain")
        cloth, rail = draw_cloth(rng), face - out * 0.1
        foot = 0.05 if rng.random() < 0.5 else bottom - 0.15
        x, y, z = _on_wall(hole.axis, rail, low - 0.2, top + 0.1)
        rod = capsule(0.012, high - low + 0.4).turned("y" if hole.axis == 1 else "x", 90 if hole.axis == 1 else -90)
        curtain.add(style.metal, rod.moved(x, y, z))
        for start in (low - 0.16, high - 0.08):
            for fold in range(5):
                x, y, _z = _on_wall(hole.axis, rail + out * 0.015 * (fold % 2), start + 0.055 * fold, 0)
                curtain.add(cloth, cylinder(0.035, round(top + 0.08 - foot, 2), x, y, foot, sections=12))
        made.append(curtain)
    return made
