"""The smaller amounts of `transfer.images`: for each, what `transfer.fewer` says is trained to every target; the largest amount is known already.

```
data/amounts/TARGET/SPLIT.npz   losses [candidates, images], candidates, images (of each: how many it was trained on, 0: all that there are), average
data/amounts/units.csv          key, target, sources, images; of the networks that were trained here
```

A target's file holds all its networks, those of other stages too, so that they can be compared with one another. `self` is its whole network: on all
images of the train split, or from scratch on so many of the transfer split; `pixels` is the shallow one. There are no files with one amount.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.affinity.from_run import all_losses
from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.atomic_io import whole_folder, write_csv
from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.labels.encodings import Input
from taskonomy.store.store import Unit
from taskonomy.tables.table import SELF, join_sources
from taskonomy.tables.transfer_spec import variant
from taskonomy.training.transfer_context import PIXELS, SCRATCH, Sources, TransferContext, shared
from taskonomy.transfers.run_context import RunContext, with_amount
from taskonomy.transfers.transfers import units_to
from taskonomy.transfers.variants import few_samples, train_variants

_NAMES = {SCRATCH: SELF, PIXELS: "pixels"}


@dataclass(frozen=True)
class FromStages:
    """Where other stages have written the transfers with the largest amount.

    Attributes:
        transfers: Those of the stage `transfer`.
        variants: Transitive and fine-tuned ones.
        chosen: Those that the policy program chose beyond a screen.
    """

    transfers: Path
    variants: Path
    chosen: Path

    def of(self, target: str, split: Split) -> Losses:
        """Read all losses of a target on one half of the test images."""
        with all_losses(self.transfers, [self.variants, self.chosen], target, split) as found:
            copies = [None if one is None else np.array(one) for one in (found.scratch, found.pixels, found.average)]
            return Losses(target, found.candidates, np.array(found.losses), *copies)

    def chosen_to(self, target: str) -> list[Sources]:
        """Read what the policy program chose beyond a screen."""
        units = pd.read_csv(self.chosen / "units.csv", dtype=str)
        return [tuple(written.split("+")) for written in units.loc[units["target"] == target, "sources"]]


@dataclass(frozen=True)
class AmountUnit:
    """A network with a smaller amount, or a fine-tuned one.

    Attributes:
        sources: As tables have them, or `pixels`.
        images: Samples that it was trained on.
        key: Key of its unit.
        unit: The unit.
    """

    sources: str
    images: int
    key: str
    unit: Unit


@dataclass
class AmountTransfers:
    """All networks of one run by target, with all amounts.

    Attributes:
        units: Target -> the networks that were trained for the smaller amounts.
        largest: Target -> samples of its largest amount.
        few: (target, fine-tuned source) -> samples of those of the stage `variants`.
    """

    units: dict[str, list[AmountUnit]] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    few: dict[tuple[str, str], int] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Build a table, a row per unit."""
        rows = [(one.key, target, one.sources, one.images) for target, units in self.units.items() for one in units]
        return pd.DataFrame(rows, columns=["key", "target", "sources", "images"])


def train_amounts(
    run: RunContext,
    tasks: Sequence[str],
    others: FromStages,
    method: Normalization,
    on_done: Callable[[int], object] = lambda done: None,
    executor: Executor = LOCAL,
) -> AmountTransfers:
    """Train what `transfer.fewer` asks for; units in the store are not trained again, and with one amount there is nothing to do.

    Amounts that a target has not enough labels for are left out: they would be the largest one again.

    Args:
        run: The run's folders, and the section `transfer`.
        tasks: Sources that can be fine-tuned: not those that others trained.
        others: Transfers with the largest amount, which say what is trained with the smaller ones.
        method: From losses to affinities.
        on_done: Called with the number of units that have been finished since the last call.
        executor: Executor that trains missing units.

    Raises:
        TaskonomyError: Codes, weights or losses are missing or do not fit, or a loss is not finite.
    """
    run, done = run.resolved(), AmountTransfers()
    if len(run.params.amounts) < 2:
        return done
    for target in run.params.targets:
        context = shared(run.to(target))
        done.largest[target] = len(context.train)
        done.few |= {(target, one.written): _few(context, one.share) for one in run.params.parsed_variants() if one.share is not None}
        ranked = _ranked(others.of(target, Split.TEST_AFFINITY), method)
        wanted = [*_wanted(ranked, run, target), *(one for one in others.chosen_to(target) if one in ranked)]
        units = done.units.setdefault(target, [])
        smaller = [with_amount(context, images) for images in run.params.amounts[:-1] if images < len(context.train)]
        for one in smaller:
            todo = list(dict.fromkeys([*_NAMES, *wanted]))  # one best constant, of the largest amount, is enough
            found = units_to(one, todo, on_done, executor)
            units += [
                AmountUnit(_NAMES.get(sources, join_sources(sources)), len(one.train), one.key(sources), unit) for sources, unit in found.items()
            ]
        units += _fine_tuned(run, context, _trainable(ranked, run, target, tasks), on_done, executor)
    return done


