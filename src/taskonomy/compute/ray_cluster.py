"""Units of work on a Ray cluster: actors, one per GPU or core, that pull units.

Each stage is a client of its own. It asks for as many actors as the cluster has room for, and gives each back when no unit is left for it, so that
stages side by side share the machines by Ray's own queue of actors that wait for room. What a unit leaves is in the store as soon as it is known
here: a driver that is killed goes on from there, and Ray ends the actors of a driver that has ended.
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

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported: it asks nobody and tells nobody

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from taskonomy.compute.file_mirror import all_seen
from taskonomy.compute.ray_worker import FileSource, Worker, WorkerAnswer, WorkOrder
from taskonomy.compute.work import Work, moved
from taskonomy.config.params import ExecutionParams, Needs, WorkKind
from taskonomy.errors import TaskonomyError
from taskonomy.machine.environment import environment_of
from taskonomy.store.store import Store

_LOOK = 5.0  # seconds after which the cluster is looked at again: machines may have come
_STARTS = 3  # workers that die as they start, before we give up
_PATIENCE = 30.0  # seconds after which we say that we wait for room: other stages may have it all
_REACHED = 20.0  # seconds in which the head of a cluster answers
_GIB = 1 << 30


@dataclass
class Todo:
    """A unit, and how many workers died of it or beside it."""

    work: Work
    deaths: int = 0


@dataclass
class Actor:
    """A worker: what it can do, and what it does; None until it has started."""

    kind: WorkKind
    handle: Any
    todo: Todo | None = None


@dataclass
class Tally:
    """What was done: units, and workers that died."""

    units: int = 0
    deaths: int = 0


class Cluster:
    """A client of a Ray cluster, as an `Engine`.

    Args:
        params: The section `execution`.
    """

    here = False

    def __init__(self, params: ExecutionParams) -> None:
        self.params, self.tally = params, Tally()
        self._driver = uuid4().hex
        self._source: Any = None
        self._actors: dict[Any, Actor] = {}  # what is waited for -> who does it
        self._slots: dict[WorkKind, int] = {}
        self._looked, self._stillborn = float("-inf"), 0
        self._alone_since = float("inf")  # since when no worker has started

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
        """How often each file was copied to some machine."""
        return {} if self._source is None else dict(ray.get(self._source.sent.remote()))

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        """As `Engine.submit`; a unit whose worker dies is given to another one, as often as `retries` says."""
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
                    self._pull(actor, waiting)  # before whoever asked sees the result: that may take long
                    if todo is not None and answer.unseen is None:
                        yield given[id(todo)], answer.value
        finally:
            for actor in self._actors.values():
                ray.kill(actor.handle)
            self._actors.clear()

    def _answer(self, ref: Any, kind: WorkKind, todo: Todo | None, waiting: dict[WorkKind, deque[Todo]]) -> WorkerAnswer | None:
        """What a worker says, whose units are then in the store; None: it has died."""
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
        """A worker that is free takes the next unit, or makes room for those of others."""
        if not waiting[actor.kind]:
            ray.kill(actor.handle)
            return
        actor.todo = waiting[actor.kind].popleft()
        work = actor.todo.work
        order = WorkOrder(work, all_seen([*work.reads, Store(work.store).identity()]), self.params.inputs)
        self._actors[actor.handle.do.remote(order, self._source)] = actor

    def _staff(self, waiting: dict[WorkKind, deque[Todo]]) -> None:
        """As many workers as there is room for and units wait for; those that have not started and are not needed any more go."""
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
        """From now on this machine's files are given out, as some other does not see them."""
        if self.params.inputs == "path":
            raise TaskonomyError(f"execution.inputs: path, but a machine of the cluster does not see {unseen} as this one does; auto copies it")
        if self._source is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._source = ray.remote(FileSource).options(num_cpus=0, scheduling_strategy=here).remote()


def _answers(address: str) -> None:
    """Somebody listens there: Ray itself would ask for a quarter of an hour."""
    host, _colon, port = address.rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=_REACHED).close()


def _start(needs: Needs, driver: str) -> Any:
    options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, **({"memory": needs.memory * _GIB} if needs.memory else {})}
    return ray.remote(Worker).options(**options).remote(driver)


def _slots(needs: Needs) -> int:
    """How many workers the machines of the cluster have room for, were there no other clients; one at least, as machines may still come."""
    wanted = {name: amount for name, amount in (("CPU", needs.cpus), ("GPU", needs.gpus), ("memory", needs.memory * _GIB)) if amount}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max(1, sum(int(min(node.get(name, 0.0) / amount for name, amount in wanted.items())) for node in nodes))


def _whole(work: Work) -> Work:
    """With whole paths, as a worker is in no project's folder."""
    paths = moved((work.item, work.reads, work.store), Path.absolute)
    return replace(work, item=paths[0], reads=paths[1], store=paths[2])


def _check_versions(there: dict[str, str]) -> None:
    if differ := [f"{name} {found} there, {version(name)} here" for name, found in there.items() if found != version(name)]:
        raise TaskonomyError(f"a machine of the cluster would give other bits: {', '.join(differ)}")
