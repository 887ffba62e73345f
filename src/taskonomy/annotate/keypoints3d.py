"""Keypoints of the surface (NARF): points that are stable themselves, with surface changes in different directions nearby."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from taskonomy.annotate.range_image import RangeImage
from taskonomy.annotate.surface_change import surface_change
from taskonomy.annotate.view import Frame

SUPPORT = 0.3  # diameter of the surface that determines a point's interest, metres
REACH = SUPPORT / 2  # radius of that surface, metres
OPTIMAL_DISTANCE = 0.25  # as a share of the reach: nearer to a strong change a point is not stable
LEAST_CHANGE = 0.2  # smallest surface change that counts
DIRECTIONS = 18  # cells of the histogram of directions of change, over 180 degrees
ALWAYS = 2  # pixels: neighbours within this count whatever their distance in space
PATCH = 10  # pixels: beyond the distance at which the support spans this many in one image, the next finer image is used
COARSEST = np.radians(4)  # radians per pixel: an image as coarse as this is not halved again


def keypoints3d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute NARF's interest image before thresholding, a share in [0, 1], 0 in holes (Steder et al., ICRA 2011, section III).

    It follows the point cloud library as the release's program ran it: the complete image, each pixel at the resolution at which 0.3 m
    spans 10 to 20 pixels at its distance. A pixel's interest is the largest geometric mean of two surface changes within 0.15 m along the
    surface, which fade with distance and are weighted by how much their directions differ; it is lowered near any strong change. Planes and
    straight edges have little interest, corners the most. Normals are fitted to depth even where the frame has better ones.
    """
    images = [RangeImage.of(frame)]
    while images[-1].resolution < COARSEST and min(images[-1].distance.shape) > 1:
        images.append(images[-1].halved())
    interest = np.zeros_like(images[-1].distance)
    nearest = 0.0  # metres: nearer points were resolved well enough by the coarser image before
    for image in reversed(images):
        change = surface_change(image)
        surface = (image.distance > 0) & ~change.hidden
        own = surface & (image.distance >= nearest)
        interest = np.where(surface & ~own, _enlarged(interest, image.distance.shape), 0.0)
        _put_interest(interest, own, image.points, surface, image.rays, change.amount, change.direction)
        nearest = SUPPORT / np.tan(PATCH * image.resolution)
    return np.where(np.isfinite(frame.depth), interest, 0.0).astype(np.float32)


