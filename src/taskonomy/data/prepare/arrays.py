"""The arrays of prepared data, one row a view: their names, types and sizes, and what disk they need."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from taskonomy.labels.encodings import Label, Mask
from taskonomy.tasks import Task
from taskonomy.tasks.multi_view import nonfixated_pairs

_INDEX_ROW, _SMALL = 64, 2**20  # bytes: of a view in index.csv, at most; of cards, masks.json and the manifest
_SYNCED = 2**24  # bytes written, after which they are brought to the disk


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


class Writing:
    """Rows of arrays, written in place; they are on the disk when the `with` ends, and on their way there before.

    They are written to files, not to maps: the first touch of a page of a map costs more than the copy, and maps count as memory. What was written is
    brought to the disk by a thread beside, so that nobody waits for all of it at the end.

    Args:
        folder: Of the arrays.
        arrays: Which, made before.
        first: Row that the first is written to.
    """

    def __init__(self, folder: Path, arrays: Iterable[Array], first: int) -> None:
        self._open, self._beside = ExitStack(), ThreadPoolExecutor(1)
        self._files: dict[str, tuple[BinaryIO, int, Any]] = {}
        self._next: dict[str, int] = {}  # the row that a file stands at
        for array in arrays:
            path = folder / array.name
            self._open.enter_context(_named(path))
            file = self._open.enter_context(open(path, "r+b"))  # noqa: SIM115  # the stack closes it
            start = np.load(path, mmap_mode="r").offset + first * array.row
            self._files[array.name] = file, start, np.empty(array.shape, array.dtype)
        self._syncs, self._bytes = list[Future[None]](), 0

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._syncs.append(self._beside.submit(self._sync))
        self._beside.shutdown()
        self._open.close()
        if kind is None:
            for sync in self._syncs:
                sync.result()

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def write(self, name: str, row: int, values: Any) -> None:
        """A row of an array, its numbers as numpy assigns them.

        Args:
            name: Of the array.
            row: Counted from the first.
            values: Of the row.
        """
        file, start, numbers = self._files[name]
        numbers[...] = values
        with _named(file.name):
            if row != self._next.get(name):
                file.seek(start + row * numbers.nbytes)
            file.write(numbers)
        self._next[name] = row + 1
        self._bytes += numbers.nbytes
        if self._bytes >= _SYNCED and all(sync.done() for sync in self._syncs):
            self._bytes = 0
            self._syncs.append(self._beside.submit(self._sync))

    def _sync(self) -> None:
        for file, _start, _values in self._files.values():
            with _named(file.name):
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Errors of an open file, with its name: the system does not say it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


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
