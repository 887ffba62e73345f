"""Any source -> memory-mapped arrays: every file is read once, building by building, in as many processes as there are cores."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from taskonomy.cores import on_every_core, progress
from taskonomy.data.assign import assign
from taskonomy.data.checks import Damage, damage_error
from taskonomy.data.fitting import Given, Misfit, listed_samples, misfit_error, refuse_constant
from taskonomy.data.formats import ViewKey
from taskonomy.data.prepared import SPLITS
from taskonomy.data.reading import Job, labels_of_views, read_views
from taskonomy.data.sources import Data, open_data
from taskonomy.data.statistics import BLOCK, STATISTICS
from taskonomy.errors import TaskonomyError
from taskonomy.files import whole_folder, write_csv, write_json
from taskonomy.geometry import Camera
from taskonomy.params import DataParams, OnBad
from taskonomy.tasks import DICTIONARY, Task
from taskonomy.tasks.labels import Mask, Shot
from taskonomy.tasks.own import declare, own_tasks
from taskonomy.tasks.samples import Views, listed, nonfixated_pairs

NO_ROW = -1  # of damage that spoils no view that we know of


def prepare(root: Path, output: Path, params: DataParams, processes: int | None = None) -> dict[str, Any]:
    """Read a source and write what networks are trained on (`taskonomy.data.prepared` describes it).

    Args:
        root: The built-in world, a released dataset in any layout, or a folder of a user's own (`taskonomy.data.own`).
        output: Folder to write; it appears whole, or not at all.
        params: The section `data`.
        processes: How many; None: one per core. The bits do not depend on it.

    Returns:
        The manifest.

    Raises:
        TaskonomyError: Nothing to read, a domain that a task needs is not there, damaged files (with `on_bad: error`), an empty split.
    """
    with whole_folder(output) as unfinished:
        return _prepare(root, unfinished, params, processes)


def _prepare(root: Path, folder: Path, params: DataParams, processes: int | None) -> dict[str, Any]:
    declare(params.own)
    data = open_data(root)
    data.refuse_other_kinds({name: params.own[name] for name in params.tasks if name in params.own})
    keys = data.keys
    sizes = Counter(key.building for key in keys)
    split_of = assign(sizes, data.splits, params)
    keys = [key for key in keys if key.building in split_of]
    tasks = [DICTIONARY[name] for name in params.tasks]
    options = {task.name: {**task.label.options, **params.labels.get(task.name, {})} for task in tasks if task.label}
    _refuse_missing_domains(root, data, tasks)
    _allocate(folder, len(keys), params.resolution, tasks)

    jobs = [Job(root, folder, tuple(keys[a:b]), a, params.resolution, params.tasks, options) for a, b in _portions(keys)]
    damage: list[tuple[int, str, str]] = []
    others: dict[str, dict[int, tuple[int, ...]]] = {}
    with progress(len(keys), "prepare", "views") as bar:
        for job, done in on_every_core(read_views, jobs, processes):
            damage += done.damage
            others |= done.others
            bar.update(len(job.keys))
    needed = sorted(_needs(tasks))
    damage += [(NO_ROW, where, reason) for where, reason in data.broken_tars(needed)]
    damage.sort()
    if params.on_bad is OnBad.ERROR and (misfits := [(where, reason) for _row, where, reason in damage if isinstance(reason, Misfit)]):
        raise misfit_error(misfits)
    if damage and params.on_bad is OnBad.ERROR:
        raise damage_error([Damage(where, reason, "") for _row, where, reason in damage], _files(keys, needed))

    good = np.setdiff1d(np.arange(len(keys)), [row for row, _where, _reason in damage])
    if len(good) < len(keys):
        _keep_rows(folder, good)
    index = pd.DataFrame([keys[row] for row in good], columns=["building", "point", "view"])
    index["split"] = index["building"].map(split_of)
    if empty := [split for split in SPLITS if not (index["split"] == split).any()]:
        raise TaskonomyError(f"{root}: no undamaged view is left for split {', '.join(empty)}")
    write_csv(folder / "index.csv", index)
    views = _views_of_buildings(index, good, others)
    rows = {keys[row]: position for position, row in enumerate(good)}
    given = {task.name: listed_samples(task.name, data, rows, index["split"]) for task in tasks if task.group is listed}
    alone = {task.name: _finish_task(task, folder, index, views, options.get(task.name, {}), params.seed, given.get(task.name)) for task in tasks}
    manifest = {
        "root": str(root),
        "resolution": params.resolution,
        "tasks": list(params.tasks),
        "views": {split: int((index["split"] == split).sum()) for split in SPLITS},
        "buildings": {split: int(index.loc[index["split"] == split, "building"].nunique()) for split in SPLITS},
        "buildings_in_no_split": sorted(set(sizes) - set(split_of)),
        "views_without_partners": {name: count for name, count in alone.items() if count and name not in given},
        **({"samples_left_out": {name: one.left_out for name, one in given.items()}} if given else {}),
        "skipped": [{"file": where, "reason": reason} for _row, where, reason in damage],
    }
    write_json(folder / "manifest.json", manifest)
    # Stages depend on the folder of masks, so it is there even where nothing is masked.
    write_json(folder / "masks/masks.json", {"depth": (folder / "masks/depth.npy").is_file()})
    return manifest


def _portions(keys: Sequence[ViewKey]) -> list[tuple[int, int]]:
    """Whole buildings, as few as hold a block of views: what one process reads at a time."""
    ends = [row for row in range(1, len(keys)) if keys[row].building != keys[row - 1].building] + [len(keys)]
    portions, start = [], 0
    for end in ends:
        if end - start >= BLOCK or end == len(keys):
            portions.append((start, end))
            start = end
    return portions


def _needs(tasks: Iterable[Task]) -> dict[str, list[str]]:
    """Domain -> the tasks that need it."""
    needs: dict[str, list[str]] = {"rgb": ["every task"]}
    for task in tasks:
        domains = task.label.domains if task.label else ()
        for domain in (*domains, *(["nonfixated_matches"] if task.group is nonfixated_pairs else [])):
            needs.setdefault(domain, []).append(task.name)
    return needs


def _files(keys: Sequence[ViewKey], domains: Sequence[str]) -> int:
    """How many files there are to read."""
    points = len({key[:2] for key in keys})
    return sum(points if domain == "nonfixated_matches" else len(keys) for domain in domains)


def _refuse_missing_domains(root: Path, data: Data, tasks: Sequence[Task]) -> None:
    missing = {domain: names for domain, names in _needs(tasks).items() if domain not in data.domains}
    if unlabelled := sorted(missing.keys() & own_tasks().keys()):
        name, declared = unlabelled[0], own_tasks()[unlabelled[0]]
        files = f"{name}.csv" if declared.of_images > 1 else f"a folder {name}/, or columns {name} in labels.csv"
        raise TaskonomyError(f"{root}: has no labels of {name}, which data.own declares; expected {files} (see README), or take it out of data.tasks")
    if missing:
        parts = "; ".join(f"{domain} (for {', '.join(names)})" for domain, names in sorted(missing.items()))
        raise TaskonomyError(f"{root}: has no domain {parts}; add it, or take the tasks out of data.tasks")


def _allocate(folder: Path, count: int, size: int, tasks: Sequence[Task]) -> None:
    """Empty arrays of their final size; pages that nobody writes take no space."""

    def array(name: str, dtype: str, *shape: int) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, "w+", np.dtype(dtype), (count, *shape))

    array("images.npy", "uint8", size, size, 3)
    if any("point_info" in _needs([task]) for task in tasks):
        array("cameras.npy", "float64", 7)
    if any(task.label and task.label.mask is Mask.DEPTH for task in tasks):
        array("masks/depth.npy", "bool", size, size)
    for name, label in labels_of_views(tasks).items():
        array(f"tasks/{name}/label.npy", label.dtype, *label.array_shape(size))


def _keep_rows(folder: Path, good: Int[np.ndarray, " good"]) -> None:
    """Leave out the rows of damaged views, a block at a time."""
    for path in sorted(folder.rglob("*.npy")):
        before = np.load(path, mmap_mode="r")
        kept = path.with_name(f"kept_{path.name}")
        after = np.lib.format.open_memmap(kept, "w+", before.dtype, (len(good), *before.shape[1:]))
        for start in range(0, len(good), BLOCK):
            after[start : start + BLOCK] = before[good[start : start + BLOCK]]
        after.flush()
        os.replace(kept, path)


def _views_of_buildings(index: pd.DataFrame, good: Int[np.ndarray, " good"], others: Mapping[str, Mapping[int, tuple[int, ...]]]) -> list[Views]:
    """The undamaged views of each building, by their new rows."""
    new_row = {int(row): position for position, row in enumerate(good)}
    out = []
    for building, group in index.groupby("building", sort=False):
        seen = {point: tuple(new_row[row] for row in rows if row in new_row) for point, rows in others[str(building)].items()}
        out.append(Views(str(building), group.index.to_numpy(np.int64), group["point"].to_numpy(np.int64), seen))
    return out


def _finish_task(
    task: Task, folder: Path, index: pd.DataFrame, views: Sequence[Views], options: Mapping[str, float], seed: int, given: Given | None
) -> int:
    """Samples, labels that follow from cameras or are given with the samples, and statistics. Returns how many views are without partners."""
    home = folder / "tasks" / task.name
    home.mkdir(parents=True, exist_ok=True)
    samples = np.arange(len(index))[:, None]
    if given is not None:
        samples = given.samples
        np.save(home / "samples.npy", samples)
        np.save(home / "label.npy", given.labels)
    elif task.group is not None:
        samples = np.concatenate([task.group(one, seed) for one in views])
        if not len(samples):
            raise TaskonomyError(f"{task.name}: no view has the partners that a sample of {task.images} images needs; take it out of data.tasks")
        np.save(home / "samples.npy", samples)
        _save_shots(task, home / "label.npy", samples, index, np.load(folder / "cameras.npy", mmap_mode="r"))
    splits = pd.Categorical(index["split"], categories=list(SPLITS)).codes.astype(np.int64)[samples[:, 0]]
    if task.label is not None and (empty := [split for number, split in enumerate(SPLITS) if not (splits == number).any()]):
        mend = "more of them, or a column group in labels.csv that says which images belong together" if given else "more buildings or points"
        raise TaskonomyError(f"{task.name}: no sample in split {', '.join(empty)}; {mend} are needed")
    if task.name in own_tasks():
        refuse_constant(task.name, np.load(home / "label.npy", mmap_mode="r"), np.flatnonzero(splits == SPLITS.index("train")))
    statistics: dict[str, Any] = dict(options)
    if task.label is not None and task.label.statistics and task.head is not None:
        stored = np.load(home / "label.npy", mmap_mode="r")
        statistics |= STATISTICS[task.label.statistics](stored, np.flatnonzero(splits == SPLITS.index("train")), task.head.channels)
    write_json(home / "card.json", {"task": task.name, "samples": len(samples), "statistics": statistics})
    return len(index) - len(samples)


def _save_shots(
    task: Task, path: Path, samples: Int[np.ndarray, "samples images"], index: pd.DataFrame, cameras: Float[np.ndarray, "views 7"]
) -> None:
    if task.label is None or task.label.of_shots is None:
        return
    labels = np.lib.format.open_memmap(path, "w+", np.dtype(task.label.dtype), (len(samples), *task.label.array_shape(0)))
    buildings, points = index["building"].to_numpy(), index["point"].to_numpy()
    for number, rows in enumerate(samples):
        labels[number] = task.label.of_shots(*(_shot(cameras[row], str(buildings[row]), int(points[row])) for row in rows))
    labels.flush()


def _shot(numbers: Float[np.ndarray, "7"], building: str, point: int) -> Shot:
    x, y, z, a, b, c, fov = map(float, numbers)
    return Shot(Camera((x, y, z), (a, b, c), fov, 1), building, point)
