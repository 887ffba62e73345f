"""Which sources of a target are worth a transfer: a screen by closed-form readouts that says how far it can be trusted.

Readouts learn from the images that transfers learn from, and are tested on those that select among a transfer's epochs (the validation split). So no
image that affinities are measured on has a part in the choice: measured affinities are not better for having been chosen.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.stats import spearmanr

from taskonomy.affinity.ahp import affinities
from taskonomy.affinity.win_rates import win_rates
from taskonomy.config.network_params import ScreenParams
from taskonomy.dataset.splits import Split
from taskonomy.store.store import code_digest, key_of
from taskonomy.store.unit_keys import UNIT_CODE
from taskonomy.training.transfer_context import Sources, TransferContext
from taskonomy.transfers.readouts import answers, errors, halves

TESTED_ON = Split.VALIDATION
# Samples of either part that readouts see, at most: evenly spread ones.
MOST = 1000
_CODE = ("taskonomy.affinity", "taskonomy.transfers.readouts", "taskonomy.transfers.screen")


@dataclass(frozen=True)
class SourceScreen:
    """What the readouts say of one target's sources.

    Attributes:
        scores: Source -> affinity of its readout, by the errors on single images, as transfers have theirs.
        reliability: Rank correlation of the scores from one half of the samples with those from the other, as it would be for two screens of all
            samples (Spearman-Brown); NaN where no two sources differ.
        threshold: The least reliability at which the screen is trusted.
        agreement: Rank correlation of the scores with the measured affinities of the sources that were chosen; NaN where it is not known.
    """

    scores: dict[str, float]
    reliability: float
    threshold: float
    agreement: float = math.nan

    @property
    def trusted(self) -> bool:
        """Return whether the target's transfers are chosen by the scores; otherwise all are trained.

        A screen may be reliable and mislead: readouts are no transfers. Where better scores did not go with better transfers among those that were
        trained, it chooses nothing more.
        """
        return self.reliability >= self.threshold and not self.agreement <= 0  # so NaN is no reliability, and no objection

    def compared(self, affinity: Mapping[Sources, float], pool: list[str]) -> "SourceScreen":
        """Return the screen with its agreement with the affinities of these sources, each of which was trained."""
        scores, measured = (np.array([one[name] for name in pool]) for one in (self.scores, {name: affinity[(name,)] for name in pool}))
        return replace(self, agreement=_correlation(scores, measured))

    def kept(self, pool: list[str], keep: int) -> list[str]:
        """Return the sources of a pool to train, by name: the best by their scores, or all; ties go to those whose names come first."""
        return sorted(sorted(pool, key=lambda name: (-self.scores[name], name))[:keep] if self.trusted else pool)

    def as_dict(self) -> dict[str, Any]:
        """Return what the stage `transfer` writes."""
        known = {name: None if math.isnan(one) else one for name, one in (("reliability", self.reliability), ("agreement", self.agreement))}
        return {"trusted": self.trusted, **known, "threshold": self.threshold, "scores": self.scores}


def screened(context: TransferContext, pool: list[str], params: ScreenParams) -> SourceScreen:
    """Score all sources of a target; a screen in the store is not computed again.

    Args:
        context: The target.
        pool: Sources that are chosen from: what the reliability is of. Others have a score for the fit of those that are not trained.
        params: The section `transfer.screen`.

    Raises:
        TaskonomyError: Codes are missing or do not fit.
    """
    names, key = sorted(context.sources), _key(context, pool)
    if (unit := context.units.read(key)) is None:
        test = context.task.of_split(TESTED_ON)
        scores, reliability = scored(source_errors(context, names, _few(context.train), _few(test)), [name in pool for name in names])
        context.units.write(key, {"scores": scores, "reliability": np.array(reliability)}, {})
    else:
        scores, reliability = unit.arrays["scores"], float(unit.arrays["reliability"])
    return SourceScreen(dict(zip(names, scores.tolist(), strict=True)), reliability, params.reliability)


def scored(found: Float64[np.ndarray, "sources 3 test"], ranked: list[bool]) -> tuple[Float64[np.ndarray, " sources"], float]:
    """Compute scores from the errors of readouts, and how reliably they rank.

    Args:
        found: For each source, the errors of the readout that learnt from all training samples and of those that learnt from half of them.
        ranked: Which sources the reliability is of.

    Returns:
        The scores, and the reliability.
    """
    first, second = halves(np.arange(found.shape[2]))
    if min(len(first), len(second)) < 2:
        return _affinities(found[:, 0]), math.nan
    # Each pair is of two screens that share neither what they learnt from nor what they were tested on.
    pairs = [
        [_affinities(found[:, 1][:, one])[ranked], _affinities(found[:, 2][:, other])[ranked]] for one, other in ((first, second), (second, first))
    ]
    half = float(np.mean([_correlation(*pair) for pair in pairs]))
    return _affinities(found[:, 0]), 2 * half / (1 + half) if half > 0 else half


def source_errors(
    context: TransferContext, names: list[str], train: Int[np.ndarray, " train"], test: Int[np.ndarray, " test"]
) -> Float64[np.ndarray, "sources 3 test"]:
    """Compute the errors of every source's readouts to a target on these test samples, each by itself."""
    chosen = np.concatenate([train, test])
    rows = np.flatnonzero(context.dataset.splits != Split.TRAIN.number)  # of the views that have codes
    where = np.searchsorted(rows, context.task.samples[chosen])
    learnt, tested = np.arange(len(train)), np.arange(len(train), len(chosen))
    wanted = answers(context.task, chosen, int(context.stored_codes(names[0]).shape[-1]))
    return np.stack([errors([np.asarray(context.stored_codes(name)[one]) for one in where.T], wanted, learnt, tested) for name in names])


def _affinities(found: Float[np.ndarray, "sources test"]) -> Float64[np.ndarray, " sources"]:
    names = [str(number) for number in range(len(found))]
    return affinities(win_rates(found, "screen", names), found.shape[1])


def _correlation(one: Float64[np.ndarray, " ranked"], other: Float64[np.ndarray, " ranked"]) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(spearmanr(one, other).statistic)


def _few(samples: Int[np.ndarray, " samples"]) -> Int[np.ndarray, " few"]:
    return samples[:: max(1, math.ceil(len(samples) / MOST))]


def _key(context: TransferContext, pool: list[str]) -> str:
    """Compute the key of a screen from all that determines it."""
    return key_of(
        kind="screen",
        transfers=[context.key((name,)) for name in sorted(context.sources)],
        ranked=sorted(pool),
        code=code_digest(*UNIT_CODE, *_CODE),
        numpy=version("numpy"),
    )
