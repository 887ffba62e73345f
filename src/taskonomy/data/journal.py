"""What of a long preparation is done, so that the next process need not do it again."""

import json
import os
from pathlib import Path
from typing import Any

from taskonomy.unchanged import refuse_changed


class Journal:
    """Parts of some work that are done, and what they gave; a line each, on the disk as soon as it is noted.

    A part counts only under the mark that it was noted with: a later line about it takes the place of an earlier one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: dict[str, tuple[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                part, mark, gave = json.loads(line)
            except ValueError:  # torn by a kill
                continue
            self._done[part] = mark, gave
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            self._write("\n")

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
        self._write(json.dumps([part, mark, gave]) + "\n")

    def _write(self, text: str) -> None:
        with open(self.path, "a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
