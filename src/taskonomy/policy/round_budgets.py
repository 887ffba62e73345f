"""The best policies of budgets that people would try, where there are too many to solve each."""

import math
from collections.abc import Iterator

from taskonomy.policy.planner import Planner, Policy

_MOST = 40  # points; a budget in money has thousands of possible values


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
