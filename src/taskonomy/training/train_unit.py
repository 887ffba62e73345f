"""Units of work: one network trained, and its loss on every test image. A finished unit is never trained again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from taskonomy.config.network_params import AdversarialParams, Precision, ScheduleParams
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.mirror import Mirroring
from taskonomy.labels.task import Task
from taskonomy.machine.device import fastest, threads_for
from taskonomy.models.decoders import Scaled, at_pixels
from taskonomy.store.store import Store, Unit
from taskonomy.training.best_constant import best_constant
from taskonomy.training.dataloader import TESTING, Batches, Labels, NetworkInputs
from taskonomy.training.gpu_cache import resident
from taskonomy.training.trainer import Curve, fit, losses_of, seeded

SAVE_EVERY = 30.0  # seconds; interrupted trainings shorter than this start again, with the same bits
# Samples of a batch that is only judged: more than in training, where operations are mostly the cost of starting them, but only as many as have
# so many outputs, which fit in a processor's cache.
JUDGED, OUTPUTS = 64, 2**19
_WEIGHTS = "weights/"


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        name: Name of what is trained, part of every seed.
        task: The task that it learns.
        labels: The task's labels.
        inputs: What the network reads.
        train: Samples to learn from.
        schedule: Epochs, batch and learning rate.
        precision: Precision of its arithmetic.
        seed: Seed.
        save_every: Seconds between two saved states.
        adversarial: The adversarial term of its loss; None: none.
        mirror: How labels turn with their images, if half of the training images are mirrored; None: none is.
        curve: Whether it is validated after every epoch, for its curve, even where no epoch is chosen by that.
    """

    name: str
    task: Task
    labels: Labels
    inputs: NetworkInputs
    train: Int[np.ndarray, " samples"]
    schedule: ScheduleParams
    precision: Precision
    seed: int
    save_every: float = SAVE_EVERY
    adversarial: AdversarialParams | None = None
    mirror: Mirroring | None = None
    curve: bool = False


@dataclass(frozen=True)
class Kept:
    """A second unit of a network, which keeps its weights beside its losses.

    Attributes:
        key: Key of this unit.
        most: Bytes; larger weights are not kept.
    """

    key: str
    most: int


def train_unit(
    store: Store,
    key: str,
    recipe: Recipe,
    make: Callable[[], nn.Module],
    *,
    keep: bool = False,
    also: Kept | None = None,
    each_epoch: Callable[[int, Curve], object] | None = None,
) -> Unit:
    """Return the unit of this key, from the store, or trained and stored.

    Args:
        store: Store of the finished units.
        key: Digest of everything that determines the unit.
        recipe: How it is trained.
        make: Builds the fresh network; called after torch's random numbers were seeded.
        keep: Whether to keep the weights.
        also: Where to keep the weights when the network is trained, if not in this unit.
        each_epoch: Called after every epoch, and for every epoch of a unit from the store.

    Raises:
        TaskonomyError: A loss is not finite.
    """
    if (known := store.read(key)) is not None:
        if each_epoch is not None:  # a stored unit reports the curves of its training
            curve = Curve(known.facts["train"], known.facts["validation"])
            for epoch in range(len(curve.train)):
                each_epoch(epoch, curve)
        return known
    # One thread: sums are taken in a fixed order, and two processes of one thread are faster than one of two.
    torch.set_num_threads(1)
    prepared, loss = recipe.labels.prepared, recipe.task.loss
    if loss is None:
        raise TaskonomyError(f"{recipe.task.name} has no loss: there is nothing to train")
    network = at_start(recipe, make)
    plan, judged = recipe.schedule, judged_at_once(network, recipe)
    network.to(device := fastest())
    threads = threads_for(device)
    validation = prepared.of_split(Split.VALIDATION)
    each = resident(recipe.labels, recipe.inputs, np.concatenate([recipe.train, validation]), device, threads)

    def batches(positions: Int[np.ndarray, " samples"], size: int, mirror: Mirroring | None = None) -> Batches:
        if each is None:
            return Batches(recipe.labels, recipe.inputs, positions, size, threads, mirror)
        return Batches(*each, positions, size, mirror=mirror)

    result = fit(
        network, loss, batches(recipe.train, plan.batch, recipe.mirror), batches(validation, judged), plan,
        name=recipe.name, seed=recipe.seed, checkpoint=store.unfinished(key), precision=recipe.precision,
        adversarial=recipe.adversarial, save_every=recipe.save_every, curve=recipe.curve, each_epoch=each_epoch,
    )  # fmt: skip
    tests = {split: Batches(recipe.labels, recipe.inputs, prepared.of_split(split), judged, threads) for split in TEST_SPLITS}
    arrays: dict[str, np.ndarray] = {split.value: losses_of(network, loss, test, recipe.precision) for split, test in tests.items()}
    for split, losses in arrays.items():
        if not np.isfinite(losses).all():
            raise TaskonomyError(f"{recipe.name}: the loss is not finite on {int((~np.isfinite(losses)).sum())} images of {split}")
    facts = {"name": recipe.name, "train": result.curve.train, "validation": result.curve.validation, "chosen": result.chosen}
    weights = {f"{_WEIGHTS}{name}": value.cpu().numpy() for name, value in network.state_dict().items()}
    if also is not None and sum(one.nbytes for one in weights.values()) <= also.most:
        store.write(also.key, arrays | weights, facts)
    if keep:
        arrays |= weights
    store.write(key, arrays, facts)
    return Unit(arrays, facts)


