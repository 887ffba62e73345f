"""What every epoch reads, kept in the GPU's memory where it fits: images as bytes, codes, encoded labels.

Inputs that the processor draws anew in each epoch (noise, the jigsaw's tiles) are not kept; threads make their batches ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from taskonomy.labels.encodings import Input
from taskonomy.training.dataloader import CodeInputs, ImageInputs, Labels, NetworkInputs, Which
from taskonomy.training.transforms import changed

ROOM = 0.6  # share of the GPU's free memory to use
_BLOCK = 256
_ON_GPU = (Input.IMAGE, Input.HOLE, Input.LIGHTNESS)


@dataclass(frozen=True)
class ResidentImages:
    """As `ImageInputs`, in the GPU's memory.

    Attributes:
        images: The images, on the GPU.
        row_of: Row of each view in them.
        how: What the task does to them.
    """

    images: UInt8[Tensor, "rows side side 3"]
    row_of: Int[Tensor, " views"]
    how: Input

    def seen(
        self, rows: Int[np.ndarray, "batch images"], keys: Int[np.ndarray, " batch"], epoch: int, orders: Any, mirrored: Which | None = None
    ) -> Float[Tensor, "batch images channels height width"]:
        """Build the samples' images in [-1, 1]; all images of a sample are mirrored, or none."""
        images = self.images[self.row_of[torch.from_numpy(rows).to(self.images.device)]]
        if mirrored is not None:
            where = torch.from_numpy(np.flatnonzero(mirrored)).to(images.device)
            images[where] = images[where].flip(-2)
        return changed(images, self.how, keys, epoch)


@dataclass(frozen=True)
class ResidentCodes:
    """As `CodeInputs`, in the GPU's memory.

    Attributes:
        arrays: Codes of each source, on the GPU.
        row_of: Row of each view in them.
    """

    arrays: Sequence[Shaped[Tensor, "rows _ height width"]]
    row_of: Int[Tensor, " views"]

    def seen(
        self, rows: Int[np.ndarray, "batch images"], keys: Int[np.ndarray, " batch"], epoch: int, orders: Any, mirrored: Which | None = None
    ) -> Float[Tensor, "batch images channels height width"]:
        """Read the codes of the samples' images."""
        if mirrored is not None:
            raise ValueError("codes of mirrored images are not stored")
        where = self.row_of[torch.from_numpy(rows).to(self.row_of.device)]
        return torch.cat([array[where] for array in self.arrays], 2).float()


def resident(
    labels: Labels, inputs: NetworkInputs, positions: Int[np.ndarray, " samples"], device: torch.device, threads: int
) -> tuple[Labels, NetworkInputs] | None:
    """Copy labels and inputs of these samples to a GPU; None: they do not fit, or the inputs are of a kind that is not kept.

    Args:
        labels: The task's labels.
        inputs: What its network reads.
        positions: Samples.
        device: The GPU; for a processor the answer is None.
        threads: Number of threads that encode labels.
    """
    if device.type != "cuda" or not _can_be(inputs):
        return None
    rows = np.unique(labels.prepared.samples[positions])
    room = ROOM * torch.cuda.mem_get_info(device)[0]
    if (found := _inputs(inputs, rows, device, room)) is None:
        return None
    there, taken = found
    kept = labels.on(device, positions, room - taken, threads)
    return None if kept is None else (kept, there)


def _can_be(inputs: NetworkInputs) -> bool:
    return isinstance(inputs, CodeInputs) or (isinstance(inputs, ImageInputs) and inputs.how in _ON_GPU)


def _inputs(inputs: NetworkInputs, rows: Int[np.ndarray, " rows"], device: torch.device, room: float) -> tuple[NetworkInputs, int] | None:
    """Copy the inputs of these rows to the GPU, and count their bytes; None: they do not fit."""
    views = int(rows.max()) + 1
    row_of = np.full(views, -1)
    row_of[rows] = np.arange(len(rows))
    arrays = list(inputs.arrays) if isinstance(inputs, CodeInputs) else [inputs.images]  # type: ignore[attr-defined]
    taken = sum(len(rows) * array[0].nbytes for array in arrays)
    if taken > room:
        return None
    if isinstance(inputs, CodeInputs):
        where = inputs.row_of[rows]
        if (where < 0).any():
            raise ValueError("images of the train split have no codes")
        there = [_moved(array, where, device) for array in arrays]
        return ResidentCodes(there, torch.from_numpy(row_of).to(device)), taken
    return ResidentImages(_moved(arrays[0], rows, device), torch.from_numpy(row_of).to(device), inputs.how), taken  # type: ignore[attr-defined]


def _moved(array: Any, rows: Int[np.ndarray, " rows"], device: torch.device) -> Tensor:
    """Copy these rows of a memory-mapped array to the GPU, never holding all of them in the processor's memory at once."""
    like = torch.from_numpy(np.asarray(array[rows[:1]]))
    there = torch.empty(len(rows), *like.shape[1:], dtype=like.dtype, device=device)
    for start in range(0, len(rows), _BLOCK):
        part = torch.from_numpy(np.asarray(array[rows[start : start + _BLOCK]]))
        there[start : start + len(part)] = part
    return there
