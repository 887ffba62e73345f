"""Amounts of labels in the Boolean program, against enumeration and against the paper's program."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyomo.core as pyo
import pytest
from amounts_programs import draw, wrong
from conftest import NOT_SOURCES

from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import plan
from taskonomy.policy.problem import admissible
from taskonomy.policy.program import boolean_program
from taskonomy.tables.table import parse_table

HEAD = "target,sources,affinity,images\n"
TABLE = HEAD + "a,self,0.1,100\na,self,0.4,500\na,self,0.9,\na,b,0.35,100\na,b,0.8,500\nb,self,0.2,100\nb,self,0.7,500\nb,self,0.85,\n"
MONEY: dict[str, Any] = {"currency": "EUR", "price": 1, "full": 1000, "transfer": 100}


def solved(budget: float, table: str = TABLE, **rules: Any) -> Any:
    return plan(parse_table(table, "t"), PolicyParams(**{"budget": budget, "self_edge": "gold", "labels": MONEY, **rules}))[0]


@pytest.mark.parametrize("solver", ["glpk", "highs"])
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_programs_are_solved_as_enumeration_has_it(solver: str, first: int) -> None:
    found = {seed: list(wrong(draw(seed), solver)) for seed in range(first, first + 20)}
    assert {seed: what for seed, what in found.items() if what} == {}


def said(best: Any) -> tuple[dict[str, Any], float]:
    return dict(best.amounts), best.cost


def test_money_moves_from_small_amounts_to_larger_ones() -> None:
    assert said(solved(200)) == ({"a": 100, "b": 100}, 200)
    assert said(solved(600)) == ({"a": 100, "b": 500}, 600)  # 0.1 + 0.7
    assert said(solved(1100)) == ({"a": 100, "b": None}, 1100)  # b in full serves both: 0.35 + 0.85
    assert said(solved(1500)) == ({"a": 500, "b": None}, 1500)
    with pytest.raises(TaskonomyError, match=r"the labels for transfers to all 2 targets alone cost 200\.00 EUR"):
        solved(199)


def test_labels_of_a_task_that_is_source_and_target_are_paid_once() -> None:
    best = solved(1100)
    assert {one.target: (one.sources, one.images) for one in best.transfers} == {"a": (("b",), 100), "b": (("self",), None)}
    assert best.cost == 100 + 1000


def test_labels_that_are_there_cost_nothing() -> None:
    there = {**MONEY, "tasks": {"b": {"there": 700}}}
    assert said(solved(400, labels=there)) == ({"a": 100, "b": None}, 400)  # 300 of b are missing
    assert said(solved(100, labels=there)) == ({"a": 100, "b": 500}, 100)
    bill = solved(400, labels=there).bill(PolicyParams(budget=0, labels=there).labels)
    assert bill.set_index("task")[["images", "sum"]].to_dict("index") == {"a": {"images": 100, "sum": 100.0}, "b": {"images": 1000, "sum": 300.0}}


def test_without_prices_the_smallest_amount_is_free_and_others_cost_their_share() -> None:
    labels = {"full": 1100, "transfer": 100}
    assert solved(0, labels=labels).cost == 0
    assert said(solved(0.4, labels=labels)) == ({"a": 100, "b": 500}, 0.4)


def test_a_network_from_scratch_on_some_images_is_no_source() -> None:
    best = solved(600)
    assert best.sources == ()
    assert solved(600, self_edge="transfer").objective == best.objective
    with pytest.raises(TaskonomyError, match="no transfer is left for b"):
        solved(600, self_edge="none")


def with_images(published: pd.DataFrame, images: int) -> pd.DataFrame:
    return published.assign(images=np.where(published["sources"].map(lambda group: group == ("self",)), np.nan, images))


@pytest.mark.parametrize("labels", [{}, {"currency": "EUR", "price": 0.05, "tasks": {"normal": {"price": 0.5}}}])
@pytest.mark.parametrize("self_edge", ["gold", "transfer"])
def test_one_amount_gives_the_papers_program(published: pd.DataFrame, labels: dict[str, Any], self_edge: str) -> None:
    budget = 30_000 if labels else 4
    params = PolicyParams(budget=budget, exclude=NOT_SOURCES, self_edge=self_edge, labels=labels)
    paper, ours = (admissible(table, params) for table in (published, with_images(published, 16_000)))
    assert not ours.steps
    assert (ours.sources, ours.costs, ours.fixed) == (paper.sources, paper.costs, paper.fixed)
    assert [one.needs for one in ours.transfers] == [one.needs for one in paper.transfers]
    said = json.loads(to_json(plan(with_images(published, 16_000), params)[0].reproducible()))
    del said["amounts"]
    assert [one.pop("images") for one in said["transfers"] if one["sources"] != ["self"]] != []
    assert said == json.loads(to_json(plan(published, params)[0].reproducible()))


def test_the_printed_program_has_amounts_as_named_blocks() -> None:
    problem = admissible(parse_table(TABLE, "t"), PolicyParams(budget=0, self_edge="gold", labels=MONEY))
    model = boolean_program(problem)
    assert set(model.z) == {("a", 500), ("a", "full"), ("b", 500), ("b", "full")}
    assert set(model.one_amount) == {("a", 500), ("b", 500)}
    for lower, upper in ((0, 0), (1, 0), (1, 1)):
        model.y["b, 500 images"].value, model.y["b"].value = lower, upper
        assert sum(pyo.value(model.z["b", amount]) for amount in (500, "full")) <= 1
    one_amount = boolean_program(admissible(parse_table(HEAD + "a,b,1,5\na,c,2,5\n", "t"), PolicyParams(budget=0)))
    assert not {"z", "one_amount"} & {one.name for one in one_amount.component_objects()}


def test_more_images_than_a_task_has_are_refused() -> None:
    with pytest.raises(TaskonomyError, match=r"b -> a takes 500 labelled images of a, which has 400 in full; set policy\.labels\.tasks\.a\.full"):
        solved(1000, labels={**MONEY, "full": 400})
