"""How labels are made from a view's files, and how networks see them.

`make` turns released files into a compact array, once, when the data is prepared; `encode` turns batches of it into what a loss compares, each time
they are loaded. Lengths in pixels are those of the reference at 256 px and scale with the image.
OpenCV and SciPy are imported where they are used: whoever only asks for a title does not wait for them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Num, UInt8, UInt16

from taskonomy.seeds import generator
from taskonomy.tasks.classes import PLACES

if TYPE_CHECKING:
    from taskonomy.geometry import Camera

REFERENCE_SIZE = 256
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

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """point_info."""


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

    def array_shape(self, size: int) -> tuple[int, ...]:
        """The compact array's shape for images of this side."""
        sides = {"h": size, "h/4": size // 4}
        return tuple(sides[one] if isinstance(one, str) else one for one in self.shape)

    def options_of_make(self, values: Mapping[str, float] | None = None) -> dict[str, float]:
        """Of these values (or the defaults), the ones that the compact array depends on; others matter when it is encoded."""
        taken = {name for name, one in signature(self.make).parameters.items() if one.kind is one.KEYWORD_ONLY} if self.make else set()
        return {name: value for name, value in (values or self.options).items() if name in taken}


def resized(values: Num[np.ndarray, "height width *channels"], size: int, *, nearest: bool = False) -> Num[np.ndarray, "size size *channels"]:
    """Another side: averaged when smaller, bilinear when larger, or nearest for ids."""
    if values.shape[0] == size:
        return values
    import cv2

    how = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if size < values.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(values, (size, size), interpolation=how)


# ---- make: files -> compact arrays


def rgb(files: ViewFiles, domain: str = "rgb") -> UInt8[np.ndarray, "h h 3"]:
    """An 8-bit image in its three channels."""
    return resized(files.stored(domain), files.size)


def eight_bit(domain: str, channels: int) -> Callable[..., Any]:
    """The first channels of an 8-bit map."""

    def make(files: ViewFiles) -> UInt8[np.ndarray, "h h channels"]:
        return np.ascontiguousarray(resized(files.stored(domain), files.size)[..., :channels])

    return make


def curvatures(files: ViewFiles) -> UInt8[np.ndarray, "h h 2"]:
    """Both principal curvatures as stored; where there is none they are 0, which must not be averaged with."""
    return np.ascontiguousarray(resized(files.stored("principal_curvature"), files.size, nearest=True)[..., :2])


def has_curvature(stored: UInt8[np.ndarray, "*shape 2"]) -> Bool[np.ndarray, "*shape"]:
    """Across an occlusion edge, or where nothing was measured, there is no curvature."""
    return np.asarray(stored.any(-1))


def sixteen_bit(domain: str) -> Callable[..., Any]:
    """A 16-bit map of shares."""

    def make(files: ViewFiles) -> UInt16[np.ndarray, "h h 1"]:
        return resized(files.stored(domain), files.size)[..., None]

    return make


def blurred(files: ViewFiles, *, limit: float, blur: float) -> UInt16[np.ndarray, "h h 1"]:
    """Occlusion edges, blurred as in the reference; kept in units of `limit` / 4096, so that up to 16 times the limit fits.

    Args:
        files: The view.
        limit: What the encoding maps to 1.
        blur: Standard deviation, pixels at 256 px.
    """
    import cv2

    edges = resized(files.stored("edge_occlusion").astype(np.float32) / 65535, files.size)
    sigma = blur * files.size / REFERENCE_SIZE
    if sigma > 0:
        edges = cv2.GaussianBlur(edges, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.rint(np.clip(edges / limit * 4096, 0, 65535)).astype(np.uint16)[..., None]


def log_depth(domain: str) -> Callable[..., Any]:
    """log(1 + raw) / log(2^16) as a 16-bit share: logarithm first, then resizing."""

    def make(files: ViewFiles) -> UInt16[np.ndarray, "h h 1"]:
        share = np.log1p(files.stored(domain).astype(np.float32)) / np.float32(np.log(65536))
        return np.rint(resized(share, files.size) * 65535).astype(np.uint16)[..., None]

    return make


def ids(domain: str) -> Callable[..., Any]:
    """A map of segment ids."""

    def make(files: ViewFiles) -> UInt8[np.ndarray, "h h"]:
        return resized(files.stored(domain), files.size, nearest=True)

    return make


def semantic_classes(files: ViewFiles) -> UInt8[np.ndarray, "h h"]:
    """0 background, 1 to 16 the objects; 255 where the file says uncertain."""
    stored = resized(files.stored("segment_semantic"), files.size, nearest=True)
    return np.where(stored == 0, NO_CLASS, stored - 1).astype(np.uint8)


def object_shares(files: ViewFiles) -> Num[np.ndarray, "1000"]:
    """Softmax of the file's logits."""
    logits = files.stored("class_object").astype(np.float64)
    shares = np.exp(logits - logits.max())
    return (shares / shares.sum()).astype(np.float16)


def scene_shares(files: ViewFiles) -> Num[np.ndarray, "63"]:
    """The indoor categories' probabilities, renormalised."""
    shares = files.stored("class_scene").astype(np.float64)[list(PLACES.values())]
    total = shares.sum()
    return (shares / total if total > 0 else np.full_like(shares, 1 / len(shares))).astype(np.float16)


def lab_colours(files: ViewFiles) -> Num[np.ndarray, "quarter quarter 2"]:
    """a and b of CIE Lab, to whole units, at a quarter of the side."""
    import cv2

    small = resized(files.stored("rgb"), files.size // 4).astype(np.float32) / 255
    return np.rint(cv2.cvtColor(small, cv2.COLOR_RGB2LAB)[..., 1:]).astype(np.int8)


def permutation(files: ViewFiles) -> UInt8[np.ndarray, "1"]:
    """Which of the 100 permutations this view's tiles are shown in; training may draw others, testing uses this one."""
    return generator(0, "permutation", files.name).integers(100, size=1, dtype=np.uint8)


# ---- encode: compact arrays -> what a loss compares


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
