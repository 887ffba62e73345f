"""The losses that networks are trained and tested with: one function per loss, each giving the loss of every sample by itself.

Step III of the paper compares networks image by image, so that nothing here averages over the batch: training takes the mean, testing keeps the
values. Sums are over what is labelled in the sample (the reference's "weighted sum / number of weights that are not 0"); a sample in which nothing
is labelled has the loss 0 and the gradient 0. Outputs in half precision are made float32 first, and autocast is off inside.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import NO_CLASS, Loss
from taskonomy.training.pose_loss import compose, nearest_turn

# Metric loss of the segmentations: default of pixels per image, largest squared distance, smallest distance of a probability from 0 and 1.
PIXELS = 300
FARTHEST = 80.0
SURE = 1e-7


@dataclass(frozen=True)
class Targets:
    """What a network should output for one batch.

    Attributes:
        values: As `Label.encode` gives them, channels last; for soft colour bins the bins of each pixel, nearest first, and their weights.
        mask: Pixels that have a label; None: all.
        packed: Whether the pixels of maps are ordered as the last convolution gives them: [batch, inside, rows, columns], not [batch, height, width].
        statistics: The task's statistics: lists or tensors of numbers; tensors on the batch's device save a copy at each step.
        pixels: The only pixels that the loss compares, counted row by row (`compared_pixels`); None: all.
    """

    values: Tensor | tuple[Tensor, Tensor]
    mask: Bool[Tensor, "batch *places width"] | None
    statistics: dict[str, Any]
    pixels: Int[Tensor, "batch compared"] | None = None
    packed: bool = False

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Return the values as a tuple of one tensor, or of two."""
        return self.values if isinstance(self.values, tuple) else (self.values,)

    @property
    def rows(self) -> tuple[Tensor, ...]:
        """Return the tensors that have a row for each sample."""
        return (*self.parts, *(one for one in (self.mask, self.pixels) if one is not None))

    def to(self, device: torch.device) -> "Targets":
        """Copy the targets to a device."""
        return self.each(lambda value: value.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        """Apply a function to every tensor."""
        statistics = {name: change(value) if isinstance(value, Tensor) else value for name, value in self.statistics.items()}
        return replace(self.each_row(change), statistics=statistics)

    def each_row(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        """Apply a function to every tensor that has a row for each sample."""
        one = lambda value: None if value is None else change(value)  # noqa: E731
        values = (change(self.values[0]), change(self.values[1])) if isinstance(self.values, tuple) else change(self.values)
        return replace(self, values=values, mask=one(self.mask), pixels=one(self.pixels))


def per_sample(loss: Loss, output: Float[Tensor, "batch channels *map"], targets: Targets) -> Float[Tensor, " batch"]:
    """Compute the loss of each sample.

    Args:
        loss: Which loss.
        output: The network's output: maps are channels first, vectors are numbers; logits are not normalised. A loss that compares some pixels alone
            takes the output at these, [batch, channels, compared].
        targets: The batch's labels, on the same device.

    Raises:
        TaskonomyError: Outputs and labels differ in shape; a mask is given to a loss that does not use it, or pixels are missing for one that does.
    """
    with torch.autocast(output.device.type, enabled=False):
        return LOSSES[loss](output, targets)


def _l1(output: Tensor, targets: Targets) -> Tensor:
    return _mean(_difference(output, targets).abs(), targets.mask)


def _l2(output: Tensor, targets: Targets) -> Tensor:
    return _mean(_difference(output, targets).square(), targets.mask)


def _cross_entropy(output: Tensor, targets: Targets) -> Tensor:
    """Compute the cross-entropy of class ids, weighted by class if the statistics have weights; `NO_CLASS` means no label."""
    classes = _single(targets)
    places = (len(output), *(output.shape[2:] or (1,)))  # one id per pixel, or one per sample
    _check(classes.shape == places, output, classes)
    classes = classes.long()
    if targets.mask is not None:
        classes = classes.where(targets.mask, NO_CLASS)
    logits = _precise(output).reshape(*output.shape[:2], *places[1:])
    labelled = classes != NO_CLASS
    each = F.cross_entropy(logits, classes, _weights(targets, logits), ignore_index=NO_CLASS, reduction="none")
    return each.flatten(1).sum(1) / labelled.flatten(1).sum(1).clamp(min=1)


def _binary_cross_entropy(output: Tensor, targets: Targets) -> Tensor:
    """Compute the mean over classes of the cross-entropy of yes or no; classes of `NO_CLASS` have no label and count in no mean."""
    _no_mask(Loss.BINARY_CROSS_ENTROPY, targets)
    classes = _single(targets)
    _check(classes.shape == output.shape, output, classes)
    labelled = classes != NO_CLASS
    logits = _precise(output)
    each = F.binary_cross_entropy_with_logits(logits, classes.where(labelled, 0).to(logits.dtype), reduction="none")
    return each.where(labelled, 0).sum(1) / labelled.sum(1).clamp(min=1)


def _soft_cross_entropy(output: Tensor, targets: Targets) -> Tensor:
    """Compute the cross-entropy of distributions over classes, or over colour bins, weighted by the nearest bin's rarity (Zhang et al. 2016)."""
    log_shares = _precise(output).log_softmax(1)
    if isinstance(targets.values, Tensor):
        _no_mask(Loss.SOFT_CROSS_ENTROPY, targets)
        _check(targets.values.shape == output.shape, output, targets.values)
        return -(targets.values * log_shares).sum(1)
    bins, weights = targets.values[0].long(), targets.values[1]
    _check(bins.shape == weights.shape and bins.shape[:-1] == (len(output), *output.shape[2:]), output, bins)
    # A pixel's distribution is not 0 in only 10 of the 313 bins, so the others are never stored.
    each = -(log_shares.gather(1, bins.movedim(-1, 1)) * weights.movedim(-1, 1)).sum(1)
    rarity = _weights(targets, log_shares)
    if rarity is not None:
        each = each * rarity[bins[..., 0]]
    if targets.mask is not None:
        each = each.where(targets.mask, 0)
    return _mean(each[:, None], targets.mask)


def _pairwise(output: Tensor, targets: Targets) -> Tensor:
    """Compute the metric loss of segmentation (Fathi et al. 2017): are two pixels of one segment, by the distance of their embeddings?

    It is the mean over all ordered pairs of some pixels (`PIXELS`, or the label's option `pixels`) of -log s if they are of one segment, else of
    -log(1 - s), with s = 2 / (1 + exp(d^2)). 1 - s is tanh(d^2 / 2), which keeps its digits where s is nearly 1; exp(80) is still a finite float32.
    Beyond d^2 = 16.8 s is clipped, as in the reference, and pixels of one segment no longer attract: embeddings must begin close to each other.
    """
    _no_mask(Loss.PAIRWISE, targets)
    segments = _single(targets)
    if targets.pixels is None:
        raise TaskonomyError(f"the loss {Loss.PAIRWISE} needs the pixels of each sample that it compares")
    ids = segments.flatten(1).gather(1, targets.pixels)
    _check(ids.shape == (len(output), *output.shape[2:]), output, ids)
    chosen = _precise(output)
    # |x|^2 + |y|^2 - 2 xy cancels digits where embeddings are nearly equal; centred at their mean, it cancels fewest.
    chosen = chosen - chosen.mean(2, keepdim=True)
    lengths = chosen.square().sum(1)
    squared = (lengths[:, :, None] + lengths[:, None, :] - 2 * chosen.mT @ chosen).clamp(0, FARTHEST)
    same = ids[:, :, None] == ids[:, None, :]
    sigma = torch.where(same, 2 / (1 + squared.exp()), torch.tanh(squared / 2))
    return -sigma.clamp(SURE, 1 - SURE).log().mean((1, 2))


def compared_pixels(loss: Loss | None, keys: Int[Tensor, " batch"], targets: Targets) -> Int[Tensor, "batch compared"] | None:
    """Choose the pixels of each sample's map that a loss compares, counted row by row; None: all.

    Args:
        loss: The loss.
        keys: Number of each sample.
        targets: Their labels, and the label's statistics, whose option `pixels` tells how many.
    """
    if loss is not Loss.PAIRWISE:
        return None
    return sampled_pixels(keys, _single(targets)[0].numel(), int(targets.statistics.get("pixels", PIXELS)))


def sampled_pixels(keys: Int[Tensor, " batch"], pixels: int, count: int = PIXELS) -> Int[Tensor, "batch {count}"]:
    """Choose the pixels that stand for each image, at random, depending on nothing but the sample's number.

    They are those with the smallest hashes, hence all different; in images with fewer pixels than `count` some are drawn repeatedly.
    """
    numbers = torch.arange(max(pixels, count), device=keys.device)
    hashes = _mixed(_mixed(keys.long() + 1)[:, None] + numbers * _signed(0x9E3779B97F4A7C15))
    if pixels < count:
        return hashes % pixels
    return hashes.topk(count, largest=False).indices


def _pose(output: Tensor, targets: Targets) -> Tensor:
    """Compute the length, not squared, of the difference; where it is 0, so is its gradient."""
    _no_mask(Loss.POSE, targets)
    return torch.linalg.vector_norm(_difference(output, targets), dim=1)


def _egomotion(output: Tensor, targets: Targets) -> Tensor:
    """Compare the predicted poses (1, 2) and (2, 3), and, at half weight, the pose (1, 3) composed of them, with their labels.

    Unlike in the reference, the angles of (1, 3) are compared within half a turn: composed angles jump from pi to -pi, where no network can follow.
    """
    _no_mask(Loss.EGOMOTION, targets)
    label = _single(targets)
    _check(output.shape == (len(label), 12) and label.shape == (len(label), 18), output, label)
    output = _precise(output)
    label = label.to(output.dtype)
    mean, std = (torch.as_tensor(targets.statistics[name], dtype=output.dtype, device=output.device) for name in ("mean", "std"))
    one_two, one_three, two_three = slice(0, 6), slice(6, 12), slice(12, 18)
    composed = compose(output[:, :6] * std[one_two] + mean[one_two], output[:, 6:] * std[two_three] + mean[two_three])
    composed = nearest_turn(composed, label[:, one_three] * std[one_three] + mean[one_three])
    differences = (
        output[:, :6] - label[:, one_two],
        (composed - mean[one_three]) / std[one_three] - label[:, one_three],
        output[:, 6:] - label[:, two_three],
    )
    first, cycle, second = (torch.linalg.vector_norm(one, dim=1) for one in differences)
    return first + 0.5 * cycle + second


LOSSES: dict[Loss, Callable[[Tensor, Targets], Tensor]] = {
    Loss.L1: _l1,
    Loss.L2: _l2,
    Loss.CROSS_ENTROPY: _cross_entropy,
    Loss.BINARY_CROSS_ENTROPY: _binary_cross_entropy,
    Loss.SOFT_CROSS_ENTROPY: _soft_cross_entropy,
    Loss.PAIRWISE: _pairwise,
    Loss.POSE: _pose,
    Loss.EGOMOTION: _egomotion,
}


def _precise(values: Tensor) -> Tensor:
    """Convert to float32, unless the values are more precise already."""
    return values if values.dtype == torch.float64 else values.float()


def _difference(output: Tensor, targets: Targets) -> Tensor:
    """Compute output minus label, channels first; 0 where there is no label."""
    label = _single(targets)
    label = label.movedim(-1, 1) if label.ndim > 2 else label
    _check(label.shape == output.shape, output, label)
    output = _precise(output)
    difference = output - label.to(output.dtype)
    if targets.mask is None:
        return difference
    _check(targets.mask.shape == (len(output), *output.shape[2:]), output, targets.mask)
    return difference.where(targets.mask[:, None], 0)


def _mean(errors: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the mean over the labelled values of each sample; the other values have to be 0 already."""
    # Sums over several axes, unlike flattened ones, copy nothing where channels are last.
    places = tuple(range(1, errors.ndim))
    if mask is None:
        return errors.mean(places)
    return errors.sum(places) / (mask.sum(places[:-1]) * errors.shape[1]).clamp(min=1)


def _weights(targets: Targets, like: Tensor) -> Tensor | None:
    weights = targets.statistics.get("weights")
    return None if weights is None else torch.as_tensor(weights, dtype=like.dtype, device=like.device)


def _single(targets: Targets) -> Tensor:
    if isinstance(targets.values, Tensor):
        return targets.values
    raise TaskonomyError("labels of bins and weights belong to soft cross entropy alone")


def _no_mask(loss: Loss, targets: Targets) -> None:
    if targets.mask is not None:
        raise TaskonomyError(f"the loss {loss} has no use for a mask of pixels")


def _check(agrees: bool, output: Tensor, label: Tensor) -> None:
    """Check the shapes, as broadcasting would hide a head or label of the wrong one."""
    if not agrees:
        raise TaskonomyError(f"a network's output of shape {tuple(output.shape)} does not fit labels of shape {tuple(label.shape)}")


def _signed(constant: int) -> int:
    """Return the signed 64-bit number with the bits of this unsigned one: torch has no unsigned arithmetic."""
    return constant - (1 << 64) if constant >> 63 else constant


def _mixed(state: Tensor) -> Tensor:
    """Hash 64-bit numbers by the last step of splitmix64 (Steele et al. 2014), a bijection: two states never have one hash."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> shift & (1 << 64 - shift) - 1)) * _signed(factor)
    return state ^ (state >> 31 & (1 << 33) - 1)
