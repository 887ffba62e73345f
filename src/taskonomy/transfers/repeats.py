"""Some transfers and task networks once more from other seeds: how much of a difference between two of them is chance of training.

A transfer's seed chooses its samples among those of the transfer split, its initial weights and the order of its samples, as `transfer.seed` does.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.compute.work import Work
from taskonomy.config.execution_params import WorkKind
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store, Unit
from taskonomy.store.unit_keys import network_key, prepared_files
from taskonomy.training.transfer_context import shared
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.transfers import units_to

_Network = tuple[Path, Path, TaskConfig, str]


def repeated_transfers(
    run: RunContext,
    targets: Sequence[str],
    sources: Sequence[str],
    seeds: int,
    on_done: Callable[[int], object] = lambda done: None,
    executor: Executor = LOCAL,
) -> dict[str, dict[str, list[Unit]]]:
    """Train transfers from single sources again, `seeds` times; those in the store are not trained again.

    Args:
        run: The run's folders, and the section `transfer`.
        targets: Tasks to transfer to.
        sources: Tasks to transfer from.
        seeds: Number of further seeds: those that follow on the run's.
        on_done: Called with the number of units that have been finished since the last call.
        executor: Executor that trains missing units.

    Returns:
        Target -> source -> a unit for each further seed.

    Raises:
        TaskonomyError: A source's codes are missing or do not fit, or a loss is not finite.
    """
    run = run.resolved()
    found: dict[str, dict[str, list[Unit]]] = {target: {source: [] for source in sources} for target in targets}
    for number in range(1, seeds + 1):
        other = replace(run, params=run.params.model_copy(update={"seed": run.params.seed + number}))
        for target in targets:
            units = units_to(shared(other.to(target)), [(source,) for source in sources], on_done, executor)
            for (source,), unit in units.items():
                found[target][source].append(unit)
    return found


def repeated_networks(
    run: RunContext, tasks: Sequence[str], seeds: int, on_done: Callable[[int], object] = lambda done: None, executor: Executor = LOCAL
) -> dict[str, list[Unit]]:
    """Train task networks again, `seeds` times, as `repeated_transfers` does: task -> a unit for each further seed."""
    prepared, store = Prepared(run.prepared), Store(run.store)
    jobs: dict[str, list[_Network]] = {}
    for task in tasks:
        config = run.config(task)
        for number in range(1, seeds + 1):
            changed = config.model_copy(update={"seed": config.seed + number})
            jobs.setdefault(task, []).append((run.prepared, run.store, changed, _key(prepared, changed)))
    every = [job for several in jobs.values() for job in several]
    missing = [job for job in every if not store.has(job[3])]
    on_done(len(every) - len(missing))
    for _work, _none in executor.submit([_work_of(job) for job in missing]):
        on_done(1)
    return {task: [_known(store, key) for *_rest, key in several] for task, several in jobs.items()}


def _key(prepared: Prepared, config: TaskConfig) -> str:
    task = replace(prepared.task(config.definition), task=config.definition)
    return network_key(prepared, task, config, task.of_split(Split.TRAIN), "repeat")


def _work_of(job: _Network) -> Work:
    prepared, store, config, key = job
    return Work(f"network {config.task}, seed {config.seed}", WorkKind.NETWORK, _train, job, prepared_files(prepared, config.task), store, (key,))


def _train(job: _Network) -> None:
    """Train one network; torch is loaded here, as only training needs it."""
    from taskonomy.training.task_networks import prepared_task, train_scratch

    folder, store, config, key = job
    prepared = Prepared(folder)
    train_scratch(prepared, config, prepared_task(prepared, config).of_split(Split.TRAIN), key, Store(store))


def _known(store: Store, key: str) -> Unit:
    if (unit := store.read(key)) is None:
        raise TaskonomyError(f"{store.root}: the unit {key} vanished while it was used")
    return unit


def losses_of(units: Sequence[Unit]) -> list[Shaped[np.ndarray, " images"]]:
    """Return the losses of units on the images that affinities are measured on."""
    return [unit.arrays[Split.TEST_AFFINITY] for unit in units]
