"""A user's own images and labels, without points, views or released file names.

    images/NAME.jpg|png|...        the images, of any size, in sub-folders too: NAME is the path below images/ without extension; where there is no
                                   images/, those that lie in rgb/, as `taskonomy annotate` writes them
    <task>/NAME.png|tif|npy|...    labels that are images or arrays: a folder for each task, a file for each image
    labels.csv|parquet             labels that are numbers or names: a row for each image, with these columns
        image                      NAME or its path, with or without extension; also filename, path and others (`custom_table.FILE_COLUMNS`)
        split                      optional: train, val or test
        group or building          optional: images of one group belong to the same split
        <task>                     one number or name
        <task>.0, <task>.1, ...    or several
    <task>.csv                     labels of two or three images: a row for each sample (`taskonomy.data.custom_samples`)

Declarations may put label files elsewhere, or name a COCO file, or the folders that images lie in as their class. Names that begin with a
dot, and files of operating systems such as Thumbs.db, are ignored. Names are compared in one Unicode normal form, so an accented letter matches
whether it is stored as one character or as two.
"""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from taskonomy.data.coco import CocoLabels
from taskonomy.data.custom_files import Names, by_name, by_pattern, bytes_of, numbers_as_numbers, pair
from taskonomy.data.custom_labels import Kept, LabelColumns, LabelFiles, LabelFolders, LabelHolder
from taskonomy.data.custom_samples import Listed, is_list, read_list
from taskonomy.data.custom_table import Table, read_table_of
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.parsing.user_text import visible
from taskonomy.release.archive import stamp_of
from taskonomy.release.discover import hides_from_dvc, refuse_links
from taskonomy.release.file_names import few, parse_file
from taskonomy.release.formats import DOMAINS, DamagedFileError
from taskonomy.release.pictures import DEEP, IMAGES, LABELS, bits_of, largest_of, rgb_from, white_of
from taskonomy.release.split_lists import RELEASED_SPLITS
from taskonomy.tasks.custom_tasks import CustomClass, CustomLabels, CustomMap, CustomPixelClasses, CustomTask

_OF_SPLITS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"} | {split: split for split in RELEASED_SPLITS}
_PLACES = ("images", "rgb")  # folders of images; the first that is there
_HAVE_FILES = (CustomMap, CustomPixelClasses, CustomClass, CustomLabels)


