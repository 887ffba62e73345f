"""Describe a user's own folder as text, after looking at every image and label: `taskonomy data inspect`."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_labels import as_numbers
from taskonomy.data.custom_view import TURNED, TURNED_TOO
from taskonomy.data.framing import whole_factor
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import UPRIGHT, has_transparency, orientation_of, rgb_from, stored_shape

_SHOWN = 5


class CustomReport:
    """What a folder holds.

    Args:
        source: The folder; every image and label of it is decoded.
    """

    def __init__(self, source: CustomSource) -> None:
        self.source = source
        self.damage: list[str] = []
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.turned: list[str] = []
        self.turned_labels: list[str] = []
        self.clear: list[str] = []
        self.not_finite: dict[str, list[str]] = {}
        self.other_sizes: list[str] = []
        for name in source.names:
            self._look_at(name)

    def render(self) -> str:
        """Return a line for each thing that people should know."""
        source = self.source
        splits = ", ".join(f"{name} {count:,}" for name, count in Counter(source.splits.values()).items()) or "by data.splits of params.yaml"
        sizes = ", ".join(f"{width} x {height}" for (width, height), _count in self.sizes.most_common(_SHOWN))
        more = f" and {len(self.sizes) - _SHOWN:,} other sizes" if len(self.sizes) > _SHOWN else ""
        lines = [
            f"{source.root}: images and labels by name",
            f"images      {len(source.names):,}: {few(source.names, _SHOWN)}",
            f"pixels      {sizes}{more}",
            f"groups      {len(set(source.groups.values())):,}" if source.groups else "groups      none: every image is on its own",
            f"splits      {splits}" + (", by the folders of the images" if source.splits_of_folders and not source.table.column_of("split") else ""),
            "labels      " + (", ".join(f"{task} ({source.kept(task)})" for task in source.tasks) or "none that are numbers or files"),
            *self._said(),
            f"damage      {few(self.damage, _SHOWN) if self.damage else 'none'}",
        ]
        return "\n".join(lines)

    def _said(self) -> Iterator[str]:
        source = self.source
        for task in source.table.tasks:
            if source.table.holds_text(task):
                classes = source.table.classes(task)
                yield f"text        {task}: {len(classes):,} different, {few(classes, 20)}; of classes: classes: [{', '.join(classes[:20])}]"
        if source.table.column not in ("", "image"):
            yield f"table       the column {source.table.column} names the images"
        if source.deep:
            yield f"deep        {len(source.deep):,} images have more than 8 bits per channel; {source.white:g} is white, data.white declares it"
        if self.clear:
            yield f"clear       {len(self.clear):,} images have transparent pixels, which lie over white: {few(self.clear)}"
        if self.turned:
            yield f"turned      {len(self.turned):,} {TURNED}: {few(self.turned)}"
        if self.turned_labels:
            yield f"turned      {len(self.turned_labels):,} {TURNED_TOO}: {few(self.turned_labels)}"
        for task, names in self.not_finite.items():
            what = f"{len(names):,} labels have values that are no finite numbers"
            yield f"holes       {task}: {what}: {few(names)}; missing: nan leaves those pixels out"
        if self.other_sizes:
            yield f"sizes       {len(self.other_sizes):,} labels have another size than their image: {few(self.other_sizes)}"

    def _look_at(self, name: str) -> None:
        try:
            data = self.source.image_bytes(name)
            shape: Any = rgb_from(data, self.source.white).shape[:2]
        except DamagedFileError as error:
            self.damage.append(f"{self.source.where(name)} ({error})")
            return
        orientation = orientation_of(data)
        self.sizes[shape[1], shape[0]] += 1
        self.turned += [name] * (orientation != UPRIGHT)
        self.clear += [name] * has_transparency(data)
        for task in self.source.tasks:
            if task not in self.source.listed:
                self._look_at_label(name, task, shape, stored_shape(shape, orientation), orientation)

    def _look_at_label(self, name: str, task: str, shape: tuple[int, int], stored: tuple[int, int], orientation: int) -> None:
        where = self.source.where(name, task)
        try:
            kept = self.source.label(name, task)
        except DamagedFileError as error:
            self.damage.append(f"{where} ({error})")
            return
        if kept is None or isinstance(kept, str):
            return
        values = as_numbers(kept)
        if not np.isfinite(values).all():
            self.not_finite.setdefault(task, []).append(where)
        if values.ndim < 2:
            return
        found = values.shape[:2]
        fits_stored = whole_factor(found, stored) or whole_factor(stored, found)
        if orientation != UPRIGHT and fits_stored:
            self.turned_labels.append(where)
        elif found != shape:
            fits = whole_factor(found, shape) or whole_factor(shape, found)
            self.other_sizes.append(f"{where} ({found[1]} x {found[0]} for {shape[1]} x {shape[0]}" + (")" if fits else ", which does not fit)"))
