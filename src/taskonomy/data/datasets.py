"""Where data may come from, behind one door: released layouts (the built-in world among them), or a user's own folder."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property, partial
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_checks import fitted
from taskonomy.data.custom_samples import COLUMNS, Listed
from taskonomy.data.validate import damaged_tars
from taskonomy.data.view_reader import ReadView, ViewOnDisk
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.geometry import Camera
from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.archive import Archive, stamp_of
from taskonomy.release.formats import DamagedFileError, ViewKey, from_bytes
from taskonomy.release.index_file import open_index
from taskonomy.release.layouts import AT_ONCE, ReleasedSource, open_source
from taskonomy.release.object_storage import Place, Remote, place_of
from taskonomy.release.view_ids import Keys
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.custom_tasks import CustomTask

Problem = tuple[str, str]  # what is damaged as a whole, and how


class Data(ABC):
    """A source of images and labels, one entry per view.

    Attributes:
        domains: What there is of labels.
        custom: Declarations of custom tasks, which its labels are held against as they are read; released data has none.
        whole: Whether a building is best read at once: in object storage, its tars are fetched whole.
    """

    domains: frozenset[str]
    custom: Mapping[str, CustomTask] = MappingProxyType({})
    whole: bool = False

    @property
    @abstractmethod
    def keys(self) -> Keys:
        """Every view, whole buildings one after the other."""

    @property
    @abstractmethod
    def splits(self) -> dict[str, str]:
        """Building (lower case) to train, val or test; empty where nothing says."""

    @abstractmethod
    def view(self, key: ViewKey, size: int) -> ReadView:
        """A view's files, for images of this side."""

    @abstractmethod
    def where(self, key: ViewKey, domain: str) -> str:
        """What people call a file."""

    @abstractmethod
    def opener(self, buildings: Iterable[str]) -> "Callable[[], Data]":
        """Opens these buildings in another process, which need not look through the others."""

    @abstractmethod
    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """Changes when files of these buildings come, go or are replaced, or a tar or table is written over."""

    @abstractmethod
    def stamp(self, key: ViewKey, domain: str) -> str:
        """Changes when a view's own file is written over in its folder."""

    def seen(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> str:
        """Digest of what the files of these views are now: not of their content, but of all that changes with it."""
        digest = blake2b(digest_size=16)
        for key in keys:
            digest.update("\n".join([self.stamp(key, domain) for domain in domains]).encode() + b"\0")
        return digest.hexdigest()

    def fetch(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> None:
        """Get what will be read next, where that is worth it."""
        return

    def others(self, building: str, point: int) -> list[tuple[int, int]]:
        """Point and view of those that see a point without fixating it; not all of them need be here."""
        return []

    def problems(self, buildings: Iterable[str], domains: Sequence[str]) -> list[Problem]:
        """Files of many views that are damaged as a whole: nobody knows which views they held."""
        return []

    def without_views(self) -> set[str]:
        """Buildings with files but no images, which would go unnoticed."""
        return set()

    def refuse_other_kinds(self, tasks: Mapping[str, CustomTask]) -> None:
        """Hold how custom tasks are stored against how many images their samples are declared to have.

        Raises:
            TaskonomyError: One is stored as if it had another number of images.
        """
        if several := [name for name, declared in tasks.items() if declared.of_images > 1]:
            raise TaskonomyError(f"data.own.{several[0]}: samples of several images are listed in a folder of one's own data; released data has none")

    def listed(self, task: str) -> tuple[list[tuple[ViewKey, ...]], Listed]:
        """The samples of several images that a user lists for a task."""
        raise NotImplementedError


def open_anew(root: Place | str, registry: Registry = BUILT_IN) -> Data:
    """Open a source: a folder with `images/` is a user's own, a file an index of released data; anything else must be a released layout.

    Args:
        root: Where it is.
        registry: Tasks; labels of the custom ones are held against their declarations as they are read.

    Raises:
        TaskonomyError: There is none of them.
    """
    place = place_of(root)
    if isinstance(place, Path) and place.is_file():
        return Released(open_index(place))
    if (place / "images").is_dir():
        if isinstance(place, Remote):
            raise TaskonomyError(
                f"{place}: images and labels by name are read from folders of this machine only; of object storage, released layouts"
            )
        return Custom(place, registry)
    return Released(open_source(place))


@cache
def open_data(root: Place | str, registry: Registry = BUILT_IN) -> Data:
    """Open as `open_anew` does, once in a process."""
    return open_anew(root, registry)


class Released(Data):
    """Any layout of the release."""

    def __init__(self, source: ReleasedSource) -> None:
        self.source = source
        self.domains = frozenset(source.domains)
        self.whole = isinstance(source.root, Remote) and any(shelf.is_tar for shelf in source.shelves)

    @cached_property
    def keys(self) -> Keys:
        """By building, point and view."""
        return self.source.index()

    @cached_property
    def splits(self) -> dict[str, str]:
        """Of the lists in the root."""
        return self.source.splits()

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Its files, read when asked for."""
        return ViewOnDisk(self.source, key, size)

    def where(self, key: ViewKey, domain: str) -> str:
        """Path, or tar and member."""
        return self.source.where(key, domain)

    def opener(self, buildings: Iterable[str]) -> Callable[[], Data]:
        """Of these buildings' folders and tars alone."""
        return partial(Released, self.source.only(buildings))

    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """When each folder and tar was last changed."""
        names, wanted = {name.lower() for name in buildings}, set(domains)
        shelves = [one for one in self.source.shelves if one.building in names and one.domain in wanted]
        with ThreadPoolExecutor(AT_ONCE if isinstance(self.source.root, Remote) else 1) as pool:
            return "\n".join(f"{one.path} {mark}" for one, mark in zip(shelves, pool.map(Archive.mark, shelves), strict=True))

    def stamp(self, key: ViewKey, domain: str) -> str:
        """Of the file."""
        return self.source.stamp(key, domain)

    def fetch(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> None:
        """Out of object storage."""
        self.source.fetch(keys, domains)

    def problems(self, buildings: Iterable[str], domains: Sequence[str]) -> list[Problem]:
        """Tars that end before their end, and files that lie in two places."""
        return [(one.where, one.reason) for one in damaged_tars(self.source, buildings, domains)]

    def without_views(self) -> set[str]:
        """Buildings with files but no images."""
        return set(self.source.buildings) - set(self.keys.buildings)

    def others(self, building: str, point: int) -> list[tuple[int, int]]:
        """As `nonfixated_matches` says.

        Raises:
            DamagedFileError: It is missing, or names no views.
        """
        matches = from_bytes("nonfixated_matches", self.source.matches(building, point))
        try:
            named = [(int(view["point_uuid"]), int(view["view_id"])) for view in matches["views"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"has no views with point_uuid and view_id ({error})") from None
        return [one for one in named if one[0] != point]


class Custom(Data):
    """A user's images and labels by name: a label is a domain, an image a view, its group (or itself) a building."""

    def __init__(self, root: Path, registry: Registry = BUILT_IN) -> None:
        self.source, self.registry = CustomSource(root), registry
        self.custom = registry.custom
        self.domains = frozenset({"rgb", *self.source.tasks})
        self._building = {name: self.source.groups.get(name, name) for name in self.source.names}

    @cached_property
    def keys(self) -> Keys:
        """By group and number."""
        numbers: dict[str, list[int]] = {}
        for number, name in enumerate(self.source.names):
            numbers.setdefault(self._building[name], []).append(number)
        return Keys.of((group, np.array(found, np.int64) << 32) for group, found in sorted(numbers.items()))

    @cached_property
    def splits(self) -> dict[str, str]:
        """Of the table."""
        return {self._building[name].lower(): split for name, split in self.source.splits.items()}

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Its image and labels, read when asked for."""
        return CustomView(self.source, self.source.names[key.point], size, self.custom)

    def where(self, key: ViewKey, domain: str) -> str:
        """Path, or table, image and column."""
        name = self.source.names[key.point]
        return self.source.where(name) if domain == "rgb" else self.source.where(name, domain)

    def opener(self, buildings: Iterable[str]) -> Callable[[], Data]:
        """All of it, once in a process: names of images say nothing of their groups."""
        return partial(open_data, self.source.root, self.registry)

    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """When folders and tables were last changed."""
        with os.scandir(self.source.root) as entries:
            found = [(one.name, one.stat()) for one in entries if not is_hidden(one.name)]
        return "\n".join(sorted(f"{name} {stamp_of(one)}" for name, one in found))

    def stamp(self, key: ViewKey, domain: str) -> str:
        """Of the file."""
        return self.source.stamp(self.source.names[key.point], None if domain == "rgb" else domain)

    def refuse_other_kinds(self, tasks: Mapping[str, CustomTask]) -> None:
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
        key_of = {self.source.names[key.point]: key for key in self.keys}
        return [tuple(key_of[name] for name in names) for names in found.images], found


class CustomView(ReadView):
    """One of a user's images, its central square, and its labels."""

    def __init__(self, source: CustomSource, name: str, size: int, declared: Mapping[str, CustomTask]) -> None:
        self.source, self.name, self.size, self.declared = source, name, size, declared
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
        if (declared := self.declared.get(domain)) is not None:
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

    def field(self, name: str) -> Any:
        """There is none."""
        raise TaskonomyError(f"{self.source.root}: images of a folder have no point_info")


def _square(values: Any) -> Any:
    """The central square."""
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(values[top : top + side, left : left + side])
