"""The best policy of every budget, for the curve beside the slider."""

import math
from dataclasses import dataclass
from typing import Any

from taskonomy.policy.label_costs import money
from taskonomy.policy.planner import Policy


@dataclass(frozen=True)
class BudgetCurve:
    """The best policies, by ascending budget; `whole` unless the time limit ended before the largest budget."""

    policies: tuple[Policy, ...]
    whole: bool

    def as_data(self, currency: str | None) -> dict[str, Any]:
        """Return what the page draws: of each budget its text, mean gain, mean quality and number of labelled tasks."""
        points = [
            {
                "budget": one.budget,
                "text": money(round(one.budget, 2), currency),
                "gain": _known(one.mean_gain),
                "quality": _known(one.mean_quality),
                "labelled": len(one.labelled),
            }
            for one in self.policies
        ]
        return {"points": points, "whole": self.whole, "solved": True}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
