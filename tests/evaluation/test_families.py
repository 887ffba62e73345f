"""Triplet agreement of the tree with the families, against clades as plain sets and every order of the leaves."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES
from scipy.spatial.distance import cdist
from scipy.stats import zscore

from taskonomy.config.policy_params import TreeConstruction
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.families import family_test, family_triplets
from taskonomy.evaluation.tree import Tree, similarity_tree, without_sources
from taskonomy.tables.table import parse_table
from taskonomy.tasks import BUILT_IN

NAMES = ("normal", "reshading", "denoising", "edge_texture", "class_scene", "jigsaw")  # 3D, 3D, 2D, 2D, semantic, self-supervised


def tree_of(tasks: tuple[str, ...], *merges: tuple[int, int, float]) -> Tree:
    sizes = [1] * len(tasks)
    rows = []
    for left, right, distance in merges:
        sizes.append(sizes[left] + sizes[right])
        rows.append([left, right, distance, sizes[-1]])
    return Tree(tasks, np.array(rows, dtype=np.float64))


def from_clades(tree: Tree) -> dict[str, list[bool]]:
    """For each pair of one family and each task of another: is there a clade with the two and not the third?"""
    members = [frozenset({name}) for name in tree.tasks]
    for left, right, *_ in tree.merges:
        members.append(members[int(left)] | members[int(right)])
    alike = [name for name in tree.tasks if BUILT_IN.family(name) in ("2D", "3D", "geometric", "semantic")]
    found: dict[str, list[bool]] = {}
    for two in combinations(alike, 2):
        for third in alike:
            if BUILT_IN.family(two[0]) == BUILT_IN.family(two[1]) != BUILT_IN.family(third):
                found.setdefault(BUILT_IN.family(two[0]), []).append(any(set(two) <= clade and third not in clade for clade in members))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_triplets_are_those_of_the_clades(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [name for name in BUILT_IN if name != "random_projection"]
    text = "".join(f"{target},{source},{rng.random()}\n" for target in names for source in names)
    tree = similarity_tree(parse_table("target,sources,affinity\n" + text, "T"))
    found, expected = family_triplets(tree), from_clades(tree)
    assert found.keys() == {"overall", *expected}
    for name, outcomes in expected.items():
        assert found[name] == pytest.approx(np.mean(outcomes))
    assert found["overall"] == pytest.approx(np.mean([one for outcomes in expected.values() for one in outcomes]))


def test_a_tree_of_families_is_perfect_and_one_across_them_is_not() -> None:
    """Tasks of families that are not about likeness, and a family's only task, are no pair; the only task may be the third."""
    apart = tree_of(NAMES, (0, 1, 1), (2, 3, 1), (6, 7, 2), (8, 4, 3), (9, 5, 4))
    assert family_triplets(apart) == {"overall": 1.0, "3D": 1.0, "2D": 1.0}
    across = tree_of(NAMES, (0, 2, 1), (1, 3, 1), (6, 7, 2), (8, 4, 3), (9, 5, 4))
    # normal joins denoising, reshading joins edge_texture; only scenes, outside of all four, are no nearer.
    assert family_triplets(across) == {"overall": pytest.approx(1 / 3), "3D": pytest.approx(1 / 3), "2D": pytest.approx(1 / 3)}


def test_a_triplet_that_joins_at_one_distance_counts_a_third() -> None:
    flat = tree_of(NAMES[:3], (0, 1, 1), (3, 2, 1))
    assert family_triplets(flat)["3D"] == pytest.approx(1 / 3)


def test_any_tree_agrees_with_random_leaves_on_a_third_of_the_triplets() -> None:
    ladder = ((0, 1, 1.0), (5, 2, 2.0), (6, 3, 3.0), (7, 4, 4.0))
    shares = [family_triplets(tree_of(order, *ladder))["overall"] for order in permutations(NAMES[:5])]
    assert np.mean(shares) == pytest.approx(1 / 3)


def test_a_tree_without_two_families_has_no_triplets() -> None:
    assert family_triplets(tree_of(("normal", "reshading", "mine"), (0, 1, 1), (3, 2, 2))) == {}


