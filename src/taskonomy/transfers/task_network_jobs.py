"""Task networks as units of work, trained by the executor in use: in this process where that is the local one."""

from dataclasses import dataclass
from pathlib import Path

from taskonomy.compute.executor import LOCAL, Executor
from taskonomy.compute.work import Work
from taskonomy.config.execution_params import WorkKind
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.store.store import Store
from taskonomy.store.unit_keys import constant_key, network_key, prepared_files
from taskonomy.training.task_networks import EachEpoch, Trained, prepared_task, train_task
from taskonomy.training.trainer import Curve


@dataclass(frozen=True)
class NetworkJob:
    """A task network to train; small, because it travels between processes.

    Attributes:
        config: The task's configuration.
        prepared: Folder of the prepared data.
        store: Folder of the finished units.
    """

    config: TaskConfig
    prepared: Path
    store: Path


def supervised(job: NetworkJob, each_epoch: EachEpoch, executor: Executor = LOCAL) -> Trained:
    """Train a task's network and its best constant, and encode images, as `train_task` does.

    Args:
        job: The network to train.
        each_epoch: Called after each epoch on this machine, or for all epochs at once when another machine has trained the network.
        executor: Executor that trains it.
    """
    if executor.here:
        return train_task(Prepared(job.prepared), job.config, Store(job.store), each_epoch)
    ((_work, trained),) = executor.submit([_work_of(job)])
    if "self" in trained.units:
        facts = trained.units["self"].facts
        curve = Curve(facts["train"], facts["validation"])
        for epoch in range(len(curve.train)):
            each_epoch(epoch, curve)
    return trained


def _work_of(job: NetworkJob) -> Work:
    config, prepared = job.config, Prepared(job.prepared)
    task = prepared_task(prepared, config)
    keys: tuple[str, ...] = ()
    if task.task.label is not None:
        train = task.of_split(Split.TRAIN)
        keys = network_key(prepared, task, config, train, "self"), constant_key(task, config, train)
    known = [Store(job.store).path(key) for key in keys if Store(job.store).has(key)]  # finished, but their images may still have to be encoded
    reads = (*prepared_files(job.prepared, config.task), *known)
    return Work(f"network {config.task}", WorkKind.NETWORK, _train, job, reads, job.store, keys)


def _train(job: NetworkJob) -> Trained:
    trained = train_task(Prepared(job.prepared), job.config, Store(job.store))
    trained.network.cpu()  # the process that receives it may have no GPU
    return trained
