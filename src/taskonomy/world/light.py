"""Lamps, daylight and sun, and the share of a room's shadow rays that each gets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from taskonomy.world.floor_plan import Opening, Room
from taskonomy.world.furniture_registry import Model

PORTAL, BALL, SUN = 0, 1, 2


@dataclass(frozen=True)
class Lights:
    """All lights, and the share of each room's shadow rays that goes to each of them.

    Attributes:
        cumulative: Running sum of the shares, for each room and, last, for outdoors.
        centre: Middle of a window or ball.
        edge_one: Vector along one side of a window; for the sun, its breadth.
        edge_two: Vector along the other side.
        facing: Direction into which a window shines; for the sun, the direction towards it.
        radius: Radius of a ball, which is that of its lampshade, metres.
        power: Radiance times area over pi.
        kind: `PORTAL`, `BALL` or `SUN`.
    """

    cumulative: Float32[np.ndarray, "places lights"]
    centre: Float32[np.ndarray, "lights 3"]
    edge_one: Float32[np.ndarray, "lights 3"]
    edge_two: Float32[np.ndarray, "lights 3"]
    facing: Float32[np.ndarray, "lights 3"]
    radius: Float32[np.ndarray, " lights"]
    power: Float32[np.ndarray, "lights 3"]
    kind: Int32[np.ndarray, " lights"]


def draw_lights(
    rng: np.random.Generator, rooms: tuple[Room, ...], openings: tuple[Opening, ...], models: list[Model]
) -> tuple[Lights, Float32[np.ndarray, "places 3"], Float32[np.ndarray, "2 3"]]:
    """Draw lamps, daylight through windows and the sun; return them with the ambient light of each place and the radiance of the sky."""
    day = float(rng.uniform(0.15, 1.0))
    overhead, horizon = np.array([0.55, 0.75, 1.1]) * 7 * day, np.array([0.9, 1.0, 1.1]) * 8 * day
    rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]] = []
    for hole in openings:
        if len(hole.rooms) > 1:
            continue
        room = rooms[hole.rooms[0]]
        out = 1 if hole.at > (room.low[hole.axis] + room.high[hole.axis]) / 2 else -1
        across, centre, along, up = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
        across[hole.axis] = -out
        centre[hole.axis] = (room.high if out > 0 else room.low)[hole.axis] + out * 0.1
        centre[1 - hole.axis], centre[2] = np.mean(hole.span), np.mean(hole.height)
        along[1 - hole.axis], up[2] = hole.span[1] - hole.span[0], hole.height[1] - hole.height[0]
        area = along[1 - hole.axis] * up[2]
        rows.append((PORTAL, centre, along, up, across, 0.0, (overhead * 0.5 + horizon * 0.4) * area / np.pi))
    for model in models:
        rows += [(BALL, np.array(g.centre), np.zeros(3), np.zeros(3), np.zeros(3), g.radius, np.array(g.power) / np.pi) for g in model.glows]
    azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.9)
    towards = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
    side = np.cross(towards, [0.0, 0.0, 1.0])
    rows.append(
        (SUN, np.zeros(3), side * 0.02, np.cross(side, towards) * 0.02, towards, 0.0, np.array([1.0, 0.92, 0.78]) * 9 * max(day - 0.25, 0.05))
    )
    kind = np.array([row[0] for row in rows], np.int32)
    middles, one, two, facing = (np.stack([row[column] for row in rows]).astype(np.float32) for column in range(1, 5))
    power = np.stack([row[6] for row in rows]).astype(np.float32)
    shares, ambient = [], []
    for number, room in enumerate(rooms):
        near = {number, *[other for hole in openings if number in hole.rooms and len(hole.rooms) > 1 for other in hole.rooms]}
        middle = room.box.mean(axis=0)
        away = ((middles - middle) ** 2).sum(axis=1)
        at_home = np.array([_holds(room, point) for point in middles])
        next_door = np.array([any(_holds(rooms[other], point) for other in near) for point in middles])
        weight = power.mean(axis=1) / (1.0 + away) * np.where(at_home, 1.0, np.where(next_door, 0.35, 0.0))
        weight[kind == SUN] = 0.0
        lit = any(hole.rooms == (number,) for hole in openings)
        weight[kind == SUN] = weight.sum() * (0.2 if lit else 0.05)
        shares.append(weight / weight.sum() if weight.sum() > 0 else (kind == SUN).astype(float))
        wide, deep, high = room.box[1] - room.box[0]
        surface = 2 * (wide * deep + wide * high + deep * high)
        ambient.append(
            (power * np.where(kind == BALL, 4 * np.pi, np.pi)[:, None] * (at_home & (kind != SUN))[:, None]).sum(axis=0) / surface * 0.3 + 0.01
        )
    shares.append((kind == SUN).astype(float))
    ambient.append((overhead + horizon) * 0.3)
    lights = Lights(
        np.cumsum(shares, axis=1).astype(np.float32), middles, one, two, facing, np.array([row[5] for row in rows], np.float32), power, kind
    )
    return lights, np.array(ambient, np.float32), np.stack([horizon, overhead]).astype(np.float32)


def _holds(room: Room, point: Any) -> bool:
    """Return whether a lamp or window belongs to a room."""
    return bool((point > room.box[0] - 0.3).all() and (point < room.box[1] + 0.3).all())
