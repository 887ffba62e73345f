"""Build the report as one self-contained page that works offline."""

import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from taskonomy.evaluation.significance import JUDGED_BY
from taskonomy.evaluation.tree import without_sources
from taskonomy.report import affinities_section as affinities
from taskonomy.report import agreement_section as agreement
from taskonomy.report import amounts_section as of_amounts
from taskonomy.report import labels_section as labelled
from taskonomy.report import networks_section as networks
from taskonomy.report import policy_section as decision
from taskonomy.report import provenance_section as made_of
from taskonomy.report import significance_section as chance
from taskonomy.report import transfers_section as transfers
from taskonomy.report.figure_data import figure_data
from taskonomy.report.figures import (
    FAMILY_COLOURS,
    FAMILY_MARKS,
    affinity_matrix,
    by_family,
    heat_map,
    loss_map,
    savings_figure,
    significance_figure,
    tree_figure,
)
from taskonomy.report.inputs import Results
from taskonomy.report.page_solver import page_rules
from taskonomy.tables.table import external_sources, has_amounts, measured, task_names
from taskonomy.tasks import FAMILIES
from taskonomy.wording.wording import as_it_is

BESIDE = 16  # matrices of up to this many columns fit side by side, with legible names below


def _used_as_they_are(results: Results) -> dict[str, dict[str, str]]:
    """Describe each source of a table that others trained."""
    said = external_sources(results.table)
    given = (results.params or {}).get("policy", {})
    licences = {**said.licences, **given.get("external", {})}
    inference = {**said.inference, **given.get("inference", {})}
    return {name: {"asItIs": as_it_is(licence, inference.get(name))} for name, licence in licences.items()}


def page(title: str, results: Results) -> str:
    """Render the report of one affinity table as one HTML file."""
    registry = results.registry
    shown = decision.points(results)
    chosen = decision.chosen(results.policy, shown)
    rules = page_rules(results)
    amounts = of_amounts.shown(results.amounts, registry)
    named = {*results.table["target"], *(name for point in shown for name in point["sources"]), *(rules["tasks"] if rules else ())}
    named |= of_amounts.tasks(amounts) | ({decision.SCRATCH} if has_amounts(results.table) else set())
    tasks = by_family(sorted(named), registry)
    others = _used_as_they_are(results)
    matrix = affinity_matrix(without_sources(results.table, results.excluded, registry), registry)
    worse = affinities.worse_than_constant(results.table, matrix)
    data = {
        "front": shown,
        "chosen": chosen,
        "tasks": {name: {"title": registry.title(name), "family": registry.family(name), **others.get(name, {})} for name in tasks},
        "rules": rules,
        "variants": decision.variants(results.table, registry),
        "colours": FAMILY_COLOURS,
        "marks": FAMILY_MARKS,
        **_figures(results, matrix, worse, amounts),
    }
    samples = results.samples or {"networks": [], "transfers": []}
    return _template().render(
        title=title,
        policy=results.policy,
        chosen=shown[chosen],
        titles={name: registry.title(name) for name in shown[chosen]["sources"]},
        excluded=[registry.title(name) for name in results.excluded if name in task_names(results.table)[1]],
        families={name: meaning for name, meaning in FAMILIES.items() if any(registry.family(task) == name for task in tasks)},
        others=bool(others),
        colours=FAMILY_COLOURS,
        marks=FAMILY_MARKS,
        how_sure=decision.how_sure(results),
        front_see=decision.what_a_budget_buys(results, shown),
        savings=results.savings,
        savings_see=decision.labels_saved(results),
        chance_see=chance.better_than_chance(results.significance),
        significance=chance.shown(results.significance),
        elsewhere=chance.elsewhere(results.policy, results.significance),
        amounts=amounts,
        several=has_amounts(results.table),
        labelled=labelled.shown(results),
        networks=None if results.networks is None else networks.table(results.networks, registry),
        curves=None if results.curves is None or results.curves.empty else networks.curves(results.curves, registry),
        answers=networks.answers(samples["networks"], results.networks, registry) if samples["networks"] else None,
        transfers=transfers.shown(samples["transfers"], registry),
        **_affinities(results, matrix, worse),
        tree=affinities.nearest(results.tree, results.families, registry),
        agreement=None if results.agreement is None else agreement.shown(results.agreement, registry),
        studies=results.studies,
        made_of=made_of.shown(results),
        style=_ours("page.css"),
        rules=rules,
        script=Markup("\n").join(map(_ours, ("solver.js", "shared.js", "rules.js", "page.js", *(["amounts.js"] if amounts else []), "downloads.js"))),
        plotly=Markup(get_plotlyjs()),  # noqa: S704, plotly's own file
        data=Markup(embedded_json(data)),  # noqa: S704, escaped for a script element by embedded_json
    )


def _template() -> Template:
    found = Environment(loader=PackageLoader("taskonomy.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return found.get_template("page.html.jinja")


def embedded_json(value: object) -> str:
    """Write JSON in which no name can end the script element that holds it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _affinities(results: Results, matrix: Any, worse: Any) -> dict[str, Any]:
    """Collect what the matrices of affinities are shown with."""
    registry = results.registry
    return {
        "before_see": None if results.losses is None else affinities.before(results.losses, registry),
        "after_see": affinities.best_sources(without_sources(measured(results.table), results.excluded, registry), registry),
        "imputed": len(results.table) - len(measured(results.table)),
        "noise_see": affinities.noise(results.noise),
        "constants_see": affinities.constants(worse),
        "columns": matrix.shape[1],
        "beside": matrix.shape[1] <= BESIDE,
    }


def _figures(results: Results, matrix: Any, worse: Any, amounts: dict[str, Any] | None) -> dict[str, Any]:
    """Draw what the page does not draw itself, with the numbers behind each figure."""
    registry = results.registry
    heat = heat_map(matrix, registry, worse, affinities.imputed_pairs(results.table))
    figures = {"heat": heat, "tree": tree_figure(results.tree, registry), "savings": savings_figure(results.task_sets)}
    figures |= {
        f"significance-{name}": significance_figure(results.significance, name) for name in JUDGED_BY if name in results.significance["connections"]
    }
    if results.losses is not None:
        figures["losses"] = loss_map(affinities.matrix_before(results.losses, matrix), registry)
    figures |= {f"study-{study.name}": study.figure for study in results.studies}
    figures |= {one["id"]: one["figure"] for one in amounts["panels"]} if amounts else {}
    drawn = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    numbers = figure_data(results, matrix, worse, of_amounts.numbers(amounts) if amounts else {})
    return {"figures": drawn, "numbers": numbers, **({"amounts": of_amounts.of_script(amounts)} if amounts else {})}


def _ours(name: str) -> Markup:
    return Markup(files("taskonomy.report").joinpath("templates", name).read_text(encoding="utf-8"))  # noqa: S704, our own file
