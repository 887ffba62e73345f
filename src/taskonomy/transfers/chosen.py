"""Transfers that a screen left untrained and the policy program wants: they are trained until nothing that it chooses is untrained.

```
data/chosen/TARGET/SPLIT.npz   losses [candidates, images], candidates; only for targets that have some
data/chosen/units.csv          key, target, sources
```

At the end the policy is the best of all transfers, measured and imputed, and made of measured ones alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.affinity.from_run import all_losses
from taskonomy.affinity.imputation import SCREEN, read_scores, with_imputed
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.atomic_io import whole_folder, write_csv
from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.config.policy_params import PolicyParams
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import Planner
from taskonomy.pretrained.about_sources import with_external
from taskonomy.store.store import Unit
from taskonomy.tables.table import join_sources
from taskonomy.tasks import Registry
from taskonomy.training.transfer_context import Sources, shared
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.transfers import transfer_work


@dataclass(frozen=True)
class Rules:
    """What says which transfers are wanted.

    Attributes:
        policy: The section `policy`.
        method: From losses to affinities.
        registry: Tasks that there are.
        encoders: Sources that others trained.
    """

    policy: PolicyParams
    method: Normalization
    registry: Registry
    encoders: Mapping[str, PretrainedParams] = field(default_factory=dict)


@dataclass
class ChosenTransfers:
    """The transfers that were trained because the program chose them.

    Attributes:
        units: Target -> sources -> the unit.
        keys: (target, sources) -> key of the unit in the store.
    """

    units: dict[str, dict[Sources, Unit]] = field(default_factory=dict)
    keys: dict[tuple[str, Sources], str] = field(default_factory=dict)


def chosen_transfers(
    run: RunContext,
    transfers: Path,
    more: Sequence[Path],
    rules: Rules,
    on_done: Callable[[int], object] = lambda done: None,
    executor: Executor = LOCAL,
) -> ChosenTransfers:
    """Solve the policy program on measured and imputed affinities, train what it chose of the imputed ones, and again, until it chooses none.

    Each round trains at least one of finitely many, so it ends. Units in the store are not trained again; without a screen there is nothing to do.

    Args:
        run: The run's folders, and the section `transfer`.
        transfers: Folder that the stage `transfer` wrote, with one folder per target.
        more: Folders with further transfers.
        rules: What the program may choose.
        on_done: Called with the number of units that have been finished since the last call.
        executor: Executor that trains missing units.

    Raises:
        TaskonomyError: Losses, codes or scores are missing or damaged, or no policy serves every target within the budget.
    """
    run, done = run.resolved(), ChosenTransfers()
    if run.params.limits is None:
        return done
    rows = {target: _rows(transfers, more, target, done, rules.method) for target in run.params.targets}
    while wanted := _untrained_choices(with_external(pd.concat(rows.values(), ignore_index=True), rules.encoders, run.codes, rules.registry), rules):
        _train(run, wanted, done, on_done, executor)
        rows |= {target: _rows(transfers, more, target, done, rules.method) for target in {target for target, _sources in wanted}}
    return done


def write_chosen(path: Path, done: ChosenTransfers) -> None:
    """Write the folder of the stage `chosen`, whole or not at all."""
    with whole_folder(path) as folder:
        for target, units in sorted(done.units.items()):
            (folder / target).mkdir()
            for split in TEST_SPLITS:
                losses = np.stack([units[sources].arrays[split] for sources in sorted(units)])
                np.savez(folder / target / f"{split}.npz", candidates=np.array([join_sources(one) for one in sorted(units)]), losses=losses)
        rows = [(key, target, join_sources(sources)) for (target, sources), key in sorted(done.keys.items())]
        write_csv(folder / "units.csv", pd.DataFrame(rows, columns=["key", "target", "sources"]))


def _untrained_choices(table: pd.DataFrame, rules: Rules) -> list[tuple[str, Sources]]:
    """Return the imputed transfers of the best policy within `policy.budget`."""
    imputed = set(table.loc[table["imputed"], ["target", "sources"]].itertuples(index=False, name=None))
    if not imputed:
        return []
    best = Planner(table, rules.policy, registry=rules.registry).policy(rules.policy.budget)
    return sorted(key for one in best.transfers if (key := (one.target, one.sources)) in imputed)


def _rows(transfers: Path, more: Sequence[Path], target: str, done: ChosenTransfers, method: Normalization) -> pd.DataFrame:
    """Compute the measured and imputed rows of one target, as the stage `normalize` does, but for the intervals."""
    with all_losses(transfers, more, target, Split.TEST_AFFINITY) as losses:
        if units := done.units.get(target):
            new = np.stack([unit.arrays[Split.TEST_AFFINITY] for unit in units.values()])
            names = [*losses.candidates, *map(join_sources, units)]
            losses = replace(losses, candidates=names, losses=np.concatenate([losses.losses, new]))
        found = measure(losses, normalization=method, resamples=0).rows
    return with_imputed(found, read_scores(transfers / target / SCREEN))


def _train(
    run: RunContext, wanted: Sequence[tuple[str, Sources]], done: ChosenTransfers, on_done: Callable[[int], object], executor: Executor
) -> None:
    """Train the wanted transfers side by side, whatever their targets, and add them to those that are done."""
    missing = []
    for target, sources in wanted:
        context = shared(run.to(target))
        done.keys[target, sources] = context.key(sources)
        if context.units.read(done.keys[target, sources]) is None:
            missing.append(transfer_work(context, sources))
    on_done(len(wanted) - len(missing))
    for _work, _none in executor.submit(missing):
        on_done(1)
    for target, sources in wanted:
        store = shared(run.to(target)).units
        if (unit := store.read(done.keys[target, sources])) is None:
            raise TaskonomyError(f"{store.root}: the unit {done.keys[target, sources]} vanished while it was used")
        done.units.setdefault(target, {})[sources] = unit
