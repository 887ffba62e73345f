"""Relative poses in torch: what `taskonomy.numeric.poses.compose` computes, with gradients.

A pose is euler angles `sxyz` (rad), then a translation (m). Products are written as sums, so that no autocast and no TF32 rounds a rotation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Cosine of the second angle below which gimbal lock is assumed: within 0.06 degrees of looking straight up.
LOCKED = 1e-3


def rotation(euler: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Compute the rotation about the fixed axes x, y, z in this order: Rz Ry Rx."""
    (sx, sy, sz), (cx, cy, cz) = euler.sin().unbind(-1), euler.cos().unbind(-1)
    rows = (
        (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
        (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
        (-sy, sx * cy, cx * cy),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def euler(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Compute the fixed-axis angles x, y, z of a rotation: x and z in [-pi, pi], y in [-pi/2, pi/2].

    All three are computed by the arctangent of two numbers, so gradients stay finite where those of the arcsine are not. Those of x and z grow as
    1 / cos(y). Within `LOCKED` of y = ±pi/2 only their difference (or sum) is determined: there z is 0 without a gradient, as in SciPy, and x has the
    whole turn.
    """
    cosine = torch.linalg.vector_norm(matrix[..., :2, 0], dim=-1)
    locked = cosine < LOCKED
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    x = torch.atan2(torch.where(locked, -matrix[..., 1, 2], matrix[..., 2, 1]), torch.where(locked, matrix[..., 1, 1], matrix[..., 2, 2]))
    y = torch.atan2(-matrix[..., 2, 0], cosine)
    z = torch.atan2(torch.where(locked, zero, matrix[..., 1, 0]), torch.where(locked, one, matrix[..., 0, 0]))
    return torch.stack([x, y, z], -1)


def compose(earlier: Float[Tensor, "*batch 6"], later: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 6"]:
    """Compute the pose (1, 3) that follows from the poses (1, 2) and (2, 3)."""
    first, second = rotation(earlier[..., :3]), rotation(later[..., :3])
    turned = (second[..., :, :, None] * first[..., None, :, :]).sum(-2)
    moved = (second * earlier[..., None, 3:]).sum(-1) + later[..., 3:]
    return torch.cat([euler(turned), moved], -1)


def nearest_turn(pose: Float[Tensor, "*batch 6"], reference: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 6"]:
    """Rewrite the pose's angles within half a turn of the reference's: pi and -pi are one angle."""
    turns = torch.round((reference - pose).detach()[..., :3] / (2 * torch.pi))
    return torch.cat([pose[..., :3] + turns * (2 * torch.pi), pose[..., 3:]], -1)
