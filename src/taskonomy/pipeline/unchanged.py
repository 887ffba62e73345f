"""Check whether any file has been touched since DVC last found everything unchanged, by the file system's metadata of all files it would look at.

DVC takes seconds to find that there is nothing to do, most of them for reading its own files. As in DVC's own cache of hashes, time, size and inode
stand for contents. Any difference, even one without meaning, leaves the decision to DVC.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from taskonomy.machine.terminal import clock

UNCHANGED, UNFINISHED = "taskonomy-unchanged.json", "taskonomy-unfinished.json"  # in DVC's temporary folder of the project
IGNORED = "__pycache__"  # also in .dvcignore: written by every Python process


@dataclass(frozen=True)
class UnchangedWorkspace:
    """A record of a workspace in which all stages were unchanged.

    Attributes:
        root: The workspace, as a copy of it has files of its own.
        targets: Targets of the run.
        stages: Number of stages that the targets need, themselves included.
        paths: Files and folders, with all that is in them.
        objects: Files of DVC's cache that hold the outputs.
        digest: Digest of the file system's metadata of all of them.
    """

    root: str
    targets: Sequence[str]
    stages: int
    paths: Sequence[str]
    objects: Sequence[str]
    digest: str


def remember(path: Path, targets: Sequence[str], stages: int, limits: Mapping[str, int], objects: Iterable[str]) -> None:
    """Record that all stages are unchanged, unless a file may have been touched since it was last checked.

    Args:
        path: File of the record, in the current workspace.
        targets: Targets of the run.
        stages: Number of stages that the targets need.
        limits: File or folder -> the latest time (nanoseconds since 1970) at which it matched DVC's record.
        objects: Files of DVC's cache that hold the outputs.
    """
    path.unlink(missing_ok=True)
    if not limits:
        return
    digest, objects = blake2b(digest_size=16), sorted(objects)
    for name, limit in sorted(limits.items()):
        for text, touched in _metadata_below(name):
            if touched > limit:
                return
            digest.update(text.encode())
    for name in objects:
        digest.update(_metadata(name)[0].encode())
    known = UnchangedWorkspace(os.getcwd(), targets, stages, sorted(limits), objects, digest.hexdigest())
    new = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    new.write_text(json.dumps(asdict(known)))
    os.replace(new, path)


def untouched(targets: Sequence[str]) -> str | None:
    """Return the message of a run that finds nothing to do, if no file was touched since all stages were known to be unchanged; None: ask DVC.

    Must be called in the root of a workspace; anywhere else the answer is None.
    """
    began = time.monotonic()
    scratch = Path(".dvc/tmp")
    try:
        known = UnchangedWorkspace(**json.loads((scratch / UNCHANGED).read_text()))
        if known.root != os.getcwd() or list(known.targets) != list(targets) or (scratch / UNFINISHED).exists() or _busy(scratch):
            return None
        digest = blake2b(digest_size=16)
        for name in known.paths:
            for text, _touched in _metadata_below(name):
                digest.update(text.encode())
        for name in known.objects:
            digest.update(_metadata(name)[0].encode())
    except (OSError, ValueError, TypeError):  # missing, truncated by a kill, or not readable: DVC reports the reason
        return None
    if digest.hexdigest() != known.digest:
        return None
    return f"{known.stages} stages in {clock(time.monotonic() - began)}: 0 ran, 0 from the cache, {known.stages} unchanged"


def _metadata_below(name: str) -> Iterable[tuple[str, int]]:
    """Yield the metadata of a file, or of a folder and all that is in it, each with the time of its last change."""
    yield _metadata(name)
    for folder, folders, files in os.walk(name):
        folders[:] = sorted(set(folders) - {IGNORED})
        for one in (*folders, *sorted(files)):
            yield _metadata(os.path.join(folder, one))


def _metadata(name: str) -> tuple[str, int]:
    try:
        now = os.stat(name)
    except OSError:  # missing or not readable
        return f"{name} none\n", 0
    return f"{name} {now.st_mode} {now.st_ino} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}\n", max(now.st_mtime_ns, now.st_ctime_ns)


def _busy(scratch: Path) -> bool:
    """Return whether another run or a DVC command is active in the workspace."""
    with open(scratch / "taskonomy.lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises OSError where the lock is held
    with suppress(FileNotFoundError):
        return bool(json.loads((scratch / "rwlock").read_text()).get("write"))
    return False
