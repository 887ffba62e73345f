"""Labels in money: the program against enumeration by the bill's definition, and bills against sums made by hand."""

from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import random_table

from taskonomy.config.policy_params import LabelsParams, PolicyParams, SelfEdge, SolverName
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.savings import labels_share
from taskonomy.evaluation.significance import Draw, random_policies
from taskonomy.policy.front import front
from taskonomy.policy.label_costs import bill_table, money, read_prices, summary_of_bill, totals
from taskonomy.policy.planner import Planner, plan
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table

TABLE = """target,sources,affinity
normal,normal,0.5
normal,reshading,0.3
reshading,normal,0.4
reshading,reshading,0.6
class_scene,normal,0.2
class_scene,reshading+jigsaw,0.3
denoising,denoising,0.9
denoising,normal,0.1
"""


def labels(**values: Any) -> LabelsParams:
    return LabelsParams(**{"currency": "EUR", "price": 0.05, "full": 1000, "transfer": 100, **values})


def random_labels(rng: np.random.Generator) -> LabelsParams:
    def one() -> dict[str, Any]:
        transfer = int(rng.integers(0, 2000))
        return {"price": float(rng.choice([0, 0.01, 0.37, 2.5])), "transfer": transfer, "full": int(rng.integers(max(1, transfer), 60_000))}

    return labels(tasks={f"t{number}": one() for number in range(5) if rng.random() < 0.7}, price=float(rng.choice([0.003, 1.0])))


def by_definition(params: LabelsParams, targets: set[str], sources: set[str]) -> float:
    """Every source in full, every other target for a transfer, each image at its price."""
    total = Fraction(0)
    for name in targets | sources:
        own = params.tasks.get(name)
        price, full, transfer = (
            getattr(params, key) if own is None or getattr(own, key) is None else getattr(own, key) for key in ("price", "full", "transfer")
        )
        total += Fraction(str(price)) * (full if name in sources else transfer)  # sums of floats depend on the order of a set
    return float(total)


def every_policy(table: pd.DataFrame, params: LabelsParams) -> list[tuple[float, float]]:
    """Bill and objective of every policy with self-edge `transfer`."""
    into: dict[str, list[tuple[set[str], float]]] = {target: [] for target in table["target"]}
    for row in table.itertuples():
        into[row.target] += [(set(row.sources), row.affinity)] if row.sources != ("self",) else []
    found = []
    for chosen in product(*into.values()):
        sources = set().union(*(one for one, _ in chosen))
        found.append((by_definition(params, set(into), sources), sum(affinity for _, affinity in chosen)))
    return found


@pytest.mark.parametrize("solver", ["glpk", "highs"])
@pytest.mark.parametrize("seed", range(25))
def test_the_policy_is_the_best_that_the_money_buys(seed: int, solver: str) -> None:
    rng = np.random.default_rng(seed)
    table, params = random_table(rng), random_labels(rng)
    everything = every_policy(table, params)
    if not everything:
        return
    budget = float(rng.choice([bill for bill, _ in everything])) * float(rng.choice([1.0, 1.001, 0.999]))
    rules = PolicyParams(preset="paper", budget=budget, labels=params, solver=solver, max_order=3)
    within = [(worth, bill) for bill, worth in everything if bill <= budget * (1 + 1e-9)]
    if not within:
        with pytest.raises(TaskonomyError, match="too small"):
            plan(table, rules)
        return
    best, _others = plan(table, rules)
    worth = max(one for one, _bill in within)
    assert best.objective == pytest.approx(worth, abs=1e-9)
    assert best.cost == pytest.approx(min(bill for one, bill in within if one >= worth - 1e-9))
    assert best.cost == pytest.approx(by_definition(params, set(table["target"]), set(best.sources)))
    assert best.bill(params)["sum"].sum() == pytest.approx(best.cost)


