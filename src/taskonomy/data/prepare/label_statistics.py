"""Statistics of labels over the training split that encodings need: means and standard deviations, rarity of classes and colours."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

from taskonomy.labels.colour import BINS, rarity_weights, soft_bins
from taskonomy.labels.encodings import NO_CLASS

BLOCK = 256


def mean_std(stored: Any, rows: Int[np.ndarray, " rows"], outputs: int) -> dict[str, Any]:
    """Compute mean and standard deviation of each number; the standard deviation of a number that never varies is set to 1."""
    mean = _total(stored, rows, lambda values: values) / len(rows)
    std = np.sqrt(_total(stored, rows, lambda values: np.square(values - mean)) / len(rows))
    return {"mean": mean.tolist(), "std": np.where(std > 1e-6, std, 1).tolist()}


def _total(stored: Any, rows: Int[np.ndarray, " rows"], of: Callable[[Any], Any]) -> Any:
    """Sum over all rows in the order in which NumPy adds them, so that the result does not depend on the size of the blocks."""
    total: Any = None
    for block in _blocks(rows):
        values = of(np.asarray(stored[block], np.float64))
        total = np.add.reduce(values if total is None else np.concatenate([total[None], values]), axis=0)
    return total


def class_weights(stored: Any, rows: Int[np.ndarray, " rows"], outputs: int) -> dict[str, Any]:
    """Compute the weight of each class by its rarity; pixels without a class are left out."""
    counts = np.zeros(NO_CLASS + 1)
    for block in _blocks(rows):
        counts += np.bincount(np.asarray(stored[block]).ravel(), minlength=NO_CLASS + 1)
    return {"weights": rarity_weights(counts[:outputs]).tolist()}


def bin_weights(stored: Any, rows: Int[np.ndarray, " rows"], outputs: int) -> dict[str, Any]:
    """Compute the weight of each colour bin by its rarity."""
    counts = np.zeros(len(BINS))
    for block in _blocks(rows):
        nearest, _weights = soft_bins(np.asarray(stored[block]), 1)
        counts += np.bincount(nearest.ravel(), minlength=len(BINS))
    return {"weights": rarity_weights(counts).tolist()}


def _blocks(rows: Int[np.ndarray, " rows"]) -> Iterator[Int[np.ndarray, " block"]]:
    """Yield few rows at a time, so that memory does not grow with the data."""
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


STATISTICS: dict[str, Callable[[Any, Any, int], dict[str, Any]]] = {
    "": lambda stored, rows, outputs: {},
    "mean_std": mean_std,
    "class_weights": class_weights,
    "bin_weights": bin_weights,
}
