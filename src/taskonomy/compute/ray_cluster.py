"""Units of work on a Ray cluster: actors, one per GPU or core, that pull units.

Each stage is a client of its own. It asks for as many actors as the cluster has room for, and gives each back when no unit is left for it, so that
concurrent stages share the machines by Ray's own queue of actors that wait for room. The units that work makes are in the store as soon as this
process knows that it is done: after a kill the next run continues from there, and Ray ends the actors of a driver that has ended.
"""

import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported: no telemetry

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from taskonomy.compute.file_mirror import all_seen
from taskonomy.compute.ray_worker import FileSource, Worker, WorkerAnswer, WorkOrder
from taskonomy.compute.work import Work, moved
from taskonomy.config.execution_params import ExecutionParams, Needs, WorkKind
from taskonomy.errors import TaskonomyError
from taskonomy.machine.environment import environment_of
from taskonomy.store.store import Store

_LOOK = 5.0  # seconds between two checks for machines that have joined the cluster
_STARTS = 3  # workers that die while starting, before we give up
_PATIENCE = 30.0  # seconds after which we report that we wait for room: other stages may use all of it
_REACHED = 20.0  # seconds within which the head of a cluster has to answer
_GIB = 1 << 30


@dataclass
class Todo:
    """A unit, and how many workers died while doing it."""

    work: Work
    deaths: int = 0


@dataclass
class Actor:
    """A worker: the kind of unit that it can do, and the unit that it is doing, None until it has started."""

    kind: WorkKind
    handle: Any
    todo: Todo | None = None


@dataclass
class Tally:
    """Counts of finished units, and of workers that died."""

    units: int = 0
    deaths: int = 0


