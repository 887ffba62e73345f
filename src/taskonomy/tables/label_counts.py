"""Labelled samples of each task in each split, and in words what few of them cannot say."""

from collections.abc import Iterator, Mapping
from math import sqrt

# Below these, people are told what so few samples cannot say. 25 tests: a share of them is known to 20 percentage points on either side.
FEW = {"train": 20, "transfer": 20, "validation": 10, "test_affinity": 25, "test_policy": 25}
Counts = Mapping[str, Mapping[str, int]]  # task -> split -> labelled samples


def words(counts: Counts) -> Iterator[str]:
    """Yield a line for each task and split with few samples: how many, and what they cannot say."""
    for task, of_task in counts.items():
        for split, there in of_task.items():
            if there >= FEW[split]:
                continue
            if split.startswith("test"):  # 95 % of a binomial share of 1/2
                means = f"shares of so few are known to {98 / sqrt(max(there, 1)):.0f} percentage points on either side"
            else:
                means = "a loss over so few says little" if split == "validation" else "little can be learned from so few"
            yield f"{task}: {there} labelled in {split}: {means}"
