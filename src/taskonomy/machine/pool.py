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
START = 6.0  # seconds that a process takes to start, torch and its compiler included; less work is not worth one
FIRST = 10.0  # seconds; a first item that takes longer makes a process worth starting (its time is not counted otherwise: it may load modules)
_AGAIN = 0.05  # seconds between two attempts to borrow a token


class WorkerPool(Generic[Item, Result]):
    """Up to `count` processes, each with a thread in this process that passes items to it.

    Args:
        function: The function that they call.
        items: What to call it on; this process takes its share by `next`.
        count: Maximum number of processes.
        tokens: The cores' tokens; None: there is a core for each process.
        long: Whether any single item is worth a process.
    """

    def __init__(self, function: Callable[[Item], Result], items: Iterable[Item], count: int, tokens: Jobserver | None, *, long: bool) -> None:
        self._function, self._left, self._tokens = function, deque(items), tokens
        self._done: Queue[tuple[Item, Result] | BaseException] = Queue(count)  # limited, as results can be large
        self._under_way = 0  # items that worker processes have taken and whose results this process has not read
        self._taking, self._asking, self._stop = Lock(), Lock(), Event()
        self._began = self._second = monotonic()  # start of this process's first item, and of its second
        self._mine = 0  # number of items that this process has begun
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
                self._drain()  # a thread may wait for room in the queue
                thread.join(_AGAIN)
        for process in self._processes:
            process.end()

    def next(self) -> tuple[Item] | None:
        """Take an item that no other process has taken; None: there are no more."""
        with self._taking:
            if self._mine == 1:
                self._second = monotonic()
            self._mine += 1
            return (self._left.popleft(),) if self._left else None

    def finished(self) -> Iterator[tuple[Item, Result]]:
        """Yield the results that worker processes have finished since the last call."""
        yield from map(self._seen, self._drain())

    def rest(self) -> Iterator[tuple[Item, Result]]:
        """Yield the results that worker processes still have to finish, as they do."""
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
            except BaseException as error:  # raised where results are read
                done = error
            finally:
                if self._tokens is not None:
                    give_back(core)
            self._done.put(done)
            if isinstance(done, BaseException):
                return

    def _worth_a_process(self) -> bool:
        """Return whether the rest would keep this process busy for longer than another one takes to start, judged by all its items but the first."""
        with self._taking:
            now, left = monotonic(), len(self._left)
            if self._long:
                return True
            if self._mine < 2:
                return now - self._began >= FIRST
            return (now - self._second) / max(self._mine - 2, 1) * left >= START

    def _core(self) -> int | None:
        """Wait for the token of a core and return it; None: there are no items left."""
        with self._asking:  # only one thread asks at a time
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
    """Answer item by item, until the other end is closed or dies; `seen` is what the stage's input files were when it began."""
    begin(seen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes: the other end decides what happens
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
