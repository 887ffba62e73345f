"""Whether anything has been touched since all was known to be unchanged, by what the file system says of every file that DVC would look at.

DVC takes seconds to say that nothing is to do, most of them for reading its own files. As in DVC's own memory of hashes, time, size and inode stand
for contents. The slightest difference, also one that means nothing, is for DVC to judge.
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

from taskonomy.pipeline.progress import clock

STILL, UNFINISHED = "taskonomy-still.json", "taskonomy-unfinished.json"  # in DVC's folder for files that are no part of the project
IGNORED = "__pycache__"  # by .dvcignore, and written by whoever runs Python


@dataclass(frozen=True)
class Still:
    """What was unchanged.

    Attributes:
        root: The workspace: a copy of it has files of its own.
        targets: Of the run.
        stages: How many they are, with all they need.
        paths: Files and folders, all that is in them included.
        objects: Files of DVC's cache that hold their outputs.
        digest: What the file system said of them.
    """

    root: str
    targets: Sequence[str]
    stages: int
    paths: Sequence[str]
    objects: Sequence[str]
    digest: str


def remember(path: Path, targets: Sequence[str], stages: int, limits: Mapping[str, int], objects: Iterable[str]) -> None:
    """Note that all is unchanged, unless a file may have been touched since it was last looked at.

    Args:
        path: Where to note it, of the workspace in which we are.
        targets: Of the run.
        stages: How many they are.
        limits: Of each file or folder, the time (nanoseconds since 1970) by which it was as DVC knows it.
        objects: Files of DVC's cache that hold the outputs.
    """
    path.unlink(missing_ok=True)
    if not limits:
        return
    digest, objects = blake2b(digest_size=16), sorted(objects)
    for name, limit in sorted(limits.items()):
        for text, touched in _said_of(name):
            if touched > limit:
                return
            digest.update(text.encode())
    for name in objects:
        digest.update(_said_of_one(name)[0].encode())
    still = Still(os.getcwd(), targets, stages, sorted(limits), objects, digest.hexdigest())
    new = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    new.write_text(json.dumps(asdict(still)))
    os.replace(new, path)


def untouched(targets: Sequence[str]) -> str | None:
    """What a run would say that finds nothing to do, if nothing was touched since all was known to be unchanged; None: ask DVC.

    To be called in the root of a workspace; anywhere else nothing is known.
    """
    began = time.monotonic()
    scratch = Path(".dvc/tmp")
    try:
        still = Still(**json.loads((scratch / STILL).read_text()))
        if still.root != os.getcwd() or list(still.targets) != list(targets) or (scratch / UNFINISHED).exists() or _busy(scratch):
            return None
        digest = blake2b(digest_size=16)
        for name in still.paths:
            for text, _touched in _said_of(name):
                digest.update(text.encode())
        for name in still.objects:
            digest.update(_said_of_one(name)[0].encode())
    except (OSError, ValueError, TypeError):  # none yet, torn by a kill, or something is in the way: DVC will say what
        return None
    if digest.hexdigest() != still.digest:
        return None
    return f"{still.stages} stages in {clock(time.monotonic() - began)}: 0 ran, 0 from the cache, {still.stages} unchanged"


def _said_of(name: str) -> Iterable[tuple[str, int]]:
    """Of a file, or of a folder and all that is in it: what is said of it, and when it was last touched."""
    yield _said_of_one(name)
    for folder, folders, files in os.walk(name):
        folders[:] = sorted(set(folders) - {IGNORED})
        for one in (*folders, *sorted(files)):
            yield _said_of_one(os.path.join(folder, one))


def _said_of_one(name: str) -> tuple[str, int]:
    try:
        now = os.stat(name)
    except OSError:  # not there, or not for us to see
        return f"{name} none\n", 0
    return f"{name} {now.st_mode} {now.st_ino} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}\n", max(now.st_mtime_ns, now.st_ctime_ns)


def _busy(scratch: Path) -> bool:
    """Another run of ours or a command of DVC's is going on."""
    with open(scratch / "taskonomy.lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError: busy
    with suppress(FileNotFoundError):
        return bool(json.loads((scratch / "rwlock").read_text()).get("write"))
    return False
