"""The classes of Ray's actors: a worker of a cluster, and the source of its files. They are imported where Ray runs already."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from taskonomy.compute.file_mirror import CHUNK, FileState, Mirror
from taskonomy.compute.work import Work, moved

SAME = ("torch", "numpy")  # results have the same bits only if these have the same version


@dataclass(frozen=True)
class WorkOrder:
    """A unit for a worker.

    Attributes:
        work: The unit, with absolute paths.
        files: States of the files that it reads, and of the marker file that identifies the driver's store.
        how: As `execution.inputs`.
    """

    work: Work
    files: tuple[FileState, ...]
    how: str


@dataclass(frozen=True)
class WorkerAnswer:
    """The result of a unit.

    Attributes:
        value: What the function returned.
        units: The finished units, as the store keeps them; none where the worker wrote into the driver's store.
        error: What the function raised.
        unseen: A file that the worker does not see, and for which it was given no source: the unit is not done.
    """

    value: Any = None
    units: tuple[tuple[str, bytes], ...] = ()
    error: Exception | None = None
    unseen: Path | None = None


class Worker:
    """Does one unit after another.

    Args:
        driver: Name of the driver that it works for.
    """

    def __init__(self, driver: str) -> None:
        self._driver = driver
        self._mirror: Mirror | None = None

    def versions(self) -> WorkerAnswer:
        """Return the versions of the packages that decide bits."""
        return WorkerAnswer({name: version(name) for name in SAME})

    def do(self, order: WorkOrder, source: Any) -> WorkerAnswer:
        """Do a unit.

        Args:
            order: The unit.
            source: The actor that sends the driver's files; None: there is none yet.
        """
        try:
            unseen = next((file.path for file in order.files if not file.is_here()), None)
            if unseen is None and order.how != "copy":
                return WorkerAnswer(order.work.do())
            if source is None:
                return WorkerAnswer(unseen=unseen or order.files[0].path)
            return self._with_copies(order, source)
        except Exception as error:
            error.add_note(f"in a worker of the cluster:\n{''.join(traceback.format_exception(error))}")
            return WorkerAnswer(error=error)

    def _with_copies(self, order: WorkOrder, source: Any) -> WorkerAnswer:
        import ray

        from taskonomy.store.store import Store

        self._mirror = mirror = self._mirror or Mirror(ray.get_runtime_context().get_node_id(), self._driver)
        for file in order.files:
            mirror.bring(file, lambda path, size: _fetched(source, path, size))
        work, store = order.work, Store(mirror.where(order.work.store))
        value = work.function(moved(work.item, mirror.where))
        units = tuple((key, store.packed(key)) for key in (*work.keys, *filter(store.has, work.perhaps)))
        for key, _data in units:
            store.remove(key)
        return WorkerAnswer(value, units)


class FileSource:
    """Sends files of the machine it runs on, and counts how often it sent each."""

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}

    def chunk(self, path: Path, start: int) -> bytes:
        """Read a part of a file; it is sent through Ray's object store."""
        if start == 0:
            self._sent[str(path)] = self._sent.get(str(path), 0) + 1
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(CHUNK)

    def sent(self) -> dict[str, int]:
        """Return how often each file was asked for."""
        return self._sent


def _fetched(source: Any, path: Path, size: int) -> Iterator[bytes]:
    import ray

    for start in range(0, size, CHUNK):
        yield ray.get(source.chunk.remote(path, start))
