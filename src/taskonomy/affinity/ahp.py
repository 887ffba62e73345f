"""The Analytic Hierarchy Process (Saaty 1987; paper section 3.3): one affinity per candidate from pairwise win rates."""

import numpy as np
from jaxtyping import Float, Float64

from taskonomy.errors import TaskonomyError

# Win rates are clipped before the division, so that no candidate has infinite odds. The paper's 0.001 and 0.999 suit its 17,000 test images.
CLIP = 0.001
_MAX_SQUARINGS = 60


def lowest_rate(images: int) -> float:
    """Compute the win rate below which rates from so many images are clipped, and 1 minus which is the highest.

    By the rule of succession (Laplace 1814), who wins on all of n images wins with probability (n + 1) / (n + 2). With the paper's bounds, one of few
    images would turn odds of n - 1 into 999, and the best of a target would owe most of its affinity to it. From 998 images on they are the paper's.
    """
    return max(CLIP, 1 / (images + 2))


def odds(win_rates: Float64[np.ndarray, "*batch n n"], images: int) -> Float64[np.ndarray, "*batch n n"]:
    """Compute the odds that the row beats the column: the reciprocal matrix W / W.T, clipped by the number of images of the win rates."""
    lowest = lowest_rate(images)
    clipped = np.clip(win_rates, lowest, 1 - lowest)
    return clipped / np.swapaxes(clipped, -1, -2)


def principal_eigenvector(matrices: Float64[np.ndarray, "*batch n n"]) -> Float64[np.ndarray, "*batch n"]:
    """Compute the positive right eigenvector of positive matrices, scaled to sum 1 (Perron: real and unique).

    The matrix is squared repeatedly: step k amounts to 2^k power iterations, and nothing is ever subtracted, so no digits cancel.

    Raises:
        TaskonomyError: A matrix does not converge; a positive matrix of clipped odds always does.
    """
    power = matrices
    vector = power.mean(axis=-1)
    for _ in range(_MAX_SQUARINGS):
        power = power / power.max(axis=(-1, -2), keepdims=True)
        power = power @ power
        sums = power.sum(axis=-1)
        previous, vector = vector, sums / sums.sum(axis=-1, keepdims=True)
        if np.abs(vector - previous).max() <= 1e-15:
            return vector
    raise TaskonomyError("the principal eigenvector did not settle: the odds are not all positive and finite")


def affinities(win_rates: Float64[np.ndarray, "*batch n n"], images: int) -> Float64[np.ndarray, "*batch n"]:
    """Compute the AHP affinities of one target's candidates, from win rates on so many images: positive, sum 1, higher is better."""
    return principal_eigenvector(odds(win_rates, images))


def consistency_ratio(win_rates: Float64[np.ndarray, "n n"], images: int) -> float:
    """Measure how far the pairwise odds are from ratios of single scores: 0 is perfect, 1 is as bad as chance (Saaty 1987).

    It is (lambda - n) / (n - 1) divided by its mean for random judgements on Saaty's scale of 1 to 9. That mean comes from the regression
    of Alonso and Lamata (2006), since Saaty's own list ends at 15 candidates. Odds here reach 999, so Saaty's threshold of 0.1 does not
    apply; the values serve to compare targets with one another.
    """
    n = len(win_rates)
    if n < 3:
        return 0.0
    matrix = odds(win_rates, images)
    vector = principal_eigenvector(matrix)
    index = (float((matrix @ vector).sum()) - n) / (n - 1)
    return index / ((2.7699 * n - 4.3513 - n) / (n - 1))


def linear(mean_losses: Float[np.ndarray, "*batch n"]) -> Float64[np.ndarray, "*batch n"]:
    """Normalise linearly, which the paper rejects: mean losses rescaled to [0, 1], best 1, then to sum 1.

    It treats a difference in loss as equally important everywhere on the scale, so a monotone rescaling of the loss changes it.
    """
    low, high = mean_losses.min(axis=-1, keepdims=True), mean_losses.max(axis=-1, keepdims=True)
    span = high - low
    score = np.where(span > 0, (high - mean_losses) / np.where(span > 0, span, 1), 1.0)
    return (score / score.sum(axis=-1, keepdims=True)).astype(np.float64)
