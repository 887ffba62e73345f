"""Write the images and labels of Parquet files, as Hugging Face's data sets have them, as a folder: `taskonomy data unpack`.

An image is a struct of `bytes` and `path`; the first column of that kind is the image, the others are labels that are images. Numbers, text and
lists of them are columns of the table; of a class label, the names that the file's metadata has.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.atomic_io import whole_folder, write_csv
from taskonomy.errors import TaskonomyError
from taskonomy.release.file_names import few
from taskonomy.tasks.custom_tasks import custom_name

_STARTS = {
    b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif",
}  # fmt: skip
_SPLIT = re.compile(r"(train|val|test)[a-z]*(?=[-_.]|$)")
_AT_ONCE = 64  # rows in memory


@dataclass
class Unpacked:
    """What was written.

    Attributes:
        images: Number of images.
        folders: Columns of images that became folders of labels.
        columns: Columns of the table.
        left_out: Columns that were not written, with the reason.
        classes: Names of the classes of columns that have them.
    """

    images: int = 0
    folders: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)

    def render(self, output: Path) -> str:
        """Describe it as text."""
        lines = [f"{output}: {self.images:,} images, folders {', '.join(self.folders) or 'none'}, labels.csv with {', '.join(self.columns)}"]
        lines += [f"{name}: classes: [{', '.join(names)}]" for name, names in self.classes.items()]
        lines += [f"left out: {name}, {why}" for name, why in self.left_out.items()]
        return "\n".join(lines)


def unpack(paths: Sequence[Path], output: Path) -> Unpacked:
    """Write a folder of images and labels; it appears whole, or not at all.

    Args:
        paths: Parquet files of the same columns. A name that begins with train, val or test says the split of its rows.
        output: The folder; it must not exist.

    Raises:
        TaskonomyError: pyarrow is not installed, a file is no Parquet of images, or the folder exists.
    """
    if output.exists():
        raise TaskonomyError(f"{output}: exists; unpack overwrites nothing")
    done, rows = Unpacked(), list[dict[str, Any]]()
    splits = [_SPLIT.match(path.name) for path in paths]
    with whole_folder(output) as folder:
        for path, split in zip(paths, splits, strict=True):
            columns, names = _columns(path)
            done.classes |= names
            for row in _rows(path):
                written = _write(folder, f"{done.images:07}", row, columns, path, done)
                rows.append(written | ({"split": split[1]} if all(splits) and split else {}))
                done.images += 1
        if not rows:
            raise TaskonomyError(f"{paths[0]}: holds no row")
        table = pd.DataFrame(rows)
        for name, numbers in done.classes.items():
            if name in table:
                table[name] = [numbers[int(one)] if not pd.isna(one) and 0 <= one < len(numbers) else "" for one in table[name]]
        done.columns = [str(column) for column in table.columns]
        write_csv(folder / "labels.csv", table)
    return done


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise TaskonomyError(f"{path}: needs pyarrow to be read: pip install 'taskonomy[parquet]'") from None
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise TaskonomyError(f"{path}: is no Parquet file: {str(error).splitlines()[0]}") from None


def _columns(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns of images, the image itself first, and the names of classes by column."""
    schema = _parquet(path).schema_arrow
    images = [one.name for one in schema if {"bytes", "path"} <= {part.name for part in _parts(one.type)}]
    if not images:
        raise TaskonomyError(f"{path}: has no column of images, which are structs of bytes and path; columns are {few(schema.names, 8)}")
    images.sort(key=lambda name: name not in ("image", "img"))
    features: Mapping[str, Any] = {}
    if schema.metadata and b"huggingface" in schema.metadata:
        features = json.loads(schema.metadata[b"huggingface"]).get("info", {}).get("features", {})
    names = {name: one["names"] for name, one in features.items() if isinstance(one, dict) and one.get("_type") == "ClassLabel" and one.get("names")}
    return images, names


def _parts(kind: Any) -> list[Any]:
    return [kind.field(number) for number in range(kind.num_fields)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in _parquet(path).iter_batches(batch_size=_AT_ONCE):
        yield from batch.to_pylist()


def _write(folder: Path, name: str, row: Mapping[str, Any], images: Sequence[str], path: Path, done: Unpacked) -> dict[str, Any]:
    """Write the images of a row, and return its cells of the table."""
    cells: dict[str, Any] = {"image": name}
    for column, value in row.items():
        if column in images:
            place = "images" if column == images[0] else _folder(column, done)
            if place and value and value["bytes"]:
                (folder / place).mkdir(exist_ok=True)
                (folder / place / f"{name}{_extension(value['bytes'], path, done.images)}").write_bytes(value["bytes"])
            continue
        match value:
            case list() if all(isinstance(one, str) for one in value):
                cells[column] = "|".join(value) or "|"
            case list() if all(isinstance(one, int | float) for one in value):
                cells |= {f"{column}.{number}": one for number, one in enumerate(value)}
            case str() | int() | float() | None:
                cells[column] = value
            case _:
                done.left_out[column] = f"of type {type(value).__name__}"
    return cells


def _folder(column: str, done: Unpacked) -> str | None:
    """Return the folder of a column of label images; None if it cannot be one."""
    try:
        name = custom_name(column.lower())
    except ValueError as error:
        done.left_out[column] = str(error)
        return None
    if name not in done.folders:
        done.folders.append(name)
    return name


def _extension(data: bytes, path: Path, row: int) -> str:
    found = next((extension for start, extension in _STARTS.items() if data.startswith(start)), None)
    if found is None:
        raise TaskonomyError(f"{path}: row {row} holds an image that is no {few(sorted(set(_STARTS.values())), 9)}")
    return found
