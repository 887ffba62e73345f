"""Where the labels of a task of a user's own are kept: files, columns of the table, folders of images, or a COCO file."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from taskonomy.data.custom_files import bytes_of
from taskonomy.data.custom_table import Table, is_empty
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import LOSSY, has_palette_of_colours, label_from
from taskonomy.tasks.custom_tasks import CustomMap, CustomPixelClasses, CustomTask

# A label as it is kept: an array, one number, or text that the declaration gives a meaning to. None: the image has none.
Kept = Shaped[np.ndarray, "..."] | float | str | None


class LabelHolder(ABC):
    """The labels of one task.

    Attributes:
        kept: How they are kept, in a word for people.
    """

    kept: str

    @abstractmethod
    def images(self) -> Collection[str]:
        """Return the images that have a label."""

    @abstractmethod
    def get(self, name: str) -> Kept:
        """Return the label of an image; None if it has none.

        Raises:
            DamagedFileError: It cannot be decoded.
        """

    @abstractmethod
    def where(self, name: str) -> str:
        """Return the location of an image's label, for messages."""

    def file(self, name: str) -> Path | None:
        """Return the file that holds the label of this image alone; None if there is no such file."""
        return None


class LabelFiles(LabelHolder):
    """A file for each image.

    Args:
        files: The file of each image.
        place: Where the file of an image without one is expected.
        declared: What the labels are, if that is known.
        pattern: Of their names below the root, where they are not simply those of the images.
    """

    def __init__(self, files: Mapping[str, Path], place: str, declared: CustomTask | None, pattern: str = "") -> None:
        self.files, self.place, self.declared, self.pattern = files, place, declared, pattern
        self.kept = f"files {pattern}" if pattern else "files"

    def images(self) -> Collection[str]:
        """Return the images that have a file."""
        return self.files.keys()

    def get(self, name: str) -> Kept:
        """Return the numbers of the image's file; the indices of a palette."""
        if name not in self.files:
            return None
        path = self.files[name]
        data, extension = bytes_of(path), path.suffix.lower()
        if isinstance(self.declared, CustomPixelClasses) and extension in LOSSY:
            raise DamagedFileError(f"is a {extension[1:].upper()}, whose compression changes ids; save ids as PNG")
        if isinstance(self.declared, CustomMap) and extension != ".npy" and has_palette_of_colours(data):
            raise DamagedFileError("has a palette, whose numbers stand for colours; save the values themselves, grey or RGB")
        return label_from(data, extension)

    def where(self, name: str) -> str:
        """Return the path of the file."""
        return str(self.files.get(name, self.place.replace("{name}", name)))

    def file(self, name: str) -> Path | None:
        """Return the file."""
        return self.files.get(name)


class LabelColumns(LabelHolder):
    """One column of the table, or several that are numbered or named after classes.

    Args:
        table: The table.
        task: Name of the task.
        columns: Its columns, in order.
    """

    kept = "table"

    def __init__(self, table: Table, task: str, columns: list[str]) -> None:
        self.table, self.task, self.columns = table, task, columns
        cells = [table.column_of(column) for column in columns]
        self._images = [image for image in cells[0] if any(not is_empty(column[image]) for column in cells)]

    def images(self) -> Collection[str]:
        """Return the images with a cell that is not empty."""
        return self._images

    def get(self, name: str) -> Kept:
        """Return the one number, the numbers (NaN where a cell is empty), or the text of a cell that is no number."""
        cells = [self.table.column_of(column).get(name, "") for column in self.columns]
        if all(map(is_empty, cells)):
            return None
        if len(self.columns) == 1 and self.columns[0] == self.task:
            number = self.table.number(cells[0])
            return cells[0] if np.isnan(number) else number
        numbers = [np.nan if is_empty(cell) else self.table.number(cell) for cell in cells]
        if odd := [cell for cell, number in zip(cells, numbers, strict=True) if np.isnan(number) and not is_empty(cell)]:
            raise DamagedFileError(f"holds {odd[0]!r}, which is no number")
        return np.array(numbers)

    def where(self, name: str) -> str:
        """Return the table, the image and the column."""
        return f"{self.table.path}: {name}, {self.task}"


class LabelFolders(LabelHolder):
    """Images in a folder for each class: the label is the name of the innermost folder.

    Args:
        folder: The folder of all images.
        names: Names of all images.
    """

    kept = "folders of images"

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self.folder, self.names = folder, names

    def images(self) -> Collection[str]:
        """Return the images that lie in a folder."""
        return [name for name in self.names if "/" in name]

    def get(self, name: str) -> Kept:
        """Return the name of the folder that the image lies in."""
        return Path(name).parent.name or None

    def where(self, name: str) -> str:
        """Return the folder."""
        return str((self.folder / name).parent)


def as_numbers(kept: Kept) -> Any:
    """Return a label that is numbers as an array of at least one dimension."""
    return np.atleast_1d(np.asarray(kept))
