"""Random programs with amounts of labels, and their best policies by enumeration of z[task, amount] in exact arithmetic."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from programs import written

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import Policy, plan

FULL = 40
AMOUNTS = (3, 8, 20, 40)


@dataclass(frozen=True)
class Drawn:
    """A table with amounts, and the rules of a program."""

    table: pd.DataFrame
    rules: dict[str, Any]


@dataclass(frozen=True)
class Labelled:
    """One way to label: images of each task, what they cost, and what the targets' best transfers are worth then; None where one has none."""

    images: dict[str, int]
    cost: Fraction
    worth: Fraction | None


def draw(seed: int) -> Drawn:
    """A program of two to four tasks with up to four amounts each; some rows are of the table's one amount, some sources others trained."""
    rng = np.random.default_rng([72, seed])
    names = [f"t{number}" for number in range(int(rng.integers(2, 5)))]
    foreign = ["e0"] * int(rng.random() < 0.3)
    money = bool(rng.random() < 0.7)
    possible = AMOUNTS if money else AMOUNTS[:-1]  # where the smallest amount is free, it is not all
    amounts = sorted(rng.choice(possible, int(rng.integers(1, len(possible) + 1)), replace=False).tolist())
    unsaid = [None] * int(rng.random() < 0.2)
    rows: dict[tuple[str, tuple[str, ...], int | None], float] = {}
    plain = rng.random() < 0.5
    for target in names[: int(rng.integers(1, len(names) + 1))]:
        groups = [
            tuple(sorted(rng.choice([*names, *foreign], int(rng.integers(1, 3)), replace=False).tolist())) for _ in range(int(rng.integers(1, 4)))
        ]
        for group in [("self",), *groups]:
            for images in [*amounts, *(unsaid if group != ("self",) else [None])]:
                if rng.random() < 0.7:
                    rows[target, group, images] = float(rng.integers(0, 11)) / 10 if plain else float(rng.random())
        rows[target, groups[0], amounts[0]] = float(rng.random())
    table = pd.DataFrame([[*key, value] for key, value in rows.items()], columns=["target", "sources", "images", "affinity"])
    table = table.assign(images=table["images"].astype(float), gain=np.nan, quality=np.nan)
    there_are = sorted({*table["target"], *(name for group in table["sources"] for name in group)} & set(names))
    prices = {name: float(rng.choice([0, 0.01, 0.07, 0.3, 1.1, 10.0])) for name in names}
    there = {name: int(rng.choice([0, 0, 5, 8, 30, 40, 50])) for name in names}
    labels: dict[str, Any] = {"currency": "EUR" if money else None, "full": FULL, "transfer": int(rng.choice([3, 8, 11]))}
    labels["tasks"] = {name: {"there": there[name], **({"price": prices[name]} if money else {})} for name in there_are}
    rules: dict[str, Any] = {
        "max_order": int(rng.integers(1, 3)),
        "self_edge": str(rng.choice(["gold", "transfer", "none"])),
        "balance": str(rng.choice(["none", "peak"])),
        "importance": {name: float(rng.choice([0, 0.3, 2])) for name in sorted(set(table["target"])) if rng.random() < 0.3},
        "labels": labels,
        "external": {name: "" for name in foreign if any(name in group for group in table["sources"])},
    }
    costs = sorted({one.cost for one in enumerated(Drawn(table, rules)) if one.worth is not None}) or [Fraction(1)]
    cost = float(costs[int(rng.integers(len(costs)))])
    return Drawn(table, {**rules, "budget": [cost, cost, float(np.nextafter(cost, 0)), cost + 0.01][int(rng.integers(4))]})


@dataclass(frozen=True)
class _Row:
    """An admissible row: the images that it needs of each task, its worth, and its own images; None: the target's own network on all images."""

    needs: dict[str, int]
    worth: Fraction
    images: int | None


