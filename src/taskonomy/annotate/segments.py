"""Unsupervised segments: regions of similar colour (2D), or of similar depth and normals (2.5D)."""

from typing import no_type_check

import cv2
import numpy as np
from jaxtyping import Float64, Int64
from numba import njit

from taskonomy.annotate.edges import edge_occlusion
from taskonomy.annotate.ncut import first_come, normalized_cut
from taskonomy.annotate.pixel_scale import area, gaussian, length, masked_gaussian
from taskonomy.annotate.view import Frame
from taskonomy.release.formats import DEPTH_UNIT, NORMAL_AXES

SCALE = 200.0  # of `felzenszwalb`, at every resolution: it sets how much contrast separates segments, so their number stays about the same
SIGMA, SIGMA_FLOOR = 3.0, 0.5  # 2D: blur, in pixels of the release; in pixels of the given image
LEAST_AREA, LEAST_AREA_25D, LEAST_AREA_FLOOR = 20, 200, 8  # in pixels of the release (both); in pixels of the given image
SIMILARITY = 255.0  # the weight between two regions of colour distance d is exp(-d^2 / SIMILARITY)
THRESHOLD, CUTS, SELF_WEIGHT = 0.005, 10, 2.0
THRESHOLD_25D, CUTS_25D, SELF_WEIGHT_25D = 1.0, 100, 1.0
DEPTH_SIGMA, NORMAL_SIGMA = 1.0, 2.0  # 2.5D: masked blur, in pixels of the release, without a floor
DEPTH_WEIGHT, NORMAL_WEIGHT, EDGE_WEIGHT = 2.0, 1.0, 10.0
LOG_RANGE = 16.0  # divides the logarithm of depth in file units, to give a share
EDGE_RANGE = 65535 / 255**2  # the release divides its 16-bit edges by 255 squared
HALF = 0.5  # normals enter as stored, in [0, 1]


def segment_unsup2d(frame: Frame) -> Int64[np.ndarray, "height width"]:
    """Segment the image by colour; segments are numbered from 0 in raster order.

    They are Felzenszwalb's superpixels (scale 200, sigma 3, at least 20 pixels, at 512), joined by normalised cuts of the graph of their
    mean colours (8-bit RGB; threshold 0.005, 10 cuts, weight 2 of a region with itself), as in omnidata-annotator (Eftekhar et al. 2021).
    """
    resolution = frame.rgb.shape[0]
    colour = frame.rgb.astype(np.float64)
    smooth = gaussian(colour / 255, length(SIGMA, resolution, SIGMA_FLOOR), cv2.BORDER_REFLECT)
    superpixels = felzenszwalb(smooth, SCALE, area(LEAST_AREA, resolution, LEAST_AREA_FLOOR))
    weights = region_weights(colour, superpixels, SELF_WEIGHT)
    return first_come(normalized_cut(weights, THRESHOLD, CUTS)[superpixels])


def segment_unsup25d(frame: Frame) -> Int64[np.ndarray, "height width"]:
    """Segment the surfaces seen, regardless of colour; numbered from 0 in raster order; holes are segments of their own.

    It works like `segment_unsup2d`, on the logarithm of depth, the normals and the occlusion edges, each with the release's weight (scale 200,
    not blurred again, at least 200 pixels at 512; threshold 1, 100 cuts, weight 1), as in omnidata-annotator.
    """
    resolution = frame.depth.shape[0]
    features = features_25d(frame)
    superpixels = felzenszwalb(features, SCALE, area(LEAST_AREA_25D, resolution, LEAST_AREA_FLOOR))
    weights = region_weights(features, superpixels, SELF_WEIGHT_25D)
    return first_come(normalized_cut(weights, THRESHOLD_25D, CUTS_25D)[superpixels])


def features_25d(frame: Frame) -> Float64[np.ndarray, "height width 5"]:
    """Compute the features of 2.5D segments: depth, the three components of the normal, occlusion edges; 0 in holes."""
    resolution = frame.depth.shape[0]
    valid = np.isfinite(frame.depth)
    units = np.where(valid, frame.depth, 1).astype(np.float64) * DEPTH_UNIT
    depth = masked_gaussian(np.log(np.maximum(units, 1)) / LOG_RANGE, length(DEPTH_SIGMA, resolution, 0), valid)
    normal = masked_gaussian(frame.normal.astype(np.float64) * NORMAL_AXES * HALF + HALF, length(NORMAL_SIGMA, resolution, 0), valid)
    edge = edge_occlusion(frame) * EDGE_RANGE
    stack = np.concatenate([depth[..., None] * DEPTH_WEIGHT, normal * NORMAL_WEIGHT, edge[..., None] * EDGE_WEIGHT], axis=-1)
    return np.where(valid[..., None], stack, 0.0)


