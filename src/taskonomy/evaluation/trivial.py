"""What anybody could say of transfers without measuring one: the ranking of sources that a measured one has to beat."""

from enum import StrEnum
from typing import Any

import pandas as pd

from taskonomy.evaluation.agreement import agreement
from taskonomy.evaluation.tree import first_order
from taskonomy.tables.table import RANDOM
from taskonomy.tasks import BUILT_IN, Registry


class Ranking(StrEnum):
    """Whose ranking of the sources is compared with the reference."""

    MEASURED = "measured"
    FAMILY = "family"
    GOODNESS = "family and goodness"


class CountedRows(StrEnum):
    """Which rows count: a target's own encoder is nearly always first and random weights nearly always last, whoever ranks them."""

    OTHERS = "without own and random"
    ALL = "all rows"


def beside_the_trivial(table: pd.DataFrame, reference: pd.DataFrame, registry: Registry = BUILT_IN) -> dict[str, Any]:
    """Compute the agreement of two tables without own and random rows, and beside it that of all rows and of trivial rankings, under the same rule.

    Args:
        table: Affinities.
        reference: Affinities to compare with.
        registry: Tasks with their families.

    Returns:
        As `agreement`, and `beside`: `CountedRows` -> `Ranking` -> the means over the targets.

    Raises:
        TaskonomyError: No target has two common sources.
    """
    common = set(first_order(table).columns)
    rules: dict[CountedRows, dict[str, Any]] = {CountedRows.OTHERS: {"own": False, "without": {RANDOM}}, CountedRows.ALL: {}}
    targets = set(first_order(table).index)
    rivals = {one: trivial_ranking(reference, common, registry, goodness=one is Ranking.GOODNESS) for one in (Ranking.FAMILY, Ranking.GOODNESS)}
    tables = {Ranking.MEASURED: table, **{one: rival[rival["target"].isin(targets)] for one, rival in rivals.items()}}
    beside = {rows.value: {one.value: agreement(ranked, reference, **rule)["mean"] for one, ranked in tables.items()} for rows, rule in rules.items()}
    return {**agreement(table, reference, **rules[CountedRows.OTHERS]), "beside": beside}


def trivial_ranking(reference: pd.DataFrame, sources: set[str], registry: Registry = BUILT_IN, *, goodness: bool) -> pd.DataFrame:
    """Rank the sources of each target: its own task, then those of its family, then the others, random weights last.

    Args:
        reference: The table whose targets and sources are ranked.
        sources: Sources to rank; others are left out.
        registry: Tasks with their families.
        goodness: Order sources of one rank by how good they are in the reference for the other targets: their mean rank there, in [0, 1).

    Returns:
        A table of first-order rows, whose affinities are the ranks.
    """
    matrix = first_order(reference)
    matrix = matrix[[name for name in matrix.columns if name in sources]]
    places = matrix.rank(axis=1) / (matrix.shape[1] + 1)
    rows = []
    for target in matrix.index:
        good = places.drop(index=target).mean() if goodness and len(places) > 1 else pd.Series(0.0, matrix.columns)
        for source in matrix.columns:
            rows.append({"target": target, "sources": (source,), "affinity": _group(source, target, registry) + float(good[source])})
    return pd.DataFrame(rows)


def _group(source: str, target: str, registry: Registry) -> int:
    if source == target:
        return 4
    if source == RANDOM:
        return 1
    return 3 if registry.family(source) == registry.family(target) else 2
