"""The dictionary, and the labels that follow from images and cameras."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from skimage.color import rgb2lab

from taskonomy.labels.colour import BINS, expected_ab, rarity_weights, soft_bins
from taskonomy.labels.jigsaw import permutation_set, tiles
from taskonomy.numeric.geometry import Camera, relative_pose
from taskonomy.numeric.poses import compose, room_layout, vanishing_points
from taskonomy.tasks import BUILT_IN, FAMILIES
from taskonomy.tasks.visualize import PICTURES

angle = st.floats(-3.1, 3.1)
place = st.floats(-5, 5)
camera = st.builds(Camera, st.tuples(place, place, place), st.tuples(angle, st.floats(-1.5, 1.5), angle), st.just(1.0), st.just(64))
upright = st.builds(Camera, st.tuples(place, place, place), st.tuples(st.floats(1.0, 2.1), st.just(0.0), angle), st.just(1.0), st.just(64))


def test_the_dictionary_has_the_published_tasks_under_the_published_names() -> None:
    published = pd.read_csv(ROOT / "data/published/affinities_16k.csv")
    names = set(published["target"]) | {name for sources in published["sources"] for name in sources.split("+")} - {"self"}
    assert names == set(BUILT_IN)
    assert len(BUILT_IN.keys() - {"class_object_100"}) == 26


@pytest.mark.parametrize("task", BUILT_IN.values(), ids=lambda task: task.name)
def test_every_entry_is_whole(task) -> None:
    assert task.family in FAMILIES
    assert task.picture in PICTURES
    assert (task.label is None) == (task.loss is None) == (task.head is None)
    assert (task.images > 1) == (task.group is not None)
    assert "source" in task.roles
    if task.label is None:
        assert "target" not in task.roles


def test_313_colour_bins_cover_every_srgb_colour() -> None:
    assert BINS.shape == (313, 2)
    levels = np.arange(0, 256, 15)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3) / 255
    ab = rgb2lab(colours)[0, :, 1:]
    nearest = np.sqrt(((ab[:, None] - BINS) ** 2).sum(-1)).min(1)
    assert nearest.max() <= 10 / np.sqrt(2) + 1e-3


@given(st.integers(-80, 90), st.integers(-80, 80))
def test_soft_colours_are_the_nearest_bins_and_sum_to_one(a: int, b: int) -> None:
    bins, weights = soft_bins(np.array([[a, b]]))
    distance = ((BINS - (a, b)) ** 2).sum(1)
    assert sorted(distance[bins[0]]) == pytest.approx(sorted(distance)[:10])
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(weights[0] / weights[0].max(), np.exp(-(distance[bins[0]] - distance.min()) / 50), atol=1e-5)


def test_the_mean_of_a_soft_colour_is_near_the_colour() -> None:
    bins, weights = soft_bins(np.array([[12, -7]]))
    shares = np.zeros(313)
    shares[bins[0]] = weights[0]
    assert np.abs(expected_ab(shares) - (12, -7)).max() < 3


def test_rare_classes_weigh_more_and_the_mean_weight_is_one() -> None:
    counts = np.array([900.0, 90.0, 10.0, 0.0])
    weights = rarity_weights(counts)
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == 0
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)


def test_the_permutations_differ_as_much_as_the_released_ones() -> None:
    chosen = permutation_set()
    assert (np.sort(chosen, axis=1) == np.arange(9)).all()
    distance = (chosen[:, None] != chosen).sum(-1)[np.triu_indices(100, 1)]
    # the released set: least 2, mean 8.08, most 9
    assert distance.min() >= 2
    assert distance.mean() >= 8.08 - 0.005


def test_tiles_are_cut_from_their_cells() -> None:
    image = np.zeros((90, 90, 3), np.uint8)
    image[..., 0] = np.arange(90)[:, None] // 30 * 3 + np.arange(90) // 30
    cut = tiles(image, np.random.default_rng(0).random((9, 2)))
    assert cut.shape == (9, 27, 27, 3)
    assert (cut[..., 0] == np.arange(9)[:, None, None]).all()


@given(camera, camera, camera)
@settings(max_examples=200)
def test_poses_compose_around_a_triplet(first: Camera, second: Camera, third: Camera) -> None:
    composed = compose(relative_pose(first, second), relative_pose(second, third))
    direct = relative_pose(first, third)
    np.testing.assert_allclose(Rotation.from_euler("xyz", composed[:3]).as_matrix(), Rotation.from_euler("xyz", direct[:3]).as_matrix(), atol=1e-6)
    np.testing.assert_allclose(composed[3:], direct[3:], atol=1e-6)


@given(camera, camera, st.tuples(place, place, place))
def test_a_relative_pose_takes_points_from_the_first_camera_to_the_second(first: Camera, second: Camera, point: tuple[float, float, float]) -> None:
    pose = relative_pose(first, second)
    moved = Rotation.from_euler("xyz", pose[:3]).as_matrix() @ first.to_camera(np.array(point)) + pose[3:]
    np.testing.assert_allclose(moved, second.to_camera(np.array(point)), atol=1e-8)


@given(upright)
def test_vanishing_points_are_an_orthonormal_frame_whose_first_axis_is_ahead(one: Camera) -> None:
    axes = vanishing_points(one).reshape(3, 3)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(axes[2], one.rotation.T @ [0, 0, 1], atol=1e-9)  # the vertical is the vertical
    world = axes @ one.rotation.T
    assert np.allclose(np.abs(world), np.abs(world).round(), atol=1e-9)  # Manhattan axes
    level = np.hypot(*(one.rotation @ [0, 0, -1])[:2])
    assert axes[0] @ [0, 0, -1] >= level * np.cos(np.pi / 4) - 1e-9  # within 45 degrees of where the camera looks


@pytest.mark.parametrize("look", [-100, -90, -45.1, -44.9, 0, 44.9, 45.1, 90, 135.1, 180])
def test_vanishing_points_of_a_level_camera_are_ahead_left_and_up(look: float) -> None:
    """Released camera files name the same three with X and Y turned round: back, right and up (measured)."""
    off = np.radians((look + 45) % 90 - 45)  # how far to the left of the axis it looks along
    level = Camera((0, 0, 1.5), (np.pi / 2, 0, np.radians(look) - np.pi / 2), 1.0, 64)
    ahead, left, up = vanishing_points(level).reshape(3, 3)
    np.testing.assert_allclose(ahead, (np.sin(off), 0, -np.cos(off)), atol=1e-9)
    np.testing.assert_allclose(left, (-np.cos(off), 0, -np.sin(off)), atol=1e-9)
    np.testing.assert_allclose(up, (0, 1, 0), atol=1e-9)


@given(upright, st.tuples(place, place, place), st.tuples(*[st.floats(1, 9)] * 3))
def test_the_room_layout_is_the_box_of_the_file(one: Camera, low: tuple[float, ...], size: tuple[float, ...]) -> None:
    high = np.add(low, size)
    # the file's x carries the world's y, and the other way round
    label = room_layout(one, {"x": [low[1], high[1]], "y": [low[0], high[0]], "z": [low[2], high[2]]})
    np.testing.assert_allclose(label[:3], one.to_camera((np.array(low) + high) / 2), atol=1e-8)
    assert sorted(label[6:8]) == pytest.approx(sorted(size[:2]))
    assert label[8] == pytest.approx(size[2])
    axes = Rotation.from_euler("xyz", label[3:6]).as_matrix().T
    corners = label[:3] + np.array([axes @ (np.array([i, j, k]) * label[6:] / 2) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    world = corners @ one.rotation.T + np.array(one.location)
    np.testing.assert_allclose(world.min(0), low, atol=1e-6)
    np.testing.assert_allclose(world.max(0), high, atol=1e-6)


@given(camera, st.floats(0.5, 20), st.integers(0, 63), st.integers(0, 63))
def test_a_pixels_ray_projects_back_to_its_centre(one: Camera, depth: float, row: int, column: int) -> None:
    point = one.rotation @ (one.pixel_rays()[row, column] * depth) + np.array(one.location)
    pixel, found = one.project(point)
    assert found == pytest.approx(depth)
    np.testing.assert_allclose(pixel, (column + 0.5, row + 0.5), atol=1e-6)
