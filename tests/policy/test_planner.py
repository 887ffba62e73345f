"""The program against exhaustive enumeration, against a second solver, and on the published measurements."""

from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES, random_table

from taskonomy.config.policy_params import AlternativesDiffer, Balance, PolicyParams, Preset, Role, SelfEdge, SolverName
from taskonomy.errors import TaskonomyError
from taskonomy.policy.exact import Exact
from taskonomy.policy.front import front
from taskonomy.policy.greedy import greedy
from taskonomy.policy.numbers import as_written
from taskonomy.policy.planner import Planner, plan
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table


def random_rules(rng: np.random.Generator, table: pd.DataFrame) -> dict[str, Any]:
    names = sorted({*table["target"], *(name for group in table["sources"] for name in group if name != "self")})
    exclude = tuple(rng.choice(names, rng.integers(0, 2), replace=False).tolist())
    require = tuple(name for name in rng.choice(names, rng.integers(0, 2), replace=False).tolist() if name not in exclude)
    return {
        "budget": float(rng.choice([0, 0.5, 1, 1.3, 2, 3, 4.2, 6])),
        "max_order": int(rng.integers(1, 4)),
        "self_edge": SelfEdge(rng.choice(list(SelfEdge))),
        "balance": Balance(rng.choice(list(Balance))),
        "importance": {name: float(rng.choice([0, 0.5, 2])) for name in sorted(set(table["target"])) if rng.random() < 0.3},
        "cost": {name: float(rng.choice([0, 0.1, 0.2, 1, 1.3, 3])) for name in names if rng.random() < 0.4},
        "roles": {name: Role(rng.choice(list(Role))) for name in names if rng.random() < 0.2},
        "exclude": exclude,
        "require": require,
    }


def enumerated(table: pd.DataFrame, rules: dict[str, Any]) -> list[tuple[float, float, tuple[str, ...], tuple[int, ...]]]:
    """Every policy, whatever it costs: objective, cost, sources, rows. Written from the definitions, without the code under test."""
    kept: dict[str, list[tuple[int, frozenset[str], float]]] = {}
    for number, (target, group, affinity) in enumerate(zip(table["target"], table["sources"], table["affinity"], strict=True)):
        if rules["roles"].get(target) == "source":
            continue
        kept.setdefault(target, [])
        needs = {target} if group == ("self",) else set(group)
        own = {"gold": group == ("self",), "transfer": group != ("self",), "none": False}[rules["self_edge"].value]
        if target in needs and not own:
            continue
        if len(group) > rules["max_order"] or needs & set(rules["exclude"]) or any(rules["roles"].get(name) == "target" for name in needs):
            continue
        kept[target].append((number, frozenset(needs), affinity))
    policies = []
    for rows in product(*kept.values()):
        used = frozenset().union(*(needs for _, needs, _ in rows))
        if not set(rules["require"]) <= used:
            continue
        objective = 0.0
        for target, (_, _, affinity) in zip(kept, rows, strict=True):
            values = [value for _, _, value in kept[target]]
            scale = {"none": 1.0, "sum": sum(values), "peak": max(values)}[rules["balance"].value] or 1.0
            objective += rules["importance"].get(target, 1.0) * affinity / scale
        cost = sum(rules["cost"].get(name, 1.0) for name in used)
        policies.append((objective, cost, tuple(sorted(used)), tuple(number for number, _, _ in rows)))
    return policies if all(kept.values()) and kept else []


def by_name(sources: tuple[str, ...]) -> list[bool]:
    return [f"t{number}" not in sources for number in range(5)]


