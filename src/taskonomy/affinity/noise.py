"""Noise of training: affinities and win rates of the same transfers and task networks, trained from several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from taskonomy.affinity.from_run import AVERAGE
from taskonomy.affinity.losses_file import Losses, open_losses, read_losses
from taskonomy.affinity.measure import AGAINST, Normalization, measure
from taskonomy.affinity.win_rates import win_rate_against
from taskonomy.dataset.splits import Split
from taskonomy.tables.table import SELF

RATES = (*AGAINST, "quality")
COLUMNS = ("target", "source", "seed", "affinity", *RATES)
OneLossPerImage = Shaped[np.ndarray, " _"]


def transfers_by_seed(data: Losses, others: Mapping[str, Sequence[OneLossPerImage]], normalization: Normalization) -> pd.DataFrame:
    """Compute affinities and win rates of some of a target's transfers, once for each seed, among all its other candidates as they are.

    Args:
        data: Losses of all candidates, from the run's seed.
        others: Source -> its losses on the same images from each further seed.
        normalization: From losses to affinities.

    Returns:
        Columns `COLUMNS`; seed 0 is the run's.
    """
    parts = []
    for seed in range(1 + min(map(len, others.values()))):
        losses = np.array(data.losses)
        for source, repeated in others.items():
            if seed:
                losses[data.candidates.index(source)] = repeated[seed - 1]
        rows = measure(replace(data, losses=losses), normalization=normalization, resamples=0).rows
        rows = rows[rows["sources"].map(lambda sources: len(sources) == 1 and sources[0] in others)]
        parts.append(rows.assign(source=rows["sources"].str[0], seed=seed))
    return pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))


def networks_by_seed(task: str, own: Sequence[OneLossPerImage], average: OneLossPerImage) -> pd.DataFrame:
    """Compute a task network's win rate against the best constant for each seed, in the columns of `transfers_by_seed`; the source is `self`."""
    rates = win_rate_against(np.stack(list(own)), average, task, [f"seed {seed}" for seed in range(len(own))])
    rows = pd.DataFrame({"target": task, "source": SELF, "seed": range(len(own)), "beats_constant": rates})
    return rows.reindex(columns=list(COLUMNS))


def noise_table(
    transfers: Path,
    models: Path,
    repeated: Mapping[str, Mapping[str, Sequence[OneLossPerImage]]],
    networks: Mapping[str, Sequence[OneLossPerImage]],
    normalization: Normalization,
) -> pd.DataFrame:
    """Compute affinities and win rates of what was trained again, beside those of the run.

    Args:
        transfers: Folder with the losses of all transfers, by target.
        models: Folder with the losses of all task networks.
        repeated: Target -> source -> losses from each further seed, on the images that affinities are measured on.
        networks: Task -> its network's losses from each further seed, on the same images.
        normalization: From losses to affinities.

    Returns:
        Columns `COLUMNS`; no rows where nothing was trained again.
    """
    file, parts = f"{Split.TEST_AFFINITY}.npz", []
    for target, by_source in repeated.items():
        with open_losses(transfers / target / file, target) as losses:
            if others := {source: by_seed for source, by_seed in by_source.items() if source in losses.candidates}:
                parts.append(transfers_by_seed(losses, others, normalization))
    for task, by_seed in networks.items():
        own, average = read_losses(models / task / file, SELF, AVERAGE)
        parts.append(networks_by_seed(task, [own, *by_seed], np.asarray(average)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def deviations(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Compute standard deviations between seeds, pooled over transfers, and over task networks; nothing of what was not repeated.

    Returns:
        `transfers`: `count`, `seeds`, the deviation of the natural logarithm of the `affinity` and of each win rate between seeds; and
        `between_sources`, the deviation of gain between the sources of a target, to hold the first against. `networks`: `count`, `seeds`,
        `beats_constant`.
    """
    found: dict[str, dict[str, Any]] = {}
    network = table["source"] == SELF
    for name, rows in (("transfers", table[~network]), ("networks", table[network])):
        if rows.empty:
            continue
        rows = rows.assign(affinity=np.log(rows["affinity"].where(rows["affinity"] > 0)))
        each = rows.groupby(["target", "source"])[["affinity", *RATES]]
        spread = np.sqrt(each.var(ddof=1).mean()).dropna().to_dict()
        found[name] = {"count": each.ngroups, "seeds": int(rows["seed"].nunique()), **spread}
        if name == "transfers":
            found[name]["between_sources"] = float(np.sqrt(each.mean().groupby("target")["gain"].var(ddof=1).mean()))
    return found
