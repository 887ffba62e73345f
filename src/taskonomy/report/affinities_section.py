"""Show affinities before and after the Analytic Hierarchy Process, and what they say about sources."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.affinity.noise import deviations
from taskonomy.evaluation.families import CHANCE
from taskonomy.evaluation.tree import Tree, first_order
from taskonomy.tables.table import with_most_images
from taskonomy.tasks import Registry
from taskonomy.wording.wording import count, percent, titles


def best_sources(table: pd.DataFrame, registry: Registry) -> str:
    """Name the sources that are the best single one for the largest number of targets."""
    matrix = first_order(table)
    others = matrix.mask(matrix.index.to_numpy()[:, None] == matrix.columns.to_numpy())
    best = others.dropna(how="all").idxmax(axis=1)
    wins = Counter(best)
    most = max(wins.values())
    top = sorted(name for name, number in wins.items() if number == most)
    return (
        f"{titles(top, registry, 3)} {'are each' if len(top) > 1 else 'is'} the best single source of {most} of {len(best)} targets; "
        f"{len(wins)} of {matrix.shape[1]} sources are the best of any."
    )


def imputed_pairs(table: pd.DataFrame) -> set[tuple[str, str]]:
    """Find (target, source) of the transfers whose affinities were not measured but predicted from a screen."""
    return {(row.target, row.sources[0]) for row in table.itertuples() if getattr(row, "imputed", False)}  # type: ignore[index, misc]


def worse_than_constant(table: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame | None:
    """Find the first-order transfers that lose to the best constant on more than half of the images, in the form of a matrix of affinities.

    Returns:
        True where one does; None where nothing was compared with a constant.
    """
    if "beats_constant" not in table or table["beats_constant"].isna().all():
        return None
    single = with_most_images(table[table["sources"].map(len) == 1])
    rates = single.assign(source=single["sources"].str[0]).pivot(index="target", columns="source", values="beats_constant")
    return rates.reindex(index=like.index, columns=like.columns) < 0.5


def constants(worse: pd.DataFrame | None) -> str:
    """Say how many transfers are worse than a constant."""
    if worse is None:
        return ""
    number, size = int(worse.to_numpy().sum()), worse.size
    to = int(worse.any(axis=1).sum())
    what = f"{number} of {count(size, 'transfer')} {'is' if number == 1 else 'are'} worse than the best constant answer of the same images"
    return f"{what}, into {count(to, 'target')}."


def noise(table: pd.DataFrame | None) -> dict[str, str]:
    """Say how much training from another seed changes: `transfers` and `networks`, each empty where none was repeated."""
    said = {"transfers": "", "networks": ""}
    found = {} if table is None else deviations(table)
    if one := found.get("transfers"):
        between = (
            f"; between the sources of one target it is {100 * one['between_sources']:.1f}"
            if one["between_sources"] == one["between_sources"]
            else ""
        )
        said["transfers"] = (
            f"How much is chance of training? {count(one['count'], 'transfer')} from {one['seeds']} seeds: the standard deviation of gain is "
            f"{100 * one['gain']:.1f} points{between}. That of an affinity is a factor of {np.exp(one['affinity']):.2f}."
        )
    if one := found.get("networks"):
        said["networks"] = (
            f"{count(one['count'], 'network')} from {one['seeds']} seeds: the standard deviation of how often they beat the constant is "
            f"{100 * one['beats_constant']:.1f} points."
        )
    return said


def before(losses: pd.DataFrame, registry: Registry) -> str:
    """Describe the range of the targets' losses, each in its own units."""
    single = losses[~losses["sources"].str.contains("+", regex=False)]
    mean = single.groupby("target")["loss"].median().sort_values()
    low, high = registry.title(mean.index[0]), registry.title(mean.index[-1])
    return (
        f"Before, mean losses are in each target's own units, from {mean.iloc[0]:.3g} ({low}) to {mean.iloc[-1]:.3g} ({high}): "
        "rows do not compare, and averages over them would be those of the largest."
    )


def matrix_before(losses: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Build the matrix of mean losses of first-order transfers, with the rows and columns of a matrix of affinities."""
    single = losses[losses["sources"].isin(like.columns)]
    return single.pivot(index="target", columns="sources", values="loss").reindex(index=like.index, columns=like.columns)


def nearest(tree: Tree, families: dict[str, dict[str, Any]], registry: Registry) -> dict[str, Any]:
    """Name the two tasks with the most similar transfer patterns, and say how well the tree recovers the families, as `family_test` measured it."""
    first = tree.merges[int(np.argmin(tree.merges[:, 2]))]
    pair = [tree.tasks[int(one)] for one in first[:2]]
    rows = [{"name": name, "share": percent(one["share"]), "p_value": f"{one['p_value']:.2g}"} for name, one in families.items()]
    return {"see": f"{titles(pair, registry)} have the most similar transfer patterns.", "families": rows, "chance": percent(CHANCE)}
