"""A table with several amounts of labels in the explorer: its picture, its details, its curve by money, and what it exports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import NO_LIMIT

from taskonomy.explorer import downloads as exports
from taskonomy.explorer.callbacks import Explorer
from taskonomy.explorer.cytoscape import elements
from taskonomy.explorer.form import RefusedError, from_query
from taskonomy.explorer.loading import opened
from taskonomy.explorer.policy_diff import difference
from taskonomy.explorer.policy_view import transfers
from taskonomy.explorer.task_detail import task_detail
from taskonomy.policy.planner import Planner, Policy
from taskonomy.tables.table import parse_table, read_table
from taskonomy.tasks import BUILT_IN

TABLE = (
    "target,sources,affinity,images,gain,quality\n"
    "a,self,0.1,100,0.1,0.1\na,self,0.4,400,0.4,0.3\na,b,0.35,100,0.3,0.25\na,b,0.5,400,0.5,0.4\n"
    "b,self,0.2,100,0.2,0.1\nb,self,0.6,400,0.5,0.3\nb,self,0.8,,0.7,0.5\nc,self,0.3,100,0.3,0.2\nc,self,0.35,400,0.3,0.22\n"
)
MONEY = "label-currency=EUR&label-price=1&label-full=1000&label-transfer=100&preset=practice&self_edge=gold"


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    made = Explorer(opened(parse_table(TABLE, "t"), "t", NO_LIMIT))
    yield made
    made.solver.close()


def solved(explorer: Explorer, budget: int, more: str = "") -> tuple[Any, Policy]:
    return explorer.solved(from_query(f"budget={budget}&{MONEY}{more}", explorer.opened))


def titles(policy: Policy) -> set[tuple[str, str]]:
    return {(one["classes"], one["data"]["title"]) for one in elements(policy, BUILT_IN) if "position" in one}


def test_only_what_some_row_needs_in_full_may_be_labelled_in_full(explorer: Explorer) -> None:
    assert explorer.opened.sources == {"b"}  # networks from scratch on some images of a and c need none in full


def test_the_picture_says_how_many_images_of_each_task(explorer: Explorer) -> None:
    assert titles(solved(explorer, 300)[1]) == {("to", "a, 100 images"), ("to", "b, 100 images"), ("to", "c, 100 images")}
    many = solved(explorer, 1500)[1]
    assert titles(many) == {("from", "b, in full"), ("to", "a, 400 images"), ("to", "b, in full"), ("to", "c, 100 images")}
    drawn = [one["data"] for one in elements(many, BUILT_IN) if "position" not in one]
    assert len(drawn) == 2  # b to a, and b's own network; that of c, from scratch, reads no source


def test_the_table_has_the_amounts_and_another_one_is_a_change(explorer: Explorer) -> None:
    few, more = (solved(explorer, budget)[1] for budget in (300, 600))
    assert [one.sources for one in few.transfers] == [one.sources for one in more.transfers]
    changed = [one.after.target for one in difference(few, more).rerouted]
    assert changed == [now.target for then, now in zip(few.transfers, more.transfers, strict=True) if then.images != now.images] == ["b"]
    shown = str(transfers(few, more, BUILT_IN).to_plotly_json())
    assert "images" in shown
    assert "before: its own network on 100 images" in shown
    assert shown.count("rerouted") == 1


def test_the_details_of_a_target_list_its_rows_by_amount_and_what_each_needs(explorer: Explorer) -> None:
    params, policy = solved(explorer, 600)
    problem = explorer.solver.problem(params)
    shown = str([one.to_plotly_json() for one in task_detail("a", policy, problem, params.labels, BUILT_IN)])
    assert {(one.sources, one.images) for number in problem.into("a") for one in [problem.transfers[number]]} == {
        (("self",), 100), (("self",), 400), (("b",), 100), (("b",), 400),
    }  # fmt: skip
    for words in ("chosen", "needs 400 labelled images", "needs b, 400 labelled images", "needs b"):
        assert words in shown


def test_the_curve_has_the_best_policy_of_each_sum_of_money(explorer: Explorer) -> None:
    params, _policy = solved(explorer, 600)
    data = explorer.solver.curve(params).as_data("EUR")
    planner = Planner(explorer.opened.table, params)
    budgets = [one["budget"] for one in data["points"]]
    assert budgets[0] == 300  # the smallest amount of each of three targets
    assert budgets == sorted(budgets)
    assert len(budgets) > 3
    for one in data["points"]:
        assert one["quality"] == planner.policy(one["budget"]).mean_quality
        assert one["text"].endswith("EUR")


def test_an_exported_policy_keeps_the_amounts(explorer: Explorer, tmp_path: Path) -> None:
    policy = solved(explorer, 1500)[1]
    (tmp_path / "policy.csv").write_text(exports.as_csv(policy))
    read = read_table(tmp_path / "policy.csv")
    found = {row.target: (row.sources, None if row.images != row.images else row.images) for row in read.itertuples()}
    assert found == {one.target: (one.sources, one.images) for one in policy.transfers}
    assert found["b"] == (("self",), None)


def test_too_few_images_in_full_are_told_beside_their_field(explorer: Explorer) -> None:
    with pytest.raises(RefusedError) as told:
        solved(explorer, 600, "&label-full=200")
    assert list(told.value.problems) == ["label-full"]
    assert "takes 400 labelled images of" in told.value.problems["label-full"]