class CustomSource:
    """A folder of the user's own data; opening it checks names, tables and labels against each other, but decodes no image.

    Attributes:
        root: The folder.
        folder: The folder of its images.
        names: Names of the images, without extension; numbers in them sort as numbers.
        tasks: Names of the tasks that have labels, sorted.
        listed: Samples of the tasks whose samples have several images, by task.
        table: The table of labels.

    Raises:
        TaskonomyError: Labels belong to no image, or a table makes no sense; the message gives the number of mismatches and the first few.
    """

    def __init__(self, root: Path, declared: Mapping[str, CustomTask] | None = None) -> None:
        """Open a folder.

        Args:
            root: The folder.
            declared: What its labels are; other folders and columns are left alone, but for those with the name of a released domain. None: every
                folder and column is a task.
        """
        self.root = Path(root)
        self.folder = folder_of_images(self.root) or self.root / _PLACES[0]
        if not self.folder.is_dir():
            raise TaskonomyError(f"{self.root}: has no folder images/")
        with os.scandir(self.root) as entries:
            refuse_links(self.root, sorted(one.path for one in entries if not one.name.startswith(".") and hides_from_dvc(one)), "")
        self._declared = declared
        self._images = by_name(self.folder, IMAGES)
        if not self._images:
            raise TaskonomyError(f"{self.folder}: holds no image; images end in {', '.join(IMAGES)}")
        self.names: tuple[str, ...] = tuple(sorted(self._images, key=numbers_as_numbers))
        finder = Names(self._images)
        self.table: Table = read_table_of(self.root, finder)
        self._holders: dict[str, LabelHolder] = self._declared_holders() | self._of_folders() | self._of_columns()
        tables = [path for path in visible(self.root.glob("*.csv")) if path != self.table.path and path.is_file() and is_list(path)]
        tables = [path for path in tables if declared is None or path.stem in declared]
        of = declared or {}
        self.listed: dict[str, Listed] = {path.stem: read_list(path, finder, of.get(path.stem)) for path in tables}
        if both := sorted(self.listed.keys() & self._holders.keys()):
            raise TaskonomyError(f"{self.root}: {few(both)}: has labels of single images and a table of several; a task has one kind of label")
        self.tasks: tuple[str, ...] = tuple(sorted({*self._holders, *self.listed}))
        if not self.tasks and declared is None and not self.table.cells and not self._may_be_labelled_otherwise():
            raise TaskonomyError(f"{self.root}: has images/ and no labels; expected folders <task>/, or labels.csv with columns image, <task>")

    def holder(self, task: str) -> LabelHolder | None:
        """Return where the labels of a task of single images are kept; None for other tasks."""
        return self._holders.get(task)

    def missing(self, task: str) -> list[str]:
        """Return the images that have no label of a task of single images."""
        there = set(self._holders[task].images())
        return [name for name in self.names if name not in there]

    def kept(self, task: str) -> str:
        """Describe how the labels of a task are kept."""
        if task in self.listed:
            return f"{len(self.listed[task].images):,} samples of {len(self.listed[task].images[0])} images"
        lost = len(self.missing(task))
        return self._holders[task].kept + (f", {len(self.names) - lost:,} of {len(self.names):,} images" if lost else "")

    def image_bytes(self, name: str) -> bytes:
        """Read the file of an image.

        Raises:
            DamagedFileError: It cannot be read, or is empty.
        """
        return bytes_of(self._of(name))

    def image(self, name: str, white: float | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """Return an image as RGB: grey is repeated, transparency laid over white, and a photograph turned as its EXIF orientation says.

        Args:
            name: Name of the image.
            white: The value that is white in images of more than 8 bits; None: as this image alone says.

        Raises:
            DamagedFileError: It cannot be decoded.
        """
        return rgb_from(self.image_bytes(name), white)

    @cached_property
    def deep(self) -> tuple[str, ...]:
        """Return the images of more than 8 bits per channel."""
        return tuple(name for name in self.names if self._bits(name) > 8)

    @cached_property
    def white(self) -> float | None:
        """Return the value that is white in images of more than 8 bits: the largest number of as many bits as the largest value of all of them has.

        None: there are no such images.
        """
        return white_of(max(map(self._largest, self.deep))) if self.deep else None

    def label(self, name: str, task: str) -> Kept:
        """Return a label as it is stored: an array, the values of an image (RGB if it has colours), numbers or text; None: there is none.

        Raises:
            DamagedFileError: It cannot be decoded.
            TaskonomyError: There is no such image or task.
        """
        if task not in self._holders:
            raise unknown(f"{self.root}: label", [task], self.tasks)
        self._of(name)
        return self._holders[task].get(name)

    def where(self, name: str, task: str | None = None) -> str:
        """Return the location of a label for messages; without a task, that of the image."""
        return str(self._of(name)) if task is None else self._holders[task].where(name)

    def stamp(self, name: str, task: str | None = None) -> str:
        """Return a text that changes when the file of a label (without a task: of the image) is overwritten; empty for labels in a table."""
        path = self._images.get(name) if task is None else self._holders[task].file(name) if task in self._holders else None
        try:
            found = os.stat(path) if path is not None else None
        except OSError as error:
            return f"unreadable: {error.strerror or error}"
        return stamp_of(found) if found else ""

    @cached_property
    def splits(self) -> dict[str, str]:
        """Return image -> `train`, `val` or `test`; {} if neither the table nor the folders that all images lie in say it."""
        return self.table.column_of("split") or self.splits_of_folders

    @cached_property
    def splits_of_folders(self) -> dict[str, str]:
        """Return image -> split, if every image lies in images/train, images/val or images/test (or names that mean the same); otherwise {}."""
        found = {name: _OF_SPLITS.get(name.partition("/")[0].lower()) if "/" in name else None for name in self.names}
        return {name: split for name, split in found.items() if split} if all(found.values()) else {}

    @cached_property
    def groups(self) -> dict[str, str]:
        """Return image -> its group or building; {} if the table has neither."""
        return self.table.column_of("group") or self.table.column_of("building")

    def _of(self, name: str) -> Path:
        if name not in self._images:
            raise TaskonomyError(f"{self.root}: no image {name!r}")
        return self._images[name]

    def _bits(self, name: str) -> int:
        path = self._images[name]
        if path.suffix.lower() not in DEEP:
            return 8
        try:
            with open(path, "rb") as file:
                start = file.read(32)
            return bits_of(start) if path.suffix.lower() == ".png" else bits_of(self.image_bytes(name))
        except (OSError, DamagedFileError):
            return 8  # what is damaged is told when it is read

    def _largest(self, name: str) -> int:
        try:
            return largest_of(self.image_bytes(name))
        except DamagedFileError:
            return 0

    def _may_be_task(self, name: str) -> bool:
        """Return whether a folder or column is read: it is declared, or a domain of the release, or nothing is declared."""
        return self._declared is None or name in self._declared or name in DOMAINS

    def _may_be_labelled_otherwise(self) -> bool:
        """Return whether a declaration could find labels where no folder and no column is one: in folders of images, or in a COCO file."""
        return any("/" in name for name in self.names) or any(path.suffix == ".json" for path in visible(self.root.rglob("*.json")))

    def _declared_holders(self) -> dict[str, LabelHolder]:
        """Return the labels whose place is declared: by a pattern, in a COCO file, or as the folders of images."""
        found: dict[str, LabelHolder] = {}
        for task, declared in (self._declared or {}).items():
            files = declared.files if isinstance(declared, _HAVE_FILES) else None
            if isinstance(declared, CustomClass) and declared.folders:
                found[task] = LabelFolders(self.folder, self.names)
            elif files is not None and files.endswith(".json"):
                found[task] = CocoLabels(self.root / files, declared, Names(self._images))
            elif files is not None:
                paths = by_pattern(self.root, files, self.names, LABELS)
                if not paths:
                    raise TaskonomyError(
                        f"data.own.{task}.files: no file fits {files}, as {self.root / files.replace('{name}', self.names[0])} would"
                    )
                found[task] = LabelFiles(paths, str(self.root / files), declared, files)
        return found

    def _of_folders(self) -> dict[str, LabelHolder]:
        """Return the labels of folders that have a task's name."""
        found: dict[str, LabelHolder] = {}
        for path in visible(self.root.iterdir()):
            declared = (self._declared or {}).get(path.name)
            other_place = isinstance(declared, _HAVE_FILES) and (declared.files or (isinstance(declared, CustomClass) and declared.folders))
            if not path.is_dir() or path == self.folder or other_place or not self._may_be_task(path.name):
                continue
            files = by_name(path, LABELS)
            pattern = _pattern(path, files, self.names)
            if pattern and self._declared is not None:
                raise TaskonomyError(
                    f"{path}: {len(files):,} of {len(files):,} labels have no image: {few(sorted(files))}; declare where they are:"
                    f" data.own.{path.name}.files: {pattern}"
                )
            if pattern:
                files = by_pattern(self.root, pattern, self.names, LABELS)
            elif several := _patterns(path, files, self.names) if self._declared is None else {}:
                for task, one in several.items():
                    self._add(found, task, LabelFiles(by_pattern(self.root, one, self.names, LABELS), str(self.root / one), None, one))
                continue
            pair(path, files, self.names)
            self._add(found, path.name, LabelFiles(files, str(path / "{name}.png"), declared, pattern))
        return found

    def _add(self, found: dict[str, LabelHolder], task: str, holder: LabelFiles) -> None:
        """Add the labels of a task, of which there may be no others in another folder."""
        if isinstance(other := found.get(task), LabelFiles):
            places = " and ".join(sorted({str(Path(one.place).parent) for one in (other, holder)}))
            raise TaskonomyError(f"{self.root}: {task} has labels under {places}; rename or move one")
        found[task] = holder

    def _of_columns(self) -> dict[str, LabelHolder]:
        """Return the labels in columns of the table. Columns of text that no declaration names are no labels."""
        found: dict[str, LabelHolder] = {}
        for task, declared in (self._declared or {}).items():
            named = [f"{task}.{name.casefold()}" for name in declared.class_names]
            if isinstance(declared, CustomLabels) and named and all(column in self.table.cells for column in named):
                found[task] = LabelColumns(self.table, task, named)
        for task, columns in self.table.tasks.items():
            if task in found or not self._may_be_task(task) or ((self._declared or {}).get(task) is None and self.table.holds_text(task)):
                continue
            found[task] = LabelColumns(self.table, task, columns)
        folders = {path.name for path in self.root.iterdir() if path.is_dir()}
        if both := sorted(found.keys() & folders):
            raise TaskonomyError(f"{self.table.path}: {few(both)}: is a column and also a folder; a task has one kind of label")
        return found


def folder_of_images(root: Path) -> Path | None:
    """Return the folder of a user's images; None: there is none, or the files in it have the names of the release's."""
    images, rgb = (root / name for name in _PLACES)
    if images.is_dir():
        return images
    files = [path.name for path in visible(rgb.iterdir()) if path.suffix.lower() in IMAGES] if rgb.is_dir() else []
    return rgb if any(parse_file(name, "rgb") is None for name in files) else None


def _pattern(folder: Path, files: Mapping[str, Path], names: tuple[str, ...]) -> str:
    """Return the pattern of label files that all have the names of images with the same before and after them; empty if they do not."""
    known = set(names)
    if not files or files.keys() & known or len({path.suffix for path in files.values()}) > 1:
        return ""
    first = min(files)
    for name in sorted((one for one in names if one in first), key=len, reverse=True):
        before, _name, after = first.rpartition(name)
        end = -len(after) or None
        if all(one.startswith(before) and one.endswith(after) and one[len(before) : end] in known for one in files):
            return f"{folder.name}/{before}{{name}}{after}{files[first].suffix}"
    return ""


def _patterns(folder: Path, files: Mapping[str, Path], names: tuple[str, ...]) -> dict[str, str]:
    """Return the patterns of a folder's label files by what they have beside the names of images; empty if they do not each have something.

    Files without a letter or digit beside the name are a task of the folder's name. Two patterns of one task are none, as one would hide the other.
    """
    longest, found = sorted(names, key=len, reverse=True), dict[str, str]()
    for file, path in files.items():
        name = next((one for one in longest if file != one and (file.startswith(one) or file.endswith(one))), None)
        if name is None or file in names:
            return {}
        before, _name, after = file.partition(name) if file.startswith(name) else file.rpartition(name)
        task, pattern = (before + after).strip("_-. /").lower() or folder.name, f"{folder.name}/{before}{{name}}{after}{path.suffix}"
        if found.setdefault(task, pattern) != pattern:
            return {}
    return found
