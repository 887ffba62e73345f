"""Transfers (paper section 3.2), from the codes of one or more frozen encoders to a target, each a unit of work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from taskonomy.affinity.ahp import affinities
from taskonomy.affinity.win_rates import win_rates
from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.compute.work import Work
from taskonomy.config.execution_params import WorkKind
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Unit
from taskonomy.store.unit_keys import prepared_files
from taskonomy.tasks import BUILT_IN
from taskonomy.training.transfer_context import BASELINES, CONSTANT_ANSWER, PIXELS, SCRATCH, Sources, TransferContext, shared
from taskonomy.transfers.beam_search import candidates, most_promising
from taskonomy.transfers.kept_weights import keep_best
from taskonomy.transfers.screen import SourceScreen, screened

NO_WEIGHTS = (PIXELS, CONSTANT_ANSWER)  # nobody predicts with these


@dataclass(frozen=True)
class Transferred:
    """All transfers to one target.

    Attributes:
        units: Sources -> the unit; those of `BASELINES` were trained on the same images.
        keys: Keys of the units in the store.
        screen: What said which sources to train; None: all were.
    """

    units: dict[Sources, Unit]
    keys: dict[Sources, str]
    screen: SourceScreen | None = None

    def table(self) -> pd.DataFrame:
        """Build a table, a row per unit: its key, sources joined by +, order (0: baselines), the epoch chosen, and that epoch's mean losses."""
        rows = []
        for sources, unit in self.units.items():
            chosen = unit.facts["chosen"]
            losses = {split: unit.facts[split][chosen] for split in ("train", "validation")}
            order = 0 if sources in BASELINES else len(sources)
            rows.append({"key": self.keys[sources], "sources": "+".join(sources), "order": order, "epoch": chosen + 1, **losses})
        return pd.DataFrame(rows)

    def losses(self, split: Split) -> tuple[list[str], Float[np.ndarray, "candidates images"]]:
        """Return the candidates and their losses on one half of the test split."""
        sets = [sources for sources in self.units if sources not in BASELINES]
        return ["+".join(sources) for sources in sets], np.stack([self.units[sources].arrays[split] for sources in sets])


def transfers_to(context: TransferContext, on_done: Callable[[int], object] = lambda done: None, executor: Executor = LOCAL) -> Transferred:
    """Train every transfer to a target that the parameters ask for, order by order; those in the store are not trained again.

    With a screen these are, of the sources that have learnt something, the best by the screen, the target's own encoder and the baselines; and of the
    sets of each order that the beam gives, the most promising.

    Args:
        context: The target.
        on_done: Called with the number of units that have been finished since the last call.
        executor: Executor that trains missing units.

    Raises:
        TaskonomyError: A source's codes are missing or do not fit, or a loss is not finite.
    """
    context = shared(context.resolved())
    target, params, sources = context.config.task, context.params, sorted(context.sources)
    pool = [name for name in sources if name != target and _learnt(name)]
    limits = params.limits
    screen = screened(context, pool, limits) if limits else None
    kept = screen.kept(pool, limits.keep) if limits and screen else pool
    units: dict[Sources, Unit] = {}
    new: set[Sources] = set()

    def train(todo: Sequence[Sources]) -> dict[Sources, float]:
        """Train these as well; return the affinities of all so far."""
        new.update(sources for sources in todo if sources not in NO_WEIGHTS and not context.units.has(context.weights_key(sources)))
        units.update(units_to(context, todo, on_done, executor))
        worth = _worth(units, target)
        keep_best(context, worth, new)
        return worth

    worth = train([*BASELINES, *((name,) for name in sources if name in kept or name not in pool)])
    if screen and screen.trusted:
        screen = screen.compared(worth, kept)
        if not screen.trusted:
            worth = train([(name,) for name in pool if name not in kept])
            kept = pool
    for order in range(2, params.max_order + 1):
        todo = candidates(order, worth, kept, params.beam)
        worth = train(most_promising(todo, worth, limits.sets) if limits else todo)
    return Transferred(units, {sources: context.key(sources) for sources in units}, screen)


def _learnt(name: str) -> bool:
    """Return whether a network has learnt the task: some built-in tasks have no label, custom ones always have one."""
    return name not in BUILT_IN or BUILT_IN[name].label is not None


def units_to(context: TransferContext, todo: Sequence[Sources], on_done: Callable[[int], object], executor: Executor) -> dict[Sources, Unit]:
    """Read units from the store, or train them side by side; return them in the order of `todo`."""
    store = context.units
    known = {sources: unit for sources in todo if (unit := store.read(context.key(sources))) is not None}
    on_done(len(known))
    missing = [transfer_work(context, sources) for sources in todo if sources not in known]
    for work, _none in executor.submit(missing):
        (_context, sources), (key,) = work.item, work.keys
        unit = store.read(key)
        if unit is None:
            raise TaskonomyError(f"{context.store}: the unit {key} vanished while it was used")
        known[sources] = unit
        on_done(1)
    return {sources: known[sources] for sources in todo}


def _worth(units: dict[Sources, Unit], target: str) -> dict[Sources, float]:
    """Compute the affinity of every set tried so far, compared with each other, on the images that affinities are measured on."""
    sets = [sources for sources in units if sources not in BASELINES]
    losses = np.stack([units[sources].arrays[Split.TEST_AFFINITY] for sources in sets])
    rates = win_rates(losses, target, ["+".join(sources) for sources in sets])
    return dict(zip(sets, affinities(rates, losses.shape[1]).tolist(), strict=True))


def _train(work: tuple[TransferContext, Sources]) -> None:
    """Train one unit; torch is loaded here, as only training needs it."""
    from taskonomy.training.task_networks import train_constant, train_scratch
    from taskonomy.training.train_transfer import train_pixels, train_transfer
    from taskonomy.training.train_unit import Kept

    context, sources = shared(work[0]), work[1]
    key, also = context.key(sources), Kept(context.weights_key(sources), context.kept)
    if sources == SCRATCH:
        train_scratch(context.dataset, context.config, context.train, key, context.units, also)
    elif sources == PIXELS:
        train_pixels(context, key)
    elif sources == CONSTANT_ANSWER:
        train_constant(context.dataset, context.task, context.labels, context.config, context.train, key, context.units)
    else:
        train_transfer(context, key, sources, [context.stored_codes(source) for source in sources], also=also)


def transfer_work(context: TransferContext, sources: Sources) -> Work:
    """Describe a transfer as a unit of work for an executor."""
    name = f"transfer {'+'.join(sources)} -> {context.config.task}"
    codes = [] if sources in BASELINES else [context.codes_path(source) for source in sources]
    reads = (*prepared_files(context.prepared, context.config.task), *codes)
    perhaps = () if sources in NO_WEIGHTS else (context.weights_key(sources),)
    return Work(name, WorkKind.TRANSFER, _train, (context, sources), reads, context.store, (context.key(sources),), perhaps)
