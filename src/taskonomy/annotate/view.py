"""A view as the renderer made it or a depth camera measured it, from which all labels are derived."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Shaped, UInt8

from taskonomy.numeric.geometry import Camera


@dataclass(frozen=True)
class Geometry:
    """What one view sees, without its image; attributes as of `Frame`."""

    camera: Camera
    depth: Float32[np.ndarray, "height width"]
    normal: Float32[np.ndarray, "height width 3"]
    instance: Int32[np.ndarray, "height width"] | None = None


@dataclass(frozen=True)
class Frame:
    """Image, geometry and camera of one view.

    Attributes:
        camera: Its camera.
        rgb: The image, sRGB.
        depth: z-buffer depth, metres; `inf` where nothing was hit or measured.
        normal: Unit normals in camera coordinates (+X right, +Y up, +Z towards the viewer); zero where depth is `inf`.
        instance: Index of the object that each pixel belongs to; -1 where depth is `inf`. None: unknown.
        category: Class of each pixel in the values of the released `segment_semantic`: 0 uncertain, 1 background,
            2 to 17 the objects of `taskonomy.labels.classes.OBJECTS`. None: unknown.
        scene: Index of the room's type among the 365 Places categories. None: unknown.
        fine: The same view's geometry at twice the resolution: four pixels for each one. None: unknown.
    """

    camera: Camera
    rgb: UInt8[np.ndarray, "height width 3"]
    depth: Float32[np.ndarray, "height width"]
    normal: Float32[np.ndarray, "height width 3"]
    instance: Int32[np.ndarray, "height width"] | None = None
    category: UInt8[np.ndarray, "height width"] | None = None
    scene: int | None = None
    fine: Geometry | None = None


def blocks(values: Shaped[np.ndarray, "fine_height fine_width *more"]) -> Shaped[np.ndarray, "height width 4 *more"]:
    """Return the four values of each 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (length // 2 for length in values.shape[:2])
    square = values[: 2 * height, : 2 * width].reshape(height, 2, width, 2, *values.shape[2:])
    return square.swapaxes(1, 2).reshape(height, width, 4, *values.shape[2:])
