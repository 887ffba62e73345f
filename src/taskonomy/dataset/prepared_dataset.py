"""Prepared data: images, labels and samples as memory-mapped arrays.

```
index.csv                  one row per view: building, point, view, split
images.npy                 [views, h, h, 3] uint8
cameras.npy                [views, 7] location (m), euler sxyz (rad), field of view (rad); if the source has cameras
masks/depth.npy            [views, h, h] where there is depth
masks/shown.npy            [views, h, h] what is no padding; only where images were padded
masks/masks.json           which masks exist
tasks/TASK/label.npy       the compact label of each sample; absent if the image itself is the label
tasks/TASK/mask.npy        [views, h, h] where the label has values; for labels that say it of themselves only
tasks/TASK/samples.npy     [samples, images] rows of the index; absent if every view is a sample
tasks/TASK/card.json       what its encoding needs: options, statistics of the training split
manifest.json              what was read, and what was skipped
```
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, UInt8

from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.labels.encodings import Mask
from taskonomy.tasks import Task


@dataclass(frozen=True)
class AllOf:
    """Masks of which all must hold.

    Attributes:
        masks: The masks, memory-mapped.
    """

    masks: tuple[Any, ...]

    def __getitem__(self, rows: Any) -> Any:
        """Return where every mask holds in these rows."""
        return np.logical_and.reduce([np.asarray(one[rows]) for one in self.masks])


@dataclass(frozen=True)
class PreparedTask:
    """One task's samples and labels.

    Attributes:
        task: The task.
        samples: Rows of the images that form each sample.
        stored: The compact label of each sample, memory-mapped.
        masks: Where there is a label, by row of the first image; None: everywhere.
        statistics: Options, and statistics of the training split.
        splits: Split of each sample, as number of `Split`.
    """

    task: Task
    samples: Int[np.ndarray, "samples images"]
    stored: Any
    masks: Any
    statistics: dict[str, Any]
    splits: Int[np.ndarray, " samples"]

    def of_split(self, split: Split) -> Int[np.ndarray, " chosen"]:
        """Return the positions of a split's samples."""
        return np.flatnonzero(self.splits == split.number)

    def labels(self, chosen: Any) -> Any:
        """Return the encoded labels of these samples, as the loss takes them.

        Raises:
            TaskonomyError: The task has no label.
        """
        if self.task.label is None:
            raise TaskonomyError(f"{self.task.name} has no label")
        return self.task.label.encode(np.asarray(self.stored[chosen]), self.statistics)

    def mask(self, chosen: Any) -> Bool[np.ndarray, "chosen h h"] | None:
        """Return which pixels of these samples have a label; None: all."""
        if self.masks is None:
            return None
        mask = np.asarray(self.masks[self.samples[chosen, 0]])
        side = self.task.label.array_shape(mask.shape[1])[0] if self.task.label else mask.shape[1]
        if side != mask.shape[1]:  # a label of fewer pixels: each needs all of the image's that it stands for
            mask = np.asarray(mask.reshape(len(mask), side, mask.shape[1] // side, side, -1).all((2, 4)))
        valid = self.task.label.valid if self.task.label else None
        return mask if valid is None else mask & valid(np.asarray(self.stored[chosen]))


class Prepared:
    """A folder written by the stage `prepare`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if not (self.root / "index.csv").is_file():
            raise TaskonomyError(f"{self.root}: no prepared data; the stage `prepare` writes it")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Return what was read and what was skipped.

        Stages that train do not read it: adding a task changes the manifest, but no other task's network.
        """
        return dict(json.loads((self.root / "manifest.json").read_text()))

    @cached_property
    def index(self) -> pd.DataFrame:
        """Return the index, one row per view: building, point, view, split."""
        return pd.read_csv(self.root / "index.csv", dtype={"building": str})

    @cached_property
    def splits(self) -> Int[np.ndarray, " views"]:
        """Return the split of each view, as number of `Split`."""
        return pd.Categorical(self.index["split"], categories=[split.value for split in Split]).codes.astype(np.int64)

    @cached_property
    def images(self) -> UInt8[np.ndarray, "views h h 3"]:
        """Return every image, memory-mapped."""
        return np.load(self.root / "images.npy", mmap_mode="r")

    def task(self, task: Task) -> PreparedTask:
        """Return one task's samples and labels.

        Raises:
            TaskonomyError: The task is not among the prepared data.
        """
        card = self.root / "tasks" / task.name / "card.json"
        if not card.is_file():
            raise unknown(f"{self.root}: tasks", [task.name], self.manifest["tasks"])
        folder = card.parent
        listed = folder / "samples.npy"
        samples = np.load(listed) if listed.is_file() else np.arange(len(self.index))[:, None]
        label = folder / "label.npy"
        stored = np.load(label, mmap_mode="r") if label.is_file() else self.images
        found = [np.load(path, mmap_mode="r") for path in self._masks(task, folder)]
        masks = None if not found else found[0] if len(found) == 1 else AllOf(tuple(found))
        return PreparedTask(task, samples, stored, masks, json.loads(card.read_text())["statistics"], self.splits[samples[:, 0]])

    def _masks(self, task: Task, folder: Path) -> Iterator[Path]:
        """Yield the files that say where a map has a label; other labels have no pixels."""
        if task.label is not None and task.label.mask is Mask.DEPTH:
            yield self.root / "masks" / "depth.npy"
        if task.label is not None and task.label.mask is Mask.OWN:
            yield folder / "mask.npy"
        shown = self.root / "masks" / "shown.npy"
        if task.label is not None and str(task.label.shape[0]).startswith("h") and shown.is_file():
            yield shown
