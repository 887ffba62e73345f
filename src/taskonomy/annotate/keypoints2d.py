"""Keypoints of the image: how blob-like or corner-like its grey values are, over several scales."""

from typing import no_type_check

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numba import njit

from taskonomy.annotate.pixel_scale import RELEASED_RESOLUTION
from taskonomy.annotate.view import Frame

SIGMAS = np.linspace(1, 30, 10)  # in pixels of the release
SIZES = (3 * SIGMAS).astype(np.int64)  # sides of the box filters that approximate them
LUMINANCE = (0.2125, 0.7154, 0.0721)  # ITU-R 709 weights, as in scikit-image's rgb2gray; texture edges use other weights
CROSS_WEIGHT = 0.81  # weight of the mixed derivative: 0.9 squared corrects for boxes in place of Gaussians (SURF, section 3.2)


def keypoints2d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute SURF's interest before thinning: the box-filtered determinant of the Hessian of the grey image, its maximum over scales, at least 0.

    At 512 pixels this is the release's formula: `skimage.feature.hessian_matrix_det(grey, sigma, approximate=True)` at ten sigmas from 1
    to 30 pixels, with its side effects: boxes end at the border of the image, and a side not divisible by three lets a little uniform
    brightness through, at most 0.0014. Box filters have whole pixels as sides, so sigmas are not scaled; an image of another resolution is
    resized to 512 pixels (bilinearly, or by area averaging where it is larger) and the result is read at the centres of its own pixels.
    """
    grey = luminance(frame.rgb)
    side = grey.shape[0]
    integral = _integral(_resized(grey, RELEASED_RESOLUTION))
    read = min(side, RELEASED_RESOLUTION)
    places = ((np.arange(read) + 0.5) * (RELEASED_RESOLUTION / read)).astype(np.int64)
    return _resized(_determinant(integral, places), side).astype(np.float32)


def luminance(rgb: UInt8[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "height width"]:
    """Convert to grey as a share in [0, 1], without rounding."""
    red, green, blue = (rgb[..., k].astype(np.float64) / 255 * weight for k, weight in enumerate(LUMINANCE))
    return red + green + blue


def _resized(image: Float64[np.ndarray, "height width"], side: int) -> Float64[np.ndarray, "side side"]:
    if image.shape == (side, side):
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR)


def _determinant(integral: Float64[np.ndarray, "side side"], places: Int64[np.ndarray, "read"]) -> Float64[np.ndarray, "read read"]:
    """Compute the maximum of the determinant over scales, at these rows and columns of the image, given its integral image."""
    best = np.zeros((len(places), len(places)))
    for size in SIZES:
        _raise_to(best, integral, places, int(size))
    return best


@njit(cache=True)
@no_type_check
def _integral(image: np.ndarray) -> np.ndarray:
    """Compute the integral image: sums down the columns, then along the rows."""
    total = image.copy()
    for row in range(1, total.shape[0]):
        for column in range(total.shape[1]):
            total[row, column] += total[row - 1, column]
    for row in range(total.shape[0]):
        for column in range(1, total.shape[1]):
            total[row, column] += total[row, column - 1]
    return total


@njit(cache=True)
@no_type_check
def _raise_to(best: np.ndarray, integral: np.ndarray, places: np.ndarray, size: int) -> None:
    """Raise each entry of `best` to the determinant at one scale where that is larger."""
    third, half = size // 3, (size - 1) // 2
    across = 2 * third - 1  # extent of the filter of a second derivative along the other axis
    weight = 1.0 / size / size
    for i, row in enumerate(places):
        for j, column in enumerate(places):
            mixed = _box(integral, row - third, column + 1, third, third) + _box(integral, row + 1, column - third, third, third)
            mixed -= _box(integral, row - third, column - third, third, third) + _box(integral, row + 1, column + 1, third, third)
            right = _box(integral, row - third + 1, column - half, across, size)
            right -= 3 * _box(integral, row - third + 1, column - third // 2, across, third)
            down = _box(integral, row - half, column - third + 1, size, across)
            down -= 3 * _box(integral, row - third // 2, column - third + 1, third, across)
            value = right * weight * (down * weight) - CROSS_WEIGHT * (mixed * weight) ** 2
            if value > best[i, j]:
                best[i, j] = value


@njit(cache=True)
@no_type_check
def _box(integral: np.ndarray, row: int, column: int, rows: int, columns: int) -> float:
    """Sum the image over a box that begins below and right of a pixel; a box that begins outside the image is shifted to its border."""
    last_row, last_column = integral.shape[0] - 1, integral.shape[1] - 1
    top, left = min(max(row, 0), last_row), min(max(column, 0), last_column)
    bottom, right = min(top + rows, last_row), min(left + columns, last_column)
    return max(integral[top, left] + integral[bottom, right] - integral[top, right] - integral[bottom, left], 0.0)
