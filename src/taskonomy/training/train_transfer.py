"""Transfers, trained from stored codes, and the networks of a few of them, trained once more for their weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import nn

from taskonomy.config.network_params import DecoderParams
from taskonomy.models.networks import pixel_network, transfer_network
from taskonomy.store.store import Unit
from taskonomy.training.dataloader import CodeInputs, FixedImages, ImageInputs, Labels
from taskonomy.training.task_networks import network_of
from taskonomy.training.train_unit import Kept, Recipe, train_unit, weights_of
from taskonomy.training.transfer_context import SCRATCH, Sources, TransferContext, shared


def train_transfer(
    context: TransferContext,
    key: str,
    sources: Sources,
    codes: Sequence[Any],
    *,
    rows: Int[np.ndarray, " views"] | None = None,
    keep: bool = False,
    also: Kept | None = None,
) -> Unit:
    """Train a transfer to the context's target from these codes.

    Args:
        context: The target.
        key: Key of the unit.
        sources: The sources as written; they are part of every seed.
        codes: Codes of each source, for all views outside the train split: [coded, channels, height, width].
        rows: Row of each view among these codes; None: those of the views outside the train split, in order.
        keep: Whether to keep the weights.
        also: Where to keep the weights, if not in this unit.
    """
    params, task = context.params, context.task.task
    inputs = CodeInputs(list(codes), context.code_rows if rows is None else rows)
    name = f"transfer {'+'.join(sources)} {task.name}"
    recipe = Recipe(name, task, context.labels, inputs, context.train, context.schedule, params.precision.here(), params.seed)
    return train_unit(context.units, key, recipe, lambda: fresh_transfer(context, codes), keep=keep, also=also)


def train_pixels(context: TransferContext, key: str) -> Unit:
    """Train the baseline of gain: a shallow network on the images, with the transfers' samples, schedule and decoder."""
    params, task = context.params, context.task.task
    inputs = FixedImages(context.dataset.images, task.input)
    recipe = Recipe(
        f"transfer pixels {task.name}", task, context.labels, inputs, context.train, context.schedule, params.precision.here(), params.seed
    )
    return train_unit(context.units, key, recipe, lambda: fresh_pixels(context))


def fresh_pixels(context: TransferContext) -> nn.Module:
    """Build an untrained network of `train_pixels`."""
    return pixel_network(context.task.task, context.config.encoder, _decoder(context), int(context.dataset.images.shape[1]))


def fresh_transfer(context: TransferContext, codes: Sequence[Any]) -> nn.Module:
    """Build an untrained transfer network from these codes, which may differ in their numbers of channels, to the context's target."""
    channels = sum(int(one.shape[1]) for one in codes)  # a transfer reads the sources' codes as one
    encoder = context.config.encoder.model_copy(update={"channels": channels})
    return transfer_network(context.task.task, 1, encoder, _decoder(context), int(context.dataset.images.shape[1]))


def transfer_with_weights(context: TransferContext, sources: Sources) -> tuple[nn.Module, Unit]:
    """Load the network of one transfer; if its weights were not kept, it is trained again, exactly as when it was measured.

    The weights of all transfers would be many times as large as everything else together (at the paper's size some 60 GB), so the stage `transfer`
    keeps those of the best, as units of their own. Others that are looked at or used are trained once more, with the same bits, and then kept so.

    Args:
        context: The target and its codes.
        sources: Sources of the transfer.

    Returns:
        The network, ready for testing, and its unit, whose losses are those that were measured.
    """
    opened = shared(context)
    codes = [opened.stored_codes(source) for source in sources]
    unit = train_transfer(opened, opened.weights_key(sources), sources, codes, keep=True)
    network = fresh_transfer(opened, codes)
    network.load_state_dict(weights_of(unit))
    return network.eval(), unit


def scratch_with_weights(context: TransferContext) -> tuple[nn.Module, Unit]:
    """Load the network from scratch on the transfers' images, or train it again, as `transfer_with_weights` does for a transfer."""
    opened = shared(context)
    config, task = opened.config, opened.task
    inputs = ImageInputs(opened.dataset.images, task.task.input, config.tile_side)
    recipe = Recipe(
        f"scratch {config.task}", task.task, Labels(task, opened.train), inputs, opened.train, config.schedule,
        config.precision, config.seed, adversarial=config.adversarial, mirror=config.mirror,
    )  # fmt: skip
    unit = train_unit(opened.units, opened.weights_key(SCRATCH), recipe, lambda: network_of(config, opened.dataset), keep=True)
    network = network_of(config, opened.dataset)
    network.load_state_dict(weights_of(unit))
    return network.eval(), unit


def _decoder(context: TransferContext) -> DecoderParams:
    decoder = context.config.decoder
    return decoder.model_copy(update={"width": decoder.width * context.params.decoder_width})