def test_a_bill_by_hand() -> None:
    table = parse_table(TABLE, "t")
    params = labels(tasks={"class_scene": {"price": 2.0, "full": 300, "transfer": 30}, "normal": {"price": 0.12}})
    best, _ = plan(table, PolicyParams(preset="paper", budget=280, exclude=("reshading",), labels=params))
    # normal: 1000 x 0.12; reshading: 100 x 0.05; class_scene: 30 x 2; denoising labels itself.
    assert best.sources == ("denoising", "normal")
    assert best.cost == pytest.approx(120 + 5 + 60)
    bill = best.bill(params)
    assert bill.set_index("task")["images"].to_dict() == {"normal": 1000, "reshading": 100, "class_scene": 30, "denoising": 0}
    assert bill.set_index("task")["labels"].to_dict() == {"normal": "full", "reshading": "transfer", "class_scene": "transfer", "denoising": "none"}
    assert bill.set_index("task")["sum"].to_dict() == pytest.approx({"normal": 120, "reshading": 5, "class_scene": 60, "denoising": 0})
    # In full: normal 120, reshading 1000 x 0.05, class_scene 300 x 2.
    assert totals(bill, "EUR") == {"images": 1130, "images_in_full": 2300, "currency": "EUR", "sum": 185.0, "sum_in_full": 770.0}
    assert summary_of_bill(bill, "EUR") == "1,130 labelled images, 49% of labelling every target in full; 185.00 EUR, 24% of 770.00 EUR"
    lines = bill_table(bill, "EUR").splitlines()
    assert lines[1].split() == ["normal", "full", "1,000", "0.12", "120.00", "120.00"]
    assert lines[-1].split() == ["together", "1,130", "185.00", "770.00"]


def test_a_source_that_is_no_target_is_paid_in_full() -> None:
    table = parse_table("target,sources,affinity\nnormal,room_layout,0.5\nnormal,normal,0.1\n", "t")
    best, _ = plan(table, PolicyParams(preset="paper", budget=60, labels=labels()))
    assert best.sources == ("room_layout",)
    assert best.cost == pytest.approx(1000 * 0.05 + 100 * 0.05)


def test_tasks_that_label_themselves_cost_nothing_unless_they_have_a_price() -> None:
    table = parse_table(TABLE, "t")
    free = admissible(table, PolicyParams(preset="paper", budget=0, labels=labels()))
    assert (free.cost["jigsaw"], free.cost["denoising"]) == (0, 0)
    named = admissible(table, PolicyParams(preset="paper", budget=0, labels=labels(tasks={"denoising": {"price": 1}})))
    assert named.cost["denoising"] == 900
    assert named.paid == free.paid + 100


def test_without_a_currency_nothing_changes_and_the_bill_counts_images(published: pd.DataFrame) -> None:
    rules = PolicyParams(budget=8, max_order=1, exclude=("random_projection", "class_object_100"))
    plain, others = plan(published, rules.model_copy(update={"alternatives": 1}))
    images, _ = plan(published, rules.model_copy(update={"labels": LabelsParams(full=7, transfer=3, tasks={"normal": {"full": 9}})}))
    without_time = lambda policy: {key: value for key, value in policy.as_dict().items() if key != "seconds"}  # noqa: E731
    assert without_time(plain) == without_time(images)
    assert "currency" not in plain.as_dict()
    bill = plain.bill(LabelsParams(tasks={name: {} for name in plain.sources}))
    assert bill[["price", "sum", "sum_in_full"]].isna().all(axis=None)
    assert len(others) == 1


def test_where_nothing_labels_itself_the_share_of_images_is_that_of_the_savings() -> None:
    table = parse_table("target,sources,affinity\n" + "".join(f"t{n},t{n},{n}\nt{n},t9,0.5\n" for n in range(4)), "t")
    best, _ = plan(table, PolicyParams(preset="paper", budget=2))
    found = totals(best.bill(LabelsParams(full=1000, transfer=100)), None)
    assert found["images"] / found["images_in_full"] == pytest.approx(labels_share([one.target for one in best.transfers], best.sources, 1000, 100))