def at_start(recipe: Recipe, make: Callable[[], nn.Module]) -> nn.Module:
    """Build a network as it is before its first step: its output is the best constant for what it learns from."""
    seeded(recipe.seed, recipe.name, "weights")
    network = make()
    for module in network.modules():
        if isinstance(module, Scaled) and recipe.task.loss is not None:
            module.set_to(*best_constant(recipe.task.loss, recipe.labels, recipe.train, len(module.centre)))
    return network


@torch.no_grad()
def judged_at_once(network: nn.Module, recipe: Recipe) -> int:
    """Choose the number of samples in a batch that is only judged, by how many numbers the network gives for one."""
    batch = Batches(recipe.labels, recipe.inputs, recipe.train[:1], 1).of(recipe.train[:1], TESTING)
    numbers = network.eval()(batch.seen, batch.targets.pixels, batch.targets.packed).numel()
    return max(recipe.schedule.batch, min(JUDGED, OUTPUTS // numbers))


def weights_of(unit: Unit) -> dict[str, Tensor]:
    """Return the weights of a unit that kept them."""
    return {name.removeprefix(_WEIGHTS): torch.from_numpy(array.copy()) for name, array in unit.arrays.items() if name.startswith(_WEIGHTS)}


class NoInput:
    """The input of a network that looks at nothing."""

    def seen(
        self, rows: Int[np.ndarray, "batch images"], keys: Int[np.ndarray, " batch"], epoch: int, orders: Any, mirrored: Any = None
    ) -> Float[Tensor, "batch nothing"]:
        """Build an empty input for each sample."""
        return torch.empty(len(keys), 0)


class ConstantPredictor(nn.Module):
    """The best constant estimator: the same output for every image, the one that minimises the loss over the training samples.

    It starts near 0, not at 0: where all embeddings are equal, the metric loss of segmentations has no gradient.

    Args:
        shape: Shape of a sample's output.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.value = nn.Parameter(0.01 * torch.randn(shape))

    def forward(
        self, seen: Float[Tensor, "batch nothing"], pixels: Int[Tensor, "batch compared"] | None = None, packed: bool = False
    ) -> Float[Tensor, "batch numbers *side"]:
        """Repeat the constant, or these pixels of it, for each sample."""
        constant = self.value.expand(len(seen), *self.value.shape)
        return constant if pixels is None else at_pixels(constant, pixels)
