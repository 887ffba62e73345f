"""What a label is, and how networks see it.

`make` turns released files into a compact array, once, when the data is prepared (`taskonomy.tasks.preprocess`); `encode` turns batches of it into
what a loss compares, each time they are loaded. This file counts to what a network is trained with: a change of its code trains again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Num, UInt8, UInt16

if TYPE_CHECKING:
    from taskonomy.numeric.geometry import Camera

NO_CLASS = 255
Options = dict[str, float]


class Loss(StrEnum):
    """What a network is trained with; of every one the value is kept per image."""

    L1 = "l1"
    L2 = "l2"
    CROSS_ENTROPY = "cross_entropy"
    SOFT_CROSS_ENTROPY = "soft_cross_entropy"
    PAIRWISE = "pairwise"
    POSE = "pose"
    EGOMOTION = "egomotion"


class Input(StrEnum):
    """What is done to the image before the encoder sees it."""

    IMAGE = "image"
    NOISE = "noise"
    HOLE = "hole"
    LIGHTNESS = "lightness"
    TILES = "tiles"


class Mask(StrEnum):
    """Which pixels have a label. Class ids of 255 have none either."""

    NONE = "none"
    DEPTH = "depth"


@dataclass(frozen=True)
class Head:
    """The last layers of a network. Outputs are linear: logits are not squeezed through a tanh as in the reference.

    Attributes:
        channels: Channels of a map, or numbers of a vector.
        layers: 0: convolutional decoder; n: n fully connected layers.
        hidden: Width of those.
        shrink: Side of the image over the side of the output map.
        tanh: Whether values are bounded to [-1, 1].
    """

    channels: int
    layers: int = 0
    hidden: int = 2048
    shrink: int = 1
    tanh: bool = False


class ViewFiles(ABC):
    """One view's files, decoded from PNG but not yet physical.

    Attributes:
        size: Side of the prepared image.
        name: Of the view, among all.
    """

    size: int
    name: str

    @abstractmethod
    def stored(self, domain: str) -> Any:
        """Values of the domain's file."""

    @property
    @abstractmethod
    def camera(self) -> "Camera":
        """The camera of point_info."""

    @abstractmethod
    def field(self, name: str) -> Any:
        """A field of point_info beyond the camera, which the file may lack."""


@dataclass(frozen=True)
class Shot:
    """One image of a multi-image sample."""

    camera: "Camera"
    building: str
    point: int


@dataclass(frozen=True)
class Label:
    """A task's label.

    Attributes:
        shape: Of the compact array per sample: `h` is the image's side, `h/4` a quarter of it, numbers are themselves.
        dtype: Of the compact array.
        encode: Batches of the compact array, and the label's statistics -> what the loss compares.
        domains: Released domains that `make` reads; empty: the label follows from image or cameras.
        make: One view's files, and the options -> its compact array. None: made from a sample's shots, or nothing to make.
        of_shots: A sample's images -> its compact array.
        mask: Where there is a label.
        valid: Batches of the compact array -> which of its pixels have a label, where that is not the mask alone.
        statistics: What is computed over the training split: `mean_std`, `class_weights`, `bin_weights` or nothing.
        options: Named numbers of `make` and `encode` that params.yaml may set, with their defaults.
        fields: Of point_info, those that `make` reads beyond the camera: not every camera file has them.
    """

    shape: tuple[int | str, ...]
    dtype: str
    encode: Callable[..., Any]
    domains: tuple[str, ...] = ()
    make: Callable[..., Any] | None = None
    of_shots: Callable[..., Any] | None = None
    mask: Mask = Mask.NONE
    valid: Callable[..., Any] | None = None
    statistics: str = ""
    options: Options = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    def array_shape(self, size: int) -> tuple[int, ...]:
        """The compact array's shape for images of this side."""
        sides = {"h": size, "h/4": size // 4}
        return tuple(sides[one] if isinstance(one, str) else one for one in self.shape)

    def options_of_make(self, values: Mapping[str, float] | None = None) -> dict[str, float]:
        """Of these values (or the defaults), the ones that the compact array depends on; others matter when it is encoded."""
        taken = {name for name, one in signature(self.make).parameters.items() if one.kind is one.KEYWORD_ONLY} if self.make else set()
        return {name: value for name, value in (values or self.options).items() if name in taken}


def signed(stored: Num[np.ndarray, "*shape"], statistics: Any = None) -> Float32[np.ndarray, "*shape"]:
    """8-bit values to [-1, 1]."""
    return stored.astype(np.float32) / 127.5 - 1


def share(stored: UInt16[np.ndarray, "*shape"], statistics: Any = None) -> Float32[np.ndarray, "*shape"]:
    """16-bit values to [0, 1]."""
    return stored.astype(np.float32) / 65535


def limited(stored: UInt16[np.ndarray, "*shape"], statistics: Any) -> Float32[np.ndarray, "*shape"]:
    """Shares from 0 to `limit`, clipped there, to [-1, 1]."""
    return np.minimum(stored.astype(np.float32) / 65535 / statistics["limit"], 1) * 2 - 1


def unlimited(stored: UInt16[np.ndarray, "*shape"], statistics: Any) -> Float32[np.ndarray, "*shape"]:
    """What `blurred` keeps: the limit becomes 1, what is above it stays above."""
    return stored.astype(np.float32) / 4096 * 2 - 1


def has_curvature(stored: UInt8[np.ndarray, "*shape 2"]) -> Bool[np.ndarray, "*shape"]:
    """Across an occlusion edge, or where nothing was measured, there is no curvature."""
    return np.asarray(stored.any(-1))


def curvature_scores(stored: UInt8[np.ndarray, "*shape 2"], statistics: Any = None) -> Float32[np.ndarray, "*shape 2"]:
    """The file's values, z-scored with the statistics of the release."""
    return (stored.astype(np.float32) - np.array([123.572, 120.1], np.float32)) / np.array([31.922, 21.658], np.float32)


def scores(stored: Float[np.ndarray, "*shape n"], statistics: Any) -> Float32[np.ndarray, "*shape n"]:
    """Z-scores by the training split."""
    return ((stored - np.array(statistics["mean"])) / np.array(statistics["std"])).astype(np.float32)


def same(stored: Any, statistics: Any = None) -> Any:
    """Class ids, segment ids and unit vectors as they are."""
    return stored


def shares(stored: Num[np.ndarray, "*shape n"], statistics: Any = None) -> Float32[np.ndarray, "*shape n"]:
    """Class probabilities; half precision is made good by normalising again."""
    values = stored.astype(np.float32)
    return values / values.sum(-1, keepdims=True)
