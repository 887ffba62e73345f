"""The Boolean program in whole numbers, where what a solver proposes within its tolerances is settled exactly.

Costs and affinities are taken as written and multiplied by their denominators. Sets of sources are the bits of a number, so a policy's sources, its
cost and its objective compare exactly, and so do the bounds of the search.
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from taskonomy.policy.numbers import denominator
from taskonomy.policy.problem import Goal, Problem

Key = tuple[int, int, int]
NOBODY = -1  # stands for "no transfer" in problems whose targets may stay without one


@dataclass(frozen=True)
class Choice:
    """One transfer for each target.

    Attributes:
        mask: The sources that the transfers need, as bits.
        worth, cost: In the units of the `Exact` that the choice belongs to.
        numbers: Numbers of the transfers, target by target.
    """

    mask: int
    worth: int
    cost: int
    numbers: tuple[int, ...]

    @property
    def key(self) -> Key:
        """Return the sort key, the best choice first: highest worth, then lowest cost, then sources first by name."""
        return -self.worth, self.cost, -self.mask


Edge = tuple[int, int, int]  # sources needed, worth (or loss), number


class Exact:
    """A problem in whole numbers.

    Attributes:
        goal: What is maximised. For `THRIFT` every choice is worth nothing, so the cheapest is the best; for `COVERAGE` every transfer is worth 1,
            and targets may stay without one.
        cost: Source (as its bit) -> its cost.
        paid: What every policy pays, whatever its sources.
        load: Source (as its bit) -> multiply-adds of its encoder; 0 where these have no bound.
        most_load: The bound of their sum; None: none.
        into: The transfers into each target, the best first.
        uses: Source (as its bit) -> the transfers that need it: sources needed, worth, and the target's position.
    """

    def __init__(self, problem: Problem, goal: Goal = Goal.WORTH) -> None:
        costs = [problem.costs[name] for name in problem.sources]
        self.goal = goal
        self.cost_unit, self.worth_unit = denominator([*costs, problem.fixed]), problem.unit if goal is Goal.WORTH else 1
        self.bits = {name: 1 << place for place, name in enumerate(reversed(problem.sources))}
        self.cost = {self.bits[name]: int(cost * self.cost_unit) for name, cost in zip(problem.sources, costs, strict=True)}
        self.paid = int(problem.fixed * self.cost_unit)
        self.all, self.required = sum(self.cost), self.mask(problem.required)
        self.dearest = max(self.cost.values(), default=0)
        bound = problem.most_inference
        loads = [Fraction(0) if bound is None or name in problem.steps else problem.inference[name] for name in problem.sources]
        unit = denominator(loads)
        self.load = {self.bits[name]: int(load * unit) for name, load in zip(problem.sources, loads, strict=True)}
        self.most_load = None if bound is None else math.floor(bound * unit)
        self.into = [self._ranked(problem, target) for target in problem.targets]
        self.uses: dict[int, list[Edge]] = {bit: [] for bit in self.cost}
        for place, edges in enumerate(self.into):
            for need, worth, _number in edges:
                for bit in bits_of(need):
                    self.uses[bit].append((need, worth, place))

    def _ranked(self, problem: Problem, target: str) -> list[Edge]:
        """Rank the transfers into a target, best first; ties go to the higher affinity (importance may be 0), then to fewer sources, then by name."""
        numbers = problem.into(target)
        needs = {number: self.mask(problem.transfers[number].needs) for number in numbers}
        if self.goal is Goal.THRIFT:
            return [(needs[number], 0, number) for number in sorted(numbers, key=lambda number: (self.cost_of(needs[number]), number))]
        worth = {number: problem.whole[number] if self.goal is Goal.WORTH else 1 for number in numbers}
        ranked = sorted(numbers, key=lambda number: (-worth[number], -problem.transfers[number].affinity, number))
        edges = [(needs[number], worth[number], number) for number in ranked]
        return [*edges, (0, 0, NOBODY)] if self.goal is Goal.COVERAGE else edges

    def mask(self, sources: Iterable[str]) -> int:
        """Encode sources as the bits of a number; the first by name is the highest bit."""
        return sum(self.bits[name] for name in set(sources))

    def names(self, mask: int) -> tuple[str, ...]:
        """Return the sources of a mask, by name."""
        return tuple(name for name, bit in reversed(self.bits.items()) if mask & bit)

    def shares(self) -> dict[int, int]:
        """Compute, for each source, how much worth all targets together would lose if that source alone were missing."""
        lost = dict.fromkeys(self.cost, 0)
        for edges in self.into:
            need, worth, _number = edges[0]
            for bit in bits_of(need):
                lost[bit] += worth - next((edge[1] for edge in edges if not edge[0] & bit), 0)
        return lost

    def limit(self, budget: Fraction) -> int:
        """Return the largest whole number of cost units within a budget."""
        return math.floor(budget * self.cost_unit)

    def cost_of(self, mask: int) -> int:
        """Compute the cost of a policy with these sources, including what every policy pays."""
        return self.paid + sum(self.cost[bit] for bit in bits_of(mask))

    def load_of(self, mask: int) -> int:
        """Compute the multiply-adds of these sources' encoders."""
        return sum(self.load[bit] for bit in bits_of(mask))

    def runs(self, mask: int) -> bool:
        """Return whether the bound on inference permits these sources."""
        return self.most_load is None or self.load_of(mask) <= self.most_load

    def possible_costs(self, most: int) -> list[int] | None:
        """List the costs that sets of sources can have, ascending; None where there are more than `most`."""
        sums = {self.paid}
        for cost in self.cost.values():
            sums |= {one + cost for one in sums}
            if len(sums) > most:
                return None
        return sorted(sums)

    def choices(self, mask: int, least: int | None) -> Iterator[Choice]:
        """Yield all choices that need exactly these sources and are worth at least `least`, the best first; ties go by rank, target by target."""
        options = [[edge for edge in edges if not edge[0] & ~mask] for edges in self.into]
        if not all(options):
            return
        cost = self.cost_of(mask)
        most = sum(edges[0][1] for edges in options)
        lost = [[(need, edges[0][1] - worth, number) for need, worth, number in edges] for edges in options]
        cap = sum(edges[-1][1] for edges in lost) if least is None else most - least
        if cap < 0:
            return
        used = 0
        for edges in lost:
            used |= edges[0][0]
        if used == mask:
            yield Choice(mask, most, cost, tuple(edges[0][2] for edges in lost))
        # Few transfers come near the best, so the loss allowed starts small and is doubled up to the cap.
        done, slack = -1, 0
        while done < cap:
            ranked = [[edge for edge in edges if edge[1] <= slack] for edges in lost]
            for loss, ranks in _covering(ranked, mask, slack):
                if loss > done and (any(ranks) or used != mask):
                    yield Choice(mask, most - loss, cost, tuple(edges[rank][2] for edges, rank in zip(ranked, ranks, strict=True)))
            done = slack
            further = min((edge[1] for edges in lost for edge in edges if edge[1] > slack), default=cap)
            slack = min(cap, max(2 * slack, further))


