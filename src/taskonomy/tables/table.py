"""The affinity table: one row per transfer, in the same CSV format everywhere.

`target,sources,affinity`, and any of `OPTIONAL`: `sources` are joined by `+`, one name is a first-order transfer, `self` is the target's own fully
supervised network. `a>b` is a transitive transfer from a via b, `a@0.02` one whose encoder was fine-tuned on that share of the target's training
images; both are of first order. An empty affinity means that the transfer was not measured; it is kept, counted, never chosen.

Win rates: `gain` is against a shallow network on the image, trained as the transfers are (paper: pixels), `gain_scratch` against the target's whole
network, trained from scratch on the transfer's images, `quality` against its own network, `beats_constant` against the best constant.

`imputed` is 1 where an affinity was not measured but predicted from a screen, with the interval low to high; no claim of a measurement rests on it.

`images` is how many labelled images of the target the row's transfer was trained on, where a table has several amounts; `self` on so many is the
target's whole network, trained from scratch on them. Empty: in rows `self` all that there are, in others the one amount of the table.

Sources that others trained are named by further columns, `external,licence,inference`: which of the row's sources these are, joined by `+`; and, in
rows of one source, its licence, and the multiply-adds of its encoder (of any source, external or not), millions for each image.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.atomic_io import write_csv
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.tables.csv_reader import Sheet, parse_sheet, read_sheet
from taskonomy.tables.transfer_spec import variant

SELF, RANDOM = "self", "random_projection"  # sources that are no task: the target's own network, and an encoder with random weights
PIXELS = "pixels"  # in tables of losses: the shallow network on the image, which no affinity table has as a row
REQUIRED = ("target", "sources", "affinity")
OPTIONAL = ("low", "high", "gain", "quality", "gain_scratch", "beats_constant", "imputed")
IMAGES = "images"  # most tables have one amount of labels, and no such column
ABOUT = ("external", "licence", "inference")  # about sources, not transfers; most tables have none of them
NAMES = ("target", "sources", "external", "licence")
SHARES = ("gain", "quality", "gain_scratch", "beats_constant")
# Win rates that are claimed of policies: gain is against a shallow network on the image (paper: pixels), the other against a whole one from scratch.
MEASURES = ("gain", "gain_scratch", "quality")
_SHOWN_PROBLEMS = 5
_MOST_IMAGES = 10**12


def join_sources(sources: Iterable[str]) -> str:
    """Join a transfer's sources in their written form."""
    return "+".join(sources)


def split_sources(text: str) -> tuple[str, ...]:
    """Split the sources of a transfer as written or printed (`b+c`, `b + c`), keeping their order."""
    return tuple(normal(name.strip()) for name in text.split("+"))


@cache
def labelled(source: str) -> str:
    """Return the task that must be labelled in full for a source as written: a for `a`, `a>b` and `a@0.02`.

    The intermediate b need not be labelled in full. It needs labels for a transfer's images only, as every target does, and the paper's
    budget counts only tasks whose networks are trained in full.
    """
    found = variant(source)
    return source if found is None else found.source


def read_table(path: Path | str) -> pd.DataFrame:
    """Read and check an affinity table, as `taskonomy.tables.csv_reader` reads tables.

    Returns:
        Columns `target`, `sources` (tuples), `affinity`, and `OPTIONAL`; what the file lacks is NaN. `imputed` is true or false. Of `images` (NaN
        where empty), `external` (tuples), `licence` and `inference` those that the file has.

    Raises:
        TaskonomyError: The table is not valid; names each line that is wrong.
    """
    return _checked(read_sheet(path, "table", REQUIRED, (*OPTIONAL, IMAGES, *ABOUT), NAMES))


def parse_table(text: str, where: str) -> pd.DataFrame:
    """Parse the text of a CSV as `read_table` does; `where` names it in errors."""
    return _checked(parse_sheet(text, where, REQUIRED, (*OPTIONAL, IMAGES, *ABOUT), NAMES))


