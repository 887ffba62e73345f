"""Search the first levels of a root for folders and tars of one building and domain, in every layout of `layouts`."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.archive import Archive
from taskonomy.release.file_names import TASKONOMY, component_of, domain_of, few, parse_tar
from taskonomy.release.object_storage import Entry, Place, Remote, entries_of

TAR = "<building>_<domain>.tar"
FOLDERS = "<building>/<domain>/"
OMNIDATA = "<domain>/<component>/<building>/"
Listed = tuple[bool, list[str], list[str], list[str]]  # whether the folder holds files of views; names of its folders, tars and links
_AT_ONCE = 16


class Finder:
    """Folders and tars found under a root. Only names are looked at: what a building's folder of a domain or a tar holds is listed later.

    Attributes:
        shelves: Folders and tars of one building and domain.
        layouts: Layouts found, as the documentation writes them.
        unread: One line for each entry that looks like data but is not read.
        links: Symbolic links that DVC does not follow; see `refuse_links`.
    """

    def __init__(self, root: Place) -> None:
        self.shelves: list[Archive] = []
        self.layouts: list[str] = []
        self.unread: list[str] = []
        self.links: list[str] = []
        self._known: dict[Place, Listed] = {}
        _files, folders = self._look(root)
        for folder in folders:
            if domain := domain_of(folder.name):
                self._of_domain(folder, domain, root.resolve().name)
            else:
                self._of_building_or_component(folder)
        self.shelves = _told_apart(root, self.shelves)

    def _of_domain(self, folder: Place, domain: str, only_building: str) -> None:
        files, folders = self._look(folder, domain=domain)
        if files:
            self._add(folder, only_building, domain, "<domain>/ (one building)")
        for sub in folders:
            files, leaves = self._look(sub, domain=domain)
            if files:
                self._add(sub, sub.name, domain, "<domain>/<building>/")
            else:
                self._leaves(sub, leaves, domain, OMNIDATA)

    def _of_building_or_component(self, folder: Place) -> None:
        _files, folders = self._look(folder, building=folder.name)
        for sub in folders:
            if domain := domain_of(sub.name):
                files, leaves = self._look(sub, domain=domain)
                if files:
                    self._add(sub, folder.name, domain, FOLDERS)
                else:
                    self._leaves(folder, leaves, domain, "<component>/<domain>/<building>/ (older trainers)")
            else:
                self.unread.append(f"{sub}: {sub.name} is no domain")

    def _leaves(self, component: Place, leaves: list[Place], domain: str, layout: str) -> None:
        for leaf in leaves:
            if self._look(leaf)[0]:
                self._add(leaf, leaf.name, domain, layout)
            else:
                self.unread.append(f"{leaf}: has no file of {domain}")

    def _look(self, folder: Place, *, building: str | None = None, domain: str | None = None) -> tuple[bool, list[Place]]:
        """Return whether a folder holds files of views and, if not, its subfolders; its tars are added."""
        files, folders, tars, links = self._known.pop(folder) if folder in self._known else _listed(folder)
        self.links += [str(folder / link) for link in sorted(links)]
        for tar in sorted(tars):
            self._take(folder / tar, building, domain)
        below = [folder / name for name in sorted(folders)]
        if isinstance(folder, Remote):  # listing a remote folder takes a round trip, so they are listed in parallel
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._known |= dict(zip(below, pool.map(_listed, below), strict=True))
        return files, below

    def _take(self, tar: Place, building: str | None, domain: str | None) -> None:
        """Add a tar under its released name; in a domain's folder, the building's name alone is enough, and in a building's folder the domain's."""
        if tar.suffix.lower() != ".tar":
            self.unread.append(f"{tar}: is compressed; only a plain tar can be read in place")
            return
        is_of = parse_tar(tar.name)
        if is_of is None and domain is not None:
            is_of = tar.stem, domain
        elif is_of is None and building is not None and (domain := domain_of(tar.stem)):
            is_of = building, domain
        if is_of is None:
            self.unread.append(f"{tar}: its name is not {TAR}")
        else:
            self._add(tar, *is_of, TAR)

    def _add(self, path: Place, building: str, domain: str, layout: str) -> None:
        self.shelves.append(Archive(path, building, domain))
        if layout not in self.layouts:
            self.layouts.append(layout)


def _told_apart(root: Place, shelves: list[Archive]) -> list[Archive]:
    """Put the component before the name of a building that another component has too; those of Taskonomy keep theirs, as in the split lists."""
    of_name: dict[str, set[str]] = {}
    for one in shelves:
        of_name.setdefault(one.building, set()).add(component_of(root, one.path))
    twice = {name for name, components in of_name.items() if len(components - {""}) > 1}

    def building(shelf: Archive) -> str:
        component = component_of(root, shelf.path)
        return f"{component}.{shelf.building}" if shelf.building in twice and component not in ("", TASKONOMY) else shelf.building

    return [Archive(one.path, building(one), one.domain) for one in shelves]


def hides_from_dvc(entry: Any) -> bool:
    """Return whether an entry is a link that DVC does not follow: it ignores links to folders and fails at broken ones; it follows links to files."""
    return not isinstance(entry, Entry) and entry.is_symlink() and not os.path.isfile(entry)


def refuse_links(root: Place, links: Sequence[str], instead: str) -> None:
    """Refuse links to folders below a root, and broken links.

    DVC follows a root that is a link, and links to files, but not links to folders below a root: a change there would rerun nothing.

    Args:
        root: Root of the data.
        links: Links below the root, to folders or broken ones.
        instead: What else the error message suggests.

    Raises:
        TaskonomyError: There are such links.
    """
    held = set(links)
    outermost = [link for link in links if not any(str(parent) in held for parent in Path(link).parents)]
    if outermost:
        named = few([f"{link} -> {os.readlink(link)}" for link in outermost])
        raise TaskonomyError(
            f"{root}: has links to folders, or to nothing: {named}; DVC does not follow them, so changes there would go unnoticed: copy or mount"
            f" the folder there, or name a folder without links in data.root{instead}"
        )


def _listed(folder: Place) -> Listed:
    folders, tars, links = [], [], []
    for entry in entries_of(folder):
        if is_hidden(entry.name):
            continue
        if hides_from_dvc(entry):
            links.append(entry.name)
            is_folder = os.path.isdir(entry)  # no error where a link points to itself
        else:
            is_folder = entry.is_dir()
        if entry.name.startswith("point_") and not is_folder:
            return True, [], [], []  # one such name is enough; the folder may hold thousands more
        if is_folder:
            folders.append(entry.name)
        elif re.search(r"\.(tar(\.\w+)?|tgz)$", entry.name, re.IGNORECASE):
            tars.append(entry.name)
    return False, folders, tars, links
