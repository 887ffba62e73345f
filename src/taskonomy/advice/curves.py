"""Loss against labelled images, per target and way to solve it: fitted, and continued to at most four times the largest amount, with intervals."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.advice import power_law
from taskonomy.advice.power_law import PowerLaw, fit
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator

FURTHEST = 4  # times the largest amount: further than that, no law has been found safe
FITTED = 3  # amounts that determine floor, scale and exponent
DRAWS = 1000
CONFIDENCE = 0.9
COLUMNS = ("target", "sources", "images", "building", "tests", "loss")


@dataclass(frozen=True)
class LossInterval:
    """A number with the bounds that hold it with the confidence of `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelCurve:
    """One target and one way to solve it.

    Attributes:
        target: The task that is solved.
        sources: As tables write them; `self`: the target's whole network from scratch.
        images: Amounts that it was trained on, rising.
        losses: Mean losses on the test images; the first row as measured, the others of bootstrap draws of the buildings.
        noise: Standard deviation of the logarithm of a loss from training to training, as scattered points around curves show it; NaN: not known.
    """

    target: str
    sources: str
    images: Float[np.ndarray, " amounts"]
    losses: Float[np.ndarray, "draws amounts"]
    noise: float = math.nan

    @property
    def fitted(self) -> bool:
        """Return whether there are enough amounts to fit the law."""
        return len(self.images) >= FITTED

    @property
    def why_not(self) -> str:
        """Say what a curve of too few amounts does not tell."""
        there = f"{len(self.images)} amounts ({', '.join(f'{one:,.0f}' for one in self.images)})"
        if len(self.images) < 2:
            return f"{there.replace('amounts', 'amount')} tell nothing about more images; a second and a third are needed".replace("tell", "tells", 1)
        return f"{there} tell how steep the loss falls, not where it stops; a third is needed"

    def at(self, images: float) -> LossInterval:
        """Predict the loss with so many images; with two amounts, only the bounds are known: no better, or falling on without a floor.

        Raises:
            ValueError: It is further than `FURTHEST` times the largest amount, or there is one amount.
        """
        if images > FURTHEST * self.images[-1] or len(self.images) < 2:
            raise ValueError(f"no prediction for {images:g} images from {self.images.tolist()}")
        if not self.fitted:
            last, falling = self.losses[0, -1], float(fit(self.images, self.losses[:1], saturates=False).at(images)[0])
            return LossInterval(math.nan, min(last, falling), last)
        found = self._law.at(images)
        low, high = np.quantile(found[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return LossInterval(float(found[0]), float(min(low, found[0])), float(max(high, found[0])))

    def drawn(self, images: float) -> Float[np.ndarray, " draws"] | None:
        """Return the loss with so many images: measured, or predicted; None where neither is possible. The first is not of a draw."""
        if (at := np.flatnonzero(self.images == images)).size:
            return self.losses[:, at[0]] * self._noise[:, at[0]]
        return self._law.at(images) if self.fitted and images <= FURTHEST * self.images[-1] else None

    def improvement(self, images: float) -> float:
        """Return by how much the loss is expected to fall from the largest amount to so many images, if the better of both networks is kept.

        More labels never harm who keeps what is there; so where a curve is uncertain, they are worth something even if it looks flat.

        Raises:
            ValueError: There is no prediction for so many images.
        """
        drawn = self.drawn(images)
        if drawn is None:
            raise ValueError(f"no prediction for {images:g} images from {self.images.tolist()}")
        return float(np.maximum(self.losses[1:, -1] - drawn[1:], 0.0).mean())

    @cached_property
    def _noise(self) -> Float[np.ndarray, "draws amounts"]:
        """Draw noise of training for each point; the first row, as measured, has none."""
        rng = generator(0, "noise of training", self.target, self.sources)
        noise = np.exp((0.0 if math.isnan(self.noise) else self.noise) * rng.standard_normal(self.losses.shape))
        noise[0] = 1.0
        return noise

    @cached_property
    def _law(self) -> PowerLaw:
        """Fit all draws, each with noise of training and an expectation of the exponent of its own."""
        usual = power_law.USUAL * np.exp(power_law.SPREAD * generator(0, "exponent", self.target, self.sources).standard_normal(len(self.losses)))
        usual[0] = power_law.USUAL
        return fit(self.images, self.losses * self._noise, noise=0.0 if math.isnan(self.noise) else self.noise, usual=usual)

    def without_last(self, count: int = 1) -> "LabelCurve":
        """Return the curve without its largest amounts."""
        return replace(self, images=self.images[:-count], losses=self.losses[:, :-count])


def curves(losses: pd.DataFrame, where: str = "losses", draws: int = DRAWS) -> list[LabelCurve]:
    """Build the curves of a table of losses by building.

    Args:
        losses: `COLUMNS`, of one half of the test images; `images` is empty for networks trained on all images, which are no points of a curve.
        where: What to call the table in errors.
        draws: Bootstrap draws of the buildings.

    Raises:
        TaskonomyError: Losses are missing, or are no numbers > 0.
    """
    if missing := [name for name in COLUMNS if name not in losses]:
        raise TaskonomyError(f"{where}: missing columns: {', '.join(missing)}")
    some = losses[losses["images"].notna()]
    values = some[["images", "tests", "loss"]].to_numpy(float)
    if not (np.isfinite(values) & (values > 0)).all():
        raise TaskonomyError(f"{where}: images, tests and loss must be numbers > 0")
    found = []
    for target, rows in some.groupby("target", sort=True):
        found += _with_noise(list(_of_target(str(target), rows, where, draws)))
    return found


def _of_target(target: str, rows: pd.DataFrame, where: str, draws: int) -> Iterator[LabelCurve]:
    tests = rows.groupby("building")["tests"].first().sort_index()
    drawn = generator(0, "buildings", target).multinomial(len(tests), np.full(len(tests), 1 / len(tests)), size=draws)
    weights = np.concatenate([np.ones((1, len(tests))), drawn]) * tests.to_numpy(float)
    weights /= weights.sum(1, keepdims=True)
    for sources, way in rows.groupby("sources", sort=True):
        grid = way.pivot_table(index="building", columns="images", values="loss", aggfunc="mean").reindex(tests.index)
        if grid.isna().to_numpy().any():
            raise TaskonomyError(f"{where}: {sources} -> {target}: losses are missing for some buildings")
        grid = grid.sort_index(axis=1)
        yield LabelCurve(target, str(sources), grid.columns.to_numpy(float), weights @ grid.to_numpy(float))


def _with_noise(found: Sequence[LabelCurve]) -> list[LabelCurve]:
    """Estimate the noise of training of a target from how its points scatter around their curves, all ways together.

    With three amounts the law fits exactly, so a law without a floor is held against them; what it lacks is counted as noise, too.
    """
    squares, freedom = 0.0, 0
    for one in found:
        if not one.fitted:
            continue
        saturates = len(one.images) > FITTED
        squares += float((fit(one.images, one.losses[:1], saturates=saturates).residuals ** 2).sum())
        freedom += len(one.images) - (FITTED if saturates else FITTED - 1)
    return [replace(one, noise=math.sqrt(squares / freedom)) if freedom else one for one in found]


def coverage(found: Sequence[LabelCurve], hidden: int = 1) -> pd.DataFrame:
    """Hide the largest amounts of every curve, predict them from the others, and say whether the interval holds what was measured.

    Returns:
        A row for each hidden point of a curve that the others determine: `target`, `sources`, `images`, `factor` (times the largest amount that was
        left), `measured`, `predicted`, `low`, `high`, `within`.
    """
    rows = []
    by_target: dict[str, list[LabelCurve]] = {}
    for one in found:
        by_target.setdefault(one.target, []).append(one)
    for target, ways in by_target.items():
        left = _with_noise([one.without_last(hidden) for one in ways if len(one.images) >= FITTED + hidden])
        whole = {one.sources: one for one in ways}
        for one in left:
            for place in range(len(one.images), len(whole[one.sources].images)):
                images, measured = float(whole[one.sources].images[place]), float(whole[one.sources].losses[0, place])
                if images > FURTHEST * one.images[-1]:
                    continue
                said = one.at(images)
                within = said.low <= measured <= said.high
                rows.append((target, one.sources, images, images / one.images[-1], measured, said.value, said.low, said.high, within))
    names = ["target", "sources", "images", "factor", "measured", "predicted", "low", "high", "within"]
    return pd.DataFrame(rows, columns=names)
