"""Last part of a preparation, after every file was read: index, samples, statistics, manifest. It can be repeated if it was killed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from taskonomy.atomic_io import write_json, write_text
from taskonomy.config.data_params import DataParams
from taskonomy.data.count_labels import refuse_too_few
from taskonomy.data.custom_checks import refuse_constant
from taskonomy.data.datasets import Data
from taskonomy.data.prepare.arrays import Rows, arrays_of
from taskonomy.data.prepare.label_statistics import BLOCK, STATISTICS
from taskonomy.data.prepare.listed_samples import Given, listed_samples
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.release.view_ids import Keys
from taskonomy.tasks import Task
from taskonomy.tasks.multi_view import listed

Parts = Sequence[tuple[Path, int]]
COMPACTED = "compacted"  # marks that rows of damaged views are being, or have been, removed


def finish(
    folder: Path,
    data: Data,
    root: str,
    keys: Keys,
    good: Int[np.ndarray, " good"],
    labelled: Mapping[str, Int[np.ndarray, " labelled"]],
    split_of: Mapping[str, Split],
    parts: Parts,
    tasks: Sequence[Task],
    params: DataParams,
    skipped: list[dict[str, str]],
) -> dict[str, Any]:
    """Write everything but the arrays of views, which have been written.

    Args:
        folder: The prepared data.
        data: The source that was read.
        root: Location of the source.
        keys: Views of all rows.
        good: Rows of the undamaged views; the others are removed from all arrays.
        labelled: Task -> rows of the undamaged views that have its label; tasks that every view has a label of may be left out.
        split_of: Split of each building.
        parts: Files with the samples of several images, and for each the number of undamaged views before its own.
        tasks: Tasks that are prepared.
        params: The section `data`.
        skipped: Damaged files, for the manifest.

    Returns:
        The manifest.

    Raises:
        TaskonomyError: A split, or a task in a split, is left without samples.
    """
    labelled = {name: rows for name, rows in labelled.items() if len(rows) < len(good)}
    of_label = {f"tasks/{name}/label.npy": rows for name, rows in labelled.items()}
    if len(good) < len(keys) or labelled:
        write_text(folder / COMPACTED, "")
        for array in arrays_of(tasks, params.resolution, params.fit):
            _keep_rows(folder / array.name, of_label.get(array.name, good))
    building = keys.building_of[good]
    split_of_building = np.array([split_of[name].number for name in keys.buildings])
    splits = split_of_building[building]
    if empty := [split for split in Split if not (splits == split.number).any()]:
        raise TaskonomyError(f"{root}: no undamaged view is left for split {', '.join(empty)}")
    _write_index(folder / "index.csv", keys, good, building, splits)
    options = {task.name: {**task.label.options, **params.labels.get(task.name, {})} for task in tasks if task.label}
    given = _given(tasks, data, keys, good, splits)
    alone, counts = {}, {}
    for task in tasks:
        name = task.name
        rows = np.searchsorted(good, labelled[name]) if name in labelled else None
        of_sample = _finish_task(task, folder, splits, parts, options.get(name, {}), given.get(name), rows, may_be_constant=name not in params.own)
        alone[name] = len(splits) - len(of_sample)
        if task.label is not None:
            counts[name] = {split: int((of_sample == split.number).sum()) for split in Split}
    there = np.unique(building)
    manifest = {
        "root": root,
        "resolution": params.resolution,
        "tasks": list(params.tasks),
        "views": {split: int((splits == split.number).sum()) for split in Split},
        "buildings": {split: int((split_of_building[there] == split.number).sum()) for split in Split},
        "buildings_in_no_split": sorted(set(data.keys.buildings) - set(split_of)),
        "views_without_partners": {name: count for name, count in alone.items() if count and name not in given and name not in labelled},
        **({"labelled": counts} if labelled else {}),
        **({"samples_left_out": {name: one.left_out for name, one in given.items()}} if given else {}),
        "skipped": skipped,
    }
    write_json(folder / "manifest.json", manifest)
    # Stages depend on the folder of masks, so it exists even if nothing is masked.
    write_json(
        folder / "masks/masks.json", {name: True for name in ("depth", "shown") if (folder / f"masks/{name}.npy").is_file()} or {"depth": False}
    )
    return manifest


def _write_index(
    path: Path, keys: Keys, good: Int[np.ndarray, " good"], building: Int[np.ndarray, " good"], splits: Int[np.ndarray, " good"]
) -> None:
    """Write the index a block at a time, because its text takes much more memory than its values."""
    path.unlink(missing_ok=True)
    for start in range(0, max(len(good), 1), BLOCK * BLOCK):
        part = slice(start, start + BLOCK * BLOCK)
        columns = {
            "building": np.array(keys.buildings)[building[part]],
            "point": keys.points[good[part]],
            "view": keys.views[good[part]],
            "split": np.array(list(Split))[splits[part]],
        }
        pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n", mode="a", header=not start)


def _keep_rows(path: Path, good: Int[np.ndarray, " good"]) -> None:
    """Remove the rows of damaged views, a block at a time; an array whose rows have been removed already is left alone."""
    whole = np.load(path, mmap_mode="r")
    if len(whole) == len(good):
        return
    kept = path.with_name(f"kept_{path.name}")
    after = np.lib.format.open_memmap(kept, "w+", whole.dtype, (len(good), *whole.shape[1:]))
    row, offset = after.nbytes // max(len(good), 1), after.offset
    del after
    before = Rows(path)
    with open(kept, "r+b") as file:
        for start in range(0, len(good), BLOCK):
            file.seek(offset + start * row)
            file.write(np.ascontiguousarray(before[good[start : start + BLOCK]]).tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(kept, path)


def _given(tasks: Sequence[Task], data: Data, keys: Keys, good: Int[np.ndarray, " good"], splits: Int[np.ndarray, " good"]) -> dict[str, Given]:
    """Return the samples of several images that a user lists, by task."""
    wanted = [task.name for task in tasks if task.group is listed]
    if not wanted:
        return {}
    rows = {keys[int(row)]: position for position, row in enumerate(good)}
    names = pd.Series(np.array(list(Split))[splits])
    return {name: listed_samples(name, data, rows, names) for name in wanted}


def _finish_task(
    task: Task,
    folder: Path,
    splits: Int[np.ndarray, " views"],
    parts: Parts,
    options: Mapping[str, float],
    given: Given | None,
    labelled: Int[np.ndarray, " labelled"] | None,
    *,
    may_be_constant: bool,
) -> Int[np.ndarray, " samples"]:
    """Write a task's samples, its labels that follow from cameras or are listed with the samples, and its statistics.

    Where some views have no label, the samples are those that have one (`labelled`); where all have, no list of samples is written.

    Returns:
        Split of each sample.
    """
    home = folder / "tasks" / task.name
    home.mkdir(parents=True, exist_ok=True)
    firsts = np.arange(len(splits))
    if given is not None:
        np.save(home / "samples.npy", given.samples)
        np.save(home / "label.npy", given.labels)
        firsts = given.samples[:, 0]
    elif labelled is not None:
        np.save(home / "samples.npy", labelled[:, None])
        firsts = labelled
    elif task.group is not None:
        samples = np.concatenate([found + first for found, first in _loaded(parts, f"{task.name}/samples")])
        if not len(samples):
            raise TaskonomyError(f"{task.name}: no view has the partners that a sample of {task.images} images needs; take it out of data.tasks")
        np.save(home / "samples.npy", samples)
        firsts = samples[:, 0]
        if task.label is not None and task.label.of_shots is not None:
            shape = (len(samples), *task.label.array_shape(0))
            _concatenated(home / "label.npy", np.dtype(task.label.dtype), shape, (found for found, _first in _loaded(parts, f"{task.name}/labels")))
    of_sample = splits[firsts]
    if labelled is not None:
        refuse_too_few(task.name, {split: int((of_sample == split.number).sum()) for split in Split})
    if task.label is not None and (empty := [split for split in Split if not (of_sample == split.number).any()]):
        mend = "more of them, or a column group in labels.csv that says which images belong together" if given else "more buildings or points"
        raise TaskonomyError(f"{task.name}: no sample in split {', '.join(empty)}; {mend} are needed")
    if not may_be_constant:
        refuse_constant(task.name, Rows(home / "label.npy"), np.flatnonzero(of_sample == Split.TRAIN.number))
    statistics: dict[str, Any] = dict(options)
    if task.label is not None and task.label.statistics and task.head is not None:
        train = np.flatnonzero(of_sample == Split.TRAIN.number)
        statistics |= STATISTICS[task.label.statistics](Rows(home / "label.npy"), train, task.head.channels)
    write_json(home / "card.json", {"task": task.name, "samples": len(firsts), "statistics": statistics})
    return of_sample


def _loaded(parts: Parts, name: str) -> Iterator[tuple[Any, int]]:
    for path, first in parts:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays[name], first


def _concatenated(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterator[Any]) -> None:
    whole = np.lib.format.open_memmap(path, "w+", dtype, shape)
    start = 0
    for part in parts:
        whole[start : start + len(part)] = part
        start += len(part)
    whole.flush()
