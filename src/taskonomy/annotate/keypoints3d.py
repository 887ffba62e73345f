"""Keypoints of the surface (NARF): points that are stable themselves, with surface changes in different directions nearby."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numba import njit

from taskonomy.annotate.pixel_scale import grown
from taskonomy.annotate.range_image import RangeImage
from taskonomy.annotate.surface_change import Borders, borders, surface_change
from taskonomy.annotate.view import Frame

SUPPORT = 0.3  # diameter of the surface that determines a point's interest, metres
REACH = SUPPORT / 2  # radius of that surface, metres
OPTIMAL_DISTANCE = 0.25  # as a share of the reach: nearer to a strong change a point is not stable
LEAST_CHANGE = 0.2  # smallest surface change that counts
DIRECTIONS = 18  # cells of the histogram of directions of change, over 180 degrees
COSINES = np.cos(np.arange(1, DIRECTIONS + 1) * np.pi / DIRECTIONS)  # of the far ends of the cells, from the level axis on
ALWAYS = 2  # pixels: neighbours within this count whatever their distance in space
PATCH = 10  # pixels: beyond the distance at which the support spans this many in one image, the next finer image is used
COARSEST = np.radians(4)  # radians per pixel: an image as coarse as this is not halved again


def keypoints3d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute NARF's interest image before thresholding, a share in [0, 1], 0 in holes (Steder et al., ICRA 2011, section III).

    It follows the point cloud library as the release's program ran it: the complete image, each pixel at the resolution at which 0.3 m
    spans 10 to 20 pixels at its distance. A pixel's interest is the largest geometric mean of two surface changes within 0.15 m along the
    surface, which fade with distance and are weighted by how much their directions differ; it is lowered near any strong change. Planes and
    straight edges have little interest, corners the most. Normals are fitted to depth even where the frame has better ones. Where the frame has
    finer geometry, that is the complete image, and each pixel has the interest of the nearest of its four finer ones, as when images are halved.
    """
    if frame.fine is None:
        image = RangeImage.of(frame)
        interest = _interest(image, np.ones(image.distance.shape, bool))
    else:
        image = RangeImage.of(frame.fine)
        nearest = image.nearest_of_four()
        asked = np.zeros(image.distance.shape, bool)
        asked[nearest] = True
        interest = _interest(image, asked)[nearest]
    return np.where(np.isfinite(frame.depth), interest, 0.0).astype(np.float32)


def _interest(finest: RangeImage, asked: Bool[np.ndarray, "height width"]) -> Float64[np.ndarray, "height width"]:
    """Compute the interest of the pixels asked for; that of others has no meaning."""
    images = [finest]
    while images[-1].resolution < COARSEST and min(images[-1].distance.shape) > 1:
        images.append(images[-1].halved())
    levels = _levels(images, asked)
    interest = np.zeros_like(images[-1].distance)
    for image, level in zip(reversed(images), reversed(levels), strict=True):
        interest = np.where(level.surface & ~level.own, _enlarged(interest, image.distance.shape), 0.0)
        amount, direction = surface_change(image, level.borders, grown(level.own, _growth(image, level.own)))
        _put_interest(interest, level.own, image.points, level.surface, image.rays, amount, direction)
    return interest


@dataclass(frozen=True)
class _Level:
    """What one image of the pyramid is for.

    Attributes:
        borders: Its borders.
        surface: Mask of pixels with a surface of their own.
        own: Mask of those whose interest it decides: too far away for the coarser images, and not decided by finer ones.
    """

    borders: Borders
    surface: Bool[np.ndarray, "height width"]
    own: Bool[np.ndarray, "height width"]


