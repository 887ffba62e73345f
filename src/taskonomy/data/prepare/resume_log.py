"""What of a long preparation is done, so that the next process need not do it again."""

import json
import os
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

from taskonomy.stage.snapshot import refuse_changed


class ResumeLog:
    """Parts of some work that are done, and what they gave; a line each, on the disk as soon as it is noted.

    A part counts only under the mark that it was noted with: a later line about it takes the place of an earlier one. Each line carries a digest of
    itself. A torn last line is what a kill leaves; any other damage means that nothing is known to be done, and standard error says so.
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
        """What a part gave; None where it is not done, or was under another mark."""
        known, gave = self._done.get(part, ("", None))
        return gave if known == mark else None

    def note(self, part: str, mark: str, gave: Any) -> None:
        """A part is done. None: it is not any more.

        Raises:
            TaskonomyError: What the stage depends on has changed: another run must not take this part for done.
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
