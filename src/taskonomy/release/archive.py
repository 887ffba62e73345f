"""Read one building's files of one domain from a folder, or from a tar without unpacking it.

A request to object storage takes as long as transferring some megabytes. Files of a folder are therefore fetched many at once, before they are read,
and a tar as a whole, into an unnamed temporary file (in `TMPDIR`) that disappears with its `Archive`.
"""

import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import IO, Any

import numpy as np
from jaxtyping import Int64, UInt32, UInt64

from taskonomy.parsing.user_text import is_hidden
from taskonomy.release.file_names import format_file, parse_file
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.object_storage import Entry, Place, Remote, entries_of

_BLOCK = 512


@dataclass(frozen=True)
class _Index:
    """Index of an archive; at most 28 bytes per file, because a release has millions of files."""

    keys: Int64[np.ndarray, " files"]  # point << 32 | view, ascending
    form: UInt32[np.ndarray, " files"]  # position of the file's name pattern in `forms`
    forms: list[tuple[str, str]]  # what precedes and what follows point and view in the name
    offset: Int64[np.ndarray, " files"] | None  # tars only: where the file's bytes begin
    size: Int64[np.ndarray, " files"] | None
    marks: UInt64[np.ndarray, " files"] | None  # folders in object storage only: a number that changes when the file does
    ignored: list[str]  # names of entries that are not files of the domain
    problems: list[str]


