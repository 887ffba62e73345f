"""Forecast how long a run will still take: from the times of earlier stages, and before there are any from `taskonomy plan`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from statistics import mean

from taskonomy.pipeline.plan import group

START_SECONDS = 3.0  # of a stage of which nothing is known: most of them load libraries and little more
# Groups of stages that `taskonomy plan` estimates -> the lines of its time that they take.
ESTIMATED = {
    "world": ("world and labels",),
    "train": ("task networks", "best constants", "codes"),
    "transfer": ("from scratch", "transfers of order"),
}


class Forecast:
    """Expected seconds of the stages of a run, corrected as stages end.

    Args:
        pending: Stages that may run.
        known: Seconds that stages took when they last ran.
        jobs: Maximum number of stages at once.
    """

    def __init__(self, pending: Iterable[str], known: Mapping[str, float], jobs: int) -> None:
        self.jobs, self.left = jobs, set(pending)
        self._known = dict(known)
        self._plan: dict[str, float] = {}  # group -> seconds of one stage, estimated
        self._ran: dict[str, list[tuple[float, float]]] = {}  # group -> expected and real seconds of stages that ended
        self._spent = 0.0

    @property
    def lacks_estimates(self) -> bool:
        """Return whether there are stages, of those that take long, of which nothing is known."""
        groups = {group(name) for name in self._known} | self._plan.keys()
        return any(group(name) in ESTIMATED and group(name) not in groups for name in self.left)

    def estimate(self, seconds: Mapping[str, float], stages: Mapping[str, int]) -> None:
        """Take over what `taskonomy plan --json` says: seconds of one process by lines, and the number of stages by name."""
        for name, lines in ESTIMATED.items():
            total = sum(value for line, value in seconds.items() if line.startswith(lines))
            if stages.get(name) and total:
                self._plan[name] = total / stages[name]

    def ended(self, name: str, seconds: float, *, ran: bool) -> None:
        """Note that a stage has ended; one that ran, rather than being found unchanged or in the cache, corrects its group."""
        expected = self._expected(name)
        self.left.discard(name)
        self._spent += expected
        if ran:
            self._ran.setdefault(group(name), []).append((self._expected_before(name), seconds))

    def seconds_left(self, running: Mapping[str, float]) -> float:
        """Compute the seconds until the end: the work that is left, side by side, but no less than the longest stage.

        Args:
            running: Seconds for which stages have been running.
        """
        left = [max(self._expected(name) - running.get(name, 0.0), 0.0) for name in self.left]
        return max(sum(left) / min(self.jobs, max(len(left), 1)), max(left, default=0.0))

    def share(self, running: Mapping[str, float]) -> float:
        """Compute the share of the work that is done, in [0, 1]."""
        begun = sum(min(running.get(name, 0.0), self._expected(name)) for name in self.left)
        total = self._spent + sum(map(self._expected, self.left))
        return (self._spent + begun) / total if total else 1.0

    def _expected(self, name: str) -> float:
        pairs = self._ran.get(group(name), ())
        before = sum(expected for expected, _ in pairs)
        return self._expected_before(name) * (sum(real for _, real in pairs) / before if before else 1.0)

    def _expected_before(self, name: str) -> float:
        """Return what was expected before anything ran: as last time, as its group last time, or as planned."""
        if name in self._known:
            return self._known[name]
        alike = [seconds for other, seconds in self._known.items() if group(other) == group(name)]
        return mean(alike) if alike else self._plan.get(group(name), START_SECONDS)


class PlanProcess:
    """`taskonomy plan` beside a run, at the lowest priority; its answer is a forecast's, and a run goes on without one."""

    def __init__(self) -> None:
        command = (sys.executable, "-m", "taskonomy.cli.main", "plan", "--json", "--seconds", "10")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    def answer(self) -> tuple[dict[str, float], dict[str, int]] | None:
        """Return seconds by lines and the number of stages by name, once they are there; None: not yet, or there is no estimate."""
        if self._process.poll() != 0 or self._process.stdout is None or self._process.stdout.closed:
            return None
        with self._process.stdout as stream:
            found = json.loads(stream.read())
        return found["seconds"], found["stages"]

    def stop(self) -> None:
        """End the process, whether it has answered or not."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
