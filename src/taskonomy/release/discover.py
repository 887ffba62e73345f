"""Walks the first levels of a root for folders and tars of one building and domain, in every layout of `layouts`."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.archive import Archive
from taskonomy.release.file_names import domain_of, few, parse_tar
from taskonomy.release.object_storage import Entry, Place, Remote, entries_of

TAR = "<building>_<domain>.tar"
FOLDERS = "<building>/<domain>/"
OMNIDATA = "<domain>/<component>/<building>/"
OTHER_UNITS = frozenset({"clevr", "google_scanned"})  # components whose depths are not in 1/512 m
Listed = tuple[bool, list[str], list[str], list[str]]  # whether there are files of views; names of folders, of tars, and of links
_AT_ONCE = 16


class Finder:
    """What lies under a root. Only names are looked at: what is in a building's folder of a domain, or in a tar, is left for later.

    Attributes:
        shelves: Folders and tars of one building and domain.
        layouts: Those met, as people write them.
        unread: One line for each thing that looks like data and is no shelf.
        links: Where DVC would see less than is read: `refuse_links` says what of.
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
        if component.name.lower() in OTHER_UNITS:
            self.unread.append(f"{component}: the depths of this component are not in 1/512 m, so it is not read")
            return
        for leaf in leaves:
            if self._look(leaf)[0]:
                self._add(leaf, leaf.name, domain, layout)
            else:
                self.unread.append(f"{leaf}: has no file of {domain}")

    def _look(self, folder: Place, *, building: str | None = None, domain: str | None = None) -> tuple[bool, list[Place]]:
        """Whether a folder holds files of views, and if not, its folders; its tars are taken up."""
        files, folders, tars, links = self._known.pop(folder) if folder in self._known else _listed(folder)
        self.links += [str(folder / link) for link in sorted(links)]
        for tar in sorted(tars):
            self._take(folder / tar, building, domain)
        below = [folder / name for name in sorted(folders)]
        if isinstance(folder, Remote):  # each listing there takes its time, so they are asked for side by side
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._known |= dict(zip(below, pool.map(_listed, below), strict=True))
        return files, below

    def _take(self, tar: Place, building: str | None, domain: str | None) -> None:
        """A tar by its released name; in the folder of a domain it may have the name of the building alone, and the reverse."""
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


def hides_from_dvc(entry: Any) -> bool:
    """Whether what lies there is a link to a folder, which DVC takes for nothing, or to nothing, at which DVC ends. One to a file it reads."""
    return not isinstance(entry, Entry) and entry.is_symlink() and not os.path.isfile(entry)


def refuse_links(root: Place, links: Sequence[str], instead: str) -> None:
    """DVC follows a root that is a link, and links to files, but not the links to folders below a root: a change there would rerun nothing.

    Args:
        root: Of the data.
        links: Those below it, to folders or to nothing.
        instead: What else would be right.

    Raises:
        TaskonomyError: There are any.
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
            is_folder = os.path.isdir(entry)  # no error where a link leads to itself
        else:
            is_folder = entry.is_dir()
        if entry.name.startswith("point_") and not is_folder:
            return True, [], [], []  # thousands of names more say nothing new
        if is_folder:
            folders.append(entry.name)
        elif re.search(r"\.(tar(\.\w+)?|tgz)$", entry.name, re.IGNORECASE):
            tars.append(entry.name)
    return False, folders, tars, links
