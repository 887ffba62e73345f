"""Show affinities before and after the Analytic Hierarchy Process, and what they say about sources."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.evaluation.families import CHANCE
from taskonomy.evaluation.tree import Tree, first_order
from taskonomy.tasks import Registry
from taskonomy.wording.wording import percent, titles


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


def nearest(tree: Tree, triplets: dict[str, float], registry: Registry) -> dict[str, Any]:
    """Name the two tasks with the most similar transfer patterns, and measure how well the tree recovers the families."""
    first = tree.merges[int(np.argmin(tree.merges[:, 2]))]
    pair = [tree.tasks[int(one)] for one in first[:2]]
    return {"see": f"{titles(pair, registry)} transfer to the same tasks most alike.", "triplets": triplets, "chance": percent(CHANCE)}
