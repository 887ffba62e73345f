"""Depth, reshading, curvature and occlusion edges against planes, balls and boxes."""

from dataclasses import replace

import numpy as np
import pytest
from annotate.scenes import Scene, box_on_floor, slanted, wall

from taskonomy.annotate.curvature import principal_curvature
from taskonomy.annotate.edges import edge_occlusion
from taskonomy.annotate.occlusion import inverse_depth, joined
from taskonomy.annotate.surfaces import depth_euclidean, mask_valid, reshading
from taskonomy.annotate.view import Geometry
from taskonomy.release.formats import from_bytes, to_bytes

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait


@pytest.mark.parametrize("fov", [35.0, 60.0, 100.0])
def test_distance_exceeds_depth_by_the_secant_of_the_angle_to_the_axis(fov):
    frame = wall(2.0, fov=fov).frame()
    side = np.tan(np.radians(fov) / 2) * (1 - 1 / 64)  # of the outermost pixel's centre
    assert depth_euclidean(frame)[0, 0] == pytest.approx(2 * np.sqrt(1 + 2 * side**2), rel=1e-6)
    middle = np.tan(np.radians(fov) / 2) / 64
    assert depth_euclidean(frame)[32, 32] == pytest.approx(2 * np.sqrt(1 + 2 * middle**2), rel=1e-6)


def test_all_points_of_a_ball_around_the_camera_are_at_one_distance():
    assert depth_euclidean(Scene().ball((0, 0, 0), 3.0, hollow=True).frame()) == pytest.approx(3.0, rel=1e-6)


def test_holes_stay_holes():
    frame = Scene().ball((0, 0, -3), 0.5).frame()
    hit = np.isfinite(frame.depth)
    assert 0 < hit.mean() < 1
    assert (mask_valid(frame) == hit).all()
    assert np.isinf(depth_euclidean(frame)[~hit]).all()
    assert (reshading(frame)[~hit] == 0).all()
    assert np.isnan(principal_curvature(frame)[~hit]).all()


# Of 255, in the middle and in the outermost corner of a wall that faces the camera, field of view 90 degrees, 512 pixels: the law fitted to
# released views, 1.6 cos t 8 / (8 + r^2), worked out with r^2 = d^2 and t = 0, and with r^2 = 3 d^2 and cos t = 1 / root 3 less half a pixel.
@pytest.mark.parametrize(("distance", "middle", "corner"), [(1.0, 255, 172), (2.0, 255, 94), (4.0, 136, 34)])
def test_reshading_of_a_wall_is_the_releases(distance, middle, corner):
    values = reshading(wall(distance, resolution=512, fov=90.0).frame())
    stored = from_bytes("reshading", to_bytes("reshading", values), 512)
    assert stored.shape == (512, 512, 3)
    assert (stored == stored[..., :1]).all()
    assert stored[256, 256, 0] == middle
    assert stored[0, 0, 0] == corner


def test_reshading_saturates_as_far_as_the_release_does():
    # 12.8 / (8 + r^2) is 1 at the root of 4.8.
    assert reshading(wall(2.18, fov=1.0).frame()).min() == 1
    assert reshading(wall(2.20, fov=1.0).frame()).max() < 1


def test_all_of_a_ball_around_the_camera_is_equally_bright():
    assert reshading(Scene().ball((0, 0, 0), 4.0, hollow=True).frame()) == pytest.approx(12.8 / 24, rel=1e-5)


def test_reshading_follows_the_cosine_and_the_distance():
    frame = slanted().frame()
    toward = -frame.camera.pixel_rays() / np.linalg.norm(frame.camera.pixel_rays(), axis=-1, keepdims=True)
    cosine = toward @ (np.array([0.3, 0.8, 0.6]) / np.linalg.norm([0.3, 0.8, 0.6]))
    seen = np.isfinite(frame.depth)
    value = reshading(frame)
    expected = np.clip(12.8 * cosine / (8 + depth_euclidean(frame).astype(float) ** 2), 0, 1)
    assert value[seen] == pytest.approx(expected[seen], rel=1e-4)
    assert value.min() >= 0
    assert value.max() <= 1


def test_planes_are_flat():
    for scene in (wall(), slanted(), slanted((0, 1, 0.02), (0, -1.0, 0))):
        curvature = principal_curvature(scene.frame())
        assert np.isfinite(curvature).all(axis=-1).sum() > 0.99 * np.isfinite(scene.depth).sum()
        assert np.nanmax(np.abs(curvature)) < 1e-3


@pytest.mark.parametrize("radius", [0.15, 0.5, 2.0])
@pytest.mark.parametrize("instance", [True, False])
def test_a_ball_curves_by_one_over_its_radius_both_ways_and_bulges(radius, instance):
    curvature = principal_curvature(Scene().ball((0.1, -0.05, -4 * radius), radius).frame(instance=instance))
    inner = np.isfinite(curvature).all(axis=-1)
    assert inner.sum() > 300
    assert curvature[inner] == pytest.approx(1 / radius, rel=1e-3)


