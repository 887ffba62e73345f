"""Make a square of an image and of its labels, which networks need: crop, pad or squeeze, the same for both."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Num

from taskonomy.config.data_params import DataParams, Fit
from taskonomy.release.formats import DamagedFileError


@dataclass(frozen=True)
class ReadOptions:
    """How images and labels are read, whatever they are of.

    Attributes:
        fit: What becomes of images that are not square.
        white: The value that is white in a user's own images of more than 8 bits; None: measured.
        measured: Whether white has been measured already, and is None because no image needs it.
        components: Components of Omnidata to read; empty: all.
        everything: Whether folders and columns of a user's own that no task declares are tasks too, where none is declared at all.
    """

    fit: Fit = Fit.CROP
    white: float | None = None
    measured: bool = False
    components: tuple[str, ...] = ()
    everything: bool = True

    @classmethod
    def of(cls, params: DataParams) -> "ReadOptions":
        """Return those of a run."""
        return cls(params.fit, params.white, components=params.components, everything=False)


def square(values: Num[np.ndarray, "height width *channels"], fit: Fit = Fit.CROP, *, smooth: bool = False, fill: float = 0) -> Any:
    """Make a square of an image or a map.

    Args:
        values: The image or map.
        fit: Its central square; the whole with bars on two sides; or the whole, its longer side squeezed.
        smooth: Whether values may be averaged, as those of an image; ids and holes may not.
        fill: Value of the bars.
    """
    height, width = values.shape[:2]
    if height == width:
        return np.ascontiguousarray(values)
    if fit is Fit.CROP:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return np.ascontiguousarray(values[top : top + side, left : left + side])
    side = max(height, width)
    if fit is Fit.SQUEEZE:
        # The shorter side is stretched to the longer one, so that what makes it smaller later sees every pixel.
        if smooth:
            return cv2.resize(np.ascontiguousarray(values), (side, side), interpolation=cv2.INTER_LINEAR)
        # Pixels are chosen by their numbers, as OpenCV resizes neither booleans nor wide integers, and drops a single channel.
        rows, columns = (
            cv2.resize(np.arange(length, dtype=np.int32)[None], (side, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0] for length in (height, width)
        )
        return np.ascontiguousarray(values[rows][:, columns])
    out = np.full((side, side, *values.shape[2:]), fill, values.dtype)
    top, left = (side - height) // 2, (side - width) // 2
    out[top : top + height, left : left + width] = values
    return out


def shown(shape: tuple[int, int], fit: Fit) -> Bool[np.ndarray, "side side"]:
    """Return which pixels of the square come from an image of this height and width, and not from padding."""
    whole: Bool[np.ndarray, "side side"] = square(np.ones(shape, np.uint8), fit).astype(bool)
    return whole


def at_size(values: Num[np.ndarray, "rows columns *channels"], shape: tuple[int, int], nearest: bool) -> Any:
    """Bring a map to the size of its image, which it may differ from by a whole factor: its pixels are repeated, or blocks of them averaged.

    Args:
        values: The map.
        shape: Height and width of the image.
        nearest: Whether it holds ids: of a block, the one in the middle is taken.

    Raises:
        DamagedFileError: The sizes differ otherwise.
    """
    found = values.shape[:2]
    if found == shape:
        return values
    if (factor := whole_factor(found, shape)) is not None:
        return values.repeat(factor, 0).repeat(factor, 1)
    if (factor := whole_factor(shape, found)) is not None:
        if nearest:
            return values[factor // 2 :: factor, factor // 2 :: factor]
        blocks = values.reshape(shape[0], factor, shape[1], factor, *values.shape[2:])
        return blocks.mean((1, 3))
    raise DamagedFileError(f"is {found[1]} x {found[0]}, its image {shape[1]} x {shape[0]} pixels, or a whole number of times as many or as few")


def whole_factor(small: tuple[int, ...], large: tuple[int, ...]) -> int | None:
    """Return how many times the smaller size goes into the larger one, if it does so exactly and equally often on both sides."""
    factor = large[0] // small[0] if small[0] else 0
    return factor if factor and (small[0] * factor, small[1] * factor) == tuple(large[:2]) else None
