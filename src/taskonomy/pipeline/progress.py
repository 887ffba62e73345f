"""Show which stages run: live lines on a terminal, elsewhere a line per event."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from taskonomy.machine.terminal import clock, rough_duration
from taskonomy.pipeline.forecast import Forecast

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f]")


_STYLES = {"done": "green", "failed": "bold red", "stopped": "yellow"}


@dataclass(frozen=True)
class RunningLine:
    """A running stage: its name, its start (`time.monotonic`) and its log."""

    name: str
    started: float
    log: Path


class ProgressDisplay:
    """The progress of a run.

    Args:
        stream: Where to show it.
        total: Number of stages of the run.
        done: Number of stages that were unchanged.
        forecast: How long the others will take; None: stages are counted alone.
    """

    def __init__(self, stream: TextIO, total: int, done: int = 0, forecast: Forecast | None = None) -> None:
        self.stream, self.total, self.done, self.forecast = stream, total, done, forecast
        self._running: Sequence[RunningLine] = ()
        self._began = self._last = time.monotonic()
        self._live = self._display() if stream.isatty() and os.environ.get("TERM") != "dumb" else None

    def say(self, text: str) -> None:
        """Print a line that stays on the screen, its first word in colour on a terminal."""
        if self._live is None:
            print(text, file=self.stream, flush=True)
            return
        from rich.text import Text

        word = text.partition(" ")[0]
        self._live.console.print(Text.assemble((word, _STYLES.get(word, "")), text[len(word) :]), soft_wrap=True)

    def started(self, name: str) -> None:
        """Report that a stage has started; on a terminal its live line shows it."""
        if self._live is None:
            self.say(f"{'start':<10}{name}")

    def ended(self, name: str, what: str, seconds: float) -> None:
        """Report that a stage has ended."""
        self.done += 1
        self._running = [line for line in self._running if line.name != name]
        left = self._left(time.monotonic())
        self.say(f"{what:<10}{name}  {clock(seconds)}  [{self.done}/{self.total}{f', {left}' if left else ''}]")
        self._last = 0.0

    def draw(self, running: Sequence[RunningLine]) -> None:
        """Draw the live lines of the running stages; cheap enough to be called often."""
        now, self._running = time.monotonic(), running
        if self._live is None or now - self._last < 0.2:
            return
        self._last = now
        self._live.start()
        self._live.update(self._lines(running, now), refresh=True)

    def close(self) -> None:
        """Take the live lines away."""
        if self._live is not None:
            self._live.stop()

    def _known(self, now: float) -> tuple[Forecast, dict[str, float]] | None:
        """Return the forecast and for how many seconds stages have been running; None where there is none yet."""
        if self.forecast is None or self.forecast.lacks_estimates:
            return None
        return self.forecast, {line.name: now - line.started for line in self._running}

    def _left(self, now: float) -> str:
        """Word the time that is left; '' where nobody knows."""
        if (known := self._known(now)) is None or not (seconds := known[0].seconds_left(known[1])):
            return ""
        return f"about {rough_duration(seconds)} left"

    def _display(self) -> "Live":
        """Make the live part, which draws when told to, in this thread: stages are forked from this process."""
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self.stream, force_terminal=True, markup=False, emoji=False, highlight=False)
        return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)

    def _lines(self, running: Sequence[RunningLine], now: float) -> "Group":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        whole, stages = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2), expand=True)
        known = self._known(now)
        share = self.done / self.total if known is None else known[0].share(known[1])  # of the stages, or of their time
        whole.add_row(ProgressBar(1.0, share, width=20), f"{self.done}/{self.total} stages", clock(now - self._began), self._left(now))
        stages.add_column(no_wrap=True)
        stages.add_column(no_wrap=True, justify="right")
        stages.add_column(no_wrap=True, overflow="ellipsis", ratio=1)  # what the others leave
        for line in running:
            stages.add_row(f"  {line.name}", clock(now - line.started), last_line(line.log))
        return Group(whole, stages)


def last_line(log: Path, besides: tuple[str, ...] = (), within: int = 4096) -> str:
    """Return the last line of a log that is not empty and starts with none of `besides`; '' if its last `within` bytes hold none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - within))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = (_CODES.sub("", line).strip() for line in re.split(r"[\r\n]", text))
    return next((line for line in reversed(list(lines)) if line and not line.startswith(besides)), "")
