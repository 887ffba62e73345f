"""Convert a network's output to the form of its task's label: the inverse of `Label.encode`, chosen by the task's loss.

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
from taskonomy.numeric.poses import compose

# Squared distance of two embeddings at which the metric loss gives them an even chance to be one segment: 2 / (1 + exp(d^2)) = 1/2.
EVEN = float(np.log(3))
# Segments are found among this many pixels a side, evenly spaced, so that all pairwise distances fit into memory; the least share of a segment.
GRID = 32
SMALLEST = 0.005

Output = Float[np.ndarray, "outputs *side"]


def decode(task: Task, output: Output, statistics: Mapping[str, Any]) -> Any:
    """Convert one sample's output to the form of its label, as `taskonomy.tasks.visualize.label_picture` draws it.

    Args:
        task: The task that the network was trained for; its head may be that of an exported network.
        output: Output of the network: [channels, height, width], or [numbers]. Logits are not normalised.
        statistics: Statistics of the prepared task (`PreparedTask.statistics`).

    Returns:
        Depends on the loss. L1, L2: [height, width, channels], or numbers in metres and radians. Cross entropy: a class for every pixel, or one for
        the sample. Soft cross entropy: class probabilities; for a map, bins and their shares, as `soft_bins` returns them. Metric loss: a segment
        for every pixel. Poses: six numbers per pair (rad, m); for egomotion, with the composed pose (1, 3) in the middle.

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
    """Move channels last, and undo z-scores if the label has them."""
    values = np.moveaxis(output, 0, -1)
    if "mean" not in statistics:
        return values
    return (values * np.array(statistics["std"]) + np.array(statistics["mean"])).astype(np.float32)


def _classes(output: Output, statistics: Mapping[str, Any]) -> Int[np.ndarray, "..."]:
    """Return the most likely class; an array of length 1 for a whole sample."""
    return np.atleast_1d(output.argmax(0))


def _yes_or_no(output: Output, statistics: Mapping[str, Any]) -> UInt8[np.ndarray, " classes"]:
    """Return 1 for each class that is likelier than not, 0 for the others."""
    return (output > 0).astype(np.uint8)


def _shares(output: Output, statistics: Mapping[str, Any]) -> Any:
    odds = np.exp(output - output.max(0))
    shares = np.moveaxis(odds / odds.sum(0), 0, -1)
    if shares.ndim == 1:
        return shares
    return np.broadcast_to(np.arange(shares.shape[-1]), shares.shape), shares


def _segments(output: Output, statistics: Mapping[str, Any]) -> UInt8[np.ndarray, "height width"]:
    """Cluster the embeddings of pixels into segments.

    The embedding with the most others close enough to be one segment forms a segment with them; this is repeated with the rest until only small
    groups are left. Then every pixel is assigned to the nearest segment.
    """
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
    middle = points.mean(0)  # centred, because the expansion of the square loses least precision there
    points, others = points - middle, others - middle
    return (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T


def _egomotion(output: Output, statistics: Mapping[str, Any]) -> Float32[np.ndarray, "18"]:
    """Undo the z-scores of the network's poses (1, 2) and (2, 3), and insert the composed pose (1, 3)."""
    mean, std = np.array(statistics["mean"]), np.array(statistics["std"])
    first, second = output[:6] * std[:6] + mean[:6], output[6:] * std[12:] + mean[12:]
    return np.concatenate([first, compose(first, second), second]).astype(np.float32)


DECODERS: dict[Loss, Callable[[Any, Mapping[str, Any]], Any]] = {
    Loss.L1: _regressed,
    Loss.L2: _regressed,
    Loss.CROSS_ENTROPY: _classes,
    Loss.BINARY_CROSS_ENTROPY: _yes_or_no,
    Loss.SOFT_CROSS_ENTROPY: _shares,
    Loss.PAIRWISE: _segments,
    Loss.POSE: _regressed,
    Loss.EGOMOTION: _egomotion,
}
