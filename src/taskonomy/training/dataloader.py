"""Batches of a prepared task: what its network sees, and what it should output."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.labels.encodings import Input
from taskonomy.labels.mirror import Mirroring
from taskonomy.models.decoders import pack
from taskonomy.numeric.rng import generator
from taskonomy.training.losses import Targets, compared_pixels
from taskonomy.training.mirroring import mirror_targets, mirrored_in
from taskonomy.training.prefetch import ahead
from taskonomy.training.transforms import as_seen

TESTING = -1  # the epoch in which nothing varies
KEPT_BYTES = 2**31  # encoded labels larger than this are encoded anew for each batch
_BLOCK = 64
_SCALED_BY = 256
Which = Bool[np.ndarray, " batch"]  # samples of a batch that are mirrored


@runtime_checkable
class NetworkInputs(Protocol):
    """What a network reads."""

    def seen(
        self, rows: Int[np.ndarray, "batch images"], keys: Int[np.ndarray, " batch"], epoch: int, orders: Any, mirrored: Which | None = None
    ) -> Tensor:
        """Build the inputs of samples whose images are these rows of the index: [batch, images, channels, height, width]."""
        ...


@dataclass(frozen=True)
class ImageInputs:
    """Images, changed as a task asks for.

    Attributes:
        images: Every prepared image.
        how: What the task does to them.
        tile_side: Side of the jigsaw's tiles as encoders see them, pixels; None: the image's side.
    """

    images: Any
    how: Input
    tile_side: int | None = None

    def seen(
        self,
        rows: Int[np.ndarray, "batch images"],
        keys: Int[np.ndarray, " batch"],
        epoch: int,
        orders: Int[np.ndarray, " batch"] | None,
        mirrored: Which | None = None,
    ) -> Float[Tensor, "batch seen channels height width"]:
        """Build the samples' images in [-1, 1]; all images of a sample are mirrored, or none."""
        images = np.asarray(self.images[rows.ravel()]).reshape(*rows.shape, *self.images.shape[1:])
        if mirrored is not None:
            images[mirrored] = images[mirrored][..., ::-1, :]
        return as_seen(images, self.how, keys, epoch, orders, self.tile_side)


@dataclass(frozen=True)
class FixedImages(ImageInputs):
    """Images as encoders saw them for the stored codes: what a task does at random to its images is the same in every epoch."""

    def seen(
        self,
        rows: Int[np.ndarray, "batch images"],
        keys: Int[np.ndarray, " batch"],
        epoch: int,
        orders: Int[np.ndarray, " batch"] | None,
        mirrored: Bool[np.ndarray, " batch"] | None = None,
    ) -> Float[Tensor, "batch seen channels height width"]:
        """Build the samples' images in [-1, 1]."""
        return ImageInputs.seen(self, rows, rows[:, 0], TESTING, None, mirrored)


@dataclass(frozen=True)
class CodeInputs:
    """Stored codes of one or more sources, concatenated.

    Attributes:
        arrays: Codes of each source, memory-mapped.
        row_of: Row of each view in them.
    """

    arrays: Sequence[Shaped[np.ndarray, "rows _ height width"]]
    row_of: Int[np.ndarray, " views"]

    def seen(
        self, rows: Int[np.ndarray, "batch images"], keys: Int[np.ndarray, " batch"], epoch: int, orders: Any, mirrored: Which | None = None
    ) -> Float[Tensor, "batch images channels height width"]:
        """Read the codes of the samples' images."""
        if mirrored is not None:
            raise ValueError("codes of mirrored images are not stored")
        where = self.row_of[rows]
        if (where < 0).any():
            raise ValueError("images of the train split have no codes")
        return torch.from_numpy(np.concatenate([array[where] for array in self.arrays], axis=2)).float()


