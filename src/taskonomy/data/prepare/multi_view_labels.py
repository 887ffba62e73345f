"""Form samples of several images, building by building, once all of a building's files were read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from taskonomy.data.datasets import Data, Problem
from taskonomy.data.prepare.arrays import Rows
from taskonomy.data.prepare.worker import Row
from taskonomy.labels.encodings import Shot
from taskonomy.numeric.geometry import Camera
from taskonomy.release.file_names import ALL
from taskonomy.release.formats import DamagedFileError, ViewKey
from taskonomy.release.view_ids import Keys
from taskonomy.tasks import Registry, Task
from taskonomy.tasks.multi_view import Views, nonfixated_pairs


@dataclass(frozen=True)
class PairJob:
    """Whole buildings whose samples are to be formed.

    Attributes:
        open: Opens the data of these buildings.
        folder: The prepared data.
        keys: Their views.
        first: Row of the first view, counted before damaged views are removed.
        bad: Rows of damaged views.
        tasks: Names of the tasks of several images.
        registry: Registry with these tasks.
        seed: Seed for drawing partners.
        output: File to write: for each task, the samples as positions among the job's undamaged views, and the labels.
    """

    open: Callable[[], Data]
    folder: Path
    keys: Keys
    first: int
    bad: frozenset[int]
    tasks: tuple[str, ...]
    registry: Registry
    seed: int
    output: Path


@dataclass(frozen=True)
class Paired:
    """Result of a job.

    Attributes:
        damage: Damage that was not found when the views were read.
        problems: Tars that are damaged as a whole.
        good: Number of its views that are undamaged.
        elsewhere: Number of views that are named as partners but are not here.
    """

    damage: list[Row]
    problems: list[Problem]
    good: int
    elsewhere: int


def pair_views(job: PairJob) -> Paired:
    """Form the samples of a job, and compute the labels that follow from cameras."""
    data, tasks = job.open(), [job.registry[name] for name in job.tasks]
    damage: list[Row] = []
    seen: list[dict[int, tuple[int, ...]]] = []
    elsewhere = 0
    for building, first, end in job.keys.parts():
        others, bad, lost = _partners(data, building, job.keys[first:end], job.first + first, tasks)
        damage += bad
        elsewhere += lost
        seen.append(others)
    spoiled = job.bad | {row for row, _where, _reason in damage}
    good = np.array([row for row in range(len(job.keys)) if job.first + row not in spoiled], np.int64)
    views = _views_of_buildings(job.keys, job.first, good, seen)
    cameras, arrays = Rows(job.folder / "cameras.npy"), {}
    for task in tasks:
        samples = np.concatenate([_grouped(task, one, job.seed) for one in views]) if views else _none(task)
        arrays[f"{task.name}/samples"] = samples
        if task.label is not None and task.label.of_shots is not None:
            arrays[f"{task.name}/labels"] = _labels_of_shots(task, samples, job, good, cameras)
    job.output.parent.mkdir(exist_ok=True)
    np.savez(job.output, **arrays)  # type: ignore[arg-type]  # NumPy's stubs take any name for an option
    wanted = ["nonfixated_matches"] if nonfixated_pairs in [task.group for task in tasks] else []
    return Paired(damage, data.problems(job.keys.buildings, wanted), len(good), elsewhere)


def _partners(
    data: Data, building: str, keys: Sequence[ViewKey], first: int, tasks: Sequence[Task]
) -> tuple[dict[int, tuple[int, ...]], list[Row], int]:
    """Return, per point of a building, the rows of the views that see it without fixating it; damage; and the number of such views that are missing.

    In a partial download some partners, and points with enough views, are missing. This is not damage: there are only fewer samples.
    """
    others: dict[int, tuple[int, ...]] = {}
    damage: list[Row] = []
    if not any(task.group is nonfixated_pairs for task in tasks):
        return others, damage, 0
    rows: dict[int, dict[int, int]] = {}
    for row, key in enumerate(keys, start=first):
        rows.setdefault(key.point, {})[key.view] = row
    row_of = {(point, view): row for point, views in rows.items() for view, row in views.items()}
    elsewhere: set[tuple[int, int]] = set()
    data.fetch([ViewKey(building, point, ALL) for point in rows], ["nonfixated_matches"])
    for point, views in sorted(rows.items()):
        try:
            named = data.others(building, point)
        except DamagedFileError as error:
            damage += [(row, f"{building}: nonfixated_matches of point {point}", str(error)) for _view, row in sorted(views.items())[:1]]
            continue
        others[point] = tuple(row_of[one] for one in named if one in row_of)
        elsewhere.update(one for one in named if one not in row_of)
    return others, damage, len(elsewhere)


def _views_of_buildings(keys: Keys, first: int, good: Int[np.ndarray, " good"], others: Sequence[Mapping[int, tuple[int, ...]]]) -> list[Views]:
    """Return the undamaged views of each building, numbered among all undamaged views of the job."""
    place_of = {first + int(row): place for place, row in enumerate(good)}
    out = []
    for (building, start, end), seen in zip(keys.parts(), others, strict=True):
        a, b = np.searchsorted(good, (start, end))
        if a == b:
            continue
        kept = {point: tuple(place_of[row] for row in rows if row in place_of) for point, rows in seen.items()}
        out.append(Views(building, np.arange(a, b), keys.points[good[a:b]], kept))
    return out


def _grouped(task: Task, views: Views, seed: int) -> Int[np.ndarray, "samples images"]:
    return task.group(views, seed) if task.group else _none(task)


def _none(task: Task) -> Int[np.ndarray, "samples images"]:
    return np.zeros((0, task.images), np.int64)


def _labels_of_shots(
    task: Task, samples: Int[np.ndarray, "samples images"], job: PairJob, good: Int[np.ndarray, " good"], cameras: Any
) -> Shaped[np.ndarray, "samples ..."]:
    label = task.label
    assert label is not None and label.of_shots is not None  # noqa: PT018
    labels = np.empty((len(samples), *label.array_shape(0)), np.dtype(label.dtype))
    held = cameras[job.first + good] if len(good) else np.zeros((0, 7))
    buildings, points = job.keys.building_of[good], job.keys.points[good]
    for number, rows in enumerate(samples):
        labels[number] = label.of_shots(*(_shot(held[row], job.keys.buildings[buildings[row]], int(points[row])) for row in rows))
    return labels


def _shot(numbers: Float[np.ndarray, "7"], building: str, point: int) -> Shot:
    x, y, z, a, b, c, fov = map(float, numbers)
    return Shot(Camera((x, y, z), (a, b, c), fov, 1), building, point)
