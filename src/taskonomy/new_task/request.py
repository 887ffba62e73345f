"""Set up a query: a task, its images and labels, and the finished run whose sources it is transferred from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from taskonomy.atomic_io import write_csv
from taskonomy.config.data_params import DataParams, QueryTask
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.config.network_params import EncoderParams, Precision
from taskonomy.config.params import Params
from taskonomy.config.task_config import task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.pretrained.about_sources import FACTS, read_encoder_facts
from taskonomy.tasks import Registry, Task
from taskonomy.training.transfer_context import TransferContext, chosen_samples


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of the pipeline, only read.

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
        """Return the folder of the prepared data."""
        return self.root / "data/prepared"

    @property
    def codes(self) -> Path:
        """Return the folder with the codes of each source."""
        return self.root / "data/codes"

    @property
    def models(self) -> Path:
        """Return the folder with the network of each source."""
        return self.root / "models"

    @cached_property
    def data(self) -> Path:
        """Return the folder that its images and labels come from."""
        return self.root / self.params.data.root


@dataclass(frozen=True)
class Encoding:
    """How a run's encoders compute codes.

    Attributes:
        shape: Shape of the encoders.
        precision: Precision of their arithmetic on this machine.
        dtype: Data type that codes are stored in.
    """

    shape: EncoderParams
    precision: Precision
    dtype: str


@dataclass(frozen=True)
class OtherEncoders:
    """Encoders that others trained, as sources of a query.

    Attributes:
        params: What the section `encoders` says of each.
        project: Folder that their files' paths start from.
        codes: Folder with their codes of the run's images, and their projections.
        images: Where the query's images are read.
        data: How, the section `data` of the run.
    """

    params: Mapping[str, PretrainedParams] = field(hash=False)  # what cannot be hashed is compared alone
    project: Path
    codes: Path
    images: str
    data: DataParams = field(hash=False)

    def about(self) -> dict[str, dict[str, Any]]:
        """Return each encoder's licence, and its multiply-adds, millions for each image.

        Raises:
            TaskonomyError: As `read_encoder_facts`.
        """
        return {
            name: {"licence": one.licence, "inference": read_encoder_facts(self.codes / name)["multiply_adds"] / 1e6}
            for name, one in self.params.items()
        }


@dataclass(frozen=True)
class Query:
    """All transfers to a new task; small, because it is sent between processes.

    Attributes:
        context: The transfers that rank the sources, set up as by the stage `transfer`.
        models: Folder with the network of each source.
        encoding: How the run's encoders compute codes.
        images: Numbers of labelled samples of the points of the learning curve, ascending.
        registry: The run's tasks and the new one.
        others: Sources that are no tasks.
        to_encode: Sources for which the run has not stored the codes of these images yet; they are written to the folder of the context.
    """

    context: TransferContext
    models: Path
    encoding: Encoding
    images: tuple[int, ...]
    registry: Registry
    others: OtherEncoders
    to_encode: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Return the new task's name."""
        return self.context.config.task

    @property
    def task(self) -> Task:
        """Return the new task."""
        return self.registry[self.target]

    def with_images(self, images: int) -> TransferContext:
        """Return the context with this number of samples to train on."""
        return replace(self.context, params=self.context.params.model_copy(update={"images": images}))


def ask(run: FinishedRun, name: str, asked: QueryTask, images: tuple[int, ...], work: Path) -> Query:
    """Set up the query for a task.

    A task of the run itself is held out: neither its network nor its codes are a source. Its labels are read where the run prepared them. For a task
    that the run left out, labels are prepared from the run's images; for a task of another folder, from all images of that folder.

    Args:
        run: The finished run with the sources.
        name: Name of the task.
        asked: Its images and labels: the run's own data, or a folder (`taskonomy.data.custom`); and their kind, where the run does not declare it.
        images: Requested numbers of labelled samples.
        work: Folder for prepared data; it must exist as long as the query.

    Raises:
        TaskonomyError: No such task, a task that cannot be a target, or no finished run.
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
    if missing := [encoder for encoder in params.encoders if not (run.codes / encoder / FACTS).is_file()]:
        raise TaskonomyError(f"{run.codes}: no codes of {', '.join(missing)}; the run must be finished: taskonomy repro")
    sources += tuple(params.encoders)
    elsewhere = root.resolve() != run.data.resolve()
    prepared, codes = run.prepared, run.codes
    if elsewhere or name not in params.data.tasks:
        prepared = _prepared(params, name, root, work / "prepared", elsewhere=elsewhere)
    stored = not elsewhere and _same_images(prepared, run.prepared) and _have_codes(codes, sources, task.input.value)
    if not stored:
        codes = work / "codes"
    transfer = params.transfer.model_copy(update={"variants": (), "screen": "none"})
    context = TransferContext(prepared, codes, sources, run.store, task_config(task, params), transfer)
    encoding = Encoding(params.train.encoder, params.train.precision.here(), transfer.codes)
    there = sizes(Prepared(prepared).task(task), images)
    others = OtherEncoders(params.encoders, run.root, run.codes, str(root), params.data.model_copy(update={"tasks": (name,)}))
    return Query(context, run.models, encoding, there, registry, others, () if stored else sources)


def nested_samples(task: PreparedTask, images: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """Choose this number of labelled samples, sorted; smaller sets are subsets of larger ones.

    Samples of the transfer split come first, as in the stage `transfer`, then those of the train split, which the sources' encoders were trained on.
    """
    first, name = task.of_split(Split.TRANSFER), task.task.name
    if images <= len(first):
        return chosen_samples(first, images, seed, name)
    rest = chosen_samples(task.of_split(Split.TRAIN), images - len(first), seed, f"{name} beyond the transfer split")
    return np.sort(np.concatenate([first, rest]))


def sizes(task: PreparedTask, asked: tuple[int, ...]) -> tuple[int, ...]:
    """Return the requested sizes for which there are enough labelled samples; a size that is too large becomes the number of all samples."""
    there = len(task.of_split(Split.TRANSFER)) + len(task.of_split(Split.TRAIN))
    return tuple(sorted({min(size, there) for size in asked}))


def _prepared(params: Params, name: str, root: Path, folder: Path, *, elsewhere: bool) -> Path:
    """Prepare the task's labels with their images.

    The sources' encoders were trained on no image of another folder, so there all images outside validation and test are available for transfers.
    """
    changed: dict[str, Any] = {"root": str(root), "tasks": (name,)}
    if elsewhere:
        # Most of `val` chooses among epochs: a run keeps part of it for transfers, but here those have `train`.
        changed |= {"splits": params.query.splits, "transfer_share": 0.1, "components": ()}
    prepare(root, folder, params.data.model_copy(update=changed))
    if elsewhere:
        index = pd.read_csv(folder / "index.csv", dtype=str)
        write_csv(folder / "index.csv", index.assign(split=index["split"].replace(Split.TRAIN.value, Split.TRANSFER.value)))
    return folder


def _same_images(one: Path, other: Path) -> bool:
    """Return whether two prepared folders hold the same views in the same rows, so that codes of one fit the other."""
    if one == other:
        return True
    if (one / "index.csv").read_bytes() != (other / "index.csv").read_bytes():
        return False
    first, second = Prepared(one).images, Prepared(other).images
    return first.shape == second.shape and all(np.array_equal(first[a : a + 256], second[a : a + 256]) for a in range(0, len(first), 256))


def _have_codes(folder: Path, sources: tuple[str, ...], how: str) -> bool:
    """Return whether the run stored every source's codes of the task's images; for a task on noise it did so only where it was a target."""
    return all((folder / source / f"{how}.npy").is_file() for source in sources)
