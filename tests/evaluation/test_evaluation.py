"""Significance, savings and the tree, against plain loops and hand-made cases."""

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES

from taskonomy.config.policy_params import PolicyParams, SavingsParams, SelfEdge, TreeConstruction
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.full_supervision import labels_share
from taskonomy.evaluation.savings import random_sets, smallest_budgets, summary
from taskonomy.evaluation.significance import Draw, random_policies, significance
from taskonomy.evaluation.tree import Tree, similarity_tree, without_sources
from taskonomy.policy.front import front
from taskonomy.policy.planner import Planner, plan
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table

SAVINGS = SavingsParams(quality_levels=(0.9,), set_size=4, draws=6, max_order=2, images_full=1000, images_transfer=100, seed=0)


@pytest.mark.parametrize("draw", list(Draw))
def test_random_policies_are_feasible_and_none_beats_the_optimum(published: pd.DataFrame, draw: Draw) -> None:
    params = PolicyParams(budget=4, max_order=2, exclude=NOT_SOURCES, require=("normal",))
    best, _ = plan(published, params)
    drawn = random_policies(admissible(published, params), 4, 3000, draw, seed=0)
    assert len(drawn.objective) == len(drawn.gain) == len(drawn.quality) == 3000
    assert drawn.objective.max() <= best.objective + 1e-12
    assert drawn.objective.std() > 0


def test_random_sources_with_best_transfers_match_a_plain_enumeration() -> None:
    """Budget 1 of 3 sources, all of which serve every target: each is drawn a third of the time."""
    table = parse_table(
        "target,sources,affinity,gain,quality\n" + "".join(f"{t},{s},{0.1 * (i + 1)},0.{i + 1},0.{i}\n" for t in "xy" for i, s in enumerate("abc")),
        "T",
    )
    problem = admissible(table, PolicyParams(budget=1))
    drawn = random_policies(problem, 1, 9000, Draw.SOURCES, seed=1)
    values, counts = np.unique(np.round(drawn.objective, 9), return_counts=True)
    assert values.tolist() == [0.2, 0.4, 0.6]
    assert counts / 9000 == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    np.testing.assert_allclose(drawn.gain, drawn.objective / 2)


def test_random_connections_choose_evenly_among_what_the_sources_allow() -> None:
    table = parse_table("target,sources,affinity\nx,a,0.1\nx,b,0.2\nx,a+b,0.4\nx,c,0.9\n", "T")
    problem = admissible(table, PolicyParams(budget=2, require=("a", "b")))
    drawn = random_policies(problem, 2, 9000, Draw.CONNECTIONS, seed=1)
    values, counts = np.unique(drawn.objective, return_counts=True)
    assert values == pytest.approx([0.1, 0.2, 0.4])
    assert counts / 9000 == pytest.approx(np.full(3, 1 / 3), abs=0.02)


def test_the_p_value_counts_random_policies_at_least_as_good(published: pd.DataFrame) -> None:
    params = PolicyParams(budget=2, max_order=1, exclude=NOT_SOURCES)
    best, _ = plan(published, params)
    problem = admissible(published, params)
    found = significance(best, problem, 1000, seed=3)
    drawn = random_policies(problem, 2, 1000, Draw.SOURCES, seed=3)
    assert found["sources"]["objective"]["p_value"] == (1 + (drawn.objective >= best.objective - 1e-12).sum()) / 1001
    assert found["sources"]["quality"]["p_value"] == (1 + (drawn.quality >= best.mean_quality - 1e-12).sum()) / 1001
    assert sum(found["sources"]["gain"]["histogram"]["counts"]) == 1000


def test_a_source_pays_for_its_own_transfer_and_targets_that_are_none_pay_for_theirs() -> None:
    table = parse_table("target,sources,affinity,quality\na,self,0.5,0.5\nb,self,0.3,0.5\nb,a,0.2,0.4\n", "T")
    one, _ = plan(table, PolicyParams(budget=1, self_edge=SelfEdge.NONE, roles={"a": "source"}))  # type: ignore[dict-item]
    assert labels_share([each.target for each in one.transfers], one.sources, 1000, 100) == (1000 + 100) / 1000
    both, _ = plan(table.assign(target=["a", "b", "b"]), PolicyParams(budget=2, self_edge=SelfEdge.GOLD))
    assert both.sources == ("a", "b")
    assert labels_share([each.target for each in both.transfers], both.sources, 1000, 100) == 1.0


