"""Run the stages of a plan in parallel, each as soon as the stages that it needs are done."""

import fcntl
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from taskonomy.dvc_internals import Repo
from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import cores
from taskonomy.machine.jobserver import Jobserver, give_back
from taskonomy.machine.terminal import clock
from taskonomy.pipeline.dvc_state import keep_state_in
from taskonomy.pipeline.forecast import Forecast, PlanProcess
from taskonomy.pipeline.fork_server.daemon import python
from taskonomy.pipeline.lockfile import UNFINISHED, Unfinished
from taskonomy.pipeline.plan import PipelinePlan, let_go, one_line_of_dvc, ranks, read_plan
from taskonomy.pipeline.progress import ProgressDisplay, RunningLine, last_line
from taskonomy.pipeline.stage_process import OF_DVC, STOPS, Outcome, StageJob, work
from taskonomy.pipeline.timings import Time, as_csv, read_seconds, table, write_seconds

INTERRUPTED = 130
_ECHO = 1.0  # seconds within which a signal is the one before: the terminal and programs in between may each deliver it
_PATIENCE = 10.0  # seconds that a stage may take to end after it was told to: DVC may still be storing its outputs


@dataclass(frozen=True)
class Request:
    """What to run, and how.

    Attributes:
        targets: Stages, groups, dvc.yaml files or outputs, with the stages that they need; none: the whole pipeline.
        jobs: Maximum number of stages at once.
        force: Run unchanged stages, too.
        pull: Fetch missing data and the run cache from DVC's remote.
        downstream: Run the targets and the stages that need them, instead of the stages that the targets need.
        times: A CSV file to write the stages' times to.
    """

    targets: Sequence[str] = ()
    jobs: int = 1
    force: bool = False
    pull: bool = False
    downstream: bool = False
    times: Path | None = None


def dry(request: Request) -> str:
    """Return the stages that may run, in DVC's order, each with the reason; a stage after others runs only if they change one of its dependencies.

    Raises:
        TaskonomyError: See `read_plan`.
    """
    plan = read_plan(request.targets, force=request.force, downstream=request.downstream)
    wide = max(map(len, plan.pending), default=0)
    lines = [f"{name:<{wide}}  {why}" for name, why in plan.pending.items()]
    return "\n".join([*lines, f"{len(plan.names)} stages: {len(plan.pending)} may run, {len(plan.names) - len(plan.pending)} unchanged"])


def repro(request: Request) -> int:
    """Run the changed stages, report on them, and return the exit status: 0, 1 if a stage failed, 130 if interrupted.

    Raises:
        TaskonomyError: See `read_plan`; or another run is active in this workspace.
    """
    began = time.monotonic()
    with _alone():
        plan = read_plan(request.targets, force=request.force, downstream=request.downstream, pull=request.pull, alone=True)
        unfinished = Unfinished(plan.scratch / UNFINISHED, plan.order)
        run = PipelineRun(plan, request, began, unfinished)
        if plan.pending or unfinished.resumed:
            try:
                with _signals(run), python(str(plan.stages[name].cmd) for name in plan.pending):
                    run.all()
            finally:
                run.display.close()
                if run.planning is not None:
                    run.planning.stop()
                with one_line_of_dvc(), Repo(_wait_for_lock=True) as repo, repo.lock:
                    let_go(plan.scratch)
                    unfinished.close(finished=run.well)
                write_seconds(run.memory, run.known, run.times)
    return run.report()


