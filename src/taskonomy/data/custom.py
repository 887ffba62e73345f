"""A user's own images and labels, without points, views or released file names.

    images/NAME.png|jpg            the images, of any size; subfolders are ignored
    <task>/NAME.png|npy            labels that are images or arrays: a folder for each task, a file for each image
    labels.csv|parquet             labels that are numbers: a row for each image, with these columns
        image                      NAME, with or without its extension
        split                      optional: train, val or test
        group or building          optional: images of one group belong to the same split
        <task>                     one number
        <task>.0, <task>.1, ...    or several
    <task>.csv                     labels of two or three images: a row for each sample (`taskonomy.data.custom_samples`)

Each image has a label of each task that has folders or columns, and each label an image. Classes are written as numbers. Names that begin with a
dot, and files of operating systems such as Thumbs.db, are ignored. Names are compared in one Unicode normal form, so an accented letter matches
whether it is stored as one character or as two.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Shaped, UInt8

from taskonomy.data.custom_samples import Listed, is_list, read_list
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.parsing.user_text import normal, visible
from taskonomy.release.archive import stamp_of
from taskonomy.release.discover import hides_from_dvc, refuse_links
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError, array_from, has_palette, image_from
from taskonomy.release.split_lists import RELEASED_SPLITS

_IMAGES = frozenset({".png", ".jpg", ".jpeg"})
_LABELS = frozenset({".png", ".npy"})
_NOT_TASKS = frozenset({"image", "split", "group", "building"})


class CustomSource:
    """A folder of the user's own data; opening it checks names, tables and labels against each other, but decodes no image.

    Attributes:
        root: The folder.
        names: Names of the images, without extension; numbers in them sort as numbers.
        tasks: Names of the tasks that have labels, sorted.
        listed: Samples of the tasks whose samples have several images, by task.

    Raises:
        TaskonomyError: Images and labels do not match; the message gives the number of mismatches and the first few.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        folder = self.root / "images"
        if not folder.is_dir():
            raise TaskonomyError(f"{self.root}: has no folder images/")
        with os.scandir(self.root) as entries:
            refuse_links(self.root, sorted(one.path for one in entries if not one.name.startswith(".") and hides_from_dvc(one)), "")
        self._images = _by_name(folder, _IMAGES)
        if not self._images:
            raise TaskonomyError(f"{folder}: holds no image; images end in .png, .jpg or .jpeg")
        self.names: tuple[str, ...] = tuple(sorted(self._images, key=_numbers_as_numbers))
        self._files = {path.name: _by_name(path, _LABELS) for path in self._task_folders()}
        for task, files in self._files.items():
            _pair(self.root / task, self.names, files)
        self._table_path, self._table = self._read_table()
        self._columns = self._task_columns()
        if both := sorted(self._files.keys() & self._columns.keys()):
            raise TaskonomyError(f"{self._table_path}: {few(both)}: is a column and also a folder; a task has one kind of label")
        tables = [path for path in visible(self.root.glob("*.csv")) if path != self._table_path and path.is_file() and is_list(path)]
        self.listed: dict[str, Listed] = {path.stem: read_list(path, self._images, _IMAGES) for path in tables}
        if both := sorted(self.listed.keys() & {*self._files, *self._columns}):
            raise TaskonomyError(f"{self.root}: {few(both)}: has labels of single images and a table of several; a task has one kind of label")
        self.tasks: tuple[str, ...] = tuple(sorted({*self._files, *self._columns, *self.listed}))
        if not self.tasks:
            raise TaskonomyError(f"{self.root}: has images/ and no labels; expected folders <task>/, or labels.csv with columns image, <task>")

    def render(self) -> str:
        """Describe the data as text; every image and every label is decoded for it."""
        damaged = [f"{where} ({reason})" for where, reason in self._damage()]
        splits = ", ".join(f"{name} {count:,}" for name, count in Counter(self.splits.values()).items()) or "by data.splits of params.yaml"
        lines = [
            f"{self.root}: images and labels by name",
            f"images      {len(self.names):,}: {few(self.names, 5)}",
            f"groups      {len(set(self.groups.values())):,}" if self.groups else "groups      none: every image is on its own",
            f"splits      {splits}",
            "labels      " + ", ".join(f"{task} ({self._kept(task)})" for task in self.tasks),
            f"damage      {few(damaged, 5) if damaged else 'none'}",
        ]
        return "\n".join(lines)

    def _kept(self, task: str) -> str:
        if task in self.listed:
            return f"{len(self.listed[task].images):,} samples of {len(self.listed[task].images[0])} images"
        return "files" if task in self._files else "table"

    def _damage(self) -> Iterator[tuple[str, str]]:
        for name in self.names:
            for task in (None, *self._files):
                try:
                    _ = self.image(name) if task is None else self.label(name, task)
                except DamagedFileError as error:
                    yield self.where(name, task), str(error)

    def image_bytes(self, name: str) -> bytes:
        """Read the file of an image.

        Raises:
            DamagedFileError: It cannot be read, or is empty.
        """
        return _read(self._of(name, self._images))

    def image(self, name: str) -> UInt8[np.ndarray, "height width 3"]:
        """Return an image as RGB: grey is repeated, transparency dropped, and a photograph rotated as its EXIF orientation says.

        Raises:
            DamagedFileError: It cannot be decoded.
        """
        return np.ascontiguousarray(image_from(self.image_bytes(name), cv2.IMREAD_COLOR)[..., ::-1])

    def label(self, name: str, task: str) -> float | Shaped[np.ndarray, "..."]:
        """Return a label as it is stored: the values of a PNG (RGB if it has colours) or an array, one number, or a vector.

        Raises:
            DamagedFileError: It cannot be decoded.
            TaskonomyError: There is no such image or task.
        """
        if task in self._files:
            path = self._of(name, self._files[task])
            return _decode(_read(path), path.suffix.lower())
        if task not in self._columns:
            raise unknown(f"{self.root}: label", [task], self.tasks)
        self._of(name, self._images)
        columns = self._columns[task]
        values = self._table.loc[name, columns].to_numpy(np.float64)
        return float(values[0]) if columns == [task] else values

    def where(self, name: str, task: str | None = None) -> str:
        """Return the location of a label for messages; without a task, that of the image."""
        if task in self._columns:
            return f"{self._table_path}: {name}, {task}"
        return str(self._of(name, self._images if task is None else self._files[task]))

    def stamp(self, name: str, task: str | None = None) -> str:
        """Return a text that changes when the file of a label (without a task: of the image) is overwritten; empty for labels in a table."""
        files = self._images if task is None else self._files.get(task, {})
        try:
            found = os.stat(files[name]) if name in files else None
        except OSError as error:
            return f"unreadable: {error.strerror or error}"
        return stamp_of(found) if found else ""

    @cached_property
    def splits(self) -> dict[str, str]:
        """Return image -> `train`, `val` or `test`; {} if the table has no splits."""
        return self._column("split")

    @cached_property
    def groups(self) -> dict[str, str]:
        """Return image -> its group or building; {} if the table has neither."""
        return self._column("group") or self._column("building")

    def _of(self, name: str, files: dict[str, Path]) -> Path:
        if name not in files:
            raise TaskonomyError(f"{self.root}: no image {name!r}")
        return files[name]

    def _task_folders(self) -> list[Path]:
        return [path for path in visible(self.root.iterdir()) if path.is_dir() and path.name != "images"]

    def _column(self, name: str) -> dict[str, str]:
        return {str(image): str(value) for image, value in self._table[name].items()} if name in self._table else {}

    def _read_table(self) -> tuple[Path, pd.DataFrame]:
        """Read the table, a row for each image; without a table, the rows have no columns."""
        paths = [path for name in ("labels.csv", "labels.parquet") if (path := self.root / name).exists()]
        if not paths:
            return self.root / "labels.csv", pd.DataFrame(index=pd.Index(self.names))
        if len(paths) > 1:
            raise TaskonomyError(f"{self.root}: has labels.csv and labels.parquet; which one counts?")
        table = _read_frame(path := paths[0])
        if "image" not in table:
            raise TaskonomyError(f"{path}: has no column image; columns are {few([str(column) for column in table.columns], 10)}")
        listed = [_without_extension(str(image)) for image in table["image"]]
        if twice := sorted({name for name in listed if listed.count(name) > 1}) if len(set(listed)) < len(listed) else []:
            raise TaskonomyError(f"{path}: {len(twice):,} images have more than one row: {few(twice)}")
        _pair(path, self.names, listed)
        table = table.drop(columns="image").set_axis(pd.Index(listed), axis="index")
        for column in {"group", "building"} & set(table.columns):
            table[column] = table[column].map(lambda value: normal(value) if isinstance(value, str) else value)
        if "split" in table and (wrong := sorted({str(value) for value in table["split"]} - set(RELEASED_SPLITS))):
            raise TaskonomyError(f"{path}: split must be one of {', '.join(RELEASED_SPLITS)} (is also {few(wrong)})")
        if "group" in table and "building" in table:
            raise TaskonomyError(f"{path}: has columns group and building, which mean the same; keep one")
        for column in {"group", "building"} & set(table.columns):
            if empty := [str(name) for name in table.index[table[column].isna()]]:
                raise TaskonomyError(f"{path}: {len(empty):,} images have no {column}: {few(empty)}")
            if "split" not in table:
                continue
            splits = table.groupby(column)["split"].nunique()
            if torn := [str(group) for group in splits.index[splits > 1]]:
                raise TaskonomyError(f"{path}: {len(torn):,} groups lie in more than one split: {few(torn)}")
        return path, table

    def _task_columns(self) -> dict[str, list[str]]:
        """Return task -> its columns, in the order of their numbers. All columns are checked to hold finite numbers."""
        numbered: dict[str, list[int]] = {}
        single: dict[str, list[str]] = {}
        for column in (column for column in self._table.columns if column not in _NOT_TASKS):
            self._must_be_numbers(column)
            match = re.fullmatch(r"(.+)\.(0|[1-9]\d*)", column)
            if match:
                numbered.setdefault(match[1], []).append(int(match[2]))
            else:
                single[column] = [column]
        for task, places in numbered.items():
            if sorted(places) != list(range(len(places))) or task in single:
                have = ", ".join(f"{task}.{place}" for place in sorted(places)) + (f" and {task}" if task in single else "")
                raise TaskonomyError(f"{self._table_path}: columns of {task} must be {task}.0 to {task}.{len(places) - 1} (are {have})")
        return single | {task: [f"{task}.{place}" for place in range(len(places))] for task, places in numbered.items()}

    def _must_be_numbers(self, column: str) -> None:
        values = self._table[column]
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        if wrong := [f"{name} ({values[name]!r})" for name in values.index[~np.isfinite(numbers)]]:
            raise TaskonomyError(f"{self._table_path}: {column}: {len(wrong):,} of {len(values):,} values are no finite numbers: {few(wrong)}")


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            # Read as text: 007 is a name, and differs from 7.
            frame = pd.read_csv(path, dtype={"image": str, "split": str, "group": str, "building": str})
        else:
            frame = pd.read_parquet(path)
    except ImportError:
        raise TaskonomyError(f"{path}: needs pyarrow to be read: pip install pyarrow, or save it as labels.csv") from None
    except (ValueError, OSError) as error:
        raise TaskonomyError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    return frame.set_axis([str(column) for column in frame.columns], axis="columns")


