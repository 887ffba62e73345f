"""Task networks (paper section 3.1): trained from a card, with the codes of their encoders and the baselines beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped

from taskonomy.config.params import AdversarialParams, Precision, ScheduleParams
from taskonomy.config.task_config import as_card
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.labels.encodings import Input
from taskonomy.machine.device import fastest
from taskonomy.models.encoder import make_encoder
from taskonomy.models.networks import TaskNetwork, in_channels_of, outputs_of, task_network
from taskonomy.models.shapes_from_params import decoder_shape, encoder_shape
from taskonomy.store.store import Store, Unit, code_digest, key_of
from taskonomy.store.unit_keys import UNIT_CODE, data_digest, network_key
from taskonomy.tasks.dictionary import Task
from taskonomy.training.codes import coded_rows, codes_of
from taskonomy.training.dataloader import Images, Labels
from taskonomy.training.train_unit import Constant, Nothing, Recipe, train_unit, weights_of
from taskonomy.training.trainer import Curve, seeded

# A constant is fitted by the same loop, in steps that a network would not survive. With fewer than CONSTANT_STEPS in these epochs it makes more:
# on every loss so many come within 2 % of the optimum.
CONSTANT = ScheduleParams(epochs=6, batch=64, rate=0.1, slow_after=0.6, weight_decay=0.0)
CONSTANT_STEPS = 200
Card = dict[str, Any]
EachEpoch = Callable[[int, Curve], object]


@dataclass(frozen=True)
class Trained:
    """What the stage `train` keeps of a task.

    Attributes:
        units: `self`, the fully supervised network, and `average`, the best constant; none of a task without a label.
        keys: Of the units in the store.
        network: With its weights.
        codes: What the target does to its images -> the codes of all images but those of the train split.
    """

    units: dict[str, Unit]
    keys: dict[str, str]
    network: torch.nn.Module
    codes: dict[str, Shaped[np.ndarray, "coded channels height width"]]


def train_task(prepared: Prepared, card: Card, store: Store, each_epoch: EachEpoch | None = None) -> Trained:
    """Train a task's network and its best constant on the train split, and encode every other image.

    Raises:
        TaskonomyError: A loss that is not finite; sides that do not fit.
    """
    task = as_card(prepared.task(card["task"]), card)
    units: dict[str, Unit] = {}
    keys: dict[str, str] = {}
    network = _fresh(task.task, card, prepared)
    if task.task.label is not None:
        train = task.of_split("train")
        labels = Labels(task, np.concatenate([train, task.of_split("validation")]))
        keys = {"self": network_key(prepared, task, card, train, "self"), "average": constant_key(task, card, train)}
        recipe = _recipe("network", task, labels, card, train, prepared)
        units["self"] = train_unit(store, keys["self"], recipe, lambda: network_of(task.task, card, prepared), keep=True, each_epoch=each_epoch)
        network.load_state_dict(weights_of(units["self"]))
        units["average"] = train_unit(store, keys["average"], _constant(task, labels, card, train), lambda: Constant(_output_shape(task, prepared)))
    torch.set_num_threads(1)
    how = Precision(card["precision"])
    rows, source, dtype = coded_rows(prepared.splits), task.task.input, card["codes"]["dtype"]
    encoder = network.encoder if isinstance(network, TaskNetwork) else network
    encoder.to(fastest(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    codes = {name: codes_of(encoder, prepared.images, rows, Input(name), source, how, dtype) for name in card["codes"]["inputs"]}
    return Trained(units, keys, network, codes)


def train_scratch(prepared: Prepared, card: Card, train: Int[np.ndarray, " samples"], key: str, store: Store) -> Unit:
    """The baseline of gain: the task's network, trained on a transfer's images alone."""
    task = as_card(prepared.task(card["task"]), card)
    labels = Labels(task, np.concatenate([train, task.of_split("validation")]))
    return train_unit(store, key, _recipe("scratch", task, labels, card, train, prepared), lambda: network_of(task.task, card, prepared))


def network_of(task: Task, card: Card, prepared: Prepared) -> torch.nn.Module:
    """A fresh network of a task."""
    side = int(prepared.images.shape[1])
    return task_network(task, encoder_shape(card["encoder"]), decoder_shape(card["decoder"]), side, tile_side=card["tile_side"])


def constant_key(task: PreparedTask, card: Card, train: Int[np.ndarray, " samples"]) -> str:
    """Of the best constant for these samples."""
    what = {"task": card["task"], "entry": card["entry"], "seed": card["seed"], "schedule": _schedule_of_constant(len(train)).model_dump()}
    return key_of(kind="average", card=what, data=data_digest(None, task, train, images=False), code=code_digest(*UNIT_CODE))


def _fresh(task: Task, card: Card, prepared: Prepared) -> torch.nn.Module:
    """A network with the weights it starts from; of a task without a head, an encoder that will stay as it is."""
    seeded(card["seed"], task.name, "random")
    if task.head is not None:
        return network_of(task, card, prepared)
    return make_encoder(encoder_shape(card["encoder"]), in_channels_of(task))


def _recipe(kind: str, task: PreparedTask, labels: Labels, card: Card, train: Int[np.ndarray, " samples"], prepared: Prepared) -> Recipe:
    inputs = Images(prepared.images, task.task.input, card["tile_side"])
    precision, schedule = Precision(card["precision"]), ScheduleParams(**card["schedule"])
    adversarial = AdversarialParams(**card["adversarial"]) if card["adversarial"] else None
    name = f"{kind} {task.task.name}"
    return Recipe(name, task.task, labels, inputs, train, schedule, precision, card["seed"], save_every=0.0, adversarial=adversarial)


def _constant(task: PreparedTask, labels: Labels, card: Card, train: Int[np.ndarray, " samples"]) -> Recipe:
    schedule = _schedule_of_constant(len(train))
    return Recipe(f"average {task.task.name}", task.task, labels, Nothing(), train, schedule, Precision.FLOAT32, card["seed"])


def _schedule_of_constant(samples: int) -> ScheduleParams:
    enough = ceil(CONSTANT_STEPS / ceil(samples / CONSTANT.batch))
    return CONSTANT.model_copy(update={"epochs": max(CONSTANT.epochs, enough)})


def _output_shape(task: PreparedTask, prepared: Prepared) -> tuple[int, ...]:
    head, side = task.task.head, int(prepared.images.shape[1])
    numbers = outputs_of(task.task)
    return (numbers,) if head is None or head.layers else (numbers, side // head.shrink, side // head.shrink)
