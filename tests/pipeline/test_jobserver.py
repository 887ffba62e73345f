"""Cores are shared while stages run: by tokens, which the end of a process gives back, whatever ends it."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small_pipeline import Pipeline
from waiting import HANG, until

from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import cores, on_every_core
from taskonomy.machine.jobserver import TOKENS, Jobserver, give_back
from taskonomy.machine.pool import WorkerPool

two_cores = pytest.mark.skipif(cores() < 2, reason="one core: there is nothing to share")
# Many items on every core. As long as the stage `right` has not ended, an item just says who worked on it, and is done when a second worker has asked
# for a core; afterwards it waits for that worker.
LONG = f"""
import os, sys, time
from pathlib import Path
from taskonomy.machine import pool
from taskonomy.machine.cores import on_every_core
from taskonomy.machine.jobserver import Jobserver

pool.START = pool.FIRST = 0.0
ITEMS, EVENTS = Path("../items"), Path("../events")
MAIN, asked, borrow = __name__ == "__main__", 0, Jobserver.borrow

def told(tokens):
    global asked
    core = borrow(tokens)
    asked += 1
    return core

Jobserver.borrow = told

def until(condition):
    end = time.monotonic() + {HANG}
    while not condition():
        if time.monotonic() > end:
            sys.exit("no second worker")
        time.sleep(0.01)

def ended():
    return "end right" in EVENTS.read_text()

def item(number):
    with ITEMS.open("a") as file:
        file.write(f"{{os.getpid()}}\\n")
    before = asked
    if MAIN and number < 19:  # when the last is taken nobody asks any more
        until(lambda: asked > before or ended())
    if not ended():
        return "alone"
    until(lambda: len(set(ITEMS.read_text().split())) >= 2)
    return "together"

if __name__ == "__main__":
    found = []
    while found.count("together") < 4:
        found += [result for _number, result in on_every_core(item, range(20))]
"""


def test_a_stage_uses_a_second_core_once_the_stage_beside_it_has_ended(tmp_path: Path) -> None:
    if cores() < 2:
        pytest.skip("one core: there is nothing to share")
    pipeline = Pipeline(tmp_path)
    pipeline.environment["TASKONOMY_CORES"] = "2"
    (tmp_path / "long.py").write_text(LONG)
    items = tmp_path / "items"
    pipeline.hook("left", pipeline.wait_for("start right") + "python ../long.py || exit 1\n")
    enough = f"until [ $(wc -l < {items} 2>/dev/null || echo 0) -gt 30 ]; do sleep 0.05; done\n"
    pipeline.hook("right", f"{enough} sort -u {items} > ../beside\n")
    pipeline.repro("-j", "2", "join")
    assert len((tmp_path / "beside").read_text().split()) == 1  # while both ran, each had the one core
    assert len(set(items.read_text().split())) >= 2  # each round of items has a helper of its own


@two_cores
def test_results_are_the_same_with_and_without_tokens_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter((number, number * number) for number in range(40))
    assert Counter(on_every_core(square, range(40))) == expected
    tokens = Jobserver.make(tmp_path, 2)
    monkeypatch.setenv(TOKENS, str(tmp_path))
    assert Counter(on_every_core(square, range(40))) == expected
    held = [had(tokens.take()), had(tokens.take())]
    assert tokens.take() is None  # all are back, and now all are held
    assert Counter(on_every_core(square, range(40))) == expected  # this process has a core of its own
    for token in held:
        give_back(token)


def test_a_token_is_borrowed_only_while_no_stage_waits_for_one(tmp_path: Path) -> None:
    tokens = Jobserver.make(tmp_path, 2)
    claim = had(tokens.claim())
    assert tokens.borrow() is None
    mine = had(tokens.take())
    give_back(claim)
    other = had(tokens.borrow())
    assert tokens.borrow() is None  # both are held
    give_back(mine)
    again = had(tokens.borrow())
    give_back(again)
    give_back(other)


def test_a_process_that_is_killed_gives_its_token_back(tmp_path: Path) -> None:
    tokens = Jobserver.make(tmp_path, 1)
    taken = f"Jobserver(Path({str(tmp_path)!r})).take()"
    script = f"from taskonomy.machine.jobserver import Jobserver; from pathlib import Path; print({taken}, flush=True); input()"
    holder = subprocess.Popen((sys.executable, "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip().isdigit()
    assert tokens.take() is None
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    mine = had(tokens.take())
    give_back(mine)


@two_cores
def test_a_killed_worker_is_an_error_and_its_token_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Jobserver.make(tmp_path, 1)
    monkeypatch.setenv(TOKENS, str(tmp_path))
    with pytest.raises(TaskonomyError, match="killed"):
        list(on_every_core(killed_elsewhere, [(os.getpid(), tmp_path / "here")] * 10))
    mine = had(tokens.take())
    give_back(mine)


@two_cores
def test_an_error_in_a_worker_is_the_error_and_says_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong") as caught:
        list(on_every_core(wrong_elsewhere, [(os.getpid(), tmp_path / "here")] * 10, processes=2))
    assert "in wrong_elsewhere" in "".join(caught.value.__notes__)


@two_cores
@pytest.mark.parametrize(("seconds", "workers"), [(0.02, 1), (0.6, 2)])
def test_a_process_is_started_only_for_more_work_than_its_start_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, workers: int
) -> None:
    """By a clock that only items move on, and which the second worker has seen before the next item."""
    judge = WorkerPool._worth_a_process

    def judged(helpers: WorkerPool[object, object]) -> bool:
        Clock.worth = judge(helpers)
        Clock.looked += 1
        return Clock.worth

    monkeypatch.setattr("taskonomy.machine.pool.START", 3.0)
    monkeypatch.setattr("taskonomy.machine.pool.FIRST", 60.0)
    monkeypatch.setattr("taskonomy.machine.pool.monotonic", lambda: Clock.now)
    monkeypatch.setattr(WorkerPool, "_worth_a_process", judged)
    monkeypatch.setattr(Clock, "worth", False)
    items = [(os.getpid(), tmp_path / "here", left, 5.0 if left == 20 else seconds) for left in range(20, -1, -1)]  # the first is not judged by
    assert len({pid for _item, pid in on_every_core(worker, items, processes=2)}) == workers


class Clock:
    """In seconds; whether what is left was worth a process when it was judged last, and how often that was."""

    now, worth, looked = 0.0, False, 0


def worker(item: tuple[int, Path, int, float]) -> int:
    here, path, left, seconds = item
    if os.getpid() != here:
        path.touch()
        return os.getpid()
    Clock.now += seconds
    before = Clock.looked
    if left:  # else nobody looks any more
        until(lambda: Clock.worth or Clock.looked > before + 1)  # the first look may have begun before the clock moved on
    if Clock.worth:
        until(path.exists)
    return here


def had(token: int | None) -> int:
    assert token is not None
    return token


def square(number: int) -> int:
    return number * number


def killed_elsewhere(item: tuple[int, Path]) -> None:
    here, path = item
    if os.getpid() == here:
        until(path.exists)
    else:
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def wrong_elsewhere(item: tuple[int, Path]) -> None:
    here, path = item
    if os.getpid() == here:
        until(path.exists)
    else:
        path.touch()
        raise ValueError("wrong")
