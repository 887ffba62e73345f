"""Samples of several images that a user lists: `NAME.csv` beside `images/`, a row for each sample.

image_a, image_b[, image_c]    names of images, with or without extension
value                          the label: one number, or the name of a class
value.0, value.1, ...          or several numbers
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from taskonomy.data.custom_files import Names
from taskonomy.data.custom_table import is_empty
from taskonomy.errors import TaskonomyError
from taskonomy.release.file_names import few
from taskonomy.tables.csv_reader import Sheet, read_sheet
from taskonomy.tasks.custom_tasks import CustomTask

COLUMNS = ("image_a", "image_b", "image_c")


@dataclass(frozen=True)
class Listed:
    """Samples listed in a table.

    Attributes:
        path: The table.
        images: Names of the images of each sample.
        values: The label of each sample.
        lines: Line of the table of each sample.
    """

    path: Path
    images: tuple[tuple[str, ...], ...]
    values: Float[np.ndarray, "samples numbers"]
    lines: tuple[int, ...]

    def where(self, sample: int) -> str:
        """Return the location of a sample for messages: the table, its row and its images."""
        return f"{self.path}: row {self.lines[sample]} ({', '.join(self.images[sample])})"


def is_list(path: Path) -> bool:
    """Return whether a CSV file lists samples; other CSV files are ignored."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
        first = file.readline() if first.lower().lstrip('"').startswith("sep=") else first
    return COLUMNS[0] in [name.strip().strip('"').lower() for mark in ",;\t" for name in first.split(mark)]


def read_list(path: Path, names: Names, declared: CustomTask | None = None) -> Listed:
    """Read a table of samples. Rows whose value is empty have no label, and are no samples.

    Args:
        path: The table.
        names: The existing images.
        declared: What its labels are: names of classes become their numbers.

    Raises:
        TaskonomyError: A column is missing or unknown, an image does not exist, or a value is not a finite number.
    """
    sheet = read_sheet(path, "table of samples", (), COLUMNS, COLUMNS, others=True)
    classes = declared.class_names if declared is not None else ()
    columns = [name for name in COLUMNS if name in sheet.columns]
    given = [name for name in sheet.columns if name not in COLUMNS]
    wanted = ["value"] if given == ["value"] else [f"value.{number}" for number in range(len(given))]
    if columns != list(COLUMNS[: max(len(columns), 2)]) or sorted(given) != sorted(wanted) or not given:
        raise TaskonomyError(
            f"{path}: columns must be image_a, image_b (and image_c), and value, or value.0, value.1, ... (are {few(list(sheet.columns), 6)})"
        )
    rows = [(line, dict(zip(sheet.columns, row, strict=True))) for line, row in sheet.rows]
    rows = [(line, row) for line, row in rows if any(row[one] in classes or not is_empty(row[one]) for one in wanted)]
    cells = [row for _line, row in rows]
    if not cells:
        raise TaskonomyError(f"{path}: lists no sample")
    found = [[names.find(row[column]) for column in columns] for row in cells]
    pairs = list(zip(cells, found, strict=True))
    if lost := sorted({row[column] for row, images in pairs for column, image in zip(columns, images, strict=True) if image is None}):
        zeros = names.lost_zeros(lost)
        more = f"; they have lost their leading zeros ({zeros}): format the columns as text" if zeros else ""
        raise TaskonomyError(f"{path}: {len(lost):,} of the images it names are not in images/: {few(lost)}{more}")
    numbers = np.array([[_number(sheet, row[column], declared) for column in wanted] for row in cells])
    lines = tuple(line for line, _row in rows)
    if len(odd := np.flatnonzero(~np.isfinite(numbers).all(1))):
        told = few([f"row {lines[place]} ({', '.join(cells[place][one] or 'empty' for one in wanted)})" for place in odd])
        named = f", nor one of the classes {few(list(classes), 10)}" if classes else ""
        raise TaskonomyError(f"{path}: {len(odd):,} of {len(cells):,} samples have a value that is no finite number{named}: {told}")
    return Listed(path, tuple(tuple(one for one in images if one) for images in found), numbers, lines)


def _number(sheet: Sheet, cell: str, declared: CustomTask | None) -> float:
    if declared is not None and cell in declared.class_names:
        return float(declared.class_names.index(cell))
    try:
        return sheet.number(cell)
    except ValueError:
        return math.nan
