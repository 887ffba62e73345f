"""A building: its rooms, everything in them and its light, as the triangles and tables that the renderer reads."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from taskonomy.numeric.rng import generator
from taskonomy.world import appliances, furniture, props  # noqa: F401  (they register the models)
from taskonomy.world.floor_plan import THICKNESS, Opening, Room, draw_doors, draw_rectangles, draw_windows, inside
from taskonomy.world.furniture_registry import MODELS, Model
from taskonomy.world.light import Lights, draw_lights
from taskonomy.world.meshes import box, cylinder, rectangle, sphere
from taskonomy.world.placement import Placed, Site, furnish
from taskonomy.world.rooms import DWELLINGS, ROOMS, USES
from taskonomy.world.style import Style, colour, draw_style, draw_woods, grey
from taskonomy.world.textures import LARGEST, SMALLEST, Material, picture
from taskonomy.world.walls import Finish, door_case, room_shell, window_case

HUES = 0.03  # standard deviation of the hue among rooms of one kind


@dataclass(frozen=True)
class Building:
    """A building's geometry, materials, lights and rooms.

    Attributes:
        name: The building's name; together with the seed it determines everything else.
        seed: The world's seed.
        rooms: The rooms, as boxes of air with a kind.
        openings: Doors and windows.
        placed: Furniture, room by room.
        vertices: Vertices of all triangles, metres.
        normals: Unit vectors per vertex.
        local: Position of each vertex on its texture.
        faces: Triangles, as indices of vertices.
        face_instance: Index of the object that each triangle belongs to.
        face_material: Index of the texture of each triangle.
        face_axis: Axis along which the texture is projected onto each triangle.
        face_room: Index of the room that each triangle belongs to; -1 outdoors.
        categories: Value of each object in `segment_semantic`.
        furnishes: For each object, whether it is furniture rather than part of the house or the street.
        metres: Side of each texture on a surface, metres.
        texture_side: Side at which the textures are drawn, texels.
        emission: Light that each texture gives off.
        atlas: Texels of all textures at every size, linear reflectance.
        lights: Lamps, windows and the sun.
        ambient: Light that has bounced more than once, for each room and, last, for outdoors.
        sky: Radiance of the sky at the horizon and overhead.
    """

    name: str
    seed: int
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    placed: tuple[tuple[Placed, ...], ...]
    vertices: Float32[np.ndarray, "vertices 3"]
    normals: Float32[np.ndarray, "vertices 3"]
    local: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    face_instance: Int32[np.ndarray, " faces"]
    face_material: Int32[np.ndarray, " faces"]
    face_axis: Int32[np.ndarray, " faces"]
    face_room: Int32[np.ndarray, " faces"]
    categories: UInt8[np.ndarray, " instances"]
    furnishes: Bool[np.ndarray, " instances"]
    metres: Float32[np.ndarray, " materials"]
    texture_side: int
    emission: Float32[np.ndarray, "materials 3"]
    atlas: Float32[np.ndarray, "texels 3"]
    lights: Lights
    ambient: Float32[np.ndarray, "places 3"]
    sky: Float32[np.ndarray, "2 3"]


def build(name: str, seed: int, texture_side: int = LARGEST) -> Building:
    """Build a building of four to six furnished rooms; it depends on the seed and its name alone, not on other buildings.

    Args:
        name: The building's name.
        seed: The world's seed.
        texture_side: Side at which its textures are drawn, texels, a power of two (`drawn_side`); nothing else depends on it.
    """
    rng = generator(seed, "building", name, "plan")
    use = str(rng.choice([*USES, *DWELLINGS]))
    corridor = bool(rng.random() < 0.6)
    count, height = int(rng.integers(4, 7)), float(rng.uniform(2.45, 3.1))
    rects = draw_rectangles(rng, count, corridor=corridor)
    kinds = _draw_kinds(rng, USES[use], count - corridor) + ["corridor"] * corridor
    rooms = tuple(inside(rect, kind, height) for rect, kind in zip(rects, kinds, strict=True))
    doors, windows = draw_doors(rng, rects, height), draw_windows(rng, rects, height)
    woods = draw_woods(rng)
    trim = Material("plain", (grey(rng.uniform(0.82, 0.93)),)) if rng.random() < 0.65 else Material("wood", woods, metres=0.5)
    groups: list[tuple[int, list[Model]]] = []
    placed: list[tuple[Placed, ...]] = []
    openings = doors + windows
    for number, room in enumerate(rooms):
        own = generator(seed, "building", name, "room", number)
        style = draw_style(own)
        shell = room_shell(room, number, openings, _draw_finish(own, room.kind, style), trim, int(own.integers(-4, 4)))
        blocked = [shape.bounds for model in shell if model.name == "baseboard" for shape, _material in model.parts]
        for hole in windows:
            if hole.rooms == (number,):
                cases = window_case(own, hole, room, style)
                shell += cases
                blocked += [shape.bounds for model in cases for shape, _material in model.parts] + [_before_hole(hole, room, 0.2)]
        for hole in doors:
            if hole.rooms[0] == number:
                shell += door_case(own, hole, style)
        blocked += [_before_hole(hole, room, 0.95) for hole in doors if number in hole.rooms]
        site = Site(room, style, blocked)
        furnish(site, ROOMS[room.kind].rules, own)
        placed.append(tuple(site.placed))
        groups.append((number, shell + [one.model for one in site.placed]))
    groups.append((-1, _outdoors(rng, rects)))
    return _assemble(name, seed, texture_side, rooms, tuple(openings), tuple(placed), groups, rng)


def _draw_kinds(rng: np.random.Generator, kinds: tuple[str, ...], count: int) -> list[str]:
    """Draw the kinds of `count` rooms, those of the largest rooms first."""
    others = [kinds[2 + index] for index in rng.permutation(len(kinds) - 2)]
    return sorted([*kinds[:2], *others][:count], key=lambda kind: ROOMS[kind].rank)


def _before_hole(hole: Opening, room: Room, deep: float) -> Float[np.ndarray, "2 3"]:
    """Return the box in front of a door or window that must stay free: lower and upper corner, metres."""
    low, high = np.empty(3), np.empty(3)
    at_low = abs(hole.at - room.low[hole.axis]) < THICKNESS
    face = (room.low if at_low else room.high)[hole.axis]
    low[hole.axis], high[hole.axis] = sorted((face, face + deep * (1 if at_low else -1)))
    low[1 - hole.axis], high[1 - hole.axis] = hole.span[0] - 0.1, hole.span[1] + 0.1
    low[2], high[2] = hole.height[0] - 0.05, hole.height[1] + 0.1
    return np.stack([low, high])


def _draw_finish(rng: np.random.Generator, kind: str, style: Style) -> Finish:
    """Draw the materials of a room's six sides."""
    look = ROOMS[kind]
    hue, depth, value = look.tint[0] + rng.normal(0, HUES), look.tint[1] * rng.uniform(0.5, 1.5), look.tint[2] + rng.uniform(-0.08, 0.06)

    def tone(value: float, more: float = 0.0, shift: float = 0.0) -> tuple[float, float, float]:
        return colour(hue + shift, depth + more, value)

    def surface(pattern: str, value: float) -> Material:
        if pattern == "bricks":
            clay = rng.uniform(0.0, 0.06)
            return Material("bricks", (colour(clay, 0.55, 0.5), colour(clay + 0.02, 0.5, 0.68), grey(0.75)), metres=1.0)
        joint = grey(rng.uniform(0.5, 0.9))
        return Material(pattern, (tone(value), tone(value * rng.uniform(0.72, 0.92), 0.08, 0.03), joint), metres=float(rng.uniform(0.7, 1.2)))

    pattern = look.walls[int(rng.integers(len(look.walls)))]
    wall = surface(pattern, value)
    accent = surface(look.walls[int(rng.integers(len(look.walls)))], value * rng.uniform(0.6, 1.0)) if rng.random() < 0.6 else wall
    ground = look.floors[int(rng.integers(len(look.floors)))]
    ground_hue, ground_value = hue + rng.normal(0, HUES), rng.uniform(0.3, 0.85)
    stone = (colour(ground_hue, 0.12, ground_value), colour(ground_hue, 0.2, ground_value * rng.choice([0.35, 0.7])), grey(ground_value * 0.6))
    woody = ground in ("planks", "parquet")
    floor = Material(ground, draw_woods(rng) if woody else stone, metres=float(rng.uniform(1.2, 2.4)))
    return Finish(wall, accent, floor, Material("plain", (grey(rng.uniform(0.88, 0.96)),)))


