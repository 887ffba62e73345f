"""The main results of a finished run as tables of Markdown, measured beside published, for `docs/results.md`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.affinity.table1 import BASELINES, read_networks
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.studies import COLUMNS, SINGLE
from taskonomy.policy.numbers import shown
from taskonomy.report.networks_section import HEADS
from taskonomy.report.significance_section import NAMES
from taskonomy.tables.table import MEASURES
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.wording.wording import percent

Row = tuple[str, ...]
PAPER_BUDGET = 8  # of the paper's large figure
_DRAWS = {"connections": "random sources and transfers", "sources": "random sources, best transfers"}


def results_page(measured: Path, published: Path, registry: Registry = BUILT_IN) -> str:
    """Write the tables of one run.

    Args:
        measured, published: Folders with the results of the run's table, and of the published one; what the latter lacks is left empty.
        registry: Tasks, with their titles.

    Raises:
        TaskonomyError: A result of the run is missing.
    """
    parts = ["<!-- Made by `taskonomy results`; do not edit. -->\n# Results of this run\n"]
    parts.append(_table("Transfers", ("", "measured", "published"), _transfers(measured, published)))
    parts.append(_table("Task networks: how often each beats a baseline", ("", "mean", "lowest"), _networks(measured / "networks.csv", registry)))
    ranks = "Ranking of sources: mean Spearman's rho of affinities with the published ones"
    parts.append(_table(ranks, ("rows", "measured", "by family", "by family and goodness"), _agreement(measured)))
    parts.append(
        _table("Families that join first in the similarity tree: share of triplets (p)", ("", "measured", "published"), _tree(measured, published))
    )
    columns, held = ("", "measured", "published"), "against random feasible ones: its value, the random mean, p"
    if (budget := _budget_in_paper(measured, published)) is not None:
        rows = _chance_in_paper(measured, published, budget)
        parts.append(_table(f"The paper's setting, budget {shown(budget)}: the policy {held}", columns, rows))
    parts.append(_table(f"The policy of this run, {_rules(measured)}, {held}", columns, _chance(measured, published)))
    noise = list(_noise(measured / "noise_metrics.json"))
    if noise:
        parts.append(_table("Standard deviation between seeds of training", ("", "count", "seeds", "value"), noise))
    return "\n".join(parts)


def _transfers(measured: Path, published: Path) -> Iterator[Row]:
    facts = _json(measured / "normalize_metrics.json")
    if worse := facts.get("worse_than_constant"):
        what = f"{worse['transfers']} of {worse['of']}, into {worse['targets']} targets"
        yield "first-order transfers from trained encoders that are worse than the best constant", what, ""
    novel = {folder: _best_single(folder / "novel.csv") for folder in (measured, published)}
    for name, against in (("gain", "a shallow network on the image (gain, the paper's)"), ("gain_scratch", "its network from scratch")):
        rates = [percent(novel[folder].get(name)) if novel[folder] else "" for folder in (measured, published)]
        yield f"best single other source, held-out images: beats {against}", *rates
    for measure, rho in _json(measured / "normalize_metrics.json").get("split_halves", {}).items():
        yield f"split halves of the test images: mean rank correlation of a target's sources by {measure}, without own and random", f"{rho:.2f}", ""


def _best_single(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    rows = pd.read_csv(path)
    rows = rows[rows["way"] == SINGLE]
    return {name: float(rows[name].mean()) for name in MEASURES if name in rows}


def _networks(path: Path, registry: Registry) -> Iterator[Row]:
    frame = read_networks(_there(path))
    for name in BASELINES:
        if name in frame and frame[name].notna().any():
            lowest = frame.sort_values(name, kind="stable").to_dict("records")[0]
            between = f", {100 * lowest[f'{name}_low']:.0f} to {100 * lowest[f'{name}_high']:.0f}" if f"{name}_low" in frame else ""
            yield HEADS[name], percent(frame[name].mean(), 1), f"{percent(lowest[name], 1)} ({_cell(registry.title(str(lowest['task'])))}{between})"


def _agreement(measured: Path) -> Iterator[Row]:
    path = measured / "agreement_metrics.json"
    if path.is_file():
        for rows, by in _json(path)["beside"].items():
            yield rows, *(f"{value:.2f}" if value is not None else "n/a" for value in by.values())


def _tree(measured: Path, published: Path) -> Iterator[Row]:
    both = [_json(folder / "evaluate_metrics.json", optional=folder is published) for folder in (measured, published)]
    shares, p_values = ([one.get(f"tree_family_{what}", {}) for one in both] for what in ("triplets", "p_values"))
    for name in shares[0]:
        yield name, *(f"{percent(one[name])} ({p[name]:.2g})" if name in one and name in p else "" for one, p in zip(shares, p_values, strict=True))


def _chance(measured: Path, published: Path) -> Iterator[Row]:
    both = [_json(folder / "evaluate_metrics.json", optional=folder is published) for folder in (measured, published)]
    for measure in MEASURES:
        for draw, title in _DRAWS.items():
            found = [one.get(draw, {}).get(measure) for one in both]
            if any(found):
                yield f"{NAMES[measure]}, against {title}", *(_held(one) for one in found)


def _rules(measured: Path) -> str:
    """Name the rules of the run's policy."""
    found = _json(measured / "policy.json")
    free = len(found.get("free", ()))
    return f"budget {shown(found['budget'])} ({free} of its {len(found['sources'])} sources at no cost)"


