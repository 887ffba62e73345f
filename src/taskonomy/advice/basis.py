"""What advice is asked of: the table with amounts of a finished run and what is labelled there, or a table from elsewhere."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.advice.curves import LabelCurve, curves
from taskonomy.advice.predictions import with_predictions
from taskonomy.config.checked import checked
from taskonomy.config.params import read_params
from taskonomy.config.policy_params import Balance, LabelsParams, PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.tables.csv_reader import read_sheet
from taskonomy.tables.table import PIXELS, REQUIRED, SELF, external_sources, has_amounts, labelled, read_table
from taskonomy.tasks import BUILT_IN, Registry

AMOUNTS, LOSSES, FACTS = Path("results/measured/amounts.csv"), Path("results/measured/amounts_losses.csv"), Path("results/measured/facts.json")
LABELS = "labels"  # the currency where a budget counts labelled images
_HALF = "test_affinity"  # curves are of the images that affinities are measured on; policies are held against the other half


@dataclass(frozen=True)
class Asked:
    """All that advice rests on.

    Attributes:
        table: A table with amounts, with predictions beyond the largest.
        params: The section `policy`: prices, images of each task, and those that are there.
        curves: Loss by labelled images of the table's rows; none for a table without losses.
        registry: Tasks of the run.
    """

    table: pd.DataFrame
    params: PolicyParams
    curves: tuple[LabelCurve, ...] = ()
    registry: Registry = BUILT_IN


def of_run(folder: Path, budget: float, labels: LabelsParams | None, *, count: bool) -> Asked:
    """Ask about a finished run.

    A task is labelled in full with the labels that its network was trained on, which are there. Further labels of a task are for transfers to it.

    Args:
        folder: Its project.
        budget: Money, or labelled images.
        labels: Prices, in place of those of params.yaml.
        count: Whether the budget counts labelled images.

    Raises:
        TaskonomyError: Something of the run is missing; it is named.
    """
    params = read_params(folder / "params.yaml")
    if not (folder / AMOUNTS).is_file():
        raise TaskonomyError(f"{folder / AMOUNTS}: no such table; set several transfer.images in params.yaml, and run taskonomy repro")
    table = read_amounts_table(folder / AMOUNTS)
    if table is None:
        raise TaskonomyError(f"{folder / AMOUNTS}: has no amounts; set several transfer.images in params.yaml, and run taskonomy repro")
    there = _there(folder, table)
    found = label_curves(folder / LOSSES) if (folder / LOSSES).is_file() else []
    rules = params.policy.model_dump()
    priced = labels or params.policy.labels
    said = counted(priced) if count else priced.model_dump()
    for name, images in there.items():
        said["tasks"] = {**said["tasks"], name: {**said["tasks"].get(name, {}), "there": images, "full": images, "transfer": images}}
    values = {**rules, "budget": budget, "balance": _comparable(params.policy.balance), "cost": {}, "labels": said}
    return Asked(with_predictions(table, found), checked(PolicyParams, values, str(folder / "params.yaml")), tuple(found), params.registry)


def read_amounts_table(path: Path) -> pd.DataFrame | None:
    """Read a run's table with amounts; None where the run has one amount, and its table no rows.

    Raises:
        TaskonomyError: The file is no affinity table.
    """
    if not read_sheet(path, "table", REQUIRED, others=True).rows:
        return None
    table = read_table(path)
    return table if has_amounts(table) else None


def of_table(path: Path, budget: float, labels: LabelsParams | None, losses: Path | None, *, count: bool) -> Asked:
    """Ask about a table from elsewhere, by the rules of practice: labelled tasks use their own networks, what labels itself costs nothing.

    Args:
        path: The table.
        budget: Money, or labelled images.
        labels: Prices, images in full, and those that are there.
        losses: Table of losses by building, for predictions beyond its amounts.
        count: Whether the budget counts labelled images.
    """
    table, priced = read_table(path), labels or LabelsParams()
    if not has_amounts(table):
        raise TaskonomyError(f"{path}: has no column images: there are no amounts of labels to choose from")
    found = label_curves(losses) if losses is not None else []
    values = {"budget": budget, "preset": "practice", "labels": counted(priced) if count else priced.model_dump(), "exclude": ["random_projection"]}
    values["balance"] = _comparable(Balance.NONE)
    return Asked(with_predictions(table, found), checked(PolicyParams, values, "options"), tuple(found))


def _comparable(balance: Balance) -> Balance:
    """Return how affinities are rescaled: those of a target sum to one over its rows, so a target with fewer amounts would count more."""
    return Balance.PEAK if balance is Balance.NONE else balance


def counted(labels: LabelsParams) -> dict[str, Any]:
    """Return the labels with the price 1 for each image, so that the budget counts them."""
    said = labels.model_dump()
    tasks = {name: {**one, "price": None} for name, one in said["tasks"].items()}
    return {**said, "currency": LABELS, "price": 1, "tasks": tasks}


def _there(folder: Path, table: pd.DataFrame) -> dict[str, int]:
    """Return the labelled images that each task of the table has for transfers, as the run counted them."""
    if not (folder / FACTS).is_file():
        raise TaskonomyError(f"{folder / FACTS}: no such file; run taskonomy repro")
    data = json.loads((folder / FACTS).read_text(encoding="utf-8"))["data"]
    some, most = data.get("labelled", {}), table.groupby("target")["images"].max()
    sources = {labelled(name) for group in table["sources"] for name in group if name != SELF}
    found = {}
    for name in sorted({*table["target"], *sources} - external_sources(table).licences.keys()):
        counted = int(some[name]["transfer"]) if name in some else int(data["views"]["transfer"])
        found[name] = max(counted, 0 if pd.isna(top := most.get(name, 0)) else int(top))
    return found


def label_curves(path: Path, *, shallow: bool = False) -> list[LabelCurve]:
    """Read losses by building, of the half of the test images that affinities are measured on, as curves.

    Args:
        path: The file.
        shallow: Whether to read the shallow networks on the image, a baseline that no policy chooses, in place of all others.

    Raises:
        TaskonomyError: The file is not such a table.
    """
    losses = _losses(path)
    return curves(losses[losses["sources"].eq(PIXELS) == shallow], str(path))


def _losses(path: Path) -> pd.DataFrame:
    names = ("target", "sources", "images", "building", "tests", "loss")
    sheet = read_sheet(path, "table of losses", names, ("split",), ("target", "sources", "building", "split"))
    rows = []
    for line, cells in sheet.rows:
        row: dict[str, Any] = dict(zip(sheet.columns, cells, strict=True))
        try:
            numbers = {name: sheet.number(row[name]) if row[name] else float("nan") for name in ("images", "tests", "loss")}
        except ValueError as error:
            raise TaskonomyError(f"{path}: line {line}: {error}") from None
        if row.get("split", _HALF) == _HALF:
            rows.append({**row, **numbers})
    if not rows:
        raise TaskonomyError(f"{path}: no rows of the split {_HALF}")
    return pd.DataFrame(rows)
