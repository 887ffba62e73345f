"""Win rates: the share of images on which one candidate is better than another.

Only the order of two losses on one image counts, so any strictly increasing rescaling of a target's losses leaves win rates unchanged.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64, Shaped

from taskonomy.errors import TaskonomyError

# Images per block: 100 candidates in float64 are 3 MB, which stays in the cache while every pair is compared.
BLOCK = 4096


def blocks(losses: Shaped[np.ndarray, "candidates images"], target: str, candidates: list[str]) -> Iterator[Float[np.ndarray, "candidates block"]]:
    """Yield checked blocks of images; `losses` may be mapped from disk.

    Raises:
        TaskonomyError: A loss is not finite; names the target and the candidate.
    """
    images = losses.shape[1]
    if images < 2:
        raise TaskonomyError(f"target {target}: win rates need at least 2 images (there are {images})")
    for start in range(0, images, BLOCK):
        block = np.ascontiguousarray(losses[:, start : start + BLOCK])
        if not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise TaskonomyError(f"target {target}, candidate {candidates[row]}: the loss of image {start + column} is {block[row, column]}")
        yield block


def win_rates(losses: Shaped[np.ndarray, "candidates images"], target: str, candidates: list[str]) -> Float64[np.ndarray, "candidates candidates"]:
    """Compute the share of images on which the row's loss is strictly lower than the column's; ties count half for each.

    The paper (section 3.3) compares strictly and does not mention ties; with ties split evenly, `W + W.T == 1` and the diagonal is 0.5.

    Args:
        losses: One loss per candidate and image of one target, in any units; lower is better.
        target: Name of the target, for errors.
        candidates: Names of the candidates, for errors.
    """
    lower = np.zeros((len(candidates), len(candidates)), dtype=np.int64)
    for block in blocks(losses, target, candidates):
        for row, own in enumerate(block):
            lower[row] += np.count_nonzero(own < block, axis=1)
    images = losses.shape[1]
    ties = images - lower - lower.T
    return (lower + 0.5 * ties) / images


def win_rate_against(
    losses: Shaped[np.ndarray, "candidates images"], baseline: Shaped[np.ndarray, " images"], target: str, candidates: list[str]
) -> Float64[np.ndarray, " candidates"]:
    """Compute the share of images on which each candidate beats one baseline; ties count half (paper section 4: gain and quality)."""
    wins = np.zeros(len(candidates))
    for number, block in enumerate(blocks(losses, target, candidates)):
        opponent = baseline[number * BLOCK : number * BLOCK + block.shape[1]]
        wins += np.count_nonzero(block < opponent, axis=1) + 0.5 * np.count_nonzero(block == opponent, axis=1)
    return wins / losses.shape[1]
