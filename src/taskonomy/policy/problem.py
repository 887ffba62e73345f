"""Which transfers may be chosen, what each is worth, and what each source costs."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import Balance, PolicyParams, Role, SelfEdge
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.policy.amounts import Step, with_amounts
from taskonomy.policy.label_costs import check_variants, cost_of_rest, prices, transfer_images
from taskonomy.policy.numbers import as_written, denominator
from taskonomy.tables.table import IMAGES, MEASURES, SELF, external_sources, has_amounts, labelled, task_names
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import BUILT_IN, Registry


class Goal(Enum):
    """What a program maximises."""

    WORTH = "worth"  # the paper's objective
    THRIFT = "thrift"  # minus the cost, to find the smallest budget that serves every target
    COVERAGE = "coverage"  # the number of served targets, to find those that a budget leaves out


@dataclass(frozen=True)
class Transfer:
    """One admissible transfer, an edge of the hypergraph.

    Attributes:
        sources: As written in the table; `self` is the target's own fully supervised network.
        needs: The tasks that must be labelled in full for it; for `a>b` and `a@0.02`, only a (`taskonomy.tables.table.labelled`). In the problem of a
            table with amounts, also steps (`taskonomy.policy.amounts`).
        affinity: As measured, or as imputed.
        gain, gain_scratch, quality: Win rates, as tables define them.
        exact: Its part of the objective, of the numbers as written: importance times the rescaled affinity.
        imputed: Whether the affinity was predicted from a screen, not measured.
        images: Labelled images of the target that it was trained on; None: as many as the table has of everything, or, of `self`, all.
    """

    target: str
    sources: tuple[str, ...]
    needs: frozenset[str]
    affinity: float
    gain: float
    quality: float
    exact: Fraction = field(default=Fraction(0))
    gain_scratch: float = field(default=float("nan"), compare=False)  # nan where it was not measured, and nan equals nothing
    imputed: bool = False
    images: int | None = None

    @property
    def worth(self) -> float:
        """Return the transfer's part of the objective, as a float."""
        return float(self.exact)


