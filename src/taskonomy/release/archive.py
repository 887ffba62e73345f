"""One building's files of one domain, in a folder or in a tar that is read where it lies.

In object storage a request takes as long as some megabytes: files of a folder are fetched many at once, before they are asked for, and a tar as a
whole, into a file without a name on this machine's disk (`TMPDIR`) that is gone with the shelf.
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
    """28 bytes a file at most: a release has millions of files."""

    keys: Int64[np.ndarray, " files"]  # point << 32 | view, ascending
    form: UInt32[np.ndarray, " files"]  # of which of `forms` the name is
    forms: list[tuple[str, str]]  # what stands before and behind point and view in the name
    offset: Int64[np.ndarray, " files"] | None  # of tars: where the bytes are
    size: Int64[np.ndarray, " files"] | None
    marks: UInt64[np.ndarray, " files"] | None  # of folders in object storage: changes when the file does
    ignored: list[str]  # names of what lies there and is no file of the domain
    problems: list[str]


class Archive:
    """Where a building's files of a domain lie; looked through on first use.

    Attributes:
        path: The folder or the tar.
        building: In lower case.
        domain: Released name.
    """

    def __init__(self, path: Place, building: str, domain: str) -> None:
        self.path = path
        self.building = building.lower()
        self.domain = domain
        self.is_tar = path.suffix.lower() == ".tar"
        self._ahead: dict[int, bytes] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """It travels between processes without what it has looked up."""
        return Archive, (self.path, self.building, self.domain)

    @property
    def keys(self) -> Int64[np.ndarray, " files"]:
        """Point << 32 | view of every file, ascending."""
        return self._index.keys

    @property
    def ignored(self) -> list[str]:
        """Names of what lies there and is no file of the domain."""
        return self._index.ignored

    @property
    def problems(self) -> list[str]:
        """What is wrong with the tar as a whole."""
        return self._index.problems

    def find(self, point: int, view: int) -> int | None:
        """Position of a file, for `read` and `where`."""
        key = point << 32 | view
        position = int(np.searchsorted(self.keys, key))
        return position if position < len(self.keys) and self.keys[position] == key else None

    def name(self, position: int) -> str:
        """Of the file, with its folders where it is in a tar."""
        key = int(self.keys[position])
        prefix, rest = self._index.forms[self._index.form[position]]
        return format_file(prefix, key >> 32, key & 0xFFFFFFFF, rest)

    def where(self, name: str) -> str:
        """What people call a file of this shelf."""
        return f"{self.path}: {name}" if self.is_tar else str(self.path / name)

    def read(self, position: int) -> bytes:
        """The file.

        Raises:
            DamagedFileError: It cannot be read, or the tar ends inside it.
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
        """Changes when a file in a folder is written over, whatever it is dated; of a tar `mark` says that."""
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
        """Get files (point, view) out of object storage that will be read soon, and forget those fetched before that were not."""
        if not isinstance(self.path, Remote):
            return
        if self.is_tar:
            _ = self._index
            return
        wanted = {self.path / self.name(position): position for point, view in keys if (position := self.find(point, view)) is not None}
        self._ahead = {wanted[place]: data for place, data in Remote.read_many(list(wanted)).items()}

    def let_go(self) -> None:
        """Forget the index, and the copy of a tar in object storage."""
        self.__dict__.pop("_index", None)
        self.__dict__.pop("_copy", None)

    def facts(self) -> tuple[int, int, str]:
        """How many files there are (a tar is one), how large they are together, and what changes when one of them does.

        Raises:
            OSError: One cannot be looked at.
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
        """Changes when files come, go or are replaced by others; not when one in a folder is written over. Of object storage a tar's only."""
        try:
            if isinstance(self.path, Remote):
                return "{} {}".format(*self.path.facts()) if self.is_tar else ""
            return stamp_of(self.path.stat())
        except OSError as error:
            return f"unreadable: {error.strerror or error}"

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """The tar. Opened anew each time: a handle kept would be shared by forked processes; that of a copy is read without moving its place."""
        if isinstance(self.path, Remote):
            yield self._copy
            return
        with open(self.path, "rb", buffering=0) as file:
            yield file

    @cached_property
    def _copy(self) -> IO[bytes]:
        assert isinstance(self.path, Remote)
        file = tempfile.TemporaryFile(prefix="taskonomy-")  # noqa: SIM115  # closed, and thereby gone, with the shelf
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
        """Take up a file, or note that it is none of the domain's."""
        parsed = parse_file(name, self.domain)
        # A file named `../..` would do no harm, as nothing is unpacked; but whoever packed it meant harm or erred.
        if parsed is None or prefix.startswith("/") or ".." in prefix.split("/"):
            self.ignored.append(prefix + name)
            return
        point, view, rest = parsed
        form = self.forms.setdefault((prefix, rest), len(self.forms))
        self.rows.append((point << 32 | view, form, offset, size, mark))

    def index(self, *, in_tar: bool, marked: bool = False) -> _Index:
        rows = np.array(self.rows, np.int64).reshape(-1, 5)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        # A tar that was appended to has a file twice; the last one counts, as in unpacking.
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
    # In an order of their own: of two names for the same file the last is read, and folders list them in any order.
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
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all that it has seen
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
    """A cut-off download that ends between two files, or a bad header, is to `tarfile` an ordinary end."""
    file.seek(end)
    block = file.read(_BLOCK)
    if not block:
        return ["is cut off: its end mark is missing"]
    return ["is damaged: what follows its last readable file is no header"] if any(block) else []


def _facts(path: Place) -> tuple[int, str]:
    """Size, and what changes when the file does."""
    if isinstance(path, Remote):
        return path.facts()
    found = path.stat()
    return found.st_size, str(found.st_mtime_ns)


def stamp_of(found: os.stat_result) -> str:
    """Whoever writes a file and dates it back changes when its entry was changed, which nobody can date."""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def overlaps(shelves: list[Archive]) -> list[tuple[str, str]]:
    """Where, and what: files that lie in two places, of which one is read."""
    found = []
    for position, shelf in enumerate(shelves):
        for other in shelves[:position]:
            if both := len(np.intersect1d(shelf.keys, other.keys, assume_unique=True)):
                found.append((str(shelf.path), f"has {both:,} files that are also in {other.path}, from where they are read"))
    return found