class Archive:
    """Folder or tar with a building's files of one domain; it is listed on first use.

    Attributes:
        path: The folder or the tar.
        building: Name of the building, in lower case.
        domain: Released name of the domain.
    """

    def __init__(self, path: Place, building: str, domain: str) -> None:
        self.path = path
        self.building = building.lower()
        self.domain = domain
        self.is_tar = path.suffix.lower() == ".tar"
        self._ahead: dict[int, bytes] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the archive without its index and without fetched files."""
        return Archive, (self.path, self.building, self.domain)

    @property
    def keys(self) -> Int64[np.ndarray, " files"]:
        """Return point << 32 | view of every file, ascending."""
        return self._index.keys

    @property
    def ignored(self) -> list[str]:
        """Return the names of entries that are not files of the domain."""
        return self._index.ignored

    @property
    def problems(self) -> list[str]:
        """Return what is wrong with the tar as a whole."""
        return self._index.problems

    def find(self, point: int, view: int) -> int | None:
        """Return the position of a file, as `read` and `name` take it; None if the file is not there."""
        key = point << 32 | view
        position = int(np.searchsorted(self.keys, key))
        return position if position < len(self.keys) and self.keys[position] == key else None

    def name(self, position: int) -> str:
        """Return the name of a file; in a tar, with its folders."""
        key = int(self.keys[position])
        prefix, rest = self._index.forms[self._index.form[position]]
        return format_file(prefix, key >> 32, key & 0xFFFFFFFF, rest)

    def where(self, name: str) -> str:
        """Return the location of a file for messages: its path, or `x.tar: member`."""
        return f"{self.path}: {name}" if self.is_tar else str(self.path / name)

    def read(self, position: int) -> bytes:
        """Return the bytes of a file.

        Raises:
            DamagedFileError: The file cannot be read, or the tar ends inside it.
        """
        index = self._index
        try:
            if index.offset is None or index.size is None:
                return self._ahead.pop(position, None) or (self.path / self.name(position)).read_bytes()
            with self._opened() as file:
                data = os.pread(file.fileno(), size := int(index.size[position]), int(index.offset[position]))
        except OSError as error:
            raise DamagedFileError(f"unreadable: {error.strerror or error}") from None
        if len(data) < size:
            raise DamagedFileError("cut off: the tar ends inside it")
        return data

    def stamp(self, position: int) -> str:
        """Return a text that changes when a file in a folder is overwritten, even if its date is set back; empty for tars, which `mark` covers."""
        index = self._index
        if self.is_tar:
            return ""
        if index.marks is not None:
            return str(index.marks[position])
        try:
            found = os.stat(f"{self.path}/{self.name(position)}")
        except OSError as error:
            return f"unreadable: {error.strerror or error}"
        return stamp_of(found)

    def fetch(self, keys: Iterable[tuple[int, int]]) -> None:
        """Fetch files (point, view) that will be read soon from object storage, and drop those fetched earlier that were not read."""
        if not isinstance(self.path, Remote):
            return
        if self.is_tar:
            _ = self._index
            return
        wanted = {self.path / self.name(position): position for point, view in keys if (position := self.find(point, view)) is not None}
        self._ahead = {wanted[place]: data for place, data in Remote.read_many(list(wanted)).items()}

    def let_go(self) -> None:
        """Drop the index, and the local copy of a tar in object storage."""
        self.__dict__.pop("_index", None)
        self.__dict__.pop("_copy", None)

    def facts(self) -> tuple[int, int, str]:
        """Return the number of files (a tar counts as one), their total size in bytes, and a text that changes when one of them does.

        Raises:
            OSError: A file's size or date cannot be read.
        """
        if self.is_tar:
            return 1, *_facts(self.path)
        if isinstance(self.path, Remote):
            found = [(one.name, one.size, one.mark) for one in self.path.entries() if not is_hidden(one.name)]
        else:
            names = sorted(one.name for one in entries_of(self.path) if not is_hidden(one.name))
            found = [(name, *_facts(self.path / name)) for name in names]
        return len(found), sum(size for _name, size, _mark in found), "\n".join(f"{name} {size} {mark}" for name, size, mark in found)

    def mark(self) -> str:
        """Return a text that changes when files are added, removed or replaced, but not when one in a folder is overwritten.

        It is empty for folders in object storage.
        """
        try:
            if isinstance(self.path, Remote):
                return "{} {}".format(*self.path.facts()) if self.is_tar else ""
            return stamp_of(self.path.stat())
        except OSError as error:
            return f"unreadable: {error.strerror or error}"

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """Yield the open tar.

        A local tar is opened anew each time, because forked processes would share an open handle and its position. The copy of a remote tar stays
        open: it is read at given offsets, which does not move the position.
        """
        if isinstance(self.path, Remote):
            yield self._copy
            return
        with open(self.path, "rb", buffering=0) as file:
            yield file

    @cached_property
    def _copy(self) -> IO[bytes]:
        assert isinstance(self.path, Remote)
        file = tempfile.TemporaryFile(prefix="taskonomy-")  # noqa: SIM115  # closed, and thereby deleted, with the archive
        self.path.copy_to(file)
        return file

    @cached_property
    def _index(self) -> _Index:
        if not self.is_tar:
            return _folder_index(self.path, self.domain)
        try:
            with self._opened() as file:
                return _tar_index(file, self.domain)
        except OSError as error:
            return _unreadable(self.domain, error.strerror or str(error))
        except DamagedFileError as error:
            return _unreadable(self.domain, str(error))


class _Builder:
    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.forms: dict[tuple[str, str], int] = {}
        self.ignored: list[str] = []
        self.problems: list[str] = []

    def add(self, prefix: str, name: str, offset: int = 0, size: int = 0, mark: int = 0) -> None:
        """Add a file to the index, or to the ignored names if it is not one of the domain."""
        parsed = parse_file(name, self.domain)
        # A member named `../..` could do no harm, as nothing is unpacked; but it is malicious or a mistake, so it is not read.
        if parsed is None or prefix.startswith("/") or ".." in prefix.split("/"):
            self.ignored.append(prefix + name)
            return
        point, view, rest = parsed
        form = self.forms.setdefault((prefix, rest), len(self.forms))
        self.rows.append((point << 32 | view, form, offset, size, mark))

    def index(self, *, in_tar: bool, marked: bool = False) -> _Index:
        rows = np.array(self.rows, np.int64).reshape(-1, 5)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        # A tar that was appended to may hold a file twice; the last one counts, as in unpacking.
        last = np.append(rows[1:, 0] != rows[:-1, 0], True) if len(rows) else np.zeros(0, bool)
        if twice := len(rows) - int(last.sum()):
            self.problems.append(f"holds {twice:,} files more than once; the last one is read")
        keys, form, offset, size, mark = (np.ascontiguousarray(column) for column in rows[last].T)
        return _Index(
            keys=keys,
            form=form.astype(np.uint32),
            forms=list(self.forms),
            offset=offset if in_tar else None,
            size=size if in_tar else None,
            marks=mark.view(np.uint64) if marked else None,
            ignored=self.ignored,
            problems=self.problems,
        )


def _folder_index(path: Place, domain: str) -> _Index:
    builder = _Builder(domain)
    # Sorted, because folders list their entries in any order, and of two names of the same file the last one is read.
    for entry in sorted(entries_of(path), key=lambda one: one.name):
        if not is_hidden(entry.name):
            builder.add("", entry.name, mark=_number(f"{entry.size} {entry.mark}") if isinstance(entry, Entry) else 0)
    builder.ignored.sort()
    return builder.index(in_tar=False, marked=isinstance(path, Remote))


def _tar_index(file: IO[bytes], domain: str) -> _Index:
    builder = _Builder(domain)
    end = 0
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                end = member.offset_data + (-(-member.size // _BLOCK) * _BLOCK if member.isreg() else 0)
                prefix, slash, name = member.name.rpartition("/")
                if member.isreg() and not member.issparse():
                    if not is_hidden(name):
                        builder.add(prefix + slash, name, member.offset_data, member.size)
                elif not member.isdir():
                    builder.ignored.append(member.name)
                tar.members.clear()  # type: ignore[attr-defined]  # otherwise the tar keeps every member in memory
        builder.problems += _ending(file, end)
    except (tarfile.TarError, EOFError) as error:
        builder.problems.append(f"is damaged: {error}" if builder.rows else f"is no tar: {error}")
    except OSError as error:
        builder.problems.append(f"unreadable: {error.strerror or error}")
    return builder.index(in_tar=True)


def _unreadable(domain: str, reason: str) -> _Index:
    builder = _Builder(domain)
    builder.problems.append(f"unreadable: {reason}")
    return builder.index(in_tar=True)


def _ending(file: IO[bytes], end: int) -> list[str]:
    """Return what is wrong with the end of a tar.

    `tarfile` takes a download that was cut off between two files, or a bad header, for an ordinary end.
    """
    file.seek(end)
    block = file.read(_BLOCK)
    if not block:
        return ["is cut off: its end mark is missing"]
    return ["is damaged: what follows its last readable file is no header"] if any(block) else []


def _facts(path: Place) -> tuple[int, str]:
    """Return the size of a file in bytes, and a text that changes when the file does."""
    if isinstance(path, Remote):
        return path.facts()
    found = path.stat()
    return found.st_size, str(found.st_mtime_ns)


def stamp_of(found: os.stat_result) -> str:
    """Return a text that changes when a file is overwritten, even if its date is set back: the time of its inode's last change cannot be set."""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def overlaps(shelves: list[Archive]) -> list[tuple[str, str]]:
    """Return the files that lie in two places, of which one is read: the place that is not read, and a message."""
    found = []
    for position, shelf in enumerate(shelves):
        for other in shelves[:position]:
            if both := len(np.intersect1d(shelf.keys, other.keys, assume_unique=True)):
                found.append((str(shelf.path), f"has {both:,} files that are also in {other.path}, from where they are read"))
    return found
