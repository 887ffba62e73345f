"""Task networks (paper section 3.1): trained from their configuration, with the codes of their encoders and the baselines."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int, Shaped

from taskonomy.config.network_params import Precision
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.machine.device import fastest
from taskonomy.models.encoder import make_encoder
from taskonomy.models.networks import TaskNetwork, task_network
from taskonomy.store.store import Store, Unit
from taskonomy.store.unit_keys import CONSTANT, constant_key, network_key
from taskonomy.training.codes import coded_rows, codes_of
from taskonomy.training.dataloader import ImageInputs, Labels
from taskonomy.training.train_unit import ConstantPredictor, Kept, NoInput, Recipe, train_unit, weights_of
from taskonomy.training.trainer import Curve, seeded

EachEpoch = Callable[[int, Curve], object]


@dataclass(frozen=True)
class Trained:
    """What the stage `train` keeps of a task.

    Attributes:
        units: `self`, the fully supervised network, and `average`, the best constant; empty for a task without a label.
        keys: Keys of the units in the store.
        network: The network with its weights.
        codes: What a target does to its images -> the codes of all images but those of the train split.
    """

    units: dict[str, Unit]
    keys: dict[str, str]
    network: torch.nn.Module
    codes: dict[str, Shaped[np.ndarray, "coded channels height width"]]


def train_task(prepared: Prepared, config: TaskConfig, store: Store, each_epoch: EachEpoch | None = None) -> Trained:
    """Train a task's network and its best constant on the train split, and encode every other image.

    Raises:
        TaskonomyError: A loss is not finite, or the sides of images and maps do not fit.
    """
    task = prepared_task(prepared, config)
    units: dict[str, Unit] = {}
    keys: dict[str, str] = {}
    network = _fresh(config, prepared)
    if task.task.label is not None:
        train = task.of_split(Split.TRAIN)
        labels = Labels(task, np.concatenate([train, task.of_split(Split.VALIDATION)]))
        keys = {"self": network_key(prepared, task, config, train, "self"), "average": constant_key(task, config, train)}
        recipe = _recipe("network", task, labels, config, train, prepared)
        units["self"] = train_unit(store, keys["self"], recipe, lambda: network_of(config, prepared), keep=True, each_epoch=each_epoch)
        network.load_state_dict(weights_of(units["self"]))
        units["average"] = train_constant(prepared, task, labels, config, train, keys["average"], store)
    torch.set_num_threads(1)
    rows, read = coded_rows(prepared.splits), config.entry.input
    encoder = network.encoder if isinstance(network, TaskNetwork) else network
    encoder.to(fastest(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = config.codes.dtype
    codes = {how.value: codes_of(encoder, prepared.images, rows, how, read, config.precision, dtype) for how in config.codes.inputs}
    return Trained(units, keys, network, codes)


def train_scratch(
    prepared: Prepared, config: TaskConfig, train: Int[np.ndarray, " samples"], key: str, store: Store, also: Kept | None = None
) -> Unit:
    """Train the baseline of gain: the task's network, on a transfer's images alone."""
    task = prepared_task(prepared, config)
    labels = Labels(task, np.concatenate([train, task.of_split(Split.VALIDATION)]))
    return train_unit(store, key, _recipe("scratch", task, labels, config, train, prepared), lambda: network_of(config, prepared), also=also)


def train_constant(
    prepared: Prepared, task: PreparedTask, labels: Labels, config: TaskConfig, train: Int[np.ndarray, " samples"], key: str, store: Store
) -> Unit:
    """Fit the best constant of these samples; the same for every image, but not for every pixel."""
    shape = labels.packed_shape(config.definition.output_shape(int(prepared.images.shape[1])))
    return train_unit(store, key, _constant(task, labels, config, train), lambda: ConstantPredictor(shape))


def prepared_task(prepared: Prepared, config: TaskConfig) -> PreparedTask:
    """Open the samples and labels of a configured task."""
    return replace(prepared.task(config.definition), task=config.definition)


def network_of(config: TaskConfig, prepared: Prepared) -> torch.nn.Module:
    """Build a fresh network of a task."""
    side = int(prepared.images.shape[1])
    return task_network(config.definition, config.encoder, config.decoder, side, tile_side=config.tile_side)


def _fresh(config: TaskConfig, prepared: Prepared) -> torch.nn.Module:
    """Build a network with its initial weights; for a task without a head, an encoder that is never trained."""
    seeded(config.seed, config.task, "random")
    if config.entry.head is not None:
        return network_of(config, prepared)
    return make_encoder(config.encoder, config.definition.in_channels)


def _recipe(kind: str, task: PreparedTask, labels: Labels, config: TaskConfig, train: Int[np.ndarray, " samples"], prepared: Prepared) -> Recipe:
    inputs = ImageInputs(prepared.images, task.task.input, config.tile_side)
    return Recipe(
        f"{kind} {config.task}", task.task, labels, inputs, train, config.schedule, config.precision, config.seed,
        save_every=0.0, adversarial=config.adversarial, mirror=config.mirror, curve=kind == "network",
    )  # fmt: skip


def _constant(task: PreparedTask, labels: Labels, config: TaskConfig, train: Int[np.ndarray, " samples"]) -> Recipe:
    return Recipe(f"average {task.task.name}", task.task, labels, NoInput(), train, CONSTANT, Precision.FLOAT32, config.seed)
