"""What full supervision is: its quality, and the labelled images that it takes."""

from collections.abc import Collection, Iterable

# Quality is the win rate against a task's own fully supervised network, and that network ties with itself.
FULL_QUALITY = 0.5


def labels_share(targets: Iterable[str], sources: Collection[str], full: int, transfer: int) -> float:
    """Labelled images that a policy needs, over those for training each of its targets by itself.

    A source needs `full` images with its label. A target that is no source needs `transfer`; one that is has them already.
    """
    solved = list(targets)
    return (full * len(sources) + transfer * sum(target not in sources for target in solved)) / (full * len(solved))
