"""Whether the task networks learned: each against the best constant estimator and a readout of a random encoder (paper table 1)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.affinity.win_rates import win_rates
from taskonomy.atomic_io import write_csv
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.tables.csv_reader import Sheet, read_sheet

BASELINES = ("average", "random")
COLUMNS = ("task", *BASELINES)
OneLossPerImage = Float[np.ndarray, " _"]


def table_one(losses: Mapping[str, tuple[OneLossPerImage, OneLossPerImage, OneLossPerImage | None]]) -> pd.DataFrame:
    """Compute win rates of each task's own fully supervised network: the share of test images on which its loss is lower. Ties count half.

    Args:
        losses: task -> losses, on the same test images, of its own network, of the best constant estimator (the paper's statistically
            informed guess), and of a readout of a random encoder; None without one.

    Returns:
        Columns `task`, `average` and `random`, in [0, 1]; NaN without the baseline.

    Raises:
        TaskonomyError: Losses of different lengths, naming the task; or losses that are not finite, naming the baseline too.
    """
    return pd.DataFrame([[task, *_beaten(task, *three)] for task, three in losses.items()], columns=list(COLUMNS))


def headline(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return what `dvc metrics show` compares: mean and lowest win rate over the tasks, per baseline; NaN if no task has the baseline."""
    return {name: {"mean": float(frame[name].mean()), "lowest": float(frame[name].min())} for name in BASELINES}


def training_curves(models: Path, tasks: Sequence[str]) -> pd.DataFrame:
    """Read mean losses of every task's network by epoch: `task`, `split`, `epoch` from 1, `loss`.

    Args:
        models: Folder with the curves of each task as DVCLive wrote them; a task without a network has none.
        tasks: Names of the tasks.
    """
    parts = []
    for task in tasks:
        for split in ("train", "validation"):
            if (path := models / task / "curves" / f"{split}.tsv").is_file():
                curve = pd.read_csv(path, sep="\t", names=["epoch", "loss"], skiprows=1)
                parts.append(curve.assign(epoch=curve["epoch"] + 1, task=task, split=split))
    return pd.concat(parts, ignore_index=True)[["task", "split", "epoch", "loss"]]


def read_networks(path: Path | str) -> pd.DataFrame:
    """Read and check a `networks.csv`: `task,average,random`; an empty cell means not measured.

    Raises:
        TaskonomyError: The table is not valid; names the file, the line, and what is wrong there.
    """
    sheet = read_sheet(path, "file of task networks", COLUMNS, names=("task",))
    if not (rows := list(_rows(sheet))):
        raise TaskonomyError(f"{path}: no rows below the header")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(BASELINES, float))


def write_networks(path: Path, frame: pd.DataFrame) -> None:
    """Write win rates as `read_networks` reads them."""
    write_csv(path, frame[list(COLUMNS)])


def _beaten(task: str, own: OneLossPerImage, *baselines: OneLossPerImage | None) -> list[float]:
    there = {name: losses for name, losses in zip(BASELINES, baselines, strict=True) if losses is not None}
    if lengths := {name: len(losses) for name, losses in there.items() if len(losses) != len(own)}:
        listed = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise TaskonomyError(f"target {task}: its own network has losses of {len(own):,} images, {listed}")
    rates = win_rates(np.stack([own, *there.values()]), task, ["its own network", *there])[0, 1:]
    found = dict(zip(there, rates.tolist(), strict=True))
    return [found.get(name, np.nan) for name in BASELINES]


def _rows(sheet: Sheet) -> Iterator[list[object]]:
    seen: dict[str, int] = {}
    for line, cells in sheet.rows:
        where, row = f"{sheet.where}: line {line}", dict(zip(sheet.columns, cells, strict=True))
        task = normal(row["task"])
        if not task or not task.isprintable():
            raise TaskonomyError(f"{where}: {task!r} is not a task name")
        if task in seen:
            raise TaskonomyError(f"{where}: {task} stands in line {seen[task]} already")
        seen[task] = line
        yield [task, *(_share(row[name], f"{where}: {name}", sheet) for name in BASELINES)]


def _share(text: str, where: str, sheet: Sheet) -> float:
    try:
        value = sheet.number(text) if text else np.nan
    except ValueError as error:
        raise TaskonomyError(f"{where} {error}") from None
    if text and not 0 <= value <= 1:
        raise TaskonomyError(f"{where} must be in [0, 1] (is {text})")
    return value
