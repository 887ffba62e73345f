"""The page's own solver, in a browser: the policies of enumeration, and those of the pipeline's solver on the published measurements."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from chromium import empty_page, needs_chromium, script
from conftest import NOT_SOURCES
from playwright.sync_api import Page
from programs import Known, One, draw, enumerated, written

from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.front import front
from taskonomy.policy.problem import admissible
from taskonomy.report.page_solver import page_program

pytestmark = needs_chromium
SOLVE = "programs => programs.map(policySolver.solve)"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with empty_page() as page:
        page.add_script_tag(content=script("solver.js"))
        yield page


def test_the_page_finds_the_policy_of_enumeration_for_a_thousand_random_programs(page: Page) -> None:
    programs = {seed: one for seed, one in ((seed, draw(seed)) for seed in range(1000)) if enumerated(one.table, one.rules)}
    params = {seed: PolicyParams(**one.rules) for seed, one in programs.items()}
    found = page.evaluate(SOLVE, [page_program(admissible(one.table, params[seed]), params[seed]) for seed, one in programs.items()])
    assert {seed: wrong for (seed, one), got in zip(programs.items(), found, strict=True) if (wrong := _wrong(one, got))} == {}
    assert {one["status"] for one in found} == {"optimal", "infeasible"}


def _wrong(one: One, got: dict[str, Any]) -> str:
    names = sorted({*one.table["target"], *(name for group in one.table["sources"] for name in group)})
    affordable = [known for known in enumerated(one.table, one.rules) if known.cost <= written(one.rules["budget"])]
    if not affordable:
        return "" if got["status"] == "infeasible" else f"{got} where nothing fits"
    best: Known = min(affordable, key=lambda known: known.key(names))
    if got["status"] != "optimal" or tuple(got["sources"]) != best.sources or got["cost"] != float(best.cost):
        return f"{got}, not {best}"
    rows = {(target, group): number for number, (target, group) in enumerate(zip(one.table["target"], one.table["sources"], strict=True))}
    chosen = tuple(rows[transfer["target"], tuple(transfer["sources"])] for transfer in sorted(got["transfers"], key=lambda each: each["target"]))
    again = next(known for known in enumerated(one.table, one.rules) if set(known.rows) == set(chosen))
    return "" if (again.objective, again.cost, again.sources) == (best.objective, best.cost, best.sources) else f"{got}: its transfers are {again}"


@pytest.mark.parametrize("order", [1, 2, 24, *(pytest.param(order, marks=pytest.mark.long) for order in (3, 4))])
def test_the_page_finds_the_pipelines_policy_at_every_budget_of_the_published_front(page: Page, published: pd.DataFrame, order: int) -> None:
    params = PolicyParams(budget=8, exclude=NOT_SOURCES, max_order=order)
    program = page_program(admissible(published, params), params)
    points = front(published, params, [order])
    found = page.evaluate(SOLVE, [{**program, "budget": point.policy.budget} for point in points])
    assert [one["status"] for one in found] == ["optimal"] * len(points)
    assert [one["sources"] for one in found] == [list(point.policy.sources) for point in points]
    assert [_ways(one["transfers"]) for one in found] == [sorted((each.target, each.sources) for each in point.policy.transfers) for point in points]


def _ways(transfers: list[dict[str, Any]]) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((one["target"], tuple(one["sources"])) for one in transfers)


def test_a_problem_that_is_too_large_for_the_page_says_so(page: Page) -> None:
    transfers = [{"target": "t", "sources": [f"s{number}"], "needs": [f"s{number}"], "affinity": 1} for number in range(31)]
    program = {"transfers": transfers, "cost": {}, "fixed": 0, "budget": 1, "importance": {}, "required": [], "balance": "none"}
    assert page.evaluate(SOLVE, [program])[0] == {"status": "too large", "why": "31 sources"}
