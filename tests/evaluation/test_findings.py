"""The paper's findings, recomputed: pairs of tasks, the size of the powerset, and what a beam loses."""

import subprocess
import sys
from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from conftest import PUBLISHED, ROOT
from waiting import HANG

from taskonomy.config.network_params import Beam
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.findings import beam_loss, pair, subsets, whole_order

NAMES = tuple("abcdef")


def every_set(rng: np.random.Generator, order: int) -> pd.DataFrame:
    """Affinities of all sets of six sources for two targets."""
    sets = [one for size in range(1, order + 1) for one in combinations(NAMES, size)]
    rows = [(target, one, float(rng.random()), float(rng.random()), float(rng.random())) for target in ("x", "y") for one in sets]
    return pd.DataFrame(rows, columns=["target", "sources", "affinity", "gain", "quality"])


@pytest.mark.parametrize("sources", [1, 5, 11])
def test_the_number_of_sets_is_that_of_the_powerset_without_the_empty_set(sources: int) -> None:
    powerset = [set(one) for one in chain.from_iterable(combinations(range(sources), size) for size in range(1, sources + 1))]
    assert subsets(sources) == len(powerset) == 2**sources - 1
    assert subsets(sources, 2) == sum(len(one) <= 2 for one in powerset)


def test_a_greedy_beam_loses_what_one_that_tries_each_next_source_by_hand_loses() -> None:
    table = every_set(np.random.default_rng(4), 3)
    lost = []
    for _target, rows in table.groupby("target"):
        worth = {frozenset(sources): (a, g, q) for sources, a, g, q in rows[["sources", "affinity", "gain", "quality"]].itertuples(index=False)}
        now = max((frozenset([name]) for name in NAMES), key=lambda one: worth[one])
        ours = [now, *(frozenset([name]) for name in NAMES)]
        for _ in range(2):
            steps = [now | {name} for name in NAMES if name not in now]
            ours += steps
            now = max(steps, key=lambda one: worth[one])
        reached, best = max(worth[one] for one in ours), max(worth.values())
        lost.append((reached == best, reached[0] / best[0], reached[1] - best[1], reached[2] - best[2]))
    found = beam_loss(table, 1, 3)
    assert (found.found, found.affinity, found.gain, found.quality) == pytest.approx(tuple(np.mean(lost, axis=0)))
    assert (found.tried, found.known) == (6 + 5 + 4, 6 + 15 + 20)


def test_all_sets_lose_nothing_where_a_greedy_beam_does() -> None:
    table = every_set(np.random.default_rng(5), 3)
    everything = beam_loss(table, Beam.ALL, 3)
    assert (everything.found, everything.affinity, everything.gain, everything.quality) == (1, 1, 0, 0)
    assert beam_loss(table, 1, 3).affinity < 1


def test_a_table_that_lacks_a_set_says_which_and_up_to_which_order_it_is_whole() -> None:
    table = every_set(np.random.default_rng(6), 3)
    some = table[~((table["target"] == "y") & (table["sources"] == ("a", "c", "f")))]
    with pytest.raises(TaskonomyError, match=r"the table lacks a\+c\+f -> y: it must have all sets"):
        beam_loss(some, 1, 3)
    assert (whole_order(table, 3), whole_order(some, 3)) == (3, 2)


def test_a_source_has_the_rank_of_its_affinity_among_the_single_sources(published: pd.DataFrame) -> None:
    one = pair(published, "reshading", "normal")
    alone = published[(published["target"] == "normal") & (published["sources"].map(len) == 1) & (published["sources"] != ("self",))]
    ordered = alone.sort_values("affinity", ascending=False)["sources"].tolist()
    assert ordered[one.rank - 1] == ("reshading",)
    assert one.of == len(ordered)
    with pytest.raises(TaskonomyError, match="no affinity of colorization -> colorization"):
        pair(published, "colorization", "colorization")


def test_the_page_of_findings_holds_what_its_command_prints() -> None:
    command = ("python", "benchmarks/findings.py", PUBLISHED.relative_to(ROOT).as_posix())
    done = subprocess.run((sys.executable, *command[1:]), cwd=ROOT, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert f"$ {' '.join(command)}\n{done.stdout}```" in (ROOT / "docs/findings.md").read_text(encoding="utf-8")
