"""The context of all transfers to one target: what they read, and what determines each of them (paper section 3.2)."""

from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from taskonomy.config.network_params import ScheduleParams, TransferParams
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator
from taskonomy.store.store import Store, code_digest, digest_of, key_of
from taskonomy.store.unit_keys import UNIT_CODE, constant_key, data_digest, network_key

if TYPE_CHECKING:
    from taskonomy.training.dataloader import Labels

Sources = tuple[str, ...]
# With the transfers' samples, but no codes: the task's whole network on the images, by its own schedule; a shallow one, by the transfers'; and the
# best constant.
SCRATCH: Sources = ("scratch",)
PIXELS: Sources = ("pixels",)
CONSTANT_ANSWER: Sources = ("average",)
BASELINES = (SCRATCH, PIXELS, CONSTANT_ANSWER)


@dataclass(frozen=True)
class TransferContext:
    """What all transfers to one target share. Processes exchange only its few fields; each process opens the data once.

    Attributes:
        prepared: Folder of the prepared data.
        codes: Folder with the codes of each source.
        sources: Tasks to transfer from.
        store: Folder of the finished units.
        config: The target's configuration.
        params: The section `transfer`.
        kept: Bytes of weights of the best transfers that are kept in the store when they are trained.
    """

    prepared: Path
    codes: Path
    sources: tuple[str, ...]
    store: Path
    config: TaskConfig
    params: TransferParams
    kept: int = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: what was opened stays in its process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def resolved(self) -> "TransferContext":
        """Return the same context with the precision that `auto` means on this machine, so that it holds wherever the transfers are trained."""
        return replace(self, params=self.params.model_copy(update={"precision": self.params.precision.here()}))

    @cached_property
    def dataset(self) -> Prepared:
        """Open the prepared data."""
        return Prepared(self.prepared)

    @cached_property
    def units(self) -> Store:
        """Open the store."""
        return Store(self.store)

    @cached_property
    def task(self) -> PreparedTask:
        """Open the target's samples and labels."""
        return replace(self.dataset.task(self.config.definition), task=self.config.definition)

    @cached_property
    def train(self) -> Int[np.ndarray, " samples"]:
        """Choose the samples to learn from."""
        return chosen_samples(self.task.of_split(Split.TRANSFER), self.params.images, self.params.seed, self.config.task)

    @cached_property
    def labels(self) -> "Labels":
        """Encode the labels of all samples that transfers read, once, as the last convolution of their decoders gives its outputs."""
        from taskonomy.models.networks import shuffle_of_decoder
        from taskonomy.training.dataloader import Labels

        judged = [self.task.of_split(split) for split in (Split.VALIDATION, *TEST_SPLITS)]
        shuffle = shuffle_of_decoder(self.task.task, self.config.encoder, self.config.decoder, int(self.dataset.images.shape[1]))
        return Labels(self.task, np.concatenate([self.train, *judged]), shuffle)

    @property
    def schedule(self) -> ScheduleParams:
        """Return how transfers to this target are trained."""
        return self.params.schedule.of(self.task.task.output)

    @cached_property
    def code_rows(self) -> Int[np.ndarray, " views"]:
        """Find the row of each view among the codes; -1 where it has none."""
        from taskonomy.training.codes import row_of_view

        return row_of_view(self.dataset.splits)

    def codes_path(self, source: str) -> Path:
        """Return the file with a source's codes of what the target sees."""
        return self.codes / source / f"{self.config.entry.input.value}.npy"

    def stored_codes(self, source: str) -> Any:
        """Open a source's codes of what the target sees: [coded, channels, height, width], memory-mapped.

        Raises:
            TaskonomyError: The codes are missing, or are of other images.
        """
        if source not in self._opened:
            path = self.codes_path(source)
            try:
                codes = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise TaskonomyError(f"{path}: no readable codes ({error}); the stage `train` writes them") from None
            rows = int((self.dataset.splits != 0).sum())
            if codes.ndim != 4 or len(codes) != rows:
                raise TaskonomyError(f"{path}: codes of {len(codes)} images, not of the {rows} outside the train split; train again")
            self._opened[source] = codes
        return self._opened[source]

    def key(self, sources: Sources) -> str:
        """Compute the key of a transfer from everything that determines its result, and nothing of the other transfers of the run."""
        if sources == SCRATCH:
            return network_key(self.dataset, self.task, self.config, self.train, "scratch")
        if sources == CONSTANT_ANSWER:
            return constant_key(self.task, self.config, self.train)
        if sources == PIXELS:
            data, encoder = data_digest(self.dataset, self.task, self.train, images=True), self.config.encoder.model_dump(mode="json")
            return key_of(kind="pixels", encoder=encoder, **{**self._common, "data": data})
        for source in sources:
            if source not in self._digests:
                self._digests[source] = digest_of(self.stored_codes(source))
        return key_of(kind="transfer", sources=list(sources), codes=[self._digests[source] for source in sources], **self._common)

    def weights_key(self, sources: Sources) -> str:
        """Compute the key of the unit that keeps the weights of a transfer, or of the network from scratch, beside its losses."""
        return key_of(kind="weights", transfer=self.key(sources))

    @cached_property
    def _common(self) -> dict[str, Any]:
        settings = self.config.model_dump(mode="json", include={"task", "entry", "decoder"})
        if self.params.decoder_width != 1:
            settings["decoder_width"] = self.params.decoder_width
        return {
            "card": settings,
            "schedule": self.schedule.model_dump(),
            "precision": self.params.precision.here().value,
            "seed": self.params.seed,
            "data": data_digest(self.dataset, self.task, self.train, images=False),
            "code": code_digest(*UNIT_CODE),
        }

    @cached_property
    def _opened(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}


@lru_cache(maxsize=1)
def shared(context: TransferContext) -> TransferContext:
    """Return the context that this process has already opened, as transfers to one target usually follow one another."""
    return context


def chosen_samples(positions: Int[np.ndarray, " samples"], images: int, seed: int, target: str) -> Int[np.ndarray, " chosen"]:
    """Choose a random part of the transfer split, sorted; all of it where it has no more images.

    Smaller parts are subsets of larger ones, so that regimes differ in their size alone.
    """
    order = generator(seed, "transfer images", target).permutation(len(positions))
    return np.sort(positions[order[:images]])
