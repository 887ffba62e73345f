"""Kinds of labels, and their encodings for networks.

`make` turns released files into a compact array once, when the data is prepared (`taskonomy.tasks.preprocess`); `encode` turns batches of it into
what a loss compares, each time they are loaded. This file is part of what determines a trained network: changing its code retrains networks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Num, UInt8, UInt16

from taskonomy.labels.colour import soft_bins
from taskonomy.labels.mirror import Mirroring

if TYPE_CHECKING:
    from taskonomy.numeric.geometry import Camera

NO_CLASS = 255
Options = dict[str, float]


class Loss(StrEnum):
    """Loss that a network is trained with; its value is recorded per image."""

    L1 = "l1"
    L2 = "l2"
    CROSS_ENTROPY = "cross_entropy"
    BINARY_CROSS_ENTROPY = "binary_cross_entropy"
    SOFT_CROSS_ENTROPY = "soft_cross_entropy"
    PAIRWISE = "pairwise"
    POSE = "pose"
    EGOMOTION = "egomotion"

    @property
    def compares_outputs(self) -> bool:
        """Whether it compares an image's outputs with one another, not with labels: then no number is a better output than any other."""
        return self is Loss.PAIRWISE


class Output(StrEnum):
    """Kind of a network's output."""

    MAP = "map"
    METRIC = "metric"
    CLASSES = "classes"
    VECTOR = "vector"


class Input(StrEnum):
    """Alteration of the image before it is encoded."""

    IMAGE = "image"
    NOISE = "noise"
    HOLE = "hole"
    LIGHTNESS = "lightness"
    TILES = "tiles"


class Mask(StrEnum):
    """Kind of mask that says which pixels have a label. Pixels with class id 255 have none in any case."""

    NONE = "none"
    DEPTH = "depth"
    OWN = "own"


@dataclass(frozen=True)
class Head:
    """The last layers of a network. Outputs are linear: unlike in the reference, logits do not pass through a tanh.

    Attributes:
        channels: Channels of a map, or length of a vector.
        layers: 0: convolutional decoder; n: n fully connected layers.
        hidden: Width of the fully connected layers.
        shrink: Side of the image divided by the side of the output map.
        tanh: Whether outputs are bounded to [-1, 1].
    """

    channels: int
    layers: int = 0
    hidden: int = 2048
    shrink: int = 1
    tanh: bool = False


class ViewFiles(ABC):
    """One view's files, decoded but not yet converted to physical values.

    Attributes:
        size: Side of the prepared image, in pixels.
        name: Name of the view, unique among all views.
    """

    size: int
    name: str

    @abstractmethod
    def stored(self, domain: str) -> Any:
        """Return the stored values of a domain's file."""

    @property
    @abstractmethod
    def camera(self) -> "Camera":
        """Return the camera of `point_info`."""

    @abstractmethod
    def field(self, name: str) -> Any:
        """Return a field of `point_info` that does not belong to the camera and may be missing from the file."""


@dataclass(frozen=True)
class Shot:
    """One image of a sample of several images."""

    camera: "Camera"
    building: str
    point: int