def _levels(images: list[RangeImage], asked: Bool[np.ndarray, "height width"]) -> list[_Level]:
    """Divide the pixels asked for among images, the finest first."""
    levels: list[_Level] = []
    for image, coarser in zip_longest(images, images[1:]):
        found = borders(image)
        surface = (image.distance > 0) & ~found.hidden
        # Nearer points were resolved well enough by the coarser image.
        nearest = 0.0 if coarser is None else SUPPORT / np.tan(PATCH * coarser.resolution)
        far = image.distance >= nearest
        levels.append(_Level(found, surface, surface & far & asked))
        if coarser is not None:
            rows, columns = np.nonzero(surface & ~far & asked)
            asked = np.zeros(coarser.distance.shape, bool)
            asked[_halves(len(surface), len(asked))[rows], _halves(surface.shape[1], asked.shape[1])[columns]] = True
    return levels


def _growth(image: RangeImage, own: Bool[np.ndarray, "height width"]) -> int:
    """Return the most pixels between one of a mask and a point that counts for it, as in `_box`."""
    depth = image.points[own, 2]
    if not len(depth):
        return 0
    if depth.min() <= REACH:
        return max(own.shape)
    slope = 1 + abs(image.rays[own][:, :2]).max(axis=1)
    step = min(image.rays[0, 1, 0] - image.rays[0, 0, 0], image.rays[1, 0, 1] - image.rays[0, 0, 1])
    return max(int((REACH * slope / (depth - REACH)).max() / step) + 1, ALWAYS)


def _enlarged(image: Float64[np.ndarray, "rows columns"], shape: tuple[int, int]) -> Float64[np.ndarray, "height width"]:
    """Repeat each pixel as 2 x 2; an odd last row or column repeats the one before."""
    return image[np.ix_(_halves(shape[0], image.shape[0]), _halves(shape[1], image.shape[1]))]


