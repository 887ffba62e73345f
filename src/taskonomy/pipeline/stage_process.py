"""Run one stage in a process forked for it, as `dvc repro --single-item` does."""

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

from taskonomy.dvc_internals import DvcException, LockError, StageCmdFailedError, dumps_yaml, lock_repo, to_lockfile
from taskonomy.errors import TaskonomyError
from taskonomy.machine.jobserver import TOKENS
from taskonomy.pipeline.lockfile import write_entry
from taskonomy.pipeline.plan import TITLE
from taskonomy.stage.declaration import of_dvc
from taskonomy.stage.snapshot import InputSnapshot, changed_message

if TYPE_CHECKING:
    from dvc.stage import Stage  # type: ignore[import-untyped]

OF_DVC = ("Running stage ", "> ", "failed to run: ")  # how lines begin that DVC, not the stage, prints about a command that failed
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Outcome(IntEnum):
    """How a stage's process ended, as its exit status."""

    RAN = 0
    FAILED = 1
    UNCHANGED = 10
    CACHED = 11  # its outputs came from DVC's cache


@dataclass(frozen=True)
class StageJob:
    """One stage to run.

    Attributes:
        stage: DVC's object of the stage.
        log: File for its output.
        turn: The file that the stages of one run lock before they take DVC's lock.
        tokens: Folder of the core tokens; the run holds one for this stage.
        force: Run it even if it is unchanged.
        pull: Fetch missing data from DVC's remote.
        tidy: Restores the order of dvc.lock and .gitignore; called for each stage, as a stage that reads a folder reads its .gitignore.
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
        """Return the stage's name."""
        return str(self.stage.addressing)


class Turn:
    """DVC's lock of the workspace, taken in turn by the stages of one run: DVC itself would retry only twice a second.

    It also records how far the stage is. A stage that is told to stop does not start its command, but once the command has ended, or while its
    result is being stored, the stage completes.

    Args:
        inner: DVC's lock.
        path: The file on which the stages of one run wait for each other.
    """

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner = inner
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY)  # opened here, not before the fork: forked file descriptors share one lock
        self.stop = False
        self.commanded = False

    @property
    def is_locked(self) -> bool:
        """Return whether this process holds DVC's lock."""
        return self._inner.is_locked

    @property
    def running(self) -> bool:
        """Return whether the command is running and DVC has nothing half done."""
        return self.commanded and not self._inner.is_locked

    def lock(self) -> None:
        """Wait for the lock.

        Raises:
            TaskonomyError: The stage was told to stop before its command started.
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
            except LockError:  # another dvc command has held it for some seconds
                fcntl.flock(self._file, fcntl.LOCK_UN)
            else:
                return

    def unlock(self) -> None:
        """Release the lock while the command runs: DVC calls this just before it starts the command.

        Raises:
            TaskonomyError: The stage was told to stop.
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
    """Run the stage and exit with an `Outcome`; everything that it and DVC print goes to the log."""
    parent = os.getppid()
    with suppress(PermissionError):
        os.setpgid(0, 0)  # a process group of its own, so that the stage and all that it starts can be stopped together
    _redirect(job.log)
    os.environ[TOKENS] = str(job.tokens)
    sys.argv = [TITLE]
    try:
        with job.stage.repo as repo:
            repo.lock = turn = Turn(repo.lock, job.turn)
            threading.Thread(target=_watch, args=(parent,), daemon=True).start()  # signals are still blocked, and stay blocked in this thread
            _listen(turn)
            outcome = _reproduce(turn, job)
    except StageCmdFailedError as error:  # the command itself may have printed the reason
        print(error)
        outcome = Outcome.FAILED
    except (DvcException, TaskonomyError, OSError) as error:
        print(f"error: {error}")
        outcome = Outcome.FAILED
    sys.exit(outcome)


def _reproduce(turn: Turn, job: StageJob) -> Outcome:
    """Reproduce one stage as `dvc repro` does, without building the graph."""
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
    """Check after DVC has hashed the stage's dependencies that they did not change: they may have while its command ran.

    Raises:
        TaskonomyError: A dependency changed after DVC first looked at it; nothing is recorded, and the outputs are removed.
    """
    seen, save = InputSnapshot.now(of_dvc(stage)), stage.save_deps

    def save_deps(**options: bool) -> None:
        save(**options)
        if turn.commanded and (names := seen.changed()):
            stage.remove_outs(ignore_remove=False, force=False)
            raise TaskonomyError(changed_message(names))

    stage.save_deps = save_deps
    try:
        yield
    finally:
        del stage.save_deps


def _write_down(stage: "Stage") -> None:
    """Record the stage as `stage.dump(update_pipeline=False)` does, but without rewriting the entries of other stages in dvc.lock."""
    path = f"{os.path.splitext(stage.path)[0]}.lock"
    if write_entry(path, stage.name, dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)})):
        stage.repo.scm_context.track_file(os.path.relpath(path))
    else:
        stage.dump(update_pipeline=False)


def _redirect(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(os.devnull) as nothing, open(log, "w") as file:
        os.dup2(nothing.fileno(), 0)  # the process runs in the background, where a stage that reads from the terminal would be stopped for ever
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).setLevel(logging.INFO)


def _listen(turn: Turn) -> None:
    """Install the signal handlers: SIGINT (which the command receives too) asks for an end; SIGTERM forces it once DVC has nothing half done."""

    def ask(number: int, _frame: object) -> None:
        turn.stop = True
        if number == signal.SIGTERM and turn.running:
            os.killpg(0, signal.SIGKILL)

    for number in STOPS:
        signal.signal(number, ask)  # not SIG_IGN, which the command would inherit
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _watch(parent: int) -> None:
    """End the stage when the process that started it is killed, as that process would have ended it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGINT)
    while True:
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGTERM)
