"""The authors' released result files: Python 2 pickles of `source1__source2__target` -> float.

A pickle is a program. `taskonomy.tables.pickle_reader` executes no code from it: it refuses whatever is not a dict of strings to float64 numbers.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.tables.pickle_reader import LIMIT, RefusedPickleError, numbers_of
from taskonomy.tables.table import SELF, SHARES, join_sources, wrong_names
from taskonomy.tasks import BUILT_IN

# Column of the table -> part of the names of its released files (`wins_vs_pixels` is gain, `wins_vs_task` quality).
_FILES = {"affinity": "affinities", "gain": "wins_vs_pixels", "quality": "wins_vs_task"}
# Later spellings in the result files, in addition to the paper-era keys of the built-in tasks; `pixels` is the baseline of gain.
_ALIASES = {"self": SELF, "segmentsemantic": "segment_semantic", "vanishing_point": "vanishing_point", "inpainting_whole": "inpainting"}
_BASELINE = "pixels"
_REGIME = re.compile(r"(?:all_affinities|wins_vs_pixels|wins_vs_task)(?:_(?P<regime>1k|16k))?\.pkl$")  # names of released files
_ONE_REGIME = "give the files of one data regime (1k, 16k, or neither) at a time"
Edge = tuple[str, frozenset[str]]


def read_released(path: Path | str) -> dict[str, float]:
    """Read one released result file without executing any of it.

    Raises:
        TaskonomyError: It holds, or asks for, anything but one dict of strings to finite float64 numbers >= 0.
    """
    with open(path, "rb") as file:
        data = file.read(LIMIT + 1)
    try:
        values = numbers_of(data)
    except RefusedPickleError as error:
        raise TaskonomyError(f"{path}: refused: {error}; only dicts of strings to float64 are read") from None
    for key, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise TaskonomyError(f"{path}: refused: entry {key!r} must be a finite number >= 0 (is {value:g})")
    return values


def import_released(paths: Iterable[Path]) -> pd.DataFrame:
    """Build one affinity table from released affinity and win-rate files, under this project's task names.

    Rows whose source is the baseline `pixels` have gain 0.5 by construction and are left out.

    Raises:
        TaskonomyError: A file that `read_released` refuses, names that no table can hold, or files of two data regimes, whose transfers
            were trained on different numbers of images.
    """
    columns: dict[str, dict[Edge, float]] = {}
    written: dict[Edge, tuple[str, ...]] = {}
    files: dict[str, Path] = {}
    for path in paths:
        column = _column_of(path)
        if column in columns:
            raise TaskonomyError(f"{path}: a second file of {column}; {_ONE_REGIME}")
        files[column], columns[column] = path, {}
        for key, value in read_released(path).items():
            *sources, target = _names(key, path)
            if _BASELINE in sources:
                continue
            transfer = (target, frozenset(sources))
            if transfer in columns[column]:
                raise TaskonomyError(f"{path}: {key} stands twice")
            if wrong := next(wrong_names(target, tuple(sources)), None):
                raise TaskonomyError(f"{path}: entry {key!r}: {wrong}")
            if column in SHARES and value > 1:
                raise TaskonomyError(f"{path}: entry {key!r}: a win rate must be in [0, 1] (is {value:g})")
            columns[column][transfer] = value
            written.setdefault(transfer, tuple(sorted(sources)))
    if "affinity" not in columns:
        raise TaskonomyError(f"no file of affinities among those given; their names hold {', '.join(map(repr, _FILES.values()))}")
    _check_regimes(files, columns)
    rows = [
        {"target": target, "sources": sources, **{name: values.get((target, frozenset(sources))) for name, values in columns.items()}}
        for (target, _), sources in sorted(written.items(), key=lambda item: (item[0][0], len(item[1]), item[1]))
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(columns, float))


def _check_regimes(files: dict[str, Path], columns: dict[str, dict[Edge, float]]) -> None:
    """Check that all files are of one data regime, as far as can be known.

    File names state the regime if they are the released ones. The content shows it too: files of one regime have the same targets (those
    without a regime in their names have object classes in place of scene classes), and have win rates for every transfer of two or more
    sources that has an affinity, since each regime chose those sources by its own first-order transfers. All regimes measured the same
    first-order transfers, so files with those alone cannot be told apart.
    """
    named = {column: _REGIME.search(files[column].name) for column in _FILES if column in files}
    regimes = {column: found["regime"] or "" for column, found in named.items() if found}
    if len(set(regimes.values())) > 1:
        files_named = ", ".join(f"{files[column].name} of {regime or 'that without a name'}" for column, regime in regimes.items())
        raise TaskonomyError(f"{files['affinity']}: files of two data regimes: {files_named}; {_ONE_REGIME}")
    affinities = columns["affinity"]
    for column in sorted(columns.keys() - {"affinity"}):
        where, pair = files[column], f"of another data regime than {files['affinity'].name}"
        if odd := sorted({target for target, _ in affinities} ^ {target for target, _ in columns[column]}):
            raise TaskonomyError(f"{where}: {pair}: only one of both has the target {odd[0]}; {_ONE_REGIME}")
        lost = sorted((target, join_sources(sorted(sources))) for target, sources in affinities.keys() - columns[column].keys() if len(sources) > 1)
        if lost:
            target, sources = lost[0]
            there = f"{len(lost):,} transfers of two or more sources that have affinities ({sources} -> {target} first)"
            raise TaskonomyError(f"{where}: {pair}: lacks {there}; {_ONE_REGIME}")


def _column_of(path: Path) -> str:
    for column, part in _FILES.items():
        if part in Path(path).name:
            return column
    raise TaskonomyError(f"{path}: which measurement is it? the file's name must hold one of {', '.join(map(repr, _FILES.values()))}")


def _names(key: str, path: Path) -> list[str]:
    known = {task.published_key: task.name for task in BUILT_IN.values() if task.published_key} | _ALIASES
    parts = key.split("__")
    if not 2 <= len(parts) <= len(known):
        raise TaskonomyError(f"{path}: entry {key[:80]!r} must be source__target, or several sources")
    if parts[-1] == _BASELINE:
        raise TaskonomyError(f"{path}: entry {key[:80]!r}: {_BASELINE} is the baseline, no target")
    if missing := next((part for part in parts if part not in known and part != _BASELINE), None):
        raise unknown(f"{path}: entry {key[:80]!r}", [missing[:80]], known)
    return [known.get(part, part) for part in parts]
