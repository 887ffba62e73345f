"""Find out which stages `dvc repro` would visit, in its order, and which of them are unchanged: DVC is asked once, in this process."""

import json
import os
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from tqdm import tqdm

from taskonomy.dvc_internals import (
    PROJECT_FILE,
    RWLOCK_FILE,
    AbstractDependency,
    Dependency,
    DvcException,
    ParseError,
    Repo,
    RepoDependency,
    RunCacheNotSupported,
    get_active_graph,
    lock_repo,
    param,
    plan_repro,
    rwlock,
)
from taskonomy.errors import TaskonomyError
from taskonomy.pipeline.lockfile import LockFile

if TYPE_CHECKING:
    from dvc.stage import Stage  # type: ignore[import-untyped]

TITLE = "taskonomy repro"  # the command that DVC records as the holder of a file lock

tqdm.monitor_interval = 0  # no monitor thread of DVC's progress bars: stages are forked off this process


@dataclass(frozen=True)
class PipelinePlan:
    """The stages of one run.

    Attributes:
        root: The workspace.
        scratch: DVC's folder for files that are no part of the project.
        names: Every stage that `dvc repro` would visit, in its order.
        needs: The stages of `names` that must come before a stage.
        pending: Stages that may have to run, each with the reason; every other stage is unchanged.
        order: The order in which `dvc repro` writes them to dvc.lock.
        stages: DVC's objects as they were read, so that a process forked for a stage need not read dvc.yaml and dvc.lock again.
    """

    root: Path
    scratch: Path
    names: tuple[str, ...]
    needs: Mapping[str, frozenset[str]]
    pending: Mapping[str, str]
    order: LockFile
    stages: "Mapping[str, Stage]"


def read_plan(targets: Sequence[str] = (), *, force: bool = False, downstream: bool = False, pull: bool = False, alone: bool = False) -> PipelinePlan:
    """Read the stages that the targets need, and which of them may have to run.

    A stage counts as unchanged only if everything it needs is unchanged: stages after one that runs are checked when that one has ended.

    Args:
        targets: Stages, groups of stages (`train`), files such as `dvc.yaml`, or outputs; none: the whole of `dvc.yaml`.
        force: Treat no stage as unchanged.
        downstream: Take the targets and the stages that need them, instead of the stages that the targets need.
        pull: Fetch the run cache from DVC's remote first.
        alone: No other run is active in this workspace, so DVC's leftover file locks of a killed run are released.

    Raises:
        TaskonomyError: No such target, a `dvc.yaml` that DVC does not accept, or DVC files in use by another command.
    """
    with one_line_of_dvc():
        if pull:
            _pull_run_cache()
        repo = Repo()
        with lock_repo(repo):
            if alone:
                let_go(Path(repo.tmp_dir))
            wanted = list(dict.fromkeys(stage for target in targets or (PROJECT_FILE,) for stage in _collect(repo, target)))
            stages = {stage.addressing: stage for stage in plan_repro(get_active_graph(repo.index.graph), wanted, downstream=downstream)}
            needs = _needs(repo, tuple(stages))
            with _reading(repo, stages.values()), _parameters_once():
                pending = _pending(stages, needs, force=force)
        return PipelinePlan(
            root=Path(repo.root_dir),
            scratch=Path(repo.tmp_dir),
            names=tuple(stages),
            needs=needs,
            pending=pending,
            order=_order(stages.values()),
            stages=stages,
        )


def let_go(scratch: Path) -> None:
    """Release the file locks that DVC still holds for a killed run; call it under DVC's lock, when no other run is active.

    DVC would take the files for busy if a new process has the process id of the killed one, which is common in containers.
    """
    path = scratch / RWLOCK_FILE
    try:
        held = json.loads(path.read_text())
    except OSError:
        return
    except ValueError:  # it is written under DVC's lock, which this process holds: only a kill can truncate it
        path.unlink()
        return
    read = {file: [user for user in users if user["cmd"] != TITLE] for file, users in held.get("read", {}).items()}
    write = {file: user for file, user in held.get("write", {}).items() if user["cmd"] != TITLE}
    path.write_text(json.dumps({"write": write, "read": {file: users for file, users in read.items() if users}}))


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


def ranks(plan: PipelinePlan, seconds: Mapping[str, float]) -> dict[str, int]:
    """Rank the stages by which ready one should start first (0 first). This changes how long a run takes, never its result.

    First comes the stage with the longest remaining path to the end of the run, by the seconds that stages took last time (a stage without a time
    takes the mean of its group, or of all); then the one that most stages wait for; then DVC's order.
    """
    of_group: dict[str, list[float]] = {}
    for name, value in seconds.items():
        of_group.setdefault(group(name), []).append(value)
    usual = mean(seconds.values()) if seconds else 1.0
    way: dict[str, float] = {}
    after: dict[str, set[str]] = {name: set() for name in plan.names}
    for name in reversed(plan.names):  # a stage comes after what it needs, so the reverse order meets its dependants first
        guess = seconds.get(name, mean(of_group.get(group(name), [usual])))
        way[name] = way.get(name, 0.0) + (guess if name in plan.pending else 0.0)
        for need in plan.needs[name]:
            way[need] = max(way.get(need, 0.0), way[name])
            after[need] |= after[name] | {name}
    first = sorted(range(len(plan.names)), key=lambda place: (-way[plan.names[place]], -len(after[plan.names[place]]), place))
    return {plan.names[place]: rank for rank, place in enumerate(first)}


