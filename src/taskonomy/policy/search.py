"""The exact search over sets of sources: it proves what a solver proposed, or finds the better choice that the solver's tolerances hid.

Branch and bound. A node has sources that are in and sources that may be. No choice below it is worth more than every target's best transfer from
those sources, less what the targets lose at least to use the idlest of the sources that are in.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from taskonomy.policy.exact import Choice, Edge, Exact, Key, bits_of
from taskonomy.policy.problem import Goal

_CLOCK = 128  # nodes between two looks at the clock


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    Attributes:
        choice: The best, None where there is none.
        bound: No choice is worth more.
        proved: Whether the search went through: then the choice is the best, and of equals the cheapest, then the first by name.
    """

    choice: Choice | None
    bound: int
    proved: bool


@dataclass(frozen=True)
class _Node:
    """Sources that are in, and that may be; what those that are in cost; every target's best transfer, and what they are worth together."""

    inside: int
    may: int
    spent: int
    places: list[Edge]
    worth: int


class Search:
    """The best choice of one problem within a limit of cost, in units of `exact`.

    Args:
        taken: Choices that are not asked for again.
        by_sources: Whether others with the sources of one that is taken are not asked for either.
    """

    def __init__(self, exact: Exact, limit: int, taken: Iterable[Choice] = (), *, by_sources: bool = True) -> None:
        taken = tuple(taken)
        self._exact, self._limit = exact, limit
        self._taken = {one.numbers for one in taken}
        self._taken_masks = {one.mask for one in taken} if by_sources else set()
        self._key: Key | None = None
        self.best: Choice | None = None

    def offer(self, mask: int) -> None:
        """Take the best choice that needs exactly these sources, where it is allowed and better."""
        exact = self._exact
        if mask in self._taken_masks or exact.required & ~mask or exact.cost_of(mask) > self._limit:
            return
        choices = exact.choices(mask, self.best.worth if self.best is not None else None)
        if (one := next((one for one in choices if one.numbers not in self._taken), None)) is not None:
            self._take(one)

    def _take(self, one: Choice) -> None:
        if self._key is None or one.key < self._key:
            self.best, self._key = one, one.key

    def run(self, nodes: int, until: float = float("inf")) -> SearchResult:
        """Go through all sets of sources that could be better than what was offered; at most so many nodes, and until a time of `perf_counter`."""
        shares = self._exact.shares()
        order = sorted(self._exact.cost, key=lambda bit: (-shares[bit], -bit))
        stack = [start] if (start := self._start()) is not None else []
        count = 0
        while stack:
            if count == nodes or (count % _CLOCK == _CLOCK - 1 and time.perf_counter() > until):
                open_ = [node.worth for node in stack] + ([self.best.worth] if self.best is not None else [])
                return SearchResult(self.best, max(open_), False)
            count += 1
            stack += self._branches(stack.pop(), order)
        return SearchResult(self.best, self.best.worth if self.best is not None else 0, True)

    def _branches(self, node: _Node, order: list[int]) -> list[_Node]:
        """The two halves of what is below a node, the one to look at first last; none where nothing is better, or nothing left to decide."""
        if self._hopeless(node.worth, node.spent, node.may):
            return []
        used, worth = 0, node.worth
        for need, _worth, _number in node.places:
            used |= need
        if idle := node.inside & ~used:
            if (loss := self._loss(idle, node)) is None:
                return []
            worth -= loss
        spent = node.spent
        if self._exact.goal is Goal.THRIFT:
            spent += self._lacking(node)
        if self._hopeless(worth, spent, node.may):
            return []
        free = node.may & ~node.inside
        if not idle:
            self._reach(node, used)
        elif not free:
            self.offer(node.inside)
        if not free:
            return []
        bit = next(bit for bit in order if bit & (used & free or free))
        halves = (self._without(node, bit), self._with(node, bit)) if bit & used else (self._with(node, bit), self._without(node, bit))
        return [half for half in halves if half is not None]

    def _reach(self, node: _Node, used: int) -> None:
        """Take every target's best transfer, where the budget pays for what they need."""
        if node.spent + sum(self._exact.cost[bit] for bit in bits_of(used & ~node.inside)) <= self._limit:
            numbers = tuple(number for _need, _worth, number in node.places)
            if used in self._taken_masks or numbers in self._taken:
                self.offer(used)
            else:
                self._take(Choice(used, node.worth, self._exact.cost_of(used), numbers))

    def _hopeless(self, worth: int, spent: int, may: int) -> bool:
        """Whether nothing that is worth so much at most, costs so much at least and has no other sources comes before the best so far."""
        return self._key is not None and (-worth, spent, -may) >= self._key

    def _start(self) -> _Node | None:
        exact = self._exact
        spent = exact.cost_of(exact.required)
        if spent > self._limit:
            return None
        places = [edges[0] for edges in exact.into]
        everything = _Node(exact.required, exact.all, spent, places, sum(worth for _need, worth, _number in places))
        return self._within(everything)

    def _with(self, node: _Node, bit: int) -> _Node | None:
        """The half in which a source is in."""
        return self._within(_Node(node.inside | bit, node.may, node.spent + self._exact.cost[bit], node.places, node.worth))

    def _within(self, node: _Node) -> _Node | None:
        """Without the sources that cost too much now."""
        left, cost = self._limit - node.spent, self._exact.cost
        dear = sum(bit for bit in bits_of(node.may & ~node.inside) if cost[bit] > left) if left < self._exact.dearest else 0
        return self._without(node, dear)

    def _without(self, node: _Node, out: int) -> _Node | None:
        """Without some sources; None where a target is left without a transfer, or nothing is better."""
        if not out:
            return node
        may, worth, places = node.may & ~out, node.worth, list(node.places)
        for place, (need, before, _number) in enumerate(node.places):
            if need & out:
                best = next((edge for edge in self._exact.into[place] if not edge[0] & ~may), None)
                if best is None:
                    return None
                worth += best[1] - before
                places[place] = best
        return None if self._hopeless(worth, node.spent, may) else _Node(node.inside, may, node.spent, places, worth)

    def _loss(self, idle: int, node: _Node) -> int | None:
        """What the targets lose at least to use each of these sources; None if one cannot be used."""
        most = 0
        for bit in bits_of(idle):
            uses = (node.places[place][1] - worth for need, worth, place in self._exact.uses[bit] if not need & ~node.may)
            if (least := min(uses, default=None)) is None:
                return None
            most = max(most, least)
        return most

    def _lacking(self, node: _Node) -> int:
        """What the target that is hardest to serve costs at least beyond the sources that are in."""
        return max(min(self._beyond(need, node) for need, _worth, _number in edges if not need & ~node.may) for edges in self._exact.into)

    def _beyond(self, need: int, node: _Node) -> int:
        return sum(self._exact.cost[bit] for bit in bits_of(need & ~node.inside))
