"""The program holds exactly, in the numbers as written: against enumeration in fractions, and what a reader can check by hand."""

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from conftest import NOT_SOURCES
from programs import all_foreign, draw, written, wrong

from taskonomy.config.checked import checked
from taskonomy.config.policy_params import AlternativesDiffer, PolicyParams, SolverName
from taskonomy.errors import TaskonomyError
from taskonomy.policy import planner as solve
from taskonomy.policy.exact import Exact
from taskonomy.policy.front import front
from taskonomy.policy.numbers import as_written, at_least, difference
from taskonomy.policy.planner import plan
from taskonomy.policy.problem import admissible
from taskonomy.policy.search import Search
from taskonomy.tables.table import parse_table

TABLE = parse_table("target,sources,affinity\nx,a,0.9\nx,b,0.5\ny,a,0.2\ny,b,0.3\ny,c,0.8\n", "t")


@pytest.mark.parametrize("solver", list(SolverName))
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 200, 20)], ids=lambda seeds: str(seeds.start))
def test_policy_alternatives_front_and_messages_are_those_of_enumeration_in_exact_arithmetic(seeds: range, solver: SolverName) -> None:
    found = {seed: list(wrong(draw(seed), solver.value)) for seed in seeds}
    assert {seed: what for seed, what in found.items() if what} == {}


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, 10))])
def test_a_thousand_programs_with_foreign_sources_licences_and_a_bound_on_inference_are_as_by_enumeration(part: int) -> None:
    """A hundred in each part; the solvers take turns."""
    programs = all_foreign(1000 * part, 100)
    assert all(one.rules["external"] and {"licences", "max_inference"} <= one.rules.keys() for one in programs)
    found = [list(wrong(one, list(SolverName)[part % 2].value)) for one in programs]
    assert found == [[]] * 100


@pytest.mark.parametrize("solver", list(SolverName))
@pytest.mark.parametrize(
    ("rows", "importance", "budget", "source"),
    [
        ("a,a,.52 a,b,.04 b,a,.91 b,b,.24 y,a,.05 y,b,.8 z,a,.15 z,b,.69", 1e-6, 2, "b"),
        ("a,a,.1 a,b,.4 a,c,.15 b,a,.07 b,b,.4 b,c,.92 c,a,.8 c,b,.77 c,c,.22 y,a,.54 y,b,.28 y,c,.17 z,a,.11 z,b,.21 z,c,.93", 1e-7, 3, "c"),
    ],
)
def test_a_target_that_hardly_counts_still_takes_its_best_transfer(rows: str, importance: float, budget: float, source: str, solver: str) -> None:
    table = parse_table("target,sources,affinity\n" + rows.replace(" ", "\n"), "t")
    best, _ = plan(table, PolicyParams(budget=budget, importance={"z": importance}, solver=solver))
    assert {one.target: one.sources for one in best.transfers}["z"] == (source,)


@pytest.mark.parametrize("solver", list(SolverName))
@pytest.mark.parametrize(
    ("budget", "cost", "sources"),
    [
        (1e-6, {"a": 2e-6, "b": 1e-6, "c": 1e-6}, ("b",)),
        (3e-6, {"a": 2e-6, "b": 1e-6, "c": 2e-6}, ("b", "c")),
        (1e6, {"a": 1e6, "b": 1, "c": 0.9}, ("b", "c")),
        (0.3, {"a": 0.1, "b": 0.3, "c": 0.2}, ("a", "c")),
        (0.3, {"a": 0.1, "b": 0.3, "c": 0.20000000000000007}, ("a",)),
        (1e12, {"a": 1e12, "b": 1e-300, "c": 1e-300}, ("b", "c")),
    ],
)
def test_a_policy_is_within_its_budget_to_the_last_digit(budget: float, cost: dict[str, float], sources: tuple[str, ...], solver: str) -> None:
    best, _ = plan(TABLE, PolicyParams(budget=budget, cost=cost, solver=solver))
    assert best.sources == sources
    assert sum(map(written, (cost[name] for name in sources))) <= written(budget)
    assert (best.status, best.gap) == ("optimal", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 123456, "cost": {"b": 1234567.4, "c": 123456.4}}, "123456 is too small: it cannot serve a, b; .* is 123456.4$"),
        ({"budget": 1234560, "cost": {"b": 9999999, "c": 1234564}}, "1234560 is too small: it cannot serve a, b; .* is 1234564$"),
        (
            {"budget": 999999.995, "labels": {"currency": "EUR", "price": 1, "full": 1_000_000, "transfer": 0}},
            r"999,999\.995 EUR is too small: .* is 1,000,000\.00 EUR$",
        ),
    ],
)
def test_a_budget_that_is_too_small_is_told_with_all_its_digits_and_the_targets_left_out(options: dict[str, Any], message: str) -> None:
    table = parse_table("target,sources,affinity\na,b,0.5\na,c,0.25\nb,c,0.75\nb,b,0.9\n", "t")
    with pytest.raises(TaskonomyError, match=message):
        plan(table, PolicyParams(**options))


