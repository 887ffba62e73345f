"""Mirrored training images: which samples are mirrored in an epoch, and the labels of those that are (`taskonomy.labels.mirror`)."""

import math

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from taskonomy.labels.mirror import Mirroring
from taskonomy.numeric.rng import generator
from taskonomy.training.losses import Targets


def mirrored_in(seed: int, epoch: int, samples: int) -> Bool[np.ndarray, " {samples}"]:
    """Draw which samples an epoch mirrors: each with probability 1/2, by seed, epoch and its number alone."""
    return generator(seed, "mirror", epoch).random(samples) < 0.5


def mirror_targets(targets: Targets, mirror: Mirroring, which: Bool[np.ndarray, " batch"]) -> None:
    """Turn the labels and masks of these samples of a batch, in place: batches are copies, and what is not mirrored is not copied again."""
    where = torch.from_numpy(np.flatnonzero(which)).to(targets.parts[0].device)
    if mirror == Mirroring() or not len(where):
        return
    for part in targets.parts:
        part[where] = turned(part[where], mirror, targets)
    if mirror.flips and targets.mask is not None:
        targets.mask[where] = targets.mask[where].flip(-1)


def turned(values: Tensor, mirror: Mirroring, targets: Targets) -> Tensor:
    """Return labels as losses see them, channels last, turned with their images.

    Maps are turned as they are, without any error. Z-scores of numbers are turned in physical units, in double precision.
    """
    if mirror.flips:
        values = values.flip(2)
    if not mirror.signs:
        return values
    signs = torch.tensor(mirror.signs, device=values.device)
    if "mean" not in targets.statistics:
        return _with_signs(values, signs, mirror)
    mean, std = (torch.as_tensor(targets.statistics[name], device=values.device).double() for name in ("mean", "std"))
    return ((_with_signs(values.double() * std + mean, signs, mirror) - mean) / std).to(values.dtype)


def _with_signs(values: Tensor, signs: Tensor, mirror: Mirroring) -> Tensor:
    out = values * signs
    for place in mirror.half_turns:
        angle = out[..., place]
        out[..., place] = angle - torch.copysign(torch.full_like(angle, math.pi), angle)
    return out
