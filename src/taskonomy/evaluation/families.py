"""Measure whether the similarity tree recovers the task families (paper figure 13: 3D, 2D and semantic tasks form clusters)."""

from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.cluster.hierarchy import cophenet
from scipy.spatial.distance import squareform

from taskonomy.evaluation.tree import Tree
from taskonomy.numeric.rng import generator
from taskonomy.tasks import BUILT_IN

# Families of similar tasks; `self-supervised` says only where labels come from, and `other` nothing.
ALIKE = ("3D", "2D", "geometric", "semantic")
CHANCE = 1 / 3
_AT_ONCE = 500


def family_triplets(tree: Tree) -> dict[str, float]:
    """Compute the triplet agreement of the tree with the families: of two tasks of one family and one of another, how often the two join first.

    Every such triplet counts once, for the family of its two; one whose three tasks join at the same distance counts a third. Under a random
    assignment of tasks to leaves, each pair of a triplet is equally likely to join first: 1/3.

    Returns:
        The share per family with at least two tasks in the tree, and `overall`, of all triplets; empty where there are none.
    """
    family = [BUILT_IN.family(name) for name in tree.tasks]
    joined_at = squareform(cophenet(tree.merges))
    outcomes: dict[str, list[float]] = {}
    for first, second in combinations(range(len(family)), 2):
        if family[first] != family[second] or family[first] not in ALIKE:
            continue
        own = joined_at[first, second]
        for third, other in enumerate(family):
            if other in ALIKE and other != family[first]:
                # In a tree the two largest of three distances are equal, so if two pairs tie at the smallest, all three are equal.
                nearest = min(joined_at[first, third], joined_at[second, third])
                outcomes.setdefault(family[first], []).append(1.0 if own < nearest else CHANCE if own == nearest else 0.0)
    every = [outcome for name in outcomes for outcome in outcomes[name]]
    shares = {name: sum(outcomes[name]) / len(outcomes[name]) for name in ALIKE if name in outcomes}
    return {"overall": sum(every) / len(every), **shares} if every else {}


def family_test(tree: Tree, permutations: int, seed: int) -> dict[str, dict[str, Any]]:
    """Test whether the tree joins families first more often than chance: the names of the families are permuted over all of its tasks.

    Returns:
        Per family, and `overall`, as `family_triplets`: `share`; mean and standard deviation of the permuted shares, `by_chance` and `deviation`; and
        `p_value`: (1 + number of permutations with a share at least as high) / (1 + permutations).
    """
    found = family_triplets(tree)
    if not found:
        return {}
    families = np.array([BUILT_IN.family(name) for name in tree.tasks])
    rng = generator(seed, "families of the tree")
    outcomes, names = _outcomes(tree), [name for name in ALIKE if name in set(families)]
    drawn: dict[str, list[Float64[np.ndarray, " draws"]]] = {name: [] for name in found}
    for start in range(0, permutations, _AT_ONCE):
        permuted = families[np.array([rng.permutation(len(families)) for _ in range(min(_AT_ONCE, permutations - start))])]
        for name, shares in _shares(outcomes, permuted, names).items():
            drawn[name].append(shares)
    result: dict[str, dict[str, Any]] = {}
    for name, share in found.items():
        shares = np.concatenate(drawn[name])
        as_high = int((shares >= share - 1e-12).sum())
        facts = {"by_chance": float(shares.mean()), "deviation": float(shares.std()), "p_value": (1 + as_high) / (1 + permutations)}
        result[name] = {"share": share, **facts}
    return result


def _outcomes(tree: Tree) -> Float64[np.ndarray, "tasks tasks tasks"]:
    """Return what a triplet counts: 1 where the first two tasks join before the third, 1/3 where all join at once, else 0."""
    joined_at = squareform(cophenet(tree.merges))
    pair, nearest = joined_at[:, :, None], np.minimum(joined_at[:, None, :], joined_at[None, :, :])
    return np.where(pair < nearest, 1.0, np.where(pair == nearest, CHANCE, 0.0))


def _shares(outcomes: Float64[np.ndarray, "tasks tasks tasks"], families: np.ndarray, names: list[str]) -> dict[str, Float64[np.ndarray, " draws"]]:
    """Compute the shares of `family_triplets` under each of these assignments of families to tasks, [draws, tasks]."""
    alike = np.isin(families, names).astype(np.float64)
    sums, counts = {}, {}
    for name in names:
        own = (families == name).astype(np.float64)
        others = alike - own
        size, rest = own.sum(axis=1), others.sum(axis=1)
        if (size * (size - 1) * rest).any():
            into = np.einsum("abc,dc->dab", outcomes, others, optimize=True)
            sums[name] = (np.einsum("dab,da,db->d", into, own, own, optimize=True) - np.einsum("daa,da->d", into, own)) / 2
            counts[name] = size * (size - 1) * rest / 2
    return {"overall": sum(sums.values()) / sum(counts.values()), **{name: sums[name] / counts[name] for name in sums}}
