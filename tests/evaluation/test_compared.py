"""Runs held against one another."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.config.policy_params import PolicyParams
from taskonomy.evaluation.stability import REGIMES, by_gain, crossing, regimes, stability
from taskonomy.evaluation.studies import as_frame
from taskonomy.tables.table import parse_table

ROWS = [("b", 0.3), ("c", 0.2), ("d", 0.1), ("a", 0.05)]


def table(gains: dict[str, float]) -> pd.DataFrame:
    lines = [f"a,{source},{affinity},{gains.get(source, 0.5)},0.1,{gains.get(source, 0.5) / 2}" for source, affinity in ROWS]
    return parse_table("\n".join(["target,sources,affinity,gain,quality,gain_scratch", *lines]), "T")


def test_a_regime_shows_the_source_that_affinity_chose_with_its_held_out_gain() -> None:
    affinities, held = table({"b": 0.7}), table({"b": 0.6, "c": 0.9})
    found = as_frame(regimes([(500, affinities, held), (60, held, held)], PolicyParams(budget=0)), REGIMES)
    assert found.to_numpy().tolist() == [["a", 60, "b", 0.6, 0.3, 0.1], ["a", 500, "b", 0.6, 0.3, 0.1]]
    without = as_frame(regimes([(500, affinities, held)], PolicyParams(budget=0, exclude=("b",))), REGIMES)
    assert without["sources"].tolist() == ["c"]


def test_scratch_catches_up_where_gain_falls_to_a_half() -> None:
    images = np.array([100.0, 400.0, 1600.0])
    assert crossing(images, np.array([0.9, 0.6, 0.4])) == pytest.approx(800)  # half way, on a logarithmic scale
    assert crossing(images[::-1], np.array([0.4, 0.6, 0.9])) == pytest.approx(800)
    assert crossing(images, np.array([0.4, 0.6, 0.7])) is None
    assert crossing(images, np.array([0.5, 0.4, 0.3])) == 100


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_crossing_lies_between_the_runs_that_it_parts(gain: list[float]) -> None:
    images = np.array([2.0**number for number in range(len(gain))])
    found = crossing(images, np.array(gain))
    assert (found is None) == (gain[-1] > 0.5)
    if found is not None:
        assert images[0] * (1 - 1e-9) <= found <= images[-1] * (1 + 1e-9)
        assert all(value <= 0.5 for place, value in zip(images, gain, strict=True) if place > found * (1 + 1e-9))


def test_a_run_is_as_stable_as_its_ranking() -> None:
    base = table({})
    turned = base.assign(affinity=base["affinity"].max() - base["affinity"])
    fewer = base[base["sources"] != ("c",)].assign(affinity=lambda rows: rows["affinity"] ** 2)
    found = {row["run"]: row for row in stability(base, {"turned": turned, "fewer": fewer})}
    assert found["turned"]["spearman"] == pytest.approx(-1)
    assert (found["fewer"]["spearman"], found["fewer"]["sources"]) == (pytest.approx(1), 3)


def test_halves_of_the_images_are_compared_by_gain() -> None:
    one, other = table({"b": 0.9, "c": 0.8, "d": 0.7, "a": 0.6}), table({"b": 0.1, "c": 0.2, "d": 0.3, "a": 0.4})
    assert next(stability(by_gain(one), {"other": by_gain(other)}))["spearman"] == pytest.approx(-1)
