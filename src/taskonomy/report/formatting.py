"""Format numbers and names for people. Nothing is escaped here: templates and plotly's labels escape where they show it."""

from collections.abc import Sequence

import numpy as np

from taskonomy.evaluation.jackknife import Interval
from taskonomy.tasks import Registry

SPACE = "\u00a0"


def percent(share: float | None, digits: int = 0) -> str:
    """Format a share in percent: 0.871 as 87 %."""
    return "n/a" if share is None or np.isnan(share) else f"{100 * share:.{digits}f}{SPACE}%"


def titles(names: Sequence[str], registry: Registry, shown: int = 100) -> str:
    """List tasks by title, at most `shown`; the rest are counted."""
    listed = [registry.title(name) for name in names]
    if len(listed) > shown:
        return f"{', '.join(listed[:shown])} and {len(listed) - shown} more"
    return " and ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)


def count(number: int, what: str, several: str | None = None) -> str:
    """Format a number with its noun: 1 task, 2 tasks."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def among(interval: Interval | None) -> str:
    """Format the bounds of an interval, in %, in brackets; empty where there are none."""
    if interval is None or np.isnan(interval.low):
        return ""
    return f" ({100 * interval.low:.0f} to {100 * interval.high:.0f})"
