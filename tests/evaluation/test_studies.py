"""The experiments on one table, against plain loops over its rows."""

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.held_out import held_out
from taskonomy.evaluation.significance import Draw, random_policies
from taskonomy.evaluation.studies import COLUMNS, FULL, against_chance, as_frame, by_order, novel_tasks, other_ways
from taskonomy.policy.planner import Planner
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table

TABLE = """target,sources,affinity,gain,quality
normal,self,0.3,0.9,0.5
normal,normal,0.29,0.85,0.45
normal,reshading,0.1,0.7,0.3
normal,jigsaw,0.02,0.4,0.1
normal,random_projection,0.01,0.2,0.05
normal,reshading+jigsaw,0.2,0.8,0.35
normal,normal+jigsaw,0.28,0.95,0.45
normal,reshading>depth_euclidean,0.05,0.6,0.2
normal,reshading@0.02,0.15,0.75,0.32
"""


@pytest.fixture
def table() -> pd.DataFrame:
    return parse_table(TABLE, "T")


def test_a_novel_task_is_solved_from_others_by_what_affinity_chose(table: pd.DataFrame) -> None:
    rules = PolicyParams(budget=1, exclude=("random_projection",))
    found = {row["way"]: row for row in novel_tasks(table, table, rules)}
    assert {way: (row["sources"], row["gain"]) for way, row in found.items()} == {
        "best transfer": ("reshading+jigsaw", 0.8),
        "best single source": ("reshading@0.02", 0.75),
        "jigsaw": ("jigsaw", 0.4),
        "random_projection": ("random_projection", 0.2),
        FULL: ("self", 0.9),
    }
    first = PolicyParams(budget=1, max_order=1, exclude=("reshading", "random_projection"))
    assert next(novel_tasks(table, table, first))["sources"] == "jigsaw"


def test_each_order_has_its_best_transfer_from_others_and_no_variants(table: pd.DataFrame) -> None:
    found = [(row["order"], row["sources"], row["quality"]) for row in by_order(table, table, PolicyParams(budget=1))]
    assert found == [(1, "reshading", 0.3), (2, "reshading+jigsaw", 0.35)]


def test_other_ways_stand_beside_the_plain_transfer_from_the_same_source(table: pd.DataFrame) -> None:
    found = as_frame(other_ways(table, table), COLUMNS["ways"])
    assert found[["written", "kind", "gain", "direct_gain"]].to_numpy().tolist() == [
        ["reshading>depth_euclidean", "transitive", 0.6, 0.7],
        ["reshading@0.02", "fine-tuned", 0.75, 0.7],
    ]
    assert list(as_frame([], COLUMNS["ways"])) == list(COLUMNS["ways"])


def test_gain_and_quality_are_those_of_the_held_out_images_whatever_the_order_of_its_sources(table: pd.DataFrame) -> None:
    held = parse_table(TABLE.replace("reshading+jigsaw,0.2,0.8", "jigsaw+reshading,0.2,0.11"), "T")
    assert next(novel_tasks(table, held, PolicyParams(budget=1)))["gain"] == 0.11
    with pytest.raises(TaskonomyError, match="not measured on the held-out images: reshading -> normal"):
        list(by_order(table, held[held["sources"] != ("reshading",)], PolicyParams(budget=1)))


def test_every_published_target_gets_its_best_row_by_a_plain_search(published: pd.DataFrame) -> None:
    rules = PolicyParams(budget=1, exclude=NOT_SOURCES, max_order=3)
    found = {row["target"]: row["affinity"] for row in novel_tasks(published, published, rules) if row["way"] == "best transfer"}
    expected: dict[str, float] = {}
    for target, sources, affinity in published[["target", "sources", "affinity"]].itertuples(index=False):
        if len(sources) <= 3 and not {target, "self", *NOT_SOURCES} & set(sources) and affinity > expected.get(target, -1.0):
            expected[target] = affinity
    assert found == expected


def test_budgets_are_held_against_as_many_random_policies(published: pd.DataFrame) -> None:
    """By the paper's rules, whatever the policy says of costs, self edges and importances."""
    rules = PolicyParams(budget=0, max_order=2, exclude=NOT_SOURCES, preset="paper")
    shuffled = published.assign(gain=np.random.default_rng(0).permutation(published["gain"]))
    given = PolicyParams(budget=0, max_order=2, exclude=NOT_SOURCES, cost={"normal": 5}, importance={"reshading": 9}, require=("jigsaw",))
    rows = as_frame(against_chance(published, shuffled, given, [4, 0.5, 2, 4], 200, 3), COLUMNS["chance"])
    assert rows["budget"].tolist() == [2.0] * 4 + [4.0] * 4  # half a label serves nobody
    problem = held_out(admissible(published, rules), shuffled)
    gains = dict(zip([(one.target, one.sources) for one in problem.transfers], [one.gain for one in problem.transfers], strict=True))
    for budget in (2.0, 4.0):
        chosen = Planner(published, rules).policy(budget)
        own = np.mean([gains[one.target, one.sources] for one in chosen.transfers])
        for draw in Draw:
            drawn = random_policies(problem, budget, 200, draw, 3).gain
            row = rows[(rows["budget"] == budget) & (rows["draw"] == draw) & (rows["measure"] == "gain")].iloc[0]
            assert row["policy"] == pytest.approx(own)
            assert row["p_value"] == (1 + sum(one >= own - 1e-12 for one in drawn)) / 201
            assert row["random_low"] <= row["random"] <= row["random_high"]
