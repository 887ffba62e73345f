import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from taskonomy.annotate.semantic import class_object
from taskonomy.errors import TaskonomyError
from taskonomy.labels.classes import OBJECTS, PLACES
from taskonomy.numeric.geometry import Camera, relative_pose
from taskonomy.world.cameras import views_of

pytest_plugins = ["house"]


def written(view) -> Camera:
    """The camera as a reader of the file gets it."""
    info = json.loads(json.dumps(view.info))
    return Camera(tuple(info["camera_location"]), tuple(info["camera_rotation_final"]), info["field_of_view_rads"], info["resolution"])


def triangles_hit(building, origin, target):
    """Distances along the segment at which it meets any triangle, by Moller and Trumbore (1997): no Embree."""
    corner = building.vertices[building.faces].astype(float)
    one, two = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    way = target - origin
    cross = np.cross(way, two)
    determinant = (one * cross).sum(axis=1)
    safe = np.where(abs(determinant) < 1e-14, np.nan, determinant)
    u = ((origin - corner[:, 0]) * cross).sum(axis=1) / safe
    other = np.cross(origin - corner[:, 0], one)
    v = (other @ way) / safe
    along = (other * two).sum(axis=1) / safe
    return along[(u >= 0) & (v >= 0) & (u + v <= 1) & (along > 0)]


def test_every_point_has_as_many_views_as_asked_for(views):
    assert [view.point for view in views] == [number for number in range(10) for _ in range(3)]
    assert [view.view for view in views] == [0, 1, 2] * 10
    assert len({(view.point, view.info["camera_uuid"]) for view in views}) == len(views)


def test_a_view_is_centred_on_its_point_and_nothing_is_in_between(building, views):
    for view in views:
        point = np.array(view.info["point_location"])
        pixel, depth = written(view).project(point)
        np.testing.assert_allclose(pixel, view.camera.resolution / 2, atol=1e-6)
        assert depth == pytest.approx(view.info["camera_distance"])
    for view in views[::4]:
        along = triangles_hit(building, np.array(view.camera.location), np.array(view.info["point_location"]))
        assert (along.min() - 1) * view.info["camera_distance"] == pytest.approx(0, abs=1e-3)


def test_points_seen_in_one_view_are_where_another_sees_them(views, frames):
    consistent = returned = hidden = inside = 0
    for one, frame, two, other in zip(views, frames, views[1:], frames[1:], strict=False):
        if one.point != two.point:
            continue
        here, there = written(one), written(two)
        seen = np.isfinite(frame.depth)
        points = here.world_points(np.where(seen, frame.depth, 0).astype(float))[seen]
        pixel, depth = there.project(points)
        shown = (depth > 0.1) & (np.nan_to_num(pixel, nan=-1) >= 0).all(axis=1) & (np.nan_to_num(pixel, nan=-1) < there.resolution).all(axis=1)
        row, column = pixel[shown].astype(int).T[::-1]
        measured = other.depth[row, column].astype(float)
        inside += shown.sum()
        # What the first view sees may be hidden from the second, but the second does not see through it.
        hidden += (measured < depth[shown] * 1.1).sum()
        same = np.isfinite(measured) & (abs(measured / depth[shown] - 1) < 0.01)
        back = there.world_points(np.where(np.isfinite(other.depth), other.depth, 0).astype(float))[row[same], column[same]]
        start = np.argwhere(seen)[shown][same][:, ::-1] + 0.5
        consistent += same.sum()
        # A pixel of the second view may be as wide as two of the first.
        returned += (abs(here.project(back)[0] - start).max(axis=1) < 1.0).sum()
    assert inside > 2000
    assert hidden > 0.97 * inside
    assert consistent > 0.25 * inside
    assert returned > 0.85 * consistent


def test_the_fixated_point_of_two_views_is_at_both_centres_within_a_pixel(views):
    for one, two in pairwise(views):
        if one.point == two.point:
            here, there = written(one), written(two)
            depth = here.project(np.array(one.info["point_location"]))[1]
            seen = here.rotation @ np.array([0, 0, -depth]) + here.location
            assert abs(there.project(seen)[0] - there.resolution / 2).max() < 1e-6


def test_nonfixated_matches_project_to_the_point_and_are_listed_by_the_view(scenery):
    views, matches = scenery
    by_key = {(str(view.point), view.view): view for view in views}
    count = 0
    for point, record in matches.items():
        for match in record["views"]:
            view = by_key[match["point_uuid"], match["view_id"]]
            pixel, depth = written(view).project(np.array(record["point_location"]))
            assert abs(pixel - (match["nonfixated_pixel_x"], match["nonfixated_pixel_y"])).max() < 1
            assert depth > 0
            assert view.info["camera_uuid"] == match["camera_uuid"]
            assert point in view.info["nonfixated_points_in_view"]
            count += 1
    assert count == sum(len(view.info["nonfixated_points_in_view"]) for view in views) > 0


