"""Closed-form readouts of frozen codes: ridge regression to a linear form of a target's labels, for a screen of its sources.

No readout is a transfer, and its errors are no affinities. What it shows is how much of a label lies open in a code: enough to say which sources are
worth the training of a transfer, where two halves of the data say the same (`taskonomy.transfers.screen`).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int, Num

from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.labels.encodings import NO_CLASS, Loss

# Labels of a map are read at this many places a side of each cell of the code, at most.
FINEST = 4
# Penalties that generalised cross-validation chooses among, as multiples of the features' mean variance.
PENALTIES = 10.0 ** np.arange(-6, 3)


@dataclass(frozen=True)
class Answers:
    """What readouts of one target are held against.

    Attributes:
        values: A label of each sample at each place: one place, or the cells of the code, row by row.
        weights: Share of each place that has a label.
        spatial: Whether places are cells, so that a readout sees a cell and its neighbours; otherwise it sees the whole code of every image.
        power: Of the errors: 1 for a target trained with absolute errors, else 2.
    """

    values: Float32[np.ndarray, "samples places outputs"]
    weights: Float32[np.ndarray, "samples places"]
    spatial: bool
    power: int


def answers(task: PreparedTask, chosen: Int[np.ndarray, " samples"], cells: int) -> Answers:
    """Encode the labels of these samples for readouts.

    Maps are pooled to a few places of each cell; classes become shares, segments the edges between them; vectors stay.

    Args:
        task: The target's samples and labels.
        chosen: Positions of samples.
        cells: Side of a code.
    """
    labels, mask, loss = task.labels(chosen), task.mask(chosen), task.task.loss
    power = 1 if loss is Loss.L1 else 2
    if loss is Loss.CROSS_ENTROPY:
        known = labels != NO_CLASS
        mask = known if mask is None else mask & known
        labels = (labels[..., None] == np.arange(task.task.learnt_head.channels)).astype(np.float32)
        labels = labels[..., 0, :] if task.task.learnt_head.layers else labels
    elif loss is Loss.PAIRWISE:
        labels = _edges(labels)
    if task.task.learnt_head.layers:
        seen = np.ones(len(labels), np.float32) if mask is None else np.asarray(mask.reshape(len(labels), -1).any(1), np.float32)
        return Answers(_standardised(labels.astype(np.float32)[:, None]), seen[:, None], False, power)
    values, weights = _pooled(labels.astype(np.float32), mask, cells)
    return Answers(values, weights, True, power)


def errors(
    codes: list[Num[np.ndarray, "samples channels height width"]], wanted: Answers, train: Int[np.ndarray, " train"], test: Int[np.ndarray, " test"]
) -> Float64[np.ndarray, "3 test"]:
    """Compute the errors of a source's readouts on the test samples.

    Args:
        codes: Codes of the first, second ... image of each sample.
        wanted: Labels of the same samples.
        train: Samples to learn from, by position among these.
        test: Samples to test on.

    Returns:
        One row for the readout that learnt from all training samples, one for each half of them, in their order.
    """
    features = _cells(codes[0]) if wanted.spatial else _whole(codes)
    found = []
    for learnt in (train, *halves(train)):
        predicted = _ridge(features, wanted, learnt, test)
        each = (np.abs(predicted - wanted.values[test]) ** wanted.power).mean(2)
        weights = wanted.weights[test]
        found.append((each * weights).sum(1, dtype=np.float64) / np.maximum(weights.sum(1, dtype=np.float64), 1e-12))
    return np.stack(found)


def halves(samples: Int[np.ndarray, " samples"]) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Cut samples in two where they stand: samples are sorted by building, so that the halves have at most one in common."""
    return samples[: len(samples) // 2], samples[len(samples) // 2 :]


def _ridge(
    features: Float32[np.ndarray, "samples places features"], wanted: Answers, learnt: Int[np.ndarray, " learnt"], test: Int[np.ndarray, " test"]
) -> Float32[np.ndarray, "test places outputs"]:
    """Learn by ridge regression, with the penalty of the smallest generalised cross-validation (Golub, Heath and Wahba 1979), and predict."""
    weights = wanted.weights[learnt].reshape(-1, 1)
    total = max(float(weights.sum()), 1e-12)
    inputs, outputs = (array[learnt].reshape(-1, array.shape[2]) for array in (features, wanted.values))
    centre, level = ((weights * array).sum(0, dtype=np.float64).astype(np.float32) / np.float32(total) for array in (inputs, outputs))
    root = np.sqrt(weights)
    inputs, outputs = root * (inputs - centre), root * (outputs - level)
    primal = inputs.shape[1] <= inputs.shape[0]
    gram = (inputs.T @ inputs if primal else inputs @ inputs.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0)
    aside = vectors.T @ ((inputs.T @ outputs) if primal else outputs).astype(np.float64)  # X'y, or y, along the eigenvectors
    penalty = _penalty(values, aside, float((outputs.astype(np.float64) ** 2).sum()), int((weights > 0).sum()), primal)
    solved = vectors @ (aside / (values + penalty)[:, None])
    slopes = solved if primal else inputs.T.astype(np.float64) @ solved
    return (features[test] - centre) @ slopes.astype(np.float32) + level


def _penalty(values: Float64[np.ndarray, " n"], aside: Float64[np.ndarray, "n outputs"], energy: float, rows: int, primal: bool) -> float:
    """Choose the penalty: the mean squared residual over the squared share of freedom that is left."""
    power = (aside**2).sum(1)
    scale = float(values.mean()) or 1.0
    best, chosen = np.inf, scale
    for penalty in PENALTIES * scale:
        shrunk = values / (values + penalty)
        if primal:  # |y - Xb|^2 = |y|^2 - sum of power / (values + penalty) * (1 + penalty / (values + penalty))
            residual = energy - float((power / (values + penalty) * (1 + penalty / (values + penalty))).sum())
        else:
            residual = float((power * (1 - shrunk) ** 2).sum())
        freedom = 1 - (float(shrunk.sum()) + 1) / rows
        score = max(residual, 0.0) / freedom**2 if freedom > 0 else np.inf
        if score < best:
            best, chosen = score, float(penalty)
    return chosen


def _cells(codes: Num[np.ndarray, "samples channels height width"]) -> Float32[np.ndarray, "samples places features"]:
    """Build a cell's features: its channels and those of its eight neighbours; at the border, the border's again."""
    padded = np.pad(codes.astype(np.float32), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # [samples, channels, height, width, 3, 3]
    return np.ascontiguousarray(near.transpose(0, 2, 3, 1, 4, 5)).reshape(len(codes), -1, codes.shape[1] * 9)


def _whole(codes: list[Num[np.ndarray, "samples channels height width"]]) -> Float32[np.ndarray, "samples 1 features"]:
    """Build a sample's features: the numbers of all its codes and, for several images, how each differs from the next, squared."""
    flat = [one.reshape(len(one), -1).astype(np.float32) for one in codes]
    scale = np.float32(np.mean([one.std() for one in flat])) or np.float32(1)
    pairs = [(one - other) ** 2 / scale for one, other in pairwise(flat)]
    return np.concatenate([*flat, *pairs], axis=1)[:, None]


def _standardised(values: Float32[np.ndarray, "samples 1 outputs"]) -> Float32[np.ndarray, "samples 1 outputs"]:
    """Scale all outputs by one number, so that rare classes do not outweigh common ones; it changes no order of errors."""
    return values / (np.float32(values.std()) or np.float32(1))


def _pooled(
    labels: Float32[np.ndarray, "samples side side channels"], mask: Any, cells: int
) -> tuple[Float32[np.ndarray, "samples places outputs"], Float32[np.ndarray, "samples places"]]:
    """Average what is labelled, at a few places of each cell; where nothing is, the cell's own average stands, or 0 where it has none."""
    count, side, _side, channels = labels.shape
    fine = min(FINEST, max(side // cells, 1))
    if side % (cells * fine):
        fine = 1
    blocks = cells * fine
    seen = np.ones((count, side, side), np.float32) if mask is None else mask.astype(np.float32)

    def sums(array: Float32[np.ndarray, "samples side side channels"], parts: int) -> Float32[np.ndarray, "samples parts parts channels"]:
        size = array.shape[1] // parts
        return array[:, : parts * size, : parts * size].reshape(count, parts, size, parts, size, -1).sum((2, 4))

    labelled, amount = sums(labels * seen[..., None], blocks), sums(seen[..., None], blocks)
    coarse, held = sums(labelled, cells), sums(amount, cells)
    own = np.repeat(np.repeat(coarse / np.maximum(held, 1), fine, 1), fine, 2)
    means = np.where(amount > 0, labelled / np.maximum(amount, 1), own)
    means = means.reshape(count, cells, fine, cells, fine, channels).transpose(0, 1, 3, 2, 4, 5)
    return means.reshape(count, cells * cells, -1), (held / (side // cells) ** 2).reshape(count, -1)


def _edges(segments: Num[np.ndarray, "samples side side"]) -> Float32[np.ndarray, "samples side side 2"]:
    """Find where the next pixel to the right, and below, is of another segment; ids themselves mean nothing."""
    right = np.pad(segments[:, :, 1:] != segments[:, :, :-1], ((0, 0), (0, 0), (0, 1)))
    below = np.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (0, 1), (0, 0)))
    return np.stack([right, below], axis=-1).astype(np.float32)
