"""The files of one building into its rows of the prepared arrays: what every process of `prepare` does."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from taskonomy.data.formats import DamagedFileError, ViewKey, from_bytes
from taskonomy.data.layouts import ReleasedSource, open_source
from taskonomy.data.view import View
from taskonomy.tasks import DICTIONARY, Task
from taskonomy.tasks.labels import Label, resized
from taskonomy.tasks.samples import nonfixated_pairs

VALID_DEPTH = 64500  # the reference takes raw depths from here on as holes: resizing may have mixed them with one


@dataclass(frozen=True)
class Job:
    """One building's views, and where their rows go."""

    root: Path
    folder: Path
    keys: tuple[ViewKey, ...]
    first: int
    size: int
    tasks: tuple[str, ...]
    options: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Done:
    """What a building's files were: damage as (row, file, reason), and which other views see each view's point."""

    damage: list[tuple[int, str, str]]
    others: dict[int, tuple[int, ...]]


def labels_of_views(tasks: Iterable[Task]) -> dict[str, Label]:
    """The labels that are made from one view's files, by task."""
    return {task.name: task.label for task in tasks if task.label is not None and task.label.make is not None}


@cache
def _source(root: Path) -> ReleasedSource:
    return open_source(root)


def read_building(job: Job) -> Done:
    """Fill a building's rows; damage is collected, never skipped over in silence."""
    source, tasks = _source(job.root), [DICTIONARY[name] for name in job.tasks]
    arrays = {path.relative_to(job.folder).as_posix(): np.lib.format.open_memmap(path, "r+") for path in sorted(job.folder.rglob("*.npy"))}
    row_of = {(key.point, key.view): job.first + position for position, key in enumerate(job.keys)}
    damage: list[tuple[int, str, str]] = []
    for row, key in enumerate(job.keys, start=job.first):
        view = View(source, key, job.size)
        _read_view(view, row, arrays, tasks, job.options)
        damage += [(row, source.where(key, domain), reason) for domain, reason in sorted(view.damage.items())]
    others: dict[int, tuple[int, ...]] = {}
    if any(task.group is nonfixated_pairs for task in tasks):
        for point in sorted({key.point for key in job.keys}):
            try:
                others[point] = others_of(source, job.keys[0].building, point, row_of)
            except DamagedFileError as error:
                key = next(key for key in job.keys if key.point == point)
                damage += [(row_of[point, key.view], f"{key.building}: nonfixated_matches of point {point}", str(error))]
    for array in arrays.values():
        array.flush()
    return Done(damage, others)


def _read_view(view: View, row: int, arrays: Mapping[str, Any], tasks: Sequence[Task], options: Mapping[str, Mapping[str, float]]) -> None:
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


def _depth_mask(view: View) -> Any:
    """Where there is depth, also after resizing: a pixel counts if it has no share of a hole (section 1.1 of the reference's preprocessing)."""
    valid = view.stored("depth_zbuffer") < VALID_DEPTH
    return resized(valid.astype(np.float32), view.size) >= 0.99


def others_of(source: ReleasedSource, building: str, point: int, row_of: Mapping[tuple[int, int], int]) -> tuple[int, ...]:
    """Rows of the views that see a point without fixating it."""
    matches = from_bytes("nonfixated_matches", source.matches(building, point))
    try:
        named = [(int(view["point_uuid"]), int(view["view_id"])) for view in matches["views"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"has no views with point_uuid and view_id ({error})") from None
    if missing := [one for one in named if one not in row_of]:
        raise DamagedFileError(f"names a view that is not there: point {missing[0][0]}, view {missing[0][1]}")
    return tuple(row_of[one] for one in named if one[0] != point)
