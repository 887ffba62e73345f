"""Sources that others trained: what they cost, which may be used, and how policies speak of them."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from taskonomy.atomic_io import to_json, write_json
from taskonomy.cli.main import app
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import plan, read_policy
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import external_sources, parse_table, read_table, write_table

PLAIN = "target,sources,affinity\nx,x,0.5\nx,free,0.4\nx,free+y,0.9\ny,y,0.6\ny,free,0.3\n"
TOLD = """target,sources,affinity,external,licence,inference
x,x,0.5,,,2
x,free,0.4,free,MIT,5
x,free+y,0.9,free,,
y,y,0.6,,,3
y,free,0.3,free,MIT,5
"""


def solved(table: str = TOLD, **rules: Any) -> Any:
    return plan(parse_table(table, "t"), PolicyParams(**{"budget": 2, "preset": "paper", **rules}))[0]


def test_a_source_that_others_trained_costs_nothing_and_is_not_labelled() -> None:
    best = solved(budget=0)
    assert (best.sources, best.labelled, best.cost) == (("free",), (), 0)
    best = solved(budget=1)
    assert (best.sources, best.labelled, best.cost) == (("free", "y"), ("y",), 1)
    assert best.as_dict()["use_as_they_are"] == {"free": {"licence": "MIT", "inference": 5.0}}
    assert "free" not in set(best.bill(PolicyParams(budget=1).labels)["task"])


def test_what_a_table_says_may_be_said_by_parameters_instead() -> None:
    about = {"external": {"free": "MIT"}, "inference": {"free": 5, "x": 2, "y": 3}}
    for rules in ({"budget": 0}, {"budget": 1}, {"budget": 1, "licences": ("mit",)}, {"max_inference": 7.5}):
        assert to_json(solved(PLAIN, **about, **rules).reproducible()) == to_json(solved(TOLD, **rules).reproducible())


def test_a_table_without_external_sources_gives_what_it_gave() -> None:
    best = solved(PLAIN)
    assert (best.labelled, best.cost) == (best.sources, len(best.sources))
    assert "use_as_they_are" not in best.as_dict()


def test_policy_cost_may_put_a_price_on_one_after_all() -> None:
    assert solved(budget=1.5, cost={"free": 0.5}).sources == ("free", "y")
    assert solved(budget=1.5, cost={"free": 0.5}).cost == 1.5
    assert solved(budget=1.4, cost={"free": 0.5, "x": 0.1}).sources == ("x", "y")


def test_with_prices_it_needs_none() -> None:
    labels = {"currency": "EUR", "tasks": {name: {"price": 0.01, "full": 100, "transfer": 10} for name in "xy"}}
    best = solved(budget=2, labels=labels)
    assert best.labelled == ("y",)
    assert best.cost == pytest.approx(0.01 * (100 + 10))
    assert set(best.bill(PolicyParams(budget=1, labels=labels).labels)["task"]) == {"x", "y"}


@pytest.mark.parametrize("licences", [(), ("GPL",)])
def test_without_its_licence_it_is_no_source(licences: tuple[str, ...]) -> None:
    best = solved(licences=licences)
    assert best.sources == ("x", "y")


def test_encoders_together_take_no_more_than_permitted() -> None:
    assert solved(max_inference=8).sources == ("free", "y")
    assert solved(max_inference=7.999).sources == ("x", "y")
    with pytest.raises(TaskonomyError, match=r"policy\.max_inference 4\.9 is too small: no sources whose encoders"):
        solved(max_inference=4.9)
    with pytest.raises(TaskonomyError, match=r"no transfer is left for x"):
        solved(max_inference=1)


LIMITED = """target,sources,affinity,external,licence,inference
x,y,0.5,,,1
x,free,0.4,free,Apache-2.0,5
x,other,0.2,other,GPL,0.5
y,x,0.6,,,2
y,free,0.3,free,Apache-2.0,5
y,other,0.2,other,GPL,0.5
"""
LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "a licence": ({"licences": ("MIT",)}, "; without policy.licences it would do"),
    "inference": ({"max_inference": 4, "exclude": ("other",)}, "; without policy.max_inference it would do"),
    "either": ({"max_inference": 4, "licences": ("Apache-2.0",)}, "; without policy.licences it would do"),
    "both": ({"max_inference": 4, "licences": ("MIT",), "exclude": ("other",)}, "; without policy.licences and policy.max_inference it would do"),
    "neither": ({"max_inference": 9, "licences": ("MIT",), "exclude": ("free", "other")}, ""),
}


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_that_makes_a_budget_too_small_is_named(what: str) -> None:
    """Labelled in full, x and y serve each other at cost 2; each of the others serves both at cost 0."""
    rules, named = LIMITS[what]
    with pytest.raises(TaskonomyError) as error:
        solved(LIMITED, **rules, budget=1)
    assert str(error.value) == (
        f"policy.budget 1 is too small: it cannot serve x beside the others; the smallest budget that serves every target is 2{named}"
    )


def test_licences_that_leave_only_encoders_that_take_too_much_are_named() -> None:
    with pytest.raises(TaskonomyError, match=r"policy\.max_inference 2 is too small: .* serve every target; without policy\.licences it would do$"):
        solved(LIMITED, max_inference=2, licences=("MIT",))
    with pytest.raises(TaskonomyError, match=r"serve every target$"):
        solved(LIMITED, max_inference=2, licences=("MIT",), exclude=("other",))
    with pytest.raises(TaskonomyError, match=r"policy\.require: free: no admissible transfer uses it; policy\.licences do not permit free$"):
        solved(LIMITED, licences=("MIT",), require=("free",))


def test_what_is_not_known_is_asked_for() -> None:
    with pytest.raises(TaskonomyError, match=r"the multiply-adds of free, x, y are not known; write policy\.inference\.free"):
        solved(PLAIN, max_inference=8)


def test_fine_tuned_encoders_are_left_out_where_encoders_are_bounded() -> None:
    table = TOLD.replace("x,x,0.5,,,2", "x,x,0.5,,,2\nx,y@0.02,0.99,,,")
    assert ("y@0.02",) in [one.sources for one in solved(table).transfers]
    assert ("y@0.02",) not in [one.sources for one in solved(table, max_inference=100).transfers]


WRONG = {
    "no source of the row": (TOLD.replace("x,x,0.5,,", "x,x,0.5,free,"), "line 2: external names 'free', which is no source of x"),
    "two licences": (TOLD.replace("y,free,0.3,free,MIT", "y,free,0.3,free,GPL"), "licence of free is both MIT and GPL"),
    "negative": (TOLD.replace("x,x,0.5,,,2", "x,x,0.5,,,-2"), "line 2: inference must be >= 0"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_columns_are_one_line_that_says_where(what: str) -> None:
    text, said = WRONG[what]
    with pytest.raises(TaskonomyError) as error:
        parse_table(text, "t")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_target_is_not_external() -> None:
    with pytest.raises(TaskonomyError, match="x is a target of the table too"):
        solved(PLAIN, external={"x": ""})
    with pytest.raises(TaskonomyError, match=r"policy\.external: unknown 'fre' \(did you mean 'free'"):
        solved(PLAIN, external={"fre": ""})


def test_columns_survive_writing_and_reading(tmp_path: Path) -> None:
    table = parse_table(TOLD, "t")
    write_table(tmp_path / "t.csv", table)
    again = read_table(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(again, table)
    assert external_sources(again).licences == {"free": "MIT"}
    assert external_sources(again).inference == {"free": 5, "x": 2, "y": 3}


def test_a_policy_that_is_read_again_says_the_same(tmp_path: Path) -> None:
    table, params = parse_table(TOLD, "t"), PolicyParams(preset="paper", budget=1)
    best = plan(table, params)[0]
    write_json(tmp_path / "policy.json", best.reproducible())
    assert to_json(read_policy(tmp_path / "policy.json", admissible(table, params)).reproducible()) == to_json(best.reproducible())


def test_the_command_line_says_use_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(PLAIN)
    run = ["policy", str(tmp_path / "t.csv"), "--budget", "2", "--preset", "paper", "--external", "free=MIT", "--inference", "free=5"]
    text = CliRunner().invoke(app, run).output
    labelled, _, rest = text.partition("Use as it is")
    assert "free" not in labelled.partition("Label in full")[2]
    assert "no labels; licence MIT; 5 million multiply-adds an image" in rest.splitlines()[1]
    barred = CliRunner().invoke(app, [*run, "--licences", "Apache-2.0", "--json"])
    assert "free" not in json.loads(barred.output)["sources"]
