"""Read the files of some views into their rows of the prepared arrays; every process of `prepare` runs this."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskonomy.config.data_params import Fit
from taskonomy.data.datasets import Data, Problem
from taskonomy.data.prepare.arrays import Writing, arrays_of, labels_of_views, needs
from taskonomy.data.view_reader import ReadView
from taskonomy.labels.encodings import Label, Mask, ViewFiles
from taskonomy.release.formats import DamagedFileError, ViewKey
from taskonomy.tasks import Registry
from taskonomy.tasks.preprocess import resized

VALID_DEPTH = 64500  # the reference treats raw depths from here on as holes, because resizing may have mixed them with a hole
WHOLE = 0.99  # share of a pixel that must come from valid ones
_AHEAD = 8  # views whose files are fetched at a time, if they are in object storage
Row = tuple[int, str, str]  # damage: row, file, reason


@dataclass(frozen=True)
class ReadJob:
    """Views to read, and where their rows go.

    Attributes:
        open: Opens the data of their buildings.
        folder: The prepared data.
        keys: The views, in the order of their rows.
        first: Row of the first view.
        size: Side of the prepared images, in pixels.
        tasks: Names of the tasks whose labels are prepared.
        registry: Registry with these tasks.
        options: Options of each task's label.
        fit: What becomes of images that are not square.
    """

    open: Callable[[], Data]
    folder: Path
    keys: tuple[ViewKey, ...]
    first: int
    size: int
    tasks: tuple[str, ...]
    registry: Registry
    options: Mapping[str, Mapping[str, float]]
    fit: Fit = Fit.CROP


@dataclass(frozen=True)
class ReadPortion:
    """Result of reading a portion.

    Attributes:
        damage: Damaged files.
        missing: Files of labels that are not there, though the source is to be complete.
        gaps: Task -> rows that have no label of it.
        problems: Tars that are damaged as a whole.
        files: Number of files read.
        bytes: Their total size.
        seconds: Time that one process took.
        notes: What people must know of how files were read -> how often.
        seen: Digest (`Data.seen`) of all files of these views, including the matches that name their partners, taken before the first was read.
    """

    damage: list[Row]
    missing: list[Row]
    gaps: dict[str, list[int]]
    problems: list[Problem]
    files: int
    bytes: int
    seconds: float
    seen: str
    notes: dict[str, int]


@dataclass(frozen=True)
class FileLook:
    """Views whose files were read earlier, to be checked for changes.

    Attributes:
        open: Opens the data of their buildings.
        parts: Number of each portion, and its views.
        tasks: Names of the tasks whose labels are prepared.
        registry: Registry with these tasks.
    """

    open: Callable[[], Data]
    parts: tuple[tuple[int, tuple[ViewKey, ...]], ...]
    tasks: tuple[str, ...]
    registry: Registry


def look_again(look: FileLook) -> dict[int, str]:
    """Return a digest of the present state of each portion's files, comparable to `ReadPortion.seen`."""
    data, domains = look.open(), sorted(needs([look.registry[name] for name in look.tasks]))
    return {number: data.seen(keys, domains) for number, keys in look.parts}


def read_views(job: ReadJob) -> ReadPortion:
    """Fill a job's rows; all damage and every gap is collected, none is skipped silently."""
    began = time.perf_counter()
    data, tasks = job.open(), [job.registry[name] for name in job.tasks]
    seen = data.seen(job.keys, sorted(needs(tasks)))
    domains = sorted(set(needs(tasks)) - {"nonfixated_matches"})
    makes = [(name, label, label.options_of_make(job.options[name])) for name, label in labels_of_views(tasks).items()]
    damage: list[Row] = []
    missing: list[Row] = []
    gaps: dict[str, list[int]] = {}
    files = size = 0
    notes: Counter[str] = Counter()
    with Writing(job.folder, arrays_of(tasks, job.size, job.fit), job.first) as arrays:
        for place, key in enumerate(job.keys):
            if place % _AHEAD == 0:
                data.fetch(job.keys[place : place + _AHEAD], domains)
            view = data.view(key, job.size)
            for name in _read_view(view, place, arrays, makes):
                gaps.setdefault(name, []).append(job.first + place)
            damage += [(job.first + place, data.where(key, domain), reason) for domain, reason in sorted(view.damage.items())]
            missing += [(job.first + place, data.where(key, domain), reason) for domain, reason in sorted(view.missing.items())]
            files, size = files + view.files, size + view.bytes
            notes.update(view.notes)
    problems = data.problems(dict.fromkeys(key.building for key in job.keys), domains)
    return ReadPortion(damage, missing, gaps, problems, files, size, time.perf_counter() - began, seen, dict(notes))


def _read_view(view: ReadView, row: int, arrays: Writing, makes: Sequence[tuple[str, Label, Mapping[str, float]]]) -> list[str]:
    """Fill one row of every array; damage is noted in the view, and the remaining files are still read.

    Returns:
        The tasks that this view has no label of.
    """
    try:
        arrays.write("images.npy", row, resized(view.stored("rgb"), view.size))
    except DamagedFileError:
        return []  # no other file can be checked without the side of the image
    if "cameras.npy" in arrays:
        with suppress(DamagedFileError):
            camera = view.camera
            arrays.write("cameras.npy", row, (*camera.location, *camera.euler, camera.fov))
    has_depth = True
    if "masks/depth.npy" in arrays:
        try:
            arrays.write("masks/depth.npy", row, _depth_mask(view))
        except DamagedFileError:
            has_depth = False
    if "masks/shown.npy" in arrays:
        arrays.write("masks/shown.npy", row, resized(view.shown().astype(np.float32), view.size) >= WHOLE)
    without = [name for name, label, options in makes if not _write_label(view, row, arrays, name, label, options)]
    return without if has_depth else [name for name, label, _options in makes if name in without or label.mask is Mask.DEPTH]


def _write_label(view: ReadView, row: int, arrays: Writing, name: str, label: Label, options: Mapping[str, float]) -> bool:
    """Write a view's label of a task; return whether it has one."""
    try:
        arrays.write(f"tasks/{name}/label.npy", row, label.make(view, **options) if label.make else None)
        if label.make_mask is None:
            return True
        mask = label.make_mask(view)
    except DamagedFileError:
        return False
    arrays.write(f"tasks/{name}/mask.npy", row, mask)
    return bool(mask.any())


def _depth_mask(view: ViewFiles) -> Any:
    """Compute the pixels that have depth after resizing: those without any share of a hole (section 1.1 of the reference's preprocessing)."""
    valid = view.stored("depth_zbuffer") < VALID_DEPTH
    return resized(valid.astype(np.float32), view.size) >= WHOLE
