"""Advice on labels: purchases against enumeration, their order, the plain rules, and what is said."""

import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from taskonomy.advice.advice import advise
from taskonomy.advice.curves import curves
from taskonomy.advice.labels import LabelsToBuy
from taskonomy.advice.predictions import with_predictions
from taskonomy.cli.main import app
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table

HEAD = "target,sources,affinity,images,low,high,quality\n"
TABLE = (
    HEAD
    + "a,self,0.1,100,0.09,0.11,0.1\na,self,0.4,400,0.38,0.42,0.3\na,b,0.35,100,0.3,0.4,0.25\na,b,0.5,400,0.45,0.55,0.4\n"
    + "b,self,0.2,100,0.19,0.21,0.1\nb,self,0.6,400,0.5,0.7,0.3\nb,self,0.8,,0.7,0.9,0.5\nc,self,0.3,100,0.2,0.4,0.2\nc,self,0.35,400,0.2,0.5,0.22\n"
)
WORTH = {  # task -> (images of a, b, c that a row needs) -> worth
    "a": [((100, 0, 0), 0.1), ((400, 0, 0), 0.4), ((100, 1000, 0), 0.35), ((400, 1000, 0), 0.5)],
    "b": [((0, 100, 0), 0.2), ((0, 400, 0), 0.6), ((0, 1000, 0), 0.8)],
    "c": [((0, 0, 100), 0.3), ((0, 0, 400), 0.35)],
}
PRICES = (1.0, 0.5, 2.0)
THERE = (100, 100, 100)


def params(budget: float, **rules: Any) -> PolicyParams:
    tasks = {name: {"price": price, "there": there} for name, price, there in zip("abc", PRICES, THERE, strict=True)}
    return PolicyParams(budget=budget, preset="practice", labels={"currency": "EUR", "full": 1000, "transfer": 100, "tasks": tasks}, **rules)


def worth_of(images: tuple[int, ...], *, rescaled: bool = False) -> float:
    best = [max(worth for needs, worth in rows if all(has >= need for has, need in zip(images, needs, strict=True))) for rows in WORTH.values()]
    most = [max(worth for _needs, worth in rows) if rescaled else 1 for rows in WORTH.values()]
    return sum(one / top for one, top in zip(best, most, strict=True))


def cost_of(images: tuple[int, ...]) -> float:
    return sum(price * max(0, has - there) for price, has, there in zip(PRICES, images, THERE, strict=True))


@pytest.mark.parametrize("money", [10, 150, 300, 449, 450, 460, 750, 1000, 2000])
def test_all_the_money_buys_the_best_that_it_can(money: int) -> None:
    found = advise(parse_table(TABLE, "t"), params(money))
    best = max(worth_of(one) for one in product((100, 400, 1000), repeat=3) if cost_of(one) <= money)
    assert found.plans[0].worth == pytest.approx(best)
    then = tuple(found.plans[0].labels.get(name, 100) for name in "abc")
    assert (worth_of(then), cost_of(then)) == (pytest.approx(best), pytest.approx(found.plans[0].cost))
    assert found.now.worth == pytest.approx(worth_of(THERE))
    assert sum(one.price for one in found.purchases) == pytest.approx(found.plans[0].cost)
    labels = LabelsToBuy(admissible(parse_table(TABLE, "t"), params(money)), params(money).labels)
    assert max(float(labels.worth(one.labels)) for one in found.plans) == pytest.approx(found.plans[0].worth)  # of what the table has measured


def test_what_comes_first_adds_most_for_its_money() -> None:
    found = advise(parse_table(TABLE, "t"), params(1050))
    state, left = dict(zip("abc", THERE, strict=True)), {one.task: one for one in found.purchases}
    assert len(left) == 2
    for one in found.purchases:
        ratios = {}
        for task, other in left.items():
            then = {**state, task: other.total}
            ratios[task] = (worth_of(tuple(then.values())) - worth_of(tuple(state.values()))) / other.price
        assert ratios[one.task] == max(ratios.values())
        state[one.task] = left.pop(one.task).total
        assert one.worth == pytest.approx(worth_of(tuple(state.values())))