class Labels:
    """A task's labels, encoded as losses compare them with outputs.

    Args:
        prepared: The task.
        keep: Samples whose labels are encoded once and kept in memory, if they fit.
        shuffle: Pixels a side that the decoder's last convolution gives at each place of a map: labels are packed so. 1: they are not packed.
    """

    def __init__(self, prepared: PreparedTask, keep: Int[np.ndarray, " kept"] | None = None, shuffle: int = 1) -> None:
        self.prepared, self.shuffle = prepared, shuffle
        self._statistics = {name: _tensor(value) for name, value in prepared.statistics.items()}
        self._row_of: Int[np.ndarray, " samples"] | None = None
        self._device = torch.device("cpu")
        if keep is not None and len(keep):
            self._keep(np.unique(keep), KEPT_BYTES)

    def on(self, device: torch.device, keep: Int[np.ndarray, " kept"], room: float, threads: int) -> "Labels | None":
        """Encode the labels of these samples and keep them on a GPU; None: they do not fit.

        Args:
            device: The GPU.
            keep: Samples.
            room: Free memory on the GPU, bytes.
            threads: Number of threads that encode.
        """
        there = Labels(self.prepared, shuffle=self.shuffle)
        there._device = device
        there._statistics = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in self._statistics.items()}
        return there if there._keep(np.unique(keep), room, self, threads) else None

    def of(self, chosen: Int[np.ndarray, " batch"]) -> Targets:
        """Return the targets of these samples."""
        stored = self._stored(chosen)
        return stored.each_row(lambda one: one.movedim(-1, 1)) if stored.packed else stored

    def packed_shape(self, output: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which losses compare an output of this shape, channels first, with these labels."""
        if self.shuffle == 1:
            return output
        channels, height, width = output
        return channels, self.shuffle**2, height // self.shuffle, width // self.shuffle

    def scale(self, chosen: Int[np.ndarray, " samples"]) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
        """Compute mean and deviation of every channel over what is labelled in these samples, or in an evenly spaced subset that is large enough."""
        targets = self.of(chosen[:: -(-len(chosen) // _SCALED_BY)])
        if not isinstance(targets.values, Tensor):
            raise ValueError("labels of several parts have no scale")
        values = targets.values.double()
        values = values.flatten(0, -2) if targets.mask is None else values[targets.mask]
        return values.mean(0).float(), values.std(0, correction=0).float()

    def _stored(self, chosen: Int[np.ndarray, " batch"]) -> Targets:
        """Return the targets as they lie in memory: where packed, the pixels of a place side by side, as in the network's output."""
        if self._row_of is None or (self._row_of[chosen] < 0).any():
            return self._encoded(chosen)
        rows = torch.from_numpy(self._row_of[chosen]).to(self._device)
        return self._kept.each_row(lambda kept: kept[rows])

    def _encoded(self, chosen: Int[np.ndarray, " batch"]) -> Targets:
        label, mask = self.prepared.labels(chosen), self.prepared.mask(chosen)
        values = (_tensor(label[0]), _tensor(label[1])) if isinstance(label, tuple) else _tensor(label)
        targets = Targets(values, None if mask is None else torch.from_numpy(mask), self._statistics)
        keys = torch.from_numpy(np.ascontiguousarray(chosen))
        targets = replace(targets, pixels=compared_pixels(self.prepared.task.loss, keys, targets))
        if self.shuffle == 1:
            return targets
        return replace(targets.each_row(lambda one: pack(one, self.shuffle).contiguous()), packed=True)

    def _keep(self, chosen: Int[np.ndarray, " kept"], room: float, source: "Labels | None" = None, threads: int = 0) -> bool:
        stored = (source or self)._stored
        one = stored(chosen[:1])
        if len(chosen) * sum(part.nbytes for part in one.rows) > room:
            return False
        kept = one.each_row(lambda part: torch.empty(len(chosen), *part.shape[1:], dtype=part.dtype, device=self._device))
        done = 0
        for block in ahead(stored, (chosen[start : start + _BLOCK] for start in range(0, len(chosen), _BLOCK)), threads):
            for to, part in zip(kept.rows, block.rows, strict=True):
                to[done : done + len(part)] = part
            done += len(block.parts[0])
        self._kept = replace(kept, statistics=self._statistics)
        self._row_of = np.full(len(self.prepared.samples), -1)
        self._row_of[chosen] = np.arange(len(chosen))
        return True


@dataclass(frozen=True)
class Batch:
    """A batch of samples.

    Attributes:
        positions: The samples' positions among the task's samples.
        seen: What the network reads.
        targets: What it should output.
    """

    positions: Int[np.ndarray, " batch"]
    seen: Float[Tensor, "batch ..."]
    targets: Targets

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        return self if device.type == "cpu" else Batch(self.positions, self.seen.to(device, non_blocking=True), self.targets.to(device))

    def pinned(self) -> "Batch":
        """Copy the batch to pinned memory, from which a GPU copies while the processor goes on."""
        return Batch(self.positions, self.seen.pin_memory(), self.targets.each(Tensor.pin_memory))


class Batches:
    """The batches of some samples of a task.

    Args:
        labels: The task's labels.
        inputs: What its network reads.
        positions: The samples, by their positions among the task's.
        size: Samples per batch.
        threads: Number of threads that make a GPU's batches ahead; 0: each batch is made when it is needed.
        mirror: How labels turn with their images; half of the samples of a shuffled pass are mirrored. None: none is.
    """

    def __init__(
        self,
        labels: Labels,
        inputs: NetworkInputs,
        positions: Int[np.ndarray, " samples"],
        size: int,
        threads: int = 0,
        mirror: Mirroring | None = None,
    ) -> None:
        self.labels, self.inputs, self.positions, self.size, self.threads, self.mirror = labels, inputs, positions, size, threads, mirror
        self.prepared = labels.prepared

    def __len__(self) -> int:
        """Return the number of batches in one pass."""
        return -(-len(self.positions) // self.size)

    @property
    def steps(self) -> int:
        """Return the number of batches that `shuffled` yields."""
        return len(self) - (len(self.positions) % self.size == 1 < len(self.positions))

    def shuffled(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield one pass in an order that depends on seed and epoch only, without a last batch of one sample: batch normalisation needs more."""
        order = self.positions[generator(seed, "order", epoch).permutation(len(self.positions))]
        mirrored = None if self.mirror is None else mirrored_in(seed, epoch, len(self.prepared.samples))
        yield from self._made([chosen for chosen in self._cut(order) if len(chosen) > 1 or len(order) == 1], epoch, mirrored)

    def in_order(self) -> Iterator[Batch]:
        """Yield one pass as testing sees it: every sample once, nothing random."""
        yield from self._made(self._cut(self.positions), TESTING)

    def _cut(self, order: Int[np.ndarray, " samples"]) -> list[np.ndarray]:
        return [order[start : start + self.size] for start in range(0, len(order), self.size)]

    def _made(self, parts: Sequence[np.ndarray], epoch: int, mirrored: Bool[np.ndarray, " all"] | None = None) -> Iterator[Batch]:
        def make(chosen: Int[np.ndarray, " batch"]) -> Batch:
            return self.of(chosen, epoch, None if mirrored is None else mirrored[chosen])

        if self.threads:
            yield from ahead(lambda chosen: make(chosen).pinned(), parts, self.threads)
        else:
            yield from map(make, parts)

    def of(self, chosen: Int[np.ndarray, " batch"], epoch: int, mirrored: Which | None = None) -> Batch:
        """Build a batch of these samples, some of them mirrored. In training, the jigsaw's permutations are drawn anew each epoch (reference)."""
        task, orders = self.prepared.task, None
        targets = self.labels.of(chosen)
        if task.input is Input.TILES and task.head is not None and isinstance(permutations := targets.values, Tensor):
            if epoch != TESTING:
                permutations = torch.tensor([[generator(epoch, "permutation", int(key)).integers(task.head.channels)] for key in chosen])
                targets = replace(targets, values=permutations)
            orders = permutations[:, 0].numpy()
        if mirrored is None or self.mirror is None:
            return Batch(chosen, self.inputs.seen(self.prepared.samples[chosen], chosen, epoch, orders), targets)
        mirror_targets(targets, self.mirror, mirrored)
        return Batch(chosen, self.inputs.seen(self.prepared.samples[chosen], chosen, epoch, orders, mirrored), targets)


def _tensor(value: Any) -> Any:
    """Convert arrays and lists of numbers to tensors: floating point numbers in single precision, anything else as whole numbers."""
    if not isinstance(value, list | np.ndarray):
        return value
    array = np.asarray(value)
    return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))
