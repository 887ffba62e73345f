"""Solve the programs, all in one dedicated thread, and keep the policies."""

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pandas as pd

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.explorer.budget_curve import BudgetCurve
from taskonomy.policy.planner import Planner, Policy
from taskonomy.policy.problem import Problem
from taskonomy.policy.round_budgets import budgets
from taskonomy.tasks import BUILT_IN, Registry

_PLANNERS, _ANSWERS = 16, 500
Value = TypeVar("Value")
_log = logging.getLogger(__name__)


class Solver:
    """Policies of one table.

    GLPK's memory belongs to a thread, so one thread creates, uses and frees every program, while a web server has many threads. Errors are passed
    between threads as text: an exception would hold a reference to a planner, and free it in another thread.
    """

    def __init__(self, table: pd.DataFrame, registry: Registry = BUILT_IN) -> None:
        self._table, self._registry = table, registry
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="glpk")
        self._planners: OrderedDict[str, Planner] = OrderedDict()
        self._policies: OrderedDict[str, Policy | str] = OrderedDict()
        self._alternatives: OrderedDict[str, list[Policy] | str] = OrderedDict()
        self._curves: OrderedDict[str, BudgetCurve | str] = OrderedDict()
        self._begun: dict[str, tuple[Iterator[Policy], list[Policy]]] = {}  # searches for alternatives in progress, with those found so far
        self._drawn: dict[str, tuple[Iterator[Policy], list[Policy]]] = {}  # the same of curves

    def policy(self, params: PolicyParams) -> Policy:
        """Return the policy that `taskonomy.policy.planner.plan` gives for the same table.

        Raises:
            TaskonomyError: As there, and where the solver fails on the numbers.
        """
        found = self._ask(self._policy, params)
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def alternatives(self, params: PolicyParams) -> list[Policy]:
        """Return the next-best policies that `plan` gives, found one at a time: a policy requested meanwhile waits for at most one of them.

        Raises:
            TaskonomyError: As for the policy.
        """
        while (found := self._ask(self._next_best, params)) is None:
            continue
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def curve(self, params: PolicyParams) -> BudgetCurve:
        """Return the best policy of each budget, found one at a time as alternatives are. The budget of the parameters makes no difference.

        Raises:
            TaskonomyError: No budget serves every target.
        """
        while (found := self._ask(self._next_point, params)) is None:
            continue
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def problem(self, params: PolicyParams) -> Problem:
        """Return what may be chosen under these parameters.

        Raises:
            TaskonomyError: Nothing may.
        """
        found = self._ask(lambda given: _or_message(lambda: self._planner(given).problem), params)
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def prepare(self, params: PolicyParams) -> None:
        """Start to solve parameters in the background; an error is reported to the request that asks for the result."""
        self._thread.submit(self._ahead, params)
        self._thread.submit(_keep_what_is_loaded)

    def close(self) -> None:
        """Free every program, in the thread that made it."""
        self._thread.submit(self._forget)  # the thread's last job
        self._thread.shutdown()

    def _ask(self, what: Callable[[PolicyParams], Value], params: PolicyParams) -> Value:
        try:
            return self._thread.submit(what, params).result()
        except RuntimeError:  # a page still asks while the server shuts down
            raise TaskonomyError("the explorer has ended") from None

    def _forget(self) -> None:
        self._begun.clear()
        self._drawn.clear()
        self._planners.clear()

    def _policy(self, params: PolicyParams) -> Policy | str:
        return _kept(self._policies, params.model_dump_json(), _ANSWERS, lambda: _or_message(lambda: self._planner(params).policy(params.budget)))

    def _next_best(self, params: PolicyParams) -> list[Policy] | str | None:
        """Find one more alternative; return all of them once the search is complete."""
        if isinstance(best := self._policy(params), str):
            return best
        key = params.model_dump_json()
        if key in self._alternatives:
            return _latest(self._alternatives, key, _ANSWERS)
        more, found = self._begun.setdefault(key, (self._planner(params).alternatives(best, params.alternatives), []))
        if isinstance(one := _or_message(lambda: next(more, None)), Policy):
            found.append(one)
            return None
        del self._begun[key]
        return _kept(self._alternatives, key, _ANSWERS, lambda: found if one is None else one)

    def _next_point(self, params: PolicyParams) -> BudgetCurve | str | None:
        """Solve one more budget; return the curve once all are."""
        key = _any_budget(params).model_dump_json()
        if key in self._curves:
            return _latest(self._curves, key, _ANSWERS)
        if isinstance(planner := _or_message(lambda: self._planner(params)), str):
            return planner
        points, found = self._drawn.setdefault(key, (budgets(planner), []))
        one = _or_message(lambda: next(points, None))
        if isinstance(one, Policy):
            found.append(one)
            if sum(each.seconds for each in found) <= params.time_limit:
                return None
        self._drawn.pop(key, None)
        return _kept(self._curves, key, _ANSWERS, lambda: one if isinstance(one, str) else BudgetCurve(tuple(found), whole=one is None))

    def _ahead(self, params: PolicyParams) -> None:
        if self._next_best(params) is None:
            with suppress(RuntimeError):  # the solver was closed meanwhile
                self._thread.submit(self._ahead, params)

    def _planner(self, params: PolicyParams) -> Planner:
        """Return the planner for these parameters; one program serves every budget, and is adapted to other weights."""
        any_budget = _any_budget(params)
        return _kept(
            self._planners,
            any_budget.model_dump_json(),
            _PLANNERS,
            lambda: Planner(self._table, any_budget, reversed(self._planners.values()), self._registry),
        )


def _any_budget(params: PolicyParams) -> PolicyParams:
    return params.model_copy(update={"budget": 0.0, "alternatives": 0})


def _kept(kept: "OrderedDict[str, Value]", key: str, most: int, make: Callable[[], Value]) -> Value:
    """Return the value kept for a key, or make it."""
    if key not in kept:
        kept[key] = make()
    return _latest(kept, key, most)


def _latest(kept: "OrderedDict[str, Value]", key: str, most: int) -> Value:
    """Return the value kept for a key; the least recently used is dropped."""
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
    return kept[key]


def _keep_what_is_loaded() -> None:
    """Exempt loaded libraries from garbage collection: they live as long as the process, and collections would slow one answer in ten."""
    gc.collect()
    gc.freeze()


def _or_message(solve: Callable[[], Value]) -> Value | str:
    """Return the value, or the error message where there is none."""
    try:
        return solve()
    except TaskonomyError as error:
        return str(error)
    except (RuntimeError, ArithmeticError) as error:
        # Overflow in the solver, for instance for costs of 1e308: the page goes on, the terminal shows where it failed.
        _log.exception("the solver failed")
        return f"the solver failed on these numbers: {error}"
