"""What determines a task's network: its entry in the dictionary, and the parameters, resolved for it alone.

Networks are trained from these files, one for each task, so that an edit of one entry, or of what one task does otherwise, reruns this task and
no other. `data/cards/TASK.json` holds one.
"""

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from taskonomy.config.network_params import AdversarialParams, DecoderParams, EncoderParams, Precision, ScheduleParams
from taskonomy.config.params import Params
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Head, Input, Loss
from taskonomy.labels.mirror import Mirroring
from taskonomy.labels.task import Task
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.custom_tasks import AnyCustomTask, custom_name


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelConfig(_Frozen):
    """What a network can see of how labels are kept and encoded. How they are made shows in the labels themselves.

    Attributes:
        dtype: Of the compact array.
        encode: Name of the function that gives what the loss compares.
        mask: Which pixels have a label.
        valid: Name of the function that says which values are labels; None: all.
    """

    dtype: str
    encode: str
    mask: str
    valid: str | None


class EntryConfig(_Frozen):
    """What a network can see of a task's entry: titles and families change nothing."""

    loss: Loss | None
    head: Head | None
    input: Input
    images: int
    label: LabelConfig | None


class CodesConfig(_Frozen):
    """Which codes the task's encoder computes.

    Attributes:
        dtype: As codes are stored.
        inputs: What is done to the image before it is encoded: nothing, and what single targets ask for. A target of noise is solved from noise.
    """

    dtype: Literal["float16", "float32"]
    inputs: tuple[Input, ...]


class TaskConfig(_Frozen):
    """All that training a task's network and computing its codes depend on, beside images, labels and code.

    Attributes:
        task: Name.
        own: What declares it, where it is not a task of the dictionary.
        entry: What its network can see of its entry.
        encoder: Shape of its encoder.
        decoder: Shape of its decoder.
        tile_side: Of the jigsaw's tiles as encoders see them, pixels; None: the image's, and of all other tasks.
        schedule: How long and how fast it is trained.
        precision: Of the network's arithmetic, as it is on this machine.
        adversarial: The second term of its loss; None: none.
        mirror: How its labels turn, if half of the training images are mirrored; None: none is.
        seed: Seed.
        codes: Which codes its encoder computes.
    """

    task: str
    own: AnyCustomTask | None = None
    entry: EntryConfig
    encoder: EncoderParams
    decoder: DecoderParams
    tile_side: int | None
    schedule: ScheduleParams
    precision: Precision
    adversarial: AdversarialParams | None
    mirror: Mirroring | None
    seed: int
    codes: CodesConfig

    @cached_property
    def definition(self) -> Task:
        """Return the task, with the head that this configuration gives it."""
        task = BUILT_IN[self.task] if self.own is None else self.own.entry(self.task)
        return task if self.entry.head is None else replace(task, head=self.entry.head)

    def __getstate__(self) -> dict[Any, Any]:
        """Return the values alone: a definition holds functions that no pickle can name."""
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if name != "definition"}}

    def as_json(self) -> dict[str, Any]:
        """Return what the stage `cards` writes."""
        values = self.model_dump(mode="json")
        if self.own is None:
            del values["own"]
        else:
            values["own"] = self.own.decides()
        return values


def task_config(task: Task, params: Params) -> TaskConfig:
    """Resolve the parameters for one task."""
    train, own = params.train, params.data.own.get(task.name)
    return TaskConfig.model_validate(
        {
            "task": task.name,
            "own": own.decides() if own else None,
            "entry": _entry(_with_embedding(task, train.embedding)),
            "encoder": train.encoder,
            "decoder": train.decoder,
            "tile_side": train.tile_side if task.input is Input.TILES else None,
            "schedule": train.schedule_of(task.name, task.output),
            "precision": train.precision.here(),
            "adversarial": _adversarial(task, train.adversarial),
            "mirror": task.label.mirror if train.mirror and task.label else None,
            "seed": train.seed,
            "codes": CodesConfig(dtype=params.transfer.codes, inputs=inputs_of_targets(params.transfer.targets, params.registry)),
        }
    )


def read_task_config(path: Path) -> TaskConfig:
    """Read what the stage `cards` wrote.

    Raises:
        TaskonomyError: It is not there, or is damaged.
    """
    try:
        values = json.loads(path.read_text())
        found = TaskConfig.model_validate(values)
        if found.own is not None:
            custom_name(found.task)
        elif found.task not in BUILT_IN:
            raise ValueError(f"{found.task} is no task of the dictionary")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise TaskonomyError(f"{path}: no configuration of a task ({where}: {first['msg']}); the stage `cards` writes it") from None
    except (OSError, ValueError) as error:
        raise TaskonomyError(f"{path}: no readable configuration of a task ({error}); the stage `cards` writes it") from None
    return found


def inputs_of_targets(targets: tuple[str, ...], registry: Registry) -> tuple[Input, ...]:
    """List what is done to the image before sources encode it, for these targets."""
    return tuple(sorted({registry[name].input for name in targets} | {Input.IMAGE}))


def _entry(task: Task) -> EntryConfig:
    label = task.label
    kept = None
    if label is not None:
        kept = LabelConfig(dtype=label.dtype, encode=_name(label.encode) or "", mask=label.mask.value, valid=_name(label.valid))
    return EntryConfig(loss=task.loss, head=task.head, input=task.input, images=task.images, label=kept)


def _with_embedding(task: Task, channels: int) -> Task:
    """Set the channels of the embeddings that the metric loss compares; the entry has the paper's."""
    return replace(task, head=replace(task.head, channels=channels)) if task.loss is Loss.PAIRWISE and task.head else task


def _adversarial(task: Task, params: AdversarialParams) -> AdversarialParams | None:
    """Return the second term of maps trained with L1 or L2; other tasks' networks do not depend on it, nor any while it is off."""
    applies = task.head is not None and not task.head.layers and task.loss in (Loss.L1, Loss.L2)
    return params if applies and params.share else None


def _name(function: Any) -> str | None:
    """Name a function as keys and files do: without its module, which may move."""
    return None if function is None else str(function.__qualname__)
