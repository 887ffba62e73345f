"""What determines a task's network: its entry in the dictionary, and the parameters, resolved for it alone.

Networks are trained from their cards, so that an edit of one entry, or of what one task does otherwise, reruns this task and no other.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from taskonomy.config.params import AdversarialParams, Params
from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Head, Input, Loss
from taskonomy.tasks import DICTIONARY, Task
from taskonomy.tasks.custom_tasks import declare_also


def card(task: Task, params: Params) -> dict[str, Any]:
    """All that training a task's network and computing its codes depend on, beside images, labels and code; as JSON."""
    train, own = params.train, params.data.own.get(task.name)
    return {
        "task": task.name,
        **({"own": own.decides()} if own else {}),
        "entry": entry(_with_embedding(task, train.embedding)),
        "encoder": train.encoder.model_dump(),
        "decoder": train.decoder.model_dump(mode="json"),
        "tile_side": train.tile_side if task.input is Input.TILES else None,
        "schedule": train.schedule_of(task.name).model_dump(),
        "precision": train.precision.here().value,
        "adversarial": _adversarial(task, train.adversarial),
        "seed": train.seed,
        "codes": {"dtype": params.transfer.codes, "inputs": inputs_of_targets(params.transfer.targets)},
    }


def read_card(path: Path) -> dict[str, Any]:
    """What the stage `cards` wrote; from here on the dictionary has the task, if it is the user's own.

    Raises:
        TaskonomyError: It is not there, or is damaged.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TaskonomyError(f"{path}: no readable card ({error}); the stage `cards` writes it") from None
    if not isinstance(values, dict) or "task" not in values:
        raise TaskonomyError(f"{path}: no card of a task; the stage `cards` writes it")
    if "own" in values:
        declare_also(values["task"], values["own"])
    return values


def as_card(prepared: PreparedTask, values: dict[str, Any]) -> PreparedTask:
    """A prepared task whose head is the card's."""
    head = values["entry"]["head"]
    return prepared if head is None else replace(prepared, task=replace(prepared.task, head=Head(**head)))


def entry(task: Task) -> dict[str, Any]:
    """What a network can see of an entry: titles and families change nothing, nor does how labels are made, which the labels themselves show."""
    label = task.label
    return {
        "loss": _plain(task.loss),
        "head": None if task.head is None else vars(task.head),
        "input": task.input.value,
        "images": task.images,
        "label": None if label is None else {name: _plain(getattr(label, name)) for name in ("dtype", "encode", "mask", "valid")},
    }


def inputs_of_targets(targets: tuple[str, ...]) -> list[str]:
    """What is done to the image before sources encode it: nothing, and what single targets ask for. A target of noise is solved from noise."""
    return sorted({DICTIONARY[name].input.value for name in targets} | {Input.IMAGE.value})


def _with_embedding(task: Task, channels: int) -> Task:
    """The metric loss compares embeddings, of which the entry gives the paper's size."""
    return replace(task, head=replace(task.head, channels=channels)) if task.loss is Loss.PAIRWISE and task.head else task


def _adversarial(task: Task, params: AdversarialParams) -> dict[str, Any] | None:
    """The second term, of maps trained with L1 or L2 alone; other tasks' networks do not depend on it, nor any while it is off."""
    applies = task.head is not None and not task.head.layers and task.loss in (Loss.L1, Loss.L2)
    return params.model_dump() if applies and params.share else None


def _plain(value: Any) -> Any:
    """Functions by name."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return f"{value.__module__}.{value.__qualname__}"
    return value
