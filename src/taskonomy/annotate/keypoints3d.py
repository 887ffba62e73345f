"""Keypoints of the surface: where it changes in different directions within reach, seen from a place where it is itself stable (NARF)."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from taskonomy.annotate.range_image import RangeImage, surface_change
from taskonomy.annotate.view import Frame

SUPPORT = 0.3  # metres across the surface that makes a point's interest
REACH = SUPPORT / 2  # metres from it
OPTIMAL_DISTANCE = 0.25  # of the reach: nearer to a strong change a point is not stable
LEAST_CHANGE = 0.2  # surface change that is noticed at all
DIRECTIONS = 18  # of change, over 180 degrees
ALWAYS = 2  # pixels: neighbours that count however far away they are
PATCH = 10  # pixels that the support spans at the distance from which an image of half the size is left for the finer one
COARSEST = np.radians(4)  # per pixel: no image is halved beyond


def keypoints3d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """NARF's interest image before thresholding, a share in [0, 1], 0 in holes (Steder et al., ICRA 2011, section III).

    As the release's program ran the point cloud library: the complete image, each pixel at the resolution at which 0.3 m spans 10 to 20
    pixels at its distance. A pixel's interest is the largest geometric mean of two surface changes within 0.15 m along the surface, faded
    with their distance and weighted by how much their directions differ, times how far the pixel is from any strong change itself. Planes
    and straight edges have little of it, corners most. Normals are fitted to depth, also where the frame has better ones.
    """
    images = [RangeImage.of(frame)]
    while images[-1].resolution < COARSEST and min(images[-1].distance.shape) > 1:
        images.append(images[-1].halved())
    interest = np.zeros_like(images[-1].distance)
    nearest = 0.0  # metres: what is nearer was seen well enough in the image before
    for image in reversed(images):
        change = surface_change(image)
        surface = (image.distance > 0) & ~change.hidden
        own = surface & (image.distance >= nearest)
        interest = np.where(surface & ~own, _enlarged(interest, image.distance.shape), 0.0)
        _put_interest(interest, own, image.points, surface, image.rays, change.amount, change.direction)
        nearest = SUPPORT / np.tan(PATCH * image.resolution)
    return np.where(np.isfinite(frame.depth), interest, 0.0).astype(np.float32)


def _enlarged(image: Float64[np.ndarray, "rows columns"], shape: tuple[int, int]) -> Float64[np.ndarray, "height width"]:
    """Each pixel as 2 x 2; an odd last row or column as the one before."""
    rows, columns = (np.minimum(np.arange(length) // 2, known - 1) for length, known in zip(shape, image.shape, strict=True))
    return image[np.ix_(rows, columns)]


@njit(cache=True)
@no_type_check
def _put_interest(
    interest: np.ndarray, own: np.ndarray, points: np.ndarray, surface: np.ndarray, rays: np.ndarray, amount: np.ndarray, direction: np.ndarray
) -> None:
    """Put the interest of these pixels into the image.

    Args:
        interest: Is written to.
        own: Which pixels.
        points: Metres.
        surface: What is a surface of its own: growth from a pixel ends where nothing is.
        rays: Through each pixel, to forward 1.
        amount: Of surface change.
        direction: Of it.
    """
    height, width = amount.shape
    histogram = np.zeros(DIRECTIONS)
    axes = np.zeros((2, 3))
    rows = np.empty(height * width, np.int64)
    columns = np.empty(height * width, np.int64)
    touched = np.full((height, width), -1)  # by the growth from which pixel
    noticed = _counts(amount)
    for row in range(height):
        for column in range(width):
            # Two directions make a turn: most pixels have no two changes near enough.
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
    """How many changes that are noticed lie above and left of each corner between pixels."""
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
    """How many changes are noticed in a box of pixels that holds all that can lie within reach."""
    height, width = noticed.shape[0] - 1, noticed.shape[1] - 1
    down = right = max(height, width)
    if point[2] > REACH:
        # A point within reach is at most so much farther right (down) and nearer: its slope differs by no more than this.
        right = int(REACH * (1 + abs(rays[row, column, 0])) / (point[2] - REACH) / (rays[0, 1, 0] - rays[0, 0, 0])) + 1
        down = int(REACH * (1 + abs(rays[row, column, 1])) / (point[2] - REACH) / (rays[1, 0, 1] - rays[0, 0, 1])) + 1
    right, down = max(right, ALWAYS), max(down, ALWAYS)
    top, bottom = max(row - down, 0), min(row + down + 1, height)
    left, beyond = max(column - right, 0), min(column + right + 1, width)
    return noticed[bottom, beyond] - noticed[top, beyond] - noticed[bottom, left] + noticed[top, left]


@njit(cache=True)
@no_type_check
def _level_and_upright(ray: np.ndarray, axes: np.ndarray) -> None:
    """The axes at right angles to a ray: level to the left, and the third one."""
    length = np.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
    x, y, z = ray[0] / length, ray[1] / length, ray[2] / length
    level = np.sqrt(x * x + z * z)
    axes[0, 0], axes[0, 1], axes[0, 2] = -z / level, 0.0, x / level
    axes[1, 0], axes[1, 1], axes[1, 2] = y * axes[0, 2], z * axes[0, 0] - x * axes[0, 2], -y * axes[0, 0]


@njit(cache=True)
@no_type_check
def _cell(direction: np.ndarray, axes: np.ndarray) -> int:
    """Which direction of change, seen along a ray.

    The angle comes from the cosine to level alone, as in the library: a slanted direction and its opposite fall into two cells, mirrored in
    the level.
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
    """The largest geometric mean of changes in two directions and of how much these differ."""
    best = 0.0
    for first in range(DIRECTIONS):
        if histogram[first] > 0:
            for second in range(first + 1, DIRECTIONS):
                apart = 2 * (second - first) / DIRECTIONS
                best = max(best, histogram[first] * histogram[second] * min(apart, 2 - apart))
    return np.sqrt(best)
