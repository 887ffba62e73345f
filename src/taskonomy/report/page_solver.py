"""The Boolean program as the report's page solves it: `templates/solver.js` reads what this module writes."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.problem import Problem


def page_program(problem: Problem, params: PolicyParams) -> dict[str, Any]:
    """Write a problem as the page's solver takes it; costs are decimals in words, as no double holds each of them."""
    return {
        "transfers": [
            {"target": one.target, "sources": list(one.sources), "needs": sorted(one.needs), "affinity": one.affinity} for one in problem.transfers
        ],
        "cost": {name: decimal(cost) for name, cost in problem.costs.items()},
        "fixed": decimal(problem.fixed),
        "budget": params.budget,
        "importance": dict(params.importance),
        "required": sorted(problem.required),
        "balance": params.balance.value,
    }


def decimal(number: Fraction) -> str:
    """Write a finite decimal with all its digits."""
    with localcontext(prec=400):
        return format(Decimal(number.numerator) / number.denominator, "f")
