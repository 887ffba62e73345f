"""Evaluate policies by gain and quality on images that the affinities were not measured on."""

from dataclasses import replace

import numpy as np
import pandas as pd

from taskonomy.errors import TaskonomyError
from taskonomy.policy.problem import Problem, Transfer
from taskonomy.tables.table import join_sources

_SHOWN = 3


def held_out(problem: Problem, table: pd.DataFrame) -> Problem:
    """Return the problem with the gain and quality of another table; affinities, and so objectives, stay.

    A policy that `read_policy` looks up in it, and random policies drawn from it, have the gain and quality of that table.

    Raises:
        TaskonomyError: Transfers are missing from the table, or lack a gain or quality that the problem has; it names them.
    """
    # As sets: the order in which a table writes a transfer's sources means nothing.
    rows = {(row.target, frozenset(row.sources)): (float(row.gain), float(row.quality)) for row in table.itertuples()}  # type: ignore[arg-type]
    found = [rows.get((one.target, frozenset(one.sources)), (np.nan, np.nan)) for one in problem.transfers]
    missing = [
        f"{join_sources(one.sources)} -> {one.target}"
        for one, (gain, quality) in zip(problem.transfers, found, strict=True)
        if (one.target, frozenset(one.sources)) not in rows or _lost(one.gain, gain) or _lost(one.quality, quality)
    ]
    if missing:
        more = f" (and {len(missing) - _SHOWN:,} more)" if len(missing) > _SHOWN else ""
        raise TaskonomyError(f"not measured on the held-out images: {', '.join(missing[:_SHOWN])}{more}")
    transfers: tuple[Transfer, ...] = tuple(
        replace(one, gain=gain, quality=quality) for one, (gain, quality) in zip(problem.transfers, found, strict=True)
    )
    return replace(problem, transfers=transfers)


def _lost(before: float, after: float) -> bool:
    return bool(np.isnan(after) and not np.isnan(before))