def write_amounts(path: Path, done: AmountTransfers, others: FromStages) -> None:
    """Write the folder of the stage `amounts`, whole or not at all."""
    with whole_folder(path) as folder:
        for target, units in done.units.items():
            (folder / target).mkdir()
            for split in TEST_SPLITS:
                known = others.of(target, split)
                rows = [(name, _images_of(name, target, done), losses) for name, losses in zip(known.candidates, known.losses, strict=True)]
                rows += [(name, done.largest[target], np.array(losses)) for name, losses in ((SELF, known.scratch), ("pixels", known.pixels))]
                rows += [(one.sources, one.images, one.unit.arrays[split]) for one in units]
                names, images, losses = zip(*rows, strict=True)
                average = np.array(known.average)
                np.savez(
                    folder / target / f"{split}.npz", candidates=np.array(names), images=np.array(images), losses=np.stack(losses), average=average
                )
        write_csv(folder / "units.csv", done.table())


def _images_of(name: str, target: str, done: AmountTransfers) -> int:
    """Return how many samples a network of another stage was trained on; 0: all of the train split."""
    return 0 if name == SELF else done.few.get((target, name), done.largest[target])


def _ranked(losses: Losses, method: Normalization) -> list[Sources]:
    """Return the frozen transfers with the largest amount, the best first; ties go to those whose names come first."""
    rows = measure(losses, normalization=method, resamples=0).rows
    frozen = rows[[sources != (SELF,) and all(variant(name) is None for name in sources) for sources in rows["sources"]]]
    return sorted(frozen["sources"], key=dict(zip(frozen["sources"], -frozen["affinity"], strict=True)).__getitem__)


def _wanted(ranked: Sequence[Sources], run: RunContext, target: str) -> Iterator[Sources]:
    """Yield what is trained with each smaller amount: single sources, the target's own encoder among them, and the best sets of each order."""
    fewer = run.params.fewer
    single = [sources for sources in ranked if len(sources) == 1]
    kept = single if fewer.sources == "all" else single[: fewer.sources]
    yield from kept
    yield from ((target,) for sources in single if sources == (target,) and sources not in kept)
    for order in sorted({len(sources) for sources in ranked} - {1}):
        yield from [sources for sources in ranked if len(sources) == order][: fewer.sets]


def _trainable(ranked: Sequence[Sources], run: RunContext, target: str, tasks: Sequence[str]) -> list[str]:
    """Return the best single sources whose encoders have learnt, and read what the target's network does: grey images, or colours."""

    def grey(task: str) -> bool:
        return run.config(task).entry.input is Input.LIGHTNESS

    single = [sources[0] for sources in ranked if len(sources) == 1 and sources[0] in tasks and sources[0] != target]
    fit = [name for name in single if run.config(name).entry.label is not None and grey(name) == grey(target)]
    return fit[: run.params.fewer.fine_tuned]


def _fine_tuned(
    run: RunContext, context: TransferContext, sources: Sequence[str], on_done: Callable[[int], object], executor: Executor
) -> list[AmountUnit]:
    """Fine-tune the encoders of these sources with each amount of the target's train split."""
    there = len(context.task.of_split(Split.TRAIN))
    shares = {_few(context, float(share)): share for share in (_share(images, there) for images in run.params.amounts)}
    known = {(one.source, _few(context, one.share)) for one in run.params.parsed_variants() if one.share is not None}
    tokens = tuple(f"{source}@{share}" for source in sources for images, share in shares.items() if (source, images) not in known)
    params = run.params.model_copy(update={"targets": (context.config.task,), "variants": tokens})
    done = train_variants(replace(run, params=params), on_done, executor)
    return [AmountUnit(one.variant.written, _few(context, one.variant.share), one.key, done.units[one.key]) for one in done.planned]


def _share(images: int, there: int) -> str:
    """Write so many of the samples of the train split as a share, with as few digits as give that number again."""
    if images >= there:
        return "1"
    return next(text for digits in range(1, 16) if round(float(text := f"{images / there:.{digits}f}") * there) == images)


def _few(context: TransferContext, share: float | None) -> int:
    return len(few_samples(context.task, share or 1.0, context.schedule.batch, context.params.seed))
