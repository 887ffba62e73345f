"""Lengths given in pixels of the release's 512-pixel images, converted to other resolutions; and the filters that use them."""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float64

RELEASED_RESOLUTION = 512


def length(pixels: float, resolution: int, floor: float) -> float:
    """Convert a length in pixels of the release's images to pixels of an image of side `resolution`, at least `floor`."""
    return max(pixels * resolution / RELEASED_RESOLUTION, floor)


def area(pixels: float, resolution: int, floor: int) -> int:
    """Convert an area in pixels of the release's images to whole pixels of an image of side `resolution`, at least `floor`."""
    return max(round(pixels * (resolution / RELEASED_RESOLUTION) ** 2), floor)


def gaussian(image: Float64[np.ndarray, "height width *channels"], sigma: float, border: int) -> Float64[np.ndarray, "height width *channels"]:
    """Blur with a Gaussian cut off at 4 sigma, as in SciPy and scikit-image.

    Args:
        image: One or several channels.
        sigma: Standard deviation, pixels; 0: no blur.
        border: OpenCV's code for extrapolation beyond the border.
    """
    if sigma == 0:
        return image
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return cv2.sepFilter2D(image, cv2.CV_64F, weights, weights, borderType=border).reshape(image.shape)


def masked_gaussian(
    image: Float64[np.ndarray, "height width *channels"], sigma: float, valid: Bool[np.ndarray, "height width"]
) -> Float64[np.ndarray, "height width *channels"]:
    """Blur with a Gaussian over valid pixels only, normalised by their share of the weights; 0 where no valid pixel is near."""
    shape = (*valid.shape, *(1,) * (image.ndim - 2))
    weight = gaussian(valid.astype(np.float64), sigma, cv2.BORDER_CONSTANT).reshape(shape)
    total = gaussian(np.where(valid.reshape(shape), image, 0.0), sigma, cv2.BORDER_CONSTANT)
    return np.divide(total, weight, out=np.zeros_like(total), where=np.broadcast_to(weight > math.ulp(1.0), total.shape))


def grown(mask: Bool[np.ndarray, "height width"], by: int) -> Bool[np.ndarray, "height width"]:
    """Return the pixels within a square of `by` pixels around those of a mask."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8), borderValue=0).astype(bool)
