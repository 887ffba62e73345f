"""Edges of the image and of its depth: Sobel magnitudes, neither thinned nor thresholded."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from taskonomy.annotate.pixel_scale import RELEASED_RESOLUTION, length, masked_gaussian
from taskonomy.annotate.view import Frame
from taskonomy.release.formats import DEPTH_UNIT

TEXTURE_SIGMA, TEXTURE_SIGMA_FLOOR = 3.0, 0.5  # in pixels of the release; in pixels of the given image
FARTHEST = 65036 / DEPTH_UNIT  # metres: the release treats anything farther as no surface
DEPTH_RANGE = 2.0**16  # file units


def grey_of(rgb: UInt8[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "height width"]:
    """Convert to luma (ITU-R 601) as a share in [0, 1], first rounded to 8 bits, as the release did."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255


def sobel(image: Float64[np.ndarray, "height width"], valid: Bool[np.ndarray, "height width"]) -> Float64[np.ndarray, "height width"]:
    """Compute the gradient magnitude as scikit-image's masked Sobel filter defines it.

    Kernels are [1, 0, -1] x [1, 2, 1] / 4, combined as the root mean square of both directions; the result is 0 where the 3 x 3 neighbourhood
    has an invalid pixel or reaches beyond the image.
    """
    filled = np.where(valid, image, 0.0)
    right = cv2.Sobel(filled, cv2.CV_64F, 1, 0, ksize=3, scale=0.25)
    down = cv2.Sobel(filled, cv2.CV_64F, 0, 1, ksize=3, scale=0.25)
    inside = cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.where(inside > 0, np.sqrt((right**2 + down**2) / 2), 0.0)


def edge_texture(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute texture edges: grey image, Gaussian of sigma 3 pixels at 512, Sobel magnitude; a share in [0, 1].

    Gradients are per pixel of a 512-pixel image, so that values mean the same at every resolution. Below 86 pixels sigma stays at
    half a pixel.
    """
    resolution = frame.rgb.shape[0]
    everywhere = np.ones(frame.rgb.shape[:2], bool)
    smooth = masked_gaussian(grey_of(frame.rgb), length(TEXTURE_SIGMA, resolution, TEXTURE_SIGMA_FLOOR), everywhere)
    return np.minimum(sobel(smooth, everywhere) * (resolution / RELEASED_RESOLUTION), 1).astype(np.float32)


def edge_occlusion(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute occlusion edges: Sobel magnitude of the square root of depth (file units), as a share of the format's range; 0 beside holes.

    A jump in depth has the same height at every resolution, so nothing is rescaled.
    """
    valid = frame.depth < FARTHEST
    root = np.sqrt(np.where(valid, frame.depth, 0).astype(np.float64) * DEPTH_UNIT / DEPTH_RANGE)
    return np.minimum(sobel(root, valid), 1).astype(np.float32)
