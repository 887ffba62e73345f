"""What determines a unit's result, beside its parameters: data and code. No torch is loaded to find out that a unit is known."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from taskonomy.data.prepared import Prepared, PreparedTask
from taskonomy.training.store import code_digest, digest_of, key_of

# Modules whose code decides what a unit's numbers are. A changed comment changes none, so it trains nothing again.
NETWORK_CODE = (
    "taskonomy.nets.critic", "taskonomy.nets.decoders", "taskonomy.nets.encoder", "taskonomy.nets.network", "taskonomy.tasks.labels",
    "taskonomy.tasks.colour", "taskonomy.tasks.jigsaw", "taskonomy.data.prepared", "taskonomy.seeds", "taskonomy.training.adversarial",
    "taskonomy.training.batches", "taskonomy.training.fit", "taskonomy.training.graphs", "taskonomy.training.inputs",
    "taskonomy.training.losses", "taskonomy.training.poses", "taskonomy.training.resident", "taskonomy.training.state",
    "taskonomy.training.units", "taskonomy.training.networks",
)  # fmt: skip
_NOT_OF_TRANSFERS = ("taskonomy.nets.critic", "taskonomy.nets.encoder", "taskonomy.training.networks")
TRANSFER_CODE = (*(name for name in NETWORK_CODE if name not in _NOT_OF_TRANSFERS), "taskonomy.nets.transfer")
_JUDGED_BY = ("validation", "test_affinity", "test_policy")


def data_digest(prepared: Prepared | None, task: PreparedTask, train: Int[np.ndarray, " samples"], *, images: bool) -> str:
    """Of the samples that a unit is trained on, selected by and tested with: labels, masks, and images where its network sees them.

    The version of torch counts as data: another one gives other bits.
    """
    positions = np.concatenate([train, *(task.of_split(split) for split in _JUDGED_BY)])
    rows = np.unique(task.samples[positions])
    arrays: list[Any] = [positions, task.samples[positions], task.splits[positions]]
    if task.task.label is not None:
        arrays.append(np.asarray(task.stored[positions]))
    if task.masks is not None:
        arrays.append(np.asarray(task.masks[rows]))
    if images and prepared is not None:
        arrays.append(np.asarray(prepared.images[rows]))
    return key_of(arrays=digest_of(*arrays), statistics=task.statistics, torch=version("torch"))


def network_key(prepared: Prepared, task: PreparedTask, card: dict[str, Any], train: Int[np.ndarray, " samples"], kind: str) -> str:
    """Of a network trained on these samples. The codes that are made of it later do not belong to it."""
    settings = {name: value for name, value in card.items() if name != "codes"}
    return key_of(kind=kind, card=settings, data=data_digest(prepared, task, train, images=True), code=code_digest(*NETWORK_CODE))


def prepared_files(prepared: Path, *tasks: str) -> tuple[Path, ...]:
    """What of the prepared data is read to train on the labels of these tasks."""
    return (prepared / "index.csv", prepared / "images.npy", prepared / "masks", *(prepared / "tasks" / task for task in tasks))
