"""The Analytic Hierarchy Process (Saaty 1987; paper section 3.3): one affinity per candidate from pairwise win rates."""

import numpy as np
from jaxtyping import Float, Float64

from taskonomy.errors import TaskonomyError

# The paper clips win rates before it divides, so that no candidate has infinite odds.
CLIP = (0.001, 0.999)
_MAX_SQUARINGS = 60


def odds(win_rates: Float64[np.ndarray, "*batch n n"]) -> Float64[np.ndarray, "*batch n n"]:
    """How many times likelier the row is to beat the column than to lose: the reciprocal matrix W / W.T, clipped."""
    clipped = np.clip(win_rates, *CLIP)
    return clipped / np.swapaxes(clipped, -1, -2)


def principal_eigenvector(matrices: Float64[np.ndarray, "*batch n n"]) -> Float64[np.ndarray, "*batch n"]:
    """The positive right eigenvector of positive matrices, scaled to sum 1 (Perron: real and unique).

    Repeated squaring: the k-th step holds 2^k power iterations, and no entry is ever subtracted, so nothing cancels.

    Raises:
        TaskonomyError: if a matrix does not settle, which a positive matrix of clipped odds always does.
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


def affinities(win_rates: Float64[np.ndarray, "*batch n n"]) -> Float64[np.ndarray, "*batch n"]:
    """AHP affinities of one target's candidates: positive, sum 1, the better the higher."""
    return principal_eigenvector(odds(win_rates))


def consistency_ratio(win_rates: Float64[np.ndarray, "n n"]) -> float:
    """How far the pairwise odds are from products of single scores: 0 is perfect, 1 is as bad as chance (Saaty 1987).

    (lambda - n) / (n - 1), over its mean for random judgements on Saaty's scale of 1 to 9; that mean as the regression of Alonso and
    Lamata (2006), since Saaty's own list ends at 15 candidates. Odds here go to 999, so Saaty's threshold of 0.1 is no test, and
    values compare targets with one another.
    """
    n = len(win_rates)
    if n < 3:
        return 0.0
    matrix = odds(win_rates)
    vector = principal_eigenvector(matrix)
    index = (float((matrix @ vector).sum()) - n) / (n - 1)
    return index / ((2.7699 * n - 4.3513 - n) / (n - 1))


def linear(mean_losses: Float[np.ndarray, "*batch n"]) -> Float64[np.ndarray, "*batch n"]:
    """The normalisation that the paper rejects: mean losses rescaled to [0, 1], best 1, then to sum 1.

    It reads a loss as if its units meant the same everywhere, so a monotone rescaling of the loss changes it.
    """
    low, high = mean_losses.min(axis=-1, keepdims=True), mean_losses.max(axis=-1, keepdims=True)
    span = high - low
    score = np.where(span > 0, (high - mean_losses) / np.where(span > 0, span, 1), 1.0)
    return (score / score.sum(axis=-1, keepdims=True)).astype(np.float64)
