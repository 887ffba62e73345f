"""A supervision policy: the sources to label in full, and one transfer per target."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from taskonomy.errors import TaskonomyError
from taskonomy.params import Difference, LabelsParams, PolicyParams
from taskonomy.policy.engines import BUDGET_TOLERANCE, Cut, Solution, Status
from taskonomy.policy.greedy import greedy
from taskonomy.policy.labels import bill, money
from taskonomy.policy.problem import Problem, Transfer, admissible
from taskonomy.policy.program import Goal, Program

# Objectives this close, relative to their size, are equal: the order of a sum can move one by as much.
TIE = 1e-9
_MOST_COSTS = 100_000


@dataclass(frozen=True)
class Policy:
    """A solved policy.

    Attributes:
        status: `optimal` (proved) or `feasible` (the best that the time limit allowed).
        objective: sum over targets of importance times rescaled affinity.
        bound, gap: no policy exceeds `bound`; `gap` is (bound - objective) / objective.
        seconds: time in the solver, proofs of uniqueness included.
        sources: the tasks labelled in full, by name: exactly those that a chosen transfer needs.
    """

    status: str
    objective: float
    bound: float
    gap: float
    seconds: float
    budget: float
    cost: float
    max_order: int
    self_edge: str
    sources: tuple[str, ...]
    transfers: tuple[Transfer, ...]

    @property
    def mean_gain(self) -> float:
        """Mean gain over the targets for which it was measured; NaN if for none."""
        return _mean([transfer.gain for transfer in self.transfers])

    @property
    def mean_quality(self) -> float:
        """Mean quality over the targets for which it was measured; NaN if for none."""
        return _mean([transfer.quality for transfer in self.transfers])

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        fields = ("status", "objective", "bound", "gap", "seconds", "budget", "cost", "max_order", "self_edge")
        return {
            **{name: getattr(self, name) for name in fields},
            "sources": list(self.sources),
            "transfers": [
                {"target": one.target, "sources": list(one.sources), "affinity": one.affinity, "gain": one.gain, "quality": one.quality}
                for one in self.transfers
            ],
            "mean_gain": self.mean_gain,
            "mean_quality": self.mean_quality,
        }

    def reproducible(self) -> dict[str, Any]:
        """What a stage writes: as `--json`, without the time it took, so that the same inputs give the same bits."""
        return {name: value for name, value in self.as_dict().items() if name != "seconds"}

    def bill(self, labels: LabelsParams) -> pd.DataFrame:
        """Its labels, task by task, as `taskonomy.policy.labels.bill` describes them."""
        return bill(labels, [one.target for one in self.transfers], self.sources, [(one.target, one.sources) for one in self.transfers])

    def metrics(self) -> dict[str, Any]:
        """What `dvc metrics show` compares."""
        names = ("objective", "gap", "cost", "mean_gain", "mean_quality")
        return {**{name: getattr(self, name) for name in names}, "sources": len(self.sources)}


def read_policy(path: Path, problem: Problem) -> Policy:
    """A policy that a stage wrote, its transfers looked up in the problem it solves."""
    written = json.loads(Path(path).read_text(encoding="utf-8"))
    by_name = {(one.target, one.sources): one for one in problem.transfers}
    keys = [(one["target"], tuple(one["sources"])) for one in written["transfers"]]
    if missing := [f"{'+'.join(sources)} -> {target}" for target, sources in keys if (target, sources) not in by_name]:
        raise TaskonomyError(f"{path}: {missing[0]} is no admissible transfer of this table; run the stage policy again")
    fields = ("status", "objective", "bound", "gap", "budget", "cost", "max_order", "self_edge")
    chosen = tuple(by_name[key] for key in keys)
    return Policy(**{name: written[name] for name in fields}, seconds=math.nan, sources=tuple(written["sources"]), transfers=chosen)


@dataclass(frozen=True)
class _Choice:
    """One solution, evaluated again from the affinities instead of believed."""

    chosen: tuple[int, ...]
    objective: float
    used: frozenset[str]
    cost: float
    solution: Solution


class Planner:
    """One table under one set of rules; solves any budget. What was solved once is not solved again.

    Others, if given, lend their program where theirs differs in weights alone: it is most of the work.
    """

    def __init__(self, table: pd.DataFrame, params: PolicyParams, others: Iterable["Planner"] = ()) -> None:
        self.params = params
        self.problem = admissible(table, params)
        solver = params.solver.value
        lent = (program for other in others if (program := other._program.reweighed(self.problem, solver)))
        self._program: Program = next(lent, None) or Program(self.problem, solver)
        self._into = {target: self.problem.into(target) for target in self.problem.targets}
        self._solved: dict[float, _Choice | None] = {}
        self.seconds = 0.0  # in the solver, so far
        self.costs = _possible_costs(self.problem)

    def policy(self, budget: float) -> Policy:
        """The optimal policy within a budget; of equal optima the cheapest, then the one whose sources come first by name.

        Raises:
            TaskonomyError: if no policy is that cheap, naming the targets left out and the smallest budget that serves all.
        """
        before = self.seconds
        choice = self._best(budget)
        if choice is None:
            raise TaskonomyError(self._why_infeasible(budget))
        if choice.solution.status is Status.OPTIMAL and not self._is_alone(choice, budget):
            choice = self._first_by_name(self._cheapest(choice))
        return self._as_policy(choice, budget, self.seconds - before)

    def alternatives(self, best: Policy, count: int) -> Iterator[Policy]:
        """The next-best policies, each with other sources (or other transfers, by parameter) than all better ones."""
        numbers = {(one.target, one.sources): number for number, one in enumerate(self.problem.transfers)}
        chosen = [numbers[one.target, one.sources] for one in best.transfers]
        cuts: tuple[Cut, ...] = ()
        for _ in range(count):
            if self.params.alternatives_differ_in is Difference.SOURCES:
                cuts += (self._program.not_these_sources(self._used(chosen)),)
            else:
                cuts += (self._program.not_these_transfers(chosen),)
            before = self.seconds
            if (choice := self._solve(best.budget, cuts=cuts)) is None:
                return
            chosen = list(choice.chosen)
            yield self._as_policy(choice, best.budget, self.seconds - before)

    def smallest_budget(self) -> float:
        """The lowest cost of any policy that serves every target."""
        return self._solve_goal(Goal.THRIFT, self.everything)[1]

    @property
    def everything(self) -> float:
        """The cost of all sources together."""
        return self.problem.cost_of(self.problem.sources)

    def _is_alone(self, choice: _Choice, budget: float) -> bool:
        """Whether no other sources are as good; most optima are alone, which one more solve shows."""
        return not self._equals(self._solve(self._canonical(budget), cuts=(self._program.not_these_sources(choice.used),)), choice)

    def _cheapest(self, choice: _Choice) -> _Choice:
        """An optimum at the lowest cost of any: while a tighter budget is as good, tighten it."""
        while choice.solution.status is Status.OPTIMAL and choice.cost > self.problem.paid:
            less = self._best(self.below(choice.cost))
            if less is None or less.cost >= choice.cost or not self._equals(less, choice):
                break
            choice = less
        return choice

    def _best(self, budget: float) -> _Choice | None:
        key = self._canonical(budget)
        if key not in self._solved:
            self._solved[key] = self._solve(key)
        return self._solved[key]

    def _canonical(self, budget: float) -> float:
        """The largest cost of any set of sources within a budget: more than that buys nothing."""
        if self.costs is None:
            return min(budget, self.everything)
        within = np.searchsorted(self.costs, budget + BUDGET_TOLERANCE * max(1.0, budget), side="right")
        return float(self.costs[within - 1]) if within else -1.0

    def below(self, cost: float) -> float:
        """A budget that only cheaper sets of sources keep to: less by more than solvers take for whole (1e-5 of GLPK)."""
        return cost - 20 * BUDGET_TOLERANCE * max(1.0, cost)

    def _first_by_name(self, choice: _Choice) -> _Choice:
        """Of the optima at this cost, the one that takes the earliest names."""
        if self._is_alone(choice, choice.cost):
            return choice
        budget = self._canonical(choice.cost)
        fixed: dict[str, int] = {}
        for source in self.problem.sources:
            if source not in choice.used:
                other = self._solve(budget, fixed={**fixed, source: 1})
                if other is None or not self._equals(other, choice):
                    fixed[source] = 0
                    continue
                choice = other
            fixed[source] = 1
        return choice

    @staticmethod
    def _equals(other: _Choice | None, choice: _Choice) -> bool:
        return other is not None and other.solution.status is Status.OPTIMAL and _tied(other.objective, choice.objective)

    def _solve(self, budget: float, fixed: dict[str, int] | None = None, cuts: tuple[Cut, ...] = ()) -> _Choice | None:
        if budget < 0:
            return None
        solution = self._program.solve(budget, fixed=fixed, cuts=cuts, seconds=self.params.time_limit)
        self.seconds += solution.seconds
        if solution.status is Status.INFEASIBLE:
            return None
        chosen = self._program.chosen(solution) if solution.values else []
        if solution.status is not Status.OPTIMAL:
            if fixed or cuts:
                return None  # only asked in search of equals and alternatives: none was found in time
            chosen, solution = self._best_in_time(budget, chosen, solution)
        if not cuts:  # a cut may ask for what this would undo
            chosen = self._settled(chosen)
        objective = math.fsum(self.problem.transfers[number].worth for number in chosen)
        used = self._used(chosen)
        cost = self.problem.cost_of(used)
        if cost > budget + 2 * BUDGET_TOLERANCE * max(1.0, budget):  # binaries that were not quite whole
            return self._solve(budget, fixed, (*cuts, self._program.not_these_sources(used)))
        return _Choice(tuple(chosen), objective, used, cost, solution)

    def _best_in_time(self, budget: float, chosen: list[int], solution: Solution) -> tuple[list[int], Solution]:
        """The better of what the solver and what greed found; no policy exceeds every target's best transfer, whatever the solver proved."""
        worth = [transfer.worth for transfer in self.problem.transfers]
        found = [one for one in (chosen, greedy(self.problem, budget)) if one]
        if not found:
            raise TaskonomyError(f"no policy found within policy.time_limit={self.params.time_limit:g} s; raise it, or use policy.solver: highs")
        most = math.fsum(max(worth[number] for number in into) for into in self._into.values())
        best = max(found, key=lambda one: math.fsum(worth[number] for number in one))
        return best, replace(solution, status=Status.FEASIBLE, bound=min(solution.bound, most))

    def _settled(self, chosen: list[int]) -> list[int]:
        """Between equal transfers of one target, the one with fewer sources, then the first by name."""
        used, transfers = self._used(chosen), self.problem.transfers
        settled = []
        for number in chosen:
            equals = (other for other in self._into[transfers[number].target] if transfers[other].needs <= used)
            settled.append(next(other for other in equals if transfers[other].worth >= transfers[number].worth))
        return settled if self._used(settled) == used else chosen

    def _used(self, chosen: list[int]) -> frozenset[str]:
        return frozenset().union(*(self.problem.transfers[number].needs for number in chosen))

    def _as_policy(self, choice: _Choice, budget: float, seconds: float) -> Policy:
        optimal = choice.solution.status is Status.OPTIMAL
        bound = choice.objective if optimal else max(choice.solution.bound, choice.objective)
        gap = 0.0 if optimal else (bound - choice.objective) / max(abs(choice.objective), 1e-300)
        transfers = tuple(sorted((self.problem.transfers[number] for number in choice.chosen), key=lambda one: one.target))
        sources = tuple(sorted(choice.used))
        return Policy(
            choice.solution.status.value,
            choice.objective,
            bound,
            gap,
            seconds,
            float(budget),
            choice.cost,
            self.params.max_order,
            self.params.self_edge.value,
            sources,
            transfers,
        )

    def _why_infeasible(self, budget: float) -> str:
        """Whom the budget leaves out, and what would do."""
        problem = self.problem
        if self._solve_goal(Goal.THRIFT, self.everything)[0].status is Status.INFEASIBLE:
            return f"policy.require: {', '.join(sorted(problem.required))} cannot all be used: there are too few targets for them"
        enough = self.smallest_budget()
        if enough <= budget:
            raise RuntimeError(f"the solver calls budget {budget!r} infeasible and {enough!r} enough")
        solution, _, served = self._solve_goal(Goal.COVERAGE, budget)
        if budget < problem.paid:
            what = f"the labels for transfers to all {len(problem.targets)} targets alone cost {money(problem.paid, problem.currency)}"
        elif solution.status is Status.INFEASIBLE:
            what = f"the required sources {', '.join(sorted(problem.required))} alone cost more"
        else:
            left = [target for target in problem.targets if target not in served]
            what = f"it cannot serve {', '.join(left)}" + (" beside the others" if len(left) < len(problem.targets) else "")
        limits = [money(amount, problem.currency) for amount in (budget, enough)]
        return f"policy.budget {limits[0]} is too small: {what}; the smallest budget that serves every target is {limits[1]}"

    def _solve_goal(self, goal: Goal, budget: float) -> tuple[Solution, float, set[str]]:
        program = Program(self.problem, self.params.solver.value, goal)
        solution = program.solve(budget, seconds=self.params.time_limit)
        if solution.status is Status.INFEASIBLE:
            return solution, math.nan, set()
        if solution.status is not Status.OPTIMAL:
            raise TaskonomyError(f"no answer within policy.time_limit={self.params.time_limit:g} s; raise it, or use policy.solver: highs")
        chosen = program.chosen(solution)
        return solution, self.problem.cost_of(self._used(chosen)), {self.problem.transfers[number].target for number in chosen}


def plan(table: pd.DataFrame, params: PolicyParams) -> tuple[Policy, list[Policy]]:
    """The policy for `params.budget`, and its alternatives."""
    planner = Planner(table, params)
    best = planner.policy(params.budget)
    return best, list(planner.alternatives(best, params.alternatives))


def _possible_costs(problem: Problem) -> Float64[np.ndarray, " costs"] | None:
    """The costs that sets of sources can have, ascending; None where there are too many to list."""
    sums = np.full(1, problem.paid)
    for name in problem.sources:
        sums = np.unique(np.round(np.concatenate([sums, sums + problem.cost[name]]), 9))
        if len(sums) > _MOST_COSTS:
            return None
    return sums


def _tied(one: float, other: float) -> bool:
    return abs(one - other) <= TIE * max(1.0, abs(one), abs(other))


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else math.nan
