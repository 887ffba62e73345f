"""The Boolean program as the report's page solves it: `templates/solver.js` and `templates/rules.js` read what this module writes."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams, Role
from taskonomy.evaluation.jackknife import Buildings
from taskonomy.policy.label_costs import cost_of, prices
from taskonomy.policy.numbers import as_written
from taskonomy.policy.problem import Problem, barred_by_licence
from taskonomy.report.inputs import Results
from taskonomy.report.policy_section import SHOWN
from taskonomy.tables.table import external_sources, has_amounts, labelled, measured, task_names
from taskonomy.tasks import BUILT_IN

MOST_ROWS = 20_000  # of a table that a page carries: some 2 MB


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
        **_inference(problem.inference, problem.most_inference),
    }


def _inference(known: Mapping[str, Fraction], most: Fraction | None) -> dict[str, Any]:
    """Write what encoders take, and its bound, where there is one."""
    return {"inference": {name: decimal(one) for name, one in known.items()}, "most_inference": None if most is None else decimal(most)}


def page_rules(results: Results) -> dict[str, Any] | None:
    """Collect what the page needs to solve the table by other rules than the pipeline's.

    It is None where the parameters are not known, and for a table with several amounts of labels, which the page does not solve and says so.

    A table that is too large for a page is left out, and `rows` is null: the page then says what to run instead.
    """
    if results.params is None or has_amounts(results.table):
        return None
    return rules_of_table(results.table, PolicyParams.model_validate(results.params["policy"]), results.buildings)


def rules_of_table(table: pd.DataFrame, params: PolicyParams, buildings: Buildings | None = None) -> dict[str, Any]:
    """Collect the rows of a table and the rules that the page starts with; gain and quality are those of `buildings`, if there are such."""
    table = measured(table)
    table = table[table["affinity"].notna()]
    targets, sources = task_names(table)
    solved = [name for name in targets if params.roles.get(name) is not Role.SOURCE]
    names = sorted({*targets, *map(labelled, sources)})
    money = params.labels.currency is not None
    said = external_sources(table)
    licences = {name: licence for name, licence in {**said.licences, **params.external}.items() if name in names}
    usable = [name for name in names if _label(name, params) != "no" and name not in licences]  # an excluded task need not have a price
    found = prices(params.labels, tuple(solved), usable) if money else None
    costs = dict(found.sources) if found else {name: cost_of(params, name) for name in names}
    costs |= {name: as_written(params.cost.get(name, 0.0)) for name in licences}
    inference = {name: as_written(amount) for name, amount in {**said.inference, **params.inference}.items()}
    most = None if params.max_inference is None else as_written(params.max_inference)
    return {
        "rows": None if len(table) > MOST_ROWS else _rows(table, buildings),
        "tasks": {name: _rule(name, params, name in solved, name in targets, costs.get(name)) for name in names},
        "policy": {name: getattr(params, name) for name in ("max_order", "budget", "self_edge", "balance")},
        "currency": params.labels.currency,
        "fixed": decimal(found.transfers if found else Fraction(0)),
        "licences": _licences(licences, barred_by_licence(licences, params)),
        **_inference(inference, most),
    }


def _licences(licences: Mapping[str, str], barred: set[str]) -> list[dict[str, Any]]:
    """List the licences of the sources that others trained, whether they may be used, and whose they are; upper and lower case are the same."""
    found: dict[str, dict[str, Any]] = {}
    for name, licence in sorted(licences.items()):
        key = licence.strip().casefold()
        one = found.setdefault(key, {"key": key, "title": licence.strip() or "unknown licence", "permitted": name not in barred, "sources": []})
        one["sources"].append(name)
    return [found[key] for key in sorted(found)]


def _rule(name: str, params: PolicyParams, solved: bool, target: bool, cost: Fraction | None) -> dict[str, Any]:
    return {
        "solve": solved if target else None,
        "label": _label(name, params),
        "cost": None if cost is None else decimal(cost),
        "free": BUILT_IN.labels_itself(name),
        "importance": params.importance.get(name, 1.0),
    }


def _label(name: str, params: PolicyParams) -> str:
    """Return whether a task is labelled in full: no, must, or may be."""
    if name in params.require:
        return "must"
    return "no" if name in params.exclude or params.roles.get(name) is Role.TARGET else "may"


def _rows(table: pd.DataFrame, buildings: Buildings | None) -> list[list[Any]]:
    """List the table's rows: target, sources, affinity, and the win rates `SHOWN` on the images that policies are judged on."""
    rates = [None if buildings is None else buildings.rates(zip(table["target"], table["sources"], strict=True), name) for name in SHOWN]
    known = table.reindex(columns=list(SHOWN))
    found = [known[name].to_numpy(float) if rate is None else rate for name, rate in zip(SHOWN, rates, strict=True)]
    shown = [[None if np.isnan(value) else round(float(value), 6) for value in values] for values in found]
    return [list(row) for row in zip(table["target"], map(list, table["sources"]), table["affinity"], *shown, strict=True)]


def decimal(number: Fraction) -> str:
    """Write a finite decimal with all its digits."""
    with localcontext(prec=400):
        return format(Decimal(number.numerator) / number.denominator, "f")
