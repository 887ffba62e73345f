"""From fields to parameters to a policy, without a browser: as the pipeline does it, and in the pipeline's words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, random_table
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import NO_LIMIT

from taskonomy.config.params import read_params
from taskonomy.config.policy_params import PolicyParams, Role, SelfEdge
from taskonomy.errors import TaskonomyError
from taskonomy.explorer import downloads as exports
from taskonomy.explorer.callbacks import Explorer, choices_of
from taskonomy.explorer.cytoscape import elements
from taskonomy.explorer.form import GENERAL, MUST, SOURCE, TARGET, Choices, RefusedError, TaskChoice, from_query, may_be, params_of, start, to_query
from taskonomy.explorer.loading import LoadedTable, open_path, opened
from taskonomy.explorer.page_layout import layout
from taskonomy.explorer.policy_diff import difference
from taskonomy.explorer.policy_view import alternatives, changed, tiles
from taskonomy.policy.planner import Policy, plan
from taskonomy.tables.table import external_sources, parse_table, read_table, write_table
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.custom_tasks import CustomVector

TABLE = random_table(np.random.default_rng(3), tasks=6, targets=4)
NUMBERS = st.sampled_from(["", "0", "0.5", "1", "2.25", "3"])


def small() -> LoadedTable:
    return opened(TABLE, "small", NO_LIMIT)


HERE = small()  # once: strategies may not call what draws random numbers


@st.composite
def choices(draw: st.DrawFn) -> Choices:
    """Fields that hold what they should; whether they can be solved is another matter."""
    here = HERE
    rows = {}
    for name in here.tasks:
        may = draw(st.sets(st.sampled_from(sorted(may_be(here, name)))))
        must = {MUST} if SOURCE in may and draw(st.integers(0, 9)) == 0 else set()
        rows[name] = TaskChoice(frozenset(may | must), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS))
    values = [["0", "1", "2.5", "4"], "123", ["paper", "practice"], ["transfer", "gold", "none"], ["none", "sum", "peak"]]
    values += [["", "", "EUR", "$"], ["0.5", "1"], ["", "20000"], ["", "0", "2"]]
    return Choices({name: draw(st.sampled_from(some)) for name, some in zip(GENERAL, values, strict=True)}, rows)


@given(choices())
def test_a_link_holds_every_field(chosen: Choices) -> None:
    here = small()
    assert from_query(to_query(chosen, here), here) == chosen
    assert from_query("?" + to_query(chosen, here), here) == chosen


@settings(max_examples=25)
@given(choices())
def test_the_exported_section_gives_the_policy_that_is_shown(chosen: Choices) -> None:
    explorer = Explorer(small())
    try:
        expected = plan(TABLE, params_of(chosen, explorer.opened))
    except TaskonomyError as error:
        with pytest.raises(RefusedError) as refused:
            explorer.solved(chosen)
        explorer.solver.close()
        assert list(refused.value.problems.values()) == [str(error)]  # noqa: PT017, what is expected is what the pipeline says
        return
    params, policy = explorer.solved(chosen)
    others = explorer.solver.alternatives(params)
    explorer.solver.close()
    assert policy.reproducible() == expected[0].reproducible()
    section = yaml.safe_load(exports.as_section(params))["policy"]
    again, alternatives = plan(TABLE, PolicyParams.model_validate(section))
    assert again.reproducible() == policy.reproducible()
    assert [one.reproducible() for one in alternatives] == [one.reproducible() for one in others]


@given(choices())
def test_fields_say_what_a_task_may_be(chosen: Choices) -> None:
    here = small()
    params = params_of(chosen, here)
    for name, row in chosen.tasks.items():
        role = params.roles.get(name, Role.BOTH)
        if name in here.sources:
            assert (SOURCE in row.may) == (role is not Role.TARGET and name not in params.exclude)
        if name in here.targets:
            assert (TARGET in row.may) == (role is not Role.SOURCE)
        assert params.importance.get(name, 1.0) == float(row.importance or 1)
        if chosen.general["label-currency"]:
            assert params.cost == {}
            assert (params.labels.tasks[name].price if name in params.labels.tasks else None) == (float(row.price) if row.price else None)
        else:
            assert params.cost.get(name, 1.0) == float(row.cost or 1)
            assert params.labels.tasks == {}


def test_the_page_starts_with_the_parameters_of_the_run() -> None:
    params = read_params(ROOT / "params.yaml").policy
    values = {
        "labels": {"full": 900, "transfer": 90, "there": 5, "tasks": {"t1": {"there": 7}}},
        "roles": {"t0": "source", "t1": "target"},
        "exclude": ["t5"],
        "require": ["t3"],
        "cost": {"t0": 1.37},
        "importance": {"t1": 1e-5},
    }
    given_ = PolicyParams.model_validate({**params.model_dump(), "budget": 3, **values})
    here = opened(TABLE, "small", given_.time_limit, given_)
    assert params_of(start(here), here) == given_


def test_parameters_that_name_no_task_of_the_table_are_refused_at_once() -> None:
    with pytest.raises(TaskonomyError, match=r"policy\.cost: unknown 'nrmal'"):
        opened(TABLE, "small", NO_LIMIT, PolicyParams(budget=1, cost={"nrmal": 2}))


BAD = [
    ("budget", "a few"), ("budget", "-1"), ("budget", ""), ("budget", "inf"), ("max_order", "0"), ("max_order", "1.5"), ("self_edge", "gilt"),
    ("balance", "<b>"), ("cost.t1", "-3"), ("cost.t0", "1e999"), ("importance.t2", "heavy"), ("importance.t0", "nan"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), BAD)
def test_a_bad_field_is_answered_in_the_words_of_the_pipeline(field: str, text: str, tmp_path: Any) -> None:
    here = small()
    with pytest.raises(RefusedError) as refused:
        params_of(from_query(f"?budget=2&{field}={text}", here) if field != "budget" else from_query(f"?budget={text}", here), here)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    key, _dot, name = field.partition(".")
    values["policy"][key] = {name: text} if name else text
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(TaskonomyError) as raised:
        read_params(tmp_path / "params.yaml")
    assert refused.value.problems == {field: str(raised.value).removeprefix(f"{tmp_path / 'params.yaml'}: ")}


def test_every_bad_field_is_named_at_once() -> None:
    here = small()
    with pytest.raises(RefusedError) as refused:
        params_of(from_query("?budget=x&max_order=y&cost.t0=-1&cost.t1=2", here), here)
    assert list(refused.value.problems) == ["budget", "max_order", "cost.t0"]


@pytest.mark.parametrize(
    ("query", "field", "line"),
    [
        ("budget=0", "budget", "policy.budget 0 is too small: "),
        ("budget=2&role.t0=source&role.t1=source&role.t2=source&role.t3=source", "tasks", "policy.roles leave no target"),
        ("budget=2&require=t0&role.t0=out", "tasks", "policy: t0 cannot be both required and excluded"),
        ("budget=2&role.t0=target&role.t1=target&role.t2=target&role.t3=target&role.t4=out&role.t5=out", "tasks", "no transfer is left for "),
    ],
)
def test_what_follows_from_several_fields_is_told_beside_the_one_to_change(query: str, field: str, line: str) -> None:
    explorer = Explorer(small())
    with pytest.raises(RefusedError) as refused:
        explorer.solved(from_query(query, explorer.opened))
    explorer.solver.close()
    assert list(refused.value.problems) == [field]
    assert refused.value.problems[field].startswith(line)


@pytest.mark.parametrize("field", ["budget", "cost.t0", "importance.t1"])
@pytest.mark.parametrize("text", ["1e308", "1000000000001", "1.7976931348623157e308"])
def test_a_number_too_large_is_answered_beside_its_field_with_the_largest_there_may_be(field: str, text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        params_of(from_query(f"budget=4&{field}={text}", HERE), HERE)
    assert refused.value.problems == {field: f"policy.{field} is too large: must be at most 1,000,000,000,000 (is {text!r})"}


def test_the_largest_numbers_give_the_policy_of_small_ones_in_a_larger_unit() -> None:
    explorer = Explorer(small())
    rows = "&".join(f"cost.{name}=1e11&importance.{name}=1e12" for name in explorer.opened.tasks)
    _params, large = explorer.solved(from_query(f"budget=1e12&{rows}", explorer.opened))
    _params, usual = explorer.solved(from_query("budget=10", explorer.opened))
    explorer.solver.close()
    assert [(one.target, one.sources) for one in large.transfers] == [(one.target, one.sources) for one in usual.transfers]
    assert (large.cost, large.objective) == pytest.approx((usual.cost * 1e11, usual.objective * 1e12))


@pytest.mark.parametrize("query", ["bugdet=3", "cost.t9=1", "role.t1=boss", "require=t9"])
def test_a_link_that_nobody_understands_is_refused(query: str) -> None:
    with pytest.raises(TaskonomyError, match="link"):
        from_query(query, small())


def test_what_the_browser_sends_is_read_row_by_row() -> None:
    here, blank = small(), [None] * len(small().tasks)
    general = {**dict.fromkeys(GENERAL), "budget": "2", "max_order": "1", "self_edge": "none", "balance": "none"}
    found = choices_of(here, general, [[SOURCE]] + [[]] * (len(blank) - 1), blank, ["3", *blank[1:]], ["0.1", *blank[1:]])
    assert found.tasks[here.tasks[0]] == TaskChoice(frozenset({SOURCE}), "", "3", "0.1")
    assert found.general["label-currency"] == ""
    assert found.tasks[here.tasks[1]] == TaskChoice(frozenset(), "", "")


def policies(published: pd.DataFrame, *params: dict[str, Any]) -> list[Policy]:
    return [plan(published, PolicyParams(**one))[0] for one in params]


def test_a_difference_names_what_is_other_and_only_that(published: pd.DataFrame) -> None:
    before, after = policies(published, {"budget": 3, "max_order": 1}, {"budget": 5, "max_order": 2, "roles": {"egomotion": "source"}})
    found = difference(before, after)
    assert set(found.sources_added) == set(after.sources) - set(before.sources)
    assert set(found.sources_removed) == set(before.sources) - set(after.sources)
    assert (found.targets_added, found.targets_removed) == ((), ("egomotion",))
    old, new = ({one.target: one.sources for one in policy.transfers} for policy in (before, after))
    assert {one.after.target for one in found.rerouted} == {name for name in new if new[name] != old[name]}
    assert found.gain == after.mean_gain - before.mean_gain
    assert difference(after, after).none
    assert not found.none


def test_exported_transfers_read_as_a_table(published: pd.DataFrame, tmp_path: Any) -> None:
    (policy,) = policies(published, {"budget": 4})
    (tmp_path / "policy.csv").write_text(exports.as_csv(policy))
    read = read_table(tmp_path / "policy.csv")
    assert list(zip(read["target"], read["sources"], read["affinity"], strict=True)) == [(o.target, o.sources, o.affinity) for o in policy.transfers]


FOREIGN = """target,sources,affinity,external,licence,inference
x,x,0.1,,,2
x,dino,0.2,dino,MIT,5
x,clip,0.1,clip,,7
x,clip+dino,0.9,clip+dino,,
y,dino>x,0.8,dino,,
y,x,0.3,,,2
"""


def test_an_exported_policy_keeps_licences_and_inference_of_sources_that_are_never_chosen_alone(tmp_path: Any) -> None:
    policy, _ = plan(parse_table(FOREIGN, "T"), PolicyParams(budget=1))
    assert [one.sources for one in policy.transfers] == [("clip", "dino"), ("dino>x",)]
    (tmp_path / "policy.csv").write_text(exports.as_csv(policy))
    read = read_table(tmp_path / "policy.csv")
    found = external_sources(read)
    assert (found.licences, found.inference) == ({"clip": "", "dino": "MIT"}, {"clip": 7, "dino": 5})
    chosen = read[read["affinity"].notna()]
    assert list(zip(chosen["target"], chosen["sources"], chosen["external"], strict=True)) == [
        ("x", ("clip", "dino"), ("clip", "dino")),
        ("y", ("dino>x",), ("dino",)),
    ]
    again, _ = plan(read, PolicyParams(budget=1, licences=("MIT", ""), max_inference=12))
    assert again.as_they_are == policy.as_they_are


@pytest.mark.parametrize("edge", list(SelfEdge))
def test_the_graph_has_an_edge_for_each_source_of_each_transfer(published: pd.DataFrame, edge: SelfEdge) -> None:
    (policy,) = policies(published, {"budget": 4, "self_edge": edge})
    found = elements(policy, BUILT_IN)
    title = {one["data"]["id"]: one["data"]["title"] for one in found if "id" in one["data"]}
    edges = [(title[one["data"]["source"]], title[one["data"]["target"]]) for one in found if "source" in one["data"]]
    assert len(edges) == sum(len(one.sources) for one in policy.transfers)
    assert sum(key.startswith("s") for key in title) == len(policy.sources)
    places = {key: [one["position"] for one in found if one["data"].get("id", "").startswith(key)] for key in "st"}
    assert len({one["x"] for one in places["s"]}) == len({one["x"] for one in places["t"]}) == 1
    for column in places.values():
        assert np.diff(sorted(one["y"] for one in column)).min() > 19.9


VARIANTS = "target,sources,affinity\nx,a>b,0.3\ny,b@0.5,0.4\nx,b,0.1\ny,self,0.2\n"


def test_transitive_and_fine_tuned_transfers_start_at_the_task_that_is_labelled() -> None:
    policy, _ = plan(parse_table(VARIANTS, "T"), PolicyParams(budget=2))
    found = elements(policy, BUILT_IN)
    assert sorted(one["data"]["title"] for one in found if one.get("classes") == "from") == ["a", "b"]
    named = BUILT_IN.with_custom({"a": CustomVector(kind="vector", length=1, title="The first")})
    assert sorted(one["data"]["title"] for one in elements(policy, named) if one.get("classes") == "from") == ["The first", "b"]


def test_a_run_is_shown_with_the_gain_and_quality_of_held_out_images(tmp_path: Any) -> None:
    run = tmp_path / "run"
    measured = TABLE.assign(gain=0.25, quality=0.25)
    (run / "results/measured").mkdir(parents=True)
    with pytest.raises(TaskonomyError, match=r"no results/measured/affinities\.csv; run the pipeline there"):
        open_path(run, NO_LIMIT)
    write_table(run / "results/measured/affinities.csv", measured)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["policy"] |= {"budget": 5}
    (run / "params.yaml").write_text(yaml.safe_dump(values))
    assert (open_path(run, NO_LIMIT).table["gain"] == 0.25).all()
    write_table(run / "results/measured/held_out.csv", TABLE.iloc[::-1])
    shown = open_path(run, NO_LIMIT)
    assert shown.title == "run"
    assert shown.start.budget == 5
    assert shown.table["gain"].tolist() == TABLE["gain"].tolist()
    assert shown.registry == BUILT_IN
    write_table(run / "results/measured/held_out.csv", TABLE.iloc[2:])
    with pytest.raises(TaskonomyError, match=r"held_out\.csv: lacks 2 transfers"):
        open_path(run, NO_LIMIT)


def test_a_runs_custom_tasks_are_shown_by_their_titles_and_may_be_excluded(tmp_path: Any) -> None:
    (tmp_path / "results/measured").mkdir(parents=True)
    write_table(tmp_path / "results/measured/affinities.csv", TABLE)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"]["own"] = {name: {"kind": "vector", "length": 1, "title": f"Title of {name}"} for name in ("t0", "unused")}
    values["policy"]["exclude"] = ["unused"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    explorer = Explorer(open_path(tmp_path, NO_LIMIT))
    try:
        page = str(layout(explorer.opened, start(explorer.opened)))
        assert explorer.solver.policy(explorer.opened.start).transfers
        with pytest.raises(TaskonomyError, match=r"policy\.exclude: unknown 'unused'"):
            plan(TABLE, explorer.opened.start)
    finally:
        explorer.solver.close()
    assert "Title of t0: source" in page
    assert "Title of t0: cost" in page
    assert "t0: source" not in page.replace("Title of t0", "")


PRICED = {"currency": "EUR", "price": 0.5, "full": 1000, "transfer": 0}


def text_of(component: Any) -> str:
    """All that a person reads of it."""
    if isinstance(component, list | tuple):
        return " ".join(map(text_of, component))
    return text_of(component.children) if hasattr(component, "children") else str(component)


def test_costs_are_shown_in_the_currency_of_the_run_everywhere() -> None:
    given_ = PolicyParams(budget=1500, labels=PRICED, alternatives=2)
    here = opened(TABLE, "small", given_.time_limit, given_)
    params = params_of(start(here), here)
    assert params == given_
    best, others = plan(TABLE, params)
    assert best.cost == 500 * len(best.sources)
    assert f"cost {best.cost:,.2f} EUR of 1,500.00 EUR" in text_of(tiles(best, 0.1, "EUR"))
    before, _ = plan(TABLE, params.model_copy(update={"budget": 2500.0}))
    assert f"cost \u2212{before.cost - best.cost:.2f} EUR" in text_of(changed(before, best, "EUR", BUILT_IN))
    assert text_of(alternatives(best, others, "EUR", BUILT_IN)).count(" EUR") == len(others)
    assert "EUR" not in text_of([tiles(best, 0.1, None), changed(before, best, None, BUILT_IN), alternatives(best, others, None, BUILT_IN)])
    section = yaml.safe_load(exports.as_section(params))["policy"]
    assert PolicyParams.model_validate(section).labels == given_.labels


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"status": "optimal", "gap": 0.0}, "objective, proved optimal in 0.10 s"),
        ({"status": "optimal", "gap": 2e-6}, "objective, proved optimal within the solver's tolerance, 2e-06 of the objective in 0.10 s"),
        ({"status": "feasible", "gap": 0.25}, "objective, best found in the time limit, at most 25.00% below the optimum in 0.10 s"),
    ],
)
def test_the_page_says_how_far_a_policy_is_proved(how: dict[str, Any], words: str) -> None:
    best, _ = plan(TABLE, PolicyParams(budget=3))
    assert words in text_of(tiles(replace(best, **how), 0.1, None))
