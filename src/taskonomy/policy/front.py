"""The front: the optimal policy of every budget and order, and what one more label would gain."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import number, whole
from taskonomy.policy.numbers import difference
from taskonomy.policy.planner import Planner, Policy
from taskonomy.tasks import BUILT_IN, Registry

_FEW_COSTS = 100


@dataclass(frozen=True)
class FrontPoint:
    """One budget of the front; `more_*` is what the next larger budget adds, NaN at the last one."""

    policy: Policy
    more_label_cost: float = float("nan")
    more_objective: float = float("nan")
    more_gain: float = float("nan")
    more_quality: float = float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return the policy as `--json` prints it, with `one_more_label`."""
        return {**self.policy.as_dict(), "one_more_label": self._more()}

    def reproducible(self) -> dict[str, Any]:
        """Return what a stage writes: as `as_dict`, without times."""
        return {**self.policy.reproducible(), "one_more_label": self._more()}

    def _more(self) -> dict[str, float]:
        return {"cost": self.more_label_cost, "objective": self.more_objective, "gain": self.more_gain, "quality": self.more_quality}


def front(
    table: pd.DataFrame,
    params: PolicyParams,
    orders: Iterable[int],
    budgets: Iterable[float] | None = None,
    progress: Callable[[list[int]], Iterable[int]] = lambda orders: orders,
    registry: Registry = BUILT_IN,
) -> list[FrontPoint]:
    """Solve all budgets, from the smallest feasible to the one where nothing improves, for each order.

    Where the sources' costs add up to few different sums (26 sources of cost 1: 27), each is a budget of the front; where there are more,
    the front holds the budgets at which the optimum changes.

    Args:
        table: Affinities.
        params: The section `policy`.
        orders: Values of `policy.max_order`.
        budgets: Solve these budgets instead; one that is too small for an order is an error, as it is for a single policy.
        progress: Wraps the orders to show progress.
        registry: Tasks that exclusions and prices may name, whether or not the table has them.
    """
    chosen = sorted(set(budgets)) if budgets is not None else None
    points: list[FrontPoint] = []
    for order in progress(sorted(set(orders))):
        planner = Planner(table, params.model_copy(update={"max_order": order}), registry=registry)
        policies = [planner.policy(budget) for budget in chosen] if chosen is not None else _budgets(planner)
        points += with_next(policies)
    return points


def _budgets(planner: Planner) -> list[Policy]:
    smallest, everything = planner.smallest_cost(), planner.exact.cost_of(planner.exact.all)
    most = planner.cost_at(everything)
    if planner.costs is not None and len(planner.costs) <= _FEW_COSTS:
        return _once(planner.at_cost(cost) for cost in planner.costs if smallest <= cost <= most)
    found: list[Policy] = []
    limit = most
    while limit >= smallest:
        cost = planner.cost_at(limit)
        found.append(planner.at_cost(cost))
        limit = cost - 1
    return _once(reversed(found))


def _once(policies: Iterable[Policy]) -> list[Policy]:
    """Keep one policy for each budget: different exact costs may be the same float."""
    return list({policy.budget: policy for policy in policies}.values())


def with_next(policies: list[Policy]) -> list[FrontPoint]:
    """Make a front of one order's policies, by ascending budget: each with what the next one adds."""
    points = []
    for now, then in itertools.pairwise(policies):
        added = ((now.budget, then.budget), (now.objective, then.objective), (now.mean_gain, then.mean_gain), (now.mean_quality, then.mean_quality))
        points.append(FrontPoint(now, *(difference(more, before) for before, more in added)))
    return [*points, FrontPoint(policies[-1])] if policies else []


def as_frame(points: list[FrontPoint]) -> pd.DataFrame:
    """Build a table of the front, one row per order and budget."""
    rows = [
        {
            "order": point.policy.max_order,
            "budget": point.policy.budget,
            "cost": point.policy.cost,
            "objective": point.policy.objective,
            **{f"mean_{name}": getattr(point.policy, f"mean_{name}") for name in point.policy.measures},
            "more_objective": point.more_objective,
            "more_gain": point.more_gain,
            "more_quality": point.more_quality,
            "status": point.policy.status,
            "sources": "+".join(point.policy.sources),
        }
        for point in points
    ]
    return pd.DataFrame(rows)


def parse_numbers(text: str, option: str) -> list[float]:
    """Parse a list of numbers and ranges: `1,2,5-25` gives 1, 2, 5, 6, ..., 25.

    Raises:
        TaskonomyError: A part is neither a number >= 0 nor an ascending range.
    """
    numbers: list[float] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            if not dash:
                numbers.append(number(low))
            elif whole(low) <= whole(high):
                numbers += map(float, range(whole(low), whole(high) + 1))
            else:
                raise ValueError
        except ValueError:
            raise TaskonomyError(f"{option}: {part!r} must be a number >= 0 or a range such as 5-25, written with the digits 0-9") from None
    return numbers
