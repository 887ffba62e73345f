"""Primitive shapes with vertex normals, of which furniture is built; metres. Curved shapes are fine enough to compute curvature from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import trimesh
from jaxtyping import Float, Int

CREASE = 0.6  # radians: an edge between faces that meet at a wider angle stays sharp
SECTIONS = 24  # facets of a full turn


@dataclass(frozen=True)
class Shape:
    """A triangle mesh with one normal per vertex; vertices on a crease occur once per side.

    Attributes:
        vertices: Positions, metres.
        normals: Unit normals, outwards.
        faces: Indices of vertices.
        local: Texture coordinates: positions that stay with the shape when it is turned or moved.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    local: Float[np.ndarray, "vertices 3"]

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> "Shape":
        """Return the shape shifted by a vector, metres."""
        return Shape(self.vertices + np.array([x, y, z], float), self.normals, self.faces, self.local)

    def turned(self, axis: str, degrees: float) -> "Shape":
        """Return the shape rotated about an axis through the origin."""
        turn = np.radians(degrees)
        after, last = (("xyz".index(axis) + step) % 3 for step in (1, 2))
        matrix = np.eye(3)
        matrix[[after, after, last, last], [after, last, after, last]] = np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)
        return Shape(self.vertices @ matrix, self.normals @ matrix, self.faces, self.local)

    def stretched(self, x: float = 1, y: float = 1, z: float = 1) -> "Shape":
        """Return the shape scaled about the origin by positive factors; textures keep their size."""
        factors = np.array([x, y, z], float)
        normals = self.normals / factors
        vertices = self.vertices * factors
        return Shape(vertices, normals / np.linalg.norm(normals, axis=1, keepdims=True), self.faces, vertices)

    @cached_property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Return the bounding box's lower and upper corner, metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])


def _from_mesh(mesh: trimesh.Trimesh, crease: float = CREASE) -> Shape:
    smooth = trimesh.graph.smooth_shade(mesh, angle=crease)
    vertices = np.array(smooth.vertices, float)
    return Shape(vertices, np.array(smooth.vertex_normals, float), np.array(smooth.faces, int), vertices)


@lru_cache(maxsize=1)
def _unit_box() -> Shape:
    return _from_mesh(trimesh.creation.box((1, 1, 1)), 0.1)


@lru_cache(maxsize=1)
def _unit_sphere() -> Shape:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    vertices = np.array(mesh.vertices, float)
    return Shape(vertices, vertices, np.array(mesh.faces, int), vertices)


