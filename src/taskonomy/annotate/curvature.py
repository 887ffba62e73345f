"""Principal curvatures, computed from the normals and points of an image."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from taskonomy.annotate.occlusion import inverse_depth, joined
from taskonomy.annotate.view import Frame, Geometry, blocks

SMOOTH = 0.7  # cosine of an angle: where objects are unknown, normals that differ by more belong to different objects


def principal_curvature(frame: Frame) -> Float32[np.ndarray, "height width 2"]:
    """Compute both principal curvatures, 1/m, larger first; positive bulges towards the viewer: a ball of radius r has (1/r, 1/r), a bowl -1/r.

    They are the eigenvalues of the shape operator (how the normal turns as the point moves over the surface), from differences between
    neighbouring pixels that see the same surface: depth does not jump between them and they belong to the same object or, where objects are
    unknown, their normals differ by less than 45 degrees. They are NaN in holes and where a direction has no such neighbour. Where the frame has
    finer geometry, a pixel's curvatures are the means of those that its four finer pixels have: what is thinner than two pixels has some. The release
    computed them differently: on the scanned mesh, by algebraic point set surfaces, which cover more of it than one view does.
    """
    if frame.fine is None:
        return _curvature_of(frame)
    four = blocks(_curvature_of(frame.fine))
    known = np.isfinite(four).all(axis=-1, keepdims=True)
    count = known.sum(axis=2)
    mean = np.where(known, four, 0).sum(axis=2, dtype=np.float64) / np.maximum(count, 1)
    return np.where((count > 0) & np.isfinite(frame.depth)[..., None], mean, np.nan).astype(np.float32)


def _curvature_of(frame: Frame | Geometry) -> Float32[np.ndarray, "height width 2"]:
    normal = np.ascontiguousarray(frame.normal, np.float64)
    points = frame.camera.pixel_rays() * np.where(np.isfinite(frame.depth), frame.depth, 0).astype(np.float64)[..., None]
    known = frame.instance is not None
    instance = frame.instance if frame.instance is not None else np.zeros(frame.depth.shape, np.int32)
    return _principal_curvature(points, normal, inverse_depth(frame), instance, known, frame.camera.focal)


@njit(cache=True)
@no_type_check
def _same(
    normal: np.ndarray, inverse: np.ndarray, instance: np.ndarray, known: bool, focal: float, row: int, column: int, other_row: int, other_column: int
) -> bool:
    if not (0 <= other_row < inverse.shape[0] and 0 <= other_column < inverse.shape[1]):
        return False
    if known:
        if instance[row, column] != instance[other_row, other_column]:
            return False
    else:
        n, m = normal[row, column], normal[other_row, other_column]
        if n[0] * m[0] + n[1] * m[1] + n[2] * m[2] < SMOOTH:
            return False
    return joined(inverse, normal, focal, row, column, other_row, other_column)


@njit(cache=True)
@no_type_check
def _principal_curvature(points: np.ndarray, normal: np.ndarray, inverse: np.ndarray, instance: np.ndarray, known: bool, focal: float) -> np.ndarray:
    height, width = inverse.shape
    result = np.full((height, width, 2), np.nan, np.float32)
    step = np.zeros((2, 3))  # displacement along the surface, per direction of the image
    turn = np.zeros((2, 3))  # change of the normal, per direction of the image
    for row in range(height):
        for column in range(width):
            if inverse[row, column] <= 0:
                continue
            complete = True
            for axis in range(2):
                down, right = 1 - axis, axis
                first = (row, column)
                last = (row, column)
                if _same(normal, inverse, instance, known, focal, row, column, row - down, column - right):
                    first = (row - down, column - right)
                if _same(normal, inverse, instance, known, focal, row, column, row + down, column + right):
                    last = (row + down, column + right)
                if first == last:
                    complete = False
                    break
                for k in range(3):
                    step[axis, k] = points[last[0], last[1], k] - points[first[0], first[1], k]
                    turn[axis, k] = normal[last[0], last[1], k] - normal[first[0], first[1], k]
            if not complete:
                continue
            e = f = g = a = b = c = 0.0
            for k in range(3):
                e += step[0, k] * step[0, k]
                f += step[0, k] * step[1, k]
                g += step[1, k] * step[1, k]
                a += turn[0, k] * step[0, k]
                b += 0.5 * (turn[0, k] * step[1, k] + turn[1, k] * step[0, k])
                c += turn[1, k] * step[1, k]
            area = e * g - f * f
            if area <= 1e-9 * e * g:
                continue
            mean = 0.5 * (a * g - 2 * b * f + c * e) / area
            gauss = (a * c - b * b) / area
            spread = np.sqrt(max(mean * mean - gauss, 0.0))
            result[row, column, 0] = mean + spread
            result[row, column, 1] = mean - spread
    return result
