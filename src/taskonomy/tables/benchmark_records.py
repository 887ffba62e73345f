"""Records of frozen encoders on tasks, as VisBench writes them, as an affinity table whose sources are encoders that others trained.

A record is a line of JSON, an encoder on a task:

```
{"backbone": "dinov2_vits14", "task": "depth", "metrics": {"d1": 0.765, "rmse": 0.55}, "finetune": null, "timestamp": "2026-08-02T09:53:20", ...}
```

Affinity is the share of the other encoders that one beats, ties by half, among records of one setting (`_MUST_AGREE`): like the paper's win rates it
depends on nothing but order, so that accuracies, errors in degrees and correlations need no common scale. One number for each encoder and task has no
images to resample, so that there are no intervals.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.tables.table import SELF, labelled, wrong_names

# The metric of each of VisBench's tasks by which its leaderboards are ordered; others may be named.
HEADLINES = {
    "classification": "top1", "corner": "corner_correlation", "correspondence": "recall@5px", "depth": "d1", "detection": "map_50",
    "edge": "edge_correlation", "fine_grained_classification": "top1", "generic_segmentation": "iou", "keypoints2d": "keypoint_correlation",
    "occlusion_edge": "occlusion_edge_correlation", "orientation": "-orientation_error", "retrieval": "mAP", "scene_classification": "top1",
    "semantic_segmentation": "miou", "similarity": "accuracy", "surface_normal": "-mean",
}  # fmt: skip
# Where these agree, records may be compared: data, split, protocol and training of the probe, seed. What else a record says, such as how an encoder
# pools, belongs to the encoder or to the day.
_MUST_AGREE = ("dataset", "dataset_fingerprint", "dataset_params", "split", "task_params", "pooling_requested", "layer", "layers", "seed")
_SHOWN = 3


@dataclass(frozen=True)
class Record:
    """One encoder on one task.

    Attributes:
        line: Its line in the file.
        encoder, task: Names.
        metrics: Metric -> value.
        key: Which configuration of the encoder the name stands for.
        timestamp: When it was measured, as written.
        setting: What must agree with records that it is compared with, as JSON.
    """

    line: int
    encoder: str
    task: str
    metrics: Mapping[str, float]
    key: str
    timestamp: str
    setting: str


@dataclass(frozen=True)
class ImportedRecords:
    """A table, and what was left out of it.

    Attributes:
        table: Affinities, with the columns `external`, `licence` and `inference`.
        notes: What was left out, a line each.
    """

    table: pd.DataFrame
    notes: list[str]


def import_records(path: Path, metrics: Mapping[str, str], licences: Mapping[str, str], inference: Mapping[str, float]) -> ImportedRecords:
    """Read a file of records as an affinity table.

    Args:
        path: JSON lines.
        metrics: Task -> the metric to compare by, with - before it where lower is better; `HEADLINES` where not named.
        licences: Encoder -> licence of its weights.
        inference: Encoder -> multiply-adds, millions for each image; `*` stands for all others.

    Raises:
        TaskonomyError: A line is no record, a metric is missing, or nothing can be compared.
    """
    records = list(_records(path))
    frozen = [one for one in records if one is not None]
    notes = [f"{len(records) - len(frozen)} records of fine-tuned encoders are left out"] * (len(frozen) < len(records))
    encoders = sorted({one.encoder for one in frozen})
    tasks = sorted({one.task for one in frozen})
    for option, named, known in (("--metric", metrics, tasks), ("--licence", licences, encoders), ("--inference", inference, [*encoders, "*"])):
        if missing := sorted(set(named) - set(known)):
            raise TaskonomyError(f"{option}: {', '.join(missing)} is not in {path}, which has {', '.join(known) or 'none'}")
    if both := sorted(set(tasks) & set(encoders)):
        raise TaskonomyError(f"{path}: {both[0]} is a task and an encoder")
    rows = []
    for task in tasks:
        board = _largest(path, [one for one in frozen if one.task == task], notes)
        if len(board) < 2:
            notes.append(f"{task} is left out: {board[0].encoder} is its only encoder, and has none to be compared with")
            continue
        values = _values(path, board, metrics.get(task) or HEADLINES.get(task))
        rows += [(task, (one.encoder,), share) for one, share in zip(board, beaten(values), strict=True)]
    if not rows:
        raise TaskonomyError(f"{path}: no two records that can be compared")
    table = pd.DataFrame(rows, columns=["target", "sources", "affinity"])
    names = [group[0] for group in table["sources"]]
    terms = pd.Series([licences.get(one) for one in names], table.index, dtype=object)
    taken = [inference.get(one, inference.get("*", np.nan)) for one in names]
    return ImportedRecords(table.assign(external=table["sources"], licence=terms, inference=taken), notes)


def beaten(values: Float[np.ndarray, " encoders"]) -> list[float]:
    """Compute for each value the share of the others that are lower; an equal one counts half."""
    wins = (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) - 1) / 2
    return (wins / (len(values) - 1)).tolist()


def _values(path: Path, board: list[Record], metric: str | None) -> Float[np.ndarray, " encoders"]:
    """Return the numbers that encoders are compared by, more is better."""
    task, has = board[0].task, ", ".join(board[0].metrics)
    if metric is None:
        raise TaskonomyError(f"{path}: which metric of {task}? Write --metric {task}=NAME, or {task}=-NAME where lower is better; it has {has}")
    name = metric.removeprefix("-")
    if lacking := [one for one in board if name not in one.metrics]:
        raise TaskonomyError(f"{path}: line {lacking[0].line}: no metric {name} of {task}; it has {', '.join(lacking[0].metrics)}")
    values = np.array([one.metrics[name] for one in board])
    return -values if metric.startswith("-") else values


def _largest(path: Path, records: list[Record], notes: list[str]) -> list[Record]:
    """Return the records of a task that may be compared with each other: of several settings, that with the most encoders."""
    boards: dict[str, dict[str, Record]] = {}
    for one in records:
        board = boards.setdefault(one.setting, {})
        known = board.setdefault(one.encoder, one)
        if known.key != one.key:
            raise TaskonomyError(f"{path}: lines {known.line} and {one.line}: {one.encoder} stands for two encoders, {known.key} and {one.key}")
        if one.timestamp >= known.timestamp:  # of the same encoder in the same setting the latest
            board[one.encoder] = one
    ranked = sorted(boards.values(), key=lambda board: -len(board))
    if len(ranked) > 1 and len(ranked[0]) == len(ranked[1]):
        lines = [next(iter(board.values())).line for board in ranked[:2]]
        raise TaskonomyError(
            f"{path}: {records[0].task} has two boards of {len(ranked[0])} encoders, those of lines {lines[0]} and {lines[1]}, which differ in"
            f" {_difference(list(boards), boards, ranked)}; leave one out of the file"
        )
    if len(ranked) > 1:
        notes.append(f"{records[0].task}: the setting with the most encoders, {len(ranked[0])}; {len(ranked) - 1} with fewer left out")
    return sorted(ranked[0].values(), key=lambda one: one.encoder)


def _difference(settings: list[str], boards: Mapping[str, Any], ranked: list[Any]) -> str:
    one, other = (json.loads(next(text for text in settings if boards[text] is board)) for board in ranked[:2])
    return ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))[:_SHOWN])


def _records(path: Path) -> Iterator[Record | None]:
    """Yield the records of a file; None for each of a fine-tuned encoder."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskonomyError(f"{path}: cannot be read as text in UTF-8 ({error})") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(line, number, f"{path}: line {number}")
    if not any(line.strip() for line in lines):
        raise TaskonomyError(f"{path}: holds no record; one is a line of JSON with backbone, task and metrics")


