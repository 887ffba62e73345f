"""Whether two pixels see one surface, or one occludes the other."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float64
from numba import njit

from taskonomy.annotate.view import Frame, Geometry

# Inverse depth of a plane is linear in the image. Two pixels are joined where their tangent planes meet between them (a smooth surface or
# a crease), or pass each other within this share of the inverse depth (measurement noise); otherwise depth jumps.
GAP = 0.01


def inverse_depth(frame: Frame | Geometry) -> Float64[np.ndarray, "height width"]:
    """Compute 1/z in 1/m, 0 in holes."""
    return 1 / frame.depth.astype(np.float64)


@njit(cache=True)
@no_type_check
def joined(inverse: np.ndarray, normal: np.ndarray, focal: float, row: int, column: int, other_row: int, other_column: int) -> bool:
    """Return whether depth is continuous between two pixels; False where either is a hole."""
    here, there = inverse[row, column], inverse[other_row, other_column]
    if here <= 0 or there <= 0:
        return False
    middle = inverse.shape[1] / 2 - 0.5, inverse.shape[0] / 2 - 0.5
    x, y = (column - middle[0]) / focal, (middle[1] - row) / focal
    other_x, other_y = (other_column - middle[0]) / focal, (middle[1] - other_row) / focal
    # Scalars instead of arrays: creating an array for each normal would take most of the time.
    n0, n1, n2 = normal[row, column, 0], normal[row, column, 1], normal[row, column, 2]
    m0, m1, m2 = normal[other_row, other_column, 0], normal[other_row, other_column, 1], normal[other_row, other_column, 2]
    facing = n0 * x + n1 * y - n2
    other_facing = m0 * other_x + m1 * other_y - m2
    ours_there, theirs_here = here, there
    if facing < -1e-3:
        ours_there = here * (n0 * other_x + n1 * other_y - n2) / facing
    if other_facing < -1e-3:
        theirs_here = there * (m0 * x + m1 * y - m2) / other_facing
    gap_here, gap_there = theirs_here - here, there - ours_there
    if gap_here * gap_there <= 0:
        return True
    return min(abs(gap_here), abs(gap_there)) <= GAP * max(here, there)
