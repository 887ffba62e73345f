"""The Boolean program of the paper's section 3.4, constraint by constraint.

x[i] = 1: transfer i is used.  y[s] = 1: task s is labelled and trained in full, as a source.
Of a table with amounts, also z[t, n] = 1: task t has n labelled images, and no more (`taskonomy.policy.amounts`).
"""

import math
from copy import copy
from fractions import Fraction
from io import StringIO

import pyomo.core as pyo
from pyomo.repn.plugins.lp_writer import LPWriter

from taskonomy.policy.numbers import as_written, denominator
from taskonomy.policy.problem import Goal, Problem
from taskonomy.policy.solvers import Cut, MilpSolver, Solution, Weights, load_program

_SMALL = 10_000  # whole costs up to this are passed to solvers unscaled


def boolean_program(problem: Problem, goal: Goal = Goal.WORTH, link: str = "source_and_target") -> pyo.ConcreteModel:
    """Build the program in Pyomo.

    Args:
        problem: Admissible transfers and costs.
        goal: What is maximised.
        link: Form of the constraint that ties transfers to their sources: `source_and_target`, or, for comparison only, `transfer_and_source` or
            `transfer` (the paper's).
    """
    uses: dict[tuple[str, str], list[int]] = {}  # (source, target) -> transfers into the target that use the source
    for number, transfer in enumerate(problem.transfers):
        for source in transfer.needs:
            uses.setdefault((source, transfer.target), []).append(number)
    users = {source: [number for (name, _), numbers in uses.items() if name == source for number in numbers] for source in problem.sources}

    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(len(problem.transfers)), domain=pyo.Binary)
    model.y = pyo.Var(problem.sources, domain=pyo.Binary)
    spent = pyo.quicksum(float(problem.costs[source] / problem.dearest) * model.y[source] for source in problem.sources)
    if not problem.sources:  # networks from scratch on the smallest amounts alone; the budget has a row all the same
        model.nothing = pyo.Var(bounds=(0, 0))
        spent = 1.0 * model.nothing

    # Maximise sum_i c_i x_i, c_i = importance of target(i) times the affinity of i; solvers have absolute tolerances, so the largest is made 1.
    worth = pyo.quicksum(worth / problem.best * model.x[number] for number, worth in enumerate(problem.whole))
    served = pyo.quicksum(model.x[number] for number in range(len(problem.transfers)))
    model.goal = pyo.Objective(expr={Goal.WORTH: worth, Goal.THRIFT: -spent, Goal.COVERAGE: served}[goal], sense=pyo.maximize)

    # I. A transfer needs all its sources. The paper writes |sources(i)| x_i <= sum_{s in sources(i)} y_s, one row per transfer. Since each
    # target takes one transfer, all transfers into one target that share a source may be summed in one row: a tighter relaxation, nearly integral.
    match link:
        case "source_and_target":
            model.sources_needed = pyo.Constraint(
                sorted(uses), rule=lambda m, source, target: pyo.quicksum(m.x[i] for i in uses[source, target]) <= m.y[source]
            )
        case "transfer_and_source":
            pairs = [(number, source) for number, transfer in enumerate(problem.transfers) for source in sorted(transfer.needs)]
            model.sources_needed = pyo.Constraint(pairs, rule=lambda m, number, source: m.x[number] <= m.y[source])
        case "transfer":
            model.sources_needed = pyo.Constraint(
                range(len(problem.transfers)),
                rule=lambda m, i: len(problem.transfers[i].needs) * m.x[i] <= pyo.quicksum(m.y[s] for s in sorted(problem.transfers[i].needs)),
            )
        case _:
            raise ValueError(f"unknown form of the link constraint: {link}")

    # II. Each target is solved by exactly one transfer. (The equation printed in the first version of the paper cannot be satisfied.)
    def one_transfer(m: pyo.ConcreteModel, target: str) -> object:
        chosen = pyo.quicksum(m.x[i] for i in problem.into(target))
        return chosen <= 1 if goal is Goal.COVERAGE else chosen == 1

    model.one_transfer = pyo.Constraint(problem.targets, rule=one_transfer)

    # III. The sources' labels stay within the supervision budget; the right-hand side is set for each solve.
    model.supervision_budget = pyo.Constraint(expr=spent <= len(problem.sources))

    # Ours: a source that no chosen transfer uses is not labelled, so y says which sources a policy needs.
    model.no_idle_source = pyo.Constraint(problem.sources, rule=lambda m, source: m.y[source] <= pyo.quicksum(m.x[i] for i in users[source]))

    # Ours: sources that the user requires.
    model.required = pyo.Constraint(sorted(problem.required), rule=lambda m, source: m.y[source] == 1)
    _bound_inference(model, problem)  # ours: a second budget
    _state_amounts(model, problem)  # ours: labels of a part of a task's images
    return model