def _outdoors(rng: np.random.Generator, rects: list[tuple[float, float, float, float]]) -> list[Model]:
    """Build the lawn, trees and houses that are seen through windows."""
    middle = np.array([np.mean([rect[0] + rect[2] for rect in rects]) / 2, np.mean([rect[1] + rect[3] for rect in rects]) / 2])
    lawn = Model(name="lawn")
    lawn.add(
        Material("leaf", (colour(0.27, 0.6, 0.35), colour(0.24, 0.5, 0.6)), metres=2.0),
        rectangle((middle[0] - 60, middle[1] - 60, -0.5), (120, 0, 0), (0, 120, 0)),
    )
    made = [lawn]
    for angle in np.arange(10) * 0.63 + rng.uniform(0, 0.4, 10):
        x, y = (middle + rng.uniform(13, 22) * np.array([np.cos(angle), np.sin(angle)])).tolist()
        one = Model(name="outdoors")
        if rng.random() < 0.6:
            crown, tall = rng.uniform(1.2, 2.4), rng.uniform(2.0, 4.0)
            one.add(Material("leaf", (colour(0.3, 0.7, 0.25), colour(0.25, 0.6, 0.5)), metres=1.0), sphere(crown, x, y, tall))
            one.add(Material("wood", draw_woods(rng)), cylinder(0.2, tall + 0.5, x, y, -0.5))
        else:
            wall = Material("bricks", (colour(0.03, 0.5, 0.5), colour(0.06, 0.45, 0.7), grey(0.7)), metres=2.5)
            one.add(wall, box(rng.uniform(5, 8), rng.uniform(5, 8), rng.uniform(3, 6), x, y, -0.5))
        made.append(one)
    return made


