"""Define full supervision: its quality, and the labelled images that it takes."""

from collections.abc import Collection, Iterable

# Quality is the win rate against a task's own fully supervised network, and that network ties with itself.
FULL_QUALITY = 0.5


def labels_share(targets: Iterable[str], sources: Collection[str], full: int, transfer: int) -> float:
    """Compute the number of labelled images that a policy needs, divided by the number for training each of its targets independently.

    A source needs `full` images with its label. A target that is not a source needs `transfer` images; one that is a source has them already.
    """
    solved = list(targets)
    return (full * len(sources) + transfer * sum(target not in sources for target in solved)) / (full * len(solved))
