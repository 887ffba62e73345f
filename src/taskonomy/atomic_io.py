"""Write outputs atomically; a stage's outputs only while everything it depends on is as it was when it began."""

import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import psutil  # type: ignore[import-untyped]

from taskonomy.errors import TaskonomyError
from taskonomy.stage.snapshot import refuse_changed


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    _remove_leftovers(Path(path))
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to a new file beside `path`, then rename it: a reader or a kill sees the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        refuse_changed(path)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Provide a new folder to fill; it replaces `path` on success, and is removed otherwise."""
    path = Path(path)
    _remove_leftovers(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        refuse_changed(path)
        if path.exists():
            shutil.rmtree(path)
        os.replace(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def resumable_folder(path: Path, key: str) -> Iterator[Path]:
    """Provide a folder that replaces `path` on success, and survives a kill or failure for the next process with the same key to continue.

    Args:
        path: Final place of the folder.
        key: Key of everything that determines its content; an unfinished folder with another key is removed.

    Raises:
        TaskonomyError: Another process is filling it.
    """
    path = Path(path)
    unfinished = unfinished_of(path)
    unfinished.mkdir(parents=True, exist_ok=True)
    place = os.open(unfinished, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TaskonomyError(f"{unfinished}: another process is writing it") from None
        name = unfinished / "key"
        if not name.is_file() or name.read_text() != key:
            for left in unfinished.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            write_text(name, key)
        yield unfinished
        refuse_changed(path)
        name.unlink()
        if path.exists():
            shutil.rmtree(path)
        os.replace(unfinished, path)
    finally:
        os.close(place)


def unfinished_of(path: Path) -> Path:
    """Return the path at which `resumable_folder` fills a folder."""
    return path.with_name(f".{path.name}.unfinished")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that every parser reads: NaN becomes null, keys keep their order."""
    write_text(path, to_json(value))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; floats keep every digit, so reading it back gives the same bits."""
    text = StringIO()
    frame.to_csv(text, index=False, lineterminator="\n")
    write_text(path, text.getvalue())


def to_json(value: Any) -> str:
    """Format JSON as `write_json` writes it."""
    return json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n"


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left of `path`; no others can be writing, as one process at a time writes an output."""
    if not path.parent.is_dir():
        return
    for left in path.parent.glob("*.unfinished"):
        if (of := re.fullmatch(r"\.(.+)\.(\d+)\.unfinished", left.name)) and of[1] == path.name and not _runs(int(of[2])):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _without_nan(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
