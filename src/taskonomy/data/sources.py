"""Where data may come from, behind one door: released layouts (the built-in world among them), or a user's own folder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from taskonomy.data.checks import damaged_tars
from taskonomy.data.fitting import fitted
from taskonomy.data.formats import DamagedFileError, ViewKey, from_bytes
from taskonomy.data.layouts import open_source
from taskonomy.data.listed import COLUMNS, Listed
from taskonomy.data.own import OwnSource
from taskonomy.data.view import ReadView, View
from taskonomy.errors import TaskonomyError
from taskonomy.geometry import Camera
from taskonomy.tasks.own import Declared, own_tasks


class Data(ABC):
    """A source of images and labels, one entry per view.

    Attributes:
        domains: What there is of labels.
        keys: Every view, whole buildings one after the other.
        splits: Building (lower case) to train, val or test; empty where nothing says.
    """

    domains: frozenset[str]
    keys: list[ViewKey]
    splits: dict[str, str]

    @abstractmethod
    def view(self, key: ViewKey, size: int) -> ReadView:
        """A view's files, for images of this side."""

    @abstractmethod
    def where(self, key: ViewKey, domain: str) -> str:
        """What people call a file."""

    def others(self, building: str, point: int, row_of: Mapping[tuple[int, int], int]) -> tuple[int, ...]:
        """Rows of the views that see a point without fixating it."""
        return ()

    def broken_tars(self, domains: Sequence[str]) -> list[tuple[str, str]]:
        """Files of many views that are damaged as a whole, and how: nobody knows which views they held."""
        return []

    def refuse_other_kinds(self, tasks: Mapping[str, Declared]) -> None:
        """Hold how the user's own tasks are stored against how many images their samples are declared to have.

        Raises:
            TaskonomyError: One is stored as if it had another number of images.
        """
        if several := [name for name, declared in tasks.items() if declared.of_images > 1]:
            raise TaskonomyError(f"data.own.{several[0]}: samples of several images are listed in a folder of one's own data; released data has none")

    def listed(self, task: str) -> tuple[list[tuple[ViewKey, ...]], Listed]:
        """The samples of several images that a user lists for a task."""
        raise NotImplementedError


@cache
def open_data(root: Path) -> Data:
    """A folder with `images/` is a user's own; anything else must be a released layout."""
    return Own(root) if (root / "images").is_dir() else Released(root)


class Released(Data):
    """Any layout of the release."""

    def __init__(self, root: Path) -> None:
        self.source = open_source(root)
        self.domains, self.keys, self.splits = frozenset(self.source.domains), self.source.views(), self.source.splits()

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Its files, read when asked for."""
        return View(self.source, key, size)

    def where(self, key: ViewKey, domain: str) -> str:
        """Path, or tar and member."""
        return self.source.where(key, domain)

    def broken_tars(self, domains: Sequence[str]) -> list[tuple[str, str]]:
        """Tars that end before their end."""
        return [(one.where, one.reason) for one in damaged_tars(self.source, self.source.buildings, domains)]

    def others(self, building: str, point: int, row_of: Mapping[tuple[int, int], int]) -> tuple[int, ...]:
        """As `nonfixated_matches` says.

        Raises:
            DamagedFileError: It is missing, or names a view that is not there.
        """
        matches = from_bytes("nonfixated_matches", self.source.matches(building, point))
        try:
            named = [(int(view["point_uuid"]), int(view["view_id"])) for view in matches["views"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"has no views with point_uuid and view_id ({error})") from None
        if missing := [one for one in named if one not in row_of]:
            raise DamagedFileError(f"names a view that is not there: point {missing[0][0]}, view {missing[0][1]}")
        return tuple(row_of[one] for one in named if one[0] != point)


class Own(Data):
    """A user's images and labels by name: a label is a domain, an image a view, its group (or itself) a building."""

    def __init__(self, root: Path) -> None:
        self.source = OwnSource(root)
        self.domains = frozenset({"rgb", *self.source.tasks})
        building = {name: self.source.groups.get(name, name) for name in self.source.names}
        numbered = sorted((building[name], number) for number, name in enumerate(self.source.names))
        self.keys = [ViewKey(group, number, 0) for group, number in numbered]
        self.splits = {building[name].lower(): split for name, split in self.source.splits.items()}
        self._key = {self.source.names[key.point]: key for key in self.keys}

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Its image and labels, read when asked for."""
        return OwnView(self.source, self.source.names[key.point], size)

    def where(self, key: ViewKey, domain: str) -> str:
        """Path, or table, image and column."""
        name = self.source.names[key.point]
        return self.source.where(name) if domain == "rgb" else self.source.where(name, domain)

    def refuse_other_kinds(self, tasks: Mapping[str, Declared]) -> None:
        """Samples of several images are listed in a table of their own.

        Raises:
            TaskonomyError: What is there, what is declared, and what would be right.
        """
        for name, declared in tasks.items():
            if name not in self.source.tasks:
                continue
            table, listed = self.source.root / f"{name}.csv", self.source.listed.get(name)
            if listed is None and declared.of_images > 1:
                columns = ", ".join(COLUMNS[: declared.of_images])
                raise TaskonomyError(f"data.own.{name}: images: {declared.of_images} needs the table {table} with columns {columns}, value")
            if listed is not None and len(listed.images[0]) != declared.of_images:
                raise TaskonomyError(
                    f"{table}: lists samples of {len(listed.images[0])} images; data.own.{name} must say images: {len(listed.images[0])}"
                )

    def listed(self, task: str) -> tuple[list[tuple[ViewKey, ...]], Listed]:
        """As the table says."""
        found = self.source.listed[task]
        return [tuple(self._key[name] for name in names) for names in found.images], found


class OwnView(ReadView):
    """One of a user's images, its central square, and its labels."""

    def __init__(self, source: OwnSource, name: str, size: int) -> None:
        self.source, self.name, self.size = source, name, size
        self.damage = {}
        self._stored: dict[str, Any] = {}

    def stored(self, domain: str) -> Any:
        """An image, a label of the image's size (the same square of it), numbers, or one number.

        Raises:
            DamagedFileError: It cannot be decoded, or its size is not the image's.
        """
        if domain not in self._stored:
            if domain in self.damage:
                raise DamagedFileError(self.damage[domain])
            try:
                self._stored[domain] = self._read(domain)
            except DamagedFileError as error:
                self.damage[domain] = error.args[0]  # as it is: a `Misfit` says whose
                raise
        return self._stored[domain]

    def _read(self, domain: str) -> Any:
        if domain == "rgb":
            self._shape = (image := self.source.image(self.name)).shape[:2]
            return _square(image)
        self.stored("rgb")
        values = np.atleast_1d(np.asarray(self.source.label(self.name, domain)))
        if (declared := own_tasks().get(domain)) is not None:
            values = fitted(domain, declared, values)
        if values.ndim < 2:
            return values
        if values.shape[:2] != self._shape:
            raise DamagedFileError(f"is {values.shape[1]} x {values.shape[0]}, its image {self._shape[1]} x {self._shape[0]} pixels")
        return _square(values)

    @property
    def camera(self) -> Camera:
        """There is none."""
        raise TaskonomyError(f"{self.source.root}: images of a folder have no cameras")

    @property
    def info(self) -> dict[str, Any]:
        """There is none."""
        raise TaskonomyError(f"{self.source.root}: images of a folder have no point_info")


def _square(values: Any) -> Any:
    """The central square."""
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(values[top : top + side, left : left + side])