def _enlarged(image: Float64[np.ndarray, "rows columns"], shape: tuple[int, int]) -> Float64[np.ndarray, "height width"]:
    """Repeat each pixel as 2 x 2; an odd last row or column repeats the one before."""
    rows, columns = (np.minimum(np.arange(length) // 2, known - 1) for length, known in zip(shape, image.shape, strict=True))
    return image[np.ix_(rows, columns)]


@njit(cache=True)
@no_type_check
def _put_interest(
    interest: np.ndarray, own: np.ndarray, points: np.ndarray, surface: np.ndarray, rays: np.ndarray, amount: np.ndarray, direction: np.ndarray
) -> None:
    """Write the interest of the selected pixels into the image.

    Args:
        interest: The image that is written to.
        own: Mask of the pixels to write.
        points: Points seen, metres.
        surface: Mask of pixels with a surface of their own; growth from a pixel ends outside it.
        rays: Rays through each pixel, of length 1 along the optical axis.
        amount: Amount of surface change.
        direction: Direction of surface change.
    """
    height, width = amount.shape
    histogram = np.zeros(DIRECTIONS)
    axes = np.zeros((2, 3))
    rows = np.empty(height * width, np.int64)
    columns = np.empty(height * width, np.int64)
    touched = np.full((height, width), -1)  # index of the pixel whose growth last reached each pixel
    noticed = _counts(amount)
    for row in range(height):
        for column in range(width):
            # Interest needs changes in two directions; most pixels have fewer than two changes near enough.
            if not own[row, column] or _noticed_near(noticed, points[row, column], rays, row, column) < 2:
                continue
            histogram[:] = 0
            stable = 1.0
            _level_and_upright(rays[row, column], axes)
            start = row * width + column
            rows[0], columns[0] = row, column
            touched[row, column] = start
            first, last = 0, 1
            while first < last:
                there_row, there_column = rows[first], columns[first]
                first += 1
                if not surface[there_row, there_column]:
                    continue
                square = 0.0
                for k in range(3):
                    square += (points[row, column, k] - points[there_row, there_column, k]) ** 2
                pixels = max(abs(there_row - row), abs(there_column - column))
                if pixels > ALWAYS and square > REACH * REACH:
                    continue
                for other_row in range(max(there_row - 1, 0), min(there_row + 2, height)):
                    for other_column in range(max(there_column - 1, 0), min(there_column + 2, width)):
                        if touched[other_row, other_column] != start:
                            touched[other_row, other_column] = start
                            rows[last], columns[last] = other_row, other_column
                            last += 1
                score = amount[there_row, there_column]
                if score >= LEAST_CHANGE:
                    share = np.sqrt(square) / REACH
                    stable = min(stable, (1 - 0.5 * score * max(1 - share / OPTIMAL_DISTANCE, 0.0)) ** 2)
                    cell = _cell(direction[there_row, there_column], axes)
                    histogram[cell] = max(histogram[cell], score if pixels < ALWAYS else score * (1 - share))
            interest[row, column] = stable * _largest_turn(histogram)


@njit(cache=True)
@no_type_check
def _counts(amount: np.ndarray) -> np.ndarray:
    """Count the noticeable changes above and to the left of each corner between pixels."""
    height, width = amount.shape
    counts = np.zeros((height + 1, width + 1), np.int64)
    for row in range(height):
        for column in range(width):
            one = 1 if amount[row, column] >= LEAST_CHANGE else 0
            counts[row + 1, column + 1] = counts[row, column + 1] + counts[row + 1, column] - counts[row, column] + one
    return counts


@njit(cache=True)
@no_type_check
def _noticed_near(noticed: np.ndarray, point: np.ndarray, rays: np.ndarray, row: int, column: int) -> int:
    """Count the noticeable changes in a box of pixels that contains every point within reach."""
    height, width = noticed.shape[0] - 1, noticed.shape[1] - 1
    down = right = max(height, width)
    if point[2] > REACH:
        # A point within reach is at most `REACH` farther to the right (or down) and nearer, which bounds its offset in pixels.
        right = int(REACH * (1 + abs(rays[row, column, 0])) / (point[2] - REACH) / (rays[0, 1, 0] - rays[0, 0, 0])) + 1
        down = int(REACH * (1 + abs(rays[row, column, 1])) / (point[2] - REACH) / (rays[1, 0, 1] - rays[0, 0, 1])) + 1
    right, down = max(right, ALWAYS), max(down, ALWAYS)
    top, bottom = max(row - down, 0), min(row + down + 1, height)
    left, beyond = max(column - right, 0), min(column + right + 1, width)
    return noticed[bottom, beyond] - noticed[top, beyond] - noticed[bottom, left] + noticed[top, left]


@njit(cache=True)
@no_type_check
def _level_and_upright(ray: np.ndarray, axes: np.ndarray) -> None:
    """Fill in the two axes perpendicular to a ray: the level one, to the left, and the remaining one."""
    length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
    x, y, z = ray[0] / length, ray[1] / length, ray[2] / length
    level = np.sqrt(x * x + z * z)
    axes[0, 0], axes[0, 1], axes[0, 2] = -z / level, 0.0, x / level
    axes[1, 0], axes[1, 1], axes[1, 2] = y * axes[0, 2], z * axes[0, 0] - x * axes[0, 2], -y * axes[0, 0]


@njit(cache=True)
@no_type_check
def _cell(direction: np.ndarray, axes: np.ndarray) -> int:
    """Return the index of the histogram cell for a direction of change, seen along a ray.

    As in the library, the angle comes from the cosine to the level axis alone: a slanted direction and its opposite fall into two cells that
    mirror each other in the level axis.
    """
    across = axes[0, 0] * direction[0] + axes[0, 1] * direction[1] + axes[0, 2] * direction[2]
    along = axes[1, 0] * direction[0] + axes[1, 1] * direction[1] + axes[1, 2] * direction[2]
    size = np.sqrt(across * across + along * along)
    cosine = across / size if size > 0 else 0.0
    angle = np.arccos(min(max(cosine, -1.0), 1.0))
    if angle > np.pi / 2:
        angle -= np.pi
    return min(int(np.floor((angle / np.pi + 0.5) * DIRECTIONS)), DIRECTIONS - 1)


@njit(cache=True)
@no_type_check
def _largest_turn(histogram: np.ndarray) -> float:
    """Return the largest geometric mean of the changes in two directions, weighted by how much the directions differ."""
    best = 0.0
    for first in range(DIRECTIONS):
        if histogram[first] > 0:
            for second in range(first + 1, DIRECTIONS):
                apart = 2 * (second - first) / DIRECTIONS
                best = max(best, histogram[first] * histogram[second] * min(apart, 2 - apart))
    return np.sqrt(best)