def _assemble(
    name: str, seed: int, texture_side: int, rooms: tuple[Room, ...], openings: tuple[Opening, ...], placed: tuple[tuple[Placed, ...], ...],
    groups: list[tuple[int, list[Model]]], rng: np.random.Generator,
) -> Building:  # fmt: skip
    """Concatenate all models, bake their textures, and set up the light."""
    materials: dict[Material, int] = {}
    vertices, normals, local, unscaled, faces = [], [], [], [], []
    instance, material_of, room_of = [], [], []
    categories: list[int] = []
    count = 0
    for room, models in groups:
        for model in models:
            for shape, material in model.parts:
                index = materials.setdefault(material, len(materials))
                across = shape.local
                unscaled.append(across)
                if material.metres == 0:
                    low, high = across.min(axis=0), across.max(axis=0)
                    # Slightly inside the edge, or the picture, which repeats, would start again there.
                    across = 0.002 + 0.996 * (across - low) / np.maximum(high - low, 1e-9)
                vertices.append(shape.vertices)
                normals.append(shape.normals)
                local.append(across)
                faces.append(shape.faces + count)
                instance.append(np.full(len(shape.faces), len(categories)))
                material_of.append(np.full(len(shape.faces), index))
                room_of.append(np.full(len(shape.faces), room))
                count += len(shape.vertices)
            categories.append(model.category)
    triangles = np.concatenate(faces)
    corner = np.concatenate(unscaled)[triangles]
    slope = abs(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]))
    furnishes = np.array([model.name in MODELS for _room, models in groups for model in models])
    lights, ambient, sky = draw_lights(rng, rooms, openings, [model for _room, models in groups for model in models])
    return Building(
        name, seed, rooms, openings, placed,
        np.concatenate(vertices).astype(np.float32), np.concatenate(normals).astype(np.float32), np.concatenate(local).astype(np.float32),
        triangles.astype(np.int32), np.concatenate(instance).astype(np.int32), np.concatenate(material_of).astype(np.int32),
        slope.argmax(axis=1).astype(np.int32), np.concatenate(room_of).astype(np.int32), np.array(categories, np.uint8), furnishes,
        np.array([material.metres or 1.0 for material in materials], np.float32), texture_side,
        np.array([material.emission for material in materials], np.float32),
        _bake(list(materials), name, seed, texture_side), lights, ambient, sky,
    )  # fmt: skip


def _bake(materials: list[Material], name: str, seed: int, texture_side: int) -> Float32[np.ndarray, "texels 3"]:
    """Draw all textures at all sizes, and concatenate them size by size."""
    sides, starts = texture_levels(len(materials), texture_side)
    atlas = np.empty((int(len(materials) * (sides.astype(int) ** 2).sum()), 3), np.float32)
    for number, material in enumerate(materials):
        level = picture(material, generator(seed, "building", name, "texture", number), texture_side)
        for side, start in zip(sides.tolist(), starts.tolist(), strict=True):
            level = level if len(level) == side else cv2.resize(level, (side, side), interpolation=cv2.INTER_AREA)
            first = start + number * side * side
            atlas[first : first + side * side] = level.reshape(-1, 3)
    return atlas


def texture_levels(materials: int, texture_side: int) -> tuple[Int32[np.ndarray, " levels"], Int32[np.ndarray, " levels"]]:
    """Return, for every size of texture in an atlas, its side and the index of its first texel."""
    sides = np.array([texture_side >> level for level in range((texture_side // SMALLEST).bit_length())])
    return sides.astype(np.int32), np.concatenate([[0], np.cumsum(materials * sides**2)[:-1]]).astype(np.int32)
