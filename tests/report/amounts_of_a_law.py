"""A run with several amounts of labels whose losses follow a law that is known."""

import json
import math

import pandas as pd

from taskonomy.advice.curves import curves
from taskonomy.advice.power_law import USUAL
from taskonomy.advice.spending import spending
from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.report.inputs import RunAmounts
from taskonomy.tables.table import PIXELS, join_sources, parse_table

HEAD = "target,sources,affinity,images,low,high,gain,quality\n"
BUILDINGS = {"b0": 0.9, "b1": 1.0, "b2": 1.1, "b3": 1.05, "b4": 0.97}
AMOUNTS = (125, 250, 500)
FULL = 3000


def loss_of(target: int, floor: float, images: float) -> float:
    return floor + (0.4 + 0.1 * target) * (images / 125) ** -USUAL


def run_of_a_law(targets: list[str], sources: list[str], amounts: tuple[int, ...] = AMOUNTS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of all amounts, and the losses by building.

    Each source has a floor of its own, a pair a lower one, a network from scratch learns more from more images than any.
    """
    rows, losses = [], []
    for place, target in enumerate(targets):
        single = {(name,): 0.3 + 0.05 * abs(number - place) for number, name in enumerate(sources)}
        ways = {**single, (sources[0], sources[1]): 0.28 + 0.05 * place, ("self",): 0.1, (PIXELS,): 0.6}
        for way, floor in ways.items():
            steeper = 2.0 if way == ("self",) else 1.0
            for images in (*amounts, *([FULL] if way == ("self",) else [])):
                loss = floor + steeper * (loss_of(place, 0, images))
                said = "" if images == FULL else str(images)
                losses += [(target, join_sources(way), images if said else math.nan, one, 20, loss * hard) for one, hard in BUILDINGS.items()]
                rate = f"{1 / (1 + math.exp(4 * loss - 2)):.4f}"
                if way != (PIXELS,):
                    rows.append(f"{target},{join_sources(way)},{math.exp(-3 * loss):.6f},{said},,,{rate},{rate}\n")
    table = parse_table(HEAD + "".join(rows), "t")
    return table, pd.DataFrame(losses, columns=["target", "sources", "images", "building", "tests", "loss"])


def amounts_of_a_law(targets: list[str], sources: list[str], amounts: tuple[int, ...] = AMOUNTS, params: PolicyParams | None = None) -> RunAmounts:
    table, measured = run_of_a_law(targets, sources, amounts)
    shallow = measured["sources"] == PIXELS
    full = dict.fromkeys([*targets, *sources], FULL)
    spent = spending(table, table, params or PolicyParams(budget=2, preset="practice"), full)
    return RunAmounts(table, (*curves(measured[~shallow]), *curves(measured[shallow])), json.loads(to_json(spent.reproducible())))
