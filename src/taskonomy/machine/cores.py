"""Work on every core: one process per core and one thread per process, so that results do not depend on the number of cores."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from taskonomy.errors import TaskonomyError
from taskonomy.machine.jobserver import TOKENS, Jobserver

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of processes to use: the cores that this process may run on, or fewer by the environment variable TASKONOMY_CORES."""
    wanted = os.environ.get("TASKONOMY_CORES", "")
    if wanted and not (wanted.isdigit() and int(wanted) >= 1):
        raise TaskonomyError(f"TASKONOMY_CORES must be a whole number >= 1 (is {wanted!r})")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(wanted), available) if wanted else available


def on_every_core(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int | None = None, *, long: bool = False
) -> Iterator[tuple[Item, Result]]:
    """Call `function` on every item, here and in other processes; yield items and results as they finish, in no order.

    In a stage of `taskonomy repro` another process works only while it holds a core's token, and is not started before one is free.
    An error in one ends them all. At most two results per process wait to be yielded, so they do not pile up.

    Args:
        function: Importable by name; its arguments and results travel between processes, so items hold all that it needs to know.
        items: What to call it on.
        processes: Number of processes, this one included; None: as many as `cores`.
        long: Whether each item is known to take longer than a process takes to start; if not, the first items are timed to find out.

    Raises:
        TaskonomyError: A process was killed.
    """
    items = list(items)
    count = min(processes or cores(), len(items))
    if count <= 1:
        for item in items:
            yield item, function(item)
        return
    from taskonomy.machine.pool import WorkerPool

    folder = os.environ.get(TOKENS)
    with WorkerPool(function, items, count - 1, Jobserver(Path(folder)) if folder else None, long=long) as pool:
        while (taken := pool.next()) is not None:
            yield taken[0], function(taken[0])
            yield from pool.finished()
        yield from pool.rest()


def progress(total: int, what: str, unit: str) -> "tqdm[Any]":
    """Build a progress bar with rate on standard error, silent where that is not a terminal."""
    return tqdm(total=total, desc=what, unit=f" {unit}", disable=not sys.stderr.isatty(), mininterval=0.5)