@dataclass(frozen=True)
class Problem:
    """The input of the Boolean program, except for the budget.

    Attributes:
        costs: Cost of each source, beyond what every policy pays.
        fixed: What every policy pays: with prices, the labels for transfers to all targets.
        currency: Currency of the costs; None: they count tasks.
        licences: Source that others trained, and is used as it is -> its licence.
        inference: Multiply-adds of each source's encoder, millions for each image, of those for which they are known.
        most_inference: Most multiply-adds of all sources together; None: no bound.
        steps: Those of `sources` that are amounts of labelled images; none where the table has one amount.
        least: Of a table with amounts, the labelled images of each target that every policy pays.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    transfers: tuple[Transfer, ...]
    costs: dict[str, Fraction]
    required: frozenset[str]
    fixed: Fraction = Fraction(0)
    currency: str | None = None
    licences: Mapping[str, str] = field(default_factory=dict)
    inference: Mapping[str, Fraction] = field(default_factory=dict)
    most_inference: Fraction | None = None
    steps: Mapping[str, Step] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def cost(self) -> dict[str, float]:
        """Return the costs as floats."""
        return {name: float(cost) for name, cost in self.costs.items()}

    @property
    def paid(self) -> float:
        """Return what every policy pays, as a float."""
        return float(self.fixed)

    @cached_property
    def dearest(self) -> Fraction:
        """Return the highest cost of a source; 1 where all are free."""
        return max(self.costs.values(), default=Fraction(0)) or Fraction(1)

    @cached_property
    def unit(self) -> int:
        """Return the common denominator of what the transfers are worth."""
        return denominator(one.exact for one in self.transfers)

    @cached_property
    def whole(self) -> list[int]:
        """Return what each transfer is worth times `unit`, a whole number."""
        return [one.exact.numerator * (self.unit // one.exact.denominator) for one in self.transfers]

    @cached_property
    def best(self) -> int:
        """Return the largest of `whole`; 1 where all transfers are worth nothing."""
        return max(self.whole) or 1

    def cost_of(self, sources: Iterable[str]) -> float:
        """Compute the label cost of a policy with these sources."""
        return float(sum((self.costs[name] for name in sources), start=self.fixed))

    def into(self, target: str) -> list[int]:
        """Return the numbers of the transfers into a target."""
        return self._into[target]

    @cached_property
    def _into(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {target: [] for target in self.targets}
        for number, transfer in enumerate(self.transfers):
            numbers[transfer.target].append(number)
        return numbers


def admissible(table: pd.DataFrame, params: PolicyParams, registry: Registry = BUILT_IN) -> Problem:
    """Apply roles, exclusions, order and self edge to a table, then balance what is left (balancing before the subset would be wrong).

    Args:
        table: Affinities.
        params: The section `policy`.
        registry: Tasks that exclusions and prices may name, whether or not the table has them.

    Raises:
        TaskonomyError: A name is not in the table, or a target or required source has no transfer left.
    """
    targets, sources = task_names(table)
    said = external_sources(table)
    licences = {**said.licences, **params.external}
    inference = {name: as_written(amount) for name, amount in {**said.inference, **params.inference}.items()}
    _check_names(params, targets, sources, registry)
    _check_external(licences, targets, sources)
    role = {name: params.roles.get(name, Role.BOTH) for name in {*targets, *sources}}
    solvable = tuple(name for name in targets if role[name] is not Role.SOURCE)
    if not solvable:
        raise TaskonomyError("policy.roles leave no target")
    barred = barred_by_licence(licences, params)
    usable = {name for name in (*targets, *sources) if role[name] is not Role.TARGET} - set(params.exclude) - barred
    rows = [_transfer(row) for row in table.itertuples() if row.target in solvable]
    allowed = [row for row in rows if _allowed(row, params) and row.needs <= usable]
    if params.max_inference is not None:
        allowed = _runnable(allowed, inference, as_written(params.max_inference))
    _check_served(solvable, rows, allowed, params)
    transfers = _weighed([row for row in allowed if not np.isnan(row.affinity)], params)
    used = sorted({name for transfer in transfers for name in transfer.needs})
    if missing := sorted(set(params.require) - set(used)):
        others = f"; policy.licences do not permit {', '.join(both)}" if (both := sorted(barred & set(missing))) else ""
        raise TaskonomyError(f"policy.require: {', '.join(missing)}: no admissible transfer uses it{others}")
    free = {name: as_written(params.cost.get(name, 0.0)) for name in used if name in licences}
    steps: Mapping[str, Step] = {}
    smallest: Mapping[str, int] = {}
    if has_amounts(table):
        found = with_amounts(transfers, solvable, free, params)
        transfers, steps, costs, fixed, smallest = found.transfers, found.steps, found.costs, found.fixed, found.least
        used += steps
    else:
        costs, fixed = _costs_in_full(params, solvable, transfers, used, licences)
    return _with_finite_objectives(
        Problem(
            solvable,
            tuple(used),
            transfers,
            {name: {**costs, **free}[name] for name in used},
            frozenset(params.require),
            fixed,
            params.labels.currency,
            {name: licence for name, licence in licences.items() if name in used},
            {name: amount for name, amount in inference.items() if name in used},
            None if params.max_inference is None else as_written(params.max_inference),
            steps,
            smallest,
        )
    )


def _costs_in_full(
    params: PolicyParams, targets: Sequence[str], transfers: Sequence[Transfer], used: Sequence[str], licences: Mapping[str, str]
) -> tuple[dict[str, Fraction], Fraction]:
    """Compute what each source costs, labelled in full, and what the labels for transfers cost, which every policy pays."""
    if params.labels.currency is None:
        least = {name: transfer_images(params.labels, name) for name in targets}
        return {name: cost_of_rest(params, name, least.get(name, 0)) for name in used}, Fraction(0)
    check_variants(params.labels, targets, ((one.target, one.sources) for one in transfers))
    paid = prices(params.labels, targets, [name for name in used if name not in licences])
    return dict(paid.sources), paid.transfers


def barred_by_licence(licences: Mapping[str, str], params: PolicyParams) -> set[str]:
    """Return the external sources whose licence is not among those that may be used."""
    if params.licences is None:
        return set()
    known = {one.strip().casefold() for one in params.licences}
    return {name for name, licence in licences.items() if licence.strip().casefold() not in known}


def _runnable(rows: list[Transfer], inference: Mapping[str, Fraction], most: Fraction) -> list[Transfer]:
    """Return the transfers that a bound on inference allows by themselves: none whose encoders take more, none with an encoder of its own.

    Raises:
        TaskonomyError: It is not known what a source takes.
    """
    shared = [row for row in rows if not any((one := variant(name)) is not None and one.share is not None for name in row.sources)]
    if unknown_ones := sorted({name for row in shared for name in row.needs} - inference.keys()):
        raise TaskonomyError(
            f"policy.max_inference: the multiply-adds of {', '.join(unknown_ones)} are not known; write policy.inference.{unknown_ones[0]},"
            " or the column inference of the table"
        )
    return [row for row in shared if sum((inference[name] for name in row.needs), start=Fraction(0)) <= most]


def _with_finite_objectives(problem: Problem) -> Problem:
    """Check that the objective of every policy is a finite float: importances are bounded, affinities of a table are not.

    Costs need no check: they are at most 1e12, or 1e12 images at a price of 1e12.

    Raises:
        TaskonomyError: One is not.
    """
    most = sum(max(problem.transfers[number].exact for number in problem.into(target)) for target in problem.targets)
    if most > as_written(sys.float_info.max):
        raise TaskonomyError(f"affinities, times policy.importance, add up to more than {sys.float_info.max:g}, the largest that can be shown")
    return problem


def _transfer(row: object) -> Transfer:
    sources: tuple[str, ...] = row.sources  # type: ignore[attr-defined]
    target: str = row.target  # type: ignore[attr-defined]
    images = None if math.isnan(count := getattr(row, IMAGES, math.nan)) else int(count)
    own = frozenset((target,)) if images is None else frozenset()  # from scratch on a part of its images, a network is no source
    needs = own if sources == (SELF,) else frozenset(map(labelled, sources))
    gain, against_scratch, quality = (float(getattr(row, name, math.nan)) for name in MEASURES)
    affinity, imputed = float(row.affinity), bool(getattr(row, "imputed", False))  # type: ignore[attr-defined]
    return Transfer(target, sources, needs, affinity, gain, quality, gain_scratch=against_scratch, imputed=imputed, images=images)


def _allowed(row: Transfer, params: PolicyParams) -> bool:
    if row.sources == (SELF,):
        return params.self_edge is SelfEdge.GOLD if row.images is None else params.self_edge is not SelfEdge.NONE
    if row.target in row.needs and params.self_edge is not SelfEdge.TRANSFER:
        return False
    return len(row.sources) <= params.max_order


def _weighed(rows: list[Transfer], params: PolicyParams) -> tuple[Transfer, ...]:
    affinities = [as_written(row.affinity) for row in rows]
    by_target: dict[str, list[Fraction]] = {}
    for row, affinity in zip(rows, affinities, strict=True):
        by_target.setdefault(row.target, []).append(affinity)
    weight = {target: as_written(params.importance.get(target, 1.0)) / (_scale(values, params.balance) or 1) for target, values in by_target.items()}
    weighed = [replace(row, exact=weight[row.target] * affinity) for row, affinity in zip(rows, affinities, strict=True)]
    # Sorted by name, so that the order of a table's rows changes nothing.
    return tuple(sorted(weighed, key=lambda row: (row.target, len(row.sources), sorted(row.sources), row.images or 0)))


def _scale(affinities: list[Fraction], balance: Balance) -> Fraction:
    """Compute the number that a target's affinities are divided by."""
    match balance:
        case Balance.SUM:
            return sum(affinities, start=Fraction(0))
        case Balance.PEAK:
            return max(affinities)
        case Balance.NONE:
            return Fraction(1)


