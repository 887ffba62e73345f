"""Make labels from a view's files: compact arrays, computed once, when the data is prepared.

Lengths in pixels are those of the reference at 256 px and scale with the image. What is trained again depends on the resulting arrays, not on this
code. OpenCV is imported where it is used, so that code that only needs a task's title does not wait for it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float32, Num, UInt8, UInt16

from taskonomy.labels.classes import PLACES
from taskonomy.labels.encodings import NO_CLASS, ViewFiles
from taskonomy.numeric.rng import generator

REFERENCE_SIZE = 256


def resized(values: Num[np.ndarray, "height width *channels"], size: int, *, nearest: bool = False) -> Num[np.ndarray, "size size *channels"]:
    """Resize a square image or map: averaged when smaller, bilinear when larger, or nearest for ids."""
    if values.shape[0] == size:
        return values
    import cv2

    how = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if size < values.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(values, (size, size), interpolation=how)


def rgb(files: ViewFiles, domain: str = "rgb") -> UInt8[np.ndarray, "h h 3"]:
    """Return an 8-bit image with its three channels."""
    return resized(files.stored(domain), files.size)


def eight_bit(domain: str, channels: int) -> Callable[..., Any]:
    """Return a function that makes the first channels of an 8-bit map."""

    def make(files: ViewFiles) -> UInt8[np.ndarray, "h h channels"]:
        return np.ascontiguousarray(resized(files.stored(domain), files.size)[..., :channels])

    return make


def curvatures(files: ViewFiles) -> UInt8[np.ndarray, "h h 2"]:
    """Return both principal curvatures as stored, resized to the nearest pixel: 0 marks pixels without curvature, and must not be averaged."""
    return np.ascontiguousarray(resized(files.stored("principal_curvature"), files.size, nearest=True)[..., :2])


def sixteen_bit(domain: str) -> Callable[..., Any]:
    """Return a function that makes a 16-bit map of shares."""

    def make(files: ViewFiles) -> UInt16[np.ndarray, "h h 1"]:
        return resized(files.stored(domain), files.size)[..., None]

    return make


def blurred(files: ViewFiles, *, limit: float, blur: float) -> UInt16[np.ndarray, "h h 1"]:
    """Return occlusion edges, blurred as in the reference and stored in units of `limit` / 4096, so that up to 16 times the limit fits.

    Args:
        files: The view.
        limit: Value that the encoding maps to 1.
        blur: Standard deviation, in pixels at 256 px.
    """
    import cv2

    edges = resized(files.stored("edge_occlusion").astype(np.float32) / 65535, files.size)
    sigma = blur * files.size / REFERENCE_SIZE
    if sigma > 0:
        edges = cv2.GaussianBlur(edges, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.rint(np.clip(edges / limit * 4096, 0, 65535)).astype(np.uint16)[..., None]


@cache
def _log_shares() -> Float32[np.ndarray, "65536"]:
    """Return a table of log(1 + raw) / log(2^16) for every raw value: looking it up takes a fortieth of the time of the logarithm."""
    return np.log1p(np.arange(65536, dtype=np.float32)) / np.float32(np.log(65536))


def log_depth(domain: str) -> Callable[..., Any]:
    """Return a function that makes log(1 + raw) / log(2^16) as a 16-bit share; the logarithm is taken before resizing."""

    def make(files: ViewFiles) -> UInt16[np.ndarray, "h h 1"]:
        import cv2

        share = cv2.LUT(files.stored(domain), _log_shares())
        return np.rint(resized(share, files.size) * 65535).astype(np.uint16)[..., None]

    return make


def ids(domain: str) -> Callable[..., Any]:
    """Return a function that makes a map of segment ids."""

    def make(files: ViewFiles) -> UInt8[np.ndarray, "h h"]:
        return resized(files.stored(domain), files.size, nearest=True)

    return make


def semantic_classes(files: ViewFiles) -> UInt8[np.ndarray, "h h"]:
    """Return class ids: 0 background, 1 to 16 the objects, 255 where the file says uncertain."""
    stored = resized(files.stored("segment_semantic"), files.size, nearest=True)
    return np.where(stored == 0, NO_CLASS, stored - 1).astype(np.uint8)


def object_shares(files: ViewFiles) -> Num[np.ndarray, "1000"]:
    """Return the softmax of the file's logits."""
    logits = files.stored("class_object").astype(np.float64)
    shares = np.exp(logits - logits.max())
    return (shares / shares.sum()).astype(np.float16)


def scene_shares(files: ViewFiles) -> Num[np.ndarray, "63"]:
    """Return the probabilities of the indoor categories, renormalised."""
    shares = files.stored("class_scene").astype(np.float64)[list(PLACES.values())]
    total = shares.sum()
    return (shares / total if total > 0 else np.full_like(shares, 1 / len(shares))).astype(np.float16)


def lab_colours(files: ViewFiles) -> Num[np.ndarray, "quarter quarter 2"]:
    """Return a and b of CIE Lab, rounded to integers, at a quarter of the side."""
    import cv2

    small = resized(files.stored("rgb"), files.size // 4).astype(np.float32) / 255
    return np.rint(cv2.cvtColor(small, cv2.COLOR_RGB2LAB)[..., 1:]).astype(np.int8)


def permutation(files: ViewFiles) -> UInt8[np.ndarray, "1"]:
    """Return which of the 100 permutations this view's tiles are shown in; training may draw others, testing uses this one."""
    return generator(0, "permutation", files.name).integers(100, size=1, dtype=np.uint8)
