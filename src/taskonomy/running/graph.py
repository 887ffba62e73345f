"""What `dvc repro` would visit, in its order, and what of it is unchanged: asked of DVC once, in this process."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from dvc.dvcfile import PROJECT_FILE  # type: ignore[import-untyped]
from dvc.exceptions import DvcException  # type: ignore[import-untyped]
from dvc.repo import Repo, lock_repo  # type: ignore[import-untyped]
from dvc.repo.reproduce import get_active_graph, plan_repro  # type: ignore[import-untyped]
from dvc.rwlock import RWLOCK_FILE  # type: ignore[import-untyped]
from dvc.stage.cache import RunCacheNotSupported  # type: ignore[import-untyped]
from dvc.utils.serialize import ParseError  # type: ignore[import-untyped]
from tqdm import tqdm

from taskonomy.errors import TaskonomyError
from taskonomy.running.order import Order

if TYPE_CHECKING:
    from dvc.stage import Stage  # type: ignore[import-untyped]

tqdm.monitor_interval = 0  # no thread that watches DVC's progress bars: stages are forked off this process


@dataclass(frozen=True)
class Plan:
    """The stages of one run.

    Attributes:
        root: The workspace.
        scratch: DVC's folder for files that are no part of the project.
        names: Every stage that `dvc repro` would visit, in its order.
        needs: The stages of `names` that must come before a stage.
        pending: Which may have to run, and why; every other stage is unchanged.
        order: In which order `dvc repro` writes them down.
    """

    root: Path
    scratch: Path
    names: tuple[str, ...]
    needs: Mapping[str, frozenset[str]]
    pending: Mapping[str, str]
    order: Order


def read_plan(targets: Sequence[str] = (), *, force: bool = False, downstream: bool = False, pull: bool = False, killed: str | None = None) -> Plan:
    """The stages that the targets need, and which of them may have to run.

    A stage counts as unchanged only if all that it needs are: what follows a stage that runs is looked at when that one is done.

    Args:
        targets: Stages, groups of stages (`train`), files such as `dvc.yaml`, or outputs; none: the whole of `dvc.yaml`.
        force: Nothing counts as unchanged.
        downstream: The targets and what needs them, instead of what they need.
        pull: Fetch the run cache from DVC's remote first.
        killed: A command that is known not to be running: files that DVC holds for it are let go.

    Raises:
        TaskonomyError: No such target, a `dvc.yaml` that DVC does not accept, or DVC files in use by another command.
    """
    with one_line_of_dvc():
        repo = Repo(_wait_for_lock=True)
        try:
            with lock_repo(repo):
                if killed:
                    _let_go(Path(repo.tmp_dir), killed)
                if pull:
                    _pull_run_cache(repo)
                wanted = list(dict.fromkeys(info.stage for target in targets or (PROJECT_FILE,) for info in repo.stage.collect_granular(target)))
                graph = get_active_graph(repo.index.graph)
                stages: list[Stage] = plan_repro(graph, wanted, downstream=downstream)
                names = {stage: stage.addressing for stage in stages}
                needs = {names[stage]: frozenset(names[need] for need in graph.successors(stage) if need in names) for stage in stages}
                return Plan(
                    root=Path(repo.root_dir),
                    scratch=Path(repo.tmp_dir),
                    names=tuple(needs),
                    needs=needs,
                    pending=_pending(names, needs, force=force),
                    order=_order(stages),
                )
        finally:
            repo.close()


@contextmanager
def one_line_of_dvc() -> Iterator[None]:
    """Turn DVC's own errors into one line.

    Raises:
        TaskonomyError: DVC raised an error of its own.
    """
    try:
        yield
    except (DvcException, ParseError) as error:
        raise TaskonomyError(" ".join(str(error).split())) from error


def ranks(plan: Plan, seconds: Mapping[str, float]) -> dict[str, int]:
    """Which of the stages that are ready to start first: 0 before 1. It changes how long a run takes, never its result.

    First the stage with the longest way to the end of the run, by the seconds that stages took last time (a stage without takes
    the mean of its group, or of all); then the one that most stages wait for; then DVC's order.
    """
    of_group: dict[str, list[float]] = {}
    for name, value in seconds.items():
        of_group.setdefault(group(name), []).append(value)
    usual = mean(seconds.values()) if seconds else 1.0
    way: dict[str, float] = {}
    after: dict[str, set[str]] = {name: set() for name in plan.names}
    for name in reversed(plan.names):  # needs come before what needs them, so this meets dependants first
        guess = seconds.get(name, mean(of_group.get(group(name), [usual])))
        way[name] = way.get(name, 0.0) + (guess if name in plan.pending else 0.0)
        for need in plan.needs[name]:
            way[need] = max(way.get(need, 0.0), way[name])
            after[need] |= after[name] | {name}
    first = sorted(range(len(plan.names)), key=lambda place: (-way[plan.names[place]], -len(after[plan.names[place]]), place))
    return {plan.names[place]: rank for rank, place in enumerate(first)}


def group(name: str) -> str:
    """`train` of `train@normal`: the entry of dvc.yaml that a stage comes from."""
    return name.partition("@")[0]


def _pending(names: "Mapping[Stage, str]", needs: Mapping[str, frozenset[str]], *, force: bool) -> dict[str, str]:
    pending: dict[str, str] = {}
    for stage, name in names.items():
        if before := sorted(needs[name] & pending.keys()):
            pending[name] = f"after {before[0]}" + (f" and {len(before) - 1} more" if len(before) > 1 else "")
        elif force:
            pending[name] = "forced"
        elif stage.changed():
            pending[name] = "changed"
    return pending


def _order(stages: "Sequence[Stage]") -> Order:
    locks: dict[str, list[str]] = {}
    ignores: dict[str, list[str]] = {}
    for stage in stages:
        if name := getattr(stage, "name", None):
            locks.setdefault(f"{os.path.splitext(stage.path)[0]}.lock", []).append(name)
        for out in stage.outs:
            if out.use_scm_ignore:
                folder, base = os.path.split(out.fs_path)
                ignores.setdefault(os.path.join(folder, ".gitignore"), []).append(f"/{base}")
    return Order(locks, ignores)


def _pull_run_cache(repo: Repo) -> None:
    try:
        repo.stage_cache.pull(None)
    except RunCacheNotSupported as error:
        raise TaskonomyError(f"--pull: {error}") from None


def _let_go(scratch: Path, command: str) -> None:
    """DVC would take the files of a killed process for busy if a new process has its number, as is usual in a container."""
    path = scratch / RWLOCK_FILE
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    read = {file: [user for user in users if user["cmd"] != command] for file, users in held.get("read", {}).items()}
    write = {file: user for file, user in held.get("write", {}).items() if user["cmd"] != command}
    path.write_text(json.dumps({"write": write, "read": {file: users for file, users in read.items() if users}}))
