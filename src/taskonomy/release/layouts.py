"""Find and read released files, in every layout in which the release has been distributed, through one interface.

These layouts are read, in any mixture, under a root:

    <building>/<domain>/point_P_view_V_domain_D.png        the sample, and the original layout
    <domain>/<component>/<building>/...                    omnidata: taskonomy, replica, ...
    <domain>/<building>/...                                the same without its component
    <component>/<domain>/<building>/...                    older trainers
    <domain>/...                                           the root is one building
    <building>_<domain>.tar                                the released tars, not unpacked: in the root, or in a folder of the building,
                                                           of the domain or of omnidata; members may be in folders inside the tar

Names of buildings are compared and returned in lower case, as in the split lists. Names that begin with a dot, and files that operating systems
create, are ignored.
"""

import shlex
from collections.abc import Iterable, Sequence
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
from taskonomy.release.file_names import ALL, COMPONENTS, MATCHES, component_of, domain_of, few, place
from taskonomy.release.formats import NOT_RELEASED, REACH, MissingFileError, ViewKey, file_name
from taskonomy.release.object_storage import Place, Remote, entries_of, must_be_there, place_of
from taskonomy.release.split_lists import find_splits, read_splits, write_splits
from taskonomy.release.view_ids import Keys
from taskonomy.release.writer import write_building

__all__ = ["ReleasedSource", "SourceFile", "open_source", "read_splits", "write_building", "write_splits"]

AT_ONCE = 16  # listings and copies of tars requested from object storage in parallel
_EXPECTED = f"<building>/<domain>/point_..., <domain>/<component>/<building>/point_... or {TAR}"


