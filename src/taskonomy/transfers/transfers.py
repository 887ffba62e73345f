"""Transfers (paper section 3.2): from the codes of one or more frozen encoders to a target, each a unit of work."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from taskonomy.affinity.ahp import affinities
from taskonomy.affinity.win_rates import win_rates
from taskonomy.compute.executor import LOCAL, Engine
from taskonomy.compute.work import Work
from taskonomy.config.params import Kind, Precision, TransferParams
from taskonomy.config.task_config import as_card
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator
from taskonomy.store.store import Store, Unit, code_digest, digest_of, key_of
from taskonomy.store.unit_keys import UNIT_CODE, data_digest, network_key, prepared_files
from taskonomy.tasks import DICTIONARY
from taskonomy.transfers.beam_search import Sources, candidates

SCRATCH: Sources = ("scratch",)


@dataclass(frozen=True)
class Job:
    """All transfers to one target; small, because it travels between processes.

    Attributes:
        prepared: Folder of the prepared data.
        codes: Folder with the codes of each source.
        sources: Tasks to transfer from.
        store: Folder of the finished units.
        card: The target's, as JSON.
        params: The section `transfer`, as JSON.
    """

    prepared: Path
    codes: Path
    sources: tuple[str, ...]
    store: Path
    card: str
    params: str

    def settled(self) -> "Job":
        """With what `precision: auto` means on this machine, whichever one the transfers are trained on."""
        return replace(self, params=settled(self.params))


@dataclass(frozen=True)
class Transferred:
    """All transfers to one target.

    Attributes:
        units: Sources -> the unit; `SCRATCH` is the network trained from scratch on the same images.
        keys: Of the units in the store.
    """

    units: dict[Sources, Unit]
    keys: dict[Sources, str]

    def table(self) -> pd.DataFrame:
        """One row a unit: its key, its sources joined by +, its order (0: from scratch), the epoch chosen, and that epoch's mean losses."""
        rows = []
        for sources, unit in self.units.items():
            chosen = unit.facts["chosen"]
            losses = {split: unit.facts[split][chosen] for split in ("train", "validation")}
            order = 0 if sources == SCRATCH else len(sources)
            rows.append({"key": self.keys[sources], "sources": "+".join(sources), "order": order, "epoch": chosen + 1, **losses})
        return pd.DataFrame(rows)

    def losses(self, split: str) -> tuple[list[str], Float[np.ndarray, "candidates images"]]:
        """Candidates and their losses on one half of the test split."""
        sets = [sources for sources in self.units if sources != SCRATCH]
        return ["+".join(sources) for sources in sets], np.stack([self.units[sources].arrays[split] for sources in sets])


def transfers_to(job: Job, told: Callable[[int], object] = lambda done: None, engine: Engine = LOCAL) -> Transferred:
    """Every transfer to a target that the parameters ask for, order by order; what the store knows is not trained again.

    Args:
        job: Which.
        told: Called with the number of units that are there, as they come.
        engine: Sees to what is missing.

    Raises:
        TaskonomyError: A source's codes are not there or do not fit; a loss that is not finite.
    """
    job = job.settled()
    opened = open_job(job)
    target, params = opened.task.task, opened.params
    pool = [name for name in opened.sources if name != target.name and DICTIONARY[name].label is not None]
    todo: list[Sources] = [SCRATCH, *((name,) for name in opened.sources)]
    units: dict[Sources, Unit] = {}
    for order in range(1, params.max_order + 1):
        if order > 1:
            todo = candidates(order, _worth(units, target.name), pool, params.beam)
        units |= _units(job, todo, told, engine)
    return Transferred(units, {sources: opened.key(sources) for sources in units})


def _units(job: Job, todo: Sequence[Sources], told: Callable[[int], object], engine: Engine) -> dict[Sources, Unit]:
    """From the store, or trained side by side; in the order asked for."""
    opened = open_job(job)
    known = {sources: unit for sources in todo if (unit := opened.store.read(opened.key(sources))) is not None}
    told(len(known))
    missing = [opened.work(sources) for sources in todo if sources not in known]
    for work, _none in engine.submit(missing):
        (_job, sources), (key,) = work.item, work.keys
        unit = opened.store.read(key)
        if unit is None:
            raise TaskonomyError(f"{job.store}: the unit {key} vanished while it was used")
        known[sources] = unit
        told(1)
    return {sources: known[sources] for sources in todo}