def test_an_improvement_whose_interval_holds_none_is_named_and_what_would_decide_it() -> None:
    only_c = TABLE.replace("a,self,0.4,400", "a,self,0.1,400").replace("0.38,0.42,0.3", "0.09,0.11,0.1")
    found = advise(parse_table(only_c, "t"), params(2000))
    by_task = {one.task: one for one in found.purchases}
    assert by_task["b"].decided
    assert not by_task["c"].decided
    (note,) = [one for one in found.notes if one.startswith("c:")]
    assert note == "c: the interval does not decide whether 300 labels improve anything; to know, label 300 and run again (600.00)"


def test_plain_rules_spend_no_more_than_there_is_and_what_they_say() -> None:
    table, rules = parse_table(TABLE, "t"), params(300)
    labels = LabelsToBuy(admissible(table, rules), rules.labels)
    for money in (1, 90, 300, 5000):
        for state in (labels.evenly(Fraction(money)), labels.alike(Fraction(money))):
            assert float(labels.cost(state)) <= money
    assert labels.evenly(Fraction(300)) == {"a": 200, "b": 300, "c": 150}
    assert labels.alike(Fraction(350)) == {"a": 200, "b": 200, "c": 200}
    assert labels.evenly(Fraction(10**6)) == labels.alike(Fraction(10**6)) == {"a": 400, "b": 1000, "c": 400}


FLOORS = {"a": {"self": 0.2, "c": 0.3}, "b": {"self": 0.2, "c": 0.3}}


def table_and_losses(floors: dict[str, dict[str, float]] = FLOORS) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, losses = [], []
    for target, scale in (("a", 0.5), ("b", 0.8)):
        for sources, floor in floors[target].items():
            for images in (100, 200, 400, 800):
                loss = floor + scale * (images / 100) ** -0.5
                rows.append(f"{target},{sources},{0.1 * math.exp(-3 * loss)!r},{images},,,{1 / (1 + math.exp(8 * loss - 2))!r}\n")
                losses += [(target, sources, images, building, 20, loss * hard) for building, hard in (("x", 0.9), ("y", 1.1), ("z", 1.0))]
    return parse_table(HEAD + "".join(rows), "t"), pd.DataFrame(losses, columns=["target", "sources", "images", "building", "tests", "loss"])


def test_predicted_rows_continue_the_line_of_affinity_by_loss() -> None:
    table, losses = table_and_losses()
    more = with_predictions(table, curves(losses))
    added = more.iloc[len(table) :]
    pd.testing.assert_frame_equal(more.iloc[: len(table)].reset_index(drop=True), table)
    assert set(added["images"]) == {1600, 3200}
    assert added["imputed"].all()
    for row in added.itertuples():
        floor, scale = (0.2 if row.sources == ("self",) else 0.3), (0.5 if row.target == "a" else 0.8)
        loss = floor + scale * (float(row.images) / 100) ** -0.5  # type: ignore[arg-type]
        assert row.affinity == pytest.approx(0.1 * math.exp(-3 * loss), rel=0.02)
        assert row.quality == pytest.approx(1 / (1 + math.exp(8 * loss - 2)), rel=0.1)
        assert row.low <= row.affinity <= row.high


def test_advice_goes_beyond_what_is_labelled_by_prediction() -> None:
    table, losses = table_and_losses()
    found_curves = curves(losses)
    labels = {"currency": "EUR", "price": 1, "full": 800, "transfer": 800, "there": 800}
    found = advise(with_predictions(table, found_curves), PolicyParams(budget=800, preset="practice", labels=labels), found_curves)
    (one,) = found.purchases
    assert (one.task, one.images, one.total, one.price) == ("b", 800, 1600, 800)
    assert any("rests on predictions" in note for note in found.notes)
    (better,) = one.improves
    loss = [0.2 + 0.8 * times**-0.5 for times in (8, 16)]
    assert better.measure == "loss"
    assert better.after.imputed
    assert better.ratio.value == pytest.approx(loss[1] / loss[0] - 1, abs=0.01)


