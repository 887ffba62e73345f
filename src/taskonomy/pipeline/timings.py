"""Record how long stages took: a table per group, a CSV file, and the seconds for the next run."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskonomy.machine.terminal import clock, text_table
from taskonomy.pipeline.plan import group


@dataclass(frozen=True)
class Time:
    """The time of a stage that completed in this run.

    Attributes:
        stage: Its name.
        seconds: Its duration.
        start: When it started, in seconds from the start of the run.
        cached: Whether its outputs came from DVC's cache.
    """

    stage: str
    seconds: float
    start: float
    cached: bool


def table(times: Iterable[Time]) -> str:
    """Format a line per group of stages: how many ran, how many came from the cache, total seconds, and the longest."""
    groups: dict[str, list[Time]] = {}
    for time in sorted(times, key=lambda time: time.start):
        groups.setdefault(group(time.stage), []).append(time)
    rows = [("stage", "ran", "cached", "total", "longest")]
    for name, members in groups.items():
        longest = max(members, key=lambda time: time.seconds)
        cached = sum(time.cached for time in members)
        total = sum(time.seconds for time in members)
        label = f"{name} x{len(members)}" if len(members) > 1 else members[0].stage
        of = f" ({longest.stage})" if len(members) > 1 else ""
        rows.append((label, str(len(members) - cached), str(cached), clock(total), clock(longest.seconds) + of))
    return text_table(rows)


def as_csv(times: Iterable[Time]) -> str:
    """Format the times as CSV, in order of start."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stage", "seconds", "start", "cached"))
    for time in sorted(times, key=lambda time: time.start):
        writer.writerow((time.stage, f"{time.seconds:.3f}", f"{time.start:.3f}", str(time.cached).lower()))
    return text.getvalue()


def read_seconds(path: Path) -> dict[str, float]:
    """Read the seconds that stages took when they last ran; {} where none are known."""
    try:
        return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # missing, or truncated by a kill: times are only a hint, never an error
        return {}


def write_seconds(path: Path, known: Mapping[str, float], times: Iterable[Time]) -> None:
    """Record the times of this run for the next one."""
    path.write_text(json.dumps({**known, **{time.stage: round(time.seconds, 3) for time in times if not time.cached}}, indent=1))
