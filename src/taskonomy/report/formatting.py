"""Numbers and names as people read them. Nothing here is escaped: templates and plotly's labels do that where they show it."""

from collections.abc import Sequence

import numpy as np

from taskonomy.evaluation.jackknife import Interval
from taskonomy.tasks import Registry

SPACE = "\u00a0"


def percent(share: float | None, digits: int = 0) -> str:
    """0.871 as 87 %."""
    return "n/a" if share is None or np.isnan(share) else f"{100 * share:.{digits}f}{SPACE}%"


def titles(names: Sequence[str], registry: Registry, shown: int = 100) -> str:
    """List tasks by title: all but so many are counted instead."""
    listed = [registry.title(name) for name in names]
    if len(listed) > shown:
        return f"{', '.join(listed[:shown])} and {len(listed) - shown} more"
    return " and ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)


def count(number: int, what: str, several: str | None = None) -> str:
    """1 task, 2 tasks."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def among(interval: Interval | None) -> str:
    """The bounds of an interval, in %, in brackets; empty where there are none."""
    if interval is None or np.isnan(interval.low):
        return ""
    return f" ({100 * interval.low:.0f} to {100 * interval.high:.0f})"