def _budget_in_paper(measured: Path, published: Path) -> float | None:
    """Find the budget nearest to that of the paper's large figure at which both tables were studied; None where there is none."""
    studied = [set(_studied(folder)["budget"]) for folder in (measured, published) if (folder / "chance.csv").is_file()]
    common = set.intersection(*studied) if studied else set()
    return min(common, key=lambda budget: (abs(budget - PAPER_BUDGET), budget), default=None)


def _chance_in_paper(measured: Path, published: Path, budget: float) -> Iterator[Row]:
    """Write the policies of one budget, by the paper's rules, beside random ones."""
    both = []
    for folder in (measured, published):
        rows = _studied(folder)
        some: list[dict[str, Any]] = rows[rows["budget"] == budget].to_dict("records")  # type: ignore[assignment]
        both.append({(one["measure"], one["draw"]): one for one in some})
    for measure in MEASURES:
        for draw, title in _DRAWS.items():
            found = [one.get((measure, draw)) for one in both]
            if any(found):
                yield f"{NAMES[measure]}, against {title}", *(_held({**one, "random_mean": one["random"]} if one else None) for one in found)


def _studied(folder: Path) -> pd.DataFrame:
    path = folder / "chance.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS["chance"]))


def _held(one: dict[str, Any] | None) -> str:
    return f"{one['policy']:.3f}, {one['random_mean']:.3f}, p = {one['p_value']:.2g}" if one else ""


def _noise(path: Path) -> Iterator[Row]:
    found = _json(path, optional=True)
    shown: dict[str, tuple[str, str, Callable[[float], str]]] = {
        "gain": ("transfers", "gain of a transfer, points", lambda value: f"{100 * value:.1f}"),
        "between_sources": ("transfers", "for comparison, gain between the sources of a target, points", lambda value: f"{100 * value:.1f}"),
        "affinity": ("transfers", "affinity of a transfer, as a factor", lambda value: f"{np.exp(value):.2f}"),
        "beats_constant": ("networks", "how often a task network beats the constant, points", lambda value: f"{100 * value:.1f}"),
    }
    for key, (kind, title, written) in shown.items():
        one = found.get(kind, {})
        if one.get(key) is not None:
            yield title, str(one["count"]), str(one["seeds"]), written(one[key])


def _table(title: str, head: Row, rows: Iterator[Row] | list[Row]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise TaskonomyError(f"{path}: no such result; run `taskonomy repro` first")
    return path


def _json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(_there(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskonomyError(f"{path}: not readable ({error}); run the stage that writes it again") from None
    return found
