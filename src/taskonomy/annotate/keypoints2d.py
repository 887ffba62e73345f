"""Keypoints of the image: how blob- or corner-like its grey values are, over scales."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from taskonomy.annotate.edges import grey_of
from taskonomy.annotate.frame import Frame
from taskonomy.annotate.scale import RELEASED_RESOLUTION

SIGMAS = np.linspace(1, 30, 10)  # pixels of the release
CROSS_WEIGHT = 0.81  # of the mixed derivative: 0.9 squared, for what boxes miss of a Gaussian (SURF, section 3.2)


def lobes(resolution: int) -> tuple[int, ...]:
    """Lobe widths of the box filters, pixels, one per scale: sigma of the release, scaled, as the nearest odd number, at least 1.

    At low resolution several scales fall on one lobe and are computed once.
    """
    scaled = SIGMAS * resolution / RELEASED_RESOLUTION
    return tuple(sorted({int(2 * np.floor(sigma / 2) + 1) for sigma in scaled}))


def keypoints2d(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """SURF's interest before thinning: box-filtered determinant of the Hessian of the grey image, the largest over scales, at least 0.

    Filters are three lobes wide and normalised by their area, so the value does not depend on the scale of the blob. The image goes on
    beyond its border with its last pixel, so that a constant image is 0 everywhere.
    """
    grey = grey_of(frame.rgb)
    widths = np.array(lobes(grey.shape[0]))
    margin = int(3 * widths.max() // 2 + 1)
    padded = np.pad(grey - grey[0, 0], margin, mode="edge")
    integral = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return _determinant(integral, widths, margin)


@njit(cache=True)
@no_type_check
def _box(integral: np.ndarray, top: int, left: int, bottom: int, right: int) -> float:
    return integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]


@njit(cache=True)
@no_type_check
def _determinant(integral: np.ndarray, widths: np.ndarray, margin: int) -> np.ndarray:
    height, width = integral.shape[0] - 1 - 2 * margin, integral.shape[1] - 1 - 2 * margin
    best = np.zeros((height, width), np.float32)
    for lobe in widths:
        half, reach = lobe // 2, 3 * lobe // 2
        # Half the extent of the second derivatives along the other axis: 2 lobe - 1 in all, as SURF's 9 x 9 filter has; a lobe of one
        # pixel takes 3, or the mixed derivative would outweigh them.
        side = max(lobe - 1, 1)
        weight = 1.0 / (9 * lobe * lobe)
        for row in range(height):
            y = row + margin
            for column in range(width):
                x = column + margin
                dyy = _box(integral, y - reach, x - side, y + reach + 1, x + side + 1)
                dyy -= 3 * _box(integral, y - half, x - side, y + half + 1, x + side + 1)
                dxx = _box(integral, y - side, x - reach, y + side + 1, x + reach + 1)
                dxx -= 3 * _box(integral, y - side, x - half, y + side + 1, x + half + 1)
                dxy = _box(integral, y - lobe, x - lobe, y, x) + _box(integral, y + 1, x + 1, y + lobe + 1, x + lobe + 1)
                dxy -= _box(integral, y - lobe, x + 1, y, x + lobe + 1) + _box(integral, y + 1, x - lobe, y + lobe + 1, x)
                value = (dxx * dyy - CROSS_WEIGHT * dxy * dxy) * weight * weight
                best[row, column] = max(best[row, column], np.float32(value))
    return best
