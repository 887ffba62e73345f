"""Fine-tuned transfers: a source's encoder, no longer frozen, is trained further on a part of the target's train split.

The network has the form of the target's own. Its encoder starts from the source's weights, its decoder from fresh ones, and all weights are trained.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store, Unit
from taskonomy.training.dataloader import ImageInputs, Labels
from taskonomy.training.task_networks import network_of
from taskonomy.training.train_unit import Recipe, train_unit


def train_fine_tuned(
    store: Store,
    key: str,
    prepared: Prepared,
    task: PreparedTask,
    config: TaskConfig,
    source: str,
    weights: Mapping[str, np.ndarray],
    train: Int[np.ndarray, " samples"],
) -> Unit:
    """Train the unit of a fine-tuned transfer.

    Args:
        store: Store to write the unit to.
        key: The unit's key.
        prepared: The prepared data.
        task: The target.
        config: The target's configuration, with the schedule, precision and seed of transfers.
        source: The source. It is part of every seed; the share is not, so that regimes differ in their samples alone.
        weights: Weights of the source's encoder.
        train: Samples to learn from.
    """
    labels = Labels(task, np.concatenate([train, task.of_split(Split.VALIDATION)]))
    inputs = ImageInputs(prepared.images, task.task.input, config.tile_side)
    name = f"fine-tuned {source} {task.task.name}"
    recipe = Recipe(name, task.task, labels, inputs, train, config.schedule, config.precision, config.seed, mirror=config.mirror)
    return train_unit(store, key, recipe, lambda: start(config, prepared, source, weights))


def start(config: TaskConfig, prepared: Prepared, source: str, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """Build the target's network as it is before its first step.

    Raises:
        TaskonomyError: The source's encoder has another form.
    """
    network = network_of(config, prepared)
    try:
        network.encoder.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})  # type: ignore[union-attr]
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise TaskonomyError(f"transfer.variants: the encoder of {source} does not fit the network of {config.task} ({said}); train again") from None
    return network
