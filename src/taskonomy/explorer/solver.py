"""The real program, solved in one thread of its own; what was solved is kept."""

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pandas as pd

from taskonomy.config.params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import Planner, Policy
from taskonomy.tasks import BUILT_IN, Registry

_PLANNERS, _ANSWERS = 16, 500
Value = TypeVar("Value")
_log = logging.getLogger(__name__)


class Solver:
    """Policies of one table.

    GLPK keeps its memory per thread, so one thread makes, uses and frees every program; a web server has many. Errors cross over as text: as
    exceptions they would hold on to a planner, and free it in another thread.
    """

    def __init__(self, table: pd.DataFrame, registry: Registry = BUILT_IN) -> None:
        self._table, self._registry = table, registry
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="glpk")
        self._planners: OrderedDict[str, Planner] = OrderedDict()
        self._policies: OrderedDict[str, Policy | str] = OrderedDict()
        self._alternatives: OrderedDict[str, list[Policy] | str] = OrderedDict()
        self._begun: dict[str, tuple[Iterator[Policy], list[Policy]]] = {}  # those of the alternatives that are being found, and how far

    def policy(self, params: PolicyParams) -> Policy:
        """The policy that `taskonomy.policy.planner.plan` gives for the same table.

        Raises:
            TaskonomyError: as there, and where the solver fails on the numbers.
        """
        found = self._ask(self._policy, params)
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def alternatives(self, params: PolicyParams) -> list[Policy]:
        """The next-best policies that `plan` gives, one after the other: a policy that is asked for meanwhile waits for one of them at most.

        Raises:
            TaskonomyError: as for the policy.
        """
        while (found := self._ask(self._next_best, params)) is None:
            continue
        if isinstance(found, str):
            raise TaskonomyError(found)
        return found

    def prepare(self, params: PolicyParams) -> None:
        """Begin to solve what will be asked for; nobody waits, and an error is told to whoever asks."""
        self._thread.submit(self._ahead, params)
        self._thread.submit(_keep_what_is_loaded)

    def close(self) -> None:
        """Free every program, where it was made."""
        self._thread.submit(self._forget)  # the last that it does
        self._thread.shutdown()

    def _ask(self, what: Callable[[PolicyParams], Value], params: PolicyParams) -> Value:
        try:
            return self._thread.submit(what, params).result()
        except RuntimeError:  # a page still asks while the program ends
            raise TaskonomyError("the explorer has ended") from None

    def _forget(self) -> None:
        self._begun.clear()
        self._planners.clear()

    def _policy(self, params: PolicyParams) -> Policy | str:
        return _kept(self._policies, params.model_dump_json(), _ANSWERS, lambda: _told(lambda: self._planner(params).policy(params.budget)))

    def _next_best(self, params: PolicyParams) -> list[Policy] | str | None:
        """Find one more; all, once they are found."""
        if isinstance(best := self._policy(params), str):
            return best
        key = params.model_dump_json()
        if key in self._alternatives:
            return _latest(self._alternatives, key, _ANSWERS)
        more, found = self._begun.setdefault(key, (self._planner(params).alternatives(best, params.alternatives), []))
        if isinstance(one := _told(lambda: next(more, None)), Policy):
            found.append(one)
            return None
        del self._begun[key]
        return _kept(self._alternatives, key, _ANSWERS, lambda: found if one is None else one)

    def _ahead(self, params: PolicyParams) -> None:
        if self._next_best(params) is None:
            with suppress(RuntimeError):  # closed meanwhile
                self._thread.submit(self._ahead, params)

    def _planner(self, params: PolicyParams) -> Planner:
        """One program serves every budget, and lends itself to other weights."""
        any_budget = params.model_copy(update={"budget": 0.0, "alternatives": 0})
        return _kept(
            self._planners,
            any_budget.model_dump_json(),
            _PLANNERS,
            lambda: Planner(self._table, any_budget, reversed(self._planners.values()), self._registry),
        )


def _kept(kept: "OrderedDict[str, Value]", key: str, most: int, make: Callable[[], Value]) -> Value:
    """What was made for a key, or is made now."""
    if key not in kept:
        kept[key] = make()
    return _latest(kept, key, most)


def _latest(kept: "OrderedDict[str, Value]", key: str, most: int) -> Value:
    """What was made for a key; what was asked for longest ago makes room."""
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
    return kept[key]


def _keep_what_is_loaded() -> None:
    """Libraries stay as long as the process does. Else the garbage collector would go through all of them in the middle of one answer in ten."""
    gc.collect()
    gc.freeze()


def _told(solve: Callable[[], Value]) -> Value | str:
    """The value, or why there is none."""
    try:
        return solve()
    except TaskonomyError as error:
        return str(error)
    except (RuntimeError, ArithmeticError) as error:
        # Numbers that overflow in the solver, such as costs of 1e308: the page stays, the terminal says where.
        _log.exception("the solver failed")
        return f"the solver failed on these numbers: {error}"
