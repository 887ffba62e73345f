"""Measure whether the similarity tree recovers the task families (paper figure 13: 3D, 2D and semantic tasks form clusters)."""

from itertools import combinations

from scipy.cluster.hierarchy import cophenet
from scipy.spatial.distance import squareform

from taskonomy.evaluation.tree import Tree
from taskonomy.tasks import BUILT_IN

# Families of similar tasks; `self-supervised` says only where labels come from, and `other` nothing.
ALIKE = ("3D", "2D", "geometric", "semantic")
CHANCE = 1 / 3


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
