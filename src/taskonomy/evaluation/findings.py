"""What the paper finds about pairs of tasks and about its beam, computed from a table of affinities."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.network_params import Beam
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import SELF
from taskonomy.transfers.beam_search import candidates

Subset = tuple[str, ...]


@dataclass(frozen=True)
class PairFinding:
    """One transfer of first order among all to its target.

    Attributes:
        rank: Of the source by affinity among all single sources of the target, 1 the best; the target's own encoder counts.
        of: Number of these.
        gain, quality, gain_scratch: As in the table; NaN where it has none.
    """

    source: str
    target: str
    rank: int
    of: int
    gain: float
    quality: float
    gain_scratch: float


def pair(table: pd.DataFrame, source: str, target: str) -> PairFinding:
    """Look up a transfer of first order.

    Raises:
        TaskonomyError: The table has no such row.
    """
    rows = table[(table["target"] == target) & (table["sources"].map(len) == 1) & (table["sources"] != (SELF,)) & table["affinity"].notna()]
    own = rows[rows["sources"] == (source,)]
    if len(own) != 1:
        raise TaskonomyError(f"the table has no affinity of {source} -> {target}")
    row = own.iloc[0]
    rank = 1 + int((rows["affinity"] > row["affinity"]).sum())
    return PairFinding(source, target, rank, len(rows), *(float(row.get(name, np.nan)) for name in ("gain", "quality", "gain_scratch")))


def subsets(sources: int, order: int | None = None) -> int:
    """Count the sets of sources that a transfer may have: of at most `order` sources, or all of the powerset but the empty one."""
    return sum(comb(sources, size) for size in range(1, (sources if order is None else order) + 1))


@dataclass(frozen=True)
class BeamFinding:
    """What a beam loses against all sets of the same sources, over the targets of a table.

    Attributes:
        tried: Sets that the beam tries for a target, on average, single sources included.
        known: Sets of that order that there are.
        found: Share of targets whose best set the beam finds.
        affinity: Mean over targets of the beam's best affinity relative to the best of all.
        gain, quality: Mean over targets of the beam's best set less the best of all; sets are chosen by affinity, so it may be above 0.
    """

    beam: str
    order: int
    tried: float
    known: int
    found: float
    affinity: float
    gain: float
    quality: float


def beam_loss(table: pd.DataFrame, beam: Beam | int, order: int) -> BeamFinding:
    """Hold what a beam finds against the best of all sets of up to `order` sources, which the table must have.

    Sets are of the sources that the table has pairs of, target by target: with `transfer.beam: all` all trained encoders, in the released
    measurements the five best.

    Args:
        table: Affinities.
        beam: As in `transfer.beam`.
        order: Most sources of a set.

    Raises:
        TaskonomyError: A set is missing.
    """
    rows = [_of_target(some, beam, order) for _target, some in table.groupby("target", sort=True)]
    tried, known, found, *losses = map(np.array, zip(*rows, strict=True))
    means = [float(np.mean(one)) for one in losses]
    return BeamFinding(str(getattr(beam, "value", beam)), order, float(tried.mean()), int(known.max()), float(found.mean()), *means)


def whole_order(table: pd.DataFrame, most: int) -> int:
    """Find the highest order, at most `most`, up to which a table has all sets of the sources that it has pairs of, for every target.

    Raises:
        TaskonomyError: It has no order of several sources like that.
    """
    for order in range(most, 1, -1):
        if all(not _missing(*_sets(some, order)) for _target, some in table.groupby("target")):
            return order
    raise TaskonomyError("the table has not all sets of two sources for every target; measure them with transfer.beam: all")


def _sets(rows: pd.DataFrame, order: int) -> tuple[dict[Subset, dict[Any, Any]], list[Subset]]:
    """Return the rows of a target by their sources, and all sets of the sources of its pairs."""
    found = zip(rows["sources"], rows.to_dict("records"), strict=True)
    named = {tuple(sorted(sources)): row for sources, row in found if sources != (SELF,) and row["affinity"] == row["affinity"]}
    pool = sorted({name for sources in named if len(sources) == 2 for name in sources})
    return named, [one for size in range(1, order + 1) for one in combinations(pool, size)]


def _missing(named: dict[Subset, dict[Any, Any]], everything: list[Subset]) -> list[Subset]:
    return [one for one in everything if one not in named]


def _of_target(rows: pd.DataFrame, beam: Beam | int, order: int) -> tuple[float, ...]:
    named, everything = _sets(rows, order)
    if missing := _missing(named, everything):
        raise TaskonomyError(f"the table lacks {'+'.join(missing[0])} -> {rows['target'].iloc[0]}: it must have all sets (transfer.beam: all)")
    affinity = {sources: float(row["affinity"]) for sources, row in named.items()}
    pool = [one[0] for one in everything if len(one) == 1]
    tried: list[Subset] = [(name,) for name in pool]
    for size in range(2, order + 1):
        tried += candidates(size, {one: affinity[one] for one in tried}, pool, beam)
    best, ours = _best(everything, affinity), _best(tried, affinity)
    rates = [float(named[ours].get(name, np.nan)) - float(named[best].get(name, np.nan)) for name in ("gain", "quality")]
    return (len(tried), len(everything), ours == best, affinity[ours] / affinity[best], *rates)


def _best(sets: Sequence[Subset], affinity: dict[Subset, float]) -> Subset:
    return min(sets, key=lambda one: (-affinity[one], one))
