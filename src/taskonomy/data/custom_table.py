"""Labels of a user's images in a table: `labels.csv` (or `.parquet`), a row for each image, read as spreadsheets save it."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from taskonomy.data.custom_files import Names, numbers_as_numbers
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.release.file_names import few
from taskonomy.release.split_lists import RELEASED_SPLITS
from taskonomy.tables.csv_reader import Sheet, parse_sheet, read_sheet

# Columns that may say which image a row is of, the most certain first.
FILE_COLUMNS = (
    "image", "filename", "file_name", "file", "path", "filepath", "file_path", "image_path", "image_name", "img", "image_id", "img_path", "id",
    "name",
)  # fmt: skip
GROUPS = ("group", "building")
NOT_TASKS = frozenset({"split", *GROUPS})
_NUMBERED = re.compile(r"(.+)\.(0|[1-9]\d*)")
_NO_LABEL = ("", "nan", "na", "n/a", "null", "none")  # what programs write into cells that hold nothing


@dataclass(frozen=True)
class Table:
    """A table of labels.

    Attributes:
        path: The file; it may not exist.
        column: The column that names the images; empty without a table.
        cells: Column -> image -> cell, as text without surrounding spaces.
        sheet: The table as it was read, which knows its decimal mark; None without a table.
    """

    path: Path
    column: str
    cells: dict[str, dict[str, str]]
    sheet: Sheet | None

    def number(self, cell: str) -> float:
        """Return the number in a cell; NaN if it holds none."""
        try:
            return self.sheet.number(cell) if self.sheet is not None else math.nan
        except ValueError:
            return math.nan

    @cached_property
    def tasks(self) -> dict[str, list[str]]:
        """Return task -> its columns, in the order of their numbers.

        Raises:
            TaskonomyError: The numbers of a task's columns do not count from 0, or it has a column without a number too.
        """
        numbered: dict[str, list[int]] = {}
        single: dict[str, list[str]] = {}
        for column in (column for column in self.cells if column not in NOT_TASKS):
            match = _NUMBERED.fullmatch(column)
            if match:
                numbered.setdefault(match[1], []).append(int(match[2]))
            else:
                single[column] = [column]
        for task, places in numbered.items():
            if sorted(places) != list(range(len(places))) or task in single:
                have = ", ".join(f"{task}.{place}" for place in sorted(places)) + (f" and {task}" if task in single else "")
                raise TaskonomyError(f"{self.path}: columns of {task} must be {task}.0 to {task}.{len(places) - 1} (are {have})")
        return single | {task: [f"{task}.{place}" for place in range(len(places))] for task, places in numbered.items()}

    def holds_text(self, task: str) -> bool:
        """Return whether a task's column holds anything but numbers."""
        return any(not is_empty(cell) and math.isnan(self.number(cell)) for column in self.tasks[task] for cell in self.cells[column].values())

    def classes(self, task: str) -> list[str]:
        """Return the different texts of a task's one column, sorted; numbers sort as numbers."""
        found = {cell for column in self.tasks[task] for cell in self.cells[column].values() if not is_empty(cell)}
        return sorted(found, key=numbers_as_numbers)

    def column_of(self, name: str) -> dict[str, str]:
        """Return image -> cell of a column; {} if there is none."""
        return self.cells.get(name, {})


def is_empty(cell: str) -> bool:
    """Return whether a cell holds nothing."""
    return cell.lower() in _NO_LABEL


def read_table_of(root: Path, names: Names) -> Table:
    """Read the table of a folder.

    Args:
        root: The folder.
        names: Its images.

    Raises:
        TaskonomyError: It is no table, names images that do not exist or one twice, or its splits and groups make no sense.
    """
    paths = [path for name in ("labels.csv", "labels.parquet") if (path := root / name).exists()]
    if not paths:
        return Table(root / "labels.csv", "", {}, None)
    if len(paths) > 1:
        raise TaskonomyError(f"{root}: has labels.csv and labels.parquet; which one counts?")
    path = paths[0]
    sheet = _sheet(path)
    column, images = _images(path, sheet, names)
    cells: dict[str, dict[str, str]] = {one: {} for one in sheet.columns if one != column}
    for image, (_line, row) in zip(images, sheet.rows, strict=True):
        for name, cell in zip(sheet.columns, row, strict=True):
            if name != column:
                cells[name][image] = cell
    for group in GROUPS:
        cells |= {group: {image: normal(cell) for image, cell in cells[group].items()}} if group in cells else {}
    table = Table(path, column, cells, sheet)
    _check_splits(table)
    return table