def test_a_front_in_money_is_each_cost_at_which_the_optimum_changes() -> None:
    table, params = random_table(np.random.default_rng(3)), random_labels(np.random.default_rng(3))
    points = [point.policy for point in front(table, PolicyParams(preset="paper", budget=0, labels=params), [3])]
    assert [one.objective for one in points] == sorted(one.objective for one in points)
    assert points[-1].objective == pytest.approx(max(worth for _bill, worth in every_policy(table, params)))
    assert points[0].cost == pytest.approx(min(bill for bill, _worth in every_policy(table, params)))


def test_two_solvers_agree_where_prices_make_more_sums_than_can_be_listed(published: pd.DataFrame) -> None:
    rng = np.random.default_rng(5)
    names = sorted({*published["target"], *(name for group in published["sources"] for name in group)} - {"self"})
    params = LabelsParams(currency="EUR", tasks={name: {"price": round(float(rng.random()), 6)} for name in names})
    rules = PolicyParams(budget=0, max_order=1, exclude=("random_projection", "class_object_100"), labels=params)
    first, second = (Planner(published, rules.model_copy(update={"solver": solver})) for solver in SolverName)
    assert first.costs is None
    for share in (0.35, 0.6):
        budget = first.problem.paid + share * (first.everything - first.problem.paid)
        one, other = first.policy(budget), second.policy(budget)
        assert one.objective == pytest.approx(other.objective, abs=1e-9)
        assert (one.sources, one.cost) == (other.sources, other.cost)
        assert one.cost <= budget * (1 + 1e-6)


def test_random_policies_keep_to_the_money() -> None:
    table = parse_table(TABLE, "t")
    problem = admissible(table, PolicyParams(budget=0, self_edge=SelfEdge.NONE, labels=labels()))
    # 15 for the transfers, and one more source in full: normal or reshading, which alone cannot serve themselves.
    with pytest.raises(TaskonomyError, match=r"within budget 60\.00 EUR"):
        random_policies(problem, 60.0, 10, Draw.SOURCES, 0)
    assert len(random_policies(problem, 105.0, 10, Draw.SOURCES, 0).objective) == 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": {"price": 1}}, "labels: currency is missing"),
        ({"labels": {"currency": "EUR", "price": -1}}, r"labels\.price must be greater than or equal to 0"),
        ({"labels": {"transfer": 130_000}}, r"transfer must be at most full, 120,000 \(is 130,000\)"),
        ({"labels": {"tasks": {"normal": {"full": 10}}}}, r"tasks\.normal\.transfer must be at most full, 10 \(is 16,000\)"),
        ({"labels": {"currency": "EUR<b>"}}, r"labels\.currency"),
        ({"labels": {"currency": "EUR"}, "cost": {"normal": 2}}, "cost and labels.currency exclude each other"),
    ],
)
def test_what_cannot_be_is_named(values: dict[str, Any], message: str) -> None:
    from taskonomy.config.checked import checked

    with pytest.raises(TaskonomyError, match=message):
        checked(PolicyParams, {"budget": 1, **values}, "params.yaml")


@pytest.mark.parametrize(
    ("params", "rows", "message"),
    [
        (labels(price=None), "", r"no price for class_scene, normal, reshading; .*policy\.labels\.tasks\.class_scene\.price"),
        (labels(tasks={"norml": {"price": 1}}), "", r"policy\.labels\.tasks: unknown 'norml' \(did you mean 'normal'\?\)"),
        (labels(), "normal,reshading>room_layout,0.9\n", "takes labels of room_layout, which is no target"),
        (labels(), "normal,reshading@0.5,0.9\n", "takes 500 labelled images, more than the 100 of a transfer"),
    ],
)
def test_labels_that_no_price_covers_are_refused(params: LabelsParams, rows: str, message: str) -> None:
    with pytest.raises(TaskonomyError, match=message):
        plan(parse_table(TABLE + rows, "t"), PolicyParams(preset="paper", budget=1000, labels=params))