def _state_amounts(model: pyo.ConcreteModel, problem: Problem) -> None:
    """State the amounts of labels, if there are several: z[task, amount], at most one for each task, as the differences of the steps y.

    y[smaller] >= y[larger] makes each z 0 or 1, and no two of a task are 1, as their sum is y[smallest]. Transfers need all steps up to their amount,
    so that whole-number solutions have it anyway; it tightens the relaxation.
    """
    chains: dict[str, list[tuple[int | str, str]]] = {}  # task -> amounts above its smallest, ascending: images or "full", and name of the step
    for name, step in problem.steps.items():
        chains.setdefault(step.task, []).append((step.images, name))
    for task in chains:
        chains[task] += [("full", task)] if task in problem.costs else []
    pairs = {
        (task, amount): (name, chain[place + 1][1] if place + 1 < len(chain) else None)
        for task, chain in chains.items()
        for place, (amount, name) in enumerate(chain)
    }
    if not pairs:
        return
    model.z = pyo.Expression(
        list(pairs), rule=lambda m, task, amount: m.y[(pair := pairs[task, amount])[0]] - (0 if pair[1] is None else m.y[pair[1]])
    )
    model.one_amount = pyo.Constraint(
        [key for key, (_name, larger) in pairs.items() if larger is not None], rule=lambda m, task, amount: m.z[task, amount] >= 0
    )


def _bound_inference(model: pyo.ConcreteModel, problem: Problem) -> None:
    """Bound the multiply-adds of all sources' encoders, if they have a bound; those of a transfer alone never exceed it (`problem.admissible`)."""
    if (most := problem.most_inference) is None:
        return
    shares = {source: float(amount / most) for source in problem.sources if (amount := problem.inference.get(source))}
    if shares:
        model.inference_budget = pyo.Constraint(expr=pyo.quicksum(share * model.y[source] for source, share in shares.items()) <= 1)


