"""Compute how many labels transfer saves, and at what quality (paper abstract: about two thirds, for ten tasks)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams, Role, SavingsParams, SelfEdge
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.full_supervision import FULL_QUALITY, labels_share
from taskonomy.numeric.rng import generator
from taskonomy.policy.front import FrontPoint, front
from taskonomy.policy.planner import Planner
from taskonomy.tables.table import SELF, is_gold, labelled
from taskonomy.tasks import BUILT_IN, Registry


@dataclass(frozen=True)
class Reached:
    """The smallest budget at which the policy's mean quality reaches a share of full supervision's; None where no budget does."""

    level: float
    budget: float | None
    quality: float | None


def smallest_budgets(points: list[FrontPoint], levels: Iterable[float]) -> list[Reached]:
    """Find the smallest budget for each quality level on a front of one order, cheapest first."""
    reached = []
    for level in levels:
        enough = next((p.policy for p in points if p.policy.mean_quality >= level * FULL_QUALITY), None)
        reached.append(Reached(level, enough.budget if enough else None, enough.mean_quality if enough else None))
    return reached


def whole_table(table: pd.DataFrame, policy: PolicyParams, savings: SavingsParams, registry: Registry = BUILT_IN) -> list[Reached]:
    """Find the smallest budgets for all targets of a table, when a labelled task is solved by its own network (`self_edge: gold`)."""
    params = policy.model_copy(update={"self_edge": SelfEdge.GOLD})
    return smallest_budgets(front(table, params, [savings.max_order], registry=registry), savings.quality_levels)


def random_sets(
    table: pd.DataFrame,
    policy: PolicyParams,
    savings: SavingsParams,
    progress: Callable[[range], Iterable[int]] = lambda draws: draws,
    registry: Registry = BUILT_IN,
) -> pd.DataFrame:
    """Solve random sets of tasks, for the distribution of what transfer saves.

    Each draw takes `set_size` targets at random; every task may be a source, in the set or not. All budgets up to the size of the set are solved
    by the paper's rules, but with `self_edge: gold`.

    Returns:
        One row per draw and budget: `draw`, `budget`, `labels` (share of training each independently), `gain`, `quality`.
    """
    params = policy.as_in_paper().model_copy(update={"self_edge": SelfEdge.GOLD, "max_order": savings.max_order})
    measured = table[is_gold(table)]
    eligible = sorted(name for name in set(measured["target"]) if params.roles.get(name) is not Role.SOURCE)
    if len(eligible) < savings.set_size:
        raise TaskonomyError(f"savings.set_size is {savings.set_size}, but the table has {len(eligible)} targets with a row `{SELF}`")
    rows = []
    for draw in progress(range(savings.draws)):
        chosen = generator(savings.seed, "task set", draw).choice(eligible, savings.set_size, replace=False)
        planner = Planner(table[table["target"].isin(chosen)], _for_subset(params, set(chosen), table), registry=registry)
        for budget in range(1, savings.set_size + 1):
            best = planner.policy(budget)
            share = labels_share([one.target for one in best.transfers], best.labelled, savings.images_full, savings.images_transfer)
            rows.append({"draw": draw, "budget": budget, "labels": share, "gain": best.mean_gain, "quality": best.mean_quality})
    return pd.DataFrame(rows)


def summary(sets: pd.DataFrame, levels: Iterable[float]) -> dict[str, object]:
    """Compute quantiles (5, 50, 95 %) over the random sets: quality at about a third of the labels, and labels needed per level of quality."""
    result: dict[str, object] = {}
    third = sets[sets["labels"] <= 1 / 3].sort_values("budget").groupby("draw").last()
    result["a third of the labels"] = {
        "sets": len(third),
        **{name: _quantiles(third[name].to_numpy()) for name in ("labels", "gain", "quality") if len(third)},
    }
    draws = sets["draw"].nunique()
    for level in levels:
        enough = sets[sets["quality"] >= level * FULL_QUALITY].sort_values("budget").groupby("draw").first()
        result[f"{level:.0%} of full quality"] = {
            "reached_by": len(enough) / draws,
            "labels": _quantiles(enough["labels"].to_numpy()) if len(enough) else None,
        }
    return result


def _for_subset(params: PolicyParams, chosen: set[str], table: pd.DataFrame) -> PolicyParams:
    """Remove from the parameters the names that a table of these targets does not contain."""
    tasks = chosen | {labelled(name) for sources in table.loc[table["target"].isin(chosen), "sources"] for name in sources}
    return params.model_copy(
        update={
            "roles": {name: role for name, role in params.roles.items() if name in tasks},
            "exclude": tuple(name for name in params.exclude if name in tasks),
            "external": {name: licence for name, licence in params.external.items() if name in tasks - chosen},
        }
    )


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"5%": float(low), "50%": float(middle), "95%": float(high)}
