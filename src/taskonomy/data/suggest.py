"""Look at a folder of images and labels, and say what `data.own` could declare of it: `taskonomy init --from FOLDER`.

What the files themselves say is declared. What they do not say is a question, as a comment beside the declaration: nothing is guessed silently.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from taskonomy.data.coco import is_coco
from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_files import bytes_of
from taskonomy.data.custom_labels import LabelFiles
from taskonomy.data.custom_samples import Listed
from taskonomy.data.custom_table import is_empty
from taskonomy.labels.encodings import NO_CLASS
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import LOSSY, has_palette_of_colours, label_from
from taskonomy.tasks.custom_tasks import AnyCustomTask, custom_name

_ANY: TypeAdapter[Any] = TypeAdapter(AnyCustomTask)
_WORD = re.compile(r"(?!(?:true|false|null|yes|no|on|off|nan|y|n)$)[A-Za-z][A-Za-z0-9_]*", re.IGNORECASE)  # text that needs no quotes in YAML
_FEW = 32  # numbers of this count or fewer may be classes
_MANY = 0.5  # share of rows: text with more different cells than this is no class
_ZEROS = 0.01  # share of a deep map's pixels: more zeros than this may be holes


@dataclass
class Suggestion:
    """One task.

    Attributes:
        name: Its name.
        declared: Its declaration; None: what it is cannot be told.
        said: What it was taken for, and why.
        questions: What the files do not say.
    """

    name: str
    declared: dict[str, Any] | None
    said: str
    questions: list[str] = field(default_factory=list)


def suggest(root: Path) -> tuple[list[Suggestion], list[str]]:
    """Return a suggestion for each task that a folder may have, and what else people should know. Every label is decoded.

    Raises:
        TaskonomyError: The folder has no images, or labels that belong to none.
    """
    source = CustomSource(root)
    coco = list(_of_coco(root))
    of_coco = {one.name for one in coco}  # the folder of a file's name holds its PNGs
    files = [one for one in _of_files(source) if one.name not in of_coco]
    found = [*files, *_of_table(source), *_of_lists(source), *_of_folders(source), *coco]
    notes = []
    if not source.groups:
        notes.append("each image is a group of its own; if images show one place, patient or film, add a column group to labels.csv")
    if source.splits_of_folders:
        notes.append("splits are those of the folders images/train, images/val and images/test")
    for one in found:
        try:
            custom_name(one.name)
            if one.declared is not None:
                _ANY.validate_python(one.declared)
        except ValidationError as error:
            one.declared, one.questions = None, [*one.questions, f"cannot be declared: {error.errors()[0]['msg']}"]
        except ValueError as error:
            one.declared, one.questions = None, [*one.questions, f"{error}; rename its folder or column"]
    return found, notes


def _of_files(source: CustomSource) -> Iterator[Suggestion]:
    for task in source.tasks:
        holder = source.holder(task)
        if isinstance(holder, LabelFiles):
            yield _of_arrays(task, holder)


def _of_arrays(task: str, holder: LabelFiles) -> Suggestion:
    """Say what a folder of label files holds, by the values of all of them."""
    looks = _Looks()
    for path in holder.files.values():
        try:
            looks.add(data := bytes_of(path), path.suffix.lower(), label_from(data, path.suffix.lower()))
        except DamagedFileError:
            looks.damaged += 1
    questions = [f"{looks.damaged:,} files are damaged: `taskonomy data inspect` names them"] if looks.damaged else []
    if len(looks.shapes) != 1:
        return Suggestion(task, None, "files", [*questions, f"its files have different forms: {few(sorted(map(str, looks.shapes)))}"])
    kind, channels = looks.shapes.pop()
    files = {"files": holder.pattern} if holder.pattern else {}
    if kind == "vector":
        return Suggestion(task, {"kind": "vector", "length": channels}, f"arrays of {channels} numbers", questions)
    if looks.may_be_ids and channels == 1:
        return _of_ids(task, looks, files, questions)
    low, high = (0, 255) if looks.bytes else (looks.low, looks.high)
    declared = {"kind": "map", "channels": channels, "range": [low, high], **files}
    if not looks.bytes:
        questions.append(f"range holds the values of these files, {low:g} to {high:g}; widen it if others may lie beyond")
    if looks.holes:
        declared["missing"] = "nan"
        questions.append("some values are no finite numbers: missing: nan leaves those pixels out")
    elif not looks.bytes and looks.zeros > _ZEROS * looks.pixels:
        questions.append(f"{looks.zeros / looks.pixels:.0%} of the pixels are 0; if that means that nothing was measured, add missing: 0")
    return Suggestion(task, declared, f"images of {channels} channel{'s' if channels > 1 else ''}", questions)


def _of_ids(task: str, looks: "_Looks", files: dict[str, Any], questions: list[str]) -> Suggestion:
    ids = sorted(looks.values - {NO_CLASS})
    if looks.values == {0, NO_CLASS} and not looks.palette:
        questions.append("only 0 and 255 occur: two classes, as values says; without values, 255 would mean no class")
        return Suggestion(task, {"kind": "pixel_classes", "classes": 2, "values": [0, 255], **files}, "masks of black and white", questions)
    if ids and max(ids) < NO_CLASS:
        count = max(int(max(ids)) + 1, 2)
        questions.append(f"what are the classes {', '.join(str(int(one)) for one in ids[:12])}? write their names instead of their number")
        if not looks.palette:
            questions.append("if these are measured values and no classes: {kind: map, channels: 1}")
        return Suggestion(task, {"kind": "pixel_classes", "classes": count, **files}, "ids" + (" of a palette" if looks.palette else ""), questions)
    return Suggestion(task, None, "ids", [*questions, f"its numbers go up to {max(ids, default=0):g}; classes are at most {NO_CLASS}"])


class _Looks:
    """What is common to label files."""

    def __init__(self) -> None:
        self.shapes: set[tuple[str, int]] = set()
        self.values: set[float] = set()
        self.low, self.high = np.inf, -np.inf
        self.bytes, self.palette, self.may_be_ids = True, True, True
        self.damaged = self.holes = self.zeros = self.pixels = 0

    def add(self, data: bytes, extension: str, values: Any) -> None:
        """Take a file into account."""
        values = values[..., 0] if values.ndim == 3 and (values == values[..., :1]).all() else values
        self.shapes.add(("vector", values.size) if values.ndim < 2 else ("map", values.shape[2] if values.ndim == 3 else 1))
        self.palette &= extension != ".npy" and has_palette_of_colours(data)
        self.bytes &= values.dtype == np.uint8
        finite = values[np.isfinite(values)]
        self.holes += values.size - finite.size
        if finite.size:
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        self.zeros += int((values == 0).sum())
        self.pixels += values.size
        if self.may_be_ids:
            self.values |= set(np.unique(finite).tolist())
            whole = all(one == int(one) and one >= 0 for one in self.values)
            self.may_be_ids = whole and extension not in LOSSY and (self.palette or len(self.values) <= _FEW)


def _of_table(source: CustomSource) -> Iterator[Suggestion]:
    table = source.table
    for task, columns in table.tasks.items():
        cells = [cell for column in columns for cell in table.cells[column].values() if not is_empty(cell)]
        if not cells:
            yield Suggestion(task, None, "an empty column", ["no label of it is known"])
        elif len(columns) > 1 or columns != [task]:
            yield Suggestion(task, {"kind": "vector", "length": len(columns)}, f"{len(columns)} columns of numbers")
        elif table.holds_text(task):
            yield _of_texts(task, cells)
        else:
            yield _of_numbers(task, [table.number(cell) for cell in cells])


def _of_texts(task: str, cells: list[str]) -> Suggestion:
    if any("|" in cell for cell in cells):
        names = sorted({one.strip() for cell in cells for one in cell.split("|") if one.strip()})
        return Suggestion(task, {"kind": "labels", "classes": names}, "names with | between them", ["the order of the classes is free"])
    names = sorted(set(cells))
    if len(names) > max(_MANY * len(cells), 2) or len(names) > NO_CLASS:
        return Suggestion(task, None, f"text, {len(names):,} different in {len(cells):,} rows", ["names, notes or dates: left alone; is it a label?"])
    if len(names) < 2:
        return Suggestion(task, None, f"text that is always {names[0]!r}", ["a label that never varies teaches nothing"])
    return Suggestion(task, {"kind": "class", "classes": names}, f"{len(names)} different names", ["the order of the classes is free"])


def _of_numbers(task: str, numbers: list[float]) -> Suggestion:
    values = set(numbers)
    if values == set(range(len(values))) and 2 <= len(values) <= _FEW:
        question = "class or number? as a number: {kind: vector, length: 1}"
        return Suggestion(task, {"kind": "class", "classes": len(values)}, f"whole numbers from 0 to {len(values) - 1}", [question])
    questions = ["a number for each image, or ids? ids must count from 0"] if all(one == int(one) for one in values) and len(values) <= _FEW else []
    return Suggestion(task, {"kind": "vector", "length": 1}, f"numbers from {min(values):g} to {max(values):g}", questions)


def _of_lists(source: CustomSource) -> Iterator[Suggestion]:
    for task, listed in source.listed.items():
        images, length = len(listed.images[0]), listed.values.shape[1]
        said, questions = f"{len(listed.images):,} samples of {images} images", []
        declared: dict[str, Any] = {"kind": "vector", "length": length, "images": images}
        if length == 1 and (count := _counted(listed)):
            declared = {"kind": "class", "classes": count, "images": images}
            questions.append(f"class or number? as a number: {{kind: vector, length: 1, images: {images}}}")
        yield Suggestion(task, declared, said, questions)


def _counted(listed: Listed) -> int:
    """Return how many classes a list may have; 0 if its values do not count from 0."""
    values = set(listed.values.ravel().tolist())
    return len(values) if values == set(range(len(values))) and 2 <= len(values) <= _FEW else 0


def _of_folders(source: CustomSource) -> Iterator[Suggestion]:
    inside = {name: Path(name).parent.name for name in source.names if "/" in name}
    classes = sorted(set(inside.values()))
    if len(inside) < len(source.names) or len(classes) < 2 or (source.splits_of_folders and set(classes) <= {"train", "val", "test"}):
        return
    if len(classes) > max(_MANY * len(inside), 2) or len(classes) > NO_CLASS:
        yield Suggestion(
            "folder", None, f"{len(classes):,} folders of images", ["are they places, patients or films? then make them the column group"]
        )
        return
    questions = ["the folders of the images are taken for their class; if they are places or films, make them the column group instead"]
    yield Suggestion("folder", {"kind": "class", "classes": classes, "folders": True}, f"{len(classes)} folders of images", questions)


def _of_coco(root: Path) -> Iterator[Suggestion]:
    for path in sorted(root.rglob("*.json")):
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError):
            continue
        if not is_coco(content):
            continue
        names = [str(one.get("name")) for one in content["categories"]]
        below, name = path.relative_to(root).as_posix(), path.stem.lower().replace("-", "_")
        pixels = any("segments_info" in one or one.get("segmentation") for one in content["annotations"])
        kind = "pixel_classes" if pixels else "labels"
        classes = [*names, "background"] if pixels and "background" not in names else names
        questions = ["pixels without an annotation are the class background; take it out, and they have none"] if pixels else []
        if not 2 <= len(classes) <= NO_CLASS:
            yield Suggestion(name, None, "a COCO file", [f"it has {len(names)} categories; classes are 2 to {NO_CLASS}"])
            continue
        yield Suggestion(name, {"kind": kind, "classes": classes, "files": below}, "a COCO file", questions)


def _plain(value: Any) -> str:
    """Write a value as YAML in one line."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key}: {_plain(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_plain, value)) + "]"
        case float():
            return f"{value:.10g}"
        case str():
            return value if _WORD.fullmatch(value) else json.dumps(value)
    return str(value)


def as_yaml(found: list[Suggestion], notes: list[str], indent: str = "    ") -> str:
    """Write the tasks as the entries of `data.own`, each after what it was taken for; those that cannot be declared, as comments."""
    lines = [f"{indent}# {note}" for note in notes]
    for one in found:
        lines += [f"{indent}# {one_line(text)}" for text in (f"{one.name}: {one.said}", *(f"? {question}" for question in one.questions))]
        if one.declared is not None:
            lines.append(f"{indent}{one.name}: {_plain(one.declared)}")
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """Replace what would end a line: names of folders and columns may hold anything."""
    return "".join(character if character.isprintable() else "?" for character in text)
