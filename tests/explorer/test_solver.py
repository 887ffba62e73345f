"""The thread that solves: whoever changes a field does not wait for the next-best policies of the answer before."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import random_table
from waiting import HANG, until

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.explorer.solver import Solver
from taskonomy.policy.planner import Planner, Policy, plan

TABLE = random_table(np.random.default_rng(6), tasks=8, targets=6)
FIRST, OTHER = PolicyParams(budget=7, max_order=2, alternatives=3), PolicyParams(budget=5, max_order=2, alternatives=3)


def until_asked(solver: Solver) -> None:
    """Something waits for the thread."""
    until(lambda: solver._thread._work_queue.qsize())


def test_a_policy_waits_for_one_alternative_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    solver, events = Solver(TABLE), list[str]()
    begun, go_on = threading.Event(), threading.Event()
    policy, alternatives = Planner.policy, Planner.alternatives

    def told(self: Planner, budget: float) -> Policy:
        events.append(f"policy {budget:g}")
        return policy(self, budget)

    def slowly(self: Planner, best: Policy, count: int) -> Iterator[Policy]:
        for one in alternatives(self, best, count):
            events.append("alternative")
            begun.set()
            assert go_on.wait(HANG)
            yield one

    monkeypatch.setattr(Planner, "policy", told)
    monkeypatch.setattr(Planner, "alternatives", slowly)
    with ThreadPoolExecutor(2) as pool:
        others = pool.submit(solver.alternatives, FIRST)
        assert begun.wait(HANG)
        answer = pool.submit(solver.policy, OTHER)
        until_asked(solver)
        go_on.set()
        answered = answer.result().reproducible()
        found = [one.reproducible() for one in others.result()]
    monkeypatch.undo()
    assert answered == plan(TABLE, OTHER)[0].reproducible()
    assert events == ["policy 7", "alternative", "policy 5", "alternative", "alternative"]
    assert found == [one.reproducible() for one in plan(TABLE, FIRST)[1]]
    solver.close()


def test_who_asks_while_the_explorer_ends_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    solver, begun, go_on = Solver(TABLE), threading.Event(), threading.Event()
    alternatives = Planner.alternatives

    def slowly(self: Planner, best: Policy, count: int) -> Iterator[Policy]:
        begun.set()
        assert go_on.wait(HANG)
        yield from alternatives(self, best, count)

    monkeypatch.setattr(Planner, "alternatives", slowly)
    with ThreadPoolExecutor(2) as pool:
        others = pool.submit(solver.alternatives, FIRST)
        assert begun.wait(HANG)
        closed = pool.submit(solver.close)
        until_asked(solver)
        go_on.set()
        with pytest.raises(TaskonomyError, match="has ended"):
            others.result()
        closed.result()
    with pytest.raises(TaskonomyError, match="has ended"):
        solver.policy(OTHER)
