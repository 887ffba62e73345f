"""A supervision policy: the sources to label in full, and one transfer per target."""

import bisect
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import AlternativesDiffer, LabelsParams, PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.exact import NOBODY, Choice, Exact
from taskonomy.policy.greedy import greedy
from taskonomy.policy.label_costs import bill, money
from taskonomy.policy.numbers import as_written, at_least
from taskonomy.policy.problem import Goal, Problem, Transfer, admissible
from taskonomy.policy.program import Program
from taskonomy.policy.search import Search, SearchResult
from taskonomy.policy.solvers import Cut, Solution, Status
from taskonomy.tables.table import MEASURES
from taskonomy.tasks import BUILT_IN, Registry

_MOST_COSTS = 1000
# A search that looks at more sets of sources than _NODES gives up. Then the solver's proof stands, within its tolerances: at most _PROOF times
# what all targets' best transfers are worth (GLPK: 1e-5 for integers, 1e-7 for rows, in a program whose largest numbers are about 1).
_NODES = 10_000
# Amounts make several sources of each task. More than these are rarely settled by the search, which gives up sooner, so that an answer takes a
# second.
_MANY, _NODES_OF_MANY = 40, 500
_PROOF = Fraction(1, 100_000)  # exact, as rescaled affinities make whole numbers larger than any float
_PROPOSALS = 5
FULL = "full"  # in place of a number of images, where a task is labelled in full


@dataclass(frozen=True)
class Policy:
    """A solved policy.

    Attributes:
        status: `optimal` (proved) or `feasible` (the best that the time limit allowed).
        objective: Sum over targets of importance times rescaled affinity, of the numbers as written.
        bound, gap: No policy exceeds `bound`; `gap` is (bound - objective) / objective. A gap of 0 is proved exactly, and so is that no equally good
            policy is cheaper. An optimal policy has a larger gap where only the solver proved it, within its tolerances.
        seconds: Time in the solver, proofs of uniqueness included.
        sources: By name, exactly those that a chosen transfer needs: tasks labelled in full, and sources that others trained.
        free: Tasks labelled in full whose labels cost nothing.
        licences: Those of `sources` that others trained, and are used as they are -> their licence.
        inference: Multiply-adds of the sources' encoders, millions for each image, of those for which they are known.
        amounts: Task -> its labelled images, where the table has several amounts; None: in full. Tasks that take the table's one amount are left out.
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
    free: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    inference: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def labelled(self) -> tuple[str, ...]:
        """Return the tasks labelled in full."""
        return tuple(name for name in self.sources if name not in self.licences)

    @property
    def as_they_are(self) -> dict[str, dict[str, Any]]:
        """Return the sources that others trained: licence, and multiply-adds in millions for each image (None: not known)."""
        return {name: {"licence": self.licences[name], "inference": self.inference.get(name)} for name in self.sources if name in self.licences}

    @property
    def proof(self) -> str:
        """How far it is proved to be the best, in words."""
        if self.status != Status.OPTIMAL.value:
            return f"best found in the time limit, at most {self.gap:.2%} below the optimum"
        return "proved optimal" + (f" within the solver's tolerance, {self.gap:.1g} of the objective" if self.gap else "")

    @property
    def mean_gain(self) -> float:
        """Compute the mean gain over the targets for which it was measured; NaN if there are none."""
        return _mean([transfer.gain for transfer in self.transfers])

    @property
    def mean_gain_scratch(self) -> float:
        """Compute the mean win rate against networks from scratch, as the mean gain."""
        return _mean([transfer.gain_scratch for transfer in self.transfers])

    @property
    def mean_quality(self) -> float:
        """Compute the mean quality over the targets for which it was measured; NaN if there are none."""
        return _mean([transfer.quality for transfer in self.transfers])

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the win rates to show: gain against scratch only where it was measured, as no published table has it."""
        return tuple(name for name in MEASURES if name != "gain_scratch" or not math.isnan(self.mean_gain_scratch))

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        fields = ("status", "objective", "bound", "gap", "seconds", "budget", "cost", "max_order", "self_edge")
        return {
            **{name: getattr(self, name) for name in fields},
            "sources": list(self.sources),
            **({"free": list(self.free)} if self.free else {}),
            **({"use_as_they_are": self.as_they_are} if self.licences else {}),
            **({"amounts": {name: FULL if images is None else images for name, images in self.amounts.items()}} if self.amounts else {}),
            "transfers": [
                {"target": one.target, "sources": list(one.sources), "affinity": one.affinity, **{name: getattr(one, name) for name in self.measures}}
                | ({"images": one.images} if one.images is not None else {})
                | ({"imputed": True} if one.imputed else {})
                for one in self.transfers
            ],
            **{f"mean_{name}": getattr(self, f"mean_{name}") for name in self.measures},
        }

    def reproducible(self) -> dict[str, Any]:
        """Return what a stage writes: as `--json`, without the solving time, so that the same inputs give the same bits."""
        return {name: value for name, value in self.as_dict().items() if name != "seconds"}

    def bill(self, labels: LabelsParams) -> pd.DataFrame:
        """List the policy's labels, task by task, as `taskonomy.policy.label_costs.bill` describes."""
        amounts = {name: images for name, images in self.amounts.items() if images is not None}
        return bill(labels, [one.target for one in self.transfers], self.labelled, [(one.target, one.sources) for one in self.transfers], amounts)

    def metrics(self) -> dict[str, Any]:
        """Return what `dvc metrics show` compares."""
        names = ("objective", "gap", "cost", *(f"mean_{name}" for name in self.measures))
        return {**{name: getattr(self, name) for name in names}, "sources": len(self.sources), **self._others()}

    def _others(self) -> dict[str, Any]:
        return {"used_as_they_are": len(self.licences)} if self.licences else {}


