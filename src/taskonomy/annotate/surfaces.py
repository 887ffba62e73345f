"""Labels computed pixel by pixel from depth and normals."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from taskonomy.annotate.view import Frame

LAMP_ENERGY = 1.6  # brightness, in units of white, of a surface that faces the lamp at distance 0
LAMP_DISTANCE = 8.0  # square metres: brightness is halved where the squared distance equals this


def rgb(frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
    """Return the image itself."""
    return frame.rgb


def depth_zbuffer(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Return depth along the optical axis, metres; `inf` in holes."""
    return frame.depth


def depth_euclidean(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Compute the distance from the camera's centre, metres; `inf` in holes."""
    return (frame.depth * np.linalg.norm(frame.camera.pixel_rays(), axis=-1)).astype(np.float32)


def normal(frame: Frame) -> Float32[np.ndarray, "height width 3"]:
    """Return unit normals in camera coordinates (+X right, +Y up, +Z towards the viewer); zero in holes."""
    return frame.normal


def mask_valid(frame: Frame) -> Bool[np.ndarray, "height width"]:
    """Return a mask of the pixels with geometry."""
    return np.isfinite(frame.depth)


def reshading(frame: Frame) -> Float32[np.ndarray, "height width"]:
    """Shade a white, matte world by one point lamp in the camera, clipped to [0, 1]; 0 in holes.

    The formula was measured on released files: `LAMP_ENERGY` cos t D / (D + r^2), with t the angle between normal and the direction to
    the lamp, r the distance in metres, D `LAMP_DISTANCE`. A surface that faces the lamp is 1 up to 2.2 m.
    """
    rays = frame.camera.pixel_rays()
    distance = np.linalg.norm(rays, axis=-1)
    valid = np.isfinite(frame.depth)
    depth = np.where(valid, frame.depth, 1).astype(np.float64)
    cosine = -(rays * frame.normal).sum(axis=-1) / distance
    light = LAMP_ENERGY * cosine * LAMP_DISTANCE / (LAMP_DISTANCE + (distance * depth) ** 2)
    return np.where(valid, np.clip(light, 0, 1), 0).astype(np.float32)