def _checked(sheet: Sheet) -> pd.DataFrame:
    rows, problems = _rows(sheet)
    if problems:
        more = f" (and {len(problems) - _SHOWN_PROBLEMS} more)" if len(problems) > _SHOWN_PROBLEMS else ""
        raise TaskonomyError(f"{sheet.where}: {'; '.join(problems[:_SHOWN_PROBLEMS])}{more}")
    if not rows:
        raise TaskonomyError(f"{sheet.where}: no rows below the header")
    about = [name for name in (IMAGES, *ABOUT) if name in sheet.columns]
    frame = pd.DataFrame(rows, columns=list(sheet.columns)).reindex(columns=[*REQUIRED, *OPTIONAL, *about])
    external_sources(frame, sheet.where)
    frame = frame.astype(dict.fromkeys(("affinity", *OPTIONAL, *([IMAGES] if IMAGES in about else [])), float))
    return frame.assign(imputed=frame["imputed"].eq(1))


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as `read_table` reads it; columns without any value are left out."""
    if "imputed" in frame:
        frame = frame.assign(imputed=frame["imputed"].astype(int)) if frame["imputed"].any() else frame.drop(columns="imputed")
    columns = [*REQUIRED, *(name for name in (IMAGES, *OPTIONAL, *ABOUT) if name in frame and frame[name].notna().any())]
    written: dict[str, pd.Series[Any]] = {
        name: frame[name].map(join_sources, na_action="ignore") for name in ("sources", "external") if name in columns
    }
    if IMAGES in columns:
        written[IMAGES] = frame[IMAGES].astype("Int64")
    write_csv(path, frame[columns].assign(**written))


@dataclass(frozen=True)
class ExternalSources:
    """What a table says about sources beside their transfers.

    Attributes:
        licences: Source that others trained -> its licence; empty: not known.
        inference: Source -> multiply-adds of its encoder, millions for each image, of those that the table says.
    """

    licences: dict[str, str]
    inference: dict[str, float]


def external_sources(frame: pd.DataFrame, where: str = "table") -> ExternalSources:
    """Gather what a table says about sources that others trained, and about what encoders cost to run.

    Raises:
        TaskonomyError: Two rows say different things of one source.
    """
    named = {name for group in frame.get("external", ()) for name in group or ()}
    licences: dict[str, str] = {}
    inference: dict[str, float] = {}
    for column, kept in (("licence", licences), ("inference", inference)):
        if column not in frame:
            continue
        for sources, value in zip(frame["sources"], frame[column], strict=True):
            if len(sources) != 1 or value == "" or pd.isna(value) or variant(sources[0]) is not None:
                continue
            if kept.setdefault(sources[0], value) != value:
                raise TaskonomyError(f"{where}: {column} of {sources[0]} is both {kept[sources[0]]} and {value}; write one")
    return ExternalSources({name: licences.get(name, "") for name in sorted(named)}, inference)


def has_amounts(frame: pd.DataFrame) -> bool:
    """Return whether a table says of any row how many labelled images it was trained on."""
    return IMAGES in frame and bool(frame[IMAGES].notna().any())


def with_most_images(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep of each transfer the row with the most labelled images; one without a number has all that there are."""
    if not has_amounts(frame):
        return frame
    order = frame.assign(order=frame[IMAGES].fillna(math.inf)).sort_values("order", kind="stable").index
    last = ~frame.loc[order].duplicated(["target", "sources"], keep="last")
    return frame[last.reindex(frame.index)]


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are not imputed: what claims of measurements rest on."""
    return frame[~frame["imputed"]].reset_index(drop=True) if "imputed" in frame and frame["imputed"].any() else frame


def unmeasured(frame: pd.DataFrame) -> str | None:
    """Return one line that counts the transfers without an affinity and those with an imputed one, or None if all were measured."""
    missing, imputed = int(frame["affinity"].isna().sum()), len(frame) - len(measured(frame))
    parts = [f"{missing} of {len(frame):,} transfers have no affinity: they are never chosen"] if missing else []
    parts += [f"the affinities of {imputed} of {len(frame):,} transfers are imputed, not measured"] if imputed else []
    return "; ".join(parts) or None


def task_names(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the targets that a table names, and the tasks labelled for its sources, each sorted."""
    sources = {labelled(name) for group in frame["sources"] for name in group if name != SELF}
    return sorted(set(frame["target"])), sorted(sources)


def is_gold(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are the target's own fully supervised network, trained on all of its images."""
    own = frame["sources"].map(lambda sources: sources == (SELF,))
    return own & frame[IMAGES].isna() if IMAGES in frame else own


def _rows(sheet: Sheet) -> tuple[list[list[object]], list[str]]:
    rows: list[list[object]] = []
    problems: list[str] = []
    seen: dict[tuple[str, frozenset[str], str], int] = {}
    mentioned: dict[str, int] = {}  # target -> line of its first row
    measured: set[str] = set()
    for line, cells in sheet.rows:
        row = dict(zip(sheet.columns, cells, strict=True))
        target, sources = normal(row["target"]), split_sources(row["sources"])
        values, wrong = _numbers(row, sheet)
        external = split_sources(row["external"]) if row.get("external") else ()
        wrong = [*wrong_names(target, sources), *wrong_external(sources, external), *wrong]
        amount = "" if math.isnan(values.get(IMAGES, math.nan)) else f" on {values[IMAGES]:,.0f} images"
        key = (target, frozenset(sources), amount)
        if key in seen:
            wrong.append(f"the same transfer as line {seen[key]}: {row['sources']} -> {target}{amount}")
        seen.setdefault(key, line)
        mentioned.setdefault(target, line)
        problems += [f"line {line}: {what}" for what in wrong]
        if not wrong:
            read: dict[str, object] = {**row, "target": target, "sources": sources, "external": external or None, **values}
            rows.append([read[name] for name in sheet.columns])
            measured |= set() if math.isnan(values["affinity"]) else {target}
    if not problems:
        problems = [f"line {line}: target {name} has no measured row" for name, line in mentioned.items() if name not in measured]
    return rows, problems


def wrong_names(target: str, sources: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the names of a transfer, as tables write it."""
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


def wrong_external(sources: tuple[str, ...], external: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the names of external sources, as tables write them."""
    for name in external:
        if name not in map(labelled, sources) or name == SELF:
            yield f"external names {name!r}, which is no source of {join_sources(sources)}"


def _numbers(row: dict[str, str], sheet: Sheet) -> tuple[dict[str, float], list[str]]:
    """Return a row's numbers, with NaN for empty cells, and what is wrong with them."""
    values: dict[str, float] = {}
    wrong: list[str] = []
    for name, text in row.items():
        if name in NAMES:
            continue
        values[name] = math.nan
        if not text:
            continue
        try:
            values[name] = value = sheet.number(text)
        except ValueError as error:
            wrong.append(f"{name} {error}")
            continue
        if not math.isfinite(value):
            wrong.append(f"{name} must be finite (is {text})")
        elif value < 0:
            wrong.append(f"{name} must be >= 0 (is {text})")
        elif name == "imputed" and value not in (0, 1):
            wrong.append(f"imputed must be 0 or 1 (is {text})")
        elif name == IMAGES and not (value >= 1 and value.is_integer() and value <= _MOST_IMAGES):
            wrong.append(f"images must be a whole number >= 1 of labelled images, or empty (is {text})")
        elif name in SHARES and value > 1:
            wrong.append(f"{name} must be in [0, 1] (is {text})")
    return values, wrong