@dataclass(frozen=True)
class Label:
    """A task's label.

    Attributes:
        shape: Shape of the compact array of a sample: `h` is the image's side, `h/4` a quarter of it; numbers stand for themselves.
        dtype: Type of the compact array.
        encode: Converts batches of the compact array, given the label's statistics, to what the loss compares.
        domains: Released domains that `make` reads; empty: the label follows from the image or from cameras.
        make: Converts one view's files, given the options, to its compact array; None: `of_shots` makes the label, or there is nothing to make.
        of_shots: Converts a sample's images (`Shot`) to its compact array.
        mask: Kind of mask of the label.
        make_mask: Converts one view's files to its mask, for labels with a mask of their own.
        valid: Returns which pixels of batches of the compact array have a label, if the mask alone does not say it.
        statistics: Statistics computed over the training split: `mean_std`, `class_weights`, `bin_weights` or none.
        options: Named numbers of `make` and `encode` that params.yaml may set, with their defaults.
        fields: Fields of `point_info` that `make` reads beyond the camera's; not every camera file has them.
        mirror: How it turns when its image is mirrored; None: not known, so images are never mirrored.
    """

    shape: tuple[int | str, ...]
    dtype: str
    encode: Callable[..., Any]
    domains: tuple[str, ...] = ()
    make: Callable[..., Any] | None = None
    of_shots: Callable[..., Any] | None = None
    mask: Mask = Mask.NONE
    valid: Callable[..., Any] | None = None
    make_mask: Callable[..., Any] | None = None
    statistics: str = ""
    options: Options = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    mirror: Mirroring | None = None

    def array_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a sample's compact array for images of this side in pixels."""
        sides = {"h": size, "h/4": size // 4}
        return tuple(sides[one] if isinstance(one, str) else one for one in self.shape)

    def options_of_make(self, values: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return those of the values (default: `options`) that the compact array depends on; the others are used when it is encoded."""
        taken = {name for name, one in signature(self.make).parameters.items() if one.kind is one.KEYWORD_ONLY} if self.make else set()
        return {name: value for name, value in (values or self.options).items() if name in taken}


def signed(stored: Num[np.ndarray, "*shape"], statistics: Any = None) -> Float32[np.ndarray, "*shape"]:
    """Convert 8-bit values to [-1, 1]."""
    return stored.astype(np.float32) / 127.5 - 1


def share(stored: UInt16[np.ndarray, "*shape"], statistics: Any = None) -> Float32[np.ndarray, "*shape"]:
    """Convert 16-bit values to [0, 1]."""
    return stored.astype(np.float32) / 65535


def limited(stored: UInt16[np.ndarray, "*shape"], statistics: Any) -> Float32[np.ndarray, "*shape"]:
    """Convert 16-bit shares to [-1, 1], where `limit` and everything above it becomes 1."""
    return np.minimum(stored.astype(np.float32) / 65535 / statistics["limit"], 1) * 2 - 1


def unlimited(stored: UInt16[np.ndarray, "*shape"], statistics: Any) -> Float32[np.ndarray, "*shape"]:
    """Convert the values that `blurred` stores so that 0 becomes -1 and the limit 1; values above the limit stay above 1."""
    return stored.astype(np.float32) / 4096 * 2 - 1


def has_curvature(stored: UInt8[np.ndarray, "*shape 2"]) -> Bool[np.ndarray, "*shape"]:
    """Return where there is a curvature: not across occlusion edges, nor where nothing was measured."""
    return np.asarray(stored.any(-1))


def curvature_scores(stored: UInt8[np.ndarray, "*shape 2"], statistics: Any = None) -> Float32[np.ndarray, "*shape 2"]:
    """Convert the file's values to z-scores, with the statistics of the release."""
    return (stored.astype(np.float32) - np.array([123.572, 120.1], np.float32)) / np.array([31.922, 21.658], np.float32)


def scores(stored: Float[np.ndarray, "*shape n"], statistics: Any) -> Float32[np.ndarray, "*shape n"]:
    """Convert values to z-scores, with the statistics of the training split."""
    return ((stored - np.array(statistics["mean"])) / np.array(statistics["std"])).astype(np.float32)


def same(stored: Any, statistics: Any = None) -> Any:
    """Return the values unchanged: class ids, segment ids and unit vectors."""
    return stored


def shares(stored: Num[np.ndarray, "*shape n"], statistics: Any = None) -> Float32[np.ndarray, "*shape n"]:
    """Normalise class probabilities again, because half precision rounded them."""
    values = stored.astype(np.float32)
    return values / values.sum(-1, keepdims=True)


def soft_colours(
    stored: Int[np.ndarray, "*shape 2"], statistics: Any
) -> tuple[Int[np.ndarray, "*shape neighbours"], Float32[np.ndarray, "*shape neighbours"]]:
    """Whole a and b of CIE Lab to the nearest colour bins and their weights: `neighbours` of them, in a bell of width `sigma`."""
    return soft_bins(stored, int(statistics["neighbours"]), statistics["sigma"])