def test_what_is_bought_for_a_target_that_is_a_source_in_full_is_a_purchase() -> None:
    table, losses = table_and_losses({"a": {"self": 0.3, "b": 0.2}, "b": {"self": 0.2, "a": 0.3}})
    found_curves = curves(losses)
    labels = {"currency": "EUR", "price": 1, "full": 800, "transfer": 800, "there": 800}
    found = advise(with_predictions(table, found_curves), PolicyParams(budget=1600, preset="practice", labels=labels), found_curves)
    assert "b" in found.policy.sources  # in full, which is there already
    assert {(one.task, one.total) for one in found.purchases} == {("a", 1600), ("b", 1600)}
    assert sum(one.price for one in found.purchases) == found.policy.cost == 1600


def files(folder: Path) -> list[str]:
    table, prices = folder / "t.csv", folder / "p.csv"
    table.write_text(TABLE)
    prices.write_text("task,price,full,transfer,there\na,1,1000,100,100\nb,0.5,1000,100,100\nc,2,1000,100,100\n")
    return ["advise", str(table), "--prices", str(prices), "--currency", "EUR"]


def test_the_command_prints_a_table_a_sentence_and_the_rules(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, [*files(tmp_path), "--money", "300"])
    assert run.exit_code == 0, run.output
    # Rescaled, 400 images of a are worth 0.4 of 0.5 in place of 0.1, for 300 EUR; those of b 0.6 of 0.8 in place of 0.2, for 150.
    assert "First label 300 images of a (300.00 EUR): a is then solved by its own network trained on 400 images" in run.output
    for rule in ("labels that are there", "all at once", "the same money for each task", "the same number for each task"):
        assert rule in run.output
    said = json.loads(CliRunner().invoke(app, [*files(tmp_path), "--money", "300", "--json"]).output)
    assert [one["task"] for one in said["purchases"]] == [row.split()[1] for row in run.output.splitlines()[2 : 2 + len(said["purchases"])]]
    assert said["plans"][0]["cost"] == sum(one["price"] for one in said["purchases"])


def test_labels_are_counted_whatever_they_cost(tmp_path: Path) -> None:
    said = json.loads(CliRunner().invoke(app, [*files(tmp_path), "--labels", "300", "--json"]).output)
    best = max((worth_of(one, rescaled=True), one) for one in product((100, 400, 1000), repeat=3) if sum(one) - 300 <= 300)
    assert said["plans"][0]["objective" if "objective" in said["plans"][0] else "worth"] == pytest.approx(best[0])
    assert said["currency"] == "labels"
    assert sum(one["images"] for one in said["purchases"]) <= 300


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --money or --labels, one of both"),
        (["--money", "1", "--labels", "2"], "give --money or --labels, one of both"),
        (["--money", "-5"], r"--money must be a number > 0 \(is -5\)"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match=said):
        CliRunner().invoke(app, [*files(tmp_path), *options], catch_exceptions=False)


def test_a_table_with_one_amount_is_refused(tmp_path: Path) -> None:
    run = files(tmp_path)
    (tmp_path / "t.csv").write_text("target,sources,affinity\na,b,1\n")
    with pytest.raises(TaskonomyError, match=r"t\.csv: has no column images: there are no amounts of labels to choose from"):
        CliRunner().invoke(app, [*run, "--money", "5"], catch_exceptions=False)
    with pytest.raises(TaskonomyError, match="labels have no prices"):
        advise(parse_table(TABLE, "t"), PolicyParams(budget=5))
    assert np.isfinite(advise(parse_table(TABLE, "t"), params(5)).now.worth)


def test_without_predictions_no_caution_is_said() -> None:
    assert not any("predictions" in note for note in advise(parse_table(TABLE, "t"), params(450)).notes)


def test_labels_between_two_amounts_are_worth_something_between() -> None:
    labels = LabelsToBuy(admissible(parse_table(TABLE, "t"), params(300)), params(300).labels)
    low, high, between = (labels.between({"b": images})["b"] for images in (100, 400, 200))
    assert (low, high) == (pytest.approx((0.2, 0.1)), pytest.approx((0.6, 0.3)))
    assert between == pytest.approx((0.4, 0.2))  # 200 is half way from 100 to 400, by the logarithm
    assert labels.between({"b": 1000})["b"] == pytest.approx((0.8, 0.5))
    assert labels.between({"b": 5000})["b"] == pytest.approx((0.8, 0.5))
