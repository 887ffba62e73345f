"""One stage, in a process forked for it, as `dvc repro --single-item` runs it."""

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dvc.exceptions import DvcException  # type: ignore[import-untyped]
from dvc.lock import LockError  # type: ignore[import-untyped]
from dvc.repo import lock_repo  # type: ignore[import-untyped]
from dvc.stage.exceptions import StageCmdFailedError  # type: ignore[import-untyped]
from dvc.stage.serialize import to_lockfile  # type: ignore[import-untyped]
from dvc.utils.serialize import dumps_yaml  # type: ignore[import-untyped]

from taskonomy.errors import TaskonomyError
from taskonomy.machine.jobserver import TOKENS
from taskonomy.pipeline.lockfile import write_entry
from taskonomy.pipeline.plan import TITLE
from taskonomy.stage.declaration import of_dvc
from taskonomy.stage.snapshot import InputSnapshot, told

if TYPE_CHECKING:
    from dvc.stage import Stage  # type: ignore[import-untyped]

OF_DVC = ("Running stage ", "> ", "failed to run: ")  # what DVC, not the stage, says of a command that failed
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Outcome(IntEnum):
    """How a stage's process ended: its exit status."""

    RAN = 0
    FAILED = 1
    UNCHANGED = 10
    CACHED = 11  # its outputs came out of DVC's cache


@dataclass(frozen=True)
class StageJob:
    """One stage to run.

    Attributes:
        stage: DVC's object.
        log: Where its output goes.
        turn: The file whose lock the stages of one run hold while they hold DVC's.
        tokens: The folder of the tokens of cores; the run holds one for it.
        force: Run it even if it is unchanged.
        pull: Fetch missing data from DVC's remote.
        tidy: Put dvc.lock and .gitignore into DVC's order; done for each stage, as a stage that reads a folder reads its .gitignore.
    """

    stage: "Stage"
    log: Path
    turn: Path
    tokens: Path
    force: bool
    pull: bool
    tidy: Callable[[], None]

    @property
    def name(self) -> str:
        """The stage's name."""
        return str(self.stage.addressing)


class Turn:
    """DVC's lock of the workspace, which the stages of one run take in turn: DVC by itself would try twice a second.

    It also knows what is going on: a stage that is told to stop does not start its command, but if the command is done, or its
    result is being stored, that goes to its end.

    Args:
        inner: DVC's lock.
        path: The file by which the stages of one run wait for each other.
    """

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner = inner
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY)  # opened here: a file that is forked shares its lock
        self.stop = False
        self.commanded = False

    @property
    def is_locked(self) -> bool:
        """This process holds DVC's lock."""
        return self._inner.is_locked

    @property
    def running(self) -> bool:
        """The command is running, and nothing of DVC's is half done."""
        return self.commanded and not self._inner.is_locked

    def lock(self) -> None:
        """Wait for it.

        Raises:
            TaskonomyError: Told to stop, and the command has not been started.
        """
        while True:
            if self.stop and not self.commanded:
                raise TaskonomyError("stopped before it started")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
                continue
            try:
                self._inner.lock()
            except LockError:  # after some seconds in which another dvc command has held it
                fcntl.flock(self._file, fcntl.LOCK_UN)
            else:
                return

    def unlock(self) -> None:
        """Let go while the command runs: DVC calls this just before it starts it.

        Raises:
            TaskonomyError: Told to stop.
        """
        if self.stop:
            raise TaskonomyError("stopped before it started")
        self.commanded = True
        self._release()

    def __enter__(self) -> None:
        self.lock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._release()

    def _release(self) -> None:
        self._inner.unlock()
        fcntl.flock(self._file, fcntl.LOCK_UN)


def work(job: StageJob) -> None:
    """Run the stage and exit with an `Outcome`; all that it and DVC print goes to the log."""
    parent = os.getppid()
    with suppress(PermissionError):
        os.setpgid(0, 0)  # so that the stage and all that it starts can be stopped together
    _redirect(job.log)
    os.environ[TOKENS] = str(job.tokens)
    sys.argv = [TITLE]
    try:
        with job.stage.repo as repo:
            repo.lock = turn = Turn(repo.lock, job.turn)
            threading.Thread(target=_watch, args=(parent,), daemon=True).start()  # signals are still blocked, and stay so in it
            _listen(turn)
            outcome = _reproduce(turn, job)
    except StageCmdFailedError as error:  # the command may have said why
        print(error)
        outcome = Outcome.FAILED
    except (DvcException, TaskonomyError, OSError) as error:
        print(f"error: {error}")
        outcome = Outcome.FAILED
    sys.exit(outcome)


def _reproduce(turn: Turn, job: StageJob) -> Outcome:
    """What DVC does for one stage of `dvc repro`, less the graph."""
    stage = job.stage
    with lock_repo(stage.repo), stage.repo.scm_context(quiet=True):
        with _recording_what_was_used(stage, turn):
            if stage.reproduce(force=job.force, pull=job.pull) is None:
                return Outcome.UNCHANGED
        _write_down(stage)
        job.tidy()
        return Outcome.RAN if turn.commanded else Outcome.CACHED


@contextmanager
def _recording_what_was_used(stage: "Stage", turn: Turn) -> Iterator[None]:
    """Compare once more when DVC has hashed what the stage depends on: between that and the end of a command anything may happen.

    Raises:
        TaskonomyError: It has changed since before DVC looked at it for the first time; nothing is recorded, and what was made is removed.
    """
    seen, save = InputSnapshot.now(of_dvc(stage)), stage.save_deps

    def save_deps(**options: bool) -> None:
        save(**options)
        if turn.commanded and (names := seen.changed()):
            stage.remove_outs(ignore_remove=False, force=False)
            raise TaskonomyError(told(names))

    stage.save_deps = save_deps
    try:
        yield
    finally:
        del stage.save_deps


def _write_down(stage: "Stage") -> None:
    """`stage.dump(update_pipeline=False)`, but that what dvc.lock has of other stages is not read and written anew."""
    path = f"{os.path.splitext(stage.path)[0]}.lock"
    if write_entry(path, stage.name, dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)})):
        stage.repo.scm_context.track_file(os.path.relpath(path))
    else:
        stage.dump(update_pipeline=False)


def _redirect(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.devnull) as nothing, open(log, "w") as file:
        os.dup2(nothing.fileno(), 0)  # a stage that asks the terminal would stop for good: it is in the background
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).setLevel(logging.INFO)


def _listen(turn: Turn) -> None:
    """SIGINT (which the command gets as well) asks for an end; SIGTERM makes one as soon as nothing of DVC's is half done."""

    def ask(number: int, _frame: object) -> None:
        turn.stop = True
        if number == signal.SIGTERM and turn.running:
            os.killpg(0, signal.SIGKILL)

    for number in STOPS:
        signal.signal(number, ask)  # not SIG_IGN, which the command would inherit
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _watch(parent: int) -> None:
    """When the process that started us is killed, end as it would have ended us."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGINT)
    while True:
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGTERM)
