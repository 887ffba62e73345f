"""What a network's output says, in the terms of its task's label: the inverse of `Label.encode`, chosen by the entry's loss.

The result is what `taskonomy.tasks.visualize` draws and what people read: classes instead of logits, segments instead of embeddings, metres and
radians instead of z-scores.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss
from taskonomy.labels.task import Task
from taskonomy.tasks.poses import compose

# Squared distance of two embeddings at which the metric loss gives one segment or two the same chance: 2 / (1 + exp(d^2)) = 1/2.
EVEN = float(np.log(3))
# Segments are found among this many pixels a side, evenly spread, so that the distances of all pairs fit into memory; one is at least this share.
GRID = 32
SMALLEST = 0.005

Output = Float[np.ndarray, "outputs *side"]


def decode(task: Task, output: Output, statistics: Mapping[str, Any]) -> Any:
    """One sample's output as its label, drawn by `show.label_picture`.

    Args:
        task: Its entry; the head may be a card's.
        output: Of its network: [channels, height, width], or [numbers]. Logits are not normalised.
        statistics: Of the prepared task (`PreparedTask.statistics`).

    Returns:
        By loss. L1, L2: [height, width, channels], or numbers in metres and radians. Cross entropy: a class for every pixel, or one for the sample.
        Soft cross entropy: shares of the classes; of a map bins and shares, as `soft_bins` gives them. Metric loss: a segment for every pixel.
        Poses: six numbers a pair (rad, m), those of an egomotion with the composed pose (1, 3) in the middle.

    Raises:
        TaskonomyError: The task has no network, or the output is not finite.
    """
    if task.loss is None:
        raise TaskonomyError(f"{task.name} has no network of its own: there is nothing to decode")
    values = np.asarray(output, np.float32)
    if not np.isfinite(values).all():
        raise TaskonomyError(f"the output of {task.name}'s network is not finite")
    return DECODERS[task.loss](values, statistics)


def _regressed(output: Output, statistics: Mapping[str, Any]) -> Float32[np.ndarray, "..."]:
    """Channels last, and without z-scores where the label has them."""
    values = np.moveaxis(output, 0, -1)
    if "mean" not in statistics:
        return values
    return (values * np.array(statistics["std"]) + np.array(statistics["mean"])).astype(np.float32)


def _classes(output: Output, statistics: Mapping[str, Any]) -> Int[np.ndarray, "..."]:
    """The likeliest class; [1] for a sample as a whole."""
    return np.atleast_1d(output.argmax(0))


def _shares(output: Output, statistics: Mapping[str, Any]) -> Any:
    odds = np.exp(output - output.max(0))
    shares = np.moveaxis(odds / odds.sum(0), 0, -1)
    if shares.ndim == 1:
        return shares
    return np.broadcast_to(np.arange(shares.shape[-1]), shares.shape), shares


def _segments(output: Output, statistics: Mapping[str, Any]) -> UInt8[np.ndarray, "height width"]:
    """The embedding that most others are one segment with, and those; the same among the rest, and so on; at last every pixel goes to the nearest."""
    channels, high, wide = output.shape
    points = output.reshape(channels, -1).T
    rows, columns = (np.unique(np.linspace(0, side - 1, min(side, GRID)).round().astype(int)) for side in (high, wide))
    spread = points[(rows[:, None] * wide + columns).ravel()]
    near = _squared(spread, spread) < EVEN
    left = np.ones(len(spread), bool)
    centres: list[Any] = []
    while left.any() and len(centres) < 256:
        members = near & left
        counts = np.where(left, members.sum(1), 0)
        leader = int(counts.argmax())
        if centres and counts[leader] < SMALLEST * len(spread):
            break
        centres.append(spread[members[leader]].mean(0))
        left &= ~near[leader]
    return _squared(points, np.array(centres)).argmin(1).astype(np.uint8).reshape(high, wide)


def _squared(points: Float[np.ndarray, "n channels"], others: Float[np.ndarray, "m channels"]) -> Float[np.ndarray, "n m"]:
    middle = points.mean(0)  # around it the products lose least
    points, others = points - middle, others - middle
    return (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T


def _egomotion(output: Output, statistics: Mapping[str, Any]) -> Float32[np.ndarray, "18"]:
    """The network gives the poses (1, 2) and (2, 3)."""
    mean, std = np.array(statistics["mean"]), np.array(statistics["std"])
    first, second = output[:6] * std[:6] + mean[:6], output[6:] * std[12:] + mean[12:]
    return np.concatenate([first, compose(first, second), second]).astype(np.float32)


DECODERS: dict[Loss, Callable[[Any, Mapping[str, Any]], Any]] = {
    Loss.L1: _regressed,
    Loss.L2: _regressed,
    Loss.CROSS_ENTROPY: _classes,
    Loss.SOFT_CROSS_ENTROPY: _shares,
    Loss.PAIRWISE: _segments,
    Loss.POSE: _regressed,
    Loss.EGOMOTION: _egomotion,
}
