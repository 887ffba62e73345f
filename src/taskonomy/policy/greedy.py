"""A policy without a proof, for when the time limit ends before the solver has found a better one."""

import numpy as np

from taskonomy.policy.problem import Problem


def greedy(problem: Problem, budget: float) -> list[int] | None:
    """Add one source at a time, whichever brings the targets closest to being served, then whichever is worth most.

    Returns:
        The best transfer of each target that the sources allow, by number; None if some target stays unserved or a required source idle.
    """
    needs = np.array([[source in transfer.needs for source in problem.sources] for transfer in problem.transfers])
    worth = np.array([transfer.worth for transfer in problem.transfers])
    starts = np.array([problem.into(target)[0] for target in problem.targets])  # transfers stand target by target
    on = np.array([source in problem.required for source in problem.sources])
    cost = np.array([problem.cost[source] for source in problem.sources])

    def value(chosen: np.ndarray) -> tuple[int, float]:
        missing = (needs & ~chosen).sum(axis=1)
        best = np.maximum.reduceat(np.where(missing == 0, worth, 0.0), starts)
        return -int(np.minimum.reduceat(missing, starts).sum()), float(best.sum())

    budget -= problem.paid
    if cost[on].sum() > budget:
        return None
    while True:
        affordable = np.flatnonzero(~on & (cost[on].sum() + cost <= budget))
        grown = [on | (np.arange(len(on)) == source) for source in affordable]
        if not grown or value(best := max(grown, key=value)) <= value(on):
            break
        on = best
    if value(on)[0] < 0:
        return None
    allowed = np.where((needs & ~on).any(axis=1), -1.0, worth)
    chosen = [into[int(allowed[into].argmax())] for into in map(problem.into, problem.targets)]
    return chosen if (needs[chosen].any(axis=0) >= np.array([source in problem.required for source in problem.sources])).all() else None
