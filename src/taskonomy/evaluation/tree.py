"""Build the task similarity tree: tasks with similar transfer patterns are close together (paper figure 13)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.cluster.hierarchy import ClusterNode, linkage, optimal_leaf_ordering, to_tree
from scipy.spatial.distance import pdist

from taskonomy.config.policy_params import TreeConstruction
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.tables.table import is_gold, labelled, task_names, with_most_images
from taskonomy.tasks import BUILT_IN, Registry


@dataclass(frozen=True)
class Tree:
    """A tree of tasks; `merges` is scipy's linkage matrix over `tasks`."""

    tasks: tuple[str, ...]
    merges: Float64[np.ndarray, "merges 4"]

    def newick(self) -> str:
        """Write the tree in Newick form; branch lengths are half the distance at which two clusters join."""
        root = to_tree(self.merges)
        return f"{self._written(root, root.dist)};\n"

    def as_dict(self) -> dict[str, Any]:
        """Return the tree for JSON; `from_dict` reads it back."""
        return {"tasks": list(self.tasks), "merges": self.merges.tolist()}

    @staticmethod
    def from_dict(written: dict[str, Any]) -> "Tree":
        """Build the tree from the result of `as_dict`."""
        return Tree(tuple(written["tasks"]), np.array(written["merges"], dtype=np.float64))

    def _written(self, node: ClusterNode, parent: float) -> str:
        length = f":{(parent - node.dist) / 2:.6g}"
        if node.is_leaf():
            return _quoted(self.tasks[node.id]) + length
        return f"({self._written(node.get_left(), node.dist)},{self._written(node.get_right(), node.dist)}){length}"


def first_order(table: pd.DataFrame) -> pd.DataFrame:
    """Build the matrix of first-order affinities, targets x sources, each target's measured row scaled to sum 1; NaN where a pair was not measured.

    Transitive and fine-tuned transfers are left out: their sources are not tasks, and tables differ in which ones they have. Of several amounts of
    labels, each transfer has its largest.
    """
    table = with_most_images(table)
    frozen = table["sources"].map(lambda sources: len(sources) == 1 and labelled(sources[0]) == sources[0])
    single = table[frozen & ~is_gold(table)]
    matrix = single.assign(source=single["sources"].str[0]).pivot(index="target", columns="source", values="affinity")
    matrix = matrix.dropna(how="all")
    return matrix.div(matrix.sum(axis=1).replace(0.0, 1.0), axis=0)


def without_sources(table: pd.DataFrame, names: Iterable[str], registry: Registry = BUILT_IN) -> pd.DataFrame:
    """Keep the rows that use none of these tasks as a source; a task of the registry that the table never uses changes nothing.

    Raises:
        TaskonomyError: A name is neither a source of the table nor in the registry.
    """
    dropped, known = set(names), set(task_names(table)[1])
    if missing := sorted(dropped - known - registry.keys()):
        raise unknown("sources to leave out", missing, known)
    return table[table["sources"].map(lambda sources: not dropped & set(map(labelled, sources)))]


def similarity_tree(
    table: pd.DataFrame,
    construction: TreeConstruction = TreeConstruction.STANDARDISED,
    *,
    method: str = "complete",
    metric: str = "correlation",
    beta: float = 20.0,
) -> Tree:
    """Cluster the tasks agglomeratively by their transfer patterns, the columns of the first-order affinity matrix.

    A task's transfer to itself counts as measured: it is a target's affinity like any other. Where it was not measured (a task without a self edge),
    the pattern has the target's mean there.

    Args:
        table: Affinities.
        construction: `standardised`: patterns are log affinities, of every target with mean 0 and deviation 1 over its sources, so that each target
            counts alike and no parameter is chosen; cosine distance, average linkage. `paper`: patterns are exp(-beta * affinity), as in the figure.
        method, metric: Of `paper`, options of scipy's `linkage` and `pdist`.
        beta: Of `paper`.

    Raises:
        TaskonomyError: There are fewer than 2 sources, a source was not measured for every target, or a pattern has no direction.
    """
    matrix = first_order(table)
    if matrix.shape[1] < 2:
        raise TaskonomyError(f"a tree needs at least 2 sources with first-order rows (there are {matrix.shape[1]})")
    if construction is TreeConstruction.STANDARDISED:
        patterns, metric, method = _standardised(_complete(_logarithms(matrix))), "cosine", "average"
        remedy = "it is every target's mean; try evaluate.tree paper with tree_metric euclidean"
    else:
        patterns = np.exp(-beta * _complete(matrix))
        remedy = "it has the same affinity to every target; try evaluate.tree_metric euclidean"
    distances = pdist(patterns.T, metric)
    if not np.isfinite(distances).all():
        raise TaskonomyError(f"the distance {metric} of the similarity tree is undefined for a source: {remedy}")
    distances = np.maximum(distances, 0.0)
    return Tree(tuple(matrix.columns), optimal_leaf_ordering(linkage(distances, method), distances))


def _complete(matrix: pd.DataFrame) -> Float64[np.ndarray, "targets sources"]:
    """Fill transfers of a task to itself that were not measured with the target's mean; refuse any other gap."""
    own = matrix.index.to_numpy()[:, None] == matrix.columns.to_numpy()
    filled = matrix.mask(own & matrix.isna().to_numpy(), matrix.mean(axis=1), axis=0)
    if gaps := [f"{source} -> {target}" for source in filled for target in filled.index[filled[source].isna()]]:
        raise TaskonomyError(f"a tree needs every first-order transfer; not measured: {', '.join(gaps[:5])} ({len(gaps)} in all)")
    return filled.to_numpy(np.float64)


def _logarithms(matrix: pd.DataFrame) -> pd.DataFrame:
    """Take logarithms; an affinity of 0, which the linear normalisation gives, counts as half of the target's smallest that is not 0."""
    smallest = matrix.where(matrix > 0).min(axis=1).fillna(1.0)
    positive = matrix.mask(matrix == 0, smallest / 2, axis=0)
    return pd.DataFrame(np.log(positive.to_numpy(np.float64)), positive.index, positive.columns)


def _standardised(values: Float64[np.ndarray, "targets sources"]) -> Float64[np.ndarray, "targets sources"]:
    """Scale each target's values to mean 0 and deviation 1 over its sources; all 0 where they are equal, as they then tell no source from another."""
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, keepdims=True)
    varies = deviation > 1e-12
    return np.where(varies, centred / np.where(varies, deviation, 1.0), 0.0)


def _quoted(name: str) -> str:
    plain = name.replace("_", "").replace("-", "").replace(".", "").isalnum()
    return name if plain else "'" + name.replace("'", "''") + "'"
