"""The 313 colour bins of colorization (Zhang et al. 2016) and the soft labels on them."""

import numpy as np
from jaxtyping import Float, Float32, Int

# Bins lie on a grid of step 10 in a and b of CIE Lab, inside the sRGB gamut. One row per a from -90 to 100: lowest and highest b.
STEP = 10
_ROWS = (
    (50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100), (-50, 100), (-50, 100), (-60, 100), (-70, 100),
    (-80, 90), (-80, 90), (-90, 90), (-100, 90), (-100, 80), (-110, 80), (-110, 80), (-110, 70), (-110, 70), (-90, 0),
)  # fmt: skip
BINS = np.array([(a, b) for a, (low, high) in zip(range(-90, 101, STEP), _ROWS, strict=True) for b in range(low, high + 1, STEP)], np.float32)
_LIMIT = 128


def _nearest(neighbours: int) -> Int[np.ndarray, "a b neighbours"]:
    """Return the nearest bins of every integer a and b, nearest first; ties are ordered by bin number."""
    a, b = np.meshgrid(np.arange(-_LIMIT, _LIMIT), np.arange(-_LIMIT, _LIMIT), indexing="ij")
    distance = (a[..., None] - BINS[:, 0]) ** 2 + (b[..., None] - BINS[:, 1]) ** 2
    return np.argsort(distance, axis=-1, kind="stable")[..., :neighbours].astype(np.int16)


_tables: dict[int, np.ndarray] = {}


def soft_bins(
    ab: Int[np.ndarray, "*shape 2"], neighbours: int = 10, sigma: float = 5.0
) -> tuple[Int[np.ndarray, "*shape neighbours"], Float32[np.ndarray, "*shape neighbours"]]:
    """Return the nearest colour bins of each pixel, and weights exp(-d^2 / (2 sigma^2)) that sum to 1 (the released encoding: 10 bins, sigma 5).

    Args:
        ab: Integer a and b of CIE Lab, in [-128, 127].
        neighbours: Number of bins that share a pixel's colour.
        sigma: Width of the weights, in units of a and b.
    """
    if neighbours not in _tables:
        _tables[neighbours] = _nearest(neighbours)
    bins = _tables[neighbours][ab[..., 0].astype(np.intp) + _LIMIT, ab[..., 1].astype(np.intp) + _LIMIT]
    squared = ((ab[..., None, :] - BINS[bins]) ** 2).sum(-1)
    weights = np.exp(-(squared - squared.min(-1, keepdims=True)) / (2 * sigma**2), dtype=np.float32)
    return bins, weights / weights.sum(-1, keepdims=True)


def expected_ab(shares: Float[np.ndarray, "*shape 313"]) -> Float[np.ndarray, "*shape 2"]:
    """Return the mean colour, a and b of CIE Lab, of a distribution over bins."""
    return shares @ BINS


def rarity_weights(counts: Float[np.ndarray, " classes"], mix: float = 0.5) -> Float[np.ndarray, " classes"]:
    """Return the weight of each class or colour bin: rare ones weigh more, the mean over the counted pixels is 1, and an absent class weighs 0.

    Args:
        counts: Number of pixels of each class, over the training images.
        mix: Share of the uniform distribution mixed in before inverting (Zhang et al. 2016: 0.5).
    """
    share = counts / counts.sum()
    weights = np.where(counts > 0, 1 / ((1 - mix) * share + mix / len(share)), 0)
    return weights / (weights * share).sum()
