"""What determines a unit's result, besides its parameters: data and code. Torch is not loaded to find out that a unit is finished."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from taskonomy.config.network_params import ScheduleParams
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.store.store import code_digest, digest_of, key_of

# Folders whose code decides a unit's numbers. Comments do not count, so that editing one trains nothing again.
UNIT_CODE = ("taskonomy.dataset", "taskonomy.labels", "taskonomy.models", "taskonomy.numeric", "taskonomy.training")
# A constant is fitted by the same loop, at a learning rate too high for networks. If these epochs have fewer than CONSTANT_STEPS steps, more follow:
# for every loss, so many steps come within 2 % of the optimum.
CONSTANT_STEPS = 200
CONSTANT = ScheduleParams(epochs=6, least_steps=CONSTANT_STEPS, batch=64, rate=0.1, slow_after=0.6, weight_decay=0.0)


def data_digest(prepared: Prepared | None, task: PreparedTask, train: Int[np.ndarray, " samples"], *, images: bool) -> str:
    """Compute a digest of the samples that a unit is trained, selected and tested with: labels, masks, and images where its network sees them.

    The versions of libraries count as data: other ones give other bits.
    """
    positions = np.concatenate([train, *(task.of_split(split) for split in (Split.VALIDATION, *TEST_SPLITS))])
    rows = np.unique(task.samples[positions])
    arrays: list[Any] = [positions, task.samples[positions], task.splits[positions]]
    if task.task.label is not None:
        arrays.append(np.asarray(task.stored[positions]))
    if task.masks is not None:
        arrays.append(np.asarray(task.masks[rows]))
    if images and prepared is not None:
        arrays.append(np.asarray(prepared.images[rows]))
    return key_of(arrays=digest_of(*arrays), statistics=task.statistics, **libraries(images=images))


def libraries(*, images: bool) -> dict[str, str]:
    """Return versions by name: torch's, and torchvision's, whose encoders are used, where images are seen; codes are known by their bytes."""
    return {name: version(name) for name in (("torch", "torchvision") if images else ("torch",))}


def network_key(prepared: Prepared, task: PreparedTask, config: TaskConfig, train: Int[np.ndarray, " samples"], kind: str) -> str:
    """Compute the key of a network trained on these samples. Codes that are computed with it later have no part in it."""
    settings = {name: value for name, value in config.as_json().items() if name != "codes"}
    return key_of(kind=kind, card=settings, data=data_digest(prepared, task, train, images=True), code=code_digest(*UNIT_CODE))


def constant_key(task: PreparedTask, config: TaskConfig, train: Int[np.ndarray, " samples"]) -> str:
    """Compute the key of the best constant of these samples."""
    settings = config.model_dump(mode="json", include={"task", "entry", "seed"})
    what = {**settings, "schedule": CONSTANT.model_dump()}
    return key_of(kind="average", card=what, data=data_digest(None, task, train, images=False), code=code_digest(*UNIT_CODE))


def prepared_files(prepared: Path, *tasks: str) -> tuple[Path, ...]:
    """List the prepared files that are read to train on the labels of these tasks."""
    return (prepared / "index.csv", prepared / "images.npy", prepared / "masks", *(prepared / "tasks" / task for task in tasks))
