"""Folders in object storage (`s3://bucket/prefix`, `gs://...`), with as much of the `Path` interface as reading a release needs."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec

from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DamagedFileError, MissingFileError

DRIVERS = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
Got = TypeVar("Got")


@dataclass(frozen=True, order=True)
class Remote:
    """A location in object storage. Credentials are taken from the environment, as the storage's own tools do.

    Attributes:
        url: Address without a trailing slash.
    """

    url: str

    @property
    def name(self) -> str:
        """Return the last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """Return the part of the name from its last dot on."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """Return the name without its suffix."""
        return Path(self.name).stem

    def resolve(self) -> "Remote":
        """Return the location itself: object storage has no links."""
        return self

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    def exists(self) -> bool:
        """Return whether a file or a folder exists here."""
        return bool(self._ask(lambda: _system(self.url).exists(self.url)))

    def is_dir(self) -> bool:
        """Return whether there are files below."""
        return bool(self._ask(lambda: _system(self.url).isdir(self.url)))

    def entries(self) -> "list[Entry]":
        """Return the entries directly below, sorted by name; none if the folder no longer exists."""
        try:
            found = self._ask(lambda: _system(self.url).ls(self.url, detail=True))
        except FileNotFoundError:
            return []
        entries = [
            Entry(one["name"].rstrip("/").rpartition("/")[2], one["type"] == "directory", int(one.get("size") or 0), _mark(one)) for one in found
        ]
        return sorted(one for one in entries if one.name and one.name != self.name)

    def facts(self) -> tuple[int, str]:
        """Return the size of a file in bytes, and a text that changes when the file does.

        Raises:
            TaskonomyError: The file does not exist.
        """
        try:
            found = self._ask(lambda: _system(self.url).info(self.url))
        except FileNotFoundError:
            raise TaskonomyError(f"{self.url}: is not there any more") from None
        return int(found.get("size") or 0), _mark(found)

    def read_bytes(self) -> bytes:
        """Read a whole file.

        Raises:
            DamagedFileError: The file does not exist.
        """
        found = self.read_many([self])
        if self not in found:
            raise MissingFileError("missing")
        return found[self]

    @staticmethod
    def read_many(places: "Sequence[Remote]") -> "dict[Remote, bytes]":
        """Read files of one storage in parallel, because each request takes time, however small the file. Missing files are left out."""
        if not places:
            return {}
        system = _system(places[0].url)
        paths = {one: system._strip_protocol(one.url) for one in places}

        def read() -> dict[str, bytes]:
            got = system.cat(list(paths.values()), on_error="return")
            found = got if isinstance(got, dict) else {paths[places[0]]: got}
            for value in found.values():
                if isinstance(value, Exception) and not isinstance(value, FileNotFoundError):
                    raise value
            return {path: value for path, value in found.items() if isinstance(value, bytes)}

        found = places[0]._ask(read)
        return {one: found[path] for one, path in paths.items() if path in found}

    def copy_to(self, file: IO[bytes]) -> None:
        """Copy a whole file into an open local one."""

        def copy() -> None:
            with _system(self.url).open(self.url, "rb", cache_type="readahead", block_size=2**24) as source:
                while block := source.read(2**24):
                    file.write(block)

        try:
            self._ask(copy)
        except FileNotFoundError:
            raise MissingFileError("missing") from None
        file.flush()

    def _ask(self, what: Callable[[], Got]) -> Got:
        """Call the storage; only errors that say that a file is missing or damaged pass unchanged.

        Raises:
            TaskonomyError: Any other error, in one line: what fails now may work tomorrow, so it does not count as damage.
        """
        try:
            return what()
        except (FileNotFoundError, TaskonomyError, DamagedFileError):
            raise
        except PermissionError as error:
            raise TaskonomyError(f"{self.url}: no permission to read it ({_line(error)}); credentials are those of the environment") from None
        except Exception as error:  # each storage's library raises exceptions of its own
            raise TaskonomyError(f"{self.url}: cannot be read: {type(error).__name__}: {_line(error)}") from None


@dataclass(frozen=True, order=True)
class Entry:
    """Entry of a folder.

    Attributes:
        name: Its name, without the folder.
        is_folder: Whether it is a folder.
        size: Size in bytes.
        mark: Changes when the file does: its etag, or the time of the last write.
    """

    name: str
    is_folder: bool
    size: int
    mark: str

    def is_dir(self) -> bool:
        """Return whether it is a folder, as `os.DirEntry` does."""
        return self.is_folder


Place = Path | Remote


def place_of(text: str | Place) -> Place:
    """Return a local path or a location in object storage, depending on the form of the text."""
    if isinstance(text, Remote):
        return text
    return Remote(str(text).rstrip("/")) if "://" in str(text) else Path(text)


def entries_of(place: Place) -> Iterator[Any]:
    """Yield the entries of a folder, each with `name` and `is_dir()`, in any order."""
    if isinstance(place, Remote):
        yield from place.entries()
        return
    with os.scandir(place) as entries:
        yield from entries


def must_be_there(root: Remote) -> None:
    """Check that a bucket and a folder exist.

    Raises:
        TaskonomyError: One of them does not.
    """
    bucket = "/".join(root.url.split("/")[:3])
    if not Remote(bucket).exists():
        raise TaskonomyError(f"{root}: no such bucket, {bucket}")
    if not root.is_dir():
        raise TaskonomyError(f"{root}: no such folder in {bucket}")


def _system(url: str) -> Any:
    return _of_protocol(url.partition("://")[0])


@cache
def _of_protocol(protocol: str) -> Any:
    """Open the file system of a protocol. Listings are not cached: they would be a second, large index."""
    if (driver := DRIVERS.get(protocol)) is None:
        raise TaskonomyError(f"{protocol}://: no storage that can be read; those are {', '.join(f'{one}://' for one in DRIVERS)}")
    if importlib.util.find_spec(driver) is None:
        raise TaskonomyError(f"{protocol}://: needs {driver}: pip install 'taskonomy[remote]'")
    return fsspec.filesystem(protocol, use_listings_cache=False)


def _name(found: dict[str, Any]) -> str:
    return str(found["name"]).rstrip("/").rpartition("/")[2]


def _mark(found: dict[str, Any]) -> str:
    return str(found.get("ETag") or found.get("etag") or found.get("LastModified") or found.get("mtime") or "").strip('"')


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "no reason given"
