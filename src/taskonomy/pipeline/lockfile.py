"""`dvc repro` appends stages to dvc.lock, and outputs to .gitignore, in the order in which it visits them; so do we, in the end."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Entries = dict[str, dict[str, str]]  # file -> entry -> its text, in the order of the file


@dataclass(frozen=True)
class LockFile:
    """In which order the entries of dvc.lock files and .gitignore files would be added.

    Attributes:
        locks: The names of stages, for each dvc.lock.
        ignores: The lines of outputs, for each .gitignore.
    """

    locks: Mapping[str, Sequence[str]]
    ignores: Mapping[str, Sequence[str]]

    def entries(self) -> dict[str, list[str]]:
        """The entries that each file has now, in its order."""
        return {path: list(_split(path)[1]) for path in (*self.locks, *self.ignores)}

    def restore(self, before: Mapping[str, Sequence[str]]) -> None:
        """Put what was added since `before` into the order in which `dvc repro` adds; nobody may write these files meanwhile."""
        for path, wanted in {**self.locks, **self.ignores}.items():
            head, entries, tail = _split(path)
            old = [name for name in entries if name in before.get(path, ())]
            new = entries.keys() - set(old)
            # a name that nobody expects was added by some other command: it goes last
            new_in_order = [*(name for name in dict.fromkeys(wanted) if name in new), *(name for name in entries if name in new - set(wanted))]
            if old + new_in_order != list(entries):
                _replace(Path(path), head + "".join(entries[name] for name in old + new_in_order) + tail)


def write_entry(path: str, name: str, text: str) -> bool:
    """Put a stage into a dvc.lock as DVC would, which reads and writes the whole of it anew: seconds of pure Python for each stage.

    Args:
        path: Of the file; nobody else may write it meanwhile.
        name: Of the stage.
        text: A dvc.lock that DVC would write of this stage alone.

    Returns:
        Whether it could be done; not where the file is not as DVC writes it.
    """
    head, entries, tail = _split(path)
    new = _parts(text, lock=True)[1].get(name)
    if not entries or new is None or tail[:1].isspace():  # a line that a kill or a full disk has cut
        return False
    if entries.get(name) != new:
        _replace(Path(path), head + "".join((entries | {name: new}).values()) + tail)
    return True


class Unfinished:
    """What a run that did not end well leaves behind, so that the run that ends its work gives the bytes of one run.

    Args:
        path: Where that is kept.
        order: The files that are watched.
    """

    def __init__(self, path: Path, order: LockFile) -> None:
        self.path, self.order = path, order
        now = order.entries()
        earlier = self._earlier(now)
        self.before, self.resumed = earlier or now, earlier is not None

    def note(self, running: Iterable[str]) -> None:
        """Stages have ended or started."""
        self.path.write_text(json.dumps({"before": self.before, "after": self.order.entries(), "running": sorted(running)}))

    def tidy(self) -> None:
        """Put the files in order, under DVC's lock."""
        self.order.restore(self.before)

    def close(self, *, finished: bool) -> None:
        """Put the files in order; forget about them if the run did all that it was asked for."""
        self.tidy()
        if finished:
            self.path.unlink(missing_ok=True)
        else:
            self.note(())

    def _earlier(self, now: Mapping[str, Sequence[str]]) -> dict[str, list[str]] | None:
        """What was there before the run that left its work undone, unless something else than that run's stages has been added since."""
        try:
            left = json.loads(self.path.read_text())
            before, after, running = left["before"], left["after"], {name.rpartition(":")[2] for name in left["running"]}
            same = after.keys() == now.keys() and all(
                now[path][: len(after[path])] == after[path] and running.issuperset(now[path][len(after[path]) :]) for path in self.order.locks
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or torn by a kill: the order is a nicety, never an error
            return None
        return before if same else None


def _split(path: str) -> tuple[str, dict[str, str], str]:
    """The text before the entries of a file, each entry's text by its name, and the text after them."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return "", {}, ""
    return _parts(text, lock=path.endswith(".lock"))


def _parts(text: str, *, lock: bool) -> tuple[str, dict[str, str], str]:
    if lock and re.search(r"(: |- )[&*]\w", text):
        return text, {}, ""  # lists that params.yaml shares between keys: one entry may name what another one holds
    if lock:
        stages = re.search(r"^stages:\n((?: .*\n|\n)*)", text, re.MULTILINE)
        start, end = stages.span(1) if stages else (len(text), len(text))
        # DVC writes this file by itself: a stage's name stands alone, two spaces in; whatever belongs to it, further in
        found = [
            (name.strip("'\""), f"  {name}:\n{body}") for name, body in re.findall(r"^  (\S.*):\n((?:    .*\n|\n)*)", text[start:end], re.MULTILINE)
        ]
    else:
        start, end = 0, len(text)
        seen = Counter[str]()
        found = []
        for line in text.splitlines(keepends=True):  # empty ones, for instance, may be there twice
            seen[line] += 1
            found.append((line.rstrip("\n") + f" ({seen[line]})" * (seen[line] > 1), line))
    entries = dict(found)
    if "".join(entries.values()) != text[start:end]:
        return text, {}, ""  # not as DVC writes it: hands off
    return text[:start], entries, text[end:]


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; not by `taskonomy.atomic_io`, which loads what a process that is forked from should not."""
    new = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    new.write_text(text)
    shutil.copymode(path, new)
    os.replace(new, path)
