"""Work on every core: one process per core and one thread per process, so that results do not depend on how many there are."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any, TypeVar

from tqdm import tqdm

from taskonomy.errors import TaskonomyError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Processes to use: what this process may run on, or fewer by the environment variable TASKONOMY_CORES."""
    wanted = os.environ.get("TASKONOMY_CORES", "")
    if wanted and not (wanted.isdigit() and int(wanted) >= 1):
        raise TaskonomyError(f"TASKONOMY_CORES must be a whole number >= 1 (is {wanted!r})")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(wanted), available) if wanted else available


def on_every_core(function: Callable[[Item], Result], items: Iterable[Item], processes: int | None = None) -> Iterator[tuple[Item, Result]]:
    """Call `function` on every item, in processes of their own; yields as they finish, in no order.

    An error in one ends them all. At most two items per process are under way or waiting, so results do not pile up.

    Args:
        function: Importable by name; its arguments and results travel between processes.
        items: What to call it on.
        processes: How many; None: as many as `cores`.
    """
    count = processes or cores()
    if count == 1:
        for item in items:
            yield item, function(item)
        return
    left = iter(items)
    from taskonomy.tasks.own import declare, own_tasks  # the processes know the tasks that this one knows

    known: dict[str, Any] = {"initializer": declare, "initargs": (own,)} if (own := own_tasks()) else {}
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), **known) as pool:
        under_way: dict[Future[Result], Item] = {}
        try:
            while True:
                for item in islice(left, 2 * count - len(under_way)):
                    under_way[pool.submit(function, item)] = item
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    yield under_way.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def progress(total: int, what: str, unit: str) -> "tqdm[Any]":
    """A bar with rate on standard error; silent where nobody looks."""
    return tqdm(total=total, desc=what, unit=f" {unit}", disable=not sys.stderr.isatty(), mininterval=0.5)