def _halves(length: int, known: int) -> Int64[np.ndarray, " length"]:
    """Return, for each of `length` rows or columns, its number in the image of half the size."""
    return np.minimum(np.arange(length) // 2, known - 1)


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
    rows, columns, before = _noticeable(amount)
    candidates = np.empty(len(rows), np.int64)
    cells = np.empty(len(rows), np.int64)
    waiting = np.empty(height * width, np.int64)
    touched = np.full((height, width), -1)  # index of the pixel whose growth last reached each pixel
    candidate = np.full((height, width), -1)  # index of the pixel that each pixel was last near enough to
    noticed = _counts(amount)
    for row in range(height):
        for column in range(width):
            # Interest needs changes in two directions; most pixels have fewer than two changes near enough.
            if not own[row, column] or _noticed_near(noticed, points[row, column], rays, row, column) < 2:
                continue
            start = row * width + column
            _level_and_upright(rays[row, column], axes)
            histogram[:] = 0
            found = 0
            top, bottom, left, beyond = _box(points[row, column], rays, row, column, height, width)
            for other_row in range(top, bottom):
                for number in range(before[other_row, left], before[other_row, beyond]):
                    other_column = columns[number]
                    if surface[other_row, other_column] and _is_near(points, row, column, other_row, other_column):
                        candidate[other_row, other_column] = start
                        candidates[found] = number
                        cells[found] = _cell(direction[other_row, other_column], axes)
                        histogram[cells[found]] = 1.0
                        found += 1
            if found < 2 or _largest_turn(histogram) == 0:
                continue
            _grow(row, column, found, points, surface, candidate, touched, waiting)
            histogram[:] = 0
            stable = 1.0
            for number in range(found):
                there_row, there_column = rows[candidates[number]], columns[candidates[number]]
                if candidate[there_row, there_column] == start:
                    continue  # the growth did not reach it
                score = amount[there_row, there_column]
                share = np.sqrt(_square(points, row, column, there_row, there_column)) / REACH
                stable = min(stable, (1 - 0.5 * score * max(1 - share / OPTIMAL_DISTANCE, 0.0)) ** 2)
                cell = cells[number]
                pixels = max(abs(there_row - row), abs(there_column - column))
                histogram[cell] = max(histogram[cell], score if pixels < ALWAYS else score * (1 - share))
            interest[row, column] = stable * _largest_turn(histogram)


@njit(cache=True)
@no_type_check
def _grow(
    row: int, column: int, wanted: int, points: np.ndarray, surface: np.ndarray, candidate: np.ndarray, touched: np.ndarray, waiting: np.ndarray
) -> None:
    """Grow over the surface from a pixel to everything within reach, until all wanted candidates are reached; those lose their mark."""
    height, width = surface.shape
    start = row * width + column
    waiting[0] = start
    touched[row, column] = start
    first, last = 0, 1
    while first < last:
        there_row, there_column = waiting[first] // width, waiting[first] % width
        first += 1
        if not surface[there_row, there_column] or not _is_near(points, row, column, there_row, there_column):
            continue
        if candidate[there_row, there_column] == start:
            candidate[there_row, there_column] = -1
            wanted -= 1
            if wanted == 0:
                return
        for other_row in range(max(there_row - 1, 0), min(there_row + 2, height)):
            for other_column in range(max(there_column - 1, 0), min(there_column + 2, width)):
                if touched[other_row, other_column] != start:
                    touched[other_row, other_column] = start
                    waiting[last] = other_row * width + other_column
                    last += 1


@njit(cache=True)
@no_type_check
def _is_near(points: np.ndarray, row: int, column: int, other_row: int, other_column: int) -> bool:
    """Return whether a pixel is within reach, or so few pixels away that it always counts."""
    if max(abs(other_row - row), abs(other_column - column)) <= ALWAYS:
        return True
    return _square(points, row, column, other_row, other_column) <= REACH * REACH


@njit(cache=True)
@no_type_check
def _square(points: np.ndarray, row: int, column: int, other_row: int, other_column: int) -> float:
    square = 0.0
    for k in range(3):
        square += (points[row, column, k] - points[other_row, other_column, k]) ** 2
    return square


@njit(cache=True)
@no_type_check
def _noticeable(amount: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List rows and columns of the noticeable changes, and count, for each pixel, those in its row before it and in all rows above."""
    height, width = amount.shape
    before = np.zeros((height, width + 1), np.int64)
    count = 0
    for row in range(height):
        for column in range(width):
            before[row, column] = count
            count += amount[row, column] >= LEAST_CHANGE
        before[row, width] = count
    rows, columns = np.nonzero(amount >= LEAST_CHANGE)
    return rows, columns, before


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
def _box(point: np.ndarray, rays: np.ndarray, row: int, column: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return a box of pixels that contains every point within reach: rows from, to; columns from, to."""
    down = right = max(height, width)
    if point[2] > REACH:
        # A point within reach is at most `REACH` farther to the right (or down) and nearer, which bounds its offset in pixels.
        right = int(REACH * (1 + abs(rays[row, column, 0])) / (point[2] - REACH) / (rays[0, 1, 0] - rays[0, 0, 0])) + 1
        down = int(REACH * (1 + abs(rays[row, column, 1])) / (point[2] - REACH) / (rays[1, 0, 1] - rays[0, 0, 1])) + 1
    right, down = max(right, ALWAYS), max(down, ALWAYS)
    return max(row - down, 0), min(row + down + 1, height), max(column - right, 0), min(column + right + 1, width)


@njit(cache=True)
@no_type_check
def _noticed_near(noticed: np.ndarray, point: np.ndarray, rays: np.ndarray, row: int, column: int) -> int:
    """Count the noticeable changes in that box."""
    top, bottom, left, beyond = _box(point, rays, row, column, noticed.shape[0] - 1, noticed.shape[1] - 1)
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
    past = 0  # whole cells from the level axis on, found by comparison: the inverse cosine takes most of the time
    while past < DIRECTIONS and cosine <= COSINES[past]:
        past += 1
    return min(past + DIRECTIONS // 2, DIRECTIONS - 1) if cosine >= 0 else past - DIRECTIONS // 2


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