def _check_names(params: PolicyParams, targets: list[str], sources: list[str], registry: Registry) -> None:
    tasks = {*targets, *sources}
    for key in ("importance", "cost", "roles", "exclude", "require"):
        # The default excludes pseudo-sources that not every table has.
        known = tasks | registry.keys() if key == "exclude" else tasks
        if missing := sorted(set(getattr(params, key)) - known):
            raise unknown(f"policy.{key}", missing, tasks)
    # A price list may be longer than a table.
    if missing := sorted(set(params.labels.tasks) - tasks - registry.keys()):
        raise unknown("policy.labels.tasks", missing, tasks | registry.keys())


def _check_external(licences: Mapping[str, str], targets: list[str], sources: list[str]) -> None:
    if missing := sorted(licences.keys() - set(sources)):
        raise unknown("policy.external", missing, sources)
    if both := sorted(licences.keys() & set(targets)):
        raise TaskonomyError(f"policy.external: {', '.join(both)} is a target of the table too, and a source that others trained has no labels")


def _check_served(targets: tuple[str, ...], rows: list[Transfer], allowed: list[Transfer], params: PolicyParams) -> None:
    measured = {row.target for row in allowed if not np.isnan(row.affinity)}
    if unserved := [name for name in targets if name not in measured]:
        have = {name: sum(row.target == name for row in rows) for name in unserved}
        listed = ", ".join(f"{name} ({have[name]} rows in the table)" for name in unserved)
        raise TaskonomyError(
            f"no transfer is left for {listed}: allowed are order <= {params.max_order}, self_edge {params.self_edge.value},"
            f" not from {', '.join(params.exclude) or 'none excluded'}"
            + (f", licences {', '.join(params.licences) or 'none'}" if params.licences is not None else "")
            + (f", max_inference {params.max_inference:g}" if params.max_inference is not None else "")
        )
