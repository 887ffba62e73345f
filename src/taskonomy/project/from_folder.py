"""Write the declaration of a folder of images and labels into the parameters of a new project: `taskonomy init --from FOLDER`."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from taskonomy.data.suggest import as_yaml, one_line, suggest
from taskonomy.errors import TaskonomyError

_OWN = re.compile(r"(?<=\n  own:\n)(    .*\n)+")
_ROOT = re.compile(r"(?<=\n  root: ).*")
_TASKS = re.compile(r"(?<=\n  tasks: )\[.*\]")
_TARGETS = re.compile(r"(?<=\n  targets: )\[.*\]")
_FREE = ("autoencoding", "denoising")  # tasks of the dictionary whose labels are the images, for folders with fewer than two tasks


def declared_of(source: Path, root: Path) -> tuple[Callable[[str], str], list[str]]:
    """Look at a folder, and return what changes the text of a new project's parameters, and what people should know.

    Args:
        source: The folder of images and labels.
        root: The folder of the project.

    Raises:
        TaskonomyError: It is no folder of images and labels, or nothing in it can be declared.
    """
    found, notes = suggest(source)
    own = [one for one in found if one.declared is not None]
    if not own:
        reasons = "; ".join(f"{one.name}: {one.said}" for one in found) or "no labels"
        raise TaskonomyError(f"{source}: has nothing that can be declared ({reasons}); see docs/own-data.md")
    names = [one.name for one in own]
    place = os.path.relpath(source.resolve(), root.resolve())
    place = place if not place.startswith("..") else str(source.resolve())

    def declare(text: str) -> str:
        for pattern, new in (
            (_ROOT, _quoted(place)),
            (_OWN, as_yaml(found, notes)),
            (_TASKS, _list([*names, *_FREE[: max(2 - len(names), 1)]])),
            (_TARGETS, _list(names)),
        ):
            if not pattern.search(text):
                raise TaskonomyError("the template of params.yaml lacks a place for the declaration; install taskonomy again")
            text = pattern.sub(lambda _match, new=new: new, text)  # type: ignore[misc]
        return text

    told = []
    for one in found:
        told.append(one_line(f"{one.name}: {one.said}" + ("" if one.declared else ", left alone")))
        told += [one_line(f"  ? {question}") for question in one.questions]
    return declare, [*notes, *told]


def _list(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


def _quoted(path: str) -> str:
    """Write a path as YAML, in quotes where it needs them."""
    if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]", path):
        return path
    return "'" + path.replace("'", "''") + "'"
