"""The learning curve: the best transfer, the same source with its encoder unfrozen, and no source at all, on the same labelled images."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int

from taskonomy.dataset.prepared_dataset import SPLITS
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.machine.cores import on_every_core
from taskonomy.new_task.encode import codes_key, codes_of_rows
from taskonomy.new_task.request import Query, nested_samples
from taskonomy.store.store import Unit, code_digest, key_of
from taskonomy.store.unit_keys import UNIT_CODE, network_key
from taskonomy.tasks import DICTIONARY
from taskonomy.transfers.beam_search import Sources
from taskonomy.transfers.transfers import SCRATCH, Opened
from taskonomy.transfers.variants import encoder_weights, weights_digest


class Way(StrEnum):
    """How a network for the new task starts."""

    TRANSFER = "transfer"
    FINE_TUNED = "fine-tuned"
    SCRATCH = "scratch"


@dataclass(frozen=True)
class Point:
    """One network of the learning curve.

    Attributes:
        way: How it starts.
        images: Labelled samples that it learns from.
        sources: Where it starts.
        key: Of its unit.
    """

    way: Way
    images: int
    sources: Sources
    key: str


class Enlarged(Opened):
    """The new task with more or fewer samples to learn from than those that rank its sources.

    Samples of the train split have no stored codes; those of the few sources that a learning curve needs are made for it.
    """

    def __init__(self, query: Query, images: int) -> None:
        super().__init__(query.with_images(images))
        self.query = query
        self.train = nested_samples(self.task, images, self.params.seed)
        rows = np.unique(self.task.samples[self.train])
        self.more: Int[np.ndarray, " rows"] = rows[self.prepared.splits[rows] == SPLITS.index("train")]

    def key(self, sources: Sources) -> str:
        """As ever, where there are codes of all samples."""
        key = super().key(sources)
        if sources == SCRATCH or not len(self.more):
            return key
        return key_of(kind="enlarged transfer", transfer=key, more=[codes_key(self.query, source, self.more) for source in sources])

    @property
    def fine_tuned_card(self) -> dict[str, Any]:
        """The task's own: a fine-tuned network differs from the one from scratch in where its encoder starts, and in nothing else.

        Transfers to all targets (`transfer.more`) are fine-tuned by the schedule of transfers instead. The second term is for networks alone.
        """
        return {**self.card, "adversarial": None}

    def fine_tuned_key(self, source: str, weights: str) -> str:
        """Of the network whose encoder starts from a source's.

        Args:
            source: Part of every seed.
            weights: Digest of its encoder.
        """
        network = network_key(self.prepared, self.task, self.fine_tuned_card, self.train, "fine-tuned")
        return key_of(kind="fine-tuned", network=network, source=source, weights=weights, code=code_digest(*UNIT_CODE))

    def all_codes(self, source: str) -> np.ndarray:
        """Those of the run, and below them those of the samples of the train split."""
        stored = self.codes(source)
        return np.concatenate([stored, codes_of_rows(self.query, source, self.more)]) if len(self.more) else stored

    def all_rows(self) -> Int[np.ndarray, " views"]:
        """Row of each view among those; -1: none."""
        from taskonomy.training.codes import row_of_view

        rows = row_of_view(self.prepared.splits)
        rows[self.more] = (rows >= 0).sum() + np.arange(len(self.more))
        return rows


def can_be_fine_tuned(source: str, target: str) -> bool:
    """Whether the source's encoder reads what the target's would: grey images or colours."""
    return (DICTIONARY[source].input is Input.LIGHTNESS) == (DICTIONARY[target].input is Input.LIGHTNESS)


def planned(query: Query, best: Sources, tuned: str | None) -> list[Point]:
    """The points of the curve, each size with all ways.

    Args:
        query: What it is about.
        best: Sources of the best transfer.
        tuned: The source whose encoder is trained on; None: there is none of the right form.
    """
    points = []
    weights = "" if tuned is None else weights_digest(encoder_weights(query.models / tuned))
    for images in query.images:
        opened = _opened(query, images)
        points += [Point(Way.TRANSFER, images, best, opened.key(best)), Point(Way.SCRATCH, images, SCRATCH, opened.key(SCRATCH))]
        if tuned is not None:
            points.append(Point(Way.FINE_TUNED, images, (tuned,), opened.fine_tuned_key(tuned, weights)))
    return points


def units_of(query: Query, points: list[Point], told: Callable[[int], object]) -> dict[Point, Unit]:
    """From the store, or trained side by side, those that take longest first."""
    store = Opened(query.job).store
    known = {point: unit for point in points if (unit := store.read(point.key)) is not None}
    told(len(known))
    missing = sorted((point for point in points if point not in known), key=lambda point: (-point.images, point.way is Way.TRANSFER))
    for (_query, point), _none in on_every_core(_train, [(query, point) for point in missing], long=True):
        unit = store.read(point.key)
        if unit is None:
            raise TaskonomyError(f"{store.root}: the unit {point.key} vanished while it was used")
        known[point] = unit
        told(1)
    return {point: known[point] for point in points}


def _train(work: tuple[Query, Point]) -> None:
    """Train one network; torch is loaded here, where it is needed."""
    from taskonomy.training.fine_tuned import train_fine_tuned
    from taskonomy.training.task_networks import train_scratch
    from taskonomy.training.train_transfer import train_transfer

    query, point = work
    opened = _opened(query, point.images)
    if point.way is Way.SCRATCH:
        train_scratch(opened.prepared, opened.card, opened.train, point.key, opened.store)
    elif point.way is Way.FINE_TUNED:
        (source,) = point.sources
        weights, card = encoder_weights(query.models / source), opened.fine_tuned_card
        train_fine_tuned(opened.store, point.key, opened.prepared, opened.task, card, source, weights, opened.train)
    else:
        opened.held["rows"] = opened.all_rows()
        train_transfer(opened, point.key, point.sources, [opened.all_codes(source) for source in point.sources])


@lru_cache(maxsize=2)
def _opened(query: Query, images: int) -> Enlarged:
    return Enlarged(query, images)
