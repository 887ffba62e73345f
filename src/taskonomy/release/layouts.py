"""Where the files of the release lie: every layout it has been handed out in, read through one door.

Read are, mixed at will, under a root:

    <building>/<domain>/point_P_view_V_domain_D.png        the sample, and the original layout
    <domain>/<component>/<building>/...                    omnidata: taskonomy, replica, ...
    <domain>/<building>/...                                the same without its component
    <component>/<domain>/<building>/...                    older trainers
    <domain>/...                                           the root is one building
    <building>_<domain>.tar                                the released tars, not unpacked: in the root, or in a folder of the building,
                                                           of the domain or of omnidata; members may be in folders inside the tar

Names of buildings are compared, and given, in lower case, as in the split lists. Names that begin with a dot, or that systems give,
are nobody's data.
"""

import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.archive import Archive, overlaps
from taskonomy.release.discover import TAR, Finder, refuse_links
from taskonomy.release.file_names import ALL, MATCHES, domain_of, few, place
from taskonomy.release.formats import DamagedFileError, ViewKey, file_name
from taskonomy.release.object_storage import Place, Remote, entries_of, must_be_there, place_of
from taskonomy.release.split_lists import find_splits, read_splits, write_splits
from taskonomy.release.view_ids import Keys
from taskonomy.release.writer import write_building

__all__ = ["ReleasedSource", "SourceFile", "open_source", "read_splits", "write_building", "write_splits"]

AT_ONCE = 16  # listings, and copies of tars, that are asked of object storage at once
_EXPECTED = f"<building>/<domain>/point_..., <domain>/<component>/<building>/point_... or {TAR}"


