"""Cores as tokens that processes share: a process that computes on a core holds its token, as the jobs of make do.

A token is the lock of a file, so the kernel gives it back when its holder dies, however that happens. A stage is started with a token of its own; it
borrows further ones where some are free, each for one more process and one item of work, so that a stage about to start waits for one item at most.
"""

import fcntl
import os
from pathlib import Path

TOKENS = "TASKONOMY_TOKENS"  # environment variable: the folder of the tokens; it is set in the stages of `taskonomy repro`


class Jobserver:
    """The tokens in a folder.

    Args:
        folder: Processes that share tokens name the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._claim, self._paths = folder / "claim", sorted(folder.glob("*.token"))

    @classmethod
    def make(cls, folder: Path, count: int) -> "Jobserver":
        """Create `count` free tokens in a folder, which only one run may use at a time."""
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.token"):
            left.unlink()  # a process of a killed run may still hold its lock
        for number in range(count):
            (folder / f"{number}.token").touch()
        (folder / "claim").touch()
        return cls(folder)

    def take(self) -> int | None:
        """Take a token for a stage; None where none is free. `give_back` frees it, or the end of this process and of those forked off it."""
        return next((token for path in self._paths if (token := _locked(path)) is not None), None)

    def borrow(self) -> int | None:
        """Take a token for one more process; None where none is free, or where a stage waits for one."""
        if (gate := _locked(self._claim, fcntl.LOCK_SH)) is None:
            return None
        try:
            return self.take()
        finally:
            give_back(gate)

    def claim(self) -> int | None:
        """Stop all borrowing until this is given back, for a stage that waits for a token; None: not possible now, try again."""
        return _locked(self._claim)


def give_back(token: int) -> None:
    """Free a token, even if a process that was forked in between shares the file."""
    fcntl.flock(token, fcntl.LOCK_UN)
    os.close(token)


def _locked(path: Path, how: int = fcntl.LOCK_EX) -> int | None:
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
