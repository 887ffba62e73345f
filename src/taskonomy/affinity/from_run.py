"""Tables made from the losses that the stages `train` and `transfer` measured."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.affinity.groups import buildings
from taskonomy.affinity.imputation import SCREEN, read_scores, with_imputed
from taskonomy.affinity.losses_file import Losses, open_losses, read_losses
from taskonomy.affinity.measure import Measured, Normalization, as_table, measure
from taskonomy.config.params import NormalizeParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import RANDOM, SELF, SHARES, labelled

AVERAGE = "average"
_FEW = 2  # sources: of so few, ranks say nothing
Rates = dict[str, tuple[Float[np.ndarray, " images"] | None, ...]]


def affinity_tables(
    transfers: Path, targets: Iterable[str], params: NormalizeParams, *others: Path, prepared: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Compute the affinity table on one half of the test images, and gain and quality of the same transfers on the other half.

    Args:
        transfers: Folder with one folder per target.
        targets: Names of the targets.
        params: The section `normalize`.
        others: Folders with one folder per target that has further transfers, which are compared with those: transitive and fine-tuned ones, and
            those that the policy program chose beyond a screen.

        prepared: Folder of the prepared data, which knows the building of each image; intervals are over buildings. None: over images.

    Returns:
        The table, with a column `imputed`; the held-out table, with the same affinities; the number of measured and of imputed transfers, how many
        of first order are worse than the best constant, how alike both halves rank the sources, and the worst consistency ratio.
    """
    found: list[Measured] = []
    alike: list[dict[str, float]] = []
    data = None if prepared is None else Prepared(prepared)
    rows: list[pd.DataFrame] = []
    measured = partial(measure, normalization=Normalization(params.method), confidence=params.confidence, seed=params.seed)
    for target in targets:
        with all_losses(transfers, others, target, Split.TEST_AFFINITY) as losses:
            groups = None if data is None else buildings(data, target, Split.TEST_AFFINITY)
            found.append(measured(replace(losses, groups=groups), resamples=params.resamples))
        with all_losses(transfers, others, target, Split.TEST_POLICY) as losses:
            held_out = measured(losses, resamples=0).rows
        if list(held_out["sources"]) != list(found[-1].rows["sources"]):
            raise TaskonomyError(f"{transfers / target}: other candidates in test_policy.npz than in test_affinity.npz; run `transfer` again")
        alike.append(_halves(target, found[-1].rows, held_out))
        complete = with_imputed(found[-1].rows, read_scores(transfers / target / SCREEN), params.confidence)
        found[-1] = replace(found[-1], rows=complete)
        rows.append(complete[["target", "sources", "affinity", "imputed"]].join(held_out.filter(SHARES)))
    table = as_table(found)
    ratios = [one.consistency_ratio for one in found if one.consistency_ratio is not None]
    orders = table.loc[(table["sources"] != (SELF,)) & ~table["imputed"], "sources"].map(len).value_counts().sort_index()
    facts: dict[str, Any] = {
        "transfers": {f"order_{order}": int(count) for order, count in orders.items()},
        "worst_consistency_ratio": max(ratios, default=None),
    }
    facts |= worse_than_constant(table) | split_halves(alike)
    if table["imputed"].any():
        facts["imputed"] = int(table["imputed"].sum())
    return table, pd.concat(rows, ignore_index=True), facts


def worse_than_constant(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count the first-order transfers from trained encoders that lose to the best constant on more than half of the images; nothing without it.

    Returns:
        `worse_than_constant`: `transfers`, how many; `of`, of how many; `targets`, to how many targets.
    """
    if "beats_constant" not in table:
        return {}
    known = table[_trained(table) & table["beats_constant"].notna()]
    worse = known[known["beats_constant"] < 0.5]
    return {"worse_than_constant": {"transfers": len(worse), "of": len(known), "targets": worse["target"].nunique()}}


def split_halves(targets: Iterable[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Average over the targets how alike the two halves of the test images rank their sources; nothing where no target says.

    Returns:
        `split_halves`: Spearman's rho by `affinity`, and by `gain`.
    """
    means = pd.DataFrame(list(targets)).mean().dropna()
    return {"split_halves": {str(name): float(mean) for name, mean in means.items()}} if len(means) else {}


def _halves(target: str, one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Correlate the ranks of a target's single trained sources, but its own, on two halves; NaN where a half ranks them all alike."""
    chosen = _trained(one) & (one["sources"] != (target,))
    measures = [name for name in ("affinity", "gain") if name in one] if chosen.sum() > _FEW else []
    return {name: float(one.loc[chosen, name].rank().corr(other.loc[chosen, name].rank())) for name in measures}


def _trained(table: pd.DataFrame) -> "pd.Series[bool]":
    """Select the rows of first order from trained encoders, as they are."""
    return table["sources"].map(lambda sources: len(sources) == 1 and labelled(sources[0]) == sources[0] and sources[0] not in (SELF, RANDOM))


def network_losses(models: Path, transfers: Path, tasks: Sequence[str], targets: Sequence[str]) -> Rates:
    """Read the losses on all test images of each task's own network, its best constant and, of targets, the other baselines of `table1`."""
    losses: Rates = {}
    for task in tasks:
        if not all((models / task / f"{split}.npz").is_file() for split in TEST_SPLITS):
            continue  # the random projection has no network of its own
        own, average, others = [], [], []
        for split in TEST_SPLITS:
            both = read_losses(models / task / f"{split}.npz", SELF, AVERAGE)
            own.append(both[0])
            average.append(both[1])
            if task in targets:
                others.append(_few_images(transfers / task / f"{split}.npz", task))
        few = [None if any(part is None for part in parts) else np.concatenate(parts) for parts in zip(*others, strict=True)]
        losses[task] = np.concatenate(own), np.concatenate(average), *(few or [None] * 3)
    if not losses:
        raise TaskonomyError(f"{models}: no task has a network; the stage `train` writes them")
    return losses


@contextmanager
def all_losses(transfers: Path, others: Sequence[Path], target: str, split: Split) -> Iterator[Losses]:
    """Yield a target's losses on one half of the test images: those of the stage `transfer`, then those of the other folders."""
    with open_losses(transfers / target / f"{split}.npz", target) as losses:
        for path in (folder / target / f"{split}.npz" for folder in others):
            if not path.is_file():
                continue
            with open_losses(path, target) as added:
                if added.losses.shape[1] != losses.losses.shape[1]:
                    counts = f"{added.losses.shape[1]} images, not of the {losses.losses.shape[1]}"
                    raise TaskonomyError(f"{path}: losses of {counts} of the other transfers; run `{path.parent.parent.name}` again")
                together = np.concatenate([losses.losses, added.losses])
            losses = replace(losses, candidates=[*losses.candidates, *added.candidates], losses=together)
        yield losses


def _few_images(path: Path, target: str) -> tuple[Float[np.ndarray, " images"] | None, ...]:
    """Read what was trained on the transfers' images: the readout of random weights, and the networks on pixels and from scratch."""
    with open_losses(path, target) as losses:
        random = losses.losses[losses.candidates.index(RANDOM)] if RANDOM in losses.candidates else None
        return tuple(None if one is None else np.array(one) for one in (random, losses.pixels, losses.scratch))
