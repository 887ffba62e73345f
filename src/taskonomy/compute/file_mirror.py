"""The files that a worker reads: those of the driver themselves where it sees them, else copies, sent to its machine once.

A copy is kept under a digest of the file's path, size and time, and is linked into a folder tree that looks like the driver's file system.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from taskonomy.errors import TaskonomyError

CHUNK = 32 << 20  # bytes sent at once


@dataclass(frozen=True)
class FileState:
    """A file as the driver sees it."""

    path: Path
    size: int
    changed: int  # time of the last modification, nanoseconds

    @property
    def name(self) -> str:
        """Return the name of the file's copies, another one for each state of the file."""
        return blake2b(repr((str(self.path), self.size, self.changed)).encode(), digest_size=16).hexdigest()

    def is_here(self) -> bool:
        """Return whether the same file is at the same path on this machine."""
        try:
            return seen(self.path) == self
        except OSError:
            return False


def seen(path: Path) -> FileState:
    """Read a file's present state."""
    status = path.stat()
    return FileState(path, status.st_size, status.st_mtime_ns)


def all_seen(paths: Iterable[Path]) -> tuple[FileState, ...]:
    """Read the states of files, and of all files of folders, with absolute paths.

    Raises:
        TaskonomyError: A file does not exist.
    """
    found: list[FileState] = []
    for path in map(Path.absolute, paths):
        inside = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        try:
            found += map(seen, inside)
        except OSError as error:
            raise TaskonomyError(f"{path}: {error.strerror or error}") from None
    return tuple(found)


class Mirror:
    """The copies on one machine, and the folder tree of those that one driver has asked for.

    Args:
        node: Name of the machine; copies that another one has left here, as after a crash, are removed.
        driver: Name of the tree.
        base: Folder of all copies; None: in the folder of temporary files.
    """

    def __init__(self, node: str, driver: str, base: Path | None = None) -> None:
        self._base = base or Path(tempfile.gettempdir()) / f"taskonomy-{os.getuid()}"
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._base.stat().st_uid != os.getuid():
            raise TaskonomyError(f"{self._base}: belongs to somebody else; set TMPDIR to a folder of your own")
        self._node, self._held = self._base / node, [_shared(self._base / node), _shared(self._base / node / "trees" / driver)]
        self.root = self._node / "trees" / driver
        (self._node / "files").mkdir(exist_ok=True)
        self._tidy()

    def where(self, path: Path) -> Path:
        """Return the path at which a file of the driver is found on this machine."""
        return self.root / path.absolute().relative_to("/")

    def bring(self, file: FileState, chunks: Callable[[Path, int], Iterator[bytes]]) -> None:
        """Copy a file to this machine if it is not there yet: the first worker that needs it fetches it, all others wait.

        Args:
            file: State of the file.
            chunks: Fetches a file of this size from the driver.
        """
        copy, link = self._node / "files" / file.name, self.where(file.path)
        if link.exists():
            return
        with _alone(copy):
            if not copy.exists():
                part = copy.with_suffix(".part")
                with open(part, "wb") as out:
                    for chunk in chunks(file.path, file.size):
                        out.write(chunk)
                if part.stat().st_size != file.size:
                    raise TaskonomyError(f"{file.path}: changed while it was copied")
                os.replace(part, copy)
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another worker of this machine has linked it
            os.link(copy, link)

    def _tidy(self) -> None:
        """Remove the trees of drivers that have ended, and what machines of clusters that have ended left here."""
        for folder in [*self._base.iterdir(), *(self._node / "trees").iterdir()]:
            if folder.suffix == ".held" and not folder.is_dir():
                continue
            with _if_unused(folder) as unused:
                if unused:
                    shutil.rmtree(folder, ignore_errors=True)


def _shared(folder: Path) -> int:
    """Hold a shared lock of a folder until this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(_lock(folder), os.O_CREAT | os.O_RDONLY, 0o600)
    fcntl.flock(file, fcntl.LOCK_SH)
    folder.mkdir(parents=True, exist_ok=True)  # another process may have tidied it away in between
    return file


@contextmanager
def _if_unused(folder: Path) -> Iterator[bool]:
    file = os.open(_lock(folder), os.O_CREAT | os.O_RDONLY, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    file = os.open(_lock(path), os.O_CREAT | os.O_RDONLY, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")
