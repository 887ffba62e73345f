"""Measurements behind the affinity table: mean losses, which are not comparable between targets, and win rates per building, for intervals."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from taskonomy.affinity.from_run import all_losses
from taskonomy.affinity.groups import buildings
from taskonomy.affinity.losses_file import BASELINES
from taskonomy.affinity.measure import AGAINST
from taskonomy.affinity.win_rates import win_rate_against
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import MEASURES, SELF


def mean_losses(transfers: Path, targets: Iterable[str], *others: Path) -> pd.DataFrame:
    """Compute the mean loss of every transfer on the images that affinities are measured on, before any normalisation.

    Returns:
        Columns `target`, `sources` (joined by `+`; `self` for the target's own network, and the names of the
        baselines) and `loss`.
    """
    parts = []
    for target in targets:
        with all_losses(transfers, others, target, Split.TEST_AFFINITY) as losses:
            parts.append(pd.DataFrame({"target": target, "sources": losses.candidates, "loss": losses.losses.mean(1, dtype=np.float64)}))
            for name in BASELINES:
                if (baseline := getattr(losses, name)) is not None:
                    parts.append(pd.DataFrame({"target": target, "sources": [name], "loss": baseline.mean(dtype=np.float64)}))
    return pd.concat(parts, ignore_index=True)


def by_building(transfers: Path, targets: Iterable[str], prepared: Path, *others: Path) -> pd.DataFrame:
    """Compute gain (against both baselines) and quality of every transfer on the held-out images of each building.

    Args:
        transfers: Folder with one folder per target.
        targets: Names of the targets.
        prepared: Folder of the prepared data, which knows the building of each image.
        others: As for `affinity_tables`.

    Returns:
        Columns `target`, `sources`, `building`, `images` (how many), `gain`, `gain_scratch`, `quality`; NaN without a baseline to compare with.

    Raises:
        TaskonomyError: The losses are not of the images of the prepared data.
    """
    data, parts = Prepared(prepared), []
    for target in targets:
        where = buildings(data, target, Split.TEST_POLICY)
        with all_losses(transfers, others, target, Split.TEST_POLICY) as losses:
            if len(where) != losses.losses.shape[1]:
                counts = f"{losses.losses.shape[1]} images, not of the {len(where)} of {prepared}"
                raise TaskonomyError(f"{transfers / target}: losses of {counts}; run `transfer` again")
            for building in sorted(set(where.tolist())):
                here = np.array(losses.losses[:, where == building])
                one: dict[str, object] = {"target": target, "sources": losses.candidates, "building": building, "images": here.shape[1]}
                for name in MEASURES:
                    baseline = getattr(losses, AGAINST[name]) if name in AGAINST else _own(losses.losses, losses.candidates)
                    against = None if baseline is None else np.asarray(baseline)[where == building]
                    one[name] = np.nan if against is None else win_rate_of_few(here, against, target, losses.candidates)
                parts.append(pd.DataFrame(one))
    return pd.concat(parts, ignore_index=True).sort_values(["target", "sources", "building"], kind="stable", ignore_index=True)


def win_rate_of_few(
    losses: Shaped[np.ndarray, "candidates images"], baseline: Shaped[np.ndarray, " images"], target: str, candidates: list[str]
) -> Shaped[np.ndarray, " candidates"]:
    """Compute `win_rate_against` also for a single image: a building may have no more."""
    if losses.shape[1] == 1:
        losses, baseline = np.repeat(losses, 2, 1), np.repeat(baseline, 2)
    return win_rate_against(losses, baseline, target, candidates)


def _own(losses: Shaped[np.ndarray, "candidates images"], candidates: list[str]) -> Shaped[np.ndarray, " images"] | None:
    return np.array(losses[candidates.index(SELF)]) if SELF in candidates else None
