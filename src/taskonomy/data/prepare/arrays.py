"""The arrays of prepared data, one row per view: their names, types, shapes, and the disk space they need."""

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

from taskonomy.config.data_params import Fit
from taskonomy.labels.encodings import Label, Mask
from taskonomy.tasks import Task
from taskonomy.tasks.multi_view import nonfixated_pairs

_INDEX_ROW, _SMALL = 64, 2**20  # bytes, at most: of a view's row in index.csv; of cards, masks.json and the manifest together
_SYNCED = 2**24  # least number of bytes written between two calls of fsync


@dataclass(frozen=True)
class Array:
    """One array on disk.

    Attributes:
        name: Its file, in the folder of prepared data.
        dtype: Type of its numbers.
        shape: Shape of a row.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """Return the size of a row in bytes."""
        return self.dtype.itemsize * prod(self.shape)

    def make(self, folder: Path, count: int) -> None:
        """Create the array with its final size. Its disk space is allocated at once, so that the disk cannot fill up later.

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
    """Writes rows of arrays in place; everything is on the disk when the `with` block ends.

    Rows are written to files, not to memory maps: the first write to a page of a map costs more than the copy, and maps count as memory. A thread
    calls fsync from time to time, so that little is left to write at the end.

    Args:
        folder: Folder of the arrays.
        arrays: Arrays to write to; they exist already.
        first: Row of the array that row 0 is written to.
    """

    def __init__(self, folder: Path, arrays: Iterable[Array], first: int) -> None:
        self._open, self._beside = ExitStack(), ThreadPoolExecutor(1)
        self._files: dict[str, tuple[BinaryIO, int, Any]] = {}
        self._next: dict[str, int] = {}  # row at which the file is positioned
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
        """Write a row of an array; numbers are converted as in an assignment to a NumPy array.

        Args:
            name: Name of the array.
            row: Row, counted from `first`.
            values: Numbers of the row.
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
    """Add the file's name to the errors of an open file, which lack it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@dataclass(frozen=True)
class Rows:
    """An array on disk that is mapped anew for each access, so that its pages do not stay in memory.

    Attributes:
        path: File of the array.
    """

    path: Path

    def __getitem__(self, rows: Any) -> Any:
        return np.load(self.path, mmap_mode="r")[rows]

    def __len__(self) -> int:
        return len(np.load(self.path, mmap_mode="r"))


def labels_of_views(tasks: Iterable[Task]) -> dict[str, Label]:
    """Return the labels that are made from the files of a single view, by task."""
    return {task.name: task.label for task in tasks if task.label is not None and task.label.make is not None}


def needs(tasks: Iterable[Task]) -> dict[str, list[str]]:
    """Return domain -> the tasks that need it."""
    found: dict[str, list[str]] = {"rgb": ["every task"]}
    for task in tasks:
        domains = task.label.domains if task.label else ()
        for domain in (*domains, *(["nonfixated_matches"] if task.group is nonfixated_pairs else [])):
            found.setdefault(domain, []).append(task.name)
    return found


def arrays_of(tasks: Sequence[Task], size: int, fit: Fit = Fit.CROP) -> list[Array]:
    """Return the arrays that have a row for each view."""
    found = [Array("images.npy", np.dtype("uint8"), (size, size, 3))]
    if "point_info" in needs(tasks):
        found.append(Array("cameras.npy", np.dtype("float64"), (7,)))
    if any(task.label and task.label.mask is Mask.DEPTH for task in tasks):
        found.append(Array("masks/depth.npy", np.dtype("bool"), (size, size)))
    if fit is Fit.PAD:
        found.append(Array("masks/shown.npy", np.dtype("bool"), (size, size)))
    for name, label in labels_of_views(tasks).items():
        found.append(Array(f"tasks/{name}/label.npy", np.dtype(label.dtype), label.array_shape(size)))
        if label.mask is Mask.OWN:
            found.append(Array(f"tasks/{name}/mask.npy", np.dtype("bool"), (size, size)))
    return found


def disk_needed(tasks: Sequence[Task], size: int, views: int, fit: Fit = Fit.CROP) -> int:
    """Return the bytes that prepared data needs: every array, and at most one sample per view for each task of several images."""
    row = _INDEX_ROW + sum(array.row for array in arrays_of(tasks, size, fit))
    for task in tasks:
        if task.group is not None:
            row += task.images * np.dtype(np.int64).itemsize
            if task.label is not None and task.label.make is None:
                row += np.dtype(task.label.dtype).itemsize * prod(task.label.array_shape(0))
    return views * row + _SMALL
