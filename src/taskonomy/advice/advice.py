"""What to label next for some money: purchases, in the order in which they pay, and the policies that they lead to."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.advice.curves import CONFIDENCE, LabelCurve, LossInterval
from taskonomy.advice.labels import LabelsToBuy, State
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.numbers import as_written
from taskonomy.policy.planner import Planner, Policy
from taskonomy.policy.problem import Transfer
from taskonomy.tables.table import has_amounts, join_sources
from taskonomy.tasks import BUILT_IN, Registry


@dataclass(frozen=True)
class Improvement:
    """What a purchase does to one target.

    Attributes:
        target: The task that is solved.
        before, after: Its transfers; None before the first labels.
        ratio: Loss afterwards, as a share of that before, less 1; where losses are not known, the same of affinity. NaN: not known.
        measure: `loss` or `affinity`.
        decided: Whether the interval says that it is an improvement.
    """

    target: str
    before: Transfer | None
    after: Transfer
    ratio: LossInterval
    measure: str

    @property
    def decided(self) -> bool:
        """Return whether even the worse end of the interval is an improvement; where nothing solved the target before, it is one."""
        if self.before is None:
            return True
        return self.ratio.high < 0 if self.measure == "loss" else self.ratio.low > 0

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        ends = {"value": self.ratio.value, "low": self.ratio.low, "high": self.ratio.high}
        return {"target": self.target, "before": _way(self.before), "after": _way(self.after), self.measure: ends, "decided": self.decided}


@dataclass(frozen=True)
class Purchase:
    """Labels of one task to buy.

    Attributes:
        task: Their task.
        images: How many to label.
        total: Labelled images of the task then.
        price: What they cost.
        improves: The targets that other transfers solve then.
        worth: Objective then, after all purchases before it.
        quality: Mean quality then; NaN where it is not measured.
    """

    task: str
    images: int
    total: int
    price: float
    improves: tuple[Improvement, ...]
    worth: float
    quality: float

    @property
    def decided(self) -> bool:
        """Return whether it certainly improves at least one target."""
        return any(one.decided for one in self.improves)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        about = {"task": self.task, "images": self.images, "labelled_then": self.total, "price": self.price, "decided": self.decided}
        return {**about, "improves": [one.as_dict() for one in self.improves], "objective_then": self.worth, "mean_quality_then": self.quality}


@dataclass(frozen=True)
class Plan:
    """One way to spend the money.

    Attributes:
        rule: Its name.
        labels: Task -> labelled images, beyond those that are there.
        cost: What they cost.
        worth, quality: Objective and mean quality; targets without a transfer are worth nothing and have quality 0.
        unserved: Targets without a transfer.
    """

    rule: str
    labels: dict[str, int]
    cost: float
    worth: float
    quality: float
    unserved: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """What to buy for some money.

    Attributes:
        purchases: In the order in which they pay; together they are the best that the money buys.
        policy: The best policy if all the money is spent at once.
        now: What the labels that are there are good for.
        plans: All the money at once, and the plain rules.
    """

    money: float
    currency: str
    purchases: tuple[Purchase, ...]
    policy: Policy
    now: Plan
    plans: tuple[Plan, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "money": self.money,
            "currency": self.currency,
            "purchases": [one.as_dict() for one in self.purchases],
            "now": vars(self.now),
            "plans": [vars(one) for one in self.plans],
            "policy": self.policy.as_dict(),
            "notes": list(self.notes),
        }


def advise(table: pd.DataFrame, params: PolicyParams, curves: Sequence[LabelCurve] = (), registry: Registry = BUILT_IN) -> Advice:
    """Find what to buy for `params.budget`.

    Args:
        table: A table with amounts; predicted rows are marked as imputed.
        params: The section `policy`, with prices, and the labels that are there.
        curves: Losses of its rows, for the intervals of improvements; without them, the table's intervals of affinities are used.
        registry: Tasks that exclusions and prices may name.

    Raises:
        TaskonomyError: The table has one amount of labels, or the money is too little to solve every target.
    """
    if not has_amounts(table):
        raise TaskonomyError("the table has no column images: there are no amounts of labels to choose from (set several transfer.images)")
    if params.labels.currency is None:
        raise TaskonomyError("labels have no prices: set policy.labels.currency and policy.labels.price, or give --currency and --prices")
    planner = Planner(table, params, registry=registry)
    labels = LabelsToBuy(planner.problem, params.labels)
    best = planner.policy(params.budget)
    money = as_written(params.budget)
    wanted = {task: images for task, images in labels.of(best).items() if images > labels.there(task) and labels.price(task) > 0}
    compare = _Comparison(table, curves)
    purchases = tuple(_ordered(wanted, labels, compare))
    now = plan_of("labels that are there", {}, labels)
    rules: tuple[tuple[str, Mapping[str, int]], ...] = (
        ("all at once, by the program", wanted),
        ("the same money for each task", labels.evenly(money)),
        ("the same number for each task", labels.alike(money)),
    )
    notes = tuple(dict.fromkeys(_notes(purchases, curves, labels)))
    return Advice(params.budget, params.labels.currency, purchases, best, now, tuple(plan_of(rule, state, labels) for rule, state in rules), notes)


def plan_of(rule: str, state: State, labels: LabelsToBuy) -> Plan:
    """Say what some labels cost, and what they are good for; between two amounts of the table, about."""
    worth, quality = zip(*labels.between(state).values(), strict=True)
    unserved = tuple(target for target, one in labels.best(state).items() if one is None)
    return Plan(rule, dict(state), float(labels.cost(state)), math.fsum(worth), float(np.mean(quality)), unserved)


def _ordered(wanted: Mapping[str, int], labels: LabelsToBuy, compare: "_Comparison") -> list[Purchase]:
    """Order purchases: next the one that adds most for its money; where none adds anything alone, the one whose lack would cost the whole most."""
    bought: dict[str, int] = {}
    found: list[Purchase] = []
    while left := {task: images for task, images in wanted.items() if task not in bought}:
        now = labels.worth(bought)

        def alone(task: str, now: Fraction = now, left: Mapping[str, int] = left) -> Fraction:
            return (labels.worth({**bought, task: left[task]}) - now) / labels.cost({task: left[task]})

        def lacking(task: str, left: Mapping[str, int] = left) -> Fraction:
            rest = {other: images for other, images in {**bought, **left}.items() if other != task}
            return (labels.worth({**bought, **left}) - labels.worth(rest)) / labels.cost({task: left[task]})

        key: Callable[[str], Fraction] = alone if any(alone(task) > 0 for task in left) else lacking
        task = max(sorted(left), key=key)
        found.append(_purchase(task, left[task], bought, labels, compare))
        bought[task] = left[task]
    return found


def _purchase(task: str, total: int, bought: State, labels: LabelsToBuy, compare: "_Comparison") -> Purchase:
    before, state = labels.best(bought), {**bought, task: total}
    after = labels.best(state)
    improves = [compare.improvement(before[target], one) for target, one in after.items() if one is not None and one != before[target]]
    then = plan_of(task, state, labels)
    images = total - labels.there(task)
    return Purchase(task, images, total, float(labels.price(task) * images), tuple(improves), then.worth, then.quality)


class _Comparison:
    """Holds two transfers of a target against one another: by draws of their losses where both have a curve, else by intervals of affinities."""

    def __init__(self, table: pd.DataFrame, curves: Sequence[LabelCurve]) -> None:
        self._curves = {(one.target, one.sources): one for one in curves}
        images = table["images"].fillna(0).astype(int)
        keys = zip(table["target"], table["sources"], images, strict=True)
        self._bounds = {key: (low, high) for key, low, high in zip(keys, table["low"], table["high"], strict=True)}

    def improvement(self, before: Transfer | None, after: Transfer) -> Improvement:
        nothing = LossInterval(math.nan, math.nan, math.nan)
        if before is None:
            return Improvement(after.target, None, after, nothing, "affinity")
        losses = [self._losses(one) for one in (before, after)]
        if losses[0] is not None and losses[1] is not None:
            ratio = losses[1] / losses[0] - 1
            low, high = np.quantile(ratio[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            return Improvement(after.target, before, after, LossInterval(float(ratio[0]), float(low), float(high)), "loss")
        if before.affinity <= 0:
            return Improvement(after.target, before, after, nothing, "affinity")
        (low_before, high_before), (low_after, high_after) = (self._bounds[_key(one)] for one in (before, after))
        ends = (after.affinity / before.affinity - 1, low_after / high_before - 1, high_after / low_before - 1 if low_before else math.inf)
        return Improvement(after.target, before, after, LossInterval(*map(float, ends)), "affinity")

    def _losses(self, one: Transfer) -> "np.ndarray | None":
        curve = self._curves.get((one.target, join_sources(one.sources)))
        return None if curve is None or one.images is None else curve.drawn(one.images)


def _key(one: Transfer) -> tuple[str, tuple[str, ...], int]:
    return one.target, one.sources, one.images or 0


def _way(one: Transfer | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"sources": list(one.sources), "images": one.images, "affinity": one.affinity, "quality": one.quality, "predicted": one.imputed}


def _notes(purchases: Sequence[Purchase], curves: Sequence[LabelCurve], labels: LabelsToBuy) -> list[str]:
    """Say which purchases rest on intervals that do not decide, and what would: and which curves are too short to predict anything."""
    found = []
    for one in purchases:
        if one.improves and not one.decided:
            least = min(
                (step.images for step in labels.problem.steps.values() if step.task == one.task and step.images > labels.there(one.task)),
                default=one.total,
            )
            more = least - labels.there(one.task)
            price = float(labels.price(one.task) * more)
            found.append(
                f"{one.task}: the interval does not decide whether {one.images:,} labels improve anything; to know, label {more:,} and run again"
                f" ({price:,.2f})"
            )
    if any(better.after.imputed for one in purchases for better in one.improves):
        found.append("the order of purchases rests on predictions; in a replay, the plain rules bought as good or better policies (docs/amounts.md)")
    short = sorted({one.target for one in curves} - {one.target for one in curves if one.fitted})
    if short:
        example = next(one for one in curves if one.target == short[0])
        found.append(f"not predicted: {', '.join(short)}; {example.why_not}")
    return found