def lathe(profile: tuple[tuple[float, float], ...], sections: int = SECTIONS) -> Shape:
    """Build a surface of revolution about z, smooth but for the edges where the profile turns by more than `CREASE`.

    Args:
        profile: (radius, height) from the bottom of the outside upwards; end on the axis to close it.
        sections: Facets of the full turn.
    """
    points = np.array(profile, float)
    along = np.diff(points, axis=0)
    facing = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    creases = np.flatnonzero((facing[:-1] * facing[1:]).sum(axis=1) < np.cos(CREASE)) + 1
    first, last = [0, *creases.tolist()], [*creases.tolist(), len(along)]
    # A point on a crease occurs in the part before it and in the part after it.
    rings = np.concatenate([np.arange(one, two + 1) for one, two in zip(first, last, strict=True)])
    leaning = np.concatenate([_leaning(facing[one:two]) for one, two in zip(first, last, strict=True)])
    leaning[points[rings, 0] == 0, 0] = 0
    leaning /= np.linalg.norm(leaning, axis=1, keepdims=True)
    turn = 2 * np.pi * np.arange(sections) / sections
    vertices, normals = _turned_about(points[rings], turn), _turned_about(leaning, turn)
    lower = np.flatnonzero(np.diff(rings) == 1)[:, None] * sections
    here = np.arange(sections)
    after = (here + 1) % sections
    low = np.stack([lower + here, lower + after, lower + sections + after], axis=-1)
    high = np.stack([lower + here, lower + sections + after, lower + sections + here], axis=-1)
    on_axis = points[rings[lower[:, 0] // sections], 0] == 0, points[rings[lower[:, 0] // sections + 1], 0] == 0
    return Shape(vertices, normals, np.concatenate([low[~on_axis[0]].reshape(-1, 3), high[~on_axis[1]].reshape(-1, 3)]), vertices)


def _leaning(facing: Float[np.ndarray, "segments 2"]) -> Float[np.ndarray, "points 2"]:
    """Return the direction between those of the segments on either side of each point."""
    return np.concatenate([facing[:1], facing[:-1] + facing[1:], facing[-1:]])


def _turned_about(flat: Float[np.ndarray, "rings 2"], turn: Float[np.ndarray, " sections"]) -> Float[np.ndarray, "vertices 3"]:
    """Turn (radius, height) about z, ring by ring."""
    radius, height = flat[:, :1], np.repeat(flat[:, 1:], len(turn), axis=1)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1).reshape(-1, 3)


@lru_cache(maxsize=16)
def _unit_cylinder(sections: int) -> Shape:
    return lathe(((0, 0), (1, 0), (1, 1), (0, 1)), sections)


def box(width: float, depth: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build a box that stands at height z, centred on x and y."""
    return _unit_box().stretched(width, depth, height).moved(x, y, z + height / 2)


def cylinder(radius: float, height: float, x: float = 0, y: float = 0, z: float = 0, sections: int = SECTIONS) -> Shape:
    """Build an upright cylinder that stands at height z."""
    return _unit_cylinder(sections).stretched(radius, radius, height).moved(x, y, z)


def cone(bottom: float, top: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build a truncated cone that stands at height z; `bottom` and `top` are radii."""
    tip = ((top, height), (0, height)) if top > 0 else ((0, height),)
    return lathe(((0, 0), (bottom, 0), *tip)).moved(x, y, z)


def sphere(radius: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build a sphere around a centre."""
    return _unit_sphere().stretched(radius, radius, radius).moved(x, y, z)


def ellipsoid(width: float, depth: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build an ellipsoid around a centre."""
    return _unit_sphere().stretched(width / 2, depth / 2, height / 2).moved(x, y, z)


def capsule(radius: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build an upright capsule that stands at height z, `height` from tip to tip."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 10)
    centre = np.where(turn < 0, radius, height - radius)
    return lathe(tuple(zip((radius * np.cos(turn).round(12)).tolist(), (centre + radius * np.sin(turn)).tolist(), strict=True))).moved(x, y, z)


def cushion(width: float, depth: float, height: float, round_by: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Build a box that stands at height z, with edges and corners rounded by `round_by` metres."""
    core = _rounded_cube()
    half = np.array([width, depth, height]) / 2
    radius = min(round_by, *half.tolist())
    inner = np.maximum(half - radius, 0)
    vertices = np.sign(core.vertices.round(9)) * inner + core.normals * radius
    return Shape(vertices, core.normals, core.faces, vertices).moved(x, y, z + height / 2)


@lru_cache(maxsize=1)
def _rounded_cube(steps: int = 4) -> Shape:
    """Build a sphere cut along its three middle planes; pulled apart, its pieces are round corners, and the gaps become edges and sides."""
    angle = np.tan(np.linspace(-np.pi / 4, np.pi / 4, 2 * steps + 1))
    # The middle line occurs twice, once on either side of the gap.
    line = np.concatenate([angle[:steps], [-1e-6, 1e-6], angle[steps + 1 :]])
    count = len(line)
    down, right = np.meshgrid(line, line, indexing="ij")
    corners = np.arange(count * count).reshape(count, count)
    quads = np.stack([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices, faces = [], []
    for axis in range(3):
        for side in (-1, 1):
            local = np.stack([np.full(down.size, side), down.ravel(), right.ravel()], axis=-1)
            vertices.append(np.roll(local, axis, axis=1))
            faces.append((triangles if side > 0 else triangles[:, ::-1]) + count * count * (2 * axis + (side > 0)))
    points = np.concatenate(vertices)
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    return Shape(points, normals, np.concatenate(faces), points)


def prism(outline: Sequence[tuple[float, float]], height: float, x: float = 0, y: float = 0, z: float = 0) -> Shape:
    """Extrude a convex outline (counter-clockwise in x, y) upwards from z."""
    flat = np.array(outline, float)
    count = len(flat)
    bottom, top = np.c_[flat, np.zeros(count)], np.c_[flat, np.full(count, float(height))]
    fan = np.stack([np.zeros(count - 2, int), np.arange(1, count - 1), np.arange(2, count)], axis=1)
    around = np.arange(count)
    after = (around + 1) % count
    sides = np.concatenate([np.stack([around, after, after + count], axis=1), np.stack([around, after + count, around + count], axis=1)])
    mesh = trimesh.Trimesh(np.concatenate([bottom, top]), np.concatenate([fan[:, ::-1], fan + count, sides]), process=False)
    return _from_mesh(mesh).moved(x, y, z)


def rectangle(corner: Sequence[float], first: Sequence[float], second: Sequence[float]) -> Shape:
    """Build a flat parallelogram from a corner along two edges; its normal is their cross product."""
    origin, along, across = (np.array(vector, float) for vector in (corner, first, second))
    normal = np.cross(along, across)
    vertices = np.stack([origin, origin + along, origin + along + across, origin + across])
    return Shape(vertices, np.tile(normal / np.linalg.norm(normal), (4, 1)), np.array([[0, 1, 2], [0, 2, 3]]), vertices)
