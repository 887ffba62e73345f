"""The numbers behind each figure, which the page offers as CSV. Tasks go by their names, as in all tables of results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.evaluation.tree import Tree
from taskonomy.report.inputs import Results

_DIGITS = 6  # significant ones; more would make the page larger for nothing


def figure_data(results: Results, matrix: pd.DataFrame, worse: pd.DataFrame | None, more: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Collect the numbers of every figure that the page does not compute itself, with `more` of them: figure -> columns and rows."""
    found: dict[str, pd.DataFrame] = {**more, "heat": _long(matrix, "affinity"), "tree": _merges(results.tree), "savings": _sets(results.task_sets)}
    if worse is not None:
        found["heat"]["worse_than_constant"] = _long(worse, "worse")["worse"].astype("boolean")
    if results.losses is not None:
        found["losses"] = results.losses[~results.losses["sources"].str.contains("+", regex=False)]
    if results.curves is not None and not results.curves.empty:
        found["training"] = results.curves[["task", "split", "epoch", "loss"]]
    for name in {name for draw in results.significance.values() for name, held in draw.items() if isinstance(held, dict) and "histogram" in held}:
        found[f"significance-{name}"] = _histogram(results.significance, name)
    found |= {f"study-{study.name}": study.table for study in results.studies}
    return {name: {"columns": list(table.columns), "rows": _rows(table)} for name, table in sorted(found.items())}


def _long(matrix: pd.DataFrame, what: str) -> pd.DataFrame:
    rows = [
        (target, source, value)
        for target, row in zip(matrix.index, matrix.to_numpy(), strict=True)
        for source, value in zip(matrix, row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["target", "source", what])


def _merges(tree: Tree) -> pd.DataFrame:
    """List what joins what, from the most similar on; a cluster goes by its tasks, joined by `+`."""
    members = [[name] for name in tree.tasks]
    rows = []
    for first, second, distance, _size in tree.merges:
        one, other = members[int(first)], members[int(second)]
        members.append([*one, *other])
        rows.append(("+".join(one), "+".join(other), float(distance)))
    return pd.DataFrame(rows, columns=["one", "other", "distance"])


def _sets(sets: pd.DataFrame) -> pd.DataFrame:
    grouped = sets.groupby("budget")
    quality = {f"quality_{name}": grouped["quality"].quantile(level) for name, level in (("low", 0.05), ("median", 0.5), ("high", 0.95))}
    return pd.DataFrame({"labels": grouped["labels"].median(), **quality}).reset_index()


def _histogram(significance: dict[str, Any], name: str) -> pd.DataFrame:
    rows = []
    for draw, held in significance.items():
        if not isinstance(held, dict) or name not in held:
            continue
        edges, counts = held[name]["histogram"]["edges"], held[name]["histogram"]["counts"]
        rows += [(draw, low, high, number, held[name]["policy"]) for low, high, number in zip(edges[:-1], edges[1:], counts, strict=True)]
    return pd.DataFrame(rows, columns=["random", "from", "to", "policies", "this_policy"])


def _rows(table: pd.DataFrame) -> list[list[Any]]:
    return [[_cell(value) for value in row] for row in table.astype(object).to_numpy().tolist()]


def _cell(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return int(value) if isinstance(value, np.integer) else bool(value) if isinstance(value, np.bool_) else value