def group(name: str) -> str:
    """Return the entry of dvc.yaml that a stage comes from: `train` for `train@normal`."""
    return name.partition("@")[0]


def _collect(repo: Repo, target: str) -> "Iterable[Stage]":
    """Resolve a target as DVC does, but without reading dvc.lock again (a second of pure Python), as the index already holds it."""
    stages: list[Stage] = repo.index.stages
    path = os.path.abspath(target)
    return (
        [stage for stage in stages if stage.addressing == target]
        or [stage for stage in stages if group(stage.addressing) == target]
        or [stage for stage in stages if stage.path == path]
        or [info.stage for info in repo.stage.collect_granular(target)]
    )


def _needs(repo: Repo, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return which stages must come before each stage. DVC visits frozen stages in no fixed place, so for these its order decides."""
    place = {name: number for number, name in enumerate(names)}
    needs: dict[str, set[str]] = {name: set() for name in names}
    for edge in repo.index.graph.edges:
        pair = [stage.addressing for stage in edge]
        if all(name in place for name in pair):
            first, last = sorted(pair, key=place.__getitem__)
            needs[last].add(first)
    return {name: frozenset(before) for name, before in needs.items()}


@contextmanager
def _reading(repo: Repo, stages: "Iterable[Stage]") -> Iterator[None]:
    """Hold DVC's read locks on all files of the stages at once: DVC itself would take them three times per stage."""
    items = [item for stage in stages for item in (*stage.deps, *stage.outs)]
    paths = sorted({item.fs_path for item in items if not isinstance(item, RepoDependency | AbstractDependency)})
    with rwlock(repo.tmp_dir, repo.fs, TITLE, paths, [], repo.config["core"].get("hardlink_lock", False)):
        yield


@contextmanager
def _parameters_once() -> Iterator[None]:
    """Parse each file of parameters once: DVC itself would parse it for every stage."""
    parse, parsed = param.load_path, {}

    def once(path: str, *others: object, **options: object) -> object:
        if path not in parsed:
            parsed[path] = parse(path, *others, **options)
        return parsed[path]

    param.load_path = once
    try:
        yield
    finally:
        param.load_path = parse


def _pending(stages: "Mapping[str, Stage]", needs: Mapping[str, frozenset[str]], *, force: bool) -> dict[str, str]:
    pending: dict[str, str] = {}
    known: dict[Hashable, bool] = {}
    for name, stage in stages.items():
        if before := sorted(needs[name] & pending.keys()):
            pending[name] = f"after {before[0]}" + (f" and {len(before) - 1} more" if len(before) > 1 else "")
        elif force:
            pending[name] = "forced"
        elif _changed(stage, known):
            pending[name] = "changed"
    return pending


def _changed(stage: "Stage", known: dict[Hashable, bool]) -> bool:
    """Return `stage.changed()`, but without the locks that `_reading` holds and with each folder walked once, however many stages read it."""
    if stage.changed_stage():
        return True
    if not stage.frozen and (stage.is_callback or stage.always_changed or any(_dep_changed(dep, known) for dep in stage.deps)):
        return True
    return any(out.status() for out in stage.outs)


def _dep_changed(dep: Dependency, known: dict[Hashable, bool]) -> bool:
    if type(dep) is not Dependency or dep.protocol != "local":  # parameters and similar dependencies compare more than a path and a hash
        return bool(dep.status())
    key = (dep.fs_path, dep.hash_name, dep.hash_info.name, dep.hash_info.value)
    if key not in known:
        known[key] = bool(dep.status())
    return known[key]


def _order(stages: "Iterable[Stage]") -> LockFile:
    locks: dict[str, list[str]] = {}
    ignores: dict[str, list[str]] = {}
    for stage in stages:
        if name := getattr(stage, "name", None):
            locks.setdefault(f"{os.path.splitext(stage.path)[0]}.lock", []).append(name)
        for out in stage.outs:
            if out.use_scm_ignore:
                folder, base = os.path.split(out.fs_path)
                ignores.setdefault(os.path.join(folder, ".gitignore"), []).append(f"/{base}")
    return LockFile(locks, ignores)


def _pull_run_cache() -> None:
    with Repo() as repo, lock_repo(repo):  # a Repo object of its own: connections to a remote do not survive a fork
        try:
            repo.stage_cache.pull(None)
        except RunCacheNotSupported as error:  # DVC continues without a run cache, too
            print(f"warning: the run cache cannot be pulled: {error}", file=sys.stderr)
