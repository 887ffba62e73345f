"""Segments against images whose segments are known, and cuts against scikit-image and enumeration."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from annotate.scenes import Scene, box_on_floor, textured, wall
from skimage import graph, segmentation

from taskonomy.annotate.ncut import first_come, normalized_cut
from taskonomy.annotate.segments import SIMILARITY, _in_order, features_25d, felzenszwalb, region_weights, segment_unsup2d, segment_unsup25d

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait


def same_partition(first, second):
    return (first_come(np.asarray(first, np.int64)) == first_come(np.asarray(second, np.int64))).all()


@pytest.mark.parametrize("levels", [1, 3, 50, 10**6])
def test_ties_are_put_in_order_as_by_a_stable_sort(levels):
    costs = np.random.default_rng(levels).integers(0, levels, 3000).astype(float)
    np.testing.assert_array_equal(_in_order(np.argsort(costs), costs), np.argsort(costs, kind="stable"))
    assert len(_in_order(np.zeros(0, np.int64), np.zeros(0))) == 0


def blocks(rng, sizes, within, between):
    """A graph of groups: strong ties in each, weak ones between."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    weights = np.where(group[:, None] == group, within, between) * rng.uniform(0.8, 1.0, (len(group),) * 2)
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 1.0)
    return weights, group


def skimage_cut(weights, threshold, cuts):
    labels = np.arange(len(weights))
    rag = graph.RAG()
    for node in labels:
        rag.add_node(node, labels=[node])
    rag.add_edges_from((i, j, {"weight": weights[i, j]}) for i, j in combinations(labels, 2) if weights[i, j] > 0)
    return graph.cut_normalized(labels, rag, thresh=threshold, num_cuts=cuts, max_edge=1.0, rng=0)


@pytest.mark.parametrize("seed", range(8))
def test_cuts_are_scikit_images(seed):
    rng = np.random.default_rng(seed)
    weights, group = blocks(rng, rng.integers(4, 9, rng.integers(2, 5)), 0.9, 0.01)
    ours = normalized_cut(weights, 0.4, 10, smallest=3)
    assert same_partition(ours, skimage_cut(weights, 0.4, 10))
    assert same_partition(ours, group)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_cut_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    weights, _group = blocks(rng, [4, 5], 0.9, 0.05)

    def cost(side):
        between = weights[np.ix_(side, ~side)].sum()
        return between / weights[side].sum() + between / weights[~side].sum()

    sides = [np.isin(np.arange(9), (0, *rest)) for size in range(8) for rest in combinations(range(1, 9), size)]
    best = min(sides, key=cost)
    found = normalized_cut(weights, cost(best) * 1.001, 100)
    assert found.max() == 1
    assert same_partition(found, best)
    assert normalized_cut(weights, cost(best) * 0.999, 100).max() == 0


def test_parts_without_ties_are_parted_and_two_regions_can_be():
    weights = np.kron(np.eye(3), np.ones((2, 2)))
    assert normalized_cut(weights, 0.5, 10).tolist() == [0, 0, 1, 1, 2, 2]
    pair = np.array([[1.0, 0.01], [0.01, 1.0]])
    assert normalized_cut(pair, 0.1, 10).tolist() == [0, 1]
    assert normalized_cut(pair, 0.1, 10, smallest=3).tolist() == [0, 0]
    assert normalized_cut(np.ones((1, 1)), 0.1, 10).tolist() == [0]


def test_large_graphs_take_the_sparse_way_to_the_same_cut():
    weights, group = blocks(np.random.default_rng(0), [330, 350], 0.9, 0.002)
    assert same_partition(normalized_cut(weights, 0.05, 10), group)


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_are_scikit_images(channels):
    image = np.random.default_rng(channels).random((40, 40, channels))
    image = np.cumsum(image, axis=1) / 20
    for scale, least in ((200, 20), (50, 8)):
        assert same_partition(felzenszwalb(image, scale, least), segmentation.felzenszwalb(image, scale, sigma=0, min_size=least, channel_axis=-1))


def test_weights_of_regions_are_scikit_images_at_any_number_of_channels():
    rgb = textured(32).astype(np.float64)
    regions = felzenszwalb(rgb / 255, 200, 8)
    rag = graph.rag_mean_color(rgb, regions, connectivity=2, mode="similarity", sigma=SIMILARITY)
    expected = np.eye(regions.max() + 1) * 2.0
    for i, j, data in rag.edges(data=True):
        expected[i, j] = expected[j, i] = data["weight"]
    assert region_weights(rgb, regions, 2.0) == pytest.approx(expected, abs=1e-9)
    assert same_partition((region_weights(rgb, regions, 2.0) > 0).any(axis=0), np.ones(len(expected)))


def test_normals_of_wall_and_floor_enter_the_25d_segments_as_the_released_file_has_them():
    for scene, stored in ((wall(), (128, 128, 0)), (Scene().plane((0, 1, 0), (0, -1.0, 0)), (128, 0, 128))):
        seen = np.isfinite(scene.depth)
        np.testing.assert_allclose(features_25d(scene.frame())[seen][:, 1:4], np.broadcast_to(np.array(stored) / 255, (seen.sum(), 3)), atol=0.003)


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_two_colours_are_two_segments(resolution):
    image = np.full((resolution, resolution, 3), 40, np.uint8)
    image[:, resolution // 3 :] = (200, 180, 60)
    segments = segment_unsup2d(wall(resolution=resolution).frame(image))
    assert np.unique(segments).tolist() == [0, 1]
    wrong = (segments == 1) != (image[..., 0] == 200)
    assert wrong.mean() < 0.03


def test_one_colour_is_one_segment_whatever_the_geometry():
    assert segment_unsup2d(box_on_floor().frame()).max() == 0


def test_colour_does_not_part_surfaces_but_geometry_does():
    scene = box_on_floor(128)
    plain, painted = segment_unsup25d(scene.frame()), segment_unsup25d(scene.frame(textured(128)))
    assert (plain == painted).all()
    assert segment_unsup25d(wall(resolution=128).frame(textured(128))).max() == 0
    front = (scene.instance == 2) & (scene.normal[..., 2] > 0.9)
    floor = scene.instance == 0

    def main(where):
        return np.bincount(plain[where]).argmax()

    assert main(front) != main(floor)
    assert (plain[front] == main(front)).mean() > 0.6
    assert (plain[floor] == main(front)).mean() < 0.05


def test_holes_are_segments_of_their_own():
    scene = Scene().plane((0, 0, 1), (0, 0, -2.0), lambda points: points[..., 0] < 0)
    segments = segment_unsup25d(scene.frame())
    assert same_partition(segments, np.isfinite(scene.depth))


@pytest.mark.parametrize("segment", [segment_unsup2d, segment_unsup25d])
def test_segments_are_numbered_in_raster_order_and_the_same_each_time(segment):
    frame = box_on_floor().frame(textured(64))
    segments = segment(frame)
    assert (segment(frame) == segments).all()
    _ids, first = np.unique(segments, return_index=True)
    assert (np.diff(first) > 0).all()
    assert segments.min() == 0


def test_nothing_warns_at_five_channels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segment_unsup25d(wall().frame())