def _covering(options: list[list[Edge]], mask: int, slack: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield all ways to choose one option for each target so that all these sources are needed, ascending by loss (at most `slack`), then by ranks.

    The search is best-first: the smallest loss that a partial choice can end with is known exactly, so partial choices are taken in that order.

    Args:
        options: For each target, its options as sources needed, loss and number, ascending by loss.
        mask: Sources that have to be needed.
        slack: Largest total loss.
    """
    sure = 0
    for edges in options:
        sure |= _common(edges)
    want = mask & ~sure  # the other sources are needed whatever is chosen
    ends = _ends(options, want, slack)
    heap: list[tuple[int, tuple[int, ...], int, int]] = [(0, (), 0, 0)]
    while heap:
        reached, ranks, covered, loss = heapq.heappop(heap)
        place = len(ranks)
        if place == len(options):
            yield reached, ranks
            continue
        for rank, (need, more, _number) in enumerate(options[place]):
            rest = _least(ends[place + 1], want & ~(covered | need))
            if rest is not None and loss + more + rest <= slack:
                heapq.heappush(heap, (loss + more + rest, (*ranks, rank), covered | need, loss + more))


def _common(edges: list[Edge]) -> int:
    """Return the sources that all of these transfers need."""
    common = edges[0][0]
    for need, _worth, _number in edges:
        common &= need
    return common


def _ends(options: list[list[Edge]], want: int, slack: int) -> list[dict[int, int]]:
    """Compute, for each position, which of the wanted sources the targets from there on can cover, and the smallest loss of each such set."""
    ends: list[dict[int, int]] = [{0: 0}]
    for edges in reversed(options):
        best: dict[int, int] = {}
        for need, loss, _number in edges:
            best.setdefault(need & want, loss)  # edges are in ascending order of loss, so the first is the smallest
        longer: dict[int, int] = {}
        for covered, before in ends[-1].items():
            for need, loss in best.items():
                both, together = covered | need, before + loss
                if together <= slack and together < longer.get(both, together + 1):
                    longer[both] = together
        ends.append(longer)
    return ends[::-1]


def _least(ends: dict[int, int], missing: int) -> int | None:
    """Return the smallest loss at which the remaining targets cover the missing sources; None if they cannot."""
    return min((loss for end, loss in ends.items() if not missing & ~end), default=None)


def bits_of(mask: int) -> Iterator[int]:
    """Yield the sources of a mask, one bit at a time."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
