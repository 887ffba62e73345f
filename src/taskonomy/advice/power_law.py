"""The saturating power law, loss = floor + scale * images ** -exponent, fitted to many draws of the same points at once.

Hestness et al. (arXiv 1712.00409) find it in learning curves; Mahmood et al. (arXiv 2207.01725) find it among the safest to extrapolate, if labels
are bought in several rounds with a new fit after each.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Exponents that are tried, and finer ones around the best of them, twice. Those of learning curves lie between 0.05 and 1 (arXiv 1712.00409); steeper
# ones are for losses that saturate at once.
LEAST, MOST = 0.05, 3.0
_COARSE, _FINE, _ROUNDS = 24, 13, 2
# Few noisy points do not tell exponent and floor apart: a law fitted to them alone may extrapolate worse than no law, the last loss for all amounts.
# So exponents are expected around a usual one: the logarithm of the ratio has so large a standard deviation.
USUAL, SPREAD = 0.6, 0.3

_Found = tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"], Float[np.ndarray, " draws"], Float[np.ndarray, "draws amounts"]]


@dataclass(frozen=True)
class PowerLaw:
    """Fitted laws, one for each draw.

    Attributes:
        floor: Loss with any number of images, >= 0.
        scale: Loss above the floor with `unit` images, >= 0.
        exponent: How fast that part falls.
        unit: Images that the scale refers to.
        residuals: Relative differences of the points from the law.
    """

    floor: Float[np.ndarray, " draws"]
    scale: Float[np.ndarray, " draws"]
    exponent: Float[np.ndarray, " draws"]
    unit: float
    residuals: Float[np.ndarray, "draws amounts"]

    def at(self, images: float) -> Float[np.ndarray, " draws"]:
        """Compute the loss with so many images."""
        return np.asarray(self.floor + self.scale * (images / self.unit) ** -self.exponent)


def fit(
    images: Float[np.ndarray, " amounts"],
    losses: Float[np.ndarray, "draws amounts"],
    *,
    saturates: bool = True,
    noise: float = 0.0,
    usual: float | Float[np.ndarray, " draws"] = USUAL,
) -> PowerLaw:
    """Fit the law by least squares of relative differences: for each exponent the best floor and scale >= 0, and of all exponents the best.

    Args:
        images: Amounts, rising.
        losses: Losses > 0 with these amounts.
        saturates: Whether there is a floor; without it two points determine the law, and with it three.
        noise: Standard deviation of the logarithm of a loss: the larger, the more the exponent is drawn to the usual one; 0: not at all.
        usual: That exponent.
    """
    unit, relative = float(images[-1]), images / images[-1]
    around = np.broadcast_to(np.asarray(usual, float), len(losses))[:, None]

    def best(exponents: Float[np.ndarray, "draws tried"]) -> _Found:
        return _best(relative, losses, exponents, (noise / SPREAD * np.log(exponents / around)) ** 2, saturates)

    found = best(np.broadcast_to(np.geomspace(LEAST, MOST, _COARSE), (len(losses), _COARSE)))
    step = (MOST / LEAST) ** (1 / (_COARSE - 1))
    for _ in range(_ROUNDS):
        found = best(np.clip(found[2][:, None] * np.geomspace(1 / step, step, _FINE), LEAST, MOST))
        step **= 2 / (_FINE - 1)
    return PowerLaw(found[0], found[1], found[2], unit, found[3])


def _best(
    relative: Float[np.ndarray, " amounts"],
    losses: Float[np.ndarray, "draws amounts"],
    exponents: Float[np.ndarray, "draws tried"],
    misfit: Float[np.ndarray, "draws tried"],
    saturates: bool,
) -> _Found:
    """Find the best of some exponents: floor, scale, exponent, and relative differences."""
    one = 1 / losses[:, None, :]  # of relative differences, [draws, exponents, amounts]
    power = relative ** -exponents[:, :, None] * one
    power_power, power_rest = (power**2).sum(-1), power.sum(-1)
    scale = power_rest / power_power
    floor = np.zeros_like(scale)
    if saturates:
        one_one, one_power, one_rest = (one**2).sum(-1), (one * power).sum(-1), one.sum(-1)
        determinant = one_one * power_power - one_power**2
        both_floor = (one_rest * power_power - power_rest * one_power) / determinant
        both_scale = (power_rest * one_one - one_rest * one_power) / determinant
        level = np.broadcast_to(one_rest / one_one, scale.shape)
        # Where one of both would be negative, it is 0, and the other is fitted alone.
        floor = np.where(both_scale < 0, level, np.where(both_floor < 0, 0.0, both_floor))
        scale = np.where(both_scale < 0, 0.0, np.where(both_floor < 0, scale, both_scale))
    off = floor[..., None] * one + scale[..., None] * power - 1
    best, draws = ((off**2).sum(-1) + misfit).argmin(-1), np.arange(len(losses))
    return floor[draws, best], scale[draws, best], exponents[draws, best], off[draws, best]