def _record(line: str, number: int, where: str) -> Record | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TaskonomyError(f"{where}: no JSON ({error})") from None
    if not isinstance(found, dict):
        raise TaskonomyError(f"{where}: must be an object with backbone, task and metrics")
    for name in ("backbone", "task"):
        if not isinstance(found.get(name), str):
            raise TaskonomyError(f"{where}: {name} must be a text (is {found.get(name)!r})")
    encoder, task = normal(found["backbone"]), normal(found["task"])
    wrong = [*wrong_names(task, (encoder,)), *([f"{encoder!r} is not an encoder's name"] if labelled(encoder) != encoder or encoder == SELF else [])]
    if "+" in encoder:
        wrong.append(f"encoder {encoder!r} may not hold a +")
    if wrong:
        raise TaskonomyError(f"{where}: {wrong[0]}")
    if found.get("finetune") is not None:
        return None
    setting = json.dumps({name: found.get(name) for name in _MUST_AGREE}, sort_keys=True)
    return Record(
        number, encoder, task, _metrics(found.get("metrics"), where), str(found.get("backbone_key", "")), str(found.get("timestamp", "")), setting
    )


def _metrics(found: Any, where: str) -> dict[str, float]:
    if not isinstance(found, dict) or not found:
        raise TaskonomyError(f"{where}: metrics must be an object of numbers (is {json.dumps(found)[:80]})")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise TaskonomyError(f"{where}: metrics.{name} must be a finite number (is {json.dumps(value)[:80]})")
    return {name: float(value) for name, value in found.items()}
