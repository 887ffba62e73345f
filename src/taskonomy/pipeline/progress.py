"""Show which stages run: live lines on a terminal, elsewhere a line per event."""

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True)
class Line:
    """A running stage: its name, its start (`time.monotonic`) and its log."""

    name: str
    started: float
    log: Path


class Screen:
    """The progress of a run.

    Args:
        stream: Where to show it.
        total: Number of stages of the run.
        done: Number of stages that were unchanged.
    """

    def __init__(self, stream: TextIO, total: int, done: int = 0) -> None:
        self.stream, self.total, self.done = stream, total, done
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        self._began = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line that stays on the screen."""
        self._clear()
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def started(self, name: str) -> None:
        """Report that a stage has started; on a terminal its live line shows it."""
        if not self.live:
            self.say(f"{'start':<10}{name}")

    def ended(self, name: str, what: str, seconds: float) -> None:
        """Report that a stage has ended."""
        self.done += 1
        self.say(f"{what:<10}{name}  {clock(seconds)}  [{self.done}/{self.total}]")
        self._last = 0.0

    def draw(self, running: Sequence[Line]) -> None:
        """Draw the live lines of the running stages; cheap enough to be called often."""
        now = time.monotonic()
        if not self.live or now - self._last < 0.2:
            return
        self._last = now
        width, height = shutil.get_terminal_size()
        wide = max((len(line.name) for line in running), default=0)
        filled = 20 * self.done // max(self.total, 1)
        lines = [f"[{'#' * filled}{'.' * (20 - filled)}] {self.done}/{self.total} stages  {clock(now - self._began)}"]
        lines += [f"  {line.name:<{wide}}  {clock(now - line.started):>7}  {last_line(line.log)}" for line in running]
        self._clear()
        lines = [line[: width - 1] for line in lines[: height - 1]]
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()
        self._drawn = len(lines)

    def _clear(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


def clock(seconds: float) -> str:
    """Format seconds for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


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
