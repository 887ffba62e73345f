"""What encoders see: prepared images as tensors, after what a task does to them (reference, section 1).

Every random number comes from the sample's key and the epoch, so neither the batch a sample is in nor the step at which it comes matters.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from taskonomy.labels.encodings import Input
from taskonomy.labels.jigsaw import TILES, permutation_set, tiles
from taskonomy.numeric.rng import generator

NOISE = 0.1  # standard deviation on [0, 1]: the reference's variance of 0.01
SHARE = 0.9  # a crop's side as a share of its jigsaw cell's

Images = UInt8[np.ndarray, "batch images side side 3"]


def as_seen(
    images: Images,
    how: Input,
    keys: Int[np.ndarray, " batch"],
    epoch: int,
    orders: Int[np.ndarray, " batch"] | None = None,
    tile_side: int | None = None,
) -> Float[Tensor, "batch seen channels height width"]:
    """Build a batch as an encoder sees it, channels first, in [-1, 1].

    Args:
        images: The samples' images.
        how: What the task does to them.
        keys: Number of each sample.
        epoch: Varies what is random; -1 for testing, where it must not vary.
        orders: For the jigsaw: the permutation of each sample's tiles.
        tile_side: For the jigsaw: the side that tiles are resized to, pixels; by default the image's side, as in the reference.
    """
    if how is Input.TILES:
        if orders is None:
            raise ValueError("tiles need the permutation of each sample")
        side = tile_side or images.shape[2]
        images = np.stack([_tiles(one[0], int(key), epoch, int(order), side) for one, key, order in zip(images, keys, orders, strict=True)])
    return changed(torch.from_numpy(np.ascontiguousarray(images)), how, keys, epoch)


def changed(
    images: UInt8[Tensor, "batch seen side side 3"], how: Input, keys: Int[np.ndarray, " batch"], epoch: int
) -> Float[Tensor, "batch seen channels side side"]:
    """Build a batch as `as_seen` does, from a tensor of images on any device, whose tiles have been cut already."""
    return _CHANGES[how](images.permute(0, 1, 4, 2, 3).float() / 255, keys, epoch)


def _plain(scaled: Tensor, keys: Int[np.ndarray, " batch"], epoch: int) -> Tensor:
    return scaled * 2 - 1


def _noise(scaled: Tensor, keys: Int[np.ndarray, " batch"], epoch: int) -> Tensor:
    """Add Gaussian noise on [0, 1], and clip."""
    noise = torch.stack([_normal(int(key), epoch, scaled.shape[1:]) for key in keys])
    return (scaled + NOISE * noise).clamp(0, 1) * 2 - 1


def _normal(key: int, epoch: int, shape: torch.Size) -> Tensor:
    source = torch.Generator().manual_seed(int(generator(epoch + 1, "noise", key).integers(2**63)))
    return torch.randn(shape, generator=source)


def _hole(scaled: Tensor, keys: Int[np.ndarray, " batch"], epoch: int) -> Tensor:
    """Set the central quarter of the area to mid-grey."""
    out = scaled * 2 - 1
    high, wide = out.shape[-2] // 4, out.shape[-1] // 4
    out[..., high : 3 * high, wide : 3 * wide] = 0
    return out


def _lightness(scaled: Tensor, keys: Int[np.ndarray, " batch"], epoch: int) -> Tensor:
    return lightness(scaled)


def lightness(scaled: Float[Tensor, "batch images 3 height width"]) -> Float[Tensor, "batch images 1 height width"]:
    """Compute L of CIE Lab (D65), mapped from [0, 100] to [-1, 1], for images in [0, 1]."""
    linear = torch.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    weights = torch.tensor([0.212671, 0.715160, 0.072169], device=scaled.device)
    y = (linear * weights[:, None, None]).sum(2, keepdim=True)
    light = torch.where(y > (6 / 29) ** 3, 116 * y.clamp(min=1e-8) ** (1 / 3) - 16, y * (29 / 3) ** 3)
    return light / 50 - 1


def _tiles(image: UInt8[np.ndarray, "side side 3"], key: int, epoch: int, order: int, to: int) -> UInt8[np.ndarray, "9 to to 3"]:
    """Cut nine crops, in the order of a permutation, each resized.

    Each crop's place in its cell is random in training, and the middle in testing.
    """
    offsets = np.full((TILES, 2), 0.5) if epoch < 0 else generator(epoch, "tiles", key).random((TILES, 2))
    cut = tiles(image, offsets, SHARE)[permutation_set()[order]]
    return np.stack([cv2.resize(tile, (to, to), interpolation=cv2.INTER_LINEAR) for tile in cut])


_CHANGES: dict[Input, Callable[[Tensor, Int[np.ndarray, " batch"], int], Tensor]] = {
    Input.IMAGE: _plain,
    Input.NOISE: _noise,
    Input.HOLE: _hole,
    Input.LIGHTNESS: _lightness,
    Input.TILES: _plain,
}
