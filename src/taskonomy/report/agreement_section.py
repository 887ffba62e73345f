"""Compare how the run's affinities and the published ones rank sources."""

from typing import Any

import numpy as np

from taskonomy.tasks import Registry
from taskonomy.wording.wording import percent


def shown(found: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """Build bars of rank correlation, best first, and a summary over all targets."""
    rows = [
        {
            "title": registry.title(name),
            "family": registry.family(name),
            "rho": None if one["spearman"] is None else round(one["spearman"], 6) + 0.0,
            "top": one["top5"],
            "sources": one["sources"],
        }
        for name, one in found["targets"].items()
    ]
    rows.sort(key=lambda row: (-np.inf if row["rho"] is None else row["rho"], row["title"]), reverse=True)
    known = [row for row in rows if row["rho"] is not None]
    mean, chance = found["mean"], found["by_chance"]
    said = "No target ranks its sources at all."
    if known:
        own = "" if found.get("own", True) else " but its own"
        above = sum(row["rho"] > 0 for row in known)
        first, last = (f"{row['title']} ({row['rho']:+.2f})" for row in (known[0], known[-1]))
        said = (
            f"For {above} of {len(known)} targets the run ranks the {len(found['sources'])} common sources{own} in the authors' direction, mean rank "
            f"correlation {mean['spearman']:+.2f} (0 by chance), from {first} to {last}; of their five best sources, {percent(mean['top5'])} are "
            f"among the run's five best ({percent(chance['top5'])} by chance)."
        )
    beside = found.get("beside", {})
    whose = list(next(iter(beside.values()), {}))
    table = [{"rows": rule, "rhos": [_signed(by[who]["spearman"]) for who in whose]} for rule, by in beside.items()]
    return {"rows": rows, "see": said, "whose": whose, "beside": table}


def _signed(rho: float | None) -> str:
    return "n/a" if rho is None or np.isnan(rho) else f"{rho:+.2f}"