@runtime_checkable
class SourceFile(Protocol):
    """What every layout offers."""

    @property
    def root(self) -> Place:
        """Its folder."""
        ...

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that any building has, sorted."""
        ...

    @property
    def buildings(self) -> tuple[str, ...]:
        """In lower case, sorted."""
        ...

    def views(self) -> list[ViewKey]:
        """Every view that has an image, by building, point and view, the latter two as numbers."""
        ...

    def has(self, key: ViewKey, domain: str) -> bool:
        """Whether the file of a view is there; the matches of its point are a file of each of its views."""
        ...

    def read(self, key: ViewKey, domain: str) -> bytes:
        """The file.

        Raises:
            DamagedFileError: `missing`, or not readable.
        """
        ...

    def matches(self, building: str, point: int) -> bytes:
        """The `nonfixated_matches` of a point.

        Raises:
            DamagedFileError: `missing`, or not readable.
        """
        ...

    def where(self, key: ViewKey, domain: str) -> str:
        """What people call the file: its path, or `x.tar: member`. For a missing one, where it is expected."""
        ...

    def splits(self) -> dict[str, str]:
        """Building -> `train`, `val` or `test` of the split lists in the root; {} where there is none."""
        ...


@dataclass(frozen=True)
class FoundFiles:
    """What `Finder` finds, or an index says: see there."""

    shelves: list[Archive]
    layouts: list[str]
    unread: list[str]


def open_source(root: Place | str, *, follow_links: bool = False) -> "ReleasedSource":
    """Find the released files under a folder. Each building's files of a domain are listed when first asked for.

    Args:
        root: The folder.
        follow_links: Whether folders below it may be links; DVC does not follow them, whoever writes an index does.

    Raises:
        TaskonomyError: There are none, or no images; it says what was found and what is expected. There are links.
    """
    root = place_of(root)
    if isinstance(root, Remote):
        must_be_there(root)
    elif not root.is_dir():
        raise TaskonomyError(f"{root}: {'is not a folder' if root.exists() else 'no such folder'}")
    found = Finder(root)
    if not follow_links:
        refuse_links(root, found.links, f", or an index of this one: taskonomy data index {shlex.quote(str(root))} -o data/index.json")
    if not found.shelves:
        raise TaskonomyError(f"{root}: no released data: {_what_is_there(root, found)}; expected {_EXPECTED}")
    source = ReleasedSource(root, FoundFiles(found.shelves, found.layouts, found.unread))
    if "rgb" not in source.domains:
        raise TaskonomyError(f"{root}: has {few(source.domains, 20)} but no rgb, which every view must have")
    return source


class ReleasedSource(SourceFile):
    """A `SourceFile` of folders and tars."""

    def __init__(self, root: Place, found: FoundFiles) -> None:
        self._root = root
        self._layouts = tuple(found.layouts)
        self._unread = tuple(found.unread)
        self._shelves: dict[tuple[str, str], list[Archive]] = {}
        # Folders before tars: who unpacked a tar and mended a file wants the mended one.
        for shelf in sorted(found.shelves, key=lambda shelf: (shelf.is_tar, str(shelf.path))):
            self._shelves.setdefault((shelf.building, shelf.domain), []).append(shelf)

    @property
    def root(self) -> Place:
        """Its folder."""
        return self._root

    @cached_property
    def shelves(self) -> list[Archive]:
        """Every folder and tar of one building and domain."""
        return [shelf for _place, group in sorted(self._shelves.items()) for shelf in group]

    def only(self, buildings: Iterable[str]) -> "ReleasedSource":
        """The same of some buildings, with nothing looked up: it is small, and travels between processes."""
        wanted = {name.lower() for name in buildings}
        shelves = [Archive(one.path, one.building, one.domain) for one in self.shelves if one.building in wanted]
        return ReleasedSource(self._root, FoundFiles(shelves, list(self._layouts), []))

    def index(self) -> Keys:
        """As `views`, in eight bytes each; what listing them took is forgotten at once."""
        with ThreadPoolExecutor(AT_ONCE if isinstance(self._root, Remote) else 1) as pool:
            return Keys.of(zip(self.buildings, pool.map(self._listed_once, self.buildings), strict=True))

    def _listed_once(self, building: str) -> Int64[np.ndarray, " files"]:
        keys = self.keys(building, "rgb")
        for shelf in self._shelves.get((building, "rgb"), []):
            shelf.let_go()
        return keys

    def fetch(self, keys: Iterable[ViewKey], domains: Iterable[str]) -> None:
        """Get what will be read next out of object storage; a folder of this machine needs none of it."""
        if not isinstance(self._root, Remote):
            return
        wanted: dict[str, list[tuple[int, int]]] = {}
        for key in keys:
            wanted.setdefault(key.building, []).append(key[1:])
        todo = [(shelf, views) for name, views in wanted.items() for domain in domains for shelf in self._shelves.get((name, domain), [])]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _none in pool.map(lambda one: one[0].fetch(one[1]), todo):
                pass

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts found, as people write them."""
        return self._layouts

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Those that any building has, sorted."""
        return tuple(sorted({domain for _building, domain in self._shelves}))

    @cached_property
    def buildings(self) -> tuple[str, ...]:
        """In lower case, sorted."""
        return tuple(sorted({building for building, _domain in self._shelves}))

    def views(self) -> list[ViewKey]:
        """See `SourceFile`."""
        return [ViewKey(building, key >> 32, key & ALL) for building in self.buildings for key in self.keys(building, "rgb").tolist()]

    def has(self, key: ViewKey, domain: str) -> bool:
        """See `SourceFile`."""
        return self._find(key, domain) is not None

    def read(self, key: ViewKey, domain: str) -> bytes:
        """See `SourceFile`."""
        found = self._find(key, domain)
        if found is None:
            raise DamagedFileError("missing")
        shelf, position = found
        return shelf.read(position)

    def matches(self, building: str, point: int) -> bytes:
        """See `SourceFile`."""
        return self.read(ViewKey(building, point, ALL), MATCHES)

    def where(self, key: ViewKey, domain: str) -> str:
        """See `SourceFile`."""
        if found := self._find(key, domain):
            shelf, position = found
            return shelf.where(shelf.name(position))
        name = file_name(domain, key.point, "all" if domain == MATCHES else key.view)
        building = key.building.lower()
        if shelves := self._shelves.get((building, domain)):
            return shelves[0].where(name)
        layout = "tar" if self._layouts == (TAR,) else "folders"
        return Archive(place(self._root, layout, building, domain), building, domain).where(name)

    def stamp(self, key: ViewKey, domain: str) -> str:
        """Changes when a view's file comes, goes or is written over; of one in a tar, or of none, it is empty."""
        if (found := self._find(key, domain)) is None:
            return ""
        shelf, position = found
        return shelf.stamp(position)

    def splits(self) -> dict[str, str]:
        """See `SourceFile`."""
        return find_splits(self._root)

    def keys(self, building: str, domain: str) -> Int64[np.ndarray, " files"]:
        """Point << 32 | view of every file, ascending; the view `all` is `names.ALL`."""
        shelves = self._shelves.get((building.lower(), domain), [])
        if len(shelves) == 1:
            return shelves[0].keys
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(shelf.keys for shelf in shelves)]))

    def without_views(self) -> set[str]:
        """Buildings that have files, but no image."""
        return {building for building in self.buildings if not len(self.keys(building, "rgb"))}

    def problems(self, building: str, domain: str) -> list[tuple[str, str]]:
        """Tars that are damaged as a whole, and files that lie in two places: where, and what is wrong."""
        shelves = self._shelves.get((building.lower(), domain), [])
        return [(str(shelf.path), problem) for shelf in shelves for problem in shelf.problems] + overlaps(shelves)

    def unread(self) -> list[str]:
        """One line for each place under the root with something that looks like data and is not read. Lists every folder and tar."""
        return [*self._unread, *(f"{shelf.path}: {few(shelf.ignored)}: no file of {shelf.domain}" for shelf in self.shelves if shelf.ignored)]

    def _find(self, key: ViewKey, domain: str) -> tuple[Archive, int] | None:
        view = ALL if domain == MATCHES else key.view
        for shelf in self._shelves.get((key.building.lower(), domain), []):
            if (position := shelf.find(key.point, view)) is not None:
                return shelf, position
        return None


def _what_is_there(root: Place, found: Finder) -> str:
    """What a person mistook for a root, and which folder they may have meant."""
    names = sorted(entry.name + "/" * entry.is_dir() for entry in entries_of(root) if not is_hidden(entry.name))
    there = f"holds {few(names, 5)}" if names else "is empty"
    if found.unread:
        there += f" ({few(found.unread, 2)})"
    if domain_of(root.name):
        return f"{there} (it is the folder of a domain: give the one above it)"
    below = [root / name.removesuffix("/") for name in names[:20] if name.endswith("/")]
    if meant := [folder for folder in below if Finder(folder).shelves]:
        return f"{there} (did you mean {meant[0]}?)"
    return f"{there} (images/ is of your own data, not of released data)" if "images/" in names else there
