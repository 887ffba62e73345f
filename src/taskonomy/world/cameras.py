"""Points on surfaces and cameras that look at them, in the release's conventions."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation
from scipy.stats import truncnorm

from taskonomy.errors import TaskonomyError
from taskonomy.labels.classes import BACKGROUND, OBJECT_VALUES, PLACES
from taskonomy.numeric.geometry import Camera
from taskonomy.numeric.poses import vanishing_points
from taskonomy.numeric.rng import generator
from taskonomy.world.building import Building
from taskonomy.world.embree import NEVER, Rays

CAMERAS_PER_ROOM = 30
TRIES = 1000  # points drawn at most until enough cameras see one
EYE = (1.3, 0.3)  # height of cameras: mean and deviation, metres
CLEARANCE = 0.35  # least distance between a camera and anything, metres
NEAREST = 0.7  # least distance between a camera and its point, metres
OBLIQUE = np.radians(86)
STEEP = np.radians(55)
# Degrees; truncated to the annotator's range, the distribution has the release's mean of 61.2.
FOV_MEAN, FOV_SPREAD, FOV_RANGE = 58.0, 20.0, (30.0, 125.0)
GRID = 8  # rays along each side of the grid that judges a view
OBJECT_RAYS = 2  # of that grid, on one of the classes of objects: 3 % of the image, so that it has something to classify
BY_AREA = 0.4  # share of points drawn by area, hence mostly on walls; for the others a class of furniture is drawn first


@dataclass(frozen=True)
class CameraView:
    """One camera aimed at one point.

    Attributes:
        point: Number of the point within the building, as in file names.
        view: Number of the view among those of the point.
        camera: The camera, fixated on the point, without roll.
        scene: Index, among the Places categories, of the room in which the camera stands.
        info: The `point_info` of the release.
    """

    point: int
    view: int
    camera: Camera
    scene: int
    info: dict[str, Any]


@dataclass(frozen=True)
class _Stand:
    """A place where a camera can stand, and its rotation before it was aimed."""

    uuid: str
    room: int
    location: tuple[float, float, float]
    original: tuple[float, float, float]


@dataclass(frozen=True)
class _Point:
    number: int
    location: Float[np.ndarray, "3"]
    normal: Float[np.ndarray, "3"]
    cameras: tuple[tuple[_Stand, Camera], ...]


@dataclass(frozen=True)
class _Surfaces:
    """The triangles that points are drawn from: corners, cross product of two sides, area, and running sums of two drawing probabilities."""

    corners: Float[np.ndarray, "faces 3 3"]
    across: Float[np.ndarray, "faces 3"]
    area: Float[np.ndarray, " faces"]
    chances: tuple[Float[np.ndarray, " faces"], Float[np.ndarray, " faces"]]


def views_of(
    building: Building, *, points: int, views_per_point: int, resolution: int, seed: int, rays: Rays | None = None
) -> tuple[list[CameraView], dict[int, dict[str, Any]]]:
    """Draw points on surfaces, with cameras fixated on them.

    Args:
        building: From `build`.
        points: Number of points.
        views_per_point: Number of cameras that see each point, at least 3.
        resolution: Side of the images, pixels.
        seed: The world's seed.
        rays: The building's `Rays`, where they have been made already.

    Returns:
        The views, point by point, and the `nonfixated_matches` of every point, as released.

    Raises:
        TaskonomyError: Fewer than three views per point, or no point seen by that many cameras after 1,000 tries.
    """
    if views_per_point < 3:
        raise TaskonomyError(f"views per point must be at least 3 (is {views_per_point})")
    rays = rays or Rays(building)
    stands = _stands(building, rays, seed)
    surfaces = _surfaces(building)
    chosen = [_draw_point(building, surfaces, rays, stands, number, views_per_point, resolution, seed) for number in range(points)]
    seen = _seen(rays, chosen)
    views, matches = [], {}
    row = 0
    for point in chosen:
        for view, (stand, camera) in enumerate(point.cameras):
            others = [other.number for other, visible in zip(chosen, seen[row], strict=True) if visible and other is not point]
            scene = PLACES[building.rooms[stand.room].kind]
            views.append(CameraView(point.number, view, camera, scene, _info(building, point, view, stand, camera, others)))
            row += 1
    for column, point in enumerate(chosen):
        records = []
        for index, view_of in enumerate(views):
            if seen[index, column] and view_of.point != point.number:
                pixel = view_of.camera.project(point.location)[0]
                records.append({
                    "camera_uuid": view_of.info["camera_uuid"], "point_uuid": str(view_of.point), "view_id": view_of.view,
                    "nonfixated_pixel_x": float(pixel[0]), "nonfixated_pixel_y": float(pixel[1]),
                })  # fmt: skip
        matches[point.number] = {"point_uuid": str(point.number), "point_location": point.location.tolist(), "views": records}
    return views, matches


def _sphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Return `count` unit vectors spread evenly over the sphere."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _stands(building: Building, rays: Rays, seed: int) -> list[_Stand]:
    """Draw free positions for cameras in every room, by rejection sampling."""
    stands = []
    around = _sphere(48).astype(np.float32)
    for number, room in enumerate(building.rooms):
        rng = generator(seed, "building", building.name, "cameras", number)
        low, high = room.box
        margin = np.minimum(0.4, (high - low) * 0.3)
        where = rng.uniform(low + margin, high - margin, (8 * CAMERAS_PER_ROOM, 3))
        where[:, 2] = np.clip(rng.normal(*EYE, len(where)), 0.7, high[2] - 0.4)
        origins = np.repeat(where, len(around), axis=0).astype(np.float32)
        hit = rays.hits(origins, np.tile(around, (len(where), 1)))
        near = (hit["tfar"] < CLEARANCE).reshape(len(where), -1).any(axis=1)
        # A camera inside a wardrobe sees mostly the backs of surfaces.
        back = ((hit["Ng"] * np.tile(around, (len(where), 1))).sum(axis=1) > 0).reshape(len(where), -1).mean(axis=1) > 0.35
        for index in np.flatnonzero(~near & ~back)[:CAMERAS_PER_ROOM]:
            x, y, z = where[index].tolist()
            uuid = blake2b(f"{seed} {building.name} {number} {index}".encode(), digest_size=16).hexdigest()
            stands.append(_Stand(uuid, number, (x, y, z), (float(np.pi / 2), 0.0, float(rng.uniform(-np.pi, np.pi)))))
    return stands


def aimed(location: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], fov: float, resolution: int) -> Camera:
    """Return a camera without roll whose image centre is the target; `fov` in radians, `resolution` in pixels."""
    x, y, z = (target - location).tolist()
    pitch, yaw = np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)
    left, ahead, up = location.tolist()
    return Camera((left, ahead, up), (float(np.pi / 2 + pitch), 0.0, float((yaw - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)), fov, resolution)


def _surfaces(building: Building) -> _Surfaces:
    """Return all triangles within the house."""
    inhabited = np.flatnonzero(building.face_room >= 0)
    corners = building.vertices[building.faces[inhabited]].astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(across, axis=1) / 2
    return _Surfaces(corners, across, area, _chances(building, inhabited, area))


def _draw_point(
    building: Building, surfaces: _Surfaces, rays: Rays, stands: list[_Stand], number: int, wanted: int, resolution: int, seed: int
) -> _Point:
    """Draw a point that enough cameras see well."""
    rng = generator(seed, "building", building.name, "point", number)
    corners = surfaces.corners
    where = np.array([stand.location for stand in stands])
    spread = ((FOV_RANGE[0] - FOV_MEAN) / FOV_SPREAD, (FOV_RANGE[1] - FOV_MEAN) / FOV_SPREAD)
    for _ in range(TRIES):
        face = int(np.searchsorted(surfaces.chances[int(rng.random() < BY_AREA)], rng.random()))
        one, two = rng.random(2)
        root = np.sqrt(one)
        location = (1 - root) * corners[face, 0] + root * (1 - two) * corners[face, 1] + root * two * corners[face, 2]
        normal = surfaces.across[face] / (2 * surfaces.area[face])
        way = where - location
        distance = np.linalg.norm(way, axis=1)
        good = (distance > NEAREST) & (way @ normal > distance * np.cos(OBLIQUE)) & (abs(way[:, 2]) < distance * np.sin(STEEP))
        candidates = np.flatnonzero(good)
        candidates = candidates[rays.sees(where[candidates], np.broadcast_to(location, (len(candidates), 3)))]
        if len(candidates) < wanted:
            continue
        candidates = rng.permutation(candidates)[: 4 * wanted]
        fovs = np.radians(truncnorm.rvs(*spread, FOV_MEAN, FOV_SPREAD, size=len(candidates), random_state=rng))
        cameras = [aimed(where[index], location, float(fov), resolution) for index, fov in zip(candidates, fovs, strict=True)]
        kept = np.flatnonzero(_worth_seeing(building, rays, cameras))[:wanted]
        if len(kept) == wanted:
            return _Point(number, location, normal, tuple((stands[candidates[index]], cameras[index]) for index in kept))
    raise TaskonomyError(f"building {building.name}: no point that {wanted} cameras see after {TRIES:,} tries; ask for fewer views per point")


def _chances(
    building: Building, faces: Int[np.ndarray, " faces"], area: Float[np.ndarray, " faces"]
) -> tuple[Float[np.ndarray, " faces"], Float[np.ndarray, " faces"]]:
    """Return running sums of two probabilities of drawing each face: with every class of furniture equally likely, and by area."""
    instance = building.face_instance[faces]
    total = np.bincount(instance, area)
    pieces = np.bincount(building.categories[building.furnishes], minlength=256)[building.categories]
    sums = np.cumsum(area / total[instance] / np.maximum(pieces, 1)[instance] * building.furnishes[instance]), np.cumsum(area)
    return sums[0] / sums[0][-1], sums[1] / sums[1][-1]


def _worth_seeing(building: Building, rays: Rays, cameras: list[Camera]) -> Bool[np.ndarray, " cameras"]:
    """Return whether each image is worth seeing, judged by a coarse grid of rays.

    It shows an object that has a class and more than one thing besides, nothing too near, and not mostly sky.
    """
    side = np.linspace(-0.9, 0.9, GRID)
    right, up = np.meshgrid(side, side)
    flat = np.stack([right, up, np.zeros_like(right)], axis=-1).reshape(-1, 3)
    directions = np.concatenate([(flat * np.tan(camera.fov / 2) - (0, 0, 1)) @ camera.rotation.T for camera in cameras]).astype(np.float32)
    origins = np.repeat([camera.location for camera in cameras], len(flat), axis=0).astype(np.float32)
    hit = rays.hits(origins, directions)
    depth = hit["tfar"].reshape(len(cameras), -1)
    face = hit["primID"].reshape(len(cameras), -1)
    instance = np.where(face == NEVER, -1, building.face_instance[face])
    things = np.array([len(np.unique(row)) for row in instance])
    category = np.where(face == NEVER, BACKGROUND, building.categories[instance])
    most = (category[..., None] == np.array(list(OBJECT_VALUES.values()))).sum(axis=1).max(axis=1)
    return (
        (most >= OBJECT_RAYS)
        & (things >= 3)
        & (np.median(depth, axis=1) > 0.9)
        & ((depth < 0.45).mean(axis=1) < 0.1)
        & ((face == NEVER).mean(axis=1) < 0.35)
    )


def _seen(rays: Rays, points: list[_Point]) -> Bool[np.ndarray, "views points"]:
    """Return which points each view shows."""
    locations = np.array([point.location for point in points]).reshape(-1, 3)
    cameras = [camera for point in points for _stand, camera in point.cameras]
    seen = np.zeros((len(cameras), len(points)), bool)
    for row, camera in enumerate(cameras):
        pixel, depth = camera.project(locations)
        inside = np.flatnonzero((depth > 0) & (pixel >= 0).all(axis=1) & (pixel < camera.resolution).all(axis=1))
        seen[row, inside] = rays.sees(np.tile(camera.location, (len(inside), 1)), locations[inside])
    return seen


def _info(building: Building, point: _Point, view: int, stand: _Stand, camera: Camera, others: list[int]) -> dict[str, Any]:
    """Return the `point_info` of a view, with the keys of the release."""
    here = np.array(camera.location)
    towards = here - point.location
    distance = float(np.linalg.norm(towards))
    before = Rotation.from_euler("xyz", stand.original)
    turn = Rotation.from_matrix(camera.rotation) * before.inv()
    axes = vanishing_points(camera).reshape(3, 3) * ((-1,), (-1,), (1,)) + 0.0  # as released: X points back to the viewer
    depth = np.where(abs(axes[:, 2]) < 1e-9, -1e-9, -axes[:, 2])
    image = np.stack([axes[:, 0], -axes[:, 1]], axis=1) / depth[:, None] * camera.focal + camera.resolution / 2
    low, high = building.rooms[stand.room].low, building.rooms[stand.room].high
    return {
        "point_uuid": str(point.number),
        "view_id": view,
        "camera_uuid": stand.uuid,
        "room": blake2b(f"{building.seed} {building.name} {stand.room}".encode(), digest_size=8).hexdigest(),
        "camera_location": list(camera.location),
        "camera_rotation_final": list(camera.euler),
        "camera_rotation_original": list(stand.original),
        "camera_rotation_from_original_to_final": turn.as_euler("xyz").tolist(),
        "field_of_view_rads": camera.fov,
        "resolution": camera.resolution,
        "point_location": point.location.tolist(),
        "point_normal": point.normal.tolist(),
        "point_pitch": float(np.arcsin(-towards[2] / distance)),
        "camera_distance": distance,
        "obliqueness_angle": float(np.arccos(np.clip(towards @ point.normal / distance, -1, 1))),
        "nonfixated_points_in_view": others,
        "vanishing_points_gaussian_sphere": dict(zip("xyz", axes.tolist(), strict=True)),
        "vanishing_points_image": dict(zip("xyz", image.tolist(), strict=True)),
        # As released: x carries the world's y, and y its x.
        "bounding_box_ranges": {"x": [low[1], high[1]], "y": [low[0], high[0]], "z": [low[2], high[2]]},
    }