def read_policy(path: Path, problem: Problem) -> Policy:
    """Read a policy that a stage wrote, looking up its transfers in the problem that it solves."""
    written = json.loads(Path(path).read_text(encoding="utf-8"))
    by_name = {(one.target, one.sources, one.images): one for one in problem.transfers}
    keys = [(one["target"], tuple(one["sources"]), one.get("images")) for one in written["transfers"]]
    if missing := [f"{'+'.join(key[1])} -> {key[0]}" for key in keys if key not in by_name]:
        raise TaskonomyError(f"{path}: {missing[0]} is no admissible transfer of this table; run the stage policy again")
    fields = ("status", "objective", "bound", "gap", "budget", "cost", "max_order", "self_edge")
    used, chosen = tuple(written["sources"]), tuple(by_name[key] for key in keys)
    return Policy(**{name: written[name] for name in fields}, seconds=math.nan, sources=used, transfers=chosen, **_about(problem, used, chosen))


def _about(problem: Problem, sources: Sequence[str], transfers: Iterable[Transfer]) -> dict[str, Any]:
    """Return what a policy says of its sources, of those whose labels are free, and of the amounts of labels of a table that has several."""
    amounts = {one.target: one.images for one in transfers if one.images is not None}
    full = dict.fromkeys(name for name in sources if name not in problem.licences) if amounts or problem.steps else {}
    return {
        "amounts": dict(sorted({**amounts, **full}.items())),
        "free": tuple(name for name in sources if name not in problem.licences and not problem.costs[name]),
        "licences": {name: problem.licences[name] for name in sources if name in problem.licences},
        "inference": {name: float(problem.inference[name]) for name in sources if name in problem.inference},
    }


@dataclass(frozen=True)
class _Answer:
    """The best choice within a limit, None where there is none; no choice is worth more than `bound`."""

    choice: Choice | None
    bound: int
    status: Status


