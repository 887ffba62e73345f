"""Keypoints of the surface: where it turns in different directions within reach, seen from a place where it is itself stable (NARF)."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from taskonomy.annotate.continuity import inverse_depth, joined
from taskonomy.annotate.frame import Frame
from taskonomy.annotate.scale import length

SUPPORT = 0.3  # metres across: what lies within half of it of a point makes its interest
OPTIMAL_DISTANCE = 0.25  # of the reach: nearer to a strong change a point is not stable
LEAST_CHANGE = 0.2  # surface change that is noticed at all
CHANGE_RADIUS, CHANGE_RADIUS_FLOOR = 2.0, 1.0  # pixels of the release; pixels of the image at hand
DIRECTIONS = 18  # of change, over 180 degrees
BIN_OFFSET = 0.3  # of a bin: upright, level and diagonal edges do not fall on the border of two
EDGE_RADIUS = 2  # pixels: over which the direction of a jump is averaged, or the image's staircases would pass for corners
WIDEST = 8  # pixels: where the reach is wider, an image of half the size is searched, and so on
POWER_STEPS = 12  # towards the largest eigenvector


def keypoints3d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """NARF's interest image before thresholding, a share in [0, 1], 0 in holes (Steder et al., ICRA 2011, section III).

    Surface change of a pixel is 1 at the near side of a jump in depth, and the root of the largest eigenvalue of the covariance of the
    normals around it elsewhere; it has a direction in the image. A pixel's interest is the largest geometric mean of two changes within
    0.15 m, faded with their distance and weighted by how much their directions differ, times how far the pixel is from any
    strong change itself. Planes and straight edges have little of it, corners most. Two steps are cheaper than in the point cloud library:
    normals are the frame's own, and points count by distance alone, whether or not the surface leads there.
    """
    inverse = inverse_depth(frame)
    normal = np.ascontiguousarray(frame.normal, np.float64)
    radius = round(length(CHANGE_RADIUS, inverse.shape[0], CHANGE_RADIUS_FLOOR))
    change, direction = _surface_change(inverse, normal, frame.camera.focal, radius)
    depth = np.where(np.isfinite(frame.depth), frame.depth, 0).astype(np.float64)
    points = frame.camera.pixel_rays() * depth[..., None]
    interest = np.zeros(depth.shape, np.float32)
    level = 0
    while _interest(depth, points, change, direction, frame.camera.focal, level, interest):
        change, direction = _halved(change, direction, level)
        level += 1
    return interest


@njit(cache=True)
@no_type_check
def _surface_change(inverse: np.ndarray, normal: np.ndarray, focal: float, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """How much the surface changes at each pixel, and in which of `DIRECTIONS` of the image."""
    height, width = inverse.shape
    change = np.zeros((height, width))
    direction = np.zeros((height, width), np.int64)
    mean = np.zeros(3)
    covariance = np.zeros((3, 3))
    for row in range(height):
        for column in range(width):
            if inverse[row, column] <= 0:
                continue
            count = 0
            mean[:] = 0
            covariance[:] = 0
            edge = False
            shadow = False
            for other_row in range(max(row - radius, 0), min(row + radius + 1, height)):
                for other_column in range(max(column - radius, 0), min(column + radius + 1, width)):
                    if inverse[other_row, other_column] <= 0:
                        continue
                    down, right = other_row - row, other_column - column
                    if joined(inverse, normal, focal, row, column, other_row, other_column):
                        count += 1
                        for i in range(3):
                            mean[i] += normal[other_row, other_column, i]
                            for j in range(i, 3):
                                covariance[i, j] += normal[other_row, other_column, i] * normal[other_row, other_column, j]
                    elif abs(down) <= 1 and abs(right) <= 1:
                        if inverse[other_row, other_column] < inverse[row, column]:
                            edge = True
                        else:
                            shadow = True
            if shadow:  # the far side of a jump says nothing of its own surface
                continue
            if edge:
                change[row, column] = 1.0
                direction[row, column] = _edge_direction(inverse, normal, focal, row, column)
                continue
            for i in range(3):
                for j in range(i, 3):
                    covariance[i, j] = covariance[i, j] / count - mean[i] * mean[j] / (count * count)
                    covariance[j, i] = covariance[i, j]
            if covariance[0, 0] + covariance[1, 1] + covariance[2, 2] < LEAST_CHANGE * LEAST_CHANGE:
                continue
            value, x, y = _largest(covariance)
            change[row, column] = min(np.sqrt(value), 1.0)
            direction[row, column] = _bin(x * x - y * y, 2 * x * y)
    return change, direction


@njit(cache=True)
@no_type_check
def _edge_direction(inverse: np.ndarray, normal: np.ndarray, focal: float, row: int, column: int) -> int:
    """Which way the far side of a jump lies: towards the mean of its pixels or, where they are on both sides, along their main axis."""
    height, width = inverse.shape
    x = y = xx = xy = yy = 0.0
    for other_row in range(max(row - EDGE_RADIUS, 0), min(row + EDGE_RADIUS + 1, height)):
        for other_column in range(max(column - EDGE_RADIUS, 0), min(column + EDGE_RADIUS + 1, width)):
            farther = 0 < inverse[other_row, other_column] < inverse[row, column]
            if farther and not joined(inverse, normal, focal, row, column, other_row, other_column):
                right, up = other_column - column, row - other_row
                x += right
                y += up
                xx += right * right
                xy += right * up
                yy += up * up
    if x * x + y * y > 0.25 * (xx + yy):
        return _bin(x * x - y * y, 2 * x * y)
    return _bin(xx - yy, 2 * xy)


@njit(cache=True)
@no_type_check
def _bin(cosine: float, sine: float) -> int:
    """Which direction, from the cosine and sine of twice its angle."""
    turn = np.arctan2(sine, cosine) / (2 * np.pi)  # a whole turn of twice the angle: half a turn of the direction
    return int(np.floor((turn % 1.0) * DIRECTIONS + BIN_OFFSET)) % DIRECTIONS


@njit(cache=True)
@no_type_check
def _largest(matrix: np.ndarray) -> tuple[float, float, float]:
    """Largest eigenvalue of a symmetric matrix, and its vector's first two components, by power iteration from its longest row."""
    start = 0
    for i in range(1, 3):
        if matrix[i, i] > matrix[start, start]:
            start = i
    x, y, z = matrix[start, 0], matrix[start, 1], matrix[start, 2]
    value = 0.0
    for _ in range(POWER_STEPS):
        norm = np.sqrt(x * x + y * y + z * z)
        x, y, z = x / norm, y / norm, z / norm
        u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
        v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z
        w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z
        value = u * x + v * y + w * z
        x, y, z = u, v, w
    norm = np.sqrt(x * x + y * y + z * z)
    return value, x / norm, y / norm


