"""The best policy of every budget of labels: how many labelled images of which task, for money, or counted where labels have no prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from taskonomy.advice.basis import counted
from taskonomy.config.checked import checked
from taskonomy.config.policy_params import PolicyParams
from taskonomy.evaluation.held_out import held_out
from taskonomy.policy.front import FrontPoint, with_next
from taskonomy.policy.planner import Planner, Policy
from taskonomy.policy.problem import Transfer
from taskonomy.policy.round_budgets import budgets
from taskonomy.tables.table import measured, task_names
from taskonomy.tasks import BUILT_IN, Registry

ENOUGH = 0.95  # share of the largest objective: which budget is shown first where the parameters name none in labels


@dataclass(frozen=True)
class Spending:
    """The front of a table with amounts.

    Attributes:
        points: By ascending budget, with gain and quality of the images that no choice was made by.
        chosen: The place of the one that is shown first.
        currency: Of budgets and costs; `taskonomy.advice.basis.LABELS`: they count labelled images.
        full: Task -> its labelled images in full.
    """

    points: tuple[FrontPoint, ...] = ()
    chosen: int = 0
    currency: str | None = None
    full: Mapping[str, int] | None = None

    def reproducible(self) -> dict[str, Any]:
        """Return what a stage writes."""
        about = {"currency": self.currency, "chosen": self.chosen, "full": dict(self.full or {})}
        return {**about, "points": [one.reproducible() for one in self.points]}


def spending(table: pd.DataFrame, elsewhere: pd.DataFrame, params: PolicyParams, full: Mapping[str, int], registry: Registry = BUILT_IN) -> Spending:
    """Solve budgets of labels, from the smallest that serves every target to the one from which on nothing improves.

    Args:
        table: With amounts; what is not measured is passed over.
        elsewhere: The same rows, with gain and quality of images that the affinities were not measured on.
        params: The section `policy`. Without prices, each labelled image counts as one, of tasks that do not label themselves.
        full: Task -> its labelled images in full.
        registry: Tasks that exclusions and prices may name.

    Raises:
        TaskonomyError: Prices or transfers are missing.
    """
    rules = _in_labels(params, full)
    planner = Planner(measured(table), rules, registry=registry)
    judged = {_key(one): one for one in held_out(planner.problem, elsewhere).transfers}
    by_cost: dict[float, Policy] = {}
    for one in budgets(planner):  # budgets that buy the same are one
        by_cost.setdefault(one.cost, replace(one, transfers=tuple(judged[_key(each)] for each in one.transfers)))
    solved = list(by_cost.values())
    priced = params.labels.currency is not None
    return Spending(tuple(with_next(solved)), _affordable(solved, params.budget) if priced else _enough(solved), rules.labels.currency, full)


def images_in_full(data: Mapping[str, Any], table: pd.DataFrame) -> dict[str, int]:
    """Return the labelled images that the network of each task was trained on; at least as many as any transfer to it.

    Args:
        data: Manifest of the prepared data.
        table: With amounts.
    """
    some, most = data.get("labelled", {}), table.groupby("target")["images"].max().fillna(0)
    targets, sources = task_names(table)
    return {name: max(int(some.get(name, data["views"])["train"]), int(most.get(name, 0))) for name in sorted({*targets, *sources})}


def _in_labels(params: PolicyParams, full: Mapping[str, int]) -> PolicyParams:
    """Return the parameters such that budgets are money, or a number of labelled images."""
    said = params.labels.model_dump() if params.labels.currency is not None else counted(params.labels)
    for name, images in full.items():
        mine = said["tasks"].get(name, {})
        fewer = mine.get("transfer")
        said["tasks"][name] = {**mine, "full": images, "transfer": min(images, said["transfer"] if fewer is None else fewer)}
    return checked(PolicyParams, {**params.model_dump(), "cost": {}, "labels": said}, "policy")


def _key(one: Transfer) -> tuple[str, tuple[str, ...], int | None]:
    return one.target, one.sources, one.images


def _affordable(policies: Sequence[Policy], budget: float) -> int:
    """Find the largest budget of the front within the one of the parameters; the smallest where that is too small."""
    return max((place for place, one in enumerate(policies) if one.budget <= budget), default=0)


def _enough(policies: Sequence[Policy]) -> int:
    """Find the smallest budget that is worth nearly as much as the largest."""
    return next(place for place, one in enumerate(policies) if one.objective >= ENOUGH * policies[-1].objective)
