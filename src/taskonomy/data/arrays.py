"""The arrays of prepared data, one row a view: their names, types and sizes, and what disk they need."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from taskonomy.tasks import Task
from taskonomy.tasks.labels import Label, Mask
from taskonomy.tasks.samples import nonfixated_pairs

_INDEX_ROW, _SMALL = 64, 2**20  # bytes: of a view in index.csv, at most; of cards, masks.json and the manifest


@dataclass(frozen=True)
class Array:
    """One array.

    Attributes:
        name: Its file, in the folder of prepared data.
        dtype: Of its numbers.
        shape: Of a row.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * prod(self.shape)

    def make(self, folder: Path, count: int) -> None:
        """An empty array of its final size; its room on the disk is taken at once, so that the disk cannot be full later.

        Raises:
            OSError: The disk is too small.
        """
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        empty = np.lib.format.open_memmap(path, "w+", self.dtype, (count, *self.shape))
        size = empty.offset + empty.nbytes
        del empty
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def rows(self, folder: Path, first: int, count: int) -> Any:
        """Some rows, to be written. Only they are mapped: what is mapped counts as memory of the process."""
        whole = np.load(folder / self.name, mmap_mode="r")
        return np.memmap(folder / self.name, self.dtype, "r+", whole.offset + first * self.row, (count, *self.shape))


@dataclass(frozen=True)
class Rows:
    """An array on disk that is mapped for each reading alone, so that it never counts as memory for long.

    Attributes:
        path: Of the array.
    """

    path: Path

    def __getitem__(self, rows: Any) -> Any:
        return np.load(self.path, mmap_mode="r")[rows]

    def __len__(self) -> int:
        return len(np.load(self.path, mmap_mode="r"))


def labels_of_views(tasks: Iterable[Task]) -> dict[str, Label]:
    """The labels that are made from one view's files, by task."""
    return {task.name: task.label for task in tasks if task.label is not None and task.label.make is not None}


def needs(tasks: Iterable[Task]) -> dict[str, list[str]]:
    """Domain -> the tasks that need it."""
    found: dict[str, list[str]] = {"rgb": ["every task"]}
    for task in tasks:
        domains = task.label.domains if task.label else ()
        for domain in (*domains, *(["nonfixated_matches"] if task.group is nonfixated_pairs else [])):
            found.setdefault(domain, []).append(task.name)
    return found


def arrays_of(tasks: Sequence[Task], size: int) -> list[Array]:
    """Those with a row for each view."""
    found = [Array("images.npy", np.dtype("uint8"), (size, size, 3))]
    if "point_info" in needs(tasks):
        found.append(Array("cameras.npy", np.dtype("float64"), (7,)))
    if any(task.label and task.label.mask is Mask.DEPTH for task in tasks):
        found.append(Array("masks/depth.npy", np.dtype("bool"), (size, size)))
    for name, label in labels_of_views(tasks).items():
        found.append(Array(f"tasks/{name}/label.npy", np.dtype(label.dtype), label.array_shape(size)))
    return found


def disk_needed(tasks: Sequence[Task], size: int, views: int) -> int:
    """Bytes of prepared data: every array, and at most one sample a view for each task of several images."""
    row = _INDEX_ROW + sum(array.row for array in arrays_of(tasks, size))
    for task in tasks:
        if task.group is not None:
            row += task.images * np.dtype(np.int64).itemsize
            if task.label is not None and task.label.make is None:
                row += np.dtype(task.label.dtype).itemsize * prod(task.label.array_shape(0))
    return views * row + _SMALL
