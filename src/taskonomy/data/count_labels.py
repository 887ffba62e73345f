"""Count how many labelled samples each task has in each split; an error where they are so few that nothing can be learned or measured."""

from collections import Counter
from collections.abc import Mapping, Sequence

from taskonomy.config.data_params import DataParams
from taskonomy.data.datasets import Data
from taskonomy.dataset.splits import Split, assign
from taskonomy.errors import TaskonomyError
from taskonomy.machine.terminal import text_table
from taskonomy.tables.label_counts import Counts, words

# Batch normalisation and win rates need two samples, the choice of an epoch one.
LEAST = {Split.TRAIN: 2, Split.TRANSFER: 2, Split.VALIDATION: 1, Split.TEST_AFFINITY: 2, Split.TEST_POLICY: 2}


def count_labels(data: Data, tasks: Sequence[str], split_of: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Count the labelled samples of those tasks whose labels are known without reading them; of several images, those in one split.

    Of released data, a building that has files of a domain has them of all its images; where one is missing, reading finds the download incomplete.

    Args:
        data: The source.
        tasks: Names of tasks.
        split_of: Split of each building.
    """
    found: dict[str, dict[str, int]] = {}
    for task in tasks:
        samples = data.buildings_of_labels(task)
        if samples is None:
            continue
        counts = Counter(dict.fromkeys(map(str, Split), 0))
        for buildings, number in samples.items():
            splits = {split_of.get(building) for building in buildings}
            counts.update({str(one): number for one in splits if one is not None and len(splits) == 1})
        found[task] = dict(counts)
    return found


def refuse_too_few(task: str, counts: Mapping[str, int]) -> None:
    """Refuse a task with so few labels in a split that nothing can be learned, chosen or measured there.

    Raises:
        TaskonomyError: Naming the first split that has fewer than `LEAST`.
    """
    for split, least in LEAST.items():
        if (there := counts[split]) < least:
            raise TaskonomyError(
                f"{task}: {there} of its labels {'is' if there == 1 else 'are'} in split {split}, {least} at least are needed; label more of the"
                " images there, change data.splits, or take it out of data.tasks"
            )


def described(data: Data, params: DataParams, tasks: Sequence[str]) -> str:
    """Return the table of a source in the splits that these parameters give it, and what so few cannot say, or why it cannot be divided so.

    Args:
        data: The source.
        params: The section `data`.
        tasks: Names of tasks.
    """
    try:
        counts = count_labels(data, tasks, assign(data.keys.sizes, data.splits, params))
    except TaskonomyError as error:
        return str(error)
    return "\n".join([table(counts), *words(counts)])


def table(counts: Counts) -> str:
    """Format the counts as text, a row for each task."""
    rows = [[task, *(f"{of_task[split]:,}" for split in Split)] for task, of_task in counts.items()]
    return text_table([("labelled", *map(str, Split)), *rows], left=1)
