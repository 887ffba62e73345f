"""Which sets of sources are tried, against enumerations and rules written here."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.config.network_params import Beam
from taskonomy.transfers.beam_search import Sources, candidates

NAMES = "abcdefghij"
pools = st.integers(2, 8).flatmap(lambda size: st.permutations(NAMES[:size]))


def worth_of(pool: list[str], seed: int, levels: int = 50) -> dict[Sources, float]:
    """Of every set of up to four, with ties."""
    import random

    rng = random.Random(seed)
    return {tuple(sorted(chosen)): rng.randrange(levels) / levels for order in range(1, 5) for chosen in combinations(sorted(pool), order)}


@given(pools, st.integers(2, 5), st.integers(0, 99))
def test_all_is_every_subset_of_the_order(pool: list[str], order: int, seed: int) -> None:
    found = candidates(order, worth_of(pool, seed), pool, Beam.ALL)
    every = {frozenset(name for bit, name in enumerate(pool) if number >> bit & 1) for number in range(2 ** len(pool))}
    assert {frozenset(one) for one in found} == {one for one in every if len(one) == order}
    assert len(found) == len(set(found))


@given(pools, st.integers(0, 99))
def test_width_one_is_greedy_forward_selection(pool: list[str], seed: int) -> None:
    worth = worth_of(pool, seed, levels=10**6)
    tried = {(name,): worth[(name,)] for name in pool}
    for order in range(2, min(4, len(pool)) + 1):
        found = candidates(order, tried, pool, 1)
        # Greedy, step by step: the best set so far stays, and every other source is tried as its next member.
        kept: set[str] = set()
        for _step in range(order - 1):
            kept.add(max(set(pool) - kept, key=lambda more: worth[tuple(sorted(kept | {more}))]))
        assert {frozenset(one) for one in found} == {frozenset(kept | {more}) for more in set(pool) - kept}
        tried |= {one: worth[one] for one in found}


@given(pools, st.integers(1, 6), st.integers(0, 99))
def test_a_width_keeps_the_so_many_best_of_the_order_below(pool: list[str], width: int, seed: int) -> None:
    worth = worth_of(pool, seed, levels=10**6)
    found = {frozenset(one) for one in candidates(3, worth, pool, width)}
    pairs = [frozenset(pair) for pair in combinations(pool, 2)]
    for pair in pairs:
        better = sum(worth[tuple(sorted(other))] > worth[tuple(sorted(pair))] for other in pairs)
        extended = {pair | {more} for more in set(pool) - pair}
        if better < width:
            assert extended <= found
    assert len(found) <= width * (len(pool) - 2)


@pytest.mark.parametrize(("order", "best", "sets"), [(2, 5, 10), (3, 5, 10), (4, 6, 15), (5, 5, 1), (7, 7, 1)])
def test_the_papers_rule_takes_subsets_of_the_best_single_sources(order: int, best: int, sets: int) -> None:
    ranked = "gdajbhcife"
    worth: dict[Sources, float] = {(name,): 1 / (1 + place) for place, name in enumerate(ranked)}
    # What pairs are worth does not matter, nor does one that is worth more than any single source.
    worth[("e", "f")] = 5.0
    found = candidates(order, worth, list(NAMES), Beam.PAPER)
    assert len(found) == sets
    assert {name for one in found for name in one} == set(ranked[:best])
    assert all(one == tuple(sorted(set(one))) and len(one) == order for one in found)


@given(pools, st.sampled_from([Beam.PAPER, Beam.ALL, 1, 2, 3]), st.integers(2, 4), st.integers(0, 99), st.randoms())
def test_neither_the_order_of_training_nor_that_of_sources_matters(pool: list[str], beam: Beam | int, order: int, seed: int, rng) -> None:
    worth = worth_of(pool, seed, levels=3)
    shuffled = list(worth.items())
    rng.shuffle(shuffled)
    assert candidates(order, worth, pool, beam) == candidates(order, dict(shuffled), sorted(pool), beam)


@pytest.mark.parametrize("beam", [Beam.PAPER, Beam.ALL, 2])
def test_more_sources_than_there_are_give_no_sets(beam: Beam | int) -> None:
    assert candidates(4, worth_of(list("abc"), 0), list("abc"), beam) == []


def test_what_is_not_in_the_pool_is_in_no_set() -> None:
    worth = worth_of(list("abcd"), 0) | {("z",): 9.0, ("a", "z"): 9.0}
    for beam in (Beam.PAPER, Beam.ALL, 1):
        assert not any("z" in one for order in (2, 3) for one in candidates(order, worth, list("abcd"), beam))
