"""The transfers of `transfer.variants`, beside those of the stage `transfer`: transitive (`a>b`) and fine-tuned (`a@0.02`), any number of them.

```
data/variants/TARGET/SPLIT.npz   losses [candidates, images], candidates; only for targets that have some
data/variants/units.csv          key, target, sources; a transfer a -> b that kept its weights is written as (b, a), its representations as (b, a>b)
```

Each is a unit of work, and so is what it needs: for a>b, the transfer a -> b with its weights, and the representation of b that this gives, which all
targets that see the same images share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.numpy import load_file

from taskonomy.atomic_io import whole_folder, write_csv
from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.compute.work import Work
from taskonomy.config.execution_params import WorkKind
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store, Unit, code_digest, digest_of, key_of
from taskonomy.store.unit_keys import UNIT_CODE, network_key, prepared_files
from taskonomy.tables.transfer_spec import Variant
from taskonomy.training.transfer_context import TransferContext, chosen_samples, shared
from taskonomy.transfers.run_context import RunContext

_WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Planned:
    """One transfer, and the units that it takes.

    Attributes:
        target: Task that is solved.
        variant: How it is solved.
        key: Key of the transfer's unit.
        through: Key of the transfer source -> intermediate; empty for a fine-tuned one.
        middle: Key of the representation of the intermediate; empty for a fine-tuned one.
    """

    target: str
    variant: Variant
    key: str
    through: str = ""
    middle: str = ""


@dataclass(frozen=True)
class VariantTransfers:
    """The finished transfers of `transfer.variants`.

    Attributes:
        planned: Each transfer, target by target in the order of the parameters.
        units: Key -> unit, for the transfers themselves.
    """

    planned: tuple[Planned, ...]
    units: Mapping[str, Unit]

    def table(self) -> pd.DataFrame:
        """Build a table, a row per unit: key, target, sources; units that the transfers needed come last."""
        rows = [(one.key, one.target, one.variant.written) for one in self.planned]
        rows += [(one.through, one.variant.intermediate or "", one.variant.source) for one in self.planned if one.through]
        rows += [(one.middle, one.variant.intermediate or "", one.variant.written) for one in self.planned if one.middle]
        return pd.DataFrame(list(dict.fromkeys(rows)), columns=["key", "target", "sources"])


def train_variants(run: RunContext, on_done: Callable[[int], object] = lambda done: None, executor: Executor = LOCAL) -> VariantTransfers:
    """Train every transfer that `transfer.variants` asks for; those in the store are not trained again.

    A target is not transferred to by way of itself: it has no row for a token whose source or intermediate it is.

    Args:
        run: The run's folders, and the section `transfer`.
        on_done: Called with the number of units that have been finished since the last call.
        executor: Executor that trains missing units.

    Raises:
        TaskonomyError: Codes or weights of a source are missing or do not fit, or a loss is not finite.
    """
    run = run.resolved()
    planned, store = _planned(run), Store(run.store)
    units = {one.key: unit for one in planned if (unit := store.read(one.key)) is not None}
    on_done(len(units))
    # By key, so that a unit that several transfers need is trained once. Units that only finished transfers need are skipped.
    missing = {one.key: one for one in planned if one.key not in units}
    middles = {one.middle: one for one in missing.values() if one.middle and store.read(one.middle) is None}
    throughs = {one.through: one for one in middles.values() if store.read(one.through) is None}
    for make, todo in ((_through, throughs), (_middle, middles), (_last, missing)):
        for _work, _none in executor.submit([make(run, one) for one in todo.values()]):
            on_done(1)
    return VariantTransfers(tuple(planned), units | {key: _known(store, key) for key in missing})


def write_variants(path: Path, done: VariantTransfers) -> None:
    """Write the folder of the stage `variants`, whole or not at all."""
    with whole_folder(path) as folder:
        for target in dict.fromkeys(one.target for one in done.planned):
            here = [one for one in done.planned if one.target == target]
            (folder / target).mkdir()
            for split in TEST_SPLITS:
                losses = np.stack([done.units[one.key].arrays[split] for one in here])
                np.savez(folder / target / f"{split}.npz", candidates=np.array([one.variant.written for one in here]), losses=losses)
        write_csv(folder / "units.csv", done.table())


def few_samples(task: PreparedTask, share: float, batch: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """Choose a random share of a target's train split, at least one batch, sorted; smaller shares are subsets of larger ones."""
    train = task.of_split(Split.TRAIN)
    return chosen_samples(train, max(batch, round(share * len(train))), seed, f"fine-tuned {task.task.name}")


def encoder_weights(model: Path) -> dict[str, np.ndarray]:
    """Read the weights of a source's encoder, by name.

    Args:
        model: Folder that the stage `train` wrote for the source.

    Raises:
        TaskonomyError: The weights are missing or damaged.
    """
    path = model / _WEIGHTS
    try:
        weights = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise TaskonomyError(f"{path}: no readable weights ({error}); the stage `train` writes them") from None
    encoder = {name.removeprefix("encoder."): array for name, array in weights.items() if name.startswith("encoder.")}
    return encoder or weights  # a task without a label has an encoder only


