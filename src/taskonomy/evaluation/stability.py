"""Compare runs: data regimes, and the stability of the taxonomy (paper section 4 and the supplement's stability tests)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from taskonomy.config.policy_params import PolicyParams
from taskonomy.evaluation.agreement import agreement
from taskonomy.evaluation.studies import SINGLE, novel_tasks

REGIMES = ("target", "images", "sources", "gain", "gain_scratch", "quality")
STABILITY = ("run", "target", "sources", "spearman", "top1", "top5")
OTHER_IMAGES = "other test images"


def regimes(runs: Iterable[tuple[int, pd.DataFrame, pd.DataFrame]], params: PolicyParams) -> Iterator[dict[str, Any]]:
    """Find the best single source of every target by the number of images that transfers, and networks from scratch, were trained on.

    Args:
        runs: Number of images, affinities, and the gain and quality of the same transfers on held-out images.
        params: Parameters that say which tasks may be sources.

    Yields:
        A row for each run and target; `gain_scratch` is against a network from scratch on the same images.
    """
    for images, affinities, held in sorted(runs, key=lambda run: run[0]):
        for row in novel_tasks(affinities, held, params):
            if row["way"] == SINGLE:
                yield {"images": images, **{name: row[name] for name in REGIMES if name != "images"}}


def crossing(images: Float64[np.ndarray, " runs"], gain: Float64[np.ndarray, " runs"]) -> float | None:
    """Find from how many images on training from scratch is as good as the transfer: where that gain last falls to 0.5, on a logarithmic scale.

    Returns:
        The number; None where transfers win at the largest number tried; the smallest number where they never win.
    """
    order = np.argsort(images)
    x, y = np.log(images[order]), gain[order]
    if y[-1] > 0.5:
        return None
    above = np.flatnonzero(y > 0.5)
    if not len(above):
        return float(images[order][0])
    last = above[-1]
    share = (y[last] - 0.5) / (y[last] - y[last + 1])
    return float(np.exp(x[last] + share * (x[last + 1] - x[last])))


def stability(base: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Compare taxonomies after a change: per target, whether the first-order sources are ranked alike.

    Args:
        base: The affinity table that all are compared with.
        others: Name of the change -> table.
    """
    for name, table in others.items():
        for target, row in agreement(table, base)["targets"].items():
            yield {"run": name, "target": target, **{key: row[key] for key in STABILITY if key in row}}


def by_gain(table: pd.DataFrame) -> pd.DataFrame:
    """Replace a table's affinities by the gains, which can be compared between two halves of the test images."""
    return table.assign(affinity=table["gain"])
