"""Which building each test image is of: views of one building are alike, so buildings are what can be drawn anew, not images."""

import numpy as np
from jaxtyping import Shaped

from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split


def buildings_of_tests(prepared: Prepared, task: str) -> Shaped[np.ndarray, " samples"]:
    """Return the building of each of a task's test samples: those of the half for affinities, then those of the other."""
    return np.concatenate([buildings(prepared, task, split) for split in TEST_SPLITS])


def buildings(prepared: Prepared, target: str, split: Split) -> Shaped[np.ndarray, " samples"]:
    """Return the building of each of a target's samples of one split, in the order of its losses."""
    samples = prepared.root / "tasks" / target / "samples.npy"  # where it does not exist, every view is one sample
    first = np.load(samples)[:, 0] if samples.is_file() else np.arange(len(prepared.index))
    names = prepared.index["building"].to_numpy(str)[first]
    return names[prepared.splits[first] == split.number]
