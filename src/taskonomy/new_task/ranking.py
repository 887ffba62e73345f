"""Turn per-image losses into the result of a query: which sources, how certain, and from how many labelled images on none is needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.config.params import NormalizeParams
from taskonomy.dataset.splits import Split
from taskonomy.new_task.learning_curve import CurvePoint, Way, can_be_fine_tuned
from taskonomy.numeric.rng import generator
from taskonomy.store.store import Unit
from taskonomy.tables.table import join_sources, labelled
from taskonomy.tasks import Registry
from taskonomy.training.transfer_context import SCRATCH, Sources
from taskonomy.transfers.transfers import Transferred

_BLOCK = 64  # resamples drawn at once


@dataclass(frozen=True)
class QueryResult:
    """The result of a query: what to start the new task from.

    Attributes:
        target: The task.
        ranking: A row per transfer, best first: `sources`, `order`, `affinity`, `low`, `high`, `best_of_order`, `gain`, `gain_held_out`,
            both against training from scratch.
        best: Sources of the highest affinity of each order.
        curve: A row per network: `way`, `sources`, `images`, `loss` (mean over held-out images) and `gain` (share of those on which it beats the
            network from scratch on the same samples), each with `_low` and `_high`.
        crossings: Way -> the numbers of samples, by interpolation, at which it stops or starts to beat training from scratch.
        samples: Number of labelled samples by purpose.
        registry: Registry of tasks, with their titles.
        external: Source that others trained -> its licence, and the multiply-adds of its encoder, millions for each image.
    """

    target: str
    ranking: pd.DataFrame
    best: tuple[Sources, ...]
    curve: pd.DataFrame
    crossings: dict[str, list[float]]
    samples: dict[str, int]
    registry: Registry
    external: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def winner(self) -> Sources:
        """Return the transfer of the highest affinity."""
        return ranked_first(self.ranking)

    @property
    def as_they_are(self) -> dict[str, Mapping[str, Any]]:
        """Return the sources that others trained, of the best transfer of each order: these are used as they are."""
        used = dict.fromkeys(labelled(name) for sources in self.best for name in sources)
        return {name: self.external[name] for name in used if name in self.external}

    def verdict(self) -> dict[str, Any]:
        """Return the way with the highest gain with all samples; training from scratch has 0.5 against itself."""
        last = self.curve[self.curve["images"] == self.curve["images"].max()]
        first = last.loc[last["gain"].idxmax()]
        return {name: first[name] for name in ("way", "sources", "images", "gain", "gain_low", "gain_high", "loss")}

    def as_dict(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        rows = self.ranking.assign(sources=self.ranking["sources"].map(join_sources)).set_index("sources")
        names = [join_sources(sources) for sources in self.best]
        return {
            "task": self.target,
            "start_from": {name: _plain(value) for name, value in self.verdict().items()},
            "best_of_each_order": [{"sources": name, **{column: _plain(value) for column, value in rows.loc[name].items()}} for name in names],
            "crossings": self.crossings,
            "samples": self.samples,
            **({"use_as_they_are": self.as_they_are} if self.as_they_are else {}),
        }


def ranked(target: str, done: Transferred, params: NormalizeParams) -> pd.DataFrame:
    """Rank every transfer, best first, with bootstrap intervals and gain on the images that affinities are measured on, and gain on held-out ones.

    Args:
        target: The task.
        done: Its transfers, and the network from scratch on the same samples.
        params: The section `normalize`.
    """
    names, losses = done.losses(Split.TEST_AFFINITY)
    scratch = done.units[SCRATCH].arrays
    measured = partial(measure, normalization=Normalization(params.method), confidence=params.confidence, seed=params.seed)
    found = measured(Losses(target, names, losses, scratch[Split.TEST_AFFINITY]), resamples=params.resamples)
    held_out = measured(Losses(target, names, done.losses(Split.TEST_POLICY)[1], scratch[Split.TEST_POLICY]), resamples=0)
    rows = found.rows.drop(columns="target").assign(
        gain=found.rows["gain_scratch"],
        order=found.rows["sources"].map(len),
        best_of_order=[found.best_of_order.get(name, np.nan) for name in names],
        gain_held_out=held_out.rows["gain_scratch"],
    )
    columns = ["sources", "order", "affinity", "low", "high", "best_of_order", "gain", "gain_held_out"]
    return rows.reindex(columns=columns).sort_values("affinity", ascending=False, kind="stable", ignore_index=True)


def ranked_first(ranking: pd.DataFrame) -> Sources:
    """Return the sources of the highest affinity; of equals, those that were tried first."""
    return tuple(ranking["sources"].iloc[0])


def best_of_each_order(ranking: pd.DataFrame) -> tuple[Sources, ...]:
    """Return the sources of the highest affinity of each order."""
    return tuple(tuple(rows["sources"].iloc[0]) for _order, rows in ranking.groupby("order"))


def best_to_fine_tune(ranking: pd.DataFrame, target: str, registry: Registry) -> str | None:
    """Return the best single source whose encoder reads the same input as the target's would; None: there is none."""
    alone = [sources[0] for sources in ranking["sources"] if len(sources) == 1]
    return next((source for source in alone if can_be_fine_tuned(source, target, registry)), None)


