"""Things made before they are asked for: the same things in the same order, never too many, and no error is lost."""

import threading
from collections.abc import Iterator

import pytest
from waiting import HANG, until

from taskonomy.training.prefetch import ahead


@pytest.mark.parametrize("threads", [0, 1, 2, 4])
def test_what_is_made_ahead_comes_in_order_whichever_is_made_first(threads):
    done = [threading.Event() for _ in range(40)]

    def make(number: int) -> int:
        if threads > 1 and number % 2 == 0:
            assert done[number + 1].wait(HANG)  # of each pair the second is made first
        done[number].set()
        return number

    assert list(ahead(make, range(40), threads)) == list(range(40))


def test_no_more_waits_to_be_asked_for_than_two_a_thread():
    taken, asked = list[int](), list[int]()

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    made = ahead(asked.append, items(), 3)
    next(made)
    assert len(taken) == 2 * 3 + 1
    until(lambda: sorted(asked) == taken)  # though nobody asks
    next(made)
    assert len(taken) == 2 * 3 + 2
    made.close()


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_where_its_thing_would(threads):
    def make(number: int) -> int:
        if number == 5:
            raise ValueError("the fifth")
        return number

    made = ahead(make, range(50), threads)
    assert [next(made) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="the fifth"):
        next(made)


def test_whoever_stops_asking_leaves_no_thread_behind():
    before = set(threading.enumerate())
    made = ahead(lambda number: number, range(1000), 2)
    next(made)
    assert set(threading.enumerate()) > before
    made.close()
    assert set(threading.enumerate()) <= before
