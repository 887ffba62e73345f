"""Agreement of two tables, against scipy's rank correlation and against listing every ordering."""

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import PUBLISHED, ROOT
from scipy.stats import spearmanr
from waiting import HANG

from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.agreement import agreement, headline
from taskonomy.evaluation.trivial import CountedRows, beside_the_trivial, trivial_ranking
from taskonomy.tables.table import parse_table
from taskonomy.tasks import BUILT_IN


def table_of(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    text = "".join(f"{target},{source},{value!r}\n" for target, values in rows.items() for source, value in values.items())
    return parse_table("target,sources,affinity\n" + text, "T")


def test_a_table_agrees_with_itself_in_everything(published: pd.DataFrame) -> None:
    told = headline(agreement(published, published))
    assert told["mean_spearman"] == pytest.approx(1)
    assert (told["top1"], told["top5"], told["targets"], told["sources"]) == (pytest.approx(1), pytest.approx(1), 22, 27)
    assert told["top5_by_chance"] == pytest.approx(5 / 27)


@pytest.mark.parametrize("levels", [3, 1000])
def test_rank_correlation_is_that_of_scipy_with_ties_and_without(levels: int) -> None:
    rng = np.random.default_rng(levels)
    one, other = (rng.integers(1, levels, (6, 9)) / levels for _ in range(2))
    names = [f"s{number}" for number in range(9)]
    found = agreement(*(table_of({f"t{row}": dict(zip(names, map(float, values[row]), strict=True)) for row in range(6)}) for values in (one, other)))
    for row in range(6):
        assert found["targets"][f"t{row}"]["spearman"] == pytest.approx(spearmanr(one[row], other[row]).statistic)


def test_every_rank_equally_often_gives_what_is_expected_by_chance() -> None:
    orderings = [order[start:] + order[:start] for order in ((1, 2, 3, 4, 5, 6), (4, 1, 6, 2, 3, 5)) for start in range(6)]
    names = "abcdef"
    ours = {f"t{number}": {name: float(rank) for name, rank in zip(names, order, strict=True)} for number, order in enumerate(orderings)}
    theirs = {target: {name: float(rank) for rank, name in enumerate(names, start=1)} for target in ours}
    found = agreement(table_of(ours), table_of(theirs))
    assert found["by_chance"] == {"spearman": 0.0, "top1": pytest.approx(1 / 6), "top5": pytest.approx(5 / 6)}
    assert found["mean"] == {name: pytest.approx(value, abs=1e-12) for name, value in found["by_chance"].items()}


def test_ties_at_the_edge_of_the_best_count_as_if_broken_at_random() -> None:
    one, other = [9.0, 7.0, 7.0, 2.0, 2.0, 2.0, 1.0], [5.0, 5.0, 1.0, 4.0, 1.0, 1.0, 3.0]
    names = "abcdefg"
    found = agreement(*(table_of({"t": dict(zip(names, values, strict=True))}) for values in (one, other)))["targets"]["t"]
    for k in (1, 5):
        among = [[0.0] * 7, [0.0] * 7]  # how often each source is among the k best, over every way to break ties
        for which, values in enumerate((one, other)):
            for tie_break in permutations(range(7)):
                for best in sorted(range(7), key=lambda source: (-values[source], tie_break[source]))[:k]:
                    among[which][best] += 1 / 5040
        assert found[f"top{k}"] == pytest.approx(sum(a * b for a, b in zip(*among, strict=True)) / k)


def test_only_what_both_tables_measured_counts() -> None:
    ours = table_of({"x": {"self": 9, "a": 3, "b": 2, "c": 1, "mine": 8, "a+b": 7}, "y": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 2}})
    theirs = table_of({"x": {"self": 0, "a": 3, "b": 2, "c": 1, "theirs": 8}, "y": {"a": 1, "theirs": 2}, "theirs": {"a": 1, "b": 2}})
    found = agreement(ours, theirs)
    assert found["sources"] == ["a", "b", "c"]
    assert found["targets"] == {"x": {"sources": 3, "spearman": pytest.approx(1), "top1": 1.0, "top5": pytest.approx(1)}}


