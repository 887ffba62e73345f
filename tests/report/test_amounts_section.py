"""The part of the report on amounts of labels: what is drawn is the table, predictions are told from it, and other runs have no such part."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from amounts_of_a_law import AMOUNTS, BUILDINGS, FULL, amounts_of_a_law, run_of_a_law
from test_page import NAMES, needs_browser, page_of, seen
from test_sections import FACTS, measured_page, text_of
from tiny import profile

from taskonomy.advice.basis import read_amounts_table
from taskonomy.advice.curves import FURTHEST
from taskonomy.advice.power_law import USUAL
from taskonomy.advice.spending import spending
from taskonomy.atomic_io import to_json, write_csv, write_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.planner import Planner
from taskonomy.report import amounts_section as section
from taskonomy.report.amounts_figures import WAYS
from taskonomy.report.inputs import RunAmounts, images_of_run, read_amounts
from taskonomy.tables.table import is_gold, write_table
from taskonomy.tasks import BUILT_IN

TARGETS, SOURCES = ["normal", "edge_texture", "class_scene"], ["normal", "edge_texture", "reshading"]


@pytest.fixture(scope="module")
def amounts() -> RunAmounts:
    return amounts_of_a_law(TARGETS, SOURCES)


@pytest.mark.parametrize(("images", "counted"), [(8, (30, 8)), ([2, 4, 8], (30, 8)), ([4, 12], (30, 9))])
def test_labels_are_counted_by_the_largest_amount_of_a_transfer(images: object, counted: tuple[int, int]) -> None:
    facts = {**FACTS, "params": {"transfer": {"images": images}}}
    assert images_of_run(facts, profile()) == counted


def test_the_best_single_source_the_best_set_and_both_networks_on_the_image_are_drawn(amounts: RunAmounts) -> None:
    of_normal = [one for one in amounts.curves if one.target == "normal"]
    ways = {one.kind: one.curve.sources for one in section.ways_of(of_normal, BUILT_IN)}
    assert ways == {"single": "normal", "set": "normal+edge_texture", "scratch": "self", "pixels": "pixels"}
    fine_tuned = [one for one in of_normal if one.sources == "self"]
    assert [one.kind for one in section.ways_of(fine_tuned, BUILT_IN)] == ["scratch"]


def test_measured_points_are_the_losses_of_the_table_and_predicted_ones_are_marked_and_follow_the_law(amounts: RunAmounts) -> None:
    mean = float(np.mean(list(BUILDINGS.values())))
    for panel in section.shown(amounts, BUILT_IN)["panels"]:  # type: ignore[index]
        found = panel["points"]
        assert set(found["way"]) == set(WAYS)
        place = TARGETS.index(panel["id"].removeprefix("amounts-loss-"))
        for row in found.itertuples():
            steeper, floor = (2.0, 0.1) if row.way == "scratch" else (1.0, None)
            if row.way == "pixels":
                floor = 0.6
            if floor is not None:
                law = mean * (floor + steeper * (0.4 + 0.1 * place) * (float(row.images) / 125) ** -USUAL)  # type: ignore[arg-type]
                assert row.loss == pytest.approx(law, rel=0.01 if row.predicted else 1e-9)
            assert row.low <= row.loss <= row.high
            assert row.predicted == (row.images > AMOUNTS[-1])
            assert row.images <= FURTHEST * AMOUNTS[-1]
        measured = found[~found["predicted"]]
        assert {tuple(rows["images"]) for _, rows in measured.groupby("way")} == {AMOUNTS}
        drawn = [trace for trace in panel["figure"].data if trace.mode == "lines+markers"]
        assert [list(trace.y) for trace in drawn] == [measured.loc[measured["way"] == kind, "loss"].tolist() for kind in WAYS]
        dashed = [trace for trace in panel["figure"].data if trace.line.dash == "dash" and trace.x[0] is not None]
        assert [list(trace.y)[1:] for trace in dashed] == [found.loc[found["predicted"] & (found["way"] == kind), "loss"].tolist() for kind in WAYS]
        (legend,) = [trace.name for trace in panel["figure"].data if trace.showlegend is not False and trace.mode == "lines"]
        assert legend == "predicted, 90% band"


def test_curves_of_two_amounts_are_points_alone_and_it_is_said_why() -> None:
    few = section.shown(amounts_of_a_law(TARGETS, SOURCES, (125, 500)), BUILT_IN)
    assert few is not None
    for panel in few["panels"]:
        assert not panel["points"]["predicted"].any()
        assert not any(trace.line.dash == "dash" for trace in panel["figure"].data)
        assert panel["short"] == "Not predicted: 2 amounts (125, 500) tell how steep the loss falls, not where it stops; a third is needed."
    assert few["see"].endswith("What more images would bring is not predicted from so few amounts.")


def test_each_budget_is_the_policy_of_the_solver_with_its_amounts(amounts: RunAmounts) -> None:
    labels = {"currency": "labels", "price": 1, "full": FULL, "transfer": 125}
    planner = Planner(amounts.table, PolicyParams(budget=0, preset="practice", labels=labels))
    shown = section.shown(amounts, BUILT_IN)
    assert shown is not None
    assert len(shown["budgets"]) > 5
    assert shown["counted"]
    for one in shown["budgets"]:
        best = planner.policy(one["budget"])
        assert one["objective"] == pytest.approx(best.objective)
        assert {name: (FULL if full else images) for name, images, full, _ in one["rows"]} == {
            name: images or FULL for name, images in best.amounts.items()
        }
        paid = sum(images for name, images, *_ in one["rows"] if not BUILT_IN.labels_itself(name))
        assert one["cost"] == paid
    assert [one["objective"] for one in shown["budgets"]] == sorted(one["objective"] for one in shown["budgets"])


def test_with_prices_budgets_are_money_and_that_of_the_parameters_comes_first() -> None:
    params = PolicyParams(budget=40, preset="practice", labels={"currency": "EUR", "price": 0.05})
    spent = amounts_of_a_law(TARGETS, SOURCES, params=params).spending
    assert spent["currency"] == "EUR"
    at = [one["budget"] for one in spent["points"]]
    assert at[spent["chosen"]] == max(one for one in at if one <= 40)
    first = spent["points"][0]
    paid = sum(FULL if images == "full" else images for name, images in first["amounts"].items() if name != "edge_texture")
    assert first["cost"] == pytest.approx(0.05 * paid)
    assert "EUR" in section.amount_text(first["cost"], "EUR")


def test_gain_and_quality_are_of_the_other_half_and_affinities_are_not(amounts: RunAmounts) -> None:
    table, other = amounts.table, amounts.table.assign(quality=0.25, gain=0.75)
    full = dict.fromkeys({*TARGETS, *SOURCES}, FULL)
    params = PolicyParams(budget=2, preset="practice")
    here, there = (json.loads(to_json(spending(table, one, params, full).reproducible())) for one in (table, other))
    for before, after in zip(here["points"], there["points"], strict=True):
        assert after["mean_quality"] == 0.25
        assert after["mean_gain"] == 0.75
        assert after["objective"] == before["objective"]
    assert is_gold(table).sum() == len(TARGETS)


def test_a_run_with_one_amount_has_a_table_without_rows_and_no_section(tmp_path: Path) -> None:
    (tmp_path / "amounts.csv").write_text("target,sources,affinity\n")
    assert read_amounts_table(tmp_path / "amounts.csv") is None
    (tmp_path / "amounts.csv").write_text("target,sources,affinity\na,b,1\n")
    assert read_amounts_table(tmp_path / "amounts.csv") is None
    assert section.shown(None, BUILT_IN) is None


def test_what_the_stages_wrote_is_read_as_it_was(amounts: RunAmounts, tmp_path: Path) -> None:
    assert read_amounts(tmp_path) is None  # a table from elsewhere has none of it
    table, losses = run_of_a_law(TARGETS, SOURCES)
    write_table(tmp_path / "amounts.csv", table)
    other = losses.assign(split="test_policy", loss=9.0)
    write_csv(tmp_path / "amounts_losses.csv", pd.concat([losses.assign(split="test_affinity"), other]))
    write_json(tmp_path / "spending.json", amounts.spending)
    read = read_amounts(tmp_path)
    assert read is not None
    assert read.spending == amounts.spending
    assert [(one.target, one.sources) for one in read.curves] == [(one.target, one.sources) for one in amounts.curves]
    for here, there in zip(read.curves, amounts.curves, strict=True):
        np.testing.assert_allclose(here.losses, there.losses)
        assert here.noise == pytest.approx(there.noise)
    assert section.shown(read, BUILT_IN)["front_see"] == section.shown(amounts, BUILT_IN)["front_see"]  # type: ignore[index]


def test_the_page_of_a_run_with_one_amount_holds_nothing_of_it() -> None:
    """And that of one with several holds the same beside it, line by line."""
    amounts = amounts_of_a_law(NAMES[:3], NAMES[:3])  # tasks of the page, so that its legend is the same
    without, with_ = measured_page(), measured_page(amounts=amounts)
    assert "amounts" not in without.split('<script id="data"')[0]
    held = json.loads(without.split('type="application/json">')[1].split("</script>")[0])
    more = json.loads(with_.split('type="application/json">')[1].split("</script>")[0])
    assert not {name for name in (*held, *held["figures"], *held["numbers"]) if "amounts" in name}
    assert more.pop("amounts")["chosen"] == amounts.spending["chosen"]
    for kind in ("figures", "numbers"):
        assert {name for name in more[kind] if name not in held[kind]} == {name for name in more[kind] if name.startswith("amounts-")}
        more[kind] = {name: one for name, one in more[kind].items() if not name.startswith("amounts-")}
    assert {name: one for name, one in more.items() if name != "tasks"} == {name: one for name, one in held.items() if name != "tasks"}
    lines = iter(with_.replace('<a href="#amounts">Labels and loss</a>', "").splitlines())
    assert all(line in lines for line in without.splitlines() if "<script id=" not in line)


def test_what_is_said_is_of_the_data(amounts: RunAmounts) -> None:
    told = text_of(measured_page(amounts=amounts))
    assert "Labels and loss" in told
    falls = {target: 1 - _best(amounts, target, AMOUNTS[-1]) / _best(amounts, target, AMOUNTS[0]) for target in TARGETS}
    median = 100 * float(np.median(list(falls.values())))
    assert f"From 125 to 500 labelled images, the loss of the best way to solve a target falls by {median:.0f} % in the median" in told.replace(
        "\u00a0", " "
    )
    assert "with 4 times the most images it is predicted to fall further for 3 of 3 targets" in told


def _best(amounts: RunAmounts, target: str, images: float) -> float:
    """The loss with so many images of the way that is best with the most."""
    best = min((one for one in amounts.curves if one.target == target), key=lambda one: one.losses[0, -1])
    return float(best.losses[0, list(best.images).index(images)])


@needs_browser
def test_the_reader_chooses_a_budget_and_sees_what_it_buys(amounts: RunAmounts, tmp_path: Path) -> None:
    script = """
        const of = (id) => document.getElementById(id);
        const bought = () => of('amounts-policy').data.filter((one) => one.mode === 'markers+text').flatMap((one) => one.x);
        result.first = of('amounts-said').textContent;
        const figures = ['amounts-quality', 'amounts-objective', 'amounts-policy', 'amounts-loss-normal'];
        result.plots = figures.map((id) => document.querySelectorAll('#' + id + ' svg.main-svg').length > 0);
        result.taken = document.querySelectorAll('#amounts .take').length;
        const select = of('amounts-budget');
        select.value = 0; select.dispatchEvent(new Event('change'));
        result.said = of('amounts-said').textContent; result.bought = bought();
        result.rows = data.numbers['amounts-policy'].rows;
        result.table = [...of('amounts-routes').querySelectorAll('tbody tr')].map((row) => row.children[1].textContent);
        result.chosen = of('amounts-quality').data.at(-1).x;
    """
    result = seen(measured_page(amounts=amounts), tmp_path, script)
    spent = amounts.spending["points"]
    shown = section.shown(amounts, BUILT_IN)
    assert shown is not None
    assert result["plots"] == [True] * 4
    assert result["taken"] == 3 + len(TARGETS)
    assert result["first"] == shown["budgets"][shown["chosen"]]["said"]
    assert result["said"] == shown["budgets"][0]["said"]
    assert sorted(result["bought"]) == sorted(images for _, images, *_ in shown["budgets"][0]["rows"])  # type: ignore[type-var]
    assert result["rows"] == shown["budgets"][0]["rows"]
    assert [text.split(",")[0] for text in result["table"]] == [f"{images:,}".split(",")[0] for _, images, *_ in shown["budgets"][0]["rows"]]  # type: ignore[attr-defined]
    assert result["chosen"] == [spent[0]["cost"]]
    assert not math.isnan(pd.Series(result["bought"]).mean())


@needs_browser
def test_the_page_of_a_table_with_amounts_shows_the_front_and_says_what_solves_the_rest(tmp_path: Path) -> None:
    """The page's own solver would take the largest amount of every transfer for free."""
    table, _losses = run_of_a_law(TARGETS, SOURCES, (125, 500))
    rules = {"budget": 1.5, "max_order": 2, "labels": {"full": FULL, "transfer": 125}}
    html = page_of(table, PolicyParams.model_validate(rules), [2], 2, params={"policy": rules})
    assert "run taskonomy explore with the table" in " ".join(text_of(html).split())
    script = """
        result.rules = data.rules;
        const typed = document.getElementById('budget-value');
        typed.value = 1.37; typed.dispatchEvent(new Event('change'));
        result.budget = shown.budget; result.said = document.getElementById('said').hidden;
        result.budgets = data.front.map((point) => point.budget);
        result.table = document.querySelector('#routes tbody').textContent;
        result.headline = document.getElementById('headline').textContent;
    """
    result = seen(html, tmp_path, script)
    assert result["rules"] is None
    assert result["budget"] == max(one for one in result["budgets"] if one <= 1.37)  # type: ignore[attr-defined]
    assert result["said"] is True
    best = Planner(table, PolicyParams.model_validate(rules)).policy(float(result["budget"]))  # type: ignore[arg-type]
    scratch = [one for one in best.transfers if one.sources == ("self",) and one.images is not None]
    assert str(result["table"]).count("its own network, trained from scratch on few images") == len(scratch)
