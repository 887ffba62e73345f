"""Samples of several images that a user lists: `NAME.csv` beside `images/`, a row for each sample.

image_a, image_b[, image_c]    names of images, with or without extension
value                          the label: one number
value.0, value.1, ...          or several
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.release.file_names import few

COLUMNS = ("image_a", "image_b", "image_c")


@dataclass(frozen=True)
class Listed:
    """Samples listed in a table.

    Attributes:
        path: The table.
        images: Names of the images of each sample.
        values: The label of each sample.
    """

    path: Path
    images: tuple[tuple[str, ...], ...]
    values: Float[np.ndarray, "samples numbers"]

    def where(self, sample: int) -> str:
        """Return the location of a sample for messages: the table, its row and its images."""
        return f"{self.path}: row {sample + 2} ({', '.join(self.images[sample])})"


def is_list(path: Path) -> bool:
    """Return whether a CSV file lists samples; other CSV files are ignored."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return COLUMNS[0] in [name.strip().strip('"') for name in file.readline().split(",")]


def read_list(path: Path, names: Collection[str], extensions: Collection[str]) -> Listed:
    """Read a table of samples.

    Args:
        path: The table.
        names: Names of the existing images.
        extensions: Extensions that names in the table may have.

    Raises:
        TaskonomyError: A column is missing or unknown, an image does not exist, or a value is not a finite number.
    """
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS, str), encoding="utf-8-sig", keep_default_na=False)
    except (ValueError, OSError) as error:
        raise TaskonomyError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    columns = [name for name in COLUMNS if name in frame]
    given = [str(name) for name in frame.columns if name not in COLUMNS]
    wanted = ["value"] if given == ["value"] else [f"value.{number}" for number in range(len(given))]
    if columns != list(COLUMNS[: max(len(columns), 2)]) or sorted(given) != sorted(wanted) or not given:
        have = few([str(name) for name in frame.columns], 6)
        raise TaskonomyError(f"{path}: columns must be image_a, image_b (and image_c), and value, or value.0, value.1, ... (are {have})")
    if not len(frame):
        raise TaskonomyError(f"{path}: lists no sample")
    images = tuple(tuple(_without(one, extensions) for one in row) for row in frame[columns].itertuples(index=False))
    known = set(names)
    if lost := sorted({one for row in images for one in row} - known):
        raise TaskonomyError(f"{path}: {len(lost):,} of the images it names are not in images/: {few(lost)}")
    numbers = frame[wanted].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if len(odd := np.flatnonzero(~np.isfinite(numbers).all(1))):
        shown = few([f"row {row + 2} ({', '.join(str(one) or 'empty' for one in frame.loc[row, wanted])})" for row in odd])
        raise TaskonomyError(f"{path}: {len(odd):,} of {len(frame):,} samples have a value that is no finite number: {shown}")
    return Listed(path, images, numbers)


def _without(name: str, extensions: Collection[str]) -> str:
    name = normal(name)
    return re.sub(r"\.[^.]+$", "", name) if Path(name).suffix.lower() in extensions else name
