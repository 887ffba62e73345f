"""Cores as tokens that processes share: whoever computes on a core holds its token, as the jobs of make do.

A token is a file's lock, so the kernel gives it back when its holder dies, however that happens. A stage is started with a token of its own; it takes
more where some are free, one for each further process and for one item of work at a time, so a stage that is to start waits for an item at most.
"""

import fcntl
import os
from pathlib import Path

TOKENS = "TASKONOMY_TOKENS"  # environment variable: the folder of the tokens; it is set in the stages of `taskonomy repro`


class Jobserver:
    """Jobserver in a folder.

    Args:
        folder: Whoever shares them names the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._claim, self._paths = folder / "claim", sorted(folder.glob("*.token"))

    @classmethod
    def make(cls, folder: Path, count: int) -> "Jobserver":
        """This many, all free: for one run at a time in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.token"):
            left.unlink()  # a process of a killed run may still hold its lock
        for number in range(count):
            (folder / f"{number}.token").touch()
        (folder / "claim").touch()
        return cls(folder)

    def take(self) -> int | None:
        """A token, for a stage; None where none is free. It is given back by `give_back`, or by the end of this process and those forked off it."""
        return next((token for path in self._paths if (token := _locked(path)) is not None), None)

    def borrow(self) -> int | None:
        """A token for one more process: none where none is free, or where a stage waits for one."""
        if (gate := _locked(self._claim, fcntl.LOCK_SH)) is None:
            return None
        try:
            return self.take()
        finally:
            give_back(gate)

    def claim(self) -> int | None:
        """From now on none is borrowed, until this is given back; None: not now, ask again."""
        return _locked(self._claim)


def give_back(token: int) -> None:
    """For good, even if a process that was forked in between shares the file."""
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
