"""A policy without a proof, for when the time limit ends before the solver has found a better one."""

from taskonomy.policy.exact import Exact, bits_of


def greedy(exact: Exact, limit: int) -> int | None:
    """Add one source at a time: the one that brings the targets closest to being served, then the one that is worth most.

    Args:
        exact: The problem in whole numbers.
        limit: Largest cost, in units of `exact`.

    Returns:
        The sources that the best transfers from them need, as a mask; None if a target stays unserved or a required source unused.
    """

    def value(mask: int) -> tuple[int, int]:
        missing = best = 0
        for edges in exact.into:
            lacking = min((need & ~mask).bit_count() for need, _worth, _number in edges)
            missing += lacking
            best += 0 if lacking else next(worth for need, worth, _number in edges if not need & ~mask)
        return -missing, best

    on = exact.required
    if exact.cost_of(on) > limit or not exact.runs(on):
        return None
    while True:
        grown = [on | bit for bit in bits_of(exact.all & ~on) if exact.cost_of(on | bit) <= limit and exact.runs(on | bit)]
        if not grown or value(best := max(grown, key=value)) <= value(on):
            break
        on = best
    if value(on)[0] < 0:
        return None
    used = 0
    for edges in exact.into:
        used |= next(need for need, _worth, _number in edges if not need & ~on)
    return used if not exact.required & ~used else None