def _sheet(path: Path) -> Sheet:
    texts = (*FILE_COLUMNS, "split", *GROUPS)
    if path.suffix == ".csv":
        return read_sheet(path, "table of labels", (), texts, texts, others=True)
    import pandas as pd

    try:
        text = pd.read_parquet(path).to_csv(index=False)
    except ImportError:
        raise TaskonomyError(f"{path}: needs pyarrow to be read: pip install pyarrow, or save it as labels.csv") from None
    except (ValueError, OSError) as error:
        raise TaskonomyError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    return parse_sheet(text, str(path), (), texts, texts, others=True)


def _images(path: Path, sheet: Sheet, names: Names) -> tuple[str, list[str]]:
    """Return the column that names images, and the image of each row: of several such columns, the first whose rows are all images."""
    columns = [column for column in FILE_COLUMNS if column in sheet.columns]
    if not columns:
        raise TaskonomyError(f"{path}: has no column image (or {', '.join(FILE_COLUMNS[1:5])}); columns are {few(list(sheet.columns), 10)}")
    unknown: dict[str, list[str]] = {}
    for column in columns:
        place = sheet.columns.index(column)
        found = [names.find(row[place]) for _line, row in sheet.rows]
        images = [image for image in found if image is not None]
        if len(images) == len(found):
            _refuse_twice(path, images)
            return column, images
        unknown[column] = sorted({row[place] for image, (_line, row) in zip(found, sheet.rows, strict=True) if image is None}, key=numbers_as_numbers)
    lost = unknown[columns[0]]
    if zeros := names.lost_zeros(lost):
        raise TaskonomyError(
            f"{path}: {len(lost):,} names have lost their leading zeros ({zeros}), as spreadsheets do: format the column as text, or write the"
            " names with their extension"
        )
    raise TaskonomyError(f"{path}: {len(lost):,} of {len(sheet.rows):,} labels have no image: {few(lost)}")


def _refuse_twice(path: Path, images: Iterable[str]) -> None:
    seen: set[str] = set()
    twice = sorted({image for image in images if image in seen or seen.add(image)})  # type: ignore[func-returns-value]
    if twice:
        raise TaskonomyError(f"{path}: {len(twice):,} images have more than one row: {few(twice)}")


def _check_splits(table: Table) -> None:
    splits = table.column_of("split")
    if wrong := sorted(set(splits.values()) - set(RELEASED_SPLITS)):
        raise TaskonomyError(f"{table.path}: split must be one of {', '.join(RELEASED_SPLITS)} (is also {few([one or 'empty' for one in wrong])})")
    if all(group in table.cells for group in GROUPS):
        raise TaskonomyError(f"{table.path}: has columns group and building, which mean the same; keep one")
    for column in GROUPS:
        groups = table.column_of(column)
        if empty := [image for image, group in groups.items() if is_empty(group)]:
            raise TaskonomyError(f"{table.path}: {len(empty):,} images have no {column}: {few(empty)}")
        if splits:
            refuse_torn(table.path, groups, splits)


def refuse_torn(where: Path, groups: Mapping[str, str], splits: Mapping[str, str]) -> None:
    """Refuse groups of images that lie in more than one split.

    Raises:
        TaskonomyError: There are some.
    """
    of_group: dict[str, set[str]] = {}
    for image, group in groups.items():
        of_group.setdefault(group, set()).add(splits[image])
    if torn := sorted(group for group, found in of_group.items() if len(found) > 1):
        raise TaskonomyError(f"{where}: {len(torn):,} groups lie in more than one split: {few(torn)}")