@pytest.mark.parametrize("seed", range(400))
def test_the_policy_is_the_best_of_all_policies_and_of_equals_the_cheapest_then_the_first_by_name(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = random_table(rng, levels=2 + seed % 5)  # few levels: many ties
    rules = random_rules(rng, table)
    everything = enumerated(table, rules)
    affordable = [policy for policy in everything if policy[1] <= rules["budget"] + 1e-9]
    if not affordable:
        with pytest.raises(TaskonomyError) as failed:
            plan(table, PolicyParams(**rules))
        if everything and "too small" in str(failed.value):
            assert float(str(failed.value).rsplit(" ", 1)[1]) == pytest.approx(min(cost for _, cost, _, _ in everything))
        return
    solved, _ = plan(table, PolicyParams(**rules))
    best = max(objective for objective, *_ in affordable)
    ties = [policy for policy in affordable if policy[0] >= best - 1e-9]
    cheapest = min(cost for _, cost, _, _ in ties)
    first = min((policy for policy in ties if policy[1] <= cheapest + 1e-9), key=lambda policy: by_name(policy[2]))
    assert solved.status == "optimal"
    assert solved.objective == pytest.approx(best, abs=1e-9)
    assert solved.cost == pytest.approx(cheapest, abs=1e-9)
    assert solved.sources == first[2]
    assert solved.bound == solved.objective
    assert solved.gap == 0


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("difference", list(AlternativesDiffer))
def test_alternatives_are_the_next_best_by_enumeration(seed: int, difference: AlternativesDiffer) -> None:
    rng = np.random.default_rng([1, seed])
    policies: list[tuple[float, float, tuple[str, ...], tuple[int, ...]]] = []
    while not policies:  # draw until some policy keeps to the budget
        table = random_table(rng, levels=1000)
        rules = {**random_rules(rng, table), "budget": 3.0, "require": (), "importance": {}}
        policies = sorted((policy for policy in enumerated(table, rules) if policy[1] <= 3 + 1e-9), key=lambda policy: -policy[0])
    solved, others = plan(table, PolicyParams(**rules, alternatives=4, alternatives_differ_in=difference))
    seen: set[object] = set()
    expected = []
    for objective, _, sources, rows in policies:
        key = sources if difference is AlternativesDiffer.SOURCES else rows
        if key not in seen:
            expected.append(objective)
            seen.add(key)
    found = [solved.objective, *(one.objective for one in others)]
    assert len(found) == min(5, len(expected))
    assert found == pytest.approx(expected[: len(found)], abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_both_solvers_prove_the_same_objective(seed: int) -> None:
    rng = np.random.default_rng([2, seed])
    table = random_table(rng, tasks=9, targets=8, levels=10_000)
    rules = {"preset": Preset.PAPER, "budget": float(rng.integers(1, 8)), "cost": {"t1": 1.7, "t3": 0.4}, "max_order": 3}
    rules["budget"] = max(rules["budget"], Planner(table, PolicyParams(**rules)).smallest_budget())
    glpk, _ = plan(table, PolicyParams(**rules))
    highs, _ = plan(table, PolicyParams(**rules, solver=SolverName.HIGHS))
    assert glpk.objective == pytest.approx(highs.objective, abs=1e-9)
    assert glpk.sources == highs.sources


@pytest.mark.parametrize("solver", list(SolverName))
@pytest.mark.parametrize("seed", range(20))
def test_a_planner_on_anothers_program_plans_as_on_its_own_and_so_does_the_other(seed: int, solver: SolverName) -> None:
    rng = np.random.default_rng([3, seed])
    table = random_table(rng, tasks=7, targets=6, levels=50)
    weights = [
        {"importance": {"t0": 2.0, "t1": 0.0}, "cost": {"t1": 1.7, "t3": 0.0}},
        {},
        {"importance": {"t2": 0.3}, "cost": {"t0": 0.4, "t3": 2.0}},
    ]
    rules = [PolicyParams(**one, budget=3, max_order=3, solver=solver) for one in weights]
    alone = [Planner(table, one) for one in rules]
    together = [Planner(table, rules[0])]
    together += [Planner(table, one, together) for one in rules[1:]]
    assert len({id(one._program._loaded) for one in together}) == 1
    for budget in (3.0, 6.0, 2.0):
        for own, shared in zip(alone, together, strict=True):
            budget = max(budget, own.smallest_budget())
            assert shared.policy(budget).reproducible() == own.policy(budget).reproducible()


def test_a_program_of_another_form_is_not_lent(published: pd.DataFrame) -> None:
    first = Planner(published, PolicyParams(budget=8, max_order=1))
    for rules in ({"max_order": 2}, {"max_order": 1, "exclude": ("normal",)}, {"max_order": 1, "require": ("normal",)}):
        other = Planner(published, PolicyParams(budget=8, **rules), [first])
        assert other._program._loaded is not first._program._loaded
        assert other.policy(8.0).reproducible() == Planner(published, PolicyParams(budget=8, **rules)).policy(8.0).reproducible()


PAPER = [
    ("transfer", 1, 3, 0.370828, None, None),
    ("transfer", 1, 8, 0.456762, None, None),
    ("transfer", 4, 8, 0.504305, 0.8016, 0.2799),
    ("gold", 4, 8, 2.279443, 0.8402, 0.4130),
]


@pytest.mark.parametrize("solver", list(SolverName))
@pytest.mark.parametrize(("self_edge", "order", "budget", "objective", "gain", "quality"), PAPER)
def test_the_published_measurements_give_the_optima_found_by_other_means(
    published: pd.DataFrame,
    solver: SolverName,
    self_edge: str,
    order: int,
    budget: float,
    objective: float,
    gain: float | None,
    quality: float | None,
) -> None:
    params = PolicyParams(preset="paper", budget=budget, max_order=order, self_edge=SelfEdge(self_edge), exclude=NOT_SOURCES, solver=solver)
    solved, _ = plan(published, params)
    assert solved.status == "optimal"
    assert solved.objective == pytest.approx(objective, abs=1e-6)
    if gain is not None and quality is not None:
        assert (solved.mean_gain, solved.mean_quality) == pytest.approx((gain, quality), abs=1e-4)


def test_a_chosen_transfer_never_lacks_an_affinity_or_a_source(published: pd.DataFrame) -> None:
    solved, _ = plan(published, PolicyParams(budget=6, exclude=NOT_SOURCES))
    assert not np.isnan([one.affinity for one in solved.transfers]).any()
    assert {name for one in solved.transfers for name in one.needs} == set(solved.sources)
    assert sorted(one.target for one in solved.transfers) == sorted(set(published["target"]))


def test_the_order_of_rows_changes_nothing(published: pd.DataFrame) -> None:
    params = PolicyParams(budget=5, max_order=2, exclude=NOT_SOURCES)
    one, _ = plan(published, params)
    other, _ = plan(published.sample(frac=1, random_state=0).reset_index(drop=True), params)
    assert one.reproducible() == other.reproducible()


@pytest.mark.parametrize("balance", [Balance.SUM, Balance.PEAK])
def test_balanced_policies_do_not_depend_on_the_scale_of_a_target(published: pd.DataFrame, balance: Balance) -> None:
    params = PolicyParams(budget=4, max_order=2, balance=balance, exclude=NOT_SOURCES)
    scaled = published.assign(affinity=published["affinity"] * published["target"].map(lambda name: 1 + len(name)))
    assert plan(published, params)[0].sources == plan(scaled, params)[0].sources


def test_a_time_limit_is_never_called_optimal(published: pd.DataFrame) -> None:
    """A hard instance, cut off: the best found comes back, called feasible, with a bound above it."""
    rng = np.random.default_rng(0)
    names = [f"n{number:02}" for number in range(50)]
    rows = [(target, tuple(sorted(rng.choice(names, order, replace=False).tolist()))) for target in names for order in (1, 2, 3) for _ in range(25)]
    table = pd.DataFrame(sorted(set(rows)), columns=["target", "sources"])
    table["affinity"] = rng.random(len(table))
    table = pd.concat([table, pd.DataFrame({"target": names, "sources": [(names[0],)] * 50, "affinity": 0.01})]).drop_duplicates(
        ["target", "sources"]
    )
    table = table.assign(gain=np.nan, quality=np.nan).reset_index(drop=True)
    limited = PolicyParams(budget=12, max_order=3, time_limit=0.8)
    solved, _ = plan(table, limited)
    assert solved.status == "feasible"
    assert solved.bound > solved.objective
    assert solved.gap == pytest.approx((solved.bound - solved.objective) / solved.objective)


@pytest.mark.parametrize("seed", range(80))
def test_the_greedy_policy_is_feasible_and_never_above_the_optimum(seed: int) -> None:
    rng = np.random.default_rng([3, seed])
    table = random_table(rng, levels=50)
    params = PolicyParams(preset="paper", budget=3, max_order=3, cost={"t1": 0.5}, require=("t1",) if seed % 2 else ())
    try:
        problem = admissible(table, params)
    except TaskonomyError:
        assert seed % 2  # t1 is no source of this table
        return
    exact = Exact(problem)
    found = greedy(exact, exact.limit(Fraction(3)))
    if found is not None:
        best = next(exact.choices(found, None))
        used = exact.names(best.mask)
        assert [problem.transfers[number].target for number in best.numbers] == list(problem.targets)
        assert problem.cost_of(used) <= 3
        assert problem.required <= set(used)
        assert Fraction(best.worth, exact.worth_unit) <= as_written(plan(table, params)[0].objective)


def test_the_front_never_falls_and_says_what_one_more_label_buys(published: pd.DataFrame) -> None:
    points = front(published, PolicyParams(preset="paper", budget=0, exclude=NOT_SOURCES), [1, 2])
    for order in (1, 2):
        own = [point for point in points if point.policy.max_order == order]
        objectives = [point.policy.objective for point in own]
        assert own[0].policy.budget == 1
        assert [point.policy.budget for point in own] == list(range(1, len(own) + 1))
        assert objectives == sorted(objectives)
        assert objectives[-1] > objectives[-2]
        for now, then in pairwise(own):
            assert now.more_objective == pytest.approx(then.policy.objective - now.policy.objective)
            assert now.more_quality == pytest.approx(then.policy.mean_quality - now.policy.mean_quality)
        # Nothing improves past the last: every target has its best transfer.
        rows = published[
            published["sources"].map(lambda group, order=order: len(group) <= order and group != ("self",) and not set(NOT_SOURCES) & set(group))
        ]
        assert objectives[-1] == pytest.approx(rows.groupby("target")["affinity"].max().sum(), abs=1e-9)


def test_a_front_with_costs_in_many_steps_holds_each_optimum_once() -> None:
    rng = np.random.default_rng(5)
    table = random_table(rng, tasks=8, targets=6, levels=1000)
    cost = {f"t{number}": float(np.round(rng.uniform(0.5, 3), 3)) for number in range(8)}
    params = PolicyParams(preset="paper", budget=0, cost=cost, max_order=3)
    points = front(table, params, [3])
    costs, objectives = [point.policy.cost for point in points], [point.policy.objective for point in points]
    assert costs == sorted(costs)
    assert all(later > earlier for earlier, later in pairwise(objectives))
    for budget in np.linspace(costs[0], costs[-1], 15):
        best = max(one.policy.objective for one in points if one.policy.cost <= budget + 1e-9)
        assert Planner(table, params.model_copy(update={"max_order": 3})).policy(float(budget)).objective == pytest.approx(best, abs=1e-9)


def test_names_nobody_knows_are_refused_with_the_nearest_known(published: pd.DataFrame) -> None:
    with pytest.raises(TaskonomyError, match=r"policy\.exclude: unknown 'nrmal' \(did you mean 'normal'\?\)"):
        plan(published, PolicyParams(budget=3, exclude=("nrmal",)))
    with pytest.raises(TaskonomyError, match="no transfer is left for normal"):
        plan(
            published[published["target"] == "normal"].reset_index(drop=True),
            PolicyParams(
                budget=3,
                exclude=tuple(
                    sorted({name for group in published.loc[published["target"] == "normal", "sources"] for name in group if name != "self"})
                ),
            ),
        )


VARIANTS = """target,sources,affinity,gain,quality
x,a,0.1,0.5,0.4
x,a>b,0.3,0.6,0.5
x,b@0.02,0.4,0.7,0.6
y,b,0.2,0.5,0.4
y,a@0.5+b,0.5,0.8,0.7
y,y@0.1,0.9,0.9,0.9
"""


def test_a_transitive_or_fine_tuned_transfer_costs_the_label_of_its_source_alone() -> None:
    table = parse_table(VARIANTS, "T")
    costs = {"a": 1.5, "b": 4.0, "y": 9.0}
    problem = admissible(table, PolicyParams(preset="paper", budget=9, cost=costs))
    assert problem.sources == ("a", "b", "y")
    assert {one.sources: set(one.needs) for one in problem.transfers} == {
        ("a",): {"a"}, ("a>b",): {"a"}, ("b@0.02",): {"b"}, ("b",): {"b"}, ("a@0.5", "b"): {"a", "b"}, ("y@0.1",): {"y"},
    }  # fmt: skip
    assert problem.cost == costs
    best = plan(table, PolicyParams(preset="paper", budget=5.5, cost=costs))[0]
    assert best.sources == ("a", "b")
    assert [one.sources for one in best.transfers] == [("b@0.02",), ("a@0.5", "b")]
    assert best.cost == 5.5
    alone = plan(table, PolicyParams(preset="paper", budget=10.5, cost=costs, exclude=("b",)))[0]
    assert [one.sources for one in alone.transfers] == [("a>b",), ("y@0.1",)]  # b is no source of a>b


def test_a_targets_own_encoder_fine_tuned_is_a_self_edge_and_order_counts_sources() -> None:
    table = parse_table(VARIANTS, "T")
    rows = {edge: {one.sources for one in admissible(table, PolicyParams(budget=9, self_edge=edge)).transfers} for edge in SelfEdge}
    assert ("y@0.1",) in rows[SelfEdge.TRANSFER]
    assert ("y@0.1",) not in rows[SelfEdge.NONE] | rows[SelfEdge.GOLD]
    first = {one.sources for one in admissible(table, PolicyParams(preset="paper", budget=9, max_order=1)).transfers}
    assert first == rows[SelfEdge.TRANSFER] - {("a@0.5", "b")}