class PipelineRun:
    """A run in progress.

    Args:
        plan: Its stages.
        request: How to run them.
        began: When the run began, by `time.monotonic`.
        unfinished: The record that is updated as the run proceeds.
    """

    def __init__(self, plan: PipelinePlan, request: Request, began: float, unfinished: Unfinished) -> None:
        self.plan, self.request, self.began, self.unfinished = plan, request, began, unfinished
        self.memory = plan.scratch / "taskonomy-durations.json"
        self.known = read_seconds(self.memory)
        self.rank = ranks(plan, self.known)
        self.left = set(plan.pending)
        self.running: dict[str, Running] = {}
        self.failed: dict[str, Path] = {}
        self.times: list[Time] = []
        self.signals = 0
        self.forecast = Forecast(plan.pending, self.known, request.jobs)
        self.planning: PlanProcess | None = None  # while it estimates what no earlier run has measured
        self.display = ProgressDisplay(sys.stderr, len(plan.names), len(plan.names) - len(plan.pending), self.forecast)
        self.tokens = Jobserver.make(plan.scratch / "taskonomy-tokens", max(cores(), request.jobs))
        self.held: list[int] = []  # one token for each running stage
        self.claim: int | None = None  # set while a stage that is ready has no token

    @property
    def well(self) -> bool:
        """Return whether every stage is done and none failed."""
        return not (self.left or self.running or self.failed)

    def all(self) -> None:
        """Start stages and wait for them until no more can run."""
        signalled, stop_by = 0, float("inf")
        if self.left and self.display.done:
            self.display.say(f"{self.display.done} of {self.display.total} stages are unchanged")
        if self.forecast.lacks_estimates and (self.plan.root / "params.yaml").is_file():
            self.planning = PlanProcess()
        while True:
            if self.planning is not None and (answer := self.planning.answer()) is not None:
                self.forecast.estimate(*answer)
                self.planning = None
            if not self.signals and self._start():
                self.unfinished.note(self.running)
            if not self.running:
                return
            if self.signals > signalled:
                self._tell((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[min(self.signals, 3) - 1])
                signalled, stop_by = self.signals, time.monotonic() + _PATIENCE
                self.display.say(f"stopping {', '.join(self.running)}; once more to kill")
            elif time.monotonic() > stop_by:
                self._tell(signal.SIGTERM)
                stop_by = time.monotonic() + 1
            ended = wait([one.process.sentinel for one in self.running.values()], timeout=0.1)
            for one in [one for one in self.running.values() if one.process.sentinel in ended]:
                self._end(one)
                self.unfinished.note(self.running)
            self.display.draw([RunningLine(one.job.name, one.started, one.job.log) for one in self.running.values()])

    def report(self) -> int:
        """Print how the run went and return the exit status."""
        seconds = clock(time.monotonic() - self.began)
        if self.times:
            print(table(self.times))
        if self.request.times is not None:
            from taskonomy.atomic_io import write_text

            write_text(self.request.times, as_csv(self.times))
        cached = sum(one.cached for one in self.times)
        parts = [f"{len(self.times) - cached} ran", f"{cached} from the cache"]
        parts += [f"{len(self.plan.names) - len(self.times) - len(self.left) - len(self.failed)} unchanged"]
        parts += [f"{len(self.failed)} failed"] * bool(self.failed) + [f"{len(self.left)} not run"] * bool(self.left)
        print(f"{len(self.plan.names)} stages in {seconds}: {', '.join(parts)}", flush=True)
        for name, log in self.failed.items():
            why = last_line(log, OF_DVC) or last_line(log) or "killed"
            print(f"failed: {name}: {why} ({os.path.relpath(log)})", file=sys.stderr)
        return INTERRUPTED if self.signals else int(bool(self.failed))

    def _start(self) -> bool:
        """Start the stages that are ready, each with a token; the other cores are left to the stages that run."""
        stuck = self.left | self.running.keys() | self.failed.keys()
        ready = sorted((name for name in self.left if not self.plan.needs[name] & stuck), key=self.rank.__getitem__)
        ready = ready[: self._with_tokens(min(self.request.jobs, len(self.running) + len(ready))) - len(self.running)]
        for name in ready:
            log = self.plan.scratch / "taskonomy-logs" / f"{re.sub(r'[^A-Za-z0-9_.@-]', '-', name)}.log"
            job = StageJob(
                self.plan.stages[name],
                log=log,
                turn=self.plan.scratch / "taskonomy-turn",
                tokens=self.tokens.folder,
                force=self.request.force,
                pull=self.request.pull,
                tidy=self.unfinished.tidy,
            )
            self.left.remove(name)
            self.running[name] = Running.begin(job)
            self.display.started(name)
        return bool(ready)

    def _with_tokens(self, wanted: int) -> int:
        """Return for how many stages there are tokens: an ended stage's token goes to the next stage before any other process can borrow it."""
        while len(self.held) < wanted and (token := self.tokens.take()) is not None:
            self.held.append(token)
        while len(self.held) > wanted:
            give_back(self.held.pop())
        if len(self.held) < wanted:
            self.claim = self.tokens.claim() if self.claim is None else self.claim
        elif self.claim is not None:
            give_back(self.claim)
            self.claim = None
        return len(self.held)

    def _end(self, one: "Running") -> None:
        one.process.join()
        del self.running[one.job.name]
        seconds, status = time.monotonic() - one.started, one.process.exitcode
        outcome = Outcome(status) if status in list(Outcome) else Outcome.FAILED
        if outcome is Outcome.FAILED:  # processes that the stage started must not outlive it
            one.tell(signal.SIGKILL)
        if outcome is Outcome.FAILED and self.signals:
            self.left.add(one.job.name)
            return self.display.say(f"stopped   {one.job.name}")
        if outcome is Outcome.FAILED:
            self.failed[one.job.name] = one.job.log
        elif outcome is not Outcome.UNCHANGED:
            self.times.append(Time(one.job.name, seconds, one.started - self.began, outcome is Outcome.CACHED))
        self.forecast.ended(one.job.name, seconds, ran=outcome is Outcome.RAN)
        return self.display.ended(one.job.name, {Outcome.RAN: "done"}.get(outcome, outcome.name.lower()), seconds)

    def _tell(self, number: int) -> None:
        for one in self.running.values():
            one.tell(number)


@dataclass(frozen=True)
class Running:
    """A running stage: its job, its process, and when it started."""

    job: StageJob
    process: BaseProcess
    started: float

    @classmethod
    def begin(cls, job: StageJob) -> "Running":
        """Fork the stage's process, in which DVC is loaded already; signals are blocked until the child has set its handlers."""
        process = multiprocessing.get_context("fork").Process(target=work, args=(job,), name=job.name)
        sys.stdout.flush()
        sys.stderr.flush()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            process.start()
            with suppress(ProcessLookupError, PermissionError):
                os.setpgid(process.pid or 0, process.pid or 0)  # both parent and child call this, as either may come first
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(job, process, time.monotonic())

    def tell(self, number: int) -> None:
        """Send a signal to the stage and to all processes that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid or 0, number)


@contextmanager
def _alone() -> Iterator[None]:
    """Ensure that a workspace has one run at a time; the stages of a killed run hold its lock until they have ended."""
    with one_line_of_dvc():
        keep_state_in(dvc := Path(Repo.find_dvc_dir()))
        scratch = dvc / "tmp"
    scratch.mkdir(exist_ok=True)
    with open(scratch / "taskonomy.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise TaskonomyError(f"another run is going on in this workspace (process {file.read().strip() or 'unknown'})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _signals(run: PipelineRun) -> Iterator[None]:
    """Record signals and handle them between two events, so that none interrupts the start of a stage."""

    last = float("-inf")

    def count(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > _ECHO:
            run.signals += 1
        last = time.monotonic()

    before = {number: signal.signal(number, count) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
