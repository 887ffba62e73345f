"""The interface between stages and where units of work are done: stages pass units to `submit` of an executor."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from taskonomy.compute.work import Work
from taskonomy.config.execution_params import ExecutionParams
from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import on_every_core
from taskonomy.machine.environment import environment_of, of_this_run


@runtime_checkable
class Executor(Protocol):
    """Does units of work: on this machine, or on a cluster."""

    @property
    def here(self) -> bool:
        """Return whether this process does some of the work itself."""

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """Do all units; yield each with its function's return value, in any order, when the units that it makes are in the store.

        An error of one is raised, and ends them all.
        """


class Local:
    """The processes of this machine: one per core, or on its GPU as many as `execution.per_gpu` says."""

    here = True

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """Do all units, as `Executor.submit` says."""
        if not units:
            return
        from taskonomy.machine.device import at_once  # imported here as it loads torch, which this process needs for its share

        yield from on_every_core(Work.do, units, at_once())


LOCAL = Local()


@contextmanager
def executor_of(params: ExecutionParams) -> Iterator[Executor]:
    """Start the executor that the parameters ask for, for the time of a stage.

    Raises:
        TaskonomyError: There is no such cluster, or Ray is not installed.
    """
    params = of_this_run(params)
    os.environ.update(environment_of(params))
    if params.engine == "local":
        yield LOCAL
        return
    try:
        from taskonomy.compute.ray_cluster import Cluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise TaskonomyError("execution.engine: ray is not installed here; pip install 'taskonomy[cluster]' brings it") from None
    with Cluster(params) as cluster:
        yield cluster