def _by_name(folder: Path, extensions: frozenset[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    odd = []
    for path in visible(folder.iterdir()):
        if path.suffix.lower() not in extensions or path.is_dir():
            odd.append(path.name)
        elif files.setdefault(name := normal(path.stem), path) != path:
            raise TaskonomyError(f"{folder}: {files[name].name} and {path.name} have the same name; keep one")
    if odd:
        raise TaskonomyError(f"{folder}: {len(odd):,} entries are no {' or '.join(sorted(extensions))}: {few(odd)}")
    return files


def _pair(where: Path, names: Iterable[str], labels: Iterable[str]) -> None:
    images, labelled = set(names), set(labels)
    said = [
        f"{len(lost):,} of {len(whole):,} {what}: {few(sorted(lost, key=_numbers_as_numbers))}"
        for lost, whole, what in (
            (images - labelled, images, "images have no label"),
            (labelled - images, labelled, "labels have no image"),
        )
        if lost
    ]
    if said:
        raise TaskonomyError(f"{where}: {'; '.join(said)}")


def _without_extension(name: str) -> str:
    path = Path(normal(name))
    return path.stem if path.suffix.lower() in _IMAGES else path.name


def _numbers_as_numbers(name: str) -> tuple[tuple[bool, int, str], ...]:
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name) if part)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"unreadable: {error.strerror or error}") from None
    if not data:
        raise DamagedFileError("empty file")
    return data


def _decode(data: bytes, extension: str) -> Shaped[np.ndarray, "..."]:
    if extension == ".npy":
        return array_from(data)
    if has_palette(data):
        raise DamagedFileError("has a palette; save the numbers themselves, as grey")
    values = image_from(data)
    return np.ascontiguousarray(values[..., 2::-1] if values.ndim == 3 else values)