@runtime_checkable
class SourceFile(Protocol):
    """Interface to released files, the same for every layout."""

    @property
    def root(self) -> Place:
        """Return the root folder."""
        ...

    @property
    def domains(self) -> tuple[str, ...]:
        """Return the domains that any building has, sorted."""
        ...

    @property
    def buildings(self) -> tuple[str, ...]:
        """Return the names of the buildings, in lower case, sorted."""
        ...

    def views(self) -> list[ViewKey]:
        """Return every view that has an image, sorted by building, point and view, the latter two as numbers."""
        ...

    def has(self, key: ViewKey, domain: str) -> bool:
        """Return whether the file of a view exists; the matches of its point count as a file of each of its views."""
        ...

    def lacks(self, building: str, domain: str) -> bool:
        """Return whether a building has no folder or tar of a domain at all, as parts of a release and components do."""
        ...

    def read(self, key: ViewKey, domain: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            DamagedFileError: The file is missing or not readable.
        """
        ...

    def matches(self, building: str, point: int) -> bytes:
        """Return the bytes of a point's `nonfixated_matches` file.

        Raises:
            DamagedFileError: The file is missing or not readable.
        """
        ...

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the location of a file for messages: its path, or `x.tar: member`; for a missing file, where it is expected."""
        ...

    def splits(self) -> dict[str, str]:
        """Return building -> `train`, `val` or `test` by the split lists in the root; {} if there are none."""
        ...


@dataclass(frozen=True)
class FoundFiles:
    """Result of a search by `Finder`, or the contents of an index; its attributes are described at `Finder`."""

    shelves: list[Archive]
    layouts: list[str]
    unread: list[str]


def open_source(root: Place | str, *, follow_links: bool = False) -> "ReleasedSource":
    """Find the released files under a folder. Each building's files of a domain are listed when first needed.

    Args:
        root: The folder.
        follow_links: Whether folders below it may be links. DVC does not follow them; the command that writes an index does.

    Raises:
        TaskonomyError: There are no released files or no images (the message says what was found and what is expected), or there are links.
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
    """A `SourceFile` that reads folders and tars."""

    def __init__(self, root: Place, found: FoundFiles) -> None:
        self._root = root
        self._layouts = tuple(found.layouts)
        self._unread = tuple(found.unread)
        self._shelves: dict[tuple[str, str], list[Archive]] = {}
        # Folders before tars: where a tar was unpacked and a file repaired, the repaired one is wanted.
        for shelf in sorted(found.shelves, key=lambda shelf: (shelf.is_tar, str(shelf.path))):
            self._shelves.setdefault((shelf.building, shelf.domain), []).append(shelf)

    @property
    def root(self) -> Place:
        """Return the root folder."""
        return self._root

    @cached_property
    def shelves(self) -> list[Archive]:
        """Return every folder and tar of one building and domain."""
        return [shelf for _place, group in sorted(self._shelves.items()) for shelf in group]

    def only(self, buildings: Iterable[str]) -> "ReleasedSource":
        """Return a source of some buildings only, with nothing listed yet: it is small, so it can be sent to another process."""
        wanted = {name.lower() for name in buildings}
        shelves = [Archive(one.path, one.building, one.domain) for one in self.shelves if one.building in wanted]
        return ReleasedSource(self._root, FoundFiles(shelves, list(self._layouts), []))

    def of_components(self, components: Sequence[str]) -> "ReleasedSource":
        """Return a source of some components of Omnidata only; of no name, itself.

        Raises:
            TaskonomyError: There is no such component.
        """
        if not components:
            return self
        there = sorted({component_of(self._root, one.path) for one in self.shelves} - {""})
        if missing := [name for name in components if name.lower() not in there]:
            raise TaskonomyError(f"{self._root}: has no component {few(missing)}; it has {few(there, 20) or 'none'}")
        wanted = {name.lower() for name in components}
        shelves = [Archive(one.path, one.building, one.domain) for one in self.shelves if component_of(self._root, one.path) in wanted]
        return ReleasedSource(self._root, FoundFiles(shelves, list(self._layouts), list(self._unread)))

    def depth_range(self, key: ViewKey) -> float:
        """Return the depth that 65536 stands for in a view's depth files, metres."""
        return self._ranges.get(key.building.lower(), REACH)

    def notes(self) -> list[str]:
        """Return a line for each component whose depths are not in the release's unit."""
        other = sorted(
            {component_of(self._root, one.path) for one in self.shelves if COMPONENTS.get(component_of(self._root, one.path), REACH) != REACH}
        )
        return [f"{name}: depths are stored in shares of {COMPONENTS[name]:g} m, and read in the release's steps of 1/512 m" for name in other]

    @cached_property
    def _ranges(self) -> dict[str, float]:
        """Return building -> depth that 65536 stands for, for buildings of components that have one of their own."""
        found = {one.building: COMPONENTS.get(component_of(self._root, one.path), REACH) for one in self.shelves}
        return {name: reach for name, reach in found.items() if reach != REACH}

    def index(self) -> Keys:
        """Return the keys of `views`, in eight bytes each; the listings they were made from are dropped at once."""
        with ThreadPoolExecutor(AT_ONCE if isinstance(self._root, Remote) else 1) as pool:
            return Keys.of(zip(self.buildings, pool.map(self._listed_once, self.buildings), strict=True))

    def _listed_once(self, building: str) -> Int64[np.ndarray, " files"]:
        keys = self.keys(building, "rgb")
        for shelf in self._shelves.get((building, "rgb"), []):
            shelf.let_go()
        return keys

    def fetch(self, keys: Iterable[ViewKey], domains: Iterable[str]) -> None:
        """Fetch files that will be read next from object storage; local folders need no fetching."""
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
        """Return the layouts found, as the documentation writes them."""
        return self._layouts

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Return the domains that any building has, sorted."""
        return tuple(sorted({domain for _building, domain in self._shelves}))

    @cached_property
    def buildings(self) -> tuple[str, ...]:
        """Return the names of the buildings, in lower case, sorted."""
        return tuple(sorted({building for building, _domain in self._shelves}))

    def views(self) -> list[ViewKey]:
        """Return every view that has an image; see `SourceFile`."""
        return [ViewKey(building, key >> 32, key & ALL) for building in self.buildings for key in self.keys(building, "rgb").tolist()]

    def has(self, key: ViewKey, domain: str) -> bool:
        """Return whether the file of a view exists; see `SourceFile`."""
        return self._find(key, domain) is not None

    def lacks(self, building: str, domain: str) -> bool:
        """Return whether a building has nothing of a domain; see `SourceFile`."""
        return (building.lower(), domain) not in self._shelves

    def absent(self, domains: Iterable[str]) -> str:
        """Say in one line which buildings lack these domains, and so their labels; empty if none does."""
        of = {domain: [name for name in self.buildings if self.lacks(name, domain)] for domain in domains if domain not in NOT_RELEASED}
        parts = [f"{domain} in {len(names):,} of {len(self.buildings):,} ({few(names)})" for domain, names in of.items() if names]
        return f"buildings without any file of a domain, whose images lack its labels: {'; '.join(parts)}" if parts else ""

    def read(self, key: ViewKey, domain: str) -> bytes:
        """Return the bytes of a file; see `SourceFile`."""
        found = self._find(key, domain)
        if found is None:
            raise MissingFileError("missing")
        shelf, position = found
        return shelf.read(position)

    def matches(self, building: str, point: int) -> bytes:
        """Return the bytes of a point's `nonfixated_matches` file; see `SourceFile`."""
        return self.read(ViewKey(building, point, ALL), MATCHES)

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the location of a file for messages; see `SourceFile`."""
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
        """Return a text that changes when a view's file is added, removed or overwritten; empty for a file in a tar and for a missing one."""
        if (found := self._find(key, domain)) is None:
            return ""
        shelf, position = found
        return shelf.stamp(position)

    def splits(self) -> dict[str, str]:
        """Return building -> split by the split lists in the root; see `SourceFile`."""
        return find_splits(self._root)

    def keys(self, building: str, domain: str) -> Int64[np.ndarray, " files"]:
        """Return point << 32 | view of every file, ascending; the view `all` is `file_names.ALL`."""
        shelves = self._shelves.get((building.lower(), domain), [])
        if len(shelves) == 1:
            return shelves[0].keys
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(shelf.keys for shelf in shelves)]))

    def without_views(self) -> set[str]:
        """Return the buildings that have files, but no images."""
        return {building for building in self.buildings if not len(self.keys(building, "rgb"))}

    def problems(self, building: str, domain: str) -> list[tuple[str, str]]:
        """Return tars that are damaged as a whole, and files that lie in two places: location and message."""
        shelves = self._shelves.get((building.lower(), domain), [])
        return [(str(shelf.path), problem) for shelf in shelves for problem in shelf.problems] + overlaps(shelves)

    def unread(self) -> list[str]:
        """Return one line for each place under the root that looks like data and is not read. Every folder and tar is listed for it."""
        return [*self._unread, *(f"{shelf.path}: {few(shelf.ignored)}: no file of {shelf.domain}" for shelf in self.shelves if shelf.ignored)]

    def _find(self, key: ViewKey, domain: str) -> tuple[Archive, int] | None:
        view = ALL if domain == MATCHES else key.view
        for shelf in self._shelves.get((key.building.lower(), domain), []):
            if (position := shelf.find(key.point, view)) is not None:
                return shelf, position
        return None


def _what_is_there(root: Place, found: Finder) -> str:
    """Describe a folder that holds no released data, and suggest the folder that may have been meant."""
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