def curve_of(units: Mapping[CurvePoint, Unit], params: NormalizeParams) -> pd.DataFrame:
    """Evaluate each network on the held-out images, which no choice was based on."""
    scratch = {point.images: unit.arrays[Split.TEST_POLICY] for point, unit in units.items() if point.way is Way.SCRATCH}
    rows = []
    for point, unit in units.items():
        losses, others = unit.arrays[Split.TEST_POLICY], scratch[point.images]
        gain = (losses < others) + 0.5 * (losses == others)
        values = np.stack([losses.astype(np.float64), gain.astype(np.float64)])
        rng = generator(params.seed, "learning curve", point.way.value, point.images)
        low, high = interval(values, params.resamples, params.confidence, rng)
        row: dict[str, Any] = {"way": point.way.value, "sources": join_sources(point.sources), "images": point.images}
        for number, name in enumerate(("loss", "gain")):
            row |= {name: values[number].mean(), f"{name}_low": low[number], f"{name}_high": high[number]}
        rows.append(row)
    return pd.DataFrame(rows)


def interval(
    values: Float[np.ndarray, "rows images"], resamples: int, confidence: float, rng: np.random.Generator
) -> tuple[Shaped[np.ndarray, " rows"], Shaped[np.ndarray, " rows"]]:
    """Compute the percentile interval of each row's mean over bootstrap resamples of the images; NaN without resamples."""
    if not resamples:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    images = values.shape[1]
    means = []
    for start in range(0, resamples, _BLOCK):
        weights = rng.multinomial(images, np.full(images, 1 / images), size=min(_BLOCK, resamples - start))
        means.append(weights @ values.T / images)
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def crossings(curve: pd.DataFrame) -> dict[str, list[float]]:
    """Find for each way the numbers of samples at which its gain over training from scratch crosses one half, interpolated over their logarithm."""
    found: dict[str, list[float]] = {}
    for way, rows in curve[curve["way"] != Way.SCRATCH.value].groupby("way", sort=False):
        rows = rows.sort_values("images")
        images, ahead = np.log(rows["images"].to_numpy(float)), rows["gain"].to_numpy(float) - 0.5
        decided = np.flatnonzero(ahead).tolist()  # a point at exactly one half is on neither side
        turns = [one for one, other in pairwise(decided) if ahead[one] * ahead[other] < 0]
        at = [images[one] + (images[one + 1] - images[one]) * ahead[one] / (ahead[one] - ahead[one + 1]) for one in turns]
        found[str(way)] = [float(np.exp(point)) for point in at]
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
