"""The exact search over sets of sources: it proves what a solver proposed, or finds a better choice that the solver missed within its tolerances.

Branch and bound. A node has sources that are decided to be in, and sources that may be in. No choice below it is worth more than the sum of every
target's best transfer from those sources, less the smallest loss at which the targets would use the sources that are in and otherwise unused.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from taskonomy.policy.exact import Choice, Edge, Exact, Key, bits_of
from taskonomy.policy.problem import Goal

_CLOCK = 128  # nodes between two checks of the time limit


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    Attributes:
        choice: The best choice found; None where there is none.
        bound: No choice is worth more.
        proved: Whether the search was completed: then the choice is the best, ties going to the cheapest, then to the first by name.
    """

    choice: Choice | None
    bound: int
    proved: bool


@dataclass(frozen=True)
class _Node:
    """A node of the search tree.

    Attributes:
        inside: Sources that are in.
        may: Sources that may be in, those that are in included.
        spent: Cost of the sources that are in.
        places: Every target's best transfer from the sources that may be in.
        worth: What these are worth together.
    """

    inside: int
    may: int
    spent: int
    places: list[Edge]
    worth: int


class Search:
    """Finds the best choice of one problem within a limit of cost, in units of `exact`.

    Args:
        exact: The problem in whole numbers.
        limit: Largest cost.
        taken: Choices to leave out.
        by_sources: Whether other choices with the same sources as a taken one are left out, too.
    """

    def __init__(self, exact: Exact, limit: int, taken: Iterable[Choice] = (), *, by_sources: bool = True) -> None:
        taken = tuple(taken)
        self._exact, self._limit = exact, limit
        self._taken = {one.numbers for one in taken}
        self._taken_masks = {one.mask for one in taken} if by_sources else set()
        self._key: Key | None = None
        self.best: Choice | None = None

    def offer(self, mask: int) -> None:
        """Take the best choice that needs exactly these sources, if it is allowed and better than the best so far."""
        exact = self._exact
        if mask in self._taken_masks or exact.required & ~mask or exact.cost_of(mask) > self._limit or not exact.runs(mask):
            return
        choices = exact.choices(mask, self.best.worth if self.best is not None else None)
        if (one := next((one for one in choices if one.numbers not in self._taken), None)) is not None:
            self._take(one)

    def _take(self, one: Choice) -> None:
        if self._key is None or one.key < self._key:
            self.best, self._key = one, one.key

    def run(self, nodes: int, until: float = float("inf")) -> SearchResult:
        """Search all sets of sources that could be better than what was offered, within a number of nodes and until a time of `perf_counter`."""
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
        """Split a node by one undecided source, the half to search first last; return none where nothing below can be better or all is decided."""
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
        """Take every target's best transfer, if the budget pays for the sources needed."""
        if node.spent + sum(self._exact.cost[bit] for bit in bits_of(used & ~node.inside)) <= self._limit and self._exact.runs(used | node.inside):
            numbers = tuple(number for _need, _worth, number in node.places)
            if used in self._taken_masks or numbers in self._taken:
                self.offer(used)
            else:
                self._take(Choice(used, node.worth, self._exact.cost_of(used), numbers))

    def _hopeless(self, worth: int, spent: int, may: int) -> bool:
        """Return whether no choice that is worth at most `worth`, costs at least `spent` and takes its sources from `may` beats the best so far."""
        return self._key is not None and (-worth, spent, -may) >= self._key

    def _start(self) -> _Node | None:
        exact = self._exact
        spent = exact.cost_of(exact.required)
        if spent > self._limit or not exact.runs(exact.required):
            return None
        places = [edges[0] for edges in exact.into]
        everything = _Node(exact.required, exact.all, spent, places, sum(worth for _need, worth, _number in places))
        return self._within(everything)

    def _with(self, node: _Node, bit: int) -> _Node | None:
        """Build the half in which a source is in."""
        return self._within(_Node(node.inside | bit, node.may, node.spent + self._exact.cost[bit], node.places, node.worth))

    def _within(self, node: _Node) -> _Node | None:
        """Exclude the sources that the rest of the budget cannot pay for, or the rest of the bound on inference does not permit."""
        left, cost = self._limit - node.spent, self._exact.cost
        dear = sum(bit for bit in bits_of(node.may & ~node.inside) if cost[bit] > left) if left < self._exact.dearest else 0
        if self._exact.most_load is not None:
            room, load = self._exact.most_load - self._exact.load_of(node.inside), self._exact.load
            dear |= sum(bit for bit in bits_of(node.may & ~node.inside) if load[bit] > room)
        return self._without(node, dear)

    def _without(self, node: _Node, out: int) -> _Node | None:
        """Exclude some sources; None where a target is left without a transfer, or nothing below can be better."""
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
        """Compute a lower bound of what the targets lose to use each of these unused sources; None if one cannot be used."""
        most = 0
        for bit in bits_of(idle):
            uses = (node.places[place][1] - worth for need, worth, place in self._exact.uses[bit] if not need & ~node.may)
            if (least := min(uses, default=None)) is None:
                return None
            most = max(most, least)
        return most

    def _lacking(self, node: _Node) -> int:
        """Compute what the target that is most expensive to serve costs at least, beyond the sources that are in."""
        return max(min(self._beyond(need, node) for need, _worth, _number in edges if not need & ~node.may) for edges in self._exact.into)

    def _beyond(self, need: int, node: _Node) -> int:
        return sum(self._exact.cost[bit] for bit in bits_of(need & ~node.inside))