@njit(cache=True)
@no_type_check
def _halved(change: np.ndarray, direction: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Change and direction at half the size: the strongest of each 2 x 2 pixels, with the number of its pixel in the full image."""
    height, width = (change.shape[0] + 1) // 2, (change.shape[1] + 1) // 2
    small = np.zeros((height, width))
    which = np.zeros((height, width), np.int64)
    for row in range(change.shape[0]):
        for column in range(change.shape[1]):
            if change[row, column] > small[row // 2, column // 2]:
                small[row // 2, column // 2] = change[row, column]
                # Above the direction: the pixel of the full image.
                code = direction[row, column]
                if level == 0:
                    code += DIRECTIONS * (row * change.shape[1] + column)
                which[row // 2, column // 2] = code
    return small, which


@njit(cache=True)
@no_type_check
def _interest(
    depth: np.ndarray, points: np.ndarray, change: np.ndarray, direction: np.ndarray, focal: float, level: int, interest: np.ndarray
) -> bool:
    """Fill in the interest of the pixels whose reach fits this level's image; whether some are left for the next."""
    height, width = depth.shape
    small_height, small_width = change.shape
    reach = SUPPORT / 2
    histogram = np.zeros(DIRECTIONS)
    left = False
    for row in range(height):
        for column in range(width):
            z = depth[row, column]
            if z <= 0:
                continue
            pixels = reach * focal / (z * 2**level)
            if pixels > WIDEST and min(small_height, small_width) > WIDEST:
                left = True
                continue
            if level > 0 and 2 * pixels <= WIDEST:  # done at the level before
                continue
            radius = max(int(np.ceil(pixels)), 2)
            middle_row, middle_column = row >> level, column >> level
            histogram[:] = 0
            stable = 1.0
            found = 0
            for r in range(max(middle_row - radius, 0), min(middle_row + radius + 1, small_height)):
                for c in range(max(middle_column - radius, 0), min(middle_column + radius + 1, small_width)):
                    score = change[r, c]
                    if score < LEAST_CHANGE:
                        continue
                    code = direction[r, c]
                    pixel = code // DIRECTIONS if level > 0 else r * width + c
                    other_row, other_column = pixel // width, pixel % width
                    distance = 0.0
                    for k in range(3):
                        distance += (points[row, column, k] - points[other_row, other_column, k]) ** 2
                    share = np.sqrt(distance) / reach
                    beside = max(abs(other_row - row), abs(other_column - column)) <= 1
                    near = score if beside else score * (1 - share)
                    if near <= 0:
                        continue
                    found += 1
                    cell = code % DIRECTIONS
                    histogram[cell] = max(histogram[cell], near)
                    stable = min(stable, (1 - 0.5 * score * max(1 - share / OPTIMAL_DISTANCE, 0.0)) ** 2)
            if found < 2:
                continue
            best = 0.0
            for first in range(DIRECTIONS):
                if histogram[first] > 0:
                    for second in range(first + 1, DIRECTIONS):
                        apart = 2 * (second - first) / DIRECTIONS
                        best = max(best, histogram[first] * histogram[second] * min(apart, 2 - apart))
            interest[row, column] = np.float32(stable * np.sqrt(best))
    return left