def test_nonfixated_points_are_in_sight(building, scenery):
    views, matches = scenery
    view = max(views, key=lambda one: len(one.info["nonfixated_points_in_view"]))
    for number, record in matches.items():
        target = np.array(record["point_location"])
        pixel, depth = view.camera.project(target)
        inside = depth > 0 and (pixel >= 0).all() and (pixel < view.camera.resolution).all()
        distance = np.linalg.norm(target - view.camera.location)
        along = triangles_hit(building, np.array(view.camera.location), target) * distance
        expected = inside and number != view.point and bool(abs(along.min() - distance) < 1e-3)
        assert (number in view.info["nonfixated_points_in_view"]) == expected


def test_cameras_do_not_roll(views):
    for view in views:
        right = view.camera.rotation[:, 0]
        assert abs(right[2]) < 1e-12
        assert view.camera.rotation[2, 1] > 0


def test_relative_poses_compose(views):
    def matrix(pose):
        full = np.eye(4)
        full[:3, :3], full[:3, 3] = Rotation.from_euler("xyz", pose[:3]).as_matrix(), pose[3:]
        return full

    for first, second, third in zip(views[::3], views[1::3], views[2::3], strict=True):
        one, two, three = written(first), written(second), written(third)
        step = matrix(relative_pose(two, three)) @ matrix(relative_pose(one, two))
        np.testing.assert_allclose(step, matrix(relative_pose(one, three)), atol=1e-9)


def test_the_original_rotation_and_the_turn_give_the_final_one(views):
    for view in views:
        start, turn, end = (
            Rotation.from_euler("xyz", view.info[f"camera_rotation_{name}"]).as_matrix() for name in ("original", "from_original_to_final", "final")
        )
        np.testing.assert_allclose(turn @ start, end, atol=1e-9)


def test_vanishing_points_are_those_of_the_building_turned_so_that_x_points_back_to_the_viewer_as_in_released_files(views):
    for view in views:
        camera = written(view)
        frame = np.array([view.info["vanishing_points_gaussian_sphere"][name] for name in "xyz"])
        world = frame @ camera.rotation.T
        np.testing.assert_allclose(world, world.round(), atol=1e-12)  # axes of the building,
        assert np.linalg.det(world) == pytest.approx(1)  # right-handed,
        np.testing.assert_allclose(world[2], (0, 0, 1), atol=1e-12)  # Z up,
        back = camera.rotation[:2, 2]
        assert world[0, :2] @ back >= np.hypot(*back) * np.cos(np.pi / 4) - 1e-9  # X within 45 degrees of the way back


def test_vanishing_points_are_where_far_points_along_the_axes_go(views):
    for view in views:
        camera = written(view)
        for name in "xyz":
            direction = np.array(view.info["vanishing_points_gaussian_sphere"][name])
            assert np.linalg.norm(direction) == pytest.approx(1)
            far = np.array(camera.location) - np.sign(direction[2]) * 1e9 * (camera.rotation @ direction)
            if abs(direction[2]) > 0.01:
                np.testing.assert_allclose(camera.project(far)[0], view.info["vanishing_points_image"][name], atol=1e-3, rtol=1e-5)


def test_the_released_decoding_of_the_box_contains_the_camera_and_is_its_room(building, views):
    for view in views:
        ranges = view.info["bounding_box_ranges"]
        low = np.array([ranges["x"][0], -ranges["y"][1], ranges["z"][0]])
        high = np.array([ranges["x"][1], -ranges["y"][0], ranges["z"][1]])
        x, y, z = view.camera.location
        flipped = np.array([y, -x, z])
        assert (flipped > low).all()
        assert (flipped < high).all()
        room = next(room for room in building.rooms if (np.array(room.low) < (x, y, z)).all() and (np.array(room.high) > (x, y, z)).all())
        assert view.scene == PLACES[room.kind]
        assert high - low == pytest.approx((room.box[1] - room.box[0])[[1, 0, 2]])


def test_written_angles_are_those_of_the_geometry(views):
    for view in views:
        info = view.info
        towards = np.array(info["camera_location"]) - info["point_location"]
        assert np.cos(info["obliqueness_angle"]) == pytest.approx(towards @ info["point_normal"] / np.linalg.norm(towards))
        assert np.sin(info["point_pitch"]) == pytest.approx(-towards[2] / np.linalg.norm(towards))
        assert 30 <= np.degrees(info["field_of_view_rads"]) <= 125


def test_more_points_leave_the_first_ones_as_they_are(building, views):
    fewer, _matches = views_of(building, points=2, views_per_point=3, resolution=32, seed=3)
    assert [view.camera for view in fewer] == [view.camera for view in views[:6]]


def test_too_few_or_too_many_views_of_a_point_are_refused(building):
    with pytest.raises(TaskonomyError, match="at least 3"):
        views_of(building, points=1, views_per_point=2, resolution=32, seed=3)
    with pytest.raises(TaskonomyError, match=r"after 1,000 tries"):
        views_of(building, points=1, views_per_point=500, resolution=32, seed=3)


def test_every_view_shows_an_object_that_has_a_class(frames):
    for frame in frames:
        shares = np.bincount(frame.category.ravel(), minlength=18)[2:] / frame.category.size
        assert shares.max() > 0.005
        assert class_object(frame).argmax() == OBJECTS[int(shares.argmax())].imagenet
