"""Write a building in a released layout: the same files give the same bytes, and a killed process leaves no half-written tar or folder."""

import os
import shutil
import tarfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal

from taskonomy.release.file_names import parse_file, place
from taskonomy.release.formats import DOMAINS


def write_building(root: Path, building: str, files: Iterable[tuple[str, str, bytes]], *, layout: Literal["tar", "folders", "omnidata"]) -> None:
    """Write all files of one building. Existing folders or tars of the same domains are replaced once every file has been received.

    Args:
        root: Root of the data set.
        building: Name of the building, written as it is.
        files: Domain, released file name, and bytes, in any order. They are consumed one by one; only their names are kept in memory.
        layout: `<building>_<domain>.tar`, `<building>/<domain>/` or `<domain>/taskonomy/<building>/`.

    Raises:
        ValueError: A name is not one of the release, or occurs twice.
    """
    unfinished: dict[str, _Folder | _Tar] = {}
    with ExitStack() as stack:
        for domain, name, data in files:
            if domain not in DOMAINS or (parsed := parse_file(name, domain)) is None or parsed[2] != DOMAINS[domain].ending:
                raise ValueError(f"{building}: {name!r} is no released file name of {domain}")
            if domain not in unfinished:
                target = place(root, layout, building, domain)
                new: _Folder | _Tar = _Tar(target) if layout == "tar" else _Folder(target)
                stack.enter_context(new)
                unfinished[domain] = new
            unfinished[domain].add(parsed[:2], name, data)
        for domain in sorted(unfinished):
            unfinished[domain].finish()


class _Unfinished:
    """Output that is built beside its final place, under a temporary name that marks it as unfinished."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.seen: dict[tuple[int, int], str] = {}

    def note(self, key: tuple[int, int], name: str) -> None:
        if key in self.seen:
            raise ValueError(f"{self.target}: {name} comes twice")
        self.seen[key] = name


class _Folder(_Unfinished):
    def __enter__(self) -> "_Folder":
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def add(self, key: tuple[int, int], name: str, data: bytes) -> None:
        self.note(key, name)
        (self.path / name).write_bytes(data)

    def finish(self) -> None:
        # A folder cannot be renamed onto one that is not empty.
        shutil.rmtree(self.target, ignore_errors=True)
        os.replace(self.path, self.target)


class _Tar(_Unfinished):
    """Tar under construction: bytes are appended to a temporary file as they arrive, and the tar, sorted by point and view, is made from it."""

    def __enter__(self) -> "_Tar":
        self.heap_path = self.path.with_suffix(".heap.unfinished")
        self.heap = open(self.heap_path, "w+b")
        self.at: dict[tuple[int, int], tuple[int, int]] = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.heap.close()
        self.heap_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def add(self, key: tuple[int, int], name: str, data: bytes) -> None:
        self.note(key, name)
        self.at[key] = self.heap.tell(), len(data)
        self.heap.write(data)

    def finish(self) -> None:
        with open(self.path, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for key in sorted(self.seen):
                    member = tarfile.TarInfo(self.seen[key])  # owner 0, time 0, mode 644
                    offset, member.size = self.at[key]
                    self.heap.seek(offset)
                    tar.addfile(member, self.heap)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path, self.target)
