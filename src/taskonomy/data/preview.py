"""Contact sheet: every task's label of a few views, as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from taskonomy.data.custom_checks import fitted
from taskonomy.data.datasets import PLAIN, Data, open_data
from taskonomy.data.framing import ReadOptions
from taskonomy.data.view_reader import ReadView
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input, Label, Shot, ViewFiles
from taskonomy.numeric.rng import generator
from taskonomy.release.formats import DamagedFileError, MissingFileError, ViewKey
from taskonomy.tasks import BUILT_IN, Registry, Task
from taskonomy.tasks.multi_view import Views, listed
from taskonomy.tasks.visualize import INK, PAPER, Sample, fit, input_picture, label_picture

Picture = UInt8[np.ndarray, "_ _ 3"]
MARGIN, TITLE = 10, 22
METRES = {"mean": 0.0, "std": 1.0}  # leaves values as they are: labels are shown in metres and radians, not as z-scores


def sheet(
    root: Path | str,
    registry: Registry = BUILT_IN,
    options: ReadOptions = PLAIN,
    *,
    views: int = 2,
    side: int = 160,
    columns: int = 9,
    seed: int = 0,
) -> Picture:
    """Draw some views, evenly spaced over the source: the image, and each task's label, computed as `prepare` computes it.

    Args:
        root: Any source of data.
        registry: Tasks; those whose labels the source has are shown.
        options: How images are read and made square.
        views: Number of views.
        side: Side of one picture, in pixels.
        columns: Pictures per row.
        seed: Seed for drawing pairs.

    Raises:
        TaskonomyError: There is nothing to show, or a file of a shown view is damaged.
    """
    source = open_data(root, registry, options)
    keys = source.keys
    tasks = [task for task in registry.values() if task.label is not None and _there(task, source)]
    chosen = [keys[int((number + 0.5) * len(keys) / views)] for number in range(min(views, len(keys)))]
    if not chosen:
        raise TaskonomyError(f"{root}: no view to show")
    blocks = []
    for key in chosen:
        try:
            blocks.append(_block(source, key, [one for one in keys if one.building == key.building], tasks, side, columns, seed))
        except DamagedFileError as error:
            raise TaskonomyError(f"{root}: building {key.building}, point {key.point}, view {key.view}: {error}") from None
    return np.concatenate(blocks)


def _there(task: Task, source: Data) -> bool:
    return task.label is not None and set(task.label.domains) <= set(source.domains)


def _block(source: Data, key: ViewKey, nearby: Sequence[ViewKey], tasks: Sequence[Task], side: int, columns: int, seed: int) -> Picture:
    """Draw one view: a grid of pictures, the image first."""
    size = source.view(key, side).stored("rgb").shape[0]
    images = {one: source.view(one, size) for one in nearby}
    cells = [("Image", fit(images[key].stored("rgb"), side, smooth=True))]
    for task in tasks:
        if (picture := _picture_or_none(task, key, images, source, side, seed)) is not None:
            cells.append((task.title, picture))
    rows = -(-len(cells) // columns)
    high, wide = side + TITLE + MARGIN, side + MARGIN
    page = np.full((rows * high + MARGIN, columns * wide + MARGIN, 3), PAPER, np.uint8)
    for number, (title, picture) in enumerate(cells):
        top, left = MARGIN + number // columns * high, MARGIN + number % columns * wide
        page[top + TITLE : top + TITLE + side, left : left + side] = picture
        scale = min(0.42, 0.42 * side / cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0])
        cv2.putText(page, title, (left, top + 15), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return page


def _picture_or_none(task: Task, key: ViewKey, images: dict[ViewKey, ReadView], source: Data, side: int, seed: int) -> Any:
    """Draw a label as `_picture` does; None also if there is none: no file, no cell, a camera file without a field that the task needs."""
    try:
        return _picture(task, key, images, source, side, seed)
    except MissingFileError:
        return None


def _picture(task: Task, key: ViewKey, images: dict[ViewKey, ReadView], source: Data, side: int, seed: int) -> Any:
    """Draw a task's label of the sample that begins with this view; None if the view has no partners."""
    if task.label is None:
        return None
    if task.group is listed:
        return _listed(task, key, source, side)
    members, stored = [key], _stored(task, images[key])
    if task.group is not None and task.label.of_shots is not None:
        rows = task.group(_views(list(images), source, seed), seed)
        mine = rows[rows[:, 0] == list(images).index(key)]
        if not len(mine):
            return None
        members = [list(images)[row] for row in mine[0]]
        stored = np.asarray(task.label.of_shots(*(Shot(images[one].camera, one.building, one.point) for one in members)))
    if task.input in (Input.NOISE, Input.HOLE):  # the label is the image itself, so the altered input is shown beside it
        image = images[key].stored("rgb")
        half = fit(input_picture(task, image, generator(seed, task.name, images[key].name)), side, smooth=True)
        half[:, side // 2 :] = fit(image, side, smooth=True)[:, side // 2 :]
        return half
    target = task.label.encode(stored, {**METRES, **task.label.options})
    fov = images[key].camera.fov if "point_info" in source.domains else None
    known = _known(task.label, images[key], np.shape(target)[:2])
    return label_picture(task, Sample(target, [images[one].stored("rgb") for one in members], fov, side, names=task.classes, known=known))


def _known(label: Label, view: ReadView, shape: tuple[int, ...]) -> Any:
    """Return the pixels of a map of this shape that have a label: no holes, no bars of padding; None: all."""
    own = label.make_mask(view) if label.make_mask is not None else None
    shown = view.shown()
    if shown.all() or shown.shape != shape:
        return own
    return shown if own is None else shown & own


def _listed(task: Task, key: ViewKey, source: Data, side: int) -> Any:
    """Draw the label of the first listed sample that begins with this view; None if there is none."""
    samples, found = source.listed(task.name)
    mine = next((number for number, sample in enumerate(samples) if sample[0] == key), None)
    if mine is None or task.label is None:
        return None
    declared = source.custom[task.name]
    stored = declared.compact(fitted(task.name, declared, found.values[mine]), side)
    target = task.label.encode(stored, {**METRES, **task.label.options})
    return label_picture(task, Sample(target, [source.view(one, side).stored("rgb") for one in samples[mine]], None, side, names=task.classes))


def _stored(task: Task, view: ViewFiles) -> Any:
    label = task.label
    if label is None or label.make is None:
        return view.stored("rgb")
    return label.make(view, **label.options_of_make())


def _views(keys: Sequence[ViewKey], source: Data, seed: int) -> Views:
    row_of = {(key.point, key.view): row for row, key in enumerate(keys)}
    others: dict[int, tuple[int, ...]] = {}
    if "nonfixated_matches" in source.domains:
        for point in sorted({key.point for key in keys}):
            others[point] = tuple(row_of[one] for one in source.others(keys[0].building, point) if one in row_of)
    return Views(keys[0].building, np.arange(len(keys)), np.array([key.point for key in keys]), others)
