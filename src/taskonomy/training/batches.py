"""Batches of a prepared task: what its network sees, and what it should give."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from taskonomy.data.prepared import PreparedTask
from taskonomy.seeds import generator
from taskonomy.tasks.labels import Input
from taskonomy.training.inputs import as_seen
from taskonomy.training.losses import Targets

TESTING = -1  # the epoch in which nothing varies


@dataclass(frozen=True)
class Batch:
    """Some samples.

    Attributes:
        positions: Which, among the task's samples.
        seen: What the network reads.
        targets: What it should give.
    """

    positions: Int[np.ndarray, " batch"]
    seen: Float[Tensor, "batch ..."]
    targets: Targets


class Batches:
    """A task's samples of one split.

    Args:
        prepared: The task.
        images: Every prepared image.
        positions: The samples, by their place among the task's.
        size: Samples per batch.
    """

    def __init__(self, prepared: PreparedTask, images: Any, positions: Int[np.ndarray, " samples"], size: int) -> None:
        self.prepared, self.images, self.positions, self.size = prepared, images, positions, size
        self._statistics = {name: _tensor(value) for name, value in prepared.statistics.items()}

    def __len__(self) -> int:
        """How many batches one pass takes."""
        return -(-len(self.positions) // self.size)

    def shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        """One pass in an order that depends on seed and epoch only; a last batch of one sample is left out, for batch normalisation's sake."""
        order = self.positions[generator(seed, "order", epoch).permutation(len(self.positions))]
        for start in range(0, len(order), self.size):
            chosen = order[start : start + self.size]
            if len(chosen) > 1 or len(order) == 1:
                yield self.of(chosen, epoch)

    def in_order(self) -> Iterator[Batch]:
        """One pass as testing sees it: every sample once, nothing random."""
        for start in range(0, len(self.positions), self.size):
            yield self.of(self.positions[start : start + self.size], TESTING)

    def of(self, chosen: Int[np.ndarray, " batch"], epoch: int) -> Batch:
        """These samples. The jigsaw's permutations are drawn anew each epoch of training, as in the reference."""
        task, label = self.prepared.task, self.prepared.labels(chosen)
        if task.input is Input.TILES and epoch != TESTING and task.head is not None:
            label = np.array([[generator(epoch, "permutation", int(key)).integers(task.head.channels)] for key in chosen])
        mask = self.prepared.mask(chosen)
        images = np.asarray(self.images[self.prepared.samples[chosen].ravel()]).reshape(len(chosen), -1, *self.images.shape[1:])
        seen = as_seen(images, task.input, chosen, epoch, label[:, 0].astype(np.int64) if task.input is Input.TILES else None)
        values = tuple(_tensor(part) for part in label) if isinstance(label, tuple) else _tensor(label)
        return Batch(chosen, seen, Targets(values, None if mask is None else torch.from_numpy(mask), self._statistics, torch.from_numpy(chosen)))


def _tensor(value: Any) -> Any:
    """Arrays and lists of numbers as tensors: floating point in single precision, anything else as whole numbers."""
    if not isinstance(value, list | np.ndarray):
        return value
    array = np.asarray(value)
    return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))
