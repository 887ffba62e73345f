"""Files of some buildings into their rows of the prepared arrays: what every process of `prepare` does."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskonomy.data.formats import DamagedFileError, ViewKey
from taskonomy.data.sources import Data, open_data
from taskonomy.tasks import DICTIONARY, Task
from taskonomy.tasks.labels import Label, ViewFiles, resized
from taskonomy.tasks.samples import fixated_pairs, nonfixated_pairs, triplets

VALID_DEPTH = 64500  # the reference takes raw depths from here on as holes: resizing may have mixed them with one


@dataclass(frozen=True)
class Job:
    """The views of some whole buildings, and where their rows go."""

    root: Path
    folder: Path
    keys: tuple[ViewKey, ...]
    first: int
    size: int
    tasks: tuple[str, ...]
    options: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Done:
    """What the files were: damage as (row, file, reason), and per building and point the rows of the views that see it unfixated."""

    damage: list[tuple[int, str, str]]
    others: dict[str, dict[int, tuple[int, ...]]]


def labels_of_views(tasks: Iterable[Task]) -> dict[str, Label]:
    """The labels that are made from one view's files, by task."""
    return {task.name: task.label for task in tasks if task.label is not None and task.label.make is not None}


def read_views(job: Job) -> Done:
    """Fill a job's rows; damage is collected, never skipped over in silence."""
    data, tasks = open_data(job.root), [DICTIONARY[name] for name in job.tasks]
    arrays = {path.relative_to(job.folder).as_posix(): np.lib.format.open_memmap(path, "r+") for path in sorted(job.folder.rglob("*.npy"))}
    damage: list[tuple[int, str, str]] = []
    for row, key in enumerate(job.keys, start=job.first):
        view = data.view(key, job.size)
        _read_view(view, row, arrays, tasks, job.options)
        damage += [(row, data.where(key, domain), reason) for domain, reason in sorted(view.damage.items())]
    for array in arrays.values():
        array.flush()
    others: dict[str, dict[int, tuple[int, ...]]] = {}
    for building in dict.fromkeys(key.building for key in job.keys):
        found, bad = _partners(data, job, building, tasks)
        others[building] = found
        damage += bad
    return Done(damage, others)


def _partners(data: Data, job: Job, building: str, tasks: Sequence[Task]) -> tuple[dict[int, tuple[int, ...]], list[tuple[int, str, str]]]:
    """Per point of a building, the views that see it without fixating it; and the views that lack a partner which a task needs."""
    rows: dict[int, dict[int, int]] = {}
    for row, key in enumerate(job.keys, start=job.first):
        if key.building == building:
            rows.setdefault(key.point, {})[key.view] = row
    row_of = {(point, view): row for point, views in rows.items() for view, row in views.items()}
    needed = max((task.images for task in tasks if task.group in (fixated_pairs, triplets)), default=1)
    others: dict[int, tuple[int, ...]] = {}
    damage = []
    for point, views in sorted(rows.items()):
        if len(views) < needed:
            reason = f"view without its partner: {len(views)} of the point, {needed} needed"
            damage += [(row, f"{building}: point {point}, view {view}", reason) for view, row in sorted(views.items())]
        if any(task.group is nonfixated_pairs for task in tasks):
            try:
                others[point] = data.others(building, point, row_of)
            except DamagedFileError as error:
                damage += [(row, f"{building}: nonfixated_matches of point {point}", str(error)) for _view, row in sorted(views.items())[:1]]
    return others, damage


def _read_view(view: ViewFiles, row: int, arrays: Mapping[str, Any], tasks: Sequence[Task], options: Mapping[str, Mapping[str, float]]) -> None:
    """Fill one row of every array; what is damaged is noted in the view, and everything else is still tried."""
    try:
        arrays["images.npy"][row] = resized(view.stored("rgb"), view.size)
    except DamagedFileError:
        return  # without the image's side no other file can be judged
    if "cameras.npy" in arrays:
        with suppress(DamagedFileError):
            camera = view.camera
            arrays["cameras.npy"][row] = (*camera.location, *camera.euler, camera.fov)
    if "masks/depth.npy" in arrays:
        with suppress(DamagedFileError):
            arrays["masks/depth.npy"][row] = _depth_mask(view)
    for name, label in labels_of_views(tasks).items():
        wanted = label.options_of_make(options[name])
        with suppress(DamagedFileError):
            arrays[f"tasks/{name}/label.npy"][row] = label.make(view, **wanted) if label.make else None


def _depth_mask(view: ViewFiles) -> Any:
    """Where there is depth, also after resizing: a pixel counts if it has no share of a hole (section 1.1 of the reference's preprocessing)."""
    valid = view.stored("depth_zbuffer") < VALID_DEPTH
    return resized(valid.astype(np.float32), view.size) >= 0.99
