"""Folders in object storage (`s3://bucket/prefix`, `gs://...`), with as much of a path's interface as reading a release needs."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec

from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DamagedFileError

DRIVERS = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
Got = TypeVar("Got")


@dataclass(frozen=True, order=True)
class Remote:
    """A place in object storage. Credentials are those of the environment, as for the storage's own tools.

    Attributes:
        url: Without a slash at its end.
    """

    url: str

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """From the name's last dot on."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    def resolve(self) -> "Remote":
        """Itself: there are no links."""
        return self

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    def exists(self) -> bool:
        """Whether something lies there, or below."""
        return bool(self._ask(lambda: _system(self.url).exists(self.url)))

    def is_dir(self) -> bool:
        """Whether something lies below."""
        return bool(self._ask(lambda: _system(self.url).isdir(self.url)))

    def entries(self) -> "list[Entry]":
        """What lies right below, by name; what is gone has nothing below."""
        try:
            found = self._ask(lambda: _system(self.url).ls(self.url, detail=True))
        except FileNotFoundError:
            return []
        entries = [
            Entry(one["name"].rstrip("/").rpartition("/")[2], one["type"] == "directory", int(one.get("size") or 0), _mark(one)) for one in found
        ]
        return sorted(one for one in entries if one.name and one.name != self.name)

    def facts(self) -> tuple[int, str]:
        """Bytes of a file, and its mark.

        Raises:
            TaskonomyError: It is not there.
        """
        try:
            found = self._ask(lambda: _system(self.url).info(self.url))
        except FileNotFoundError:
            raise TaskonomyError(f"{self.url}: is not there any more") from None
        return int(found.get("size") or 0), _mark(found)

    def read_bytes(self) -> bytes:
        """All of a file.

        Raises:
            DamagedFileError: It is not there.
        """
        found = self.read_many([self])
        if self not in found:
            raise DamagedFileError("missing")
        return found[self]

    @staticmethod
    def read_many(places: "Sequence[Remote]") -> "dict[Remote, bytes]":
        """Files of one storage at once: a request takes its time, however little it brings. What is not there is left out."""
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
        """All of a file, into one that is open here."""

        def copy() -> None:
            with _system(self.url).open(self.url, "rb", cache_type="readahead", block_size=2**24) as source:
                while block := source.read(2**24):
                    file.write(block)

        try:
            self._ask(copy)
        except FileNotFoundError:
            raise DamagedFileError("missing") from None
        file.flush()

    def _ask(self, what: Callable[[], Got]) -> Got:
        """An answer of the storage; that something is not there is one, too.

        Raises:
            TaskonomyError: Anything else, as one line: what fails now may be well tomorrow, so it is no damage.
        """
        try:
            return what()
        except (FileNotFoundError, TaskonomyError, DamagedFileError):
            raise
        except PermissionError as error:
            raise TaskonomyError(f"{self.url}: no permission to read it ({_line(error)}); credentials are those of the environment") from None
        except Exception as error:  # each storage's library has exceptions of its own
            raise TaskonomyError(f"{self.url}: cannot be read: {type(error).__name__}: {_line(error)}") from None


@dataclass(frozen=True, order=True)
class Entry:
    """What lies in a folder.

    Attributes:
        name: Its own.
        is_folder: Whether more lies below.
        size: Bytes.
        mark: Changes when the file does: its etag, or when it was last written.
    """

    name: str
    is_folder: bool
    size: int
    mark: str

    def is_dir(self) -> bool:
        """As `os.DirEntry`."""
        return self.is_folder


Place = Path | Remote


def place_of(text: str | Place) -> Place:
    """A path of this machine, or a place in object storage, by its form."""
    if isinstance(text, Remote):
        return text
    return Remote(str(text).rstrip("/")) if "://" in str(text) else Path(text)


def entries_of(place: Place) -> Iterator[Any]:
    """What lies in a folder, with `name` and `is_dir()`, in any order."""
    if isinstance(place, Remote):
        yield from place.entries()
        return
    with os.scandir(place) as entries:
        yield from entries


def must_be_there(root: Remote) -> None:
    """A bucket and a folder that exist.

    Raises:
        TaskonomyError: They do not.
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
    """Listings are not remembered: they would be a second index, and a large one."""
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
