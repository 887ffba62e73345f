"""The affinity table: one row per transfer, the same CSV everywhere.

`target,sources,affinity[,low,high,gain,quality]`: `sources` are joined by `+`, one name is a first-order transfer, `self` is the
target's own fully supervised network. `a>b` is a transitive transfer from a by way of b, `a@0.02` one whose encoder was fine-tuned on that share of
the target's training images; both are of first order. An empty affinity is a transfer that was not measured; it is kept, counted, and never chosen.
"""

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.errors import TaskonomyError
from taskonomy.files import write_csv
from taskonomy.variants import variant

SELF = "self"
REQUIRED = ("target", "sources", "affinity")
OPTIONAL = ("low", "high", "gain", "quality")
SHARES = ("gain", "quality")
_SHOWN_PROBLEMS = 5


def join_sources(sources: Iterable[str]) -> str:
    """The written form of a transfer's sources."""
    return "+".join(sources)


def split_sources(text: str) -> tuple[str, ...]:
    """The sources of a written transfer, in the order written."""
    return tuple(text.split("+"))


@cache
def labelled(source: str) -> str:
    """The task that must be labelled in full for a source as written: a of `a`, of `a>b` and of `a@0.02`.

    The intermediate b is not one of them. It takes labels for a transfer's images, as every target does, and the paper's budget counts only tasks
    whose networks are trained in full.
    """
    found = variant(source)
    return source if found is None else found.source


def read_table(path: Path | str) -> pd.DataFrame:
    """Read and check an affinity table.

    Returns:
        Columns `target`, `sources` (tuples), `affinity`, `low`, `high`, `gain`, `quality`; what the file lacks is NaN.

    Raises:
        TaskonomyError: with the line numbers of what is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TaskonomyError(f"{path}: no such table") from None
    except UnicodeDecodeError:
        raise TaskonomyError(f"{path}: not a UTF-8 text file") from None
    return parse_table(text, str(path))


def parse_table(text: str, where: str) -> pd.DataFrame:
    """As `read_table`, from the text of a CSV; `where` names it in errors."""
    lines = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, None)
        columns = _columns(header, where)
        rows, problems = _rows(lines, columns)
    except csv.Error as error:
        raise TaskonomyError(f"{where}: line {lines.line_num}: {error}") from None
    if problems:
        more = f" (and {len(problems) - _SHOWN_PROBLEMS} more)" if len(problems) > _SHOWN_PROBLEMS else ""
        raise TaskonomyError(f"{where}: {'; '.join(problems[:_SHOWN_PROBLEMS])}{more}")
    if not rows:
        raise TaskonomyError(f"{where}: no rows below the header")
    frame = pd.DataFrame(rows, columns=list(columns)).reindex(columns=[*REQUIRED, *OPTIONAL])
    return frame.astype(dict.fromkeys(("affinity", *OPTIONAL), float))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as `read_table` reads it; columns without any value are left out."""
    columns = [*REQUIRED, *(name for name in OPTIONAL if name in frame and frame[name].notna().any())]
    write_csv(path, frame[columns].assign(sources=frame["sources"].map(join_sources)))


def unmeasured(frame: pd.DataFrame) -> str | None:
    """One line that counts the transfers without an affinity, or None where all were measured."""
    missing = int(frame["affinity"].isna().sum())
    return f"{missing} of {len(frame):,} transfers have no affinity: they are never chosen" if missing else None


def task_names(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The targets and the tasks labelled for the sources that a table names, each sorted."""
    sources = {labelled(name) for group in frame["sources"] for name in group if name != SELF}
    return sorted(set(frame["target"])), sorted(sources)


def is_gold(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are the target's own fully supervised network."""
    return frame["sources"].map(lambda sources: sources == (SELF,))


def _columns(header: list[str] | None, where: str) -> tuple[str, ...]:
    if not header:
        raise TaskonomyError(f"{where}: empty file; expected the header {','.join(REQUIRED)}[,{','.join(OPTIONAL)}]")
    columns = tuple(name.strip() for name in header)
    if missing := [name for name in REQUIRED if name not in columns]:
        raise TaskonomyError(f"{where}: line 1: column {', '.join(missing)} is missing")
    if bad := [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]:
        raise TaskonomyError(f"{where}: line 1: unknown column {', '.join(map(repr, bad))}; known: {', '.join(REQUIRED + OPTIONAL)}")
    if len(set(columns)) < len(columns):
        raise TaskonomyError(f"{where}: line 1: a column stands twice")
    return columns


def _rows(lines: Iterator[list[str]], columns: tuple[str, ...]) -> tuple[list[list[object]], list[str]]:
    rows: list[list[object]] = []
    problems: list[str] = []
    seen: dict[tuple[str, frozenset[str]], int] = {}
    mentioned: dict[str, int] = {}  # target -> first line of any row of it
    for cells in lines:
        number = lines.line_num  # type: ignore[attr-defined]
        if not cells:
            continue
        if len(cells) != len(columns):
            problems.append(f"line {number}: {len(cells)} cells under {len(columns)} columns")
            continue
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        target, sources = row["target"], split_sources(row["sources"])
        wrong = [*_names(target, sources), *_numbers(row)]
        key = (target, frozenset(sources))
        if key in seen:
            wrong.append(f"the same transfer as line {seen[key]}: {row['sources']} -> {target}")
        seen.setdefault(key, number)
        mentioned.setdefault(target, number)
        problems += [f"line {number}: {what}" for what in wrong]
        if not wrong:
            rows.append([_value(name, row, sources) for name in columns])
    measured = {row[columns.index("target")] for row in rows if not np.isnan(row[columns.index("affinity")])}  # type: ignore[call-overload]
    if not problems:
        problems = [f"line {line}: target {name} has no measured row" for name, line in mentioned.items() if name not in measured]
    return rows, problems


def _value(name: str, row: dict[str, str], sources: tuple[str, ...]) -> object:
    if name == "target":
        return row["target"]
    if name == "sources":
        return sources
    return float(row[name]) if row[name] else np.nan


def _names(target: str, sources: tuple[str, ...]) -> Iterator[str]:
    for name in (target, *sources):
        if not name or name != name.strip() or not name.isprintable() or "," in name:
            yield f"{name!r} is not a task name"
    if "+" in target:
        yield f"target {target!r} may not hold a +"
    if labelled(target) != target:
        yield f"target {target!r} is written as a variant of the source {labelled(target)}"
    if target == SELF:
        yield f"{SELF!r} is a source, not a target"
    if len(set(sources)) < len(sources):
        yield f"a source stands twice in {join_sources(sources)}"
    if SELF in map(labelled, sources) and sources != (SELF,):
        yield f"{SELF!r} stands beside other sources in {join_sources(sources)}"


def _numbers(row: dict[str, str]) -> Iterator[str]:
    for name, text in row.items():
        if name in ("target", "sources") or not text:
            continue
        try:
            value = float(text)
        except ValueError:
            yield f"{name} must be a number (is {text!r})"
            continue
        if not np.isfinite(value):
            yield f"{name} must be finite (is {text})"
        elif value < 0:
            yield f"{name} must be >= 0 (is {text})"
        elif name in SHARES and value > 1:
            yield f"{name} must be in [0, 1] (is {text})"
