"""Measure whether two affinity tables rank the same sources first (paper section 4 compares rankings across data sets and architectures)."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import rankdata

from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.tree import first_order

TOPS = (1, 5)


def agreement(table: pd.DataFrame, reference: pd.DataFrame, *, own: bool = True, without: Collection[str] = ()) -> dict[str, Any]:
    """Compute the agreement of two tables' first-order rows, per target and on average, with what random orderings would give.

    Only what both tables measured counts: their common targets and, for each, the common sources; never the row `self`.

    Args:
        table: Affinities.
        reference: Affinities to compare with.
        own: Keep the row `t -> t`, a target's own frozen encoder.
        without: Sources to leave out.

    Returns:
        `targets`: per target `sources` (their number), `spearman` (NaN where either table ranks all of them equal), and `top1` and `top5`: the share
        of the reference's best sources that are among the table's best. `mean` is over the targets, `by_chance` the mean under random orderings: 0
        for Spearman's rho and k of n for the k best. `sources` are those common to both tables.

    Raises:
        TaskonomyError: No target has two common sources.
    """
    ours, theirs = first_order(table), first_order(reference)
    sources = sorted((set(ours.columns) & set(theirs.columns)) - set(without))
    targets: dict[str, dict[str, float]] = {}
    for target in sorted(set(ours.index) & set(theirs.index)):
        pairs = pd.DataFrame({"ours": ours.loc[target, sources], "theirs": theirs.loc[target, sources]}).dropna()
        if not own:
            pairs = pairs.drop(index=target, errors="ignore")
        if len(pairs) > 1:
            targets[target] = _compared(pairs["ours"].to_numpy(), pairs["theirs"].to_numpy())
    if not targets:
        raise TaskonomyError("the two tables have no target in common with two first-order sources that both measured")
    chance = {"spearman": 0.0} | {f"top{k}": _mean(min(k, one["sources"]) / one["sources"] for one in targets.values()) for k in TOPS}
    mean = {name: _mean(one[name] for one in targets.values()) for name in chance}
    return {"own": own, "sources": sources, "mean": mean, "by_chance": chance, "targets": targets}


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """Select the numbers for `dvc metrics show`."""
    mean, chance = found["mean"], found["by_chance"]
    beside = (
        {"beside": {rule: {who: one["spearman"] for who, one in by.items()} for rule, by in found["beside"].items()}} if "beside" in found else {}
    )
    return {
        "mean_spearman": mean["spearman"],
        "top1": mean["top1"],
        "top1_by_chance": chance["top1"],
        "top5": mean["top5"],
        "top5_by_chance": chance["top5"],
        "targets": len(found["targets"]),
        "sources": len(found["sources"]),
        **beside,
    }


def _compared(ours: Float64[np.ndarray, " sources"], theirs: Float64[np.ndarray, " sources"]) -> dict[str, float]:
    result: dict[str, float] = {"sources": len(ours), "spearman": _spearman(ours, theirs)}
    for k in TOPS:
        result[f"top{k}"] = float(_chance_among_best(ours, k) @ _chance_among_best(theirs, k)) / min(k, len(ours))
    return result


def _spearman(one: Float64[np.ndarray, " sources"], other: Float64[np.ndarray, " sources"]) -> float:
    """Compute Spearman's rho: Pearson's correlation of the ranks, ties at their mean rank."""
    ranks = np.stack([rankdata(one), rankdata(other)])
    if (ranks.min(axis=1) == ranks.max(axis=1)).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _chance_among_best(values: Float64[np.ndarray, " sources"], k: int) -> Float64[np.ndarray, " sources"]:
    """Compute each source's probability to be among the k best when ties are broken at random; broken by name, ties would inflate the agreement."""
    above = rankdata(-values, method="min") - 1
    tied = rankdata(-values, method="max") - above
    return np.clip((k - above) / tied, 0.0, 1.0)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
