import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np

from taskonomy.labels.classes import PLACES
from taskonomy.world.building import build
from taskonomy.world.cameras import views_of
from taskonomy.world.render import Renderer

pytest_plugins = ["house"]


def test_floors_and_ceilings_lie_at_their_heights(building, frames):
    seen = 0
    floors = [index for index, normal in _planes(building)]
    heights = {index: building.vertices[building.faces[building.face_instance == index]][..., 2].mean() for index in floors}
    for frame in frames:
        points = frame.camera.world_points(np.where(np.isfinite(frame.depth), frame.depth, 0).astype(float))
        for index, height in heights.items():
            inside = frame.instance == index
            seen += inside.sum()
            np.testing.assert_allclose(points[inside][:, 2], height, atol=1e-3)
    assert seen > 500


def _planes(building):
    """Objects whose triangles are all level and at one height, and belong to a room: floors and ceilings."""
    for index in np.unique(building.face_instance[building.face_room >= 0]):
        vertices = building.vertices[building.faces[building.face_instance == index]]
        if np.ptp(vertices[..., 2]) == 0:
            yield int(index), np.sign(building.normals[building.faces[building.face_instance == index][0, 0], 2])


def test_normals_of_floors_and_ceilings_are_level_and_face_the_camera(building, frames):
    for frame in frames:
        world = frame.normal @ frame.camera.rotation.T
        for index, sign in _planes(building):
            np.testing.assert_allclose(world[frame.instance == index] @ np.array([0, 0, sign]), 1, atol=1e-5)


def test_normals_are_unit_and_face_the_camera_and_zero_in_holes(frames):
    for frame in frames:
        hole = ~np.isfinite(frame.depth)
        length = np.linalg.norm(frame.normal, axis=-1)
        np.testing.assert_allclose(length[~hole], 1, atol=1e-5)
        assert (frame.normal[hole] == 0).all()
        assert (frame.instance[hole] == -1).all()
        facing = -(frame.normal * frame.camera.pixel_rays()).sum(axis=-1)
        # Smooth normals of coarse facets may lean a little beyond the silhouette.
        assert (facing[~hole] > -0.2).all()


def test_normals_agree_with_depth_derivatives_on_planes(building, frames):
    agreements = []
    for frame in frames:
        points = frame.camera.world_points(frame.depth.astype(float)) if np.isfinite(frame.depth).all() else None
        if points is None:
            continue
        across = np.cross(points[1:, :-1] - points[:-1, :-1], points[:-1, 1:] - points[:-1, :-1])
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        world = (frame.normal @ frame.camera.rotation.T)[:-1, :-1]
        same = (frame.instance[:-1, :-1] == frame.instance[1:, :-1]) & (frame.instance[:-1, :-1] == frame.instance[:-1, 1:])
        flat = ~building.furnishes[frame.instance[:-1, :-1]] & same
        agreements.append(abs((across * world).sum(axis=-1))[flat])
    together = np.concatenate(agreements)
    assert len(together) > 1000
    assert np.quantile(together, 0.1) > 0.999


def test_the_centre_of_a_view_shows_its_point(building, views):
    renderer = Renderer(building)
    for view in views:
        # With an odd number of pixels the middle one is centred on the point.
        odd = replace(view, camera=replace(view.camera, resolution=9))
        depth = renderer.render(odd, samples=1, seed=3).depth[4, 4]
        assert abs(depth - view.info["camera_distance"]) < 1e-3


def test_categories_are_those_of_the_objects(building, frames):
    for frame in frames:
        seen = frame.instance >= 0
        assert (frame.category[seen] == building.categories[frame.instance[seen]]).all()
        assert (frame.category[~seen] == 1).all()


def test_images_are_well_exposed(frames):
    means = [frame.rgb.mean() for frame in frames]
    assert min(means) > 60
    assert max(means) < 200
    for frame in frames:
        shown = frame.rgb[np.isfinite(frame.depth)]
        assert (shown.min(axis=-1) > 250).mean() < 0.4
        assert (shown.max(axis=-1) < 8).mean() < 0.4
        assert shown.std() > 5


def test_an_image_does_not_depend_on_what_was_rendered_before(building, views, frames):
    again = Renderer(building).render(views[-1], samples=4, seed=3)
    for name in ("rgb", "depth", "normal", "instance", "category"):
        np.testing.assert_array_equal(getattr(again, name), getattr(frames[-1], name))


DIGEST = """
import hashlib, sys
from taskonomy.labels.classes import PLACES
from taskonomy.world.building import build
from taskonomy.world.render import Renderer
from taskonomy.world.cameras import views_of
building = build("house", int(sys.argv[1]))
view = views_of(building, points=1, views_per_point=3, resolution=16, seed=int(sys.argv[1]))[0][0]
print(hashlib.sha256(Renderer(building).render(view, samples=4, seed=int(sys.argv[1])).rgb.tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bits_in_another_process_and_another_seed_gives_others(building):
    view = views_of(building, points=1, views_per_point=3, resolution=16, seed=3)[0][0]
    here = hashlib.sha256(Renderer(building).render(view, samples=4, seed=3).rgb.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST, "3"], capture_output=True, text=True, check=True).stdout.strip()
    assert there == here
    other = build("house", 4)
    assert [room.low + room.high for room in other.rooms] != [room.low + room.high for room in building.rooms]


def test_the_scene_is_the_room_that_most_of_the_image_shows(building, frames):
    agree = 0
    for frame in frames:
        points = frame.camera.world_points(np.where(np.isfinite(frame.depth), frame.depth, 1e6).astype(float))
        held = [((points >= room.box[0] - 0.02) & (points <= room.box[1] + 0.02)).all(-1).sum() for room in building.rooms]
        most, second = sorted(held, reverse=True)[:2]
        if most > 1.2 * second:  # not a draw between rooms that share a wall
            assert frame.scene == PLACES[building.rooms[int(np.argmax(held))].kind]
            agree += 1
    assert agree > len(frames) / 2
