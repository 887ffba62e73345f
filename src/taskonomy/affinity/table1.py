"""Whether the task networks learned: each against the best constant estimator and a readout of a random encoder (paper table 1)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Shaped

from taskonomy.affinity.win_rates import win_rates
from taskonomy.atomic_io import write_csv
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator
from taskonomy.parsing.user_text import normal
from taskonomy.tables.csv_reader import Sheet, read_sheet

# The paper's two, and what networks reach with the transfers' few images: a shallow one on the image (the baseline of gain), and a whole one.
BASELINES = ("average", "random", "pixels", "scratch")
COLUMNS = ("task", "average", "random")
INTERVALS = tuple(f"{name}_{end}" for name in BASELINES for end in ("low", "high"))
OPTIONAL = (*BASELINES[2:], *INTERVALS)
OneLossPerImage = Float[np.ndarray, " _"]


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn: whole buildings anew, with replacement, since views of one building are alike.

    Attributes:
        groups: task -> the building of each of its test images.
        draws: Number of draws.
        confidence: Share of the draws that an interval holds.
        seed: Seed of the draws.
    """

    groups: Mapping[str, Shaped[np.ndarray, " _"]]
    draws: int
    confidence: float
    seed: int


def table_one(losses: Mapping[str, tuple[OneLossPerImage | None, ...]], resampling: Resampling | None = None) -> pd.DataFrame:
    """Compute win rates of each task's own fully supervised network: the share of test images on which its loss is lower. Ties count half.

    Args:
        losses: task -> losses, on the same test images, of its own network, of the best constant estimator (the paper's statistically
            informed guess), of a readout of a random encoder, and of the other `BASELINES`; None, or nothing at the end, without one.
        resampling: How intervals are drawn; None: there are none.

    Returns:
        Columns `task` and `BASELINES`, in [0, 1]; NaN without the baseline. With resampling also `INTERVALS`; NaN for a single building.

    Raises:
        TaskonomyError: Losses of different lengths, naming the task; or losses that are not finite, naming the baseline too.
    """
    return pd.DataFrame([{"task": task, **_beaten(task, of_task, resampling)} for task, of_task in losses.items()])


def headline(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return what `dvc metrics show` compares: mean and lowest win rate over the tasks, for each baseline that some task has."""
    known = [name for name in BASELINES if name in frame and frame[name].notna().any()]
    return {name: {"mean": float(frame[name].mean()), "lowest": float(frame[name].min())} for name in known}


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
    """Read and check a `networks.csv`: `COLUMNS`, and any of `OPTIONAL`; an empty cell means not measured.

    Raises:
        TaskonomyError: The table is not valid; names the file, the line, and what is wrong there.
    """
    sheet = read_sheet(path, "file of task networks", COLUMNS, OPTIONAL, names=("task",))
    if not (rows := list(_rows(sheet))):
        raise TaskonomyError(f"{path}: no rows below the header")
    frame = pd.DataFrame(rows)
    known = [name for name in (*COLUMNS, *OPTIONAL) if name in frame]
    return frame[known].astype(dict.fromkeys(known[1:], float))


def write_networks(path: Path, frame: pd.DataFrame) -> None:
    """Write win rates as `read_networks` reads them."""
    write_csv(path, frame[[*COLUMNS, *(name for name in OPTIONAL if name in frame and frame[name].notna().any())]])


def _beaten(task: str, losses: tuple[OneLossPerImage | None, ...], resampling: Resampling | None) -> dict[str, float]:
    own, *baselines = losses
    if own is None:
        raise TaskonomyError(f"target {task}: no losses of its own network")
    there = {name: one for name, one in zip(BASELINES, baselines, strict=False) if one is not None}
    if lengths := {name: len(losses) for name, losses in there.items() if len(losses) != len(own)}:
        listed = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise TaskonomyError(f"target {task}: its own network has losses of {len(own):,} images, {listed}")
    rates = win_rates(np.stack([own, *there.values()]), task, ["its own network", *there])[0, 1:]
    found = dict.fromkeys(BASELINES, np.nan) | dict(zip(there, rates.tolist(), strict=True))
    if resampling is not None:
        for name, other in there.items():
            found[f"{name}_low"], found[f"{name}_high"] = _interval((own < other) + 0.5 * (own == other), task, resampling)
    return found


def _interval(wins: Float64[np.ndarray, " _"], task: str, resampling: Resampling) -> tuple[float, float]:
    """Compute the percentile interval of a mean over images when buildings are drawn anew; the same buildings for every baseline of a task."""
    names, group_of = np.unique(resampling.groups[task], return_inverse=True)
    if len(names) < 2 or not resampling.draws:
        return float("nan"), float("nan")
    images = np.bincount(group_of).astype(np.float64)
    won = np.bincount(group_of, weights=wins)
    drawn = generator(resampling.seed, "table 1", task).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resampling.draws)
    low, high = np.quantile((drawn @ won) / (drawn @ images), [(1 - resampling.confidence) / 2, (1 + resampling.confidence) / 2])
    return float(low), float(high)


def _rows(sheet: Sheet) -> Iterator[dict[str, object]]:
    seen: dict[str, int] = {}
    for line, cells in sheet.rows:
        where, row = f"{sheet.where}: line {line}", dict(zip(sheet.columns, cells, strict=True))
        task = normal(row["task"])
        if not task or not task.isprintable():
            raise TaskonomyError(f"{where}: {task!r} is not a task name")
        if task in seen:
            raise TaskonomyError(f"{where}: {task} stands in line {seen[task]} already")
        seen[task] = line
        yield {"task": task, **{name: _share(row[name], f"{where}: {name}", sheet) for name in sheet.columns if name != "task"}}


def _share(text: str, where: str, sheet: Sheet) -> float:
    try:
        value = sheet.number(text) if text else np.nan
    except ValueError as error:
        raise TaskonomyError(f"{where} {error}") from None
    if text and not 0 <= value <= 1:
        raise TaskonomyError(f"{where} must be in [0, 1] (is {text})")
    return value
