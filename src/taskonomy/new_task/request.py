"""What a query is about: a task, its images and labels, and the finished run whose sources it is transferred from."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from taskonomy.atomic_io import write_csv
from taskonomy.config.params import EncoderParams, Params, Precision, QueryTask
from taskonomy.config.task_config import task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import SPLITS
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.tasks import Registry, Task
from taskonomy.training.transfer_context import TransferContext, chosen_samples


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of the pipeline. Nothing in it is changed.

    Attributes:
        root: Its workspace.
        params: Its parameters.
        store: Folder of the finished units.
    """

    root: Path
    params: Params
    store: Path

    @property
    def prepared(self) -> Path:
        """Folder of the prepared data."""
        return self.root / "data/prepared"

    @property
    def codes(self) -> Path:
        """Folder with the codes of each source."""
        return self.root / "data/codes"

    @property
    def models(self) -> Path:
        """Folder with the network of each source."""
        return self.root / "models"

    @cached_property
    def data(self) -> Path:
        """Where its images and labels come from."""
        return self.root / self.params.data.root


@dataclass(frozen=True)
class Encoding:
    """How a run's encoders compute codes.

    Attributes:
        shape: Of the encoders.
        precision: Of their arithmetic, as it is on this machine.
        dtype: As codes are stored.
    """

    shape: EncoderParams
    precision: Precision
    dtype: str


@dataclass(frozen=True)
class Query:
    """All transfers to a new task; small, because it travels between processes.

    Attributes:
        context: The transfers that rank the sources, as the stage `transfer` would have them.
        models: Folder with the network of each source.
        encoding: How the run's encoders compute codes.
        images: Labelled samples of each point of the learning curve, ascending.
        registry: The run's tasks and the new one.
        to_encode: Sources whose codes of these images are not stored yet by the run; their folder is the context's.
    """

    context: TransferContext
    models: Path
    encoding: Encoding
    images: tuple[int, ...]
    registry: Registry
    to_encode: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The new task's name."""
        return self.context.config.task

    @property
    def task(self) -> Task:
        """Return the new task."""
        return self.registry[self.target]

    def with_images(self, images: int) -> TransferContext:
        """Return the context with so many samples to learn from."""
        return replace(self.context, params=self.context.params.model_copy(update={"images": images}))


def ask(run: FinishedRun, name: str, asked: QueryTask, images: tuple[int, ...], work: Path) -> Query:
    """The query for a task.

    A task of the run itself is held out: neither its network nor its codes are a source. Its labels are read where the run prepared them. Of a task
    that the run left out the labels are prepared from the run's images, and those of any other folder with all its images.

    Args:
        run: With sources.
        name: Of the task.
        asked: Its images and labels: the run's own data, or a folder (`taskonomy.data.custom`); and what they are, where the run does not say.
        images: Sizes asked for.
        work: Folder for what is prepared; it has to live as long as the query.

    Raises:
        TaskonomyError: No such task, one that is no target, no finished run.
    """
    params, root = run.params, Path(asked.root)
    if asked.own is not None:
        params = params.model_copy(update={"data": params.data.model_copy(update={"own": {**params.data.own, name: asked.own}})})
    registry = params.registry
    if name not in registry:
        raise unknown("query: tasks", [name], registry)
    task = registry[name]
    if task.label is None or "target" not in task.roles:
        raise TaskonomyError(f"query: {name} has no labels that can be transferred to: it is a source only")
    sources = tuple(source for source in params.data.tasks if source != name)
    if missing := [source for source in sources if not (run.models / source / "network.safetensors").is_file()]:
        raise TaskonomyError(f"{run.models}: no network of {', '.join(missing)}; the run must be finished: taskonomy repro")
    elsewhere = root.resolve() != run.data.resolve()
    prepared, codes = run.prepared, run.codes
    if elsewhere or name not in params.data.tasks:
        prepared = _prepared(params, name, root, work / "prepared", elsewhere=elsewhere)
    stored = not elsewhere and _same_images(prepared, run.prepared) and _have_codes(codes, sources, task.input.value)
    if not stored:
        codes = work / "codes"
    transfer = params.transfer.model_copy(update={"more": ()})
    context = TransferContext(prepared, codes, sources, run.store, task_config(task, params), transfer)
    encoding = Encoding(params.train.encoder, params.train.precision.here(), transfer.codes)
    there = sizes(Prepared(prepared).task(task), images)
    return Query(context, run.models, encoding, there, registry, () if stored else sources)


def nested_samples(task: PreparedTask, images: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """So many labelled samples, sorted; fewer lie within more.

    Those of the transfer split come first, as the stage `transfer` takes them, then those of the train split, which the sources' encoders have seen.
    """
    first, name = task.of_split("transfer"), task.task.name
    if images <= len(first):
        return chosen_samples(first, images, seed, name)
    rest = chosen_samples(task.of_split("train"), images - len(first), seed, f"{name} beyond the transfer split")
    return np.sort(np.concatenate([first, rest]))


def sizes(task: PreparedTask, asked: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes asked for that there are labelled samples for; where one is too large, all samples stand in for it."""
    there = len(task.of_split("transfer")) + len(task.of_split("train"))
    return tuple(sorted({min(size, there) for size in asked}))


def _prepared(params: Params, name: str, root: Path, folder: Path, *, elsewhere: bool) -> Path:
    """The task's labels, with their images. Of another folder no image is one that the sources' encoders were trained on, so all of them that are not
    for validation or tests are for transfers."""
    changed: dict[str, Any] = {"root": str(root), "tasks": (name,)}
    if elsewhere:
        # Of `val` most chooses among epochs: in a run it is there for transfers, here those have `train`.
        changed |= {"splits": params.query.splits, "transfer_share": 0.1}
    prepare(root, folder, params.data.model_copy(update=changed))
    if elsewhere:
        index = pd.read_csv(folder / "index.csv", dtype=str)
        write_csv(folder / "index.csv", index.assign(split=index["split"].replace(SPLITS[0], SPLITS[1])))
    return folder


def _same_images(one: Path, other: Path) -> bool:
    """Whether two prepared folders have the same views in the same rows: then codes of one are those of the other."""
    if one == other:
        return True
    if (one / "index.csv").read_bytes() != (other / "index.csv").read_bytes():
        return False
    first, second = Prepared(one).images, Prepared(other).images
    return first.shape == second.shape and all(np.array_equal(first[a : a + 256], second[a : a + 256]) for a in range(0, len(first), 256))


def _have_codes(folder: Path, sources: tuple[str, ...], how: str) -> bool:
    """Whether the run stored what the task's images look like to every source: those of a target of noise it has only where it was a target."""
    return all((folder / source / f"{how}.npy").is_file() for source in sources)
