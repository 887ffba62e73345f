"""The best policy of every budget, for the curve beside the slider."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from taskonomy.policy.label_costs import money
from taskonomy.policy.planner import Planner, Policy

_MOST = 40  # points; a budget in money has thousands of possible values


@dataclass(frozen=True)
class BudgetCurve:
    """The best policies, by ascending budget; `whole` unless the time limit ended before the largest budget."""

    policies: tuple[Policy, ...]
    whole: bool

    def as_data(self, currency: str | None) -> dict[str, Any]:
        """Return what the page draws: of each budget its text, mean gain, mean quality and number of labelled tasks."""
        points = [
            {
                "budget": one.budget,
                "text": money(round(one.budget, 2), currency),
                "gain": _known(one.mean_gain),
                "quality": _known(one.mean_quality),
                "labelled": len(one.labelled),
            }
            for one in self.policies
        ]
        return {"points": points, "whole": self.whole, "solved": True}


def budgets(planner: Planner) -> Iterator[Policy]:
    """Solve every cost of a set of sources, from the smallest that serves all targets to the one from which on nothing improves.

    Where there are more than 40, solve the smallest, then round numbers.

    Raises:
        TaskonomyError: No budget serves every target.
    """
    low = planner.smallest_cost()
    high = planner.cost_at(planner.exact.cost_of(planner.exact.all))
    known = [cost for cost in planner.costs or () if low <= cost <= high]
    if planner.costs is not None and len(known) <= _MOST:
        yield from map(planner.at_cost, known)
        return
    first, last = (planner.at_cost(cost) for cost in (low, high))
    yield first
    if first.budget == last.budget:
        return
    step = _round((last.budget - first.budget) / _MOST)
    at = math.floor(first.budget / step) + 1
    while at * step < last.budget:
        yield planner.policy(round(at * step, 12))
        at += 1
    yield last


def _round(step: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
