"""Read and write the released split lists, which say whether a building is for training, validation or test; their lines end in CR alone."""

import csv
from collections.abc import Mapping
from pathlib import Path

from taskonomy.atomic_io import write_text
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden, visible
from taskonomy.release.object_storage import Place, Remote

RELEASED_SPLITS = ("train", "val", "test")
_HEADER = ["id", *RELEASED_SPLITS]


def read_splits(path: Place) -> dict[str, str]:
    """Read building (lower case) -> `train`, `val` or `test`; lines may end in CR, LF or both. A building whose row has no 1 is in no split.

    Raises:
        TaskonomyError: A wrong header or row, or a building in two splits; the message gives the line.
    """
    rows = _rows(path)
    if not rows or rows[0] != _HEADER:
        raise TaskonomyError(f"{path}: must begin with {','.join(_HEADER)} (begins with {','.join(rows[0]) if rows else 'nothing'})")
    splits: dict[str, str] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(_HEADER) or not row[0] or any(value not in ("0", "1") for value in row[1:]):
            raise TaskonomyError(f"{path}: line {line} must be a building and three of 0 and 1 (is {','.join(row)})")
        building = row[0].lower()
        chosen = [split for split, value in zip(RELEASED_SPLITS, row[1:], strict=True) if value == "1"]
        if len(chosen) > 1:
            raise TaskonomyError(f"{path}: line {line}: {building} is in {' and '.join(chosen)}; a building belongs to one split")
        if chosen and splits.setdefault(building, chosen[0]) != chosen[0]:
            raise TaskonomyError(f"{path}: line {line}: {building} is in {chosen[0]}, above in {splits[building]}")
    return splits


def write_splits(path: Path, rows: Mapping[str, str]) -> None:
    """Write building -> split as the release does: lower case, lines separated by CR alone, none at the end."""
    lines = [",".join(_HEADER)]
    for building, split in rows.items():
        if split not in RELEASED_SPLITS:
            raise ValueError(f"{building}: split must be one of {', '.join(RELEASED_SPLITS)} (is {split!r})")
        lines.append(",".join([building.lower(), *("1" if split == name else "0" for name in RELEASED_SPLITS)]))
    write_text(path, "\r".join(lines))


def split_lists(root: Place) -> list[Place]:
    """Return the split lists in a folder."""
    tables: list[Place]
    if isinstance(root, Remote):
        tables = [root / one.name for one in root.entries() if one.name.endswith(".csv") and not one.is_folder and not is_hidden(one.name)]
    else:
        tables = [*visible(root.glob("*.csv"))]
    # Omnidata's debug list has one building in all three splits.
    return [path for path in tables if not path.stem.endswith("debug") and _rows(path)[:1] == [_HEADER]]


def find_splits(root: Place) -> dict[str, str]:
    """Merge the split lists found in a folder; the released ones (tiny to fullplus) are nested. {} if there are none.

    Raises:
        TaskonomyError: Two lists contradict each other.
    """
    merged: dict[str, str] = {}
    source: dict[str, Place] = {}
    for path in split_lists(root):
        for building, split in read_splits(path).items():
            if merged.setdefault(building, split) != split:
                raise TaskonomyError(f"{path}: {building} is in {split}, in {source[building]} in {merged[building]}")
            source.setdefault(building, path)
    return merged


def _rows(path: Place) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    # Lines end in CR, LF or both; splitlines handles all of them.
    return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
