"""The affinity table of several amounts of labels: all networks of a target, compared on the same test images in one hierarchy (paper section 3.3).

So "500 labels, transferred from these sources" and "2,000 labels, from scratch" stand in one ranking. Rows have the column `images`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from taskonomy.affinity.groups import buildings
from taskonomy.affinity.losses_file import Losses, read_losses
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.affinity.win_rates import win_rate_against
from taskonomy.config.params import NormalizeParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import PIXELS, SELF, SHARES, split_sources

LOSS_COLUMNS = ("target", "sources", "images", "split", "building", "tests", "loss")


@dataclass(frozen=True)
class AmountLosses:
    """Losses of all networks of one target on one half of the test images.

    Attributes:
        target: The task that is solved.
        names: Sources joined by `+`; `self`: the target's whole network; `pixels`: a shallow one on the image.
        images: How many labelled images each was trained on; 0: all that there are.
        losses: Lower is better.
        average: Losses of the best constant.
    """

    target: str
    names: list[str]
    images: Int[np.ndarray, " candidates"]
    losses: Shaped[np.ndarray, "candidates tests"]
    average: Shaped[np.ndarray, " tests"]

    @property
    def rows(self) -> list[int]:
        """Return the networks that are rows of the table: all but the shallow ones."""
        return [place for place, name in enumerate(self.names) if name != PIXELS]

    @property
    def largest(self) -> int:
        """Return the largest amount that transfers were trained on; fine-tuned networks may have had more."""
        return max(int(images) for name, images in zip(self.names, self.images, strict=True) if name == PIXELS)

    def baseline(self, name: str, images: int) -> Shaped[np.ndarray, " tests"] | None:
        """Return the losses of a baseline with so many images; None: there is none with that number."""
        found = [place for place, one in enumerate(self.names) if one == name and self.images[place] == images]
        return self.losses[found[0]] if found else None


def read_amounts_of(amounts: Path, target: str, split: Split) -> AmountLosses:
    """Read what the stage `amounts` wrote of one target.

    Raises:
        TaskonomyError: It is missing or damaged.
    """
    path = amounts / target / f"{split}.npz"
    names, images, losses, average = read_losses(path, "candidates", "images", "losses", "average")
    if not len(names) == len(images) == len(losses):
        raise TaskonomyError(f"{path}: losses of {len(losses)} networks, not of {len(names)}; remove it, and run `amounts` again")
    return AmountLosses(target, [str(name) for name in names], images, losses, average)


def tables_over_amounts(
    amounts: Path, targets: Iterable[str], params: NormalizeParams, prepared: Path
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Compute the table of several amounts on one half of the test images, and on the other; and the losses that both are made of.

    Args:
        amounts: Folder that the stage `amounts` wrote.
        targets: Names of the targets that have a folder there.
        params: The section `normalize`.
        prepared: Folder of the prepared data, which knows the building of each image; intervals are over buildings.

    Returns:
        The affinity table; the same affinities with the win rates of the half that policies are evaluated on; the mean loss of every
        network, the shallow ones among them, on each building of either half.
    """
    data, tables, others, losses = Prepared(prepared), [], [], []
    for target in targets:
        half, other = (read_amounts_of(amounts, target, split) for split in TEST_SPLITS)
        where = {split: buildings(data, target, split) for split in TEST_SPLITS}
        tables.append(table_of_target(half, params, where[Split.TEST_AFFINITY]))
        held_out = table_of_target(other, params.model_copy(update={"resamples": 0}), where[Split.TEST_POLICY])
        others.append(tables[-1][["target", "sources", "images", "affinity"]].join(held_out.filter(SHARES)))
        losses += [losses_by_building(one, split, where[split]) for one, split in zip((half, other), TEST_SPLITS, strict=True)]
    if not tables:
        nothing = pd.DataFrame(columns=["target", "sources", "images", "affinity"])
        return nothing, nothing, pd.DataFrame(columns=LOSS_COLUMNS)
    join = partial(pd.concat, ignore_index=True)
    return join(tables), join(others), join(losses)


def table_of_target(data: AmountLosses, params: NormalizeParams, groups: Shaped[np.ndarray, " tests"]) -> pd.DataFrame:
    """Compute the rows of one target, all amounts in one hierarchy.

    `gain` and `gain_scratch` of a row are against the networks on as many images as the row's own; for the target's whole network on all of them,
    against those on the largest amount. Where there is no such network, they are empty.
    """
    rows = data.rows
    losses, images = data.losses[rows], data.images[rows]
    names = [data.names[row] if not data.images[row] else f"{data.names[row]} on {data.images[row]} images" for row in rows]
    compared = Losses(data.target, names, losses, average=data.average, groups=groups)
    method = Normalization(params.method)
    found = measure(compared, normalization=method, resamples=params.resamples, confidence=params.confidence, seed=params.seed).rows
    against = np.where(images == 0, data.largest, images)
    for column, name in (("gain", PIXELS), ("gain_scratch", SELF)):
        found[column] = _gain(data, names, losses, against, name)
    sources = [split_sources(data.names[row]) for row in rows]
    return found.assign(sources=pd.Series(sources, found.index), images=np.where(images == 0, np.nan, images))


def losses_by_building(data: AmountLosses, split: Split, where: Shaped[np.ndarray, " tests"]) -> pd.DataFrame:
    """Compute the mean loss of every network, the shallow ones among them, on the test images of each building."""
    parts = []
    if len(where) != data.losses.shape[1]:
        raise TaskonomyError(f"{data.target}: losses of {data.losses.shape[1]} images, not of the {len(where)} prepared; run `amounts` again")
    for building in sorted(set(where.tolist())):
        here = data.losses[:, where == building]
        names = {"target": data.target, "sources": data.names, "images": pd.array(data.images, "Int64")}
        more = {"split": split.value, "building": building, "tests": here.shape[1], "loss": here.mean(1, dtype=np.float64)}
        parts.append(pd.DataFrame({**names, **more}))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(images=found["images"].where(found["images"] > 0))[list(LOSS_COLUMNS)]


def _gain(
    data: AmountLosses,
    names: Sequence[str],
    losses: Shaped[np.ndarray, "candidates tests"],
    against: Int[np.ndarray, " candidates"],
    baseline: str,
) -> Shaped[np.ndarray, " candidates"]:
    gain = np.full(len(names), np.nan)
    for images in sorted(set(against.tolist())):
        here = np.flatnonzero(against == images).tolist()
        if (opponent := data.baseline(baseline, images)) is not None:
            gain[here] = win_rate_against(losses[here], opponent, data.target, [names[place] for place in here])
    return gain
