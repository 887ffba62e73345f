"""Samples of several images that a user lists, checked against `data.own` and matched with the rows of prepared views."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from taskonomy.data.custom_checks import MisfitError, fitted, misfit_error
from taskonomy.data.datasets import Data
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import ViewKey


@dataclass(frozen=True)
class Given:
    """Samples of several images, as they are prepared.

    Attributes:
        samples: Rows of their images.
        labels: Compact label of each sample.
        left_out: Number of listed samples left out, because their images lie in different splits or one of them was itself left out.
    """

    samples: Int[np.ndarray, "samples images"]
    labels: Shaped[np.ndarray, "samples numbers"]
    left_out: int


def listed_samples(task: str, data: Data, row_of: Mapping[ViewKey, int], split: "pd.Series[str]") -> Given:
    """Collect a custom task's listed samples whose images are all prepared and in one split, so that no test image is trained on.

    Raises:
        TaskonomyError: Labels do not match their declaration, or no sample is left.
    """
    keys, found = data.listed(task)
    declared = data.custom[task]
    labels, wrong = [], []
    for number, values in enumerate(found.values):
        try:
            labels.append(declared.compact(fitted(task, declared, values), 0))
        except MisfitError as error:
            wrong.append((found.where(number), error.args[0]))
    if wrong:
        raise misfit_error(wrong)
    splits = split.to_numpy()
    rows = [tuple(row_of.get(key, -1) for key in sample) for sample in keys]
    kept = [number for number, row in enumerate(rows) if min(row) >= 0 and len({splits[one] for one in row}) == 1]
    if not kept:
        raise TaskonomyError(f"{found.path}: no sample has all its images in one split; a column group in labels.csv keeps images together")
    if left := len(rows) - len(kept):
        together = "; a column group in labels.csv keeps images together"
        print(f"{found.path}: {left:,} of {len(rows):,} samples are left out: their images lie in different splits{together}", file=sys.stderr)
    return Given(np.array([rows[one] for one in kept], np.int64), np.stack([labels[one] for one in kept]), left)
