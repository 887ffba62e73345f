"""The seam: stages hand over units of work by `submit`, and an engine sees to them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from taskonomy.compute.work import Work
from taskonomy.config.params import ExecutionParams
from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import on_every_core
from taskonomy.machine.environment import environment_of, of_this_run


@runtime_checkable
class Executor(Protocol):
    """Whoever sees to units of work."""

    @property
    def here(self) -> bool:
        """Whether this process takes its share of them."""

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """Do all of them; yields each, with what its function returns, when the units that it leaves are in the store; in no order.

        An error of one is raised, and ends them all.
        """


class Local:
    """The processes of this machine, one per core, or as many as `execution.per_gpu` says on its GPU."""

    here = True

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """As `Executor.submit`."""
        if not units:
            return
        from taskonomy.machine.device import at_once  # with torch, which this process needs for its share

        yield from on_every_core(Work.do, units, at_once())


LOCAL = Local()


@contextmanager
def engine(params: ExecutionParams) -> Iterator[Executor]:
    """The engine that the parameters ask for, for the time of a stage.

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