class Program:
    """The program, built and written once, and solved as often as needed with other budgets, fixed sources, cuts and weights."""

    def __init__(self, problem: Problem, solver: str, goal: Goal = Goal.WORTH, link: str = "source_and_target") -> None:
        model = boolean_program(problem, goal, link)
        text = StringIO()
        symbols = LPWriter().write(model, text).symbol_map
        self.problem = problem
        self._x = [symbols.getSymbol(model.x[number]) for number in range(len(problem.transfers))]
        self._y = {source: symbols.getSymbol(model.y[source]) for source in problem.sources}
        budget_row = symbols.getSymbol(model.supervision_budget)
        self._solver, self._goal = solver, goal
        self._loaded: MilpSolver = load_program(solver, text.getvalue(), budget_row)
        self._objective = self._weighed()

    def reweighed(self, problem: Problem, solver: str) -> "Program | None":
        """Return the program of a problem that differs only in worths and costs, on the same solver instance; None where more differs."""
        if solver != self._solver or self._goal is not Goal.WORTH or _form(problem) != _form(self.problem):
            return None
        other = copy(self)
        other.problem = problem
        other._objective = other._weighed()
        return other

    def _weighed(self) -> dict[str, float]:
        match self._goal:
            case Goal.WORTH:
                return {name: worth / self.problem.best for name, worth in zip(self._x, self.problem.whole, strict=True)}
            case Goal.THRIFT:
                return {name: -float(self.problem.costs[source] / self.problem.dearest) for source, name in self._y.items()}
            case Goal.COVERAGE:
                return dict.fromkeys(self._x, 1.0)

    def solve(self, budget: float | Fraction, *, fixed: dict[str, int] | None = None, cuts: tuple[Cut, ...] = (), seconds: float = 60.0) -> Solution:
        """Find the best admissible transfers by the solver's standards; `fixed` sources are on (1) or off (0).

        Within the solver's tolerances, the solution may exceed the budget, or a better one may be missed: `taskonomy.policy.search` settles that.
        """
        allowed = (budget if isinstance(budget, Fraction) else as_written(budget)) - self.problem.fixed
        too_dear = {name: 0 for source, name in self._y.items() if self.problem.costs[source] > allowed}
        bounds = {**too_dear, **{self._y[source]: value for source, value in (fixed or {}).items()}}
        spent, most = _scaled({name: self.problem.costs[source] for source, name in self._y.items() if name not in too_dear}, allowed)
        return self._loaded.solve(Weights(self._objective, {**dict.fromkeys(too_dear, 0.0), **spent}), most, bounds, cuts, seconds)

    def worth(self, objective: float) -> Fraction:
        """Convert a solver's objective to the problem's whole numbers."""
        return Fraction(objective) * (self.problem.best if self._goal is Goal.WORTH else 1)

    def chosen(self, solution: Solution) -> list[int]:
        """Return the numbers of the transfers that a solution uses, its binaries rounded."""
        return [number for number, name in enumerate(self._x) if round(solution.values[name]) == 1]

    def not_these_sources(self, used: frozenset[str]) -> Cut:
        """Build a cut that only solutions with another set of sources satisfy: sum_{s used} (1 - y_s) + sum_{s unused} y_s >= 1."""
        return Cut({name: -1.0 if source in used else 1.0 for source, name in self._y.items()}, 1.0 - len(used))

    def not_all_of(self, sources: frozenset[str]) -> Cut:
        """Build a cut that excludes solutions with all of these sources, which together cost too much."""
        return Cut({self._y[source]: -1.0 for source in sources}, 1.0 - len(sources))

    def not_these_transfers(self, chosen: list[int]) -> Cut:
        """Build a cut that every other choice of transfers satisfies: at least one target takes another transfer."""
        return Cut({self._x[number]: -1.0 for number in chosen}, 1.0 - len(chosen))


def _scaled(costs: dict[str, Fraction], allowed: Fraction) -> tuple[dict[str, float], float]:
    """Scale the budget's row for a solver: small whole numbers where the costs are multiples of a common unit, else shares of the budget."""
    unit = denominator([*costs.values(), allowed])
    whole = {name: int(cost * unit) for name, cost in costs.items()}
    common = math.gcd(*whole.values()) or 1
    if max(whole.values(), default=0) <= _SMALL * common:
        return {name: float(cost // common) for name, cost in whole.items()}, float(min(int(allowed * unit) // common, sum(whole.values()) // common))
    return {name: float(cost / allowed) for name, cost in costs.items()}, 1.0


def _form(problem: Problem) -> tuple[object, ...]:
    """Return everything that decides which rows and columns a program has."""
    tasks = [name for name in problem.sources if name not in problem.steps]
    inference = None if problem.most_inference is None else (problem.most_inference, tuple(problem.inference[name] for name in tasks))
    transfers = tuple((one.target, one.sources, one.images) for one in problem.transfers)
    return problem.targets, problem.sources, problem.required, transfers, inference
