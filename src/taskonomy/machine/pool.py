"""Processes that help this one with a list of items: each is started when there is a core for it, and waits while there is none."""

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from queue import Empty, Queue
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

from taskonomy.errors import TaskonomyError
from taskonomy.machine.jobserver import Jobserver, give_back
from taskonomy.stage.snapshot import InputSnapshot, begin, begun

Item = TypeVar("Item")
Result = TypeVar("Result")
START = 6.0  # seconds that a process takes to start, torch and its compiler included: no less work is worth one
FIRST = 10.0  # seconds of the first item, which may load what all need, after which nobody waits for its end to judge
_AGAIN = 0.05  # seconds after which a token is asked for again


class WorkerPool(Generic[Item, Result]):
    """Up to `count` processes, each with a thread here that hands it items.

    Args:
        function: What they call.
        items: On what; this process takes its share by `next`.
        count: The most of them.
        tokens: Of the cores; None: there is a core for each.
        long: Whether any item is worth a process.
    """

    def __init__(self, function: Callable[[Item], Result], items: Iterable[Item], count: int, tokens: Jobserver | None, *, long: bool) -> None:
        self._function, self._left, self._tokens = function, deque(items), tokens
        self._done: Queue[tuple[Item, Result] | BaseException] = Queue(count)  # no larger: results can be large
        self._under_way = 0  # items that helpers have taken and this process has not seen again
        self._taking, self._asking, self._stop = Lock(), Lock(), Event()
        self._began = self._second = monotonic()  # of this process's first item and of its second
        self._mine = 0  # items that this process has begun
        self._long = long
        self._processes: list[_Process[Item, Result]] = []
        self._threads = [Thread(target=self._hand_out, daemon=True) for _ in range(count)]

    def __enter__(self) -> "WorkerPool[Item, Result]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        while any(thread.is_alive() for thread in self._threads):
            for process in list(self._processes):
                process.end()
            for thread in self._threads:
                self._drain()  # it may wait for room
                thread.join(_AGAIN)
        for process in self._processes:
            process.end()

    def next(self) -> tuple[Item] | None:
        """An item that nobody else has taken; None: there is none left."""
        with self._taking:
            if self._mine == 1:
                self._second = monotonic()
            self._mine += 1
            return (self._left.popleft(),) if self._left else None

    def finished(self) -> Iterator[tuple[Item, Result]]:
        """What helpers have finished since last time."""
        yield from map(self._seen, self._drain())

    def rest(self) -> Iterator[tuple[Item, Result]]:
        """What helpers still have to finish, as they do."""
        while self._under_way:
            yield self._seen(self._done.get())

    def _seen(self, done: tuple[Item, Result] | BaseException) -> tuple[Item, Result]:
        with self._taking:
            self._under_way -= 1
        if isinstance(done, BaseException):
            raise done
        return done

    def _drain(self) -> list[tuple[Item, Result] | BaseException]:
        found = []
        while True:
            try:
                found.append(self._done.get_nowait())
            except Empty:
                return found

    def _hand_out(self) -> None:
        process: _Process[Item, Result] | None = None
        done: tuple[Item, Result] | BaseException
        while self._left and not self._worth_a_process():
            if self._stop.wait(_AGAIN):
                return
        while (core := self._core()) is not None:
            try:
                with self._taking:
                    if self._stop.is_set() or not self._left:
                        return
                    item = self._left.popleft()
                    self._under_way += 1
                if process is None:
                    process = _Process(self._function)
                    self._processes.append(process)
                done = item, process.call(item)
            except BaseException as error:  # raised where results are seen
                done = error
            finally:
                if self._tokens is not None:
                    give_back(core)
            self._done.put(done)
            if isinstance(done, BaseException):
                return

    def _worth_a_process(self) -> bool:
        """Whether what is left would keep this process busy for longer than another takes to start, judged by all its items but the first."""
        with self._taking:
            now, left = monotonic(), len(self._left)
            if self._long:
                return True
            if self._mine < 2:
                return now - self._began >= FIRST
            return (now - self._second) / max(self._mine - 2, 1) * left >= START

    def _core(self) -> int | None:
        """The token of a core, when there is one; None: nothing is left to do on it."""
        with self._asking:  # one asks for all
            while self._left and not self._stop.is_set():
                core = 0 if self._tokens is None else self._tokens.borrow()
                if core is not None:
                    return core
                self._stop.wait(_AGAIN)
        return None


class _Process(Generic[Item, Result]):
    def __init__(self, function: Callable[[Item], Result]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function, _begun()), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, item: Item) -> Result:
        try:
            self._pipe.send(item)
            well, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise TaskonomyError(f"a process that worked for this one was killed (exit status {self._process.exitcode}): out of memory?") from None
        if not well:
            raise value
        return value

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


def _begun() -> InputSnapshot | None:
    return None if (seen := begun()) is None else seen.of_few()


def _serve(pipe: "Connection[tuple[bool, object], Item]", function: Callable[[Item], object], seen: InputSnapshot | None) -> None:
    """Answer item by item, until the other end is closed or dies; how the stage began there is known here."""
    begin(seen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the other end decides
    Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[bool, object] = True, function(item)
        except Exception as error:
            error.add_note(f"in a process of its own:\n{''.join(traceback.format_exception(error))}")
            answer = False, error
        pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