def test_costs_in_decimals_make_the_budgets_that_a_reader_adds_up() -> None:
    points = front(TABLE, PolicyParams(budget=0, cost={"a": 0.1, "b": 0.2, "c": 0.2}), [1])
    assert [point.policy.budget for point in points] == [0.1, 0.2, 0.3]
    assert [point.more_label_cost for point in points[:-1]] == [0.1, 0.1]


def test_the_smallest_budget_is_enough_where_no_float_is_written_as_it() -> None:
    cost = {"a": 1e6, "b": 1e12, "c": 1e-12}
    planner = solve.Planner(TABLE, PolicyParams(budget=0, cost=cost, require=("a", "c")))
    smallest = planner.smallest_budget()
    assert written(smallest) >= written(1e6) + written(1e-12) > written(float(written(1e6)))
    assert planner.policy(smallest).sources == ("a", "c")


@pytest.mark.parametrize(("key", "name"), [("importance", "x"), ("cost", "a")])
def test_numbers_too_large_to_be_added_up_exactly_are_refused_by_the_key(key: str, name: str) -> None:
    with pytest.raises(TaskonomyError, match=rf"^policy: {key}\.{name} is too large: must be at most 1,000,000,000,000"):
        checked(PolicyParams, {"budget": 3, key: {name: 1.7e308}}, "policy")
    best, _ = plan(TABLE, PolicyParams(budget=1e12, **{key: {name: 1e12}}))
    assert best.status == "optimal"


@pytest.mark.parametrize(("affinity", "importance"), [(1e308, 1.0), (1e300, 1e12)])
def test_affinities_that_add_up_to_no_float_are_refused(affinity: float, importance: float) -> None:
    table = parse_table(f"target,sources,affinity\nx,a,{affinity}\ny,a,{affinity}\n", "t")
    params = PolicyParams(budget=1, importance={"x": importance, "y": importance})
    with pytest.raises(TaskonomyError, match=r"^affinities, times policy\.importance, add up to more than 1\.79769e\+308"):
        plan(table, params)


@pytest.mark.parametrize("number", [0.1, 1e-300, 123456.4, 5e-324, 1e22, 0.1 + 0.2])
def test_a_number_is_the_decimal_that_it_is_written_as(number: float) -> None:
    assert as_written(number) == written(number)
    assert at_least(as_written(number)) == number
    assert written(at_least(as_written(number) + Fraction(1, 10**400))) > written(number)


def test_differences_are_those_of_the_decimals() -> None:
    assert difference(0.3, 0.2) == 0.1
    assert difference(float("nan"), 1.0) != difference(float("nan"), 1.0)


@pytest.mark.parametrize(("order", "budget"), [(1, 2), (1, 12), (4, 2), (4, 8)])
def test_the_search_alone_finds_the_published_optima_of_the_solvers(published: pd.DataFrame, order: int, budget: int) -> None:
    params = PolicyParams(budget=budget, max_order=order, exclude=NOT_SOURCES)
    exact = Exact(admissible(published, params))
    found = Search(exact, exact.limit(Fraction(budget))).run(100_000)
    assert found.proved
    assert found.choice is not None
    best, _ = plan(published, params)
    assert best.sources == exact.names(found.choice.mask)
    assert best.objective == float(Fraction(found.choice.worth, exact.worth_unit))


@pytest.mark.parametrize("solver", list(SolverName))
def test_a_proof_that_holds_within_the_solvers_tolerance_says_so(
    published: pd.DataFrame, solver: SolverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PolicyParams(budget=8, max_order=2, exclude=NOT_SOURCES, solver=solver, alternatives=2)
    best, others = plan(published, params)
    monkeypatch.setattr(solve, "_NODES", 3)
    claimed, more = plan(published, params)
    assert (claimed.status, claimed.sources, claimed.objective) == ("optimal", best.sources, best.objective)
    assert 0 < claimed.gap < 1e-4
    assert claimed.bound > claimed.objective
    assert [one.sources for one in more] == [one.sources for one in others]


def test_a_proof_of_rescaled_affinities_whose_whole_numbers_no_float_can_hold(published: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    params = PolicyParams(budget=8, max_order=4, exclude=NOT_SOURCES, balance="peak", alternatives=0)
    assert Exact(admissible(published, params)).worth_unit > 10**308
    monkeypatch.setattr(solve, "_NODES", 3)
    claimed, _none = plan(published, params)
    assert claimed.status == "optimal"
    assert 0 < claimed.gap < 1e-4


@pytest.mark.parametrize("difference", list(AlternativesDiffer))
def test_alternatives_on_the_published_table_never_rise(published: pd.DataFrame, difference: AlternativesDiffer) -> None:
    best, others = plan(published, PolicyParams(budget=8, exclude=NOT_SOURCES, alternatives=6, alternatives_differ_in=difference))
    objectives = [best.objective, *(one.objective for one in others)]
    assert objectives == sorted(objectives, reverse=True)
    assert len(others) == 6