class Cluster:
    """A client of a Ray cluster, as an `Executor`.

    Args:
        params: The section `execution`.
    """

    here = False

    def __init__(self, params: ExecutionParams) -> None:
        self.params, self.tally = params, Tally()
        self._driver = uuid4().hex
        self._source: Any = None
        self._actors: dict[Any, Actor] = {}  # pending result -> the worker that computes it
        self._slots: dict[WorkKind, int] = {}
        self._looked, self._stillborn = float("-inf"), 0
        self._alone_since = float("inf")  # time since which there has been no started worker

    def __enter__(self) -> "Cluster":
        package = str(Path(__file__).parents[1])
        variables = {**environment_of(self.params), "RAY_USAGE_STATS_ENABLED": "0"}
        try:
            _answers(self.params.address)
            ray.init(
                self.params.address,
                namespace="taskonomy",
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"py_modules": [package], "env_vars": variables},  # so that every worker has this code
            )
        except (OSError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:200]
            raise TaskonomyError(f"execution.address: {self.params.address}: no Ray cluster that this machine belongs to ({said})") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ray.shutdown()

    def sent(self) -> dict[str, int]:
        """Return how often each file was copied to some machine."""
        return {} if self._source is None else dict(ray.get(self._source.sent.remote()))

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """Do all units, as `Executor.submit` says; a unit whose worker dies is given to another worker, as often as `retries` says."""
        self._alone_since = time.monotonic()
        waiting = {kind: deque(Todo(_whole(work)) for work in units if work.kind is kind) for kind in WorkKind}
        given = {id(todo): work for kind in WorkKind for todo, work in zip(waiting[kind], [w for w in units if w.kind is kind], strict=True)}
        try:
            while any(waiting.values()) or any(actor.todo for actor in self._actors.values()):
                self._staff(waiting)
                done, _others = ray.wait(list(self._actors), num_returns=1, timeout=_LOOK)
                for ref in done:
                    actor = self._actors.pop(ref)
                    todo, actor.todo = actor.todo, None
                    answer = self._answer(ref, actor.kind, todo, waiting)
                    if answer is None:
                        continue
                    self._pull(actor, waiting)  # before the result is yielded, as the caller may take long with it
                    if todo is not None and answer.unseen is None:
                        yield given[id(todo)], answer.value
        finally:
            for actor in self._actors.values():
                ray.kill(actor.handle)
            self._actors.clear()

    def _answer(self, ref: Any, kind: WorkKind, todo: Todo | None, waiting: dict[WorkKind, deque[Todo]]) -> WorkerAnswer | None:
        """Return a worker's answer, whose units are then in the store; None: the worker has died."""
        try:
            answer: WorkerAnswer = ray.get(ref)
        except RayTaskError:
            raise
        except RayError as error:
            self._died(kind, todo, error)
            waiting[kind].extendleft([todo] if todo else [])
            return None
        if answer.error is not None:
            raise answer.error
        self._alone_since = float("inf")
        if todo is None:
            _check_versions(answer.value)
        elif answer.unseen is not None:
            self._serve(answer.unseen)
            waiting[kind].appendleft(todo)
        else:
            for key, data in answer.units:
                Store(todo.work.store).accept(key, data)
            self.tally.units += 1
        return answer

    def _pull(self, actor: Actor, waiting: dict[WorkKind, deque[Todo]]) -> None:
        """Give an idle worker the next unit, or end it to make room for workers of other units."""
        if not waiting[actor.kind]:
            ray.kill(actor.handle)
            return
        actor.todo = waiting[actor.kind].popleft()
        work = actor.todo.work
        order = WorkOrder(work, all_seen([*work.reads, Store(work.store).identity()]), self.params.inputs)
        self._actors[actor.handle.do.remote(order, self._source)] = actor

    def _staff(self, waiting: dict[WorkKind, deque[Todo]]) -> None:
        """Start as many workers as units wait for and there is room for; end those that have not started and are no longer needed."""
        if time.monotonic() - self._looked > _LOOK:
            self._slots = {kind: _slots(self.params.needs(kind)) for kind in WorkKind}
            self._looked = time.monotonic()
            if self._looked - self._alone_since > _PATIENCE:
                self._alone_since = float("inf")
                needs = {str(kind): self.params.needs(kind).model_dump(exclude={"retries"}) for kind, todos in waiting.items() if todos}
                print(f"cluster: no machine has room yet for what execution.kinds asks for: {needs}", file=sys.stderr)
        for kind, todos in waiting.items():
            mine = [ref for ref, actor in self._actors.items() if actor.kind is kind]
            starting = [ref for ref in mine if self._actors[ref].todo is None]
            for ref in starting[len(todos) :]:
                ray.kill(self._actors.pop(ref).handle)
            for _more in range(min(len(todos) - len(starting), self._slots[kind] - len(mine))):
                actor = Actor(kind, _start(self.params.needs(kind), self._driver))
                self._actors[actor.handle.versions.remote()] = actor

    def _died(self, kind: WorkKind, todo: Todo | None, error: RayError) -> None:
        self.tally.deaths += 1
        said = " ".join(str(error).split())[:300]
        if todo is None:
            self._stillborn += 1
            if self._stillborn > _STARTS:
                raise TaskonomyError(f"workers of the cluster do not start: {said}")
            return
        todo.deaths += 1
        retries = self.params.needs(kind).retries
        if todo.deaths > retries:
            raise TaskonomyError(f"{todo.work.name}: {todo.deaths} of its workers died, and execution.kinds.{kind}.retries is {retries}: {said}")
        print(f"cluster: a worker died over {todo.work.name}, which another one does again: {said}", file=sys.stderr)

    def _serve(self, unseen: Path) -> None:
        """Start to send out this machine's files, as some other machine does not see them.

        Raises:
            TaskonomyError: `execution.inputs` is `path`, which forbids it.
        """
        if self.params.inputs == "path":
            raise TaskonomyError(f"execution.inputs: path, but a machine of the cluster does not see {unseen} as this one does; auto copies it")
        if self._source is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._source = ray.remote(FileSource).options(num_cpus=0, scheduling_strategy=here).remote()


def _answers(address: str) -> None:
    """Check that something listens at the address, as Ray itself would try for a quarter of an hour.

    Raises:
        OSError: Nothing does.
    """
    host, _colon, port = address.rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=_REACHED).close()


def _start(needs: Needs, driver: str) -> Any:
    options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, **({"memory": needs.memory * _GIB} if needs.memory else {})}
    return ray.remote(Worker).options(**options).remote(driver)


def _slots(needs: Needs) -> int:
    """Count the workers that the cluster's machines have room for without other clients; at least one, as machines may still join."""
    wanted = {name: amount for name, amount in (("CPU", needs.cpus), ("GPU", needs.gpus), ("memory", needs.memory * _GIB)) if amount}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(1, sum(int(min(node.get(name, 0.0) / amount for name, amount in wanted.items())) for node in nodes))


def _whole(work: Work) -> Work:
    """Make a unit's paths absolute, as a worker does not run in the project's folder."""
    paths = moved((work.item, work.reads, work.store), Path.absolute)
    return replace(work, item=paths[0], reads=paths[1], store=paths[2])


def _check_versions(there: dict[str, str]) -> None:
    if differ := [f"{name} {found} there, {version(name)} here" for name, found in there.items() if found != version(name)]:
        raise TaskonomyError(f"a machine of the cluster would give other bits: {', '.join(differ)}")
