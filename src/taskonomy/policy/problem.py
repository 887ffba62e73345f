"""Which transfers may be chosen, what each is worth, and what each source costs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from taskonomy.affinity.table import SELF, labelled, task_names
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.params import Balance, PolicyParams, Role, SelfEdge
from taskonomy.policy.labels import check_variants, prices
from taskonomy.tasks import DICTIONARY


@dataclass(frozen=True)
class Transfer:
    """One admissible transfer, an edge of the hypergraph.

    Attributes:
        sources: as written in the table; `self` is the target's own fully supervised network.
        needs: the tasks that must be labelled in full for it; of `a>b` and `a@0.02`, a alone (`taskonomy.affinity.table.labelled`).
        affinity: as measured.
        worth: its part of the objective: importance times the rescaled affinity.
    """

    target: str
    sources: tuple[str, ...]
    needs: frozenset[str]
    affinity: float
    gain: float
    quality: float
    worth: float = field(default=np.nan)


@dataclass(frozen=True)
class Problem:
    """The input of the Boolean program but for the budget.

    Attributes:
        cost: Of each source, beyond what every policy pays.
        paid: What every policy pays: with prices, the labels for transfers to all targets.
        currency: Of costs; None: they count tasks.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    transfers: tuple[Transfer, ...]
    cost: dict[str, float]
    required: frozenset[str]
    paid: float = 0.0
    currency: str | None = None

    @property
    def unit(self) -> float:
        """Of costs in the program: GLPK, whose tolerances are absolute, has been wrong about costs of thousands beside affinities below 1."""
        return 1.0 if self.currency is None else max(self.cost.values(), default=0.0) or 1.0

    def cost_of(self, sources: Iterable[str]) -> float:
        """Label cost of a policy with these sources."""
        return float(sum((self.cost[name] for name in sorted(sources)), start=self.paid))

    def into(self, target: str) -> list[int]:
        """The transfers into a target, by their number."""
        return self._into[target]

    @cached_property
    def _into(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {target: [] for target in self.targets}
        for number, transfer in enumerate(self.transfers):
            numbers[transfer.target].append(number)
        return numbers


def admissible(table: pd.DataFrame, params: PolicyParams) -> Problem:
    """Apply roles, exclusions, order and self edge to a table, then balance what is left (trap: never balance before the subset).

    Raises:
        TaskonomyError: for names the table does not know, and for targets and required sources that no transfer is left for.
    """
    targets, sources = task_names(table)
    _check_names(params, targets, sources)
    role = {name: params.roles.get(name, Role.BOTH) for name in {*targets, *sources}}
    solvable = tuple(name for name in targets if role[name] is not Role.SOURCE)
    if not solvable:
        raise TaskonomyError("policy.roles leave no target")
    usable = {name for name in (*targets, *sources) if role[name] is not Role.TARGET} - set(params.exclude)
    rows = [_transfer(row) for row in table.itertuples() if row.target in solvable]
    allowed = [row for row in rows if _allowed(row, params) and row.needs <= usable]
    _check_served(solvable, rows, allowed, params)
    transfers = _weighed([row for row in allowed if not np.isnan(row.affinity)], params)
    used = sorted({name for transfer in transfers for name in transfer.needs})
    if missing := sorted(set(params.require) - set(used)):
        raise TaskonomyError(f"policy.require: {', '.join(missing)}: no admissible transfer uses it")
    if params.labels.currency is None:
        return Problem(solvable, tuple(used), transfers, {name: params.cost.get(name, 1.0) for name in used}, frozenset(params.require))
    check_variants(params.labels, solvable, ((one.target, one.sources) for one in transfers))
    found = prices(params.labels, solvable, used)
    return Problem(solvable, tuple(used), transfers, found.sources, frozenset(params.require), found.transfers, params.labels.currency)


def _transfer(row: object) -> Transfer:
    sources: tuple[str, ...] = row.sources  # type: ignore[attr-defined]
    target: str = row.target  # type: ignore[attr-defined]
    needs = frozenset((target,)) if sources == (SELF,) else frozenset(map(labelled, sources))
    return Transfer(target, sources, needs, float(row.affinity), float(row.gain), float(row.quality))  # type: ignore[attr-defined]


def _allowed(row: Transfer, params: PolicyParams) -> bool:
    if row.sources == (SELF,):
        return params.self_edge is SelfEdge.GOLD
    if row.target in row.needs and params.self_edge is not SelfEdge.TRANSFER:
        return False
    return len(row.sources) <= params.max_order


def _weighed(rows: list[Transfer], params: PolicyParams) -> tuple[Transfer, ...]:
    by_target: dict[str, list[float]] = {}
    for row in rows:
        by_target.setdefault(row.target, []).append(row.affinity)
    scale = {
        target: {Balance.NONE: 1.0, Balance.SUM: sum(values), Balance.PEAK: max(values)}[params.balance] or 1.0
        for target, values in by_target.items()
    }
    # Names order the program, so the order of a table's rows changes nothing.
    ordered = sorted(rows, key=lambda row: (row.target, len(row.sources), sorted(row.sources)))
    return tuple(Transfer(**{**row.__dict__, "worth": params.importance.get(row.target, 1.0) * row.affinity / scale[row.target]}) for row in ordered)


def _check_names(params: PolicyParams, targets: list[str], sources: list[str]) -> None:
    tasks = {*targets, *sources}
    for key in ("importance", "cost", "roles", "exclude", "require"):
        # The default excludes pseudo-sources that not every table has.
        known = tasks | DICTIONARY.keys() if key == "exclude" else tasks
        if missing := sorted(set(getattr(params, key)) - known):
            raise unknown(f"policy.{key}", missing, tasks)
    # A price list may be longer than a table.
    if missing := sorted(set(params.labels.tasks) - tasks - DICTIONARY.keys()):
        raise unknown("policy.labels.tasks", missing, tasks | DICTIONARY.keys())


def _check_served(targets: tuple[str, ...], rows: list[Transfer], allowed: list[Transfer], params: PolicyParams) -> None:
    measured = {row.target for row in allowed if not np.isnan(row.affinity)}
    if unserved := [name for name in targets if name not in measured]:
        have = {name: sum(row.target == name for row in rows) for name in unserved}
        listed = ", ".join(f"{name} ({have[name]} rows in the table)" for name in unserved)
        raise TaskonomyError(
            f"no transfer is left for {listed}: allowed are order <= {params.max_order}, self_edge {params.self_edge.value},"
            f" not from {', '.join(params.exclude) or 'none excluded'}"
        )