def felzenszwalb(image: Float64[np.ndarray, "height width channels"], scale: float, least: int) -> Int64[np.ndarray, "height width"]:
    """Compute superpixels (Felzenszwalb and Huttenlocher, IJCV 2004) as scikit-image does, without its blur, with ties in a fixed order.

    Args:
        image: Colours, or other features in [0, 1] whose Euclidean distance says how different two pixels are.
        scale: A larger scale gives larger segments.
        least: Pixels below which a segment is joined to the most similar neighbour.

    Returns:
        Segments, numbered from 0 in raster order.
    """
    costs, first, second = _edges(np.ascontiguousarray(image))
    order = _in_order(np.argsort(costs), costs)
    return first_come(_forest(costs, first, second, order, image.shape[0] * image.shape[1], scale / 255, least)).reshape(image.shape[:2])


def region_weights(
    image: Float64[np.ndarray, "height width channels"], regions: Int64[np.ndarray, "height width"], self_weight: float
) -> Float64[np.ndarray, "regions regions"]:
    """Compute the similarity of the mean colours of regions that touch, even at corners only; 0 for others.

    Args:
        image: Colours of the pixels.
        regions: Region of each pixel, numbered from 0.
        self_weight: Similarity of each region with itself.
    """
    count = int(regions.max()) + 1
    flat = regions.ravel()
    size = np.bincount(flat, minlength=count)
    mean = np.stack([np.bincount(flat, image[..., k].ravel(), count) / size for k in range(image.shape[-1])], axis=-1)
    squares = (mean**2).sum(axis=-1)
    distance = np.maximum(squares[:, None] + squares - 2 * mean @ mean.T, 0)
    weights = np.where(_touching(regions, count), np.exp(-distance / SIMILARITY), 0.0)
    np.fill_diagonal(weights, self_weight)
    return weights


@njit(cache=True)
@no_type_check
def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the differences of neighbouring pixels, and the pixels, in each of the four directions."""
    height, width, channels = image.shape
    most = 4 * height * width
    costs = np.empty(most)
    first = np.empty(most, np.int32)
    second = np.empty(most, np.int32)
    count = 0
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        for row in range(max(0, -down), height - max(0, down)):
            for column in range(width - right):
                total = 0.0
                for k in range(channels):
                    total += (image[row, column, k] - image[row + down, column + right, k]) ** 2
                costs[count] = np.sqrt(total)
                first[count] = row * width + column
                second[count] = (row + down) * width + column + right
                count += 1
    return costs[:count], first[:count], second[:count]


@njit(cache=True)
@no_type_check
def _in_order(order: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Sort ties in an order by number, which gives the result of a stable sort several times faster."""
    starts = np.empty(len(order), np.int64)  # per edge, index of the first edge of equal cost
    start = 0
    for place in range(len(order)):
        if costs[order[place]] != costs[order[start]]:
            start = place
        starts[order[place]] = start
    placed = np.zeros(len(order), np.int64)
    ordered = np.empty(len(order), np.int64)
    for edge in range(len(order)):
        start = starts[edge]
        ordered[start + placed[start]] = edge
        placed[start] += 1
    return ordered


@njit(cache=True)
@no_type_check
def _root(parent: np.ndarray, pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(cache=True)
@no_type_check
def _forest(costs: np.ndarray, first: np.ndarray, second: np.ndarray, order: np.ndarray, pixels: int, scale: float, least: int) -> np.ndarray:
    """Join regions along the edges, cheapest first, where the edge costs no more than both sides allow; then join regions that are too small."""
    parent = np.arange(pixels)
    size = np.ones(pixels, np.int64)
    inner = np.zeros(pixels)
    for edge in order:
        a, b = _root(parent, first[edge]), _root(parent, second[edge])
        if a != b and costs[edge] < min(inner[a] + scale / size[a], inner[b] + scale / size[b]):
            parent[b] = a
            size[a] += size[b]
            inner[a] = costs[edge]
    for edge in order:
        a, b = _root(parent, first[edge]), _root(parent, second[edge])
        if a != b and (size[a] < least or size[b] < least):
            parent[b] = a
            size[a] += size[b]
    for pixel in range(pixels):
        parent[pixel] = _root(parent, pixel)
    return parent


@njit(cache=True)
@no_type_check
def _touching(regions: np.ndarray, count: int) -> np.ndarray:
    touch = np.zeros((count, count), np.bool_)
    height, width = regions.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        for row in range(max(0, -down), height - max(0, down)):
            for column in range(width - right):
                a, b = regions[row, column], regions[row + down, column + right]
                touch[a, b] = True
                touch[b, a] = True
    return touch
