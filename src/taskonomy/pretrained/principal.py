"""Bring representations to the code's side, and keep their principal components."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Float32, Float64

from taskonomy.errors import TaskonomyError

FITTED = "components.npz"  # beside the codes


def pooled(maps: Float32[np.ndarray, "images channels height width"], side: int) -> Float32[np.ndarray, "images channels {side} {side}"]:
    """Average maps over the cells of a code; a map that is smaller is repeated, cell by cell.

    Each place of the code is the mean over the part of the map that it covers, with the shares of the places at its edges.
    """
    down, across = (shares_of(size, side) for size in maps.shape[2:])
    return np.einsum("ncyx,iy,jx->ncij", maps.astype(np.float64), down, across, optimize=True).astype(np.float32)


def shares_of(size: int, side: int) -> Float64[np.ndarray, "{side} {size}"]:
    """Compute which share of each place of a code each place of a map has, along one axis of `size` places."""
    edges, places = np.arange(side + 1) * (size / side), np.arange(size)
    covered = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    covered = np.clip(covered, 0, None)
    return np.asarray(covered / covered.sum(1, keepdims=True))


@dataclass(frozen=True)
class Components:
    """A projection onto principal components.

    Attributes:
        mean: Mean of each channel.
        axes: The components, by falling variance; of each, the number that is largest in size is positive.
        explained: Share of the variance that they keep.
    """

    mean: Float64[np.ndarray, " channels"]
    axes: Float64[np.ndarray, "kept channels"]
    explained: float

    def project(self, maps: Float32[np.ndarray, "images channels height width"]) -> Float32[np.ndarray, "images kept height width"]:
        """Project each place of the maps."""
        centred = maps.astype(np.float64) - self.mean[:, None, None]
        return np.einsum("ncyx,kc->nkyx", centred, self.axes, optimize=True).astype(np.float32)


class Moments:
    """The sums that principal components need, gathered over batches of images in a fixed order."""

    def __init__(self, channels: int) -> None:
        self.count, self.sum, self.products = 0, np.zeros(channels), np.zeros((channels, channels))

    @classmethod
    def of(cls, count: int, total: Float64[np.ndarray, " channels"], products: Float64[np.ndarray, "channels channels"]) -> "Moments":
        """Return the sums that were computed elsewhere."""
        made = cls(len(total))
        made.count, made.sum, made.products = count, total, products
        return made

    def plus(self, other: "Moments") -> "Moments":
        """Return the sums of both."""
        return Moments.of(self.count + other.count, self.sum + other.sum, self.products + other.products)

    def add(self, maps: Float[np.ndarray, "images channels height width"]) -> None:
        """Add the places of some maps."""
        places = maps.astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])
        self.count += len(places)
        self.sum += places.sum(0)
        self.products += places.T @ places

    def components(self, kept: int, where: str) -> Components:
        """Compute the principal components.

        Args:
            kept: How many to keep.
            where: What errors begin with.

        Raises:
            TaskonomyError: There are fewer channels, or all places are equal.
        """
        if kept > len(self.sum):
            raise TaskonomyError(f"{where}.channels: {kept}, but the tensor has {len(self.sum)}: write at most that")
        mean = self.sum / self.count
        variances, vectors = np.linalg.eigh(self.products / self.count - np.outer(mean, mean))
        variances, axes = variances[::-1], vectors[:, ::-1].T
        total = float(np.clip(variances, 0, None).sum())
        if total <= 1e-12 * max(1.0, float(np.abs(mean).max()) ** 2):
            raise TaskonomyError(f"{where}.output: the tensor is the same for every image: it holds nothing to transfer from")
        axes = axes[:kept]
        signs = np.sign(axes[np.arange(kept), np.abs(axes).argmax(1)])
        return Components(mean, axes * signs[:, None], float(np.clip(variances[:kept], 0, None).sum()) / total)


def read_components(path: Path) -> Components:
    """Read the projection of an encoder's codes.

    Raises:
        TaskonomyError: It is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return Components(kept["mean"], kept["axes"], float(kept["explained"]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise TaskonomyError(f"{path}: no readable components ({error}); the stage `encode` writes them") from None