def test_a_bowl_curves_the_other_way():
    curvature = principal_curvature(Scene().ball((0, 0, 0), 2.0, hollow=True).frame())
    assert curvature == pytest.approx(-0.5, rel=1e-3)


def test_the_larger_curvature_comes_first():
    curvature = principal_curvature(box_on_floor().ball((0.8, -0.5, -3), 0.5).frame())
    known = np.isfinite(curvature).all(axis=-1)
    assert (curvature[known][:, 0] >= curvature[known][:, 1]).all()


@pytest.mark.parametrize("instance", [True, False])
def test_curvature_does_not_blow_up_where_a_ball_hides_a_wall(instance):
    scene = wall(4.0).ball((0, 0, -2.0), 0.5)
    curvature = principal_curvature(scene.frame(instance=instance))
    known = np.isfinite(curvature).all(axis=-1)
    assert known.mean() > 0.99
    assert np.abs(curvature[known & (scene.instance == 0)]).max() < 1e-3
    assert curvature[known & (scene.instance == 1)] == pytest.approx(2.0, rel=1e-3)


def test_pixels_are_joined_on_surfaces_and_creases_and_parted_at_jumps():
    scene = box_on_floor()
    frame = scene.frame()
    inverse, normal = inverse_depth(frame), frame.normal.astype(np.float64)
    front, floor = scene.instance == 2, scene.instance == 0
    left = right = contact = top = 0
    for row in range(64):
        for column in range(63):
            a, b = scene.instance[row, column], scene.instance[row, column + 1]
            ok = joined(inverse, normal, frame.camera.focal, row, column, row, column + 1)
            left += a == b and not ok
            # Sideways from the box to the wall behind it.
            right += {a, b} == {1, 2} and ok
    for row in range(63):
        for column in range(64):
            ok = joined(inverse, normal, frame.camera.focal, row, column, row + 1, column)
            near = front[row, column] and floor[row + 1, column] and frame.depth[row, column] < 2.45
            contact += near and not ok
            top += scene.instance[row, column] == 1 and front[row + 1, column] and ok
    assert (left, right, contact, top) == (0, 0, 0, 0)


def test_a_wall_that_faces_the_camera_has_no_occlusion_edges():
    assert edge_occlusion(wall().frame()).max() == 0


def test_occlusion_edges_sit_on_jumps_of_depth_and_nowhere_else():
    scene = wall(6.0).plane((0, 0, 1), (0, 0, -2.0), lambda points: np.abs(points[..., 0]) < 0.4)
    edge = edge_occlusion(scene.frame())
    jump = np.zeros((64, 64), bool)
    sideways = scene.instance[:, 1:] != scene.instance[:, :-1]
    jump[:, 1:] |= sideways
    jump[:, :-1] |= sideways
    jump[[0, -1]] = False  # the border has none
    assert ((edge > 0) == jump).all()
    # Full step of the root of depth, over the root of two because no edge runs across: scikit-image's norm.
    assert edge.max() == pytest.approx((np.sqrt(6 * 512) - np.sqrt(2 * 512)) / 256 / np.sqrt(2), rel=1e-5)


def test_occlusion_edges_leave_out_the_rims_of_holes():
    assert edge_occlusion(Scene().plane((0, 0, 1), (0, 0, -2.0), lambda points: np.abs(points[..., 0]) < 0.4).frame()).max() == 0


def finer(build, resolution=32):
    """A frame with geometry at twice its resolution, and the same frame without."""
    double = build(2 * resolution)
    geometry = Geometry(double.camera, double.depth.astype(np.float32), double.normal.astype(np.float32), double.instance)
    frame = build(resolution).frame()
    return replace(frame, fine=geometry), frame


def balls(resolution):
    """A row of ever smaller balls before a wall; the smallest are two pixels of 32 wide."""
    scene = wall(4.0, resolution)
    for number, radius in enumerate((0.4, 0.2, 0.12, 0.1, 0.08)):
        scene.ball((-0.9 + 0.45 * number, 0.03, -2.0), radius)
    return scene


def test_curvature_at_twice_the_resolution_is_nearer_to_the_mean_over_each_pixel():
    fine, coarse = finer(balls)
    many = balls(512)
    radii = np.array([0.4, 0.2, 0.12, 0.1, 0.08])
    exact = np.where(many.instance > 0, 1 / radii[np.maximum(many.instance, 1) - 1], 0).reshape(32, 16, 32, 16).mean(axis=(1, 3))
    wrong = [np.abs(np.nan_to_num(principal_curvature(frame)[..., 0]) - exact).mean() for frame in (fine, coarse)]
    assert wrong[0] < 0.7 * wrong[1]


def test_curvature_at_twice_the_resolution_is_exact_on_a_ball_and_unknown_in_holes():
    fine, _coarse = finer(lambda resolution: Scene(resolution).ball((0, 0, -2.0), 0.5))
    curvature = principal_curvature(fine)
    hit = np.isfinite(fine.depth)
    assert np.isfinite(curvature[hit]).mean() > 0.95
    assert curvature[np.isfinite(curvature)] == pytest.approx(2.0, rel=1e-3)
    assert np.isnan(curvature[~hit]).all()
