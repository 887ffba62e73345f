"""Show whether the task networks learned: Table 1, training curves, and their predictions."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.affinity.table1 import BASELINES
from taskonomy.report.figures import by_family
from taskonomy.tasks import Registry
from taskonomy.wording.wording import count, percent, titles

HEADS = {"average": "beats constant", "random": "beats random", "pixels": "beats pixels", "scratch": "beats scratch"}
NO_BETTER = 0.55  # win rates below this are hardly better than a draw
WIDE, HIGH = 150.0, 56.0  # size of a curve's drawing, without its margins


def table(rates: pd.DataFrame, registry: Registry) -> dict[str, Any]:
    """Build the rows of Table 1 by family, with None where nothing was measured, and the mean of each column."""
    by_name = {str(row["task"]): row for row in rates.to_dict("records")}
    columns = [one for one in BASELINES if one in rates and rates[one].notna().any()]
    rows = [
        {"title": registry.title(name), "family": registry.family(name), "rates": [_rate(by_name[name], one) for one in columns]}
        for name in by_family(list(by_name), registry)
    ]
    known = rates.dropna(subset=["average"])
    weak = list(known.loc[known["average"] < NO_BETTER, "task"])
    said = f"{len(known) - len(weak)} of {count(len(known), 'network')} clearly beat the best constant answer"
    said += f"; {titles(weak, registry, 4)} {'do' if len(weak) > 1 else 'does'} not, so transfers from there say little." if weak else "."
    sure = any(f"{one}_low" in rates and rates[f"{one}_low"].notna().any() for one in columns)
    heads = [HEADS[one] for one in columns]
    return {"rows": rows, "heads": heads, "mean": [_known(rates[one].mean()) for one in columns], "see": said if len(known) else "", "sure": sure}


def curves(losses: pd.DataFrame, registry: Registry) -> dict[str, Any]:
    """Draw every task's losses by epoch as small curves, each on its own scale, with the paths of both splits."""
    panels, falls, late = [], [], []
    for task in by_family(sorted(set(losses["task"])), registry):
        here = {split: rows.sort_values("epoch") for split, rows in losses[losses["task"] == task].groupby("split")}
        every = np.concatenate([rows["loss"].to_numpy(float) for rows in here.values()])
        low, high = float(every.min()), float(every.max())
        panel: dict[str, Any] = {"title": registry.title(task), "family": registry.family(task), "low": low, "high": high, "paths": {}}
        for split, rows in here.items():
            values = rows["loss"].to_numpy(float)
            x = np.linspace(0, WIDE, len(values)) if len(values) > 1 else np.array([0.0])
            y = HIGH * (1 - (values - low) / ((high - low) or 1.0))
            panel["paths"][split] = "M" + " L".join(f"{one:.1f} {other:.1f}" for one, other in zip(x, y, strict=True))
        validation = here["validation"]["loss"].to_numpy(float)
        falls.append(1 - validation.min() / validation[0] if validation[0] > 0 else 0.0)
        panel |= {"epochs": len(validation), "best": int(validation.argmin()) + 1, "fall": falls[-1]}
        if panel["best"] == panel["epochs"]:
            late.append(task)
        panels.append(panel)
    most, least = (panels[int(place)]["title"] for place in (np.argmax(falls), np.argmin(falls)))
    said = (
        f"From its first epoch to its best, the median network's loss on held-back buildings falls by {percent(float(np.median(falls)))}, that of "
        f"{most} most and that of {least} least; {len(late)} of {len(panels)} were still getting better in their last epoch."
    )
    return {"panels": panels, "see": said, "wide": WIDE, "high": HIGH}


def answers(samples: list[dict[str, Any]], rates: pd.DataFrame | None, registry: Registry) -> dict[str, Any]:
    """Collect every network's predictions, by family."""
    by_name = {one["task"]: one for one in samples}
    beats = {} if rates is None else dict(zip(rates["task"], rates["average"], strict=True))
    cards = []
    for name in by_family(list(by_name), registry):
        rate = beats.get(name, np.nan)
        cards.append(
            {"title": registry.title(name), "family": registry.family(name), "beats": percent(rate) if not np.isnan(rate) else "", **by_name[name]}
        )
    known = sorted((rate, name) for name, rate in beats.items() if name in by_name and not np.isnan(rate))
    said = "Each network's answer beside what is right, on images it never saw."
    if len(known) > 1:
        best, worst = registry.title(known[-1][1]), registry.title(known[0][1])
        said = (
            f"Each network's answer beside what is right, on images it never saw: {best} beats the best constant answer most often "
            f"({percent(known[-1][0])} of the test images), {worst} least ({percent(known[0][0])})."
        )
    views = max(len(one["samples"]) for one in samples)
    plain = next((one for one in samples if not one["changes_images"] and one["samples"][0]["seen"]), None)
    return {"cards": cards, "views": views, "see": said, "images": [] if plain is None else [one["seen"] for one in plain["samples"]]}


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _rate(row: dict[Hashable, Any], name: str) -> dict[str, Any]:
    """Return a win rate and, where there is one, its interval in %."""
    low, high = (row.get(f"{name}_{end}", np.nan) for end in ("low", "high"))
    return {"value": _known(row[name]), "between": "" if pd.isna(low) else f"{100 * low:.0f} to {100 * high:.0f}"}
