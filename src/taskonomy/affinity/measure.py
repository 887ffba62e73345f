"""The affinity table, computed from the losses of all targets."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from taskonomy.affinity import ahp
from taskonomy.affinity.bootstrap import best_of_order, resampled_affinities
from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.win_rates import blocks, win_rate_against, win_rates
from taskonomy.numeric.rng import generator
from taskonomy.tables.table import SELF, split_sources

# Columns of win rates -> the baseline that they are against; `quality` is against the candidate `self`.
AGAINST = {"gain": "pixels", "gain_scratch": "scratch", "beats_constant": "average"}


class Normalization(StrEnum):
    """The ways from losses to affinities: the paper's ordinal one, and the linear one that it rejects."""

    AHP = "ahp"
    LINEAR = "linear"


@dataclass(frozen=True)
class Measured:
    """One target: its rows of the affinity table and what they were computed from."""

    rows: pd.DataFrame
    best_of_order: dict[str, float]  # candidate -> probability of being the best of its order; empty without resamples
    consistency_ratio: float | None  # None for the linear normalisation


def measure(
    data: Losses, *, normalization: Normalization = Normalization.AHP, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Measured:
    """Compute affinities of one target's candidates, with bootstrap intervals, gain and quality.

    Args:
        resamples: Number of bootstrap draws of the groups of images (buildings), or of the images where there are none; 0 leaves the intervals out.
        confidence: Share of the resampled affinities that an interval holds (percentile interval); one group alone gives none.

    Returns:
        The target. `gain` is the win rate against `pixels`, `quality` against the candidate `self` (paper section 4), `gain_scratch` against
        `scratch`, `beats_constant` against `average`; there is no such column without that baseline.
    """
    target, candidates, images = data.target, data.candidates, data.losses.shape[1]
    rates = win_rates(data.losses, target, candidates)
    if normalization is Normalization.AHP:
        affinity, ratio = ahp.affinities(rates, images), ahp.consistency_ratio(rates, images)
    else:
        total = sum(block.sum(axis=1, dtype=np.float64) for block in blocks(data.losses, target, candidates))
        affinity, ratio = ahp.linear(np.asarray(total) / images), None
    rows = pd.DataFrame({"target": target, "sources": [split_sources(name) for name in candidates], "affinity": affinity})
    best: dict[str, float] = {}
    if resamples:
        rng = generator(seed, "bootstrap", target)
        drawn = resampled_affinities(data.losses, target, candidates, resamples, rng, normalization=normalization.value, groups=data.groups)
        ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        alone = data.groups is not None and len(np.unique(data.groups)) < 2
        rows["low"], rows["high"] = np.full_like(ends, np.nan) if alone else ends
        orders = np.array([0 if name == SELF else len(split_sources(name)) for name in candidates])
        best = dict(zip(candidates, best_of_order(drawn, orders).tolist(), strict=True))
    for name, baseline in AGAINST.items():
        if (losses := getattr(data, baseline)) is not None:
            rows[name] = win_rate_against(data.losses, losses, target, candidates)
    if SELF in candidates:
        rows["quality"] = rates[:, candidates.index(SELF)]
    return Measured(rows, best, ratio)


def as_table(measured: Iterable[Measured]) -> pd.DataFrame:
    """Join the rows of all targets in one affinity table."""
    return pd.concat([one.rows for one in measured], ignore_index=True)
