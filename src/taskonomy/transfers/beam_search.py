"""Which sets of sources to try next (paper section 3.2), as there are too many to try all."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from taskonomy.config.network_params import Beam
from taskonomy.training.transfer_context import Sources

# As in the released measurements: all pairs and triples of the 5 best sources, all sets of 4 of the 6 best, and from order k = 5 on the k best.
PAPER = {2: 5, 3: 5, 4: 6}


def candidates(order: int, affinity: Mapping[Sources, float], pool: Sequence[str], beam: Beam | int) -> list[Sources]:
    """List the sets of `order` sources to train, given the affinities of lower orders.

    Args:
        order: Number of sources, above 1.
        affinity: Affinity of every set tried so far, its sources in sorted order.
        pool: Sources that sets may be made of; each was tried alone.
        beam: `paper`: all subsets of the best single sources; a number w: the w best sets of the order below, each with one more source (1: greedy
            forward selection); `all`: every subset.

    Returns:
        Sets in sorted order, each sorted: neither depends on the order in which anything was trained.
    """
    if beam is Beam.ALL:
        return _subsets(pool, order)
    if beam is Beam.PAPER:
        return _subsets([source for (source,) in _best([(source,) for source in pool], affinity, PAPER.get(order, order))], order)
    allowed = set(pool)
    below = [sources for sources in affinity if len(sources) == order - 1 and allowed.issuperset(sources)]
    kept = _best(below, affinity, int(beam))
    return sorted({tuple(sorted({*sources, more})) for sources in kept for more in allowed - set(sources)})


def most_promising(sets: Sequence[Sources], affinity: Mapping[Sources, float], count: int) -> list[Sources]:
    """Return the sets whose sources, each alone, have the largest sum of affinities, sorted; ties go to those whose names come first."""
    return sorted(sorted(sets, key=lambda sources: (-sum(affinity[(name,)] for name in sources), sources))[:count])


def _subsets(pool: Sequence[str], order: int) -> list[Sources]:
    return sorted(combinations(sorted(pool), order))


def _best(sets: Sequence[Sources], affinity: Mapping[Sources, float], width: int) -> list[Sources]:
    """Return the sets of highest affinity; ties go to those whose names come first."""
    return sorted(sets, key=lambda sources: (-affinity[sources], sources))[:width]
