"""Run the paper's experiments that need only an affinity table: novel tasks, budgets against chance, orders, other ways to transfer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.held_out import held_out
from taskonomy.evaluation.significance import Draw, random_policies
from taskonomy.policy.planner import Planner
from taskonomy.tables.table import MEASURES, SELF, join_sources, labelled
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import BUILT_IN, Registry

BEST, SINGLE, FULL = "best transfer", "best single source", "full supervision"
UNLABELLED = "self-supervised"  # the family whose labels are the images themselves
QUANTILES = (0.05, 0.95)


def against_chance(
    table: pd.DataFrame,
    held: pd.DataFrame,
    params: PolicyParams,
    budgets: Iterable[float],
    count: int,
    seed: int,
    registry: Registry = BUILT_IN,
) -> Iterator[dict[str, Any]]:
    """Compare the policy of each budget with random feasible ones (paper figure 11), by the paper's rules, on held-out images.

    Args:
        table: Affinities.
        held: Gain and quality of the same transfers on other images.
        params: What may be a source, and the highest order; what it says of costs, self edges and its budget is ignored.
        budgets: The budgets, in labelled tasks; those too small to solve every target are skipped.
        count: Number of random policies per budget and way of drawing.
        seed: Seed of the draws.
        registry: Tasks that exclusions and prices may name, whether or not the table has them.

    Yields:
        A row for each budget, measure and way of drawing: the policy's value, the random policies' mean and middle 90 %, and the p-value.
    """
    planner = Planner(table, params.as_in_paper(), registry=registry)
    elsewhere = held_out(planner.problem, held)
    looked_up = {(one.target, one.sources): one for one in elsewhere.transfers}
    smallest = planner.smallest_budget()
    for budget in sorted(budget for budget in set(budgets) if budget >= smallest):
        chosen = [looked_up[one.target, one.sources] for one in planner.policy(budget).transfers]
        for draw in Draw:
            drawn = random_policies(elsewhere, budget, count, draw, seed)
            for measure in MEASURES:
                values = np.array([getattr(one, measure) for one in chosen])
                if np.isnan(values).all():
                    continue
                own, others = float(np.nanmean(values)), getattr(drawn, measure)
                low, high = np.quantile(others, QUANTILES).tolist()
                p_value = (1 + int((others >= own - 1e-12).sum())) / (1 + count)
                facts = {"random": float(others.mean()), "random_low": low, "random_high": high, "p_value": p_value}
                yield {"budget": float(budget), "draw": draw.value, "measure": measure, "policy": own, **facts}


def novel_tasks(table: pd.DataFrame, held: pd.DataFrame, params: PolicyParams) -> Iterator[dict[str, Any]]:
    """Evaluate each target as if it were new: never a source itself, with all others available (paper figure 10).

    Yields:
        A row for each target and way to solve it: the best transfer and the best single source (by affinity), each self-supervised source and random
        weights, and the target's own network in full; with gain and quality on held-out images.
    """
    for target, rows in _rows_by_target(table, held):
        others = _from_others(rows, target, params)
        ways = {BEST: others, SINGLE: others[others["sources"].map(len) == 1]}
        single = rows[rows["sources"].map(len) == 1]
        for (name,) in single["sources"]:
            if name != SELF and name != target and variant(name) is None and BUILT_IN.family(name) == UNLABELLED:
                ways[name] = single[single["sources"] == (name,)]
        ways[FULL] = rows[rows["sources"] == (SELF,)]
        for way, some in ways.items():
            if len(some):
                yield {"target": target, "way": way, **_best(some)}


def by_order(table: pd.DataFrame, held: pd.DataFrame, params: PolicyParams) -> Iterator[dict[str, Any]]:
    """Select the transfer of the highest affinity for each target and order, with gain and quality on held-out images."""
    for target, rows in _rows_by_target(table, held):
        others = _from_others(rows, target, params)
        others = others[others["sources"].map(lambda sources: all(variant(name) is None for name in sources))]
        for order, some in others.groupby(others["sources"].map(len)):
            yield {"target": target, "order": int(order), **_best(some)}


def other_ways(table: pd.DataFrame, held: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Compare transitive and fine-tuned transfers with the plain transfer from the same source, on held-out images."""
    for target, rows in _rows_by_target(table, held):
        plain = {sources[0]: row for sources, row in zip(rows["sources"], rows.to_dict("records"), strict=True) if len(sources) == 1}
        for written, row in plain.items():
            one = variant(written)
            if one is not None and one.source in plain:
                direct = plain[one.source]
                kind = "transitive" if one.intermediate else "fine-tuned"
                yield {
                    "target": target, "written": written, "kind": kind, **{name: row[name] for name in MEASURES},
                    **{f"direct_{name}": direct[name] for name in MEASURES},
                }  # fmt: skip


def as_frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Build a table that has its columns even if there are no rows."""
    return pd.DataFrame(list(rows), columns=list(columns))


COLUMNS: dict[str, tuple[str, ...]] = {
    "chance": ("budget", "draw", "measure", "policy", "random", "random_low", "random_high", "p_value"),
    "novel": ("target", "way", "sources", "affinity", *MEASURES),
    "orders": ("target", "order", "sources", "affinity", *MEASURES),
    "ways": ("target", "written", "kind", *MEASURES, *(f"direct_{name}" for name in MEASURES)),
}


def _rows_by_target(table: pd.DataFrame, held: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each target's measured rows, with gain and quality of the held-out table."""
    elsewhere = dict(zip(_keys(held), held.reindex(columns=list(MEASURES)).to_numpy(float), strict=True))
    keys = _keys(table)
    if missing := [f"{join_sources(sorted(sources))} -> {target}" for target, sources in keys if (target, sources) not in elsewhere]:
        raise TaskonomyError(f"not measured on the held-out images: {', '.join(missing[:3])}")
    rows = table.assign(**dict(zip(MEASURES, np.array([elsewhere[key] for key in keys]).T, strict=True)))
    for target, some in rows[rows["affinity"].notna()].groupby("target", sort=True):
        yield str(target), some


def _keys(table: pd.DataFrame) -> list[tuple[str, frozenset[str]]]:
    """Return target and set of sources of each row: the order in which a table writes sources means nothing."""
    return list(zip(table["target"], map(frozenset, table["sources"]), strict=True))


def _from_others(rows: pd.DataFrame, target: str, params: PolicyParams) -> pd.DataFrame:
    """Select rows of an allowed order whose sources are other tasks that may be sources."""
    barred = {SELF, target, *params.exclude}
    return rows[[len(sources) <= params.max_order and not barred & set(map(labelled, sources)) for sources in rows["sources"]]]


def _best(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the row with the highest affinity; of equal ones the first by name."""
    written = rows["sources"].map(join_sources)
    best = rows.assign(sources=written).sort_values(["affinity", "sources"], ascending=[False, True]).iloc[0]
    return {name: best[name] for name in ("sources", "affinity", *MEASURES)}
