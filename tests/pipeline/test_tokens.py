"""Cores are shared while stages run: by tokens, which the end of a process gives back, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from small_pipeline import Pipeline, until

from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import cores, on_every_core
from taskonomy.machine.jobserver import TOKENS, Jobserver, give_back

two_cores = pytest.mark.skipif(cores() < 2, reason="one core: there is nothing to share")
# Many items on every core. As long as the stage `right` has not ended, an item just says who worked on it; afterwards it waits for a second worker.
LONG = """
import os, sys, time
from pathlib import Path
from taskonomy import helpers
from taskonomy.machine.cores import on_every_core

helpers.START = helpers.FIRST = 0.0
ITEMS, EVENTS = Path("../items"), Path("../events")

def item(number):
    with ITEMS.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if "end right" in EVENTS.read_text():
        end = time.monotonic() + 60
        while len(set(ITEMS.read_text().split())) < 2:
            if time.monotonic() > end:
                sys.exit("no second worker")
            time.sleep(0.01)
        return "together"
    time.sleep(0.01)
    return "alone"

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
def test_a_process_is_started_only_for_more_work_than_its_start_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskonomy.machine.pool.START", 3.0)
    monkeypatch.setattr("taskonomy.machine.pool.FIRST", 60.0)
    first, quick, slow = 0.5, 0.02, 0.6  # the first may take as long as it likes
    assert {pid for _item, pid in on_every_core(worker, [first, *[quick] * 20], processes=2)} == {os.getpid()}
    assert len({pid for _item, pid in on_every_core(worker, [first, *[slow] * 20], processes=2)}) == 2


def worker(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


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