def test_a_budget_below_the_transfers_labels_says_so() -> None:
    with pytest.raises(TaskonomyError, match=r"budget 10\.00 EUR is too small: the labels for transfers to all 4 targets alone cost 15\.00 EUR"):
        plan(parse_table(TABLE, "t"), PolicyParams(preset="paper", budget=10, labels=labels()))


def test_a_price_list_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("task,price,full,transfer\n*,0.05,,\nnormal,0.12,,\nsegment_semantic,2.5,20000,3000\n")
    assert read_prices(path, "EUR") == LabelsParams(
        currency="EUR", price=0.05, tasks={"normal": {"price": 0.12}, "segment_semantic": {"price": 2.5, "full": 20000, "transfer": 3000}}
    )
    for text, message in [
        ("name,price\na,1\n", r"line 1: missing columns: task \(found 'name', 'price'\)"),
        ("task,price,colour\na,1,2\n", "line 1: unknown column 'colour'; known: task, price, full, transfer"),
        ("task,price\na,1\na,2\n", "line 3: a stands twice"),
        ("task,price\ncafe\u0301,1\ncaf\u00e9,2\n", "line 3: caf\u00e9 stands twice"),
        ("task,price\na,dear\n", r"line 2: a: price must be a number \(is 'dear'\)"),
        ("task,price\na,-1\n", r"tasks\.a\.price must be greater than or equal to 0"),
        ("task,price\na,nan\n", r"tasks\.a\.price must be a finite number"),
        ("task,price,full\na,1,1_000\n", r"line 2: a: full must be a whole number, written with the digits 0-9 and without underscores"),
        ("task,price,full\na,1,١٢٠\n", r"line 2: a: full must be a whole number, written with the digits 0-9"),
        ("task,price,full\na,1,20.5\n", r"line 2: a: full must be a whole number"),
        ("task,price,full\na,1,20.000\n", r"line 2: a: full must be a whole number"),
        ("task,price\n,1\n", "line 2: '' is not a task name"),
    ]:
        path.write_text(text)
        with pytest.raises(TaskonomyError, match=message):
            read_prices(path, "EUR")
    with pytest.raises(TaskonomyError, match="no such price list"):
        read_prices(tmp_path / "none.csv", "EUR")


@pytest.mark.parametrize(
    "text",
    [
        "task,price,full\nNA,0.05,20000\nnull,0.07,\nNone,0.01,\n",
        "Task;Price;Full\nNA;0,05;20000\nnull;0,07;\nNone;0,01;\n",
        "sep=;\ntask;price;full\nNA;0.05;20000\nnull;0.07;\nNone;0.01;\n",
        "task\tprice\tfull\nNA\t0.05\t20000.0\nnull\t0.07\t\nNone\t0.01\t\n",
        ",task,price,full\n0,NA,0.05,20000\n1,null,0.07,\n2,None,0.01,\n",
        "task,price,full\nNA,0.05,20000,\nnull,0.07,,\n,,,\nNone,0.01,,\n,,,\n",
    ],
)
def test_a_price_list_is_read_as_spreadsheets_save_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.csv").write_text(text)
    assert read_prices(tmp_path / "prices.csv", "EUR") == LabelsParams(
        currency="EUR", tasks={"NA": {"price": 0.05, "full": 20000}, "null": {"price": 0.07}, "None": {"price": 0.01}}
    )


def test_money_is_written_as_people_read_it() -> None:
    assert money(1234567.5, "EUR") == "1,234,567.50 EUR"
    assert money(1234567.891, "EUR") == "1,234,567.891 EUR"  # what exceeds a budget by a tenth of a cent is seen to
    assert money(8.0, None) == "8"
    assert money(1000000.9, None) == "1000000.9"