def _rows(one: Drawn) -> dict[str, list[_Row]]:
    rules, found = one.rules, {}
    for target, rows in one.table.groupby("target"):
        kept: list[tuple[dict[str, int], int | None, Fraction]] = []
        for group, said, affinity in zip(rows["sources"], rows["images"], rows["affinity"], strict=True):
            own = group == ("self",)
            if own and (rules["self_edge"] != "gold" if math.isnan(said) else rules["self_edge"] == "none"):
                continue
            if not own and target in group and rules["self_edge"] != "transfer":
                continue
            if len(group) > rules["max_order"]:
                continue
            images = (None if own else rules["labels"]["transfer"]) if math.isnan(said) else int(said)
            needs = {} if own else {name: FULL for name in group if name not in rules["external"]}
            needs.setdefault(str(target), FULL if images is None else images)
            kept.append((needs, images, written(affinity)))
        scale = max((value for _, _, value in kept), default=Fraction(1)) if rules["balance"] == "peak" else Fraction(1)
        weight = written(rules["importance"].get(target, 1.0)) / (scale or 1)
        found[str(target)] = [_Row(needs, weight * value, images) for needs, images, value in kept]
    return found


def enumerated(one: Drawn) -> list[Labelled]:
    """Every way to label each task with none, some or all of the amounts that a row names."""
    rows, labels = _rows(one), one.rules["labels"]
    tasks = sorted({name for into in rows.values() for row in into for name in row.needs})
    levels = {name: sorted({0} | {row.needs[name] for into in rows.values() for row in into if name in row.needs}) for name in tasks}
    free = dict.fromkeys(tasks, 0)
    if labels["currency"] is None:  # the smallest amount of a transfer into a target is free
        free |= {name: min((row.images for row in into if row.images is not None), default=labels["transfer"]) for name, into in rows.items()}
    found = []
    for chosen in product(*levels.values()):
        images = dict(zip(tasks, chosen, strict=True))
        served = [[row.worth for row in into if all(images[name] >= count for name, count in row.needs.items())] for into in rows.values()]
        worth = sum(map(max, served), start=Fraction(0)) if all(served) else None
        found.append(Labelled(images, _cost(images, free, labels), worth))
    return found


def _cost(images: dict[str, int], free: dict[str, int], labels: dict[str, Any]) -> Fraction:
    total = Fraction(0)
    for name, count in images.items():
        there = labels["tasks"][name]["there"]
        if labels["currency"] is not None:
            total += written(labels["tasks"][name]["price"]) * max(0, count - there)
        elif count > max(there, free[name]):
            total += Fraction(count - max(there, free[name]), FULL - free[name])
    return total


def wrong(one: Drawn, solver: str) -> Iterator[str]:
    """What of the answer is not as enumeration has it: worth, cost, and the images that it says."""
    within = [(known.worth, known.cost) for known in enumerated(one) if known.worth is not None and known.cost <= written(one.rules["budget"])]
    try:
        best, _others = plan(one.table, PolicyParams(**one.rules, solver=solver))
    except TaskonomyError as error:
        if within or ("too small" not in str(error) and "no transfer is left" not in str(error)):
            yield str(error)
        return
    if not within:
        yield f"answers where nothing fits: cost {best.cost!r} of {best.budget!r}"
        return
    worth, cost = min(within, key=lambda known: (-known[0], known[1]))
    if (best.status, best.gap) != ("optimal", 0):
        yield f"{best.status} with gap {best.gap}"
    if best.objective != float(worth):
        yield f"objective {best.objective!r}, not {float(worth)!r}"
    if best.cost != float(cost):
        yield f"cost {best.cost!r}, not {float(cost)!r}"
    yield from _contradicts(best, one)


def _contradicts(best: Policy, one: Drawn) -> Iterator[str]:
    """The images that a policy says are those that its transfers need, and cost what it says."""
    needed: dict[str, int] = {}
    for transfer in best.transfers:
        own = transfer.sources == ("self",)
        count = (FULL if own else one.rules["labels"]["transfer"]) if transfer.images is None else transfer.images
        needed[transfer.target] = max(count, needed.get(transfer.target, 0))
        for name in transfer.sources:
            if not own and name not in one.rules["external"]:
                needed[name] = FULL
    said = {name: FULL if images is None else images for name, images in best.amounts.items()}
    if any(needed.get(name) != count for name, count in said.items()):
        yield f"says {said}, needs {needed}"
    if one.rules["labels"]["currency"] is not None and best.cost != float(_cost(needed, {}, one.rules["labels"])):
        yield f"costs {best.cost!r}, needs {needed}"
