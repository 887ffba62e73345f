"""Uncertainty of affinities: buildings, or images, are drawn anew, with replacement, and everything after the losses is computed again.

Views of one building are alike, so it is buildings that are independent: intervals from images as if they were would be far too narrow.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from taskonomy.affinity.ahp import affinities, linear
from taskonomy.affinity.win_rates import BLOCK, blocks

_MATRICES_AT_ONCE = 64


def resampled_affinities(
    losses: Shaped[np.ndarray, "candidates images"],
    target: str,
    candidates: list[str],
    resamples: int,
    rng: np.random.Generator,
    *,
    normalization: str = "ahp",
    groups: Shaped[np.ndarray, " images"] | None = None,
) -> Float64[np.ndarray, "resamples candidates"]:
    """Compute affinities under `resamples` bootstrap draws of the groups (buildings) of the images; without groups, of the images.

    `weights` [resamples, images] counts how often each image is drawn; the win counts of all resamples are then one product with
    the pairwise outcomes [images, pairs], computed block by block. Its terms are multiples of one half far below 2^23, so float32 is
    exact and the order of summation cannot matter.
    """
    count, images = losses.shape
    first, second = np.triu_indices(count, k=1)
    columns = len(first) if normalization == "ahp" else count
    totals = np.zeros((resamples, columns))
    drawn_images = np.zeros((resamples, 1))
    for weights, block in zip(_weights(images, groups, resamples, rng), blocks(losses, target, candidates), strict=True):
        drawn_images += weights.sum(axis=1, keepdims=True)
        outcome = _outcomes(block) if normalization == "ahp" else block.T
        totals += weights.astype(outcome.dtype) @ outcome
    if normalization != "ahp":
        return linear(totals / drawn_images)
    rates = np.full((resamples, count, count), 0.5)
    rates[:, first, second] = totals / drawn_images
    rates[:, second, first] = 1 - rates[:, first, second]
    return np.concatenate([affinities(rates[i : i + _MATRICES_AT_ONCE], images) for i in range(0, resamples, _MATRICES_AT_ONCE)])


def best_of_order(
    resampled: Float64[np.ndarray, "resamples candidates"], orders: Int[np.ndarray, " candidates"]
) -> Float64[np.ndarray, " candidates"]:
    """Compute the probability that each candidate has the highest affinity among those of its order; ties share it equally."""
    probability = np.zeros(len(orders))
    for order in np.unique(orders):
        own = resampled[:, orders == order]
        best: Bool[np.ndarray, "resamples candidates"] = own == own.max(axis=1, keepdims=True)
        probability[orders == order] = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return probability


def _weights(
    images: int, groups: Shaped[np.ndarray, " images"] | None, resamples: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, "resamples block"]]:
    """Yield for each block how often every image is drawn; all images of a group as often as the group."""
    if groups is not None:
        names, group_of = np.unique(groups, return_inverse=True)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
        for start in range(0, images, BLOCK):
            yield drawn[:, group_of[start : start + BLOCK]]
        return
    for start, drawn in zip(range(0, images, BLOCK), _drawn_per_block(images, resamples, rng).T, strict=True):
        size = min(BLOCK, images - start)
        yield rng.multinomial(drawn, np.full(size, 1 / size))


def _drawn_per_block(images: int, resamples: int, rng: np.random.Generator) -> Int[np.ndarray, "resamples blocks"]:
    sizes = np.diff([*range(0, images, BLOCK), images])
    return rng.multinomial(images, sizes / images, size=resamples)


def _outcomes(block: Shaped[np.ndarray, "candidates block"]) -> Float32[np.ndarray, "block pairs"]:
    """Return 1 where the first of a pair wins on an image, 0.5 where both tie, 0 where it loses; pairs in the order of `np.triu_indices`."""
    count = len(block)
    outcome = np.empty((count * (count - 1) // 2, block.shape[1]), dtype=np.float32)
    start = 0
    for row in range(count - 1):
        own, others = block[row], block[row + 1 :]
        pairs = outcome[start : start + len(others)]
        np.less(own, others, out=pairs, casting="unsafe")
        pairs[own == others] = 0.5
        start += len(others)
    return outcome.T
