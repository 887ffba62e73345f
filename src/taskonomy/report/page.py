"""One self-contained page: works from disk, offline."""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from taskonomy.affinity.table import read_table, task_names
from taskonomy.evaluation.families import CHANCE, family_triplets
from taskonomy.evaluation.networks import BASELINES, read_networks
from taskonomy.evaluation.significance import MEASURES
from taskonomy.evaluation.tree import Tree, without_sources
from taskonomy.report.figures import FAMILY_COLOURS, by_family, heat_map, savings_figure, significance_figure, tree_figure
from taskonomy.tasks import FAMILIES, family_of, title_of
from taskonomy.variants import Variant, variant


@dataclass(frozen=True)
class Results:
    """What the page shows of one affinity table.

    Attributes:
        policy, front: as `--json` prints them; the reader chooses order and budget among those of the front.
        significance: as `taskonomy.evaluation.significance` returns it.
        savings: labels saved for the whole table and for random sets of tasks, whose draws are `task_sets`.
        networks: as `taskonomy.evaluation.networks` reads it; None where it is not known.
    """

    table: pd.DataFrame
    excluded: tuple[str, ...]
    policy: dict[str, Any]
    front: list[dict[str, Any]]
    significance: dict[str, Any]
    savings: dict[str, Any]
    task_sets: pd.DataFrame
    tree: Tree
    networks: pd.DataFrame | None = None


def read_results(table: Path, folder: Path, excluded: tuple[str, ...], networks: Path | None = None) -> Results:
    """Read what the earlier stages wrote into a folder, and the win rates of the task networks."""
    read = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("policy", "front", "significance", "tree")}
    savings = json.loads((folder / "savings_metrics.json").read_text(encoding="utf-8"))
    tree = Tree.from_dict(read.pop("tree"))
    task_sets, rates = pd.read_csv(folder / "task_sets.csv"), None if networks is None else read_networks(networks)
    return Results(read_table(table), excluded, **read, savings=savings, task_sets=task_sets, tree=tree, networks=rates)


def page(title: str, results: Results) -> str:
    """The report of one affinity table, as one HTML file."""
    table, policy, front = results.table, results.policy, results.front
    kept = without_sources(table, results.excluded)
    figures = {"heat": heat_map(kept), "tree": tree_figure(results.tree)}
    figures |= {f"significance-{name}": significance_figure(results.significance, name) for name in MEASURES}
    figures["savings"] = savings_figure(results.task_sets)
    tasks = by_family(sorted({*table["target"], *(name for point in front for name in point["sources"])}))
    data = {
        "front": [_compact(point) for point in front],
        "chosen": {"order": policy["max_order"], "budget": policy["budget"]},
        "tasks": {name: {"title": title_of(name), "family": family_of(name)} for name in tasks},
        "variants": _variants(front),
        "colours": FAMILY_COLOURS,
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("taskonomy.report").joinpath("page.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        policy=policy,
        excluded=[title_of(name) for name in results.excluded if name in task_names(table)[1]],
        families={name: (FAMILY_COLOURS[name], meaning) for name, meaning in FAMILIES.items() if any(family_of(task) == name for task in tasks)},
        colours=FAMILY_COLOURS,
        measures=[name for name in MEASURES if name in results.significance["connections"]],
        significance=results.significance,
        elsewhere=_elsewhere(policy, results.significance),
        networks=None if results.networks is None else _networks(results.networks),
        triplets=family_triplets(results.tree),
        chance=CHANCE,
        savings=results.savings,
        script=Markup(files("taskonomy.report").joinpath("page.js").read_text(encoding="utf-8")),  # noqa: S704, our own file
        plotly=Markup(get_plotlyjs()),  # noqa: S704, plotly's own file
        data=Markup(embedded_json(data)),  # noqa: S704, escaped for a script element by embedded_json
    )


def embedded_json(value: object) -> str:
    """JSON that stays inside its script element whatever the names in it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _networks(rates: pd.DataFrame) -> dict[str, Any]:
    """Rows as people read them, by family, with None where nothing was measured; and the mean of each column."""
    by_name = rates.set_index("task")
    rows = [
        {"title": title_of(name), "family": family_of(name), **{one: _known(by_name.loc[name, one]) for one in BASELINES}}
        for name in by_family(list(by_name.index))
    ]
    return {"rows": rows, "mean": {one: _known(rates[one].mean()) for one in BASELINES}}


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _elsewhere(policy: dict[str, Any], significance: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Where significance was evaluated on other images than the affinities: mean gain and quality on both, those of the policy first."""
    held = significance["connections"]
    both = {name: (policy[f"mean_{name}"], held[name]["policy"]) for name in ("gain", "quality") if name in held}
    return {name: (own, other) for name, (own, other) in both.items() if own is None or abs(own - other) > 1e-9}


def _variants(front: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Sources of the front's transfers that are more than a task: as written -> the task, and how people read it."""
    written = sorted({name for point in front for one in point["transfers"] for name in one["sources"]})
    return {one.written: {"source": one.source, "title": _title(one)} for name in written if (one := variant(name)) is not None}


def _title(one: Variant) -> str:
    if one.intermediate is not None:
        return f"{title_of(one.source)} by way of {title_of(one.intermediate)}"
    return f"{title_of(one.source)} fine-tuned on {100 * (one.share or 0):g}\u00a0% of the training images"


def _compact(point: dict[str, Any]) -> dict[str, Any]:
    names = ("max_order", "budget", "cost", "objective", "mean_gain", "mean_quality", "sources", "status", "one_more_label")
    transfers = [[one["target"], one["sources"], one["gain"], one["quality"]] for one in point["transfers"]]
    return {**{name: point[name] for name in names}, "transfers": transfers}
