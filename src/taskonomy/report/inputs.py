"""Read what a page shows of one affinity table: results that every table has, and those that only a table measured by a run has."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.advice.basis import label_curves, read_amounts_table
from taskonomy.advice.curves import LabelCurve
from taskonomy.affinity.table1 import read_networks
from taskonomy.config.params import Params
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.jackknife import Buildings
from taskonomy.evaluation.tree import Tree
from taskonomy.report.study_figures import Study, studies
from taskonomy.tables.table import read_table
from taskonomy.tasks import BUILT_IN, Registry

STAGES = ("policy", "front", "savings", "evaluate")  # stages whose parameters every page shows


@dataclass(frozen=True)
class RunAmounts:
    """What a run with several amounts of labels has beside its table with the largest.

    Attributes:
        table: Affinities of all amounts.
        curves: Losses of the table's rows by amount, and those of the shallow networks on the image.
        spending: Result of `taskonomy.advice.spending`.
    """

    table: pd.DataFrame
    curves: tuple[LabelCurve, ...]
    spending: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The contents of a page for one affinity table. A part of the page is left out where its attribute is None.

    Attributes:
        policy, front: As printed by `--json`; the reader chooses order and budget among those of the front.
        significance: Result of `taskonomy.evaluation.significance`.
        savings: Labels saved for the whole table and for random sets of tasks, whose draws are `task_sets`.
        families: How well the tree recovers the families: result of `taskonomy.evaluation.families.family_test`.
        networks: Win rates as read by `taskonomy.affinity.table1`.
        buildings: Gain and quality by building, on images that played no part in choosing the policy.
        losses: Mean losses: `target`, `sources`, `loss`.
        curves: Mean losses by epoch: `task`, `split`, `epoch`, `loss`.
        agreement: Result of `taskonomy.evaluation.agreement`.
        noise: Affinities and win rates from several seeds, as `taskonomy.affinity.noise` gives them.
        samples: Contents of the stage `samples`, with pictures as data URIs.
        facts: Result of `taskonomy.report.provenance`, with the parameters of the run.
        params: Parameters of what was computed from the table, by section.
        amounts: Several amounts of labels, if the run has them.
        images: Numbers of labelled images that a fully supervised network and a transfer need.
        studies: The paper's experiments.
        registry: Registry of tasks, with their titles.
    """

    table: pd.DataFrame
    excluded: tuple[str, ...]
    policy: dict[str, Any]
    front: list[dict[str, Any]]
    significance: dict[str, Any]
    savings: dict[str, Any]
    task_sets: pd.DataFrame
    tree: Tree
    families: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: pd.DataFrame | None = None
    buildings: Buildings | None = None
    losses: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    agreement: dict[str, Any] | None = None
    noise: pd.DataFrame | None = None
    samples: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    amounts: RunAmounts | None = None
    images: tuple[int, int] | None = None
    studies: tuple[Study, ...] = ()
    registry: Registry = BUILT_IN


def read_results(table: Path, folder: Path, params: Params, networks: Path | None = None, experiments: Path | None = None) -> Results:
    """Read what earlier stages wrote into a folder, the win rates of the task networks, and the results of experiments that train.

    Raises:
        TaskonomyError: A file is damaged.
    """
    read = {name: _json(folder / f"{name}.json") for name in ("policy", "front", "significance", "tree")}
    families = read["tree"].get("families", {})
    tree = Tree.from_dict(read.pop("tree"))
    optional = {name: _json(path) for name in ("agreement", "facts") if (path := folder / f"{name}.json").is_file()}
    tables: dict[str, Any] = {name: pd.read_csv(path) for name in ("losses", "curves", "noise") if (path := folder / f"{name}.csv").is_file()}
    parts = folder / "by_building.csv"
    samples = folder / "samples" / "samples.json"
    return Results(
        read_table(table),
        params.policy.exclude,
        **read,
        savings=_json(folder / "savings_metrics.json"),
        task_sets=pd.read_csv(folder / "task_sets.csv"),
        tree=tree,
        families=families,
        networks=None if networks is None else read_networks(networks),
        buildings=Buildings(pd.read_csv(parts, dtype={"building": str}), params.normalize.confidence) if parts.is_file() else None,
        samples=_with_pictures(_json(samples), samples.parent) if samples.is_file() else None,
        params=params.model_dump(mode="json", include=set(STAGES)),
        amounts=read_amounts(folder),
        images=images_of_run(optional.get("facts"), params),
        studies=tuple(studies(folder, experiments, params.registry)),
        registry=params.registry,
        **optional,
        **tables,
    )


def read_amounts(folder: Path) -> RunAmounts | None:
    """Read what the stages `amounts` and `spending` wrote; None for a run with one amount, and for a table from elsewhere."""
    path, losses = folder / "amounts.csv", folder / "amounts_losses.csv"
    if not path.is_file() or (table := read_amounts_table(path)) is None:
        return None
    curves = (*label_curves(losses), *label_curves(losses, shallow=True))
    return RunAmounts(table, curves, _json(folder / "spending.json"))


def images_of_run(facts: dict[str, Any] | None, params: Params) -> tuple[int, int]:
    """Return the run's own numbers of images; for a table from elsewhere those that the parameters assume."""
    if facts is None:
        return params.savings.images_full, params.savings.images_transfer
    views = facts["data"]["views"]
    amounts = facts["params"]["transfer"]["images"]  # a number, or several
    return int(views["train"]), min(max(amounts) if isinstance(amounts, list) else int(amounts), int(views["transfer"]))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskonomyError(f"{path}: not readable ({error}); remove it, and run the stage that writes it again") from None


def _with_pictures(value: Any, folder: Path) -> Any:
    """Replace file names of pictures by the pictures as data URIs."""
    match value:
        case dict():
            return {key: _with_pictures(one, folder) for key, one in value.items()}
        case list():
            return [_with_pictures(one, folder) for one in value]
        case str() if value.endswith(".webp"):
            return f"data:image/webp;base64,{b64encode((folder / Path(value).name).read_bytes()).decode()}"
    return value