def test_the_smallest_budget_is_the_first_of_the_front_that_reaches_the_level(published: pd.DataFrame) -> None:
    params = PolicyParams(preset="paper", budget=0, max_order=1, self_edge=SelfEdge.GOLD, exclude=NOT_SOURCES)
    points = front(published, params, [1])
    (reached,) = smallest_budgets(points, [0.9])
    assert reached.budget is not None
    assert reached.quality is not None
    assert reached.quality >= 0.45
    planner = Planner(published, params.model_copy(update={"max_order": 1}))
    assert all(planner.policy(budget).mean_quality < 0.45 for budget in range(1, int(reached.budget)))
    assert smallest_budgets(points[:1], [0.99])[0].budget is None


def test_random_sets_of_tasks_reach_full_quality_with_all_labels(published: pd.DataFrame) -> None:
    params = PolicyParams(budget=8, exclude=NOT_SOURCES)
    sets = random_sets(published, params, SAVINGS)
    assert sorted(sets["draw"].unique()) == list(range(6))
    assert sorted(sets["budget"].unique()) == [1, 2, 3, 4]
    assert sets.groupby("draw")["quality"].apply(lambda values: values.iloc[-1] > values.iloc[0]).all()
    told = summary(sets, [0.9])["90% of full quality"]
    assert isinstance(told, dict)
    assert 0 < told["reached_by"] <= 1
    pd.testing.assert_frame_equal(sets, random_sets(published, params, SAVINGS))


def test_two_sources_with_the_same_pattern_are_joined_first() -> None:
    rng = np.random.default_rng(0)
    pattern = rng.random((6, 3))
    columns = {"a": pattern[:, 0], "b": pattern[:, 1], "twin": pattern[:, 0] * 1.001, "d": pattern[:, 2]}
    text = "".join(f"t{row},{name},{values[row]}\n" for name, values in columns.items() for row in range(6))
    tree = similarity_tree(parse_table("target,sources,affinity\n" + text, "T"))
    first = {tree.tasks[int(leaf)] for leaf in tree.merges[0, :2]}
    assert first == {"a", "twin"}


def test_the_published_tree_holds_the_clusters_of_the_paper(published: pd.DataFrame) -> None:
    """The paper's figure 13: 3D tasks, and object with scene and semantic classes, are each one clade."""
    tree = similarity_tree(without_sources(published, NOT_SOURCES), TreeConstruction.PAPER)
    clades = all_clades(tree)
    three_d = {
        "normal", "segment_unsup25d", "principal_curvature", "keypoints3d", "depth_zbuffer", "depth_euclidean", "edge_occlusion", "reshading",
    }  # fmt: skip
    assert frozenset(three_d) in clades
    assert frozenset({"segment_semantic", "class_object", "class_scene"}) in clades
    assert tree.newick().count("(") == len(tree.tasks) - 1
    assert Tree.from_dict(tree.as_dict()).newick() == tree.newick()


def all_clades(tree: Tree) -> set[frozenset[str]]:
    members = [frozenset({name}) for name in tree.tasks]
    for left, right, *_ in tree.merges:
        members.append(members[int(left)] | members[int(right)])
    return set(members)


def test_a_tree_with_unmeasured_pairs_is_refused_by_name() -> None:
    table = parse_table("target,sources,affinity\nx,a,0.1\nx,b,0.2\ny,a,0.3\n", "T")
    with pytest.raises(TaskonomyError, match="not measured: b -> y"):
        similarity_tree(table)


def test_the_tree_and_rankings_know_frozen_transfers_alone(published: pd.DataFrame) -> None:
    names = ("reshading>depth_zbuffer", "reshading@0.02")
    other = pd.DataFrame([{"target": "normal", "sources": (name,), "affinity": 0.4, "gain": 0.9, "quality": 0.8} for name in names])
    kept = without_sources(published, NOT_SOURCES)
    mixed = pd.concat([kept, other], ignore_index=True)
    assert similarity_tree(mixed).newick() == similarity_tree(kept).newick()
    left = without_sources(mixed, ["reshading"])
    assert not left["sources"].map(lambda sources: any(name.startswith("reshading") for name in sources)).any()
    assert len(without_sources(mixed, ["depth_zbuffer"])) == len(without_sources(kept, ["depth_zbuffer"])) + 2


def test_random_sets_are_drawn_from_tables_with_other_transfers() -> None:
    """The rules that fit a subset's table know the tasks behind `a>b` and `a@0.1`: what is excluded stays so."""
    rows = "".join(f"{t},self,0.2,0.9,0.5\n{t},a@0.1,0.9,0.9,0.9\n{t},b,0.1,0.5,0.3\n" for t in "vwxyz")
    table = parse_table(f"target,sources,affinity,gain,quality\n{rows}", "T")
    found = {exclude: random_sets(table, PolicyParams(budget=1, exclude=exclude), SAVINGS) for exclude in ((), ("a",))}
    first = {exclude: set(sets.loc[sets["budget"] == 1, "quality"].round(3)) for exclude, sets in found.items()}
    assert first == {(): {0.9}, ("a",): {0.3}}
