"""Train the learning curve: the best transfer, the same source with its encoder unfrozen, and no source at all, on the same labelled images."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Int

from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.machine.cores import on_every_core
from taskonomy.new_task.encode import codes_key, codes_of_rows
from taskonomy.new_task.request import Query, nested_samples
from taskonomy.store.store import Unit, code_digest, key_of
from taskonomy.store.unit_keys import UNIT_CODE, network_key
from taskonomy.tasks import Registry
from taskonomy.training.transfer_context import SCRATCH, Sources, TransferContext
from taskonomy.transfers.run_context import as_long
from taskonomy.transfers.variants import encoder_weights, weights_digest


class Way(StrEnum):
    """How a network for the new task is initialised."""

    TRANSFER = "transfer"
    FINE_TUNED = "fine-tuned"
    SCRATCH = "scratch"


@dataclass(frozen=True)
class CurvePoint:
    """One network of the learning curve.

    Attributes:
        way: How it is initialised.
        images: Number of labelled samples that it is trained on.
        sources: The sources that it starts from.
        key: Key of its unit.
    """

    way: Way
    images: int
    sources: Sources
    key: str


class LearningCurveContext:
    """The new task with a training set of any size, not only the samples that rank its sources.

    Samples of the train split have no stored codes; those of the few sources that a learning curve needs are computed for it.

    Attributes:
        query: The query.
        images: Number of samples to train on.
        context: The transfers to the task, trained on this number of samples.
        more: Rows of the samples of the train split among them.
    """

    def __init__(self, query: Query, images: int) -> None:
        self.query, self.images = query, images
        self.context = _Nested(**vars(as_long(query.with_images(images), max(query.images), images)))
        rows = np.unique(self.context.task.samples[self.context.train])
        self.more: Int[np.ndarray, " rows"] = rows[self.context.dataset.splits[rows] == Split.TRAIN.number]

    def key(self, sources: Sources) -> str:
        """Compute the key of a transfer; where all samples have stored codes, it is the key in the context."""
        key = self.context.key(sources)
        if sources == SCRATCH or not len(self.more):
            return key
        return key_of(kind="enlarged transfer", transfer=key, more=[codes_key(self.query, source, self.more) for source in sources])

    @property
    def fine_tuned_config(self) -> TaskConfig:
        """Return the task's own configuration: a fine-tuned network differs from the one from scratch only in its encoder's initial weights.

        Transfers to all targets (`transfer.variants`) are fine-tuned by the schedule of transfers instead. The adversarial term applies to task
        networks only.
        """
        return self.context.config.model_copy(update={"adversarial": None})

    def fine_tuned_key(self, source: str, weights: str) -> str:
        """Compute the key of the network whose encoder starts from a source's weights.

        Args:
            source: The source, part of every seed.
            weights: Digest of the weights of its encoder.
        """
        context = self.context
        network = network_key(context.dataset, context.task, self.fine_tuned_config, context.train, "fine-tuned")
        return key_of(kind="fine-tuned", network=network, source=source, weights=weights, code=code_digest(*UNIT_CODE))

    def all_codes(self, source: str) -> np.ndarray:
        """Return the codes of the run, followed by those of the samples of the train split."""
        stored = self.context.stored_codes(source)
        return np.concatenate([stored, codes_of_rows(self.query, source, self.more)]) if len(self.more) else stored

    def all_rows(self) -> Int[np.ndarray, " views"]:
        """Find the row of each view among all codes; -1: none."""
        rows = self.context.code_rows.copy()
        rows[self.more] = (rows >= 0).sum() + np.arange(len(self.more))
        return rows


@dataclass(frozen=True)
class _Nested(TransferContext):
    """Transfers whose training samples extend into the train split."""

    @cached_property
    def train(self) -> Int[np.ndarray, " samples"]:
        return nested_samples(self.task, self.params.images, self.params.seed)


def can_be_fine_tuned(source: str, target: str, registry: Registry) -> bool:
    """Return whether the source's encoder reads the same input as the target's would, grey images or colours; encoders of others are not trained."""
    return source in registry and (registry[source].input is Input.LIGHTNESS) == (registry[target].input is Input.LIGHTNESS)


def planned(query: Query, best: Sources, tuned: str | None) -> list[CurvePoint]:
    """List the points of the curve, each size with every way.

    Args:
        query: The query.
        best: Sources of the best transfer.
        tuned: The source whose encoder is fine-tuned; None: no source has the right input.
    """
    points = []
    weights = "" if tuned is None else weights_digest(encoder_weights(query.models / tuned))
    for images in query.images:
        opened = _opened(query, images)
        points += [CurvePoint(Way.TRANSFER, images, best, opened.key(best)), CurvePoint(Way.SCRATCH, images, SCRATCH, opened.key(SCRATCH))]
        if tuned is not None:
            points.append(CurvePoint(Way.FINE_TUNED, images, (tuned,), opened.fine_tuned_key(tuned, weights)))
    return points


def units_of(query: Query, points: list[CurvePoint], on_done: Callable[[int], object]) -> dict[CurvePoint, Unit]:
    """Return the units of the points, from the store or trained in parallel, longest first."""
    store = query.context.units
    known = {point: unit for point in points if (unit := store.read(point.key)) is not None}
    on_done(len(known))
    missing = sorted((point for point in points if point not in known), key=lambda point: (-point.images, point.way is Way.TRANSFER))
    for (_query, point), _none in on_every_core(_train, [(query, point) for point in missing], long=True):
        unit = store.read(point.key)
        if unit is None:
            raise TaskonomyError(f"{store.root}: the unit {point.key} vanished while it was used")
        known[point] = unit
        on_done(1)
    return {point: known[point] for point in points}


def _train(work: tuple[Query, CurvePoint]) -> None:
    """Train one network; torch is imported here, in the process that needs it."""
    from taskonomy.training.fine_tuned import train_fine_tuned
    from taskonomy.training.task_networks import train_scratch
    from taskonomy.training.train_transfer import train_transfer

    query, point = work
    opened = _opened(query, point.images)
    context = opened.context
    if point.way is Way.SCRATCH:
        train_scratch(context.dataset, context.config, context.train, point.key, context.units)
    elif point.way is Way.FINE_TUNED:
        (source,) = point.sources
        weights, config = encoder_weights(query.models / source), opened.fine_tuned_config
        train_fine_tuned(context.units, point.key, context.dataset, context.task, config, source, weights, context.train)
    else:
        codes = [opened.all_codes(source) for source in point.sources]
        train_transfer(context, point.key, point.sources, codes, rows=opened.all_rows())


@lru_cache(maxsize=2)
def _opened(query: Query, images: int) -> LearningCurveContext:
    return LearningCurveContext(query, images)
