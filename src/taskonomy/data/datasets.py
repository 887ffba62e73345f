"""One interface to all sources of data: released layouts (the built-in world among them) and a user's own folder."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property, partial
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType

import numpy as np

from taskonomy.data.custom import CustomSource, folder_of_images
from taskonomy.data.custom_samples import COLUMNS, Listed
from taskonomy.data.custom_view import CustomView
from taskonomy.data.framing import ReadOptions
from taskonomy.data.validate import damaged_tars
from taskonomy.data.view_reader import ReadView, ViewOnDisk
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.archive import Archive, stamp_of
from taskonomy.release.file_names import MATCHES
from taskonomy.release.formats import NOT_RELEASED, DamagedFileError, ViewKey, from_bytes
from taskonomy.release.index_file import open_index
from taskonomy.release.layouts import AT_ONCE, ReleasedSource, open_source
from taskonomy.release.object_storage import Place, Remote, place_of
from taskonomy.release.view_ids import Keys
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.custom_tasks import CustomTask

PLAIN = ReadOptions()
Problem = tuple[str, str]  # location of what is damaged as a whole, and the reason


class Data(ABC):
    """A source of images and labels, one entry per view.

    Attributes:
        domains: Domains that the source has files of.
        custom: Declarations of custom tasks, which labels are checked against as they are read; empty for released data.
        whole: Whether to read whole buildings at once, because their tars are fetched whole from object storage.
    """

    domains: frozenset[str]
    custom: Mapping[str, CustomTask] = MappingProxyType({})
    whole: bool = False

    @property
    @abstractmethod
    def keys(self) -> Keys:
        """Return every view, grouped by building."""

    @property
    @abstractmethod
    def splits(self) -> dict[str, str]:
        """Return building (lower case) -> train, val or test; empty if the source does not define splits."""

    @abstractmethod
    def view(self, key: ViewKey, size: int) -> ReadView:
        """Return a view's files, for prepared images of this side in pixels."""

    @abstractmethod
    def where(self, key: ViewKey, domain: str) -> str:
        """Return the location of a view's file for messages."""

    @abstractmethod
    def opener(self, buildings: Iterable[str]) -> "Callable[[], Data]":
        """Return a function that opens these buildings in another process without listing the others."""

    @abstractmethod
    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """Return a text that changes when files of these buildings are added, removed or replaced, or a tar or table is overwritten."""

    @abstractmethod
    def stamp(self, key: ViewKey, domain: str) -> str:
        """Return a text that changes when a view's own file is overwritten in its folder."""

    def seen(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> str:
        """Return a digest of the present state of these views' files. Contents are not read, only what changes with them."""
        digest = blake2b(digest_size=16)
        for key in keys:
            digest.update("\n".join([self.stamp(key, domain) for domain in domains]).encode() + b"\0")
        return digest.hexdigest()

    def fetch(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> None:
        """Fetch files that will be read next, if the source is slow to answer single requests."""
        return

    def others(self, building: str, point: int) -> list[tuple[int, int]]:
        """Return point and view of those that see a point without fixating it; some of them may be missing from this source."""
        return []

    def problems(self, buildings: Iterable[str], domains: Sequence[str]) -> list[Problem]:
        """Return files of many views that are damaged as a whole, so that it is unknown which views they held."""
        return []

    def without_views(self) -> set[str]:
        """Return the buildings that have files but no images, and would otherwise go unnoticed."""
        return set()

    def notes(self, domains: Sequence[str] = ()) -> list[str]:
        """Return what was found out about the data as a whole, and about these domains, that people must know, a line each."""
        return []

    def refuse_other_kinds(self, tasks: Mapping[str, CustomTask]) -> None:
        """Check that the samples of custom tasks are stored with the declared number of images.

        Raises:
            TaskonomyError: A task's samples are stored with another number of images.
        """
        if several := [name for name, declared in tasks.items() if declared.of_images > 1]:
            raise TaskonomyError(f"data.own.{several[0]}: samples of several images are listed in a folder of one's own data; released data has none")

    def listed(self, task: str) -> tuple[list[tuple[ViewKey, ...]], Listed]:
        """Return a task's samples of several images, as the user lists them."""
        raise NotImplementedError

    @abstractmethod
    def buildings_of_labels(self, task: str) -> Counter[tuple[str, ...]] | None:
        """Count labelled samples by the buildings of their images; None: only reading tells what is labelled, or images are their own labels."""


def open_anew(root: Place | str, registry: Registry = BUILT_IN, options: ReadOptions = PLAIN) -> Data:
    """Open a source: a folder with `images/`, or with images of any names in `rgb/`, is a user's own; a file is an index of released
    data; anything else must be a released layout.

    Args:
        root: Location of the source.
        registry: Tasks; labels of custom ones are checked against their declarations as they are read.
        options: How images are read.

    Raises:
        TaskonomyError: The root is none of these.
    """
    place = place_of(root)
    if isinstance(place, Path) and place.is_file():
        return Released(open_index(place).of_components(options.components), options)
    if isinstance(place, Remote):
        if (place / "images").is_dir():
            raise TaskonomyError(
                f"{place}: images and labels by name are read from folders of this machine only; of object storage, released layouts"
            )
    elif folder_of_images(place) is not None:
        return Custom(place, registry, options)
    return Released(open_source(place).of_components(options.components), options)


@cache
def open_data(root: Place | str, registry: Registry = BUILT_IN, options: ReadOptions = PLAIN) -> Data:
    """Open a source like `open_anew`, but only once per process."""
    return open_anew(root, registry, options)


class Released(Data):
    """Released data in any layout."""

    def __init__(self, source: ReleasedSource, options: ReadOptions = PLAIN) -> None:
        self.source, self.options = source, options
        self.domains = frozenset(source.domains)
        self.whole = isinstance(source.root, Remote) and any(shelf.is_tar for shelf in source.shelves)

    @cached_property
    def keys(self) -> Keys:
        """Return every view, sorted by building, point and view."""
        return self.source.index()

    @cached_property
    def splits(self) -> dict[str, str]:
        """Return the splits of the lists in the root."""
        return self.source.splits()

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Return a view's files, each read when it is first used."""
        return ViewOnDisk(self.source, key, size, self.options.fit)

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the path of a file, or its tar and member."""
        return self.source.where(key, domain)

    def opener(self, buildings: Iterable[str]) -> Callable[[], Data]:
        """Return a function that opens only these buildings' folders and tars."""
        return partial(Released, self.source.only(buildings), self.options)

    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """Return each folder and tar of these buildings, with the time of its last change."""
        names, wanted = {name.lower() for name in buildings}, set(domains)
        shelves = [one for one in self.source.shelves if one.building in names and one.domain in wanted]
        with ThreadPoolExecutor(AT_ONCE if isinstance(self.source.root, Remote) else 1) as pool:
            return "\n".join(f"{one.path} {mark}" for one, mark in zip(shelves, pool.map(Archive.mark, shelves), strict=True))

    def stamp(self, key: ViewKey, domain: str) -> str:
        """Return a text that changes when the view's file is overwritten."""
        return self.source.stamp(key, domain)

    def notes(self, domains: Sequence[str] = ()) -> list[str]:
        """Return which components' depths are not in the release's unit, and which buildings lack these domains."""
        return [*self.source.notes(), *([absent] if (absent := self.source.absent(domains)) else [])]

    def fetch(self, keys: Sequence[ViewKey], domains: Sequence[str]) -> None:
        """Fetch files that will be read next from object storage."""
        self.source.fetch(keys, domains)

    def problems(self, buildings: Iterable[str], domains: Sequence[str]) -> list[Problem]:
        """Return tars that are cut off or damaged, and files that lie in two places."""
        return [(one.where, one.reason) for one in damaged_tars(self.source, buildings, domains)]

    def without_views(self) -> set[str]:
        """Return the buildings that have files but no images."""
        return set(self.source.buildings) - set(self.keys.buildings)

    def others(self, building: str, point: int) -> list[tuple[int, int]]:
        """Return point and view of those that the point's `nonfixated_matches` file names; none where a building has no such files at all.

        Raises:
            DamagedFileError: The file is missing, or names no views.
        """
        if self.source.lacks(building, MATCHES):
            return []
        matches = from_bytes("nonfixated_matches", self.source.matches(building, point))
        try:
            named = [(int(view["point_uuid"]), int(view["view_id"])) for view in matches["views"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(f"has no views with point_uuid and view_id ({error})") from None
        return [one for one in named if one[0] != point]

    def buildings_of_labels(self, task: str) -> Counter[tuple[str, ...]] | None:
        """Count the images of the buildings that have the task's domains, without listing them: a building has the files of all its images, or none.

        Samples of several images follow from cameras, and a label may need a field that not every camera file has: of these, only reading tells.
        """
        known = BUILT_IN.get(task)
        if known is None or known.label is None or known.images > 1 or known.label.fields or not known.label.domains:
            return None
        needed = [domain for domain in known.label.domains if domain not in NOT_RELEASED]
        return Counter({(name,): count for name, count in self.keys.sizes.items() if not any(self.source.lacks(name, one) for one in needed)})


class Custom(Data):
    """A user's images and labels, matched by name: a task is a domain, an image a view, and its group (or itself) a building."""

    def __init__(self, root: Path, registry: Registry = BUILT_IN, options: ReadOptions = PLAIN) -> None:
        """Open a folder; without declared tasks, all its folders and columns are tasks, unless the options say otherwise."""
        declared = None if options.everything and not registry.custom else registry.custom
        self.source, self.registry, self.options = CustomSource(root, declared), registry, options
        self.custom = registry.custom
        self.domains = frozenset({"rgb", *self.source.tasks})
        self._building = {name: self.source.groups.get(name, name) for name in self.source.names}

    @cached_property
    def keys(self) -> Keys:
        """Return every image as a view, sorted by group; the point is the image's number."""
        numbers: dict[str, list[int]] = {}
        for number, name in enumerate(self.source.names):
            numbers.setdefault(self._building[name], []).append(number)
        return Keys.of((group, np.array(found, np.int64) << 32) for group, found in sorted(numbers.items()))

    @cached_property
    def splits(self) -> dict[str, str]:
        """Return the splits of the table."""
        return {self._building[name].lower(): split for name, split in self.source.splits.items()}

    def view(self, key: ViewKey, size: int) -> ReadView:
        """Return an image and its labels, each read when it is first used."""
        return CustomView(self.source, self.source.names[key.point], size, self.custom, self._known)

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the path of a file, or the table with image and column."""
        name = self.source.names[key.point]
        return self.source.where(name) if domain == "rgb" else self.source.where(name, domain)

    def opener(self, buildings: Iterable[str]) -> Callable[[], Data]:
        """Return a function that opens the whole folder, once per process: the names of images do not tell their groups."""
        return partial(open_data, self.source.root, self.registry, self._known)

    def mark(self, buildings: Iterable[str], domains: Sequence[str]) -> str:
        """Return the times at which folders and tables were last changed."""
        with os.scandir(self.source.root) as entries:
            found = {one.name: one.stat() for one in entries if not is_hidden(one.name)}
        for folder, below, files in os.walk(self.source.root):
            below[:] = sorted(name for name in below if not is_hidden(name))
            place = Path(folder).relative_to(self.source.root)
            found |= {(place / name).as_posix(): os.stat(Path(folder) / name) for name in below}
            found |= {(place / name).as_posix(): os.stat(Path(folder) / name) for name in files if name.endswith(".json") and not is_hidden(name)}
        return "\n".join(sorted(f"{name} {stamp_of(one)}" for name, one in found.items()))

    def stamp(self, key: ViewKey, domain: str) -> str:
        """Return a text that changes when the file of the image or label is overwritten."""
        return self.source.stamp(self.source.names[key.point], None if domain == "rgb" else domain)

    @cached_property
    def _known(self) -> ReadOptions:
        """Return the options, with the white of deep images as it was measured, so that other processes need not measure it."""
        if self.options.measured or self.options.white is not None:
            return self.options
        return replace(self.options, white=self.source.white, measured=True)

    def notes(self, domains: Sequence[str] = ()) -> list[str]:
        """Return how images of more than 8 bits are scaled, and what the splits are taken from."""
        found = []
        if self.source.deep:
            how = "as data.white says" if self.options.white else "the largest value of all of them has so many bits; data.white declares it"
            found.append(f"{len(self.source.deep):,} images have more than 8 bits per channel: {self._known.white:g} is white, {how}")
        if self.source.splits_of_folders and not self.source.table.column_of("split"):
            found.append("splits are those of the folders images/train, images/val and images/test")
        if self.source.table.column not in ("", "image"):
            found.append(f"{self.source.table.path}: the column {self.source.table.column} names the images")
        return found

    def refuse_other_kinds(self, tasks: Mapping[str, CustomTask]) -> None:
        """Check that samples of several images are listed in a table of their own, with the declared number of images.

        Raises:
            TaskonomyError: They are not; the message says what exists, what is declared, and what would be right.
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
        """Return a task's samples of several images, as its table lists them."""
        found = self.source.listed[task]
        key_of = {self.source.names[key.point]: key for key in self.keys}
        return [tuple(key_of[name] for name in names) for names in found.images], found

    def buildings_of_labels(self, task: str) -> Counter[tuple[str, ...]] | None:
        """Count, by the groups of their images, the samples that have a file, a cell that is not empty, or a row of their own."""
        if (found := self.source.listed.get(task)) is not None:
            return Counter(tuple(self._building[name] for name in names) for names in found.images)
        holder = self.source.holder(task)
        return None if holder is None else Counter((self._building[name],) for name in holder.images())
