"""Estimate confidence intervals of a policy's gain and quality, which are means over a few test buildings and would differ for other buildings.

Views of one building are alike, so images are not independent observations: resampling images would give intervals that are far too narrow.
Buildings are independent. Each is left out in turn (the jackknife over clusters), for all targets at once that have labelled images in it;
the spread of these estimates gives the standard error, and Student's t with one degree of freedom less than there are buildings accounts for their
small number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import t as student

from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import MEASURES, join_sources

Chosen = tuple[str, tuple[str, ...]]  # a target, and the sources of the transfer that solves it


@dataclass(frozen=True)
class Interval:
    """A mean win rate with its confidence interval.

    Attributes:
        value: The mean on all held-out images.
        low, high: Ends of the interval, within [0, 1]; NaN for fewer than 2 buildings.
    """

    value: float
    low: float
    high: float


class Buildings:
    """Gain and quality of every transfer on the held-out images of each building.

    Args:
        table: Table of `taskonomy.affinity.by_building.by_building`.
        confidence: Probability that an interval covers the true value.
    """

    def __init__(self, table: pd.DataFrame, confidence: float) -> None:
        self.confidence = confidence
        measures = [name for name in MEASURES if name in table]
        self.names = tuple(sorted(set(table["building"])))
        wide = {name: table.pivot(index=["target", "sources"], columns="building", values=name) for name in ("images", *measures)}
        self._row = {(target, frozenset(sources.split("+"))): place for place, (target, sources) in enumerate(wide["images"].index)}
        self._images = wide["images"].fillna(0.0).to_numpy(float)
        self._rates = {name: wide[name].fillna(0.0).where(wide["images"].notna(), 0.0).to_numpy(float) for name in measures}
        self._known = {name: table[name].notna().any() for name in measures}

    @property
    def images(self) -> int:
        """Return the largest number of held-out images that any target has."""
        return int(self._images.sum(1).max())

    def rates(self, chosen: Iterable[Chosen], measure: str) -> Float64[np.ndarray, " chosen"]:
        """Compute each transfer's win rate by itself; NaN where it was not measured."""
        if measure not in self._rates:
            return np.full(len(list(chosen)), np.nan)
        rows = np.array([self._row.get((target, frozenset(sources)), -1) for target, sources in chosen], dtype=int)
        images = self._images[rows].sum(1)
        wins = (self._images[rows] * self._rates[measure][rows]).sum(1)
        known = (rows >= 0) & (images > 0) & bool(self._known[measure])
        return np.divide(wins, images, out=np.full(len(rows), np.nan), where=known)

    def interval(self, chosen: Iterable[Chosen], measure: str) -> Interval | None:
        """Compute the mean win rate of these transfers, one per target; None where it was not measured.

        Args:
            chosen: The transfers of a policy.
            measure: One of `MEASURES`.

        Raises:
            TaskonomyError: A transfer was not measured on the held-out images.
        """
        keys = [(target, frozenset(sources)) for target, sources in chosen]
        if missing := [key for key in keys if key not in self._row]:
            raise TaskonomyError(f"not measured on the held-out images: {join_sources(sorted(missing[0][1]))} -> {missing[0][0]}")
        if not self._known.get(measure, False):
            return None
        rows = [self._row[key] for key in keys]
        images = self._images[rows]
        wins = images * self._rates[measure][rows]
        value = float((wins.sum(1) / images.sum(1)).mean())
        low, high = jackknife(value, _left_out(wins, images), self.confidence)
        return Interval(value, low, high)


def jackknife(value: float, left_out: Float64[np.ndarray, " buildings"], confidence: float) -> tuple[float, float]:
    """Compute the jackknife interval around a value from the estimates without each building; NaN for fewer than 2."""
    count = len(left_out)
    if count < 2:
        return float("nan"), float("nan")
    error = np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())
    reach = float(student.ppf((1 + confidence) / 2, count - 1) * error)
    return max(0.0, value - reach), min(1.0, value + reach)


def _left_out(wins: Float64[np.ndarray, "targets buildings"], images: Float64[np.ndarray, "targets buildings"]) -> Float64[np.ndarray, " seen"]:
    """Compute the mean over the targets without each building; a target that is evaluated in that building alone is left out there."""
    rest = images.sum(1, keepdims=True) - images
    rates = np.divide(wins.sum(1, keepdims=True) - wins, rest, out=np.full(wins.shape, np.nan), where=rest > 0)
    seen = ~np.isnan(rates).all(0)
    return np.nanmean(rates[:, seen], axis=0)