def _planned(run: RunContext) -> list[Planned]:
    params = run.params
    wanted = params.parsed_variants()
    steps = sorted({(one.intermediate, one.source) for one in wanted if one.intermediate is not None})
    # Task by task, so that what all transfers to a task share is opened once.
    kept = {(into, source): shared(run.to(into)).weights_key((source,)) for into, source in steps}
    weights = cache(lambda source: weights_digest(encoder_weights(run.models / source)))
    found = []
    for target in params.targets if wanted else ():
        opened = shared(run.to(target))
        for one in wanted:
            if target in (one.source, one.intermediate):
                continue
            if one.intermediate is not None:
                through = kept[one.intermediate, one.source]
                middle = _middle_key(opened, one, through)
                key = key_of(kind="transitive", middle=middle, transfer=opened.key((one.source,)), code=code_digest(*UNIT_CODE))
                found.append(Planned(target, one, key, through, middle))
            else:
                found.append(Planned(target, one, _fine_tuned_key(opened, one, weights(one.source))))
    return found


def _middle_key(opened: TransferContext, one: Variant, through: str) -> str:
    codes = digest_of(opened.stored_codes(one.source))
    return key_of(kind="representation", through=through, codes=codes, dtype=opened.params.codes, code=code_digest(*UNIT_CODE))


def _fine_tuned_key(opened: TransferContext, one: Variant, weights: str) -> str:
    samples = _samples(opened, one)
    network = network_key(opened.dataset, opened.task, _fine_tuned_config(opened, len(samples)), samples, "fine-tuned")
    return key_of(kind="fine-tuned", network=network, source=one.source, weights=weights, code=code_digest(*UNIT_CODE))


def _fine_tuned_config(opened: TransferContext, samples: int) -> TaskConfig:
    """Return the target's configuration with the schedule, precision and seed of transfers, without an adversarial term or mirrored images.

    Unless `transfer.fewer.same` says epochs, every share takes as many steps as the transfers do, or one pass where that is more.
    """
    params, schedule = opened.params, opened.schedule
    if params.fewer.same == "steps":
        schedule = schedule.of_steps(schedule.steps(len(opened.train)), samples)
    how = {"schedule": schedule, "precision": params.precision.here(), "adversarial": None, "mirror": None, "seed": params.seed}
    return opened.config.model_copy(update=how)


def _samples(opened: TransferContext, one: Variant) -> Int[np.ndarray, " chosen"]:
    return few_samples(opened.task, one.share or 1.0, opened.params.schedule.batch, opened.params.seed)


def weights_digest(weights: Mapping[str, np.ndarray]) -> str:
    """Compute a digest of an encoder's weights, by name."""
    names: Sequence[str] = sorted(weights)
    return key_of(names=names, arrays=digest_of(*(weights[name] for name in names)))


def _through(run: RunContext, one: Planned) -> Work:
    """Describe the transfer source -> intermediate as a unit of work for an executor; the functions below do the same for the other units."""
    source, intermediate = one.variant.source, str(one.variant.intermediate)
    reads = (*_files(run, intermediate), run.to(intermediate).codes_path(source))
    return Work(f"transfer {source} -> {intermediate}, kept", WorkKind.TRANSFER, _make_through, (run, one), reads, run.store, (one.through,))


def _middle(run: RunContext, one: Planned) -> Work:
    reads = (*_files(run, one.target), run.to(one.target).codes_path(one.variant.source), Store(run.store).path(one.through))
    return Work(f"representation {one.variant.written}", WorkKind.TRANSFER, _make_middle, (run, one), reads, run.store, (one.middle,))


def _last(run: RunContext, one: Planned) -> Work:
    name, files = f"transfer {one.variant.written} -> {one.target}", _files(run, one.target)
    if one.middle:
        reads, kind = (*files, Store(run.store).path(one.middle)), WorkKind.TRANSFER
    else:
        reads, kind = (*files, run.models / one.variant.source / _WEIGHTS), WorkKind.NETWORK
    return Work(name, kind, _make, (run, one), reads, run.store, (one.key,))


def _files(run: RunContext, target: str) -> tuple[Path, ...]:
    return (*prepared_files(run.prepared, target), run.cards / f"{target}.json")


def _make_through(work: tuple[RunContext, Planned]) -> None:
    """Train a transfer source -> intermediate, and keep its weights; torch is loaded here and below, as only training needs it."""
    from taskonomy.training.train_transfer import train_transfer

    run, one = work
    opened = shared(run.to(str(one.variant.intermediate)))
    train_transfer(opened, one.through, (one.variant.source,), [opened.stored_codes(one.variant.source)], keep=True)


def _make_middle(work: tuple[RunContext, Planned]) -> None:
    from taskonomy.training.transitive import write_representation

    run, one = work
    opened = shared(run.to(one.target))
    through, codes = _known(opened.units, one.through), opened.stored_codes(one.variant.source)
    write_representation(opened.units, one.middle, through, codes, opened.params.precision.here(), opened.params.codes)


def _make(work: tuple[RunContext, Planned]) -> None:
    from taskonomy.training.fine_tuned import train_fine_tuned
    from taskonomy.training.train_transfer import train_transfer
    from taskonomy.training.transitive import REPRESENTATION

    run, one = work
    opened, source = shared(run.to(one.target)), one.variant.source
    if one.middle:
        train_transfer(opened, one.key, (one.variant.written,), [_known(opened.units, one.middle).arrays[REPRESENTATION]])
        return
    weights, samples = encoder_weights(run.models / source), _samples(opened, one.variant)
    config = _fine_tuned_config(opened, len(samples))
    train_fine_tuned(opened.units, one.key, opened.dataset, opened.task, config, source, weights, samples)


def _known(store: Store, key: str) -> Unit:
    if (unit := store.read(key)) is None:
        raise TaskonomyError(f"{store.root}: the unit {key} vanished while it was used")
    return unit