def test_the_row_of_a_target_into_itself_may_be_left_out() -> None:
    ours, theirs = table_of({"a": {"a": 9, "b": 1, "c": 2}}), table_of({"a": {"a": 9, "b": 2, "c": 1}})
    assert agreement(ours, theirs)["mean"]["spearman"] == pytest.approx(0.5)
    assert agreement(ours, theirs, own=False)["mean"]["spearman"] == pytest.approx(-1)


def test_a_target_whose_sources_are_all_equal_has_no_rank_correlation() -> None:
    flat = table_of({"x": {"a": 1, "b": 1}, "y": {"a": 1, "b": 2}})
    steep = table_of({"x": {"a": 1, "b": 2}, "y": {"a": 2, "b": 1}})
    found = agreement(flat, steep)
    assert np.isnan(found["targets"]["x"]["spearman"])
    assert found["targets"]["x"]["top1"] == 0.5
    assert found["mean"]["spearman"] == pytest.approx(-1)


def test_tables_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(TaskonomyError, match="no target in common"):
        agreement(table_of({"x": {"a": 1, "b": 2}}), table_of({"x": {"a": 1, "c": 2}}))


def spearman(ranked: pd.DataFrame, reference: pd.DataFrame, target: str, names: list[str]) -> float:
    one, other = (table[(table["target"] == target) & (table["sources"].map(len) == 1)] for table in (ranked, reference))
    values = [dict(zip(rows["sources"].str[0], rows["affinity"], strict=True)) for rows in (one, other)]
    return float(spearmanr(*([row[name] for name in names] for row in values)).statistic)


@pytest.mark.parametrize("rows", CountedRows)
def test_the_trivial_ranking_stands_beside_the_measured_one_under_the_same_rule(published: pd.DataFrame, rows: CountedRows) -> None:
    table = published.assign(affinity=np.random.default_rng(0).random(len(published)))
    found = beside_the_trivial(table, published)
    for target in ("normal", "class_scene", "egomotion"):
        left_out = {target, "random_projection"} if rows is CountedRows.OTHERS else set()
        names = sorted({one[0] for one in published["sources"] if len(one) == 1} - left_out - {"self"})
        place = {name: (3 if name == target else 2 if BUILT_IN.family(name) == BUILT_IN.family(target) else 1) for name in names}
        place["random_projection"] = 0
        by_hand = pd.DataFrame([{"target": target, "sources": (name,), "affinity": place[name]} for name in names])
        trivial = trivial_ranking(published, set(names), goodness=False)
        assert spearman(trivial, published, target, names) == pytest.approx(spearman(by_hand, published, target, names))
        if rows is CountedRows.OTHERS:
            assert found["targets"][target]["spearman"] == pytest.approx(spearman(table, published, target, names))
    assert abs(found["beside"][rows.value]["measured"]["spearman"]) < 0.15  # random numbers
    assert found["beside"][rows.value]["family"]["spearman"] > 0.45


def test_goodness_is_that_for_other_targets_alone() -> None:
    """A source that is good for its one target tells nothing there: `a` is best for x, worst elsewhere."""
    reference = table_of({"x": {"a": 9, "b": 2, "c": 1}, "y": {"a": 1, "b": 3, "c": 2}, "z": {"a": 1, "b": 3, "c": 2}})
    ranked = trivial_ranking(reference, set("abc"), goodness=True)
    rows = ranked[ranked["target"] == "x"].sort_values("affinity", ascending=False)
    assert rows["sources"].tolist() == [("b",), ("c",), ("a",)]


def test_the_stage_writes_both_files_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "stages/agreement.py", "--table", PUBLISHED, "--reference", PUBLISHED, "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(json.loads((tmp_path / "agreement.json").read_text())["targets"]) == 22
    assert json.loads((tmp_path / "agreement_metrics.json").read_text())["targets"] == 22
