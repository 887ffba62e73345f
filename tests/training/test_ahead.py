"""Things made before they are asked for: the same things in the same order, never too many, and no error is lost."""

import threading
import time

import pytest

from taskonomy.training.prefetch import ahead


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_what_is_made_ahead_comes_in_order_whichever_is_made_first(threads):
    made = ahead(lambda number: (time.sleep(0.002 * (number % 3)), number)[1], range(40), threads)
    assert list(made) == list(range(40))


def test_no_more_waits_to_be_asked_for_than_two_a_thread():
    asked: list[int] = []
    made = ahead(asked.append, range(100), 3)
    next(made)
    time.sleep(0.05)
    assert len(asked) == 2 * 3 + 1
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
    made = ahead(lambda number: number, range(1000), 2)
    next(made)
    made.close()
    until = time.monotonic() + 5
    while any("ThreadPool" in one.name for one in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any("ThreadPool" in one.name for one in threading.enumerate())
