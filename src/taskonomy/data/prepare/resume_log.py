"""Log of the finished parts of a long preparation, so that the next process need not repeat them."""

import json
import os
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

from taskonomy.stage.snapshot import refuse_changed


class ResumeLog:
    """Log of finished parts and their results: one line each, flushed to the disk as it is added.

    A part counts as finished only under the mark that it was added with; a later line about a part replaces an earlier one. Each line carries its
    own digest. A torn last line is what a killed process leaves, and is dropped; any other damage discards the whole log, with a message on
    standard error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: dict[str, tuple[str, Any]] = {}
        data = path.read_bytes() if path.exists() else b""
        *lines, torn = data.split(b"\n")
        if torn:
            os.truncate(path, len(data) - len(torn))
        for line in lines:
            seal, _space, text = line.partition(b" ")
            if seal != _seal(text):
                print(f"{path}: damaged, so it is removed and its work begins anew", file=sys.stderr)
                self._done.clear()
                path.unlink()
                return
            part, mark, gave = json.loads(text)
            self._done[part] = mark, gave

    def gave(self, part: str, mark: str) -> Any:
        """Return the result of a part; None if it is not finished, or was finished under another mark."""
        known, gave = self._done.get(part, ("", None))
        return gave if known == mark else None

    def note(self, part: str, mark: str, gave: Any) -> None:
        """Add a finished part. A result of None marks it as unfinished again.

        Raises:
            TaskonomyError: A dependency of the stage has changed, so another run must not take this part for finished.
        """
        refuse_changed()
        self._done[part] = mark, gave
        text = json.dumps([part, mark, gave]).encode()
        with open(self.path, "ab") as file:
            file.write(_seal(text) + b" " + text + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _seal(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).hexdigest().encode()
