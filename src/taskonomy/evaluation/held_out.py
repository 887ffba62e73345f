"""Evaluate policies by gain and quality on images that the affinities were not measured on."""

from dataclasses import replace

import numpy as np
import pandas as pd

from taskonomy.errors import TaskonomyError
from taskonomy.policy.problem import Problem, Transfer
from taskonomy.tables.table import IMAGES, MEASURES, join_sources

_SHOWN = 3


def held_out(problem: Problem, table: pd.DataFrame) -> Problem:
    """Return the problem with the gain and quality of another table; affinities, and so objectives, stay.

    A policy that `read_policy` looks up in it, and random policies drawn from it, have the gain and quality of that table.

    Raises:
        TaskonomyError: Transfers are missing from the table, or lack a gain or quality that the problem has; it names them.
    """
    # As sets: the order in which a table writes a transfer's sources means nothing.
    images = table[IMAGES].fillna(0) if IMAGES in table else [0] * len(table)
    rates = table.reindex(columns=list(MEASURES)).to_numpy(float).tolist()
    rows = {
        (target, frozenset(sources), int(count)): dict(zip(MEASURES, row, strict=True))
        for target, sources, count, row in zip(table["target"], table["sources"], images, rates, strict=True)
    }
    found = [rows.get(_key(one), dict.fromkeys(MEASURES, np.nan)) for one in problem.transfers]
    missing = [
        f"{join_sources(one.sources)} -> {one.target}"
        for one, there in zip(problem.transfers, found, strict=True)
        if _key(one) not in rows or any(_lost(getattr(one, name), there[name]) for name in MEASURES)
    ]
    if missing:
        more = f" (and {len(missing) - _SHOWN:,} more)" if len(missing) > _SHOWN else ""
        raise TaskonomyError(f"not measured on the held-out images: {', '.join(missing[:_SHOWN])}{more}")
    transfers: tuple[Transfer, ...] = tuple(replace(one, **there) for one, there in zip(problem.transfers, found, strict=True))
    return replace(problem, transfers=transfers)


def _key(one: Transfer) -> tuple[str, frozenset[str], int]:
    return one.target, frozenset(one.sources), one.images or 0


def _lost(before: float, after: float) -> bool:
    return bool(np.isnan(after) and not np.isnan(before))
