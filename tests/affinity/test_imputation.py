"""Affinities that were not measured, against regressions by scipy and against draws."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress
from test_measured import CANDIDATES, measured, params  # noqa: F401

from taskonomy.affinity.from_run import affinity_tables
from taskonomy.affinity.imputation import predicted, read_scores, with_imputed
from taskonomy.atomic_io import write_json
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import measured as measured_rows
from taskonomy.tables.table import parse_table, read_table, unmeasured, write_table


def rows(**affinities: float) -> pd.DataFrame:
    names = [tuple(name.split("_")) for name in affinities]
    return pd.DataFrame({"target": "t", "sources": names, "affinity": list(affinities.values()), "low": 0.01, "high": 0.5, "gain": 0.5})


def test_the_line_is_that_of_least_squares_where_it_rises() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=9)
    outputs = 0.7 * inputs + rng.normal(size=9)
    line = linregress(inputs, outputs)
    assert line.slope > 0
    at = np.array([-3.0, 0.1, 2.0])
    np.testing.assert_allclose(predicted(inputs, outputs, at, 0.9)[0], line.intercept + line.slope * at)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=4, max_size=12), st.lists(st.floats(-6, 6), min_size=2, max_size=5))
def test_a_better_score_never_gives_a_lower_affinity_and_every_interval_holds_it(points: list[tuple[float, float]], at: list[float]) -> None:
    inputs, outputs = np.array(points).T
    expected, low, high = predicted(inputs, outputs, np.sort(at), 0.9)
    assert (np.diff(expected) >= 0).all()
    assert (low <= expected).all()
    assert (expected <= high).all()


@pytest.mark.parametrize("slope", [0.8, 2.0])
def test_intervals_hold_as_many_new_values_as_they_say(slope: float) -> None:
    rng, inside, draws = np.random.default_rng(1), 0, 4000
    inputs, new = np.linspace(-2, 2, 9), np.array([2.5])
    for _ in range(draws):
        _expected, low, high = predicted(inputs, slope * inputs + rng.normal(0, 0.4, 9), new, 0.9)
        inside += bool(low[0] <= slope * new[0] + rng.normal(0, 0.4) <= high[0])
    # Four standard errors of a share of 4,000 draws.
    assert abs(inside / draws - 0.9) < 4 * np.sqrt(0.09 / draws)


def test_with_those_imputed_a_target_sums_to_one_and_what_was_measured_keeps_its_ratios() -> None:
    before = rows(a=0.4, b=0.3, c=0.1, a_b=0.15, self=0.05)
    after = with_imputed(before, {"a": 0.4, "b": 0.3, "c": 0.15, "d": 0.1, "e": 0.05}, 0.95)
    assert after["affinity"].sum() == pytest.approx(1)
    assert after["imputed"].tolist() == [False] * 5 + [True] * 2
    assert after["sources"].tolist()[5:] == [("d",), ("e",)]
    kept = after[~after["imputed"]]
    for name in ("affinity", "low", "high"):
        np.testing.assert_allclose(kept[name] / before[name], kept["affinity"].iloc[0] / 0.4)
    d, e = after["affinity"].iloc[5:]
    assert d > e
    assert after["gain"].iloc[5:].isna().all()


def test_a_screen_that_ranks_the_other_way_round_imputes_the_mean_and_says_so_by_its_interval() -> None:
    scores = {"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.05, "e": 0.25}
    after = with_imputed(rows(a=0.5, b=0.3, c=0.2), scores)
    imputed = after[after["imputed"]]
    assert imputed["affinity"].nunique() == 1
    geometric = np.exp(np.log([0.5, 0.3, 0.2]).mean())
    assert imputed["affinity"].iloc[0] / after["affinity"].iloc[0] == pytest.approx(geometric / 0.5)
    assert (imputed["high"] / imputed["low"] > 3).all()


def test_no_interval_reaches_beyond_one_the_most_that_an_affinity_can_be() -> None:
    after = with_imputed(rows(a=0.98, b=0.02, c=1e-9), {"a": 0.2, "b": 0.5, "c": 0.3, "d": 0.4, "e": 0.01})
    assert after["imputed"].any()
    assert after["high"].max() == 1
    assert after["affinity"].sum() == pytest.approx(1)


def test_too_few_measured_transfers_leave_the_others_without_an_affinity() -> None:
    after = with_imputed(rows(a=0.6, b=0.4), {"a": 0.5, "b": 0.3, "c": 0.2})
    assert np.isnan(after["affinity"].iloc[2])
    assert after["affinity"].iloc[:2].tolist() == [0.6, 0.4]


@pytest.fixture
def screened(measured: Path) -> Path:  # noqa: F811
    scores = {"a": 0.2, "b": 0.3, "random_projection": 0.1, "c": 0.25, "d": 0.15}
    write_json(measured / "transfers/normal/screen.json", {"trusted": True, "reliability": 0.9, "threshold": 0.6, "scores": scores})
    return measured


def test_a_table_marks_what_was_not_measured_and_reads_back_so(screened: Path, tmp_path: Path) -> None:
    table, held_out, facts = affinity_tables(screened / "transfers", ["normal", "reshading"], params())
    assert facts["imputed"] == 2
    assert facts["transfers"] == {"order_1": 6, "order_2": 2}
    for written, frame in (("table.csv", table), ("held_out.csv", held_out)):
        write_table(tmp_path / written, frame)
        read = read_table(tmp_path / written)
        found = read.loc[read["imputed"], ["target", "sources"]].to_numpy().tolist()
        assert found == [["normal", ("c",)], ["normal", ("d",)]]
        assert read.loc[read["imputed"], ["gain", "quality"]].isna().all(axis=None)
        assert sorted(map("+".join, measured_rows(read)["sources"])) == sorted(2 * CANDIDATES)
        assert "2 of 12 transfers are imputed, not measured" in (unmeasured(read) or "")
    assert table.loc[table["imputed"], ["low", "high"]].notna().all(axis=None)


def test_without_a_screen_no_column_tells_of_one(measured: Path, tmp_path: Path) -> None:  # noqa: F811
    write_table(tmp_path / "table.csv", affinity_tables(measured / "transfers", ["normal"], params())[0])
    assert "imputed" not in (tmp_path / "table.csv").read_text()


@pytest.mark.parametrize("text", ["2", "-1", "0.5", "yes"])
def test_what_is_neither_imputed_nor_not_is_refused_by_its_line(text: str) -> None:
    with pytest.raises(TaskonomyError, match="line 3: imputed must be"):
        parse_table(f"target,sources,affinity,imputed\nt,a,1,0\nt,b,2,{text}\n", "table")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scores": {"a": "x"}}', '{"scores": {"a": 0}}', '{"scores": {"a": NaN}}', '{"scores": [1]}'])
def test_a_damaged_screen_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "screen.json").write_text(text)
    with pytest.raises(TaskonomyError, match=r"screen\.json: .*; remove it, and run `transfer` again"):
        read_scores(tmp_path / "screen.json")
