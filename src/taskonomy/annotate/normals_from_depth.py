"""Normals from measured depth: planes fitted to windows that do not reach across edges."""

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from taskonomy.annotate.pixel_scale import length
from taskonomy.numeric.geometry import Camera

WINDOW, WINDOW_FLOOR = 9.0, 3.0  # side of a window: in pixels of the release; in pixels of the given image
NOISE = 0.003  # relative misfit of inverse depth up to which the window centred on a pixel is used; above it, the best of its windows


def normals_from_depth(depth: Float32[np.ndarray, "side side"], camera: Camera, window: int | None = None) -> Float32[np.ndarray, "side side 3"]:
    """Compute unit normals in camera coordinates, towards the viewer; zero in holes.

    Inverse depth of a plane is linear in the image, so a plane is fitted to inverse depth in every window by least squares. Each pixel
    uses the window centred on it if that fits a plane within noise, else the best fitting of the nine windows that contain it in their
    middle, on a side or in a corner (Kuwahara's filter): windows that reach across a jump or a crease fit badly. A pixel whose windows
    hold too little depth gets a normal that faces the viewer.

    Args:
        depth: z-buffer depth, metres; `inf` in holes.
        camera: The image's camera.
        window: Side of the windows, pixels, made odd; None: `WINDOW` pixels at 512, scaled, at least 3.
    """
    resolution = depth.shape[0]
    radius = max(int((length(WINDOW, resolution, WINDOW_FLOOR) if window is None else window) // 2), 1)
    valid = np.isfinite(depth)
    inverse = 1 / depth.astype(np.float64)
    plane, misfit = _fitted_planes(inverse, valid.astype(np.float64), radius)
    limit = NOISE * inverse
    chosen, least = plane.copy(), np.where(misfit <= limit, 0.0, misfit)
    for down in (-radius, 0, radius):
        for right in (-radius, 0, radius):
            moved = _shifted(misfit, down, right)
            better = moved < least
            least = np.where(better, moved, least)
            chosen[better] = _shifted(plane, down, right)[better]
    rays = camera.pixel_rays()
    toward = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    # A plane's inverse depth is a x + b y + c along the rays (x, y, -1), and its normal is parallel to (a, b, -c).
    normal = chosen * (camera.focal, -camera.focal, -1)
    normal = np.where(np.isfinite(least)[..., None], normal, toward)
    normal *= np.where((normal * toward).sum(axis=-1, keepdims=True) < 0, -1, 1)
    size = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.where(size > 0, normal / np.where(size > 0, size, 1), toward)
    return np.where(valid[..., None], normal, 0).astype(np.float32)


def _fitted_planes(
    inverse: Float64[np.ndarray, "side side"], valid: Float64[np.ndarray, "side side"], radius: int
) -> tuple[Float64[np.ndarray, "side side 3"], Float64[np.ndarray, "side side"]]:
    """Fit a plane around each pixel: slope right, slope down, value in the middle of the image; and its root mean square misfit.

    The misfit is infinite where fewer than half of the window's pixels have depth, or all of them lie on a line.
    """
    side = np.arange(len(inverse)) - (len(inverse) - 1) / 2
    x, y = np.meshgrid(side, side)
    filled = inverse * valid

    def total(values: Float64[np.ndarray, "side side"]) -> Float64[np.ndarray, "side side"]:
        return cv2.boxFilter(values, cv2.CV_64F, (2 * radius + 1,) * 2, normalize=False, borderType=cv2.BORDER_CONSTANT)

    count = np.maximum(total(valid), 1)
    mean_x, mean_y, mean = total(valid * x) / count, total(valid * y) / count, total(filled) / count
    xx = total(valid * x * x) / count - mean_x**2
    xy = total(valid * x * y) / count - mean_x * mean_y
    yy = total(valid * y * y) / count - mean_y**2
    xa = total(filled * x) / count - mean_x * mean
    ya = total(filled * y) / count - mean_y * mean
    aa = total(filled * inverse) / count - mean**2
    area = xx * yy - xy**2
    enough = (count >= (2 * radius + 1) ** 2 / 2) & (area > 0.01)
    area = np.where(enough, area, 1)
    right = (xa * yy - ya * xy) / area
    down = (ya * xx - xa * xy) / area
    misfit = np.sqrt(np.maximum(aa - right * xa - down * ya, 0))
    middle = mean - right * mean_x - down * mean_y
    return np.stack([right, down, middle], axis=-1), np.where(enough, misfit, np.inf)


def _shifted(values: Float64[np.ndarray, "side side *more"], down: int, right: int) -> Float64[np.ndarray, "side side *more"]:
    """Return, for each pixel, the value `down` rows below and `right` columns to its right; at the border, the nearest one."""
    index = np.arange(len(values))
    rows = np.clip(index + down, 0, len(values) - 1)
    columns = np.clip(index + right, 0, len(values) - 1)
    return values[rows[:, None], columns]