def _worth(units: dict[Sources, Unit], target: str) -> dict[Sources, float]:
    """Affinity of every set tried so far, among themselves, on the images that affinities are measured on."""
    sets = [sources for sources in units if sources != SCRATCH]
    losses = np.stack([units[sources].arrays["test_affinity"] for sources in sets])
    return dict(zip(sets, affinities(win_rates(losses, target, ["+".join(sources) for sources in sets])).tolist(), strict=True))


def _train(work: tuple[Job, Sources]) -> None:
    """Train one unit; torch is loaded here, where it is needed."""
    from taskonomy.training.task_networks import train_scratch
    from taskonomy.training.train_transfer import train_transfer

    job, sources = work
    opened = open_job(job)
    key = opened.key(sources)
    if sources == SCRATCH:
        train_scratch(opened.prepared, opened.card, opened.train, key, opened.store)
    else:
        train_transfer(opened, key, sources, [opened.codes(source) for source in sources])


class Opened:
    """What all transfers to a target share in one process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        params = TransferParams(**json.loads(job.params))
        self.params = params.model_copy(update={"precision": params.precision.here()})
        self.card: dict[str, Any] = json.loads(job.card)
        self.prepared, self.store = Prepared(job.prepared), Store(job.store)
        self.task = as_card(self.prepared.task(self.card["task"]), self.card)
        self.sources = sorted(job.sources)
        self.train = chosen_samples(self.task.of_split("transfer"), self.params.images, self.params.seed, self.task.task.name)
        self.held: dict[str, Any] = {}
        self._codes: dict[str, Any] = {}
        self._common: dict[str, Any] | None = None
        self._digests: dict[str, str] = {}

    def codes(self, source: str) -> Any:
        """A source's codes of what the target sees, memory-mapped."""
        if source not in self._codes:
            path = self.job.codes / source / f"{self.task.task.input.value}.npy"
            try:
                codes = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise TaskonomyError(f"{path}: no readable codes ({error}); the stage `train` writes them") from None
            rows = int((self.prepared.splits != 0).sum())
            if codes.ndim != 4 or len(codes) != rows:
                raise TaskonomyError(f"{path}: codes of {len(codes)} images, not of the {rows} outside the train split; train again")
            self._codes[source] = codes
        return self._codes[source]

    def key(self, sources: Sources) -> str:
        """Of a unit: whatever determines its result, and nothing of its company."""
        if sources == SCRATCH:
            return network_key(self.prepared, self.task, self.card, self.train, "scratch")
        if self._common is None:
            settings = {name: self.card[name] for name in ("task", "entry", "decoder")}
            if self.params.decoder_width != 1:
                settings["decoder_width"] = self.params.decoder_width
            self._common = {
                "card": settings,
                "schedule": self.params.schedule.model_dump(),
                "precision": self.params.precision.value,
                "seed": self.params.seed,
                "data": data_digest(self.prepared, self.task, self.train, images=False),
                "code": code_digest(*UNIT_CODE),
            }
        for source in sources:
            if source not in self._digests:
                self._digests[source] = digest_of(self.codes(source))
        return key_of(kind="transfer", sources=list(sources), codes=[self._digests[source] for source in sources], **self._common)

    def work(self, sources: Sources) -> Work:
        """The unit, to be handed over."""
        target = self.task.task
        name = f"transfer {'+'.join(sources)} -> {target.name}"
        codes = [] if sources == SCRATCH else [self.job.codes / source / f"{target.input.value}.npy" for source in sources]
        return Work(
            name,
            Kind.TRANSFER,
            _train,
            (self.job, sources),
            (*prepared_files(self.job.prepared, target.name), *codes),
            self.store.root,
            (self.key(sources),),
        )


@lru_cache(maxsize=1)
def open_job(job: Job) -> Opened:
    """A job's shared data, opened once in a process: transfers to one target follow one another."""
    return Opened(job)


def settled(params: str) -> str:
    """The section `transfer`, as JSON, with what `precision: auto` means on this machine."""
    values = json.loads(params)
    return json.dumps({**values, "precision": Precision(values["precision"]).here().value})


def chosen_samples(positions: Int[np.ndarray, " samples"], images: int, seed: int, target: str) -> Int[np.ndarray, " chosen"]:
    """A random part of the transfer split, sorted; all of it where there are no more.

    Smaller parts lie within larger ones, so that regimes differ in their size alone.
    """
    order = generator(seed, "transfer images", target).permutation(len(positions))
    return np.sort(positions[order[:images]])