class Planner:
    """Solves any budget for one table and one set of parameters, each at most once.

    The solver proposes sources; `taskonomy.policy.search` then settles in whole numbers what is best, within the budget, and next best.

    Building the program is most of the work, so it is borrowed from one of `others` if that differs only in its weights.
    """

    def __init__(self, table: pd.DataFrame, params: PolicyParams, others: Iterable["Planner"] = (), registry: Registry = BUILT_IN) -> None:
        self.params = params
        self._table, self._registry = table, registry
        self.problem = admissible(table, params, registry)
        self.exact = Exact(self.problem)
        solver = params.solver.value
        lent = (program for other in others if (program := other._program.reweighed(self.problem, solver)))
        self._program: Program = next(lent, None) or Program(self.problem, solver)
        self._solved: dict[int, _Answer] = {}
        self.seconds = 0.0  # in the solver and in the search, so far
        self.costs = self.exact.possible_costs(_MOST_COSTS)

    def policy(self, budget: float) -> Policy:
        """Find the optimal policy within a budget; ties go to the cheapest, then to the one whose sources come first by name.

        Raises:
            TaskonomyError: No policy is that cheap; names the targets left out and the smallest budget that serves all.
        """
        before = self.seconds
        answer = self._best(self.exact.limit(as_written(budget)))
        if answer.choice is None:
            raise TaskonomyError(self._why_infeasible(budget))
        return self._as_policy(answer.choice, answer, budget, self.seconds - before)

    def at_cost(self, limit: int) -> Policy:
        """Find the optimal policy within a cost in units of `exact`."""
        return self.policy(self._shown(limit))

    def cost_at(self, limit: int) -> int:
        """Compute the cost of the optimal policy within a limit, both in units of `exact`.

        Raises:
            TaskonomyError: No policy is that cheap.
        """
        choice = self._best(limit).choice
        if choice is None:
            raise TaskonomyError(self._why_infeasible(self._shown(limit)))
        return choice.cost

    def smallest_cost(self) -> int:
        """Compute the lowest cost of any policy that serves every target, in units of `exact`.

        Raises:
            TaskonomyError: There is no such policy.
        """
        if self._cheapest.choice is None:
            raise TaskonomyError(self._why_infeasible(self.everything))
        return self._cheapest.choice.cost

    def alternatives(self, best: Policy, count: int) -> Iterator[Policy]:
        """Yield the next-best policies, each with other sources (or other transfers, by parameter) than all better ones."""
        limit = self._canonical(self.exact.limit(as_written(best.budget)))
        numbers = {(one.target, one.sources, one.images): number for number, one in enumerate(self.problem.transfers)}
        chosen = tuple(numbers[one.target, one.sources, one.images] for one in sorted(best.transfers, key=lambda one: one.target))
        mask = self.exact.mask(name for number in chosen for name in self.problem.transfers[number].needs)
        taken = [Choice(mask, sum(self.problem.whole[number] for number in chosen), self.exact.cost_of(mask), chosen)]
        for _ in range(count):
            before = self.seconds
            answer = self._answer(limit, taken)
            if answer.choice is None:
                return
            taken.append(answer.choice)
            yield self._as_policy(answer.choice, answer, best.budget, self.seconds - before)

    def smallest_budget(self) -> float:
        """Compute the lowest cost of any policy that serves every target.

        Raises:
            TaskonomyError: There is no such policy.
        """
        return self._shown(self.smallest_cost())

    @property
    def everything(self) -> float:
        """Compute the cost of all sources together."""
        return self._shown(self.exact.cost_of(self.exact.all))

    def _shown(self, cost: int) -> float:
        """Convert a cost to a budget: where no float is written like it, the next larger one."""
        return at_least(Fraction(cost, self.exact.cost_unit))

    def _best(self, limit: int) -> _Answer:
        key = self._canonical(limit)
        if key not in self._solved:
            answer = self._answer(key)
            if answer.choice is not None and answer.bound == answer.choice.worth:
                self._solved[answer.choice.cost] = answer  # an optimum is also the optimum within its own, lower cost
            self._solved[key] = answer
        return self._solved[key]

    def _canonical(self, limit: int) -> int:
        """Round a limit down to the largest cost of a set of sources, where these are few: all limits in between have the same optimum."""
        if self.costs is None:
            return min(limit, self.exact.cost_of(self.exact.all))
        within = bisect.bisect_right(self.costs, limit)
        return self.costs[within - 1] if within else -1

    def _answer(self, limit: int, taken: Sequence[Choice] = ()) -> _Answer:
        """Find the best choice within a limit that is not among `taken`.

        Raises:
            TaskonomyError: The time limit ends before any choice is found.
        """
        exact, started = self.exact, time.perf_counter()
        if limit < exact.cost_of(exact.required) or not exact.runs(exact.required):
            return _Answer(None, 0, Status.INFEASIBLE)
        search = Search(exact, limit, taken, by_sources=self.params.alternatives_differ_in is AlternativesDiffer.SOURCES)
        solution = self._propose(search, limit, taken)
        if solution.status is not Status.OPTIMAL and not taken and (found := greedy(exact, limit)) is not None:
            search.offer(found)
        found_all = search.run(self._nodes, started + self.params.time_limit)
        self.seconds += time.perf_counter() - started
        if found_all.proved:
            return _Answer(found_all.choice, found_all.bound, Status.INFEASIBLE if found_all.choice is None else Status.OPTIMAL)
        if found_all.choice is None:
            return self._last_resort(limit, taken, found_all.bound)
        return self._claimed(found_all, solution)

    def _propose(self, search: Search, limit: int, taken: Sequence[Choice]) -> Solution:
        """Offer the solver's sources to the search; where they exceed the budget, which its tolerances permit, exclude them and solve again."""
        exact, program = self.exact, self._program
        cuts = tuple(map(self._other_than, taken))
        for _ in range(_PROPOSALS):
            solution = program.solve(Fraction(limit, exact.cost_unit), cuts=cuts, seconds=self.params.time_limit)
            if not solution.values:
                break
            sources = frozenset().union(*(self.problem.transfers[number].needs for number in program.chosen(solution)))
            mask = exact.mask(sources)
            search.offer(mask)
            if (exact.cost_of(mask) <= limit and exact.runs(mask)) or solution.status is not Status.OPTIMAL:
                break
            cuts += (program.not_all_of(sources),)
        return solution

    def _other_than(self, choice: Choice) -> Cut:
        if self.params.alternatives_differ_in is AlternativesDiffer.SOURCES:
            return self._program.not_these_sources(frozenset(self.exact.names(choice.mask)))
        return self._program.not_these_transfers(list(choice.numbers))

    def _last_resort(self, limit: int, taken: Sequence[Choice], bound: int) -> _Answer:
        """Fall back to the cheapest choice, if it is within the limit, where neither the solver nor the search found any in time."""
        if taken:  # an alternative is optional: return none
            return _Answer(None, bound, Status.UNKNOWN)
        cheapest = self._cheapest
        if cheapest.choice is not None and cheapest.choice.cost <= limit:
            return _Answer(next(self.exact.choices(cheapest.choice.mask, None)), bound, Status.FEASIBLE)
        if cheapest.proved:
            return _Answer(None, bound, Status.INFEASIBLE)
        raise TaskonomyError(f"no policy found within policy.time_limit={self.params.time_limit:g} s; raise it, or use policy.solver: highs")

    def _claimed(self, found: SearchResult, solution: Solution) -> _Answer:
        """Use the solver's proof where the search was not completed; the bound includes the solver's tolerances."""
        assert found.choice is not None
        slack = math.ceil(_PROOF * sum(edges[0][1] for edges in self.exact.into))
        bound = found.bound
        if solution.status in (Status.OPTIMAL, Status.FEASIBLE) and math.isfinite(solution.bound):
            bound = max(found.choice.worth, min(bound, math.ceil(self._program.worth(solution.bound)) + slack))
        proved = solution.status is Status.OPTIMAL and bound - found.choice.worth <= 2 * slack
        return _Answer(found.choice, bound, Status.OPTIMAL if proved else Status.FEASIBLE)

    def _as_policy(self, choice: Choice, answer: _Answer, budget: float, seconds: float) -> Policy:
        unit = self.exact.worth_unit
        transfers = tuple(sorted((self.problem.transfers[number] for number in choice.numbers), key=lambda one: one.target))
        sources = tuple(name for name in self.exact.names(choice.mask) if name not in self.problem.steps)
        return Policy(
            answer.status.value,
            float(Fraction(choice.worth, unit)),
            float(Fraction(answer.bound, unit)),
            (answer.bound - choice.worth) / choice.worth if choice.worth else math.inf if answer.bound else 0.0,
            seconds,
            float(budget),
            float(Fraction(choice.cost, self.exact.cost_unit)),
            self.params.max_order,
            self.params.self_edge.value,
            sources,
            transfers,
            **_about(self.problem, sources, transfers),
        )

    def _why_infeasible(self, budget: float) -> str:
        """Say which targets the budget leaves out, and which budget would serve all."""
        problem, limit = self.problem, self.exact.limit(as_written(budget))
        cheapest = self._cheapest
        if cheapest.choice is None and problem.most_inference is not None:
            return (
                f"policy.max_inference {self.params.max_inference:g} is too small: no sources{self._with_required} whose encoders take at most"
                f" {self.params.max_inference:g} million multiply-adds together serve every target{self._without('licences')}"
            )
        if cheapest.choice is None:
            return f"policy.require: {', '.join(sorted(problem.required))} cannot all be used: there are too few targets for them"
        if limit < self.exact.paid:
            what = f"the labels for transfers to all {len(problem.targets)} targets alone cost {money(problem.paid, problem.currency)}"
        elif (served := self._served(limit)) is None:
            what = f"the required sources {', '.join(sorted(problem.required))} alone cost more"
        else:
            left = [target for target in problem.targets if target not in served]
            what = f"it cannot serve {', '.join(left)}" + (" beside the others" if len(left) < len(problem.targets) else "")
        limits = [money(amount, problem.currency) for amount in (budget, self._shown(cheapest.choice.cost))]
        smallest = "the smallest budget" if cheapest.proved else "a budget"
        smallest += f" that serves every target is {limits[1]}{self._without('licences', 'max_inference', budget=budget)}"
        return f"policy.budget {limits[0]} is too small: {what}; {smallest}"

    def _without(self, *names: str, budget: float = math.inf) -> str:
        """Name the limits on sources, out of `names`, without which a budget would serve every target; empty: there are none."""
        given = [name for name in names if getattr(self.params, name) is not None]
        for some in (one for count in range(1, len(given) + 1) for one in combinations(given, count)):
            try:
                other = Planner(self._table, self.params.model_copy(update=dict.fromkeys(some)), registry=self._registry)
            except TaskonomyError:  # of what the limit leaves out, the price or the multiply-adds need not be known
                continue
            cheapest = other._cheapest.choice
            if cheapest is not None and cheapest.cost <= (cheapest.cost if math.isinf(budget) else other.exact.limit(as_written(budget))):
                return f"; without {' and '.join(f'policy.{name}' for name in some)} it would do"
        return ""

    @property
    def _nodes(self) -> int:
        return _NODES_OF_MANY if self.problem.steps and len(self.problem.sources) > _MANY else _NODES

    @property
    def _with_required(self) -> str:
        return f" with {', '.join(sorted(self.problem.required))}" if self.problem.required else ""

    @cached_property
    def _cheapest(self) -> SearchResult:
        """Find the cheapest choice that serves every target with the required sources."""
        return self._aim(Goal.THRIFT, self.exact.cost_of(self.exact.all))

    def _served(self, limit: int) -> set[str] | None:
        """Find a largest set of targets that a limit can serve; None if it is too small for the required sources."""
        choice = self._aim(Goal.COVERAGE, limit).choice
        return None if choice is None else {self.problem.transfers[number].target for number in choice.numbers if number != NOBODY}

    def _aim(self, goal: Goal, limit: int) -> SearchResult:
        exact, started = Exact(self.problem, goal), time.perf_counter()
        search = Search(exact, limit)
        program = Program(self.problem, self.params.solver.value, goal)
        if limit >= exact.cost_of(exact.required) and exact.runs(exact.required):
            solution = program.solve(Fraction(limit, exact.cost_unit), seconds=self.params.time_limit)
            if solution.values:
                search.offer(exact.mask(name for number in program.chosen(solution) for name in self.problem.transfers[number].needs))
        found = search.run(_NODES, started + self.params.time_limit)
        if not found.proved and found.choice is None:
            raise TaskonomyError(f"no answer within policy.time_limit={self.params.time_limit:g} s; raise it, or use policy.solver: highs")
        return found


def plan(table: pd.DataFrame, params: PolicyParams, registry: Registry = BUILT_IN) -> tuple[Policy, list[Policy]]:
    """Find the policy for `params.budget` and its alternatives; exclusions and prices may name any task of the registry."""
    planner = Planner(table, params, registry=registry)
    best = planner.policy(params.budget)
    return best, list(planner.alternatives(best, params.alternatives))


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else math.nan