def test_the_published_tree_finds_the_families(published: pd.DataFrame) -> None:
    """The paper's figure 13: the 3D tasks, and the semantic ones, are each one clade, so nothing stands between two of them."""
    found = family_triplets(similarity_tree(without_sources(published, NOT_SOURCES), TreeConstruction.PAPER))
    assert found["3D"] == found["semantic"] == 1.0
    assert min(found.values()) > 0.5


def test_standardised_patterns_join_every_family_first_on_the_published_table_and_nearly_so_on_parts_of_it(published: pd.DataFrame) -> None:
    kept = without_sources(published, NOT_SOURCES)
    assert set(family_triplets(similarity_tree(kept)).values()) == {1.0}
    targets, rng = sorted(set(kept["target"])), np.random.default_rng(0)
    parts = [kept[kept["target"].isin(rng.choice(targets, 16, replace=False))] for _ in range(20)]
    standardised, paper = (np.mean([family_triplets(similarity_tree(part, one))["overall"] for part in parts]) for one in TreeConstruction)
    assert standardised > 0.97 > paper


@pytest.mark.parametrize("seed", range(3))
def test_standardised_patterns_do_not_depend_on_a_targets_scale_or_spread(seed: int) -> None:
    """An affinity is a share of its target's rows, and an eigenvector of odds: neither its unit nor its power is a fact about the sources."""
    rng = np.random.default_rng(seed)
    names = list(BUILT_IN)[:12]
    values = rng.random((12, 12))
    powers, factors = rng.uniform(0.3, 3, 12), rng.uniform(0.1, 10, 12)
    trees = []
    for raised in (values, factors[:, None] * values ** powers[:, None]):
        rows = "".join(f"{target},{source},{raised[row, column]}\n" for row, target in enumerate(names) for column, source in enumerate(names))
        trees.append(similarity_tree(parse_table("target,sources,affinity\n" + rows, "T")))
    assert trees[0].tasks == trees[1].tasks
    np.testing.assert_allclose(trees[0].merges, trees[1].merges, atol=1e-9)
    cosine = cdist(*[zscore(np.log(values), axis=1).T] * 2, "cosine")
    np.testing.assert_allclose(trees[0].merges[0, 2], cosine[np.triu_indices(12, 1)].min())  # the nearest two join first, at their distance


def test_an_affinity_of_zero_and_a_missing_self_edge_have_a_place_in_the_tree() -> None:
    rows = "x,x,0\nx,y,0.2\nx,z,0.4\ny,x,0.3\ny,z,0.6\nz,x,0.1\nz,y,0.2\nz,z,0.9\n"
    assert similarity_tree(parse_table("target,sources,affinity\n" + rows, "T")).tasks == ("x", "y", "z")


def test_p_values_are_those_of_all_orders_of_the_leaves() -> None:
    tree = tree_of(NAMES, (0, 1, 1), (2, 4, 1), (6, 7, 2), (8, 3, 3), (9, 5, 4))
    found = family_test(tree, 4000, 0)
    every = [family_triplets(Tree(order, tree.merges)) for order in permutations(NAMES)]
    for name, share in family_triplets(tree).items():
        exact = np.mean([one[name] >= share - 1e-12 for one in every])
        assert found[name]["share"] == share
        assert found[name]["p_value"] == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 4000) + 1 / 4000)
        assert found[name]["deviation"] == pytest.approx(np.std([one[name] for one in every]), rel=0.1)
        assert found[name]["by_chance"] == pytest.approx(1 / 3, abs=0.03)
    assert family_test(tree_of(("normal", "reshading", "mine"), (0, 1, 1), (3, 2, 2)), 100, 0) == {}


def test_families_of_the_published_tree_are_no_chance(published: pd.DataFrame) -> None:
    found = family_test(similarity_tree(without_sources(published, NOT_SOURCES)), 2000, 0)
    assert max(one["p_value"] for one in found.values()) < 0.01


def test_leaving_out_a_task_that_a_table_never_uses_changes_nothing(published: pd.DataFrame) -> None:
    smaller = without_sources(published, ["class_object_100"])
    pd.testing.assert_frame_equal(without_sources(smaller, ["class_object_100"]), smaller)
    with pytest.raises(TaskonomyError, match=r"unknown 'clas_scene' \(did you mean 'class_scene'\?\)"):
        without_sources(smaller, ["clas_scene"])
