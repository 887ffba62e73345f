"""Rows of an affinity table for amounts of labels that nobody has tried: predicted from curves, marked as imputed, with intervals.

The Boolean program maximises affinities, which compare losses by win rates. Of one target, all rows stand in one hierarchy, so that affinity falls
with loss along one line: the logarithm of affinity is close to linear in loss. A prediction starts from its own way's row with the largest amount,
and moves along that line by the predicted difference of the loss; win rates likewise, by their log odds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.advice.curves import LabelCurve, LossInterval
from taskonomy.tables.table import ABOUT, IMAGES, SHARES, join_sources, split_sources

FACTORS = (2, 4)  # times the largest amount of a way
_WAYS = 4  # of a target, the best at its largest amount: others will not be chosen, and each makes the program larger
_FEWEST_ROWS = 4  # on which a line rests
_ODDS = 0.005  # win rates are kept so far from 0 and 1


@dataclass(frozen=True)
class _Line:
    """How a number changes with loss: `slope` of its logarithm, or of its log odds."""

    slope: float

    def moved(self, value: float, by: float, *, odds: bool) -> float:
        if odds:
            value = min(max(value, _ODDS), 1 - _ODDS)
            return 1 / (1 + math.exp(-(math.log(value / (1 - value)) + self.slope * by)))
        return value * math.exp(min(self.slope * by, 50.0))


def with_predictions(table: pd.DataFrame, found: Iterable[LabelCurve], factors: Sequence[int] = FACTORS) -> pd.DataFrame:
    """Add rows for the best ways of each target with `factors` times their largest amount.

    Args:
        table: A table with amounts.
        found: Curves of its rows; those of too few amounts to be fitted predict nothing.
        factors: Times the largest amount, at most `taskonomy.advice.curves.FURTHEST`.
    """
    rows = []
    by_target: dict[str, list[LabelCurve]] = {}
    for one in found:
        by_target.setdefault(one.target, []).append(one)
    for target, ways in by_target.items():
        known = _with_losses(table[table["target"] == target], ways)
        if len(known) < _FEWEST_ROWS:
            continue
        lines = {name: _line(known, name) for name in ("affinity", *SHARES) if name in known}
        for way in sorted(ways, key=lambda one: float(one.losses[0, -1]))[:_WAYS]:
            last = known[(known["way"] == way.sources) & (known[IMAGES] == way.images[-1])]
            if way.fitted and len(last):
                rows += [_row(last.iloc[0], way, int(factor * way.images[-1]), lines) for factor in factors]
    if not rows:
        return table
    joined = pd.concat([table, pd.DataFrame(rows).reindex(columns=table.columns)], ignore_index=True)
    return joined.assign(imputed=joined["imputed"].astype(bool))


def _with_losses(rows: pd.DataFrame, ways: Sequence[LabelCurve]) -> pd.DataFrame:
    """Return the rows whose loss is known, with `way` and `loss`."""
    losses = {(one.sources, float(images)): float(loss) for one in ways for images, loss in zip(one.images, one.losses[0], strict=True)}
    named = rows.assign(way=rows["sources"].map(join_sources))
    loss = [losses.get((way, images), math.nan) for way, images in zip(named["way"], named[IMAGES], strict=True)]
    known = named.assign(loss=loss)
    return known[known["loss"].notna() & (known["affinity"] > 0)]


def _line(known: pd.DataFrame, name: str) -> _Line | None:
    """Fit the line of one column over the better half of the rows; None where it is not measured."""
    better = known[(known["loss"] <= known["loss"].median()) & known[name].notna()]
    if len(better) < 2 or better["loss"].nunique() < 2:
        return None
    values: Float[np.ndarray, " rows"] = better[name].to_numpy(float)
    if name in SHARES:
        values = np.clip(values, _ODDS, 1 - _ODDS)
        values = values / (1 - values)
    slope = float(np.polyfit(better["loss"].to_numpy(float), np.log(values), 1)[0])
    return _Line(min(slope, 0.0))  # no number grows with loss but by chance


def _row(last: "pd.Series[Any]", way: LabelCurve, images: int, lines: dict[str, _Line | None]) -> dict[str, object]:
    predicted: LossInterval = way.at(images)
    before = float(way.losses[0, -1])
    less = way.improvement(images)
    values: dict[str, object] = {}
    for name, line in lines.items():
        value = float(last[name])
        values[name] = math.nan if line is None else line.moved(value, -less, odds=name in SHARES)
    line, value = lines["affinity"], float(last["affinity"])
    low, high = (math.nan if line is None else line.moved(value, loss - before, odds=False) for loss in (predicted.high, predicted.low))
    about = {name: last[name] for name in ABOUT if name in last.index}
    return {
        **about,
        "target": way.target,
        "sources": split_sources(way.sources),
        IMAGES: float(images),
        **values,
        "low": low,
        "high": high,
        "imputed": True,
    }
