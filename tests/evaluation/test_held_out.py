"""Gain and quality from other images than those the affinities were measured on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import NOT_SOURCES

from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.held_out import held_out
from taskonomy.evaluation.significance import Draw, random_policies, significance
from taskonomy.policy.planner import plan, read_policy
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table

TEXT = "target,sources,affinity,gain,quality\nx,a,0.1,0.2,0.3\nx,a+b,0.9,0.8,0.4\ny,b,0.5,,0.1\ny,a,0.2,0.6,0.2\n"
OTHER = "target,sources,affinity,gain,quality\ny,b,7,0.9,0.45\nx,b+a,7,0.3,0.25\ny,a,7,0.1,0.15\nx,a,7,0.4,0.35\nz,a,7,0.5,0.5\n"
PARAMS = PolicyParams(budget=2, max_order=2)


def test_a_policy_keeps_its_choice_and_objective_and_takes_the_other_images_gain_and_quality(tmp_path: Path) -> None:
    table = parse_table(TEXT, "T")
    best, _ = plan(table, PARAMS)
    (tmp_path / "policy.json").write_text(to_json(best.reproducible()))
    other = held_out(admissible(table, PARAMS), parse_table(OTHER, "O"))
    read = read_policy(tmp_path / "policy.json", other)
    assert [(one.target, one.sources, one.affinity) for one in read.transfers] == [("x", ("a", "b"), 0.9), ("y", ("b",), 0.5)]
    assert [(one.gain, one.quality) for one in read.transfers] == [(0.3, 0.25), (0.9, 0.45)]
    found = significance(read, other, 1000, 0)
    assert json.loads(to_json(found))["connections"]["gain"]["policy"] == pytest.approx((0.3 + 0.9) / 2)
    assert found["sources"]["quality"]["policy"] == pytest.approx((0.25 + 0.45) / 2)
    assert found["sources"]["objective"]["policy"] == pytest.approx(1.4)


def test_random_policies_take_them_too() -> None:
    """Of two sources, both within the budget, each target draws one of two transfers: four policies, whose means are listed by hand."""
    problem = admissible(parse_table(TEXT, "T"), PARAMS)
    other = held_out(problem, parse_table(OTHER, "O"))
    before, after = (random_policies(one, 2, 4000, Draw.CONNECTIONS, seed=0) for one in (problem, other))
    np.testing.assert_array_equal(before.objective, after.objective)
    assert np.unique(np.round(after.gain, 9)).tolist() == [0.2, 0.25, 0.6, 0.65]
    assert np.unique(np.round(after.quality, 9)).tolist() == [0.2, 0.25, 0.35, 0.4]


def test_a_table_held_out_against_itself_changes_nothing(published: pd.DataFrame) -> None:
    params = PolicyParams(budget=4, exclude=NOT_SOURCES)
    problem = admissible(published, params)
    same = held_out(problem, published.sample(frac=1, random_state=0))
    assert (same.targets, same.sources, same.cost, same.required) == (problem.targets, problem.sources, problem.cost, problem.required)
    for one, other in zip(problem.transfers, same.transfers, strict=True):
        assert (one.target, one.sources, one.affinity, one.worth) == (other.target, other.sources, other.affinity, other.worth)
        np.testing.assert_array_equal([one.gain, one.quality], [other.gain, other.quality])


def test_transfers_that_were_not_held_out_are_named() -> None:
    problem = admissible(parse_table(TEXT, "T"), PARAMS)
    with pytest.raises(TaskonomyError, match=r"not measured on the held-out images: a\+b -> x, b -> y$"):
        held_out(problem, parse_table("\n".join(line for line in OTHER.splitlines() if not line.startswith(("x,b+a", "y,b"))), "O"))
    with pytest.raises(TaskonomyError, match=r"not measured on the held-out images: a -> x$"):
        held_out(problem, parse_table(OTHER.replace("x,a,7,0.4,0.35", "x,a,7,0.4,"), "O"))
