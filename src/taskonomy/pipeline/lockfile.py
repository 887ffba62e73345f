"""Keep dvc.lock and .gitignore in the order in which `dvc repro` would write them: stages and outputs are appended as it visits them."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = "taskonomy-unfinished.json"  # in DVC's temporary folder of the project

Entries = dict[str, dict[str, str]]  # file -> entry -> its text, in the order of the file


@dataclass(frozen=True)
class LockFile:
    """The order in which `dvc repro` would add the entries of dvc.lock files and .gitignore files.

    Attributes:
        locks: Names of stages, by dvc.lock file.
        ignores: Lines of outputs, by .gitignore file.
    """

    locks: Mapping[str, Sequence[str]]
    ignores: Mapping[str, Sequence[str]]

    def entries(self) -> dict[str, list[str]]:
        """Return the entries that each file has now, in its order."""
        return {path: list(_split(path)[1]) for path in (*self.locks, *self.ignores)}

    def restore(self, before: Mapping[str, Sequence[str]]) -> None:
        """Sort the entries added since `before` into the order of `dvc repro`; nothing else may write these files meanwhile."""
        for path, wanted in {**self.locks, **self.ignores}.items():
            head, entries, tail = _split(path)
            old = [name for name in entries if name in before.get(path, ())]
            new = entries.keys() - set(old)
            # an entry that is not in the plan was added by another command: it goes last
            new_in_order = [*(name for name in dict.fromkeys(wanted) if name in new), *(name for name in entries if name in new - set(wanted))]
            if old + new_in_order != list(entries):
                _replace(Path(path), head + "".join(entries[name] for name in old + new_in_order) + tail)


def write_entry(path: str, name: str, text: str) -> bool:
    """Write a stage's entry into a dvc.lock without parsing the whole file, which takes DVC seconds of pure Python for each stage.

    Args:
        path: The file; nothing else may write it meanwhile.
        name: Name of the stage.
        text: The dvc.lock that DVC would write for this stage alone.

    Returns:
        Whether the entry was written; False where the file is not laid out as DVC writes it.
    """
    head, entries, tail = _split(path)
    new = _parts(text, lock=True)[1].get(name)
    if not entries or new is None or tail[:1].isspace():  # the last line was cut off by a kill or a full disk
        return False
    if entries.get(name) != new:
        _replace(Path(path), head + "".join((entries | {name: new}).values()) + tail)
    return True


class Unfinished:
    """A record of an interrupted run, so that the run that finishes its work writes the same bytes as a single run.

    Args:
        path: File of the record.
        order: The files whose order is kept.
    """

    def __init__(self, path: Path, order: LockFile) -> None:
        self.path, self.order = path, order
        now = order.entries()
        earlier = self._earlier(now)
        self.before, self.resumed = earlier or now, earlier is not None

    def note(self, running: Iterable[str]) -> None:
        """Record which stages are running, after some have ended or started."""
        self.path.write_text(json.dumps({"before": self.before, "after": self.order.entries(), "running": sorted(running)}))

    def tidy(self) -> None:
        """Restore the order of the files, under DVC's lock."""
        self.order.restore(self.before)

    def close(self, *, finished: bool) -> None:
        """Restore the order of the files; delete the record if the run completed."""
        self.tidy()
        if finished:
            self.path.unlink(missing_ok=True)
        else:
            self.note(())

    def _earlier(self, now: Mapping[str, Sequence[str]]) -> dict[str, list[str]] | None:
        """Return the entries from before the interrupted run; None if anything but that run's stages has been added since."""
        try:
            left = json.loads(self.path.read_text())
            before, after, running = left["before"], left["after"], {name.rpartition(":")[2] for name in left["running"]}
            same = after.keys() == now.keys() and all(
                now[path][: len(after[path])] == after[path] and running.issuperset(now[path][len(after[path]) :]) for path in self.order.locks
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing or truncated: the order is a nicety, never an error
            return None
        return before if same else None


def _split(path: str) -> tuple[str, dict[str, str], str]:
    """Split a file into the text before its entries, the text of each entry by name, and the text after them."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return "", {}, ""
    return _parts(text, lock=path.endswith(".lock"))


def _parts(text: str, *, lock: bool) -> tuple[str, dict[str, str], str]:
    if lock and re.search(r"(: |- )[&*]\w", text):
        return text, {}, ""  # YAML anchors that share a list between keys: one entry may define what another one refers to
    if lock:
        stages = re.search(r"^stages:\n((?: .*\n|\n)*)", text, re.MULTILINE)
        start, end = stages.span(1) if stages else (len(text), len(text))
        # DVC writes this file itself: a stage's name stands alone, indented by two spaces, and its content further in
        found = [
            (name.strip("'\""), f"  {name}:\n{body}") for name, body in re.findall(r"^  (\S.*):\n((?:    .*\n|\n)*)", text[start:end], re.MULTILINE)
        ]
    else:
        start, end = 0, len(text)
        seen = Counter[str]()
        found = []
        for line in text.splitlines(keepends=True):  # lines may repeat, for instance empty ones
            seen[line] += 1
            found.append((line.rstrip("\n") + f" ({seen[line]})" * (seen[line] > 1), line))
    entries = dict(found)
    if "".join(entries.values()) != text[start:end]:
        return text, {}, ""  # not laid out as DVC writes it: leave it alone
    return text[:start], entries, text[end:]


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically; not with `taskonomy.atomic_io`, whose imports must stay out of a process that stages are forked from."""
    new = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    new.write_text(text)
    shutil.copymode(path, new)
    os.replace(new, path)
