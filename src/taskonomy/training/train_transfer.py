"""Transfers, trained from stored codes: what the stages `transfer`, `more` and those that need the weights of a few of them share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from taskonomy.config.params import AdversarialParams, Precision, ScheduleParams
from taskonomy.models.networks import transfer_network
from taskonomy.models.shapes_from_params import decoder_shape, encoder_shape
from taskonomy.store.store import Unit, key_of
from taskonomy.training.codes import row_of_view
from taskonomy.training.dataloader import Codes, Images, Labels
from taskonomy.training.task_networks import network_of
from taskonomy.training.train_unit import Recipe, train_unit, weights_of
from taskonomy.transfers.beam_search import Sources
from taskonomy.transfers.transfers import SCRATCH, Job, Opened, open_job


def train_transfer(opened: Opened, key: str, sources: Sources, codes: Sequence[Any], *, keep: bool = False) -> Unit:
    """A transfer to the opened target from these codes.

    Args:
        opened: The target.
        key: Of the unit.
        sources: Whose codes, as written: part of every seed.
        codes: Of each source, for all views outside the train split: [coded, channels, height, width].
        keep: Whether the weights are kept.
    """
    task = opened.task
    if "labels" not in opened.held:
        judged = [task.of_split(split) for split in ("validation", "test_affinity", "test_policy")]
        opened.held["labels"] = Labels(task, np.concatenate([opened.train, *judged]))
        opened.held.setdefault("rows", row_of_view(opened.prepared.splits))
    inputs = Codes(list(codes), opened.held["rows"])
    schedule, precision = ScheduleParams(**opened.params.schedule.model_dump()), Precision(opened.params.precision)
    name = f"transfer {'+'.join(sources)} {task.task.name}"
    recipe = Recipe(name, task.task, opened.held["labels"], inputs, opened.train, schedule, precision, opened.params.seed)
    channels = int(codes[0].shape[1])
    return train_unit(opened.store, key, recipe, lambda: fresh_transfer(opened, len(sources), channels), keep=keep)


def fresh_transfer(opened: Opened, sources: int, channels: int) -> nn.Module:
    """An untrained transfer network from this many codes of so many channels to the opened target."""
    shape, decoder = replace(encoder_shape(opened.card["encoder"]), channels=channels), decoder_shape(opened.card["decoder"])
    decoder = replace(decoder, width=decoder.width * opened.params.decoder_width)
    return transfer_network(opened.task.task, sources, shape, decoder, int(opened.prepared.images.shape[1]))


def transfer_with_weights(job: Job, sources: Sources) -> tuple[nn.Module, Unit]:
    """The network of one transfer, as it was measured.

    The weights of all transfers would be many times as large as all else together (at the paper's size some 200 GB), so the pipeline keeps none.
    The few that are looked at or used are trained once more, with the same bits, and their weights kept: a unit of its own.

    Args:
        job: The target and its codes.
        sources: Of the transfer.

    Returns:
        The network, for testing, and its unit: its losses are those that were measured.
    """
    opened = open_job(job)
    codes = [opened.codes(source) for source in sources]
    unit = train_transfer(opened, weights_key(job, sources), sources, codes, keep=True)
    network = fresh_transfer(opened, len(sources), int(codes[0].shape[1]))
    network.load_state_dict(weights_of(unit))
    return network.eval(), unit


def scratch_with_weights(job: Job) -> tuple[nn.Module, Unit]:
    """The network trained from scratch on the transfers' images, as it was measured: as `transfer_with_weights` gives a transfer."""
    opened = open_job(job)
    card, task = opened.card, opened.task
    inputs = Images(opened.prepared.images, task.task.input, card["tile_side"])
    adversarial = AdversarialParams(**card["adversarial"]) if card["adversarial"] else None
    recipe = Recipe(
        f"scratch {task.task.name}", task.task, Labels(task, opened.train), inputs, opened.train, ScheduleParams(**card["schedule"]),
        Precision(card["precision"]), card["seed"], adversarial=adversarial,
    )  # fmt: skip
    unit = train_unit(opened.store, weights_key(job, SCRATCH), recipe, lambda: network_of(task.task, card, opened.prepared), keep=True)
    network = network_of(task.task, card, opened.prepared)
    network.load_state_dict(weights_of(unit))
    return network.eval(), unit


def weights_key(job: Job, sources: Sources) -> str:
    """Of the unit that keeps the weights of a transfer, or of the network from scratch."""
    return key_of(kind="weights", transfer=open_job(job).key(sources))
