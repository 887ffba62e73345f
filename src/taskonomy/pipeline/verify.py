"""Verify that a clean clone reproduces what is committed: the same bits on the same kind of machine, metrics within stated tolerances elsewhere."""

import os
import platform
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from taskonomy.atomic_io import write_text
from taskonomy.config.profile_files import known_profiles
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.numeric import cpu_info as processor

FOLDER = Path("profiles/references")
DEFAULT = "params"  # the reference for params.yaml without a profile: the committed bits and metrics
NUMERICS = ("torch", "torchvision", "numpy", "scipy", "numba", "llvmlite", "embreex", "opencv-python-headless", "scikit-image", "pandas", "swiglpk")
EXACT = 1e-9  # tolerance of a metric that no pattern matches

Lock = Mapping[str, Mapping[str, Any]]  # the stages of a dvc.lock


class Snapshot(BaseModel):
    """Inputs and outputs of a run, as digests and numbers.

    Attributes:
        outs: Digest of every output of every stage, stages in the order of the pipeline.
        inputs: Digest of every dependency that no stage makes.
        params: Value of every parameter that a stage reads.
        metrics: Number by `file:key`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    outs: dict[str, dict[str, str]]
    inputs: dict[str, str]
    params: dict[str, Any]
    metrics: dict[str, float]


class Reference(BaseModel):
    """The expected result of a clean run.

    Attributes:
        machine: The kind of machine that it was made on.
        tolerances: Pattern of `file:key` -> how much such a metric may differ on another kind of machine; the first matching pattern counts.
        snapshot: Expected snapshot; None: that of the commit itself, from its dvc.lock and its metrics.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    machine: dict[str, str]
    tolerances: dict[str, float]
    snapshot: Snapshot | None = None

    def tolerance(self, metric: str) -> float:
        """Return the tolerance of a metric."""
        return next((value for pattern, value in self.tolerances.items() if fnmatch(metric, pattern)), EXACT)


@dataclass(frozen=True)
class Mismatch:
    """A stage whose outputs differ from those of the reference.

    Attributes:
        stage: Its name.
        outs: The outputs that differ.
        inputs: Those of its own inputs that differ too: code, data, parameters.
        first: Whether no stage before it differs, so that the difference began here.
    """

    stage: str
    outs: tuple[str, ...]
    inputs: tuple[str, ...]
    first: bool


@dataclass(frozen=True)
class Verdict:
    """The comparison of a run with its reference.

    Attributes:
        machine: How this machine is of another kind, in words; empty on the same kind.
        differences: Stages with other bits, in the order of the pipeline.
        beyond: Metrics that differ by more than their tolerances.
        largest: The metric with the largest difference relative to its tolerance.
        outs: Number of outputs compared.
    """

    machine: tuple[str, ...]
    differences: tuple[Mismatch, ...]
    beyond: tuple[str, ...]
    largest: str
    outs: int

    @property
    def good(self) -> bool:
        """Return whether the outputs are identical or, on another kind of machine, all metrics are within their tolerances."""
        return not self.differences or (bool(self.machine) and not self.beyond)

    def lines(self) -> Iterator[str]:
        """Yield the verdict in words, line by line."""
        if self.machine:
            yield f"another kind of machine: {'; '.join(self.machine)}"
        if not self.differences:
            yield f"identical: all {self.outs} outputs have the bits of the reference"
            return
        groups: dict[tuple[str, tuple[str, ...]], list[Mismatch]] = {}
        for one in (one for one in self.differences if one.first):
            groups.setdefault((one.stage.partition("@")[0], one.inputs), []).append(one)
        for (stage, inputs), alike in groups.items():
            why = f"these of its inputs differ: {', '.join(inputs)}" if inputs else "from the same inputs"
            more = f"; so do {len(alike) - 1} more of {stage}" if len(alike) > 1 else ""
            yield f"differs first: {alike[0].stage}: {', '.join(alike[0].outs)}; {why}{more}"
        later = Counter(one.stage.partition("@")[0] for one in self.differences if not one.first)
        if later:
            yield f"downstream: {', '.join(f'{stage} ({count})' if count > 1 else stage for stage, count in later.items())}"
        yield f"largest difference of a metric: {self.largest}" if self.largest else "no metric differs"
        yield from (f"beyond its tolerance: {line}" for line in self.beyond)
        if self.good:
            yield "every metric is within its tolerance"


def machine() -> dict[str, str]:
    """Describe what determines the bits of results: the processor, the system's C library, and the numerical libraries."""
    kind = {"system": f"{platform.system()} {platform.machine()}", "libc": " ".join(platform.libc_ver())}
    kind["python"] = ".".join(platform.python_version_tuple()[:2])
    return kind | _processor() | {name: version(name) for name in NUMERICS}


def snapshot(root: Path, lock: Lock | None = None) -> Snapshot:
    """Take the snapshot of what the last run in a workspace has made.

    Args:
        root: The workspace.
        lock: The stages of its dvc.lock, if they have been read already.
    """
    stages = read_lock((root / "dvc.lock").read_text()) if lock is None else lock
    made = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    needs = {name: {made[path] for dep in stage.get("deps", ()) for path in _within(dep["path"], made)} for name, stage in stages.items()}
    order = list(TopologicalSorter(needs).static_order())
    outs = {name: {out["path"]: out["md5"] for out in stages[name].get("outs", ())} for name in order}
    deps = {dep["path"]: dep["md5"] for name in order for dep in stages[name].get("deps", ()) if not _within(dep["path"], made)}
    params = {key: value for name in order for values in stages[name].get("params", {}).values() for key, value in values.items()}
    return Snapshot(outs=outs, inputs=deps, params=params, metrics=dict(_metrics(root, made)))


def compare(reference: Reference, expected: Snapshot, found: Snapshot, lock: Lock, here: Mapping[str, str]) -> Verdict:
    """Compare a run with its reference.

    Args:
        reference: Machine and tolerances.
        expected: What the run must give.
        found: What it gave.
        lock: The stages of its dvc.lock, with their dependencies.
        here: The machine that it ran on.
    """
    kinds = sorted(reference.machine.keys() | here.keys())
    other = tuple(
        f"{kind} {here.get(kind, 'none')} ({reference.machine.get(kind, 'none')})" for kind in kinds if here.get(kind) != reference.machine.get(kind)
    )
    differences: list[Mismatch] = []
    changed: set[str] = set()
    for stage in [*found.outs, *(expected.outs.keys() - found.outs.keys())]:
        before, now = expected.outs.get(stage, {}), found.outs.get(stage, {})
        outs = tuple(sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path)))
        if not outs:
            continue
        deps = [dep["path"] for dep in lock.get(stage, {}).get("deps", ())]
        keys = [key for values in lock.get(stage, {}).get("params", {}).values() for key in values]
        own = [path for path in deps if path in found.inputs and found.inputs[path] != expected.inputs.get(path)]
        own += [key for key in keys if found.params.get(key) != expected.params.get(key)]
        first = not any(_within(path, changed) for path in deps)
        differences.append(Mismatch(stage, outs, tuple(own), first))
        changed.update(outs)
    apart = []
    for name in sorted(expected.metrics.keys() | found.metrics.keys()):
        there, value = expected.metrics.get(name, float("nan")), found.metrics.get(name, float("nan"))
        apart.append((abs(value - there) / (allowed := reference.tolerance(name)), f"{name} {value:.6g} (reference {there:.6g} ± {allowed:g})"))
    worst = max(apart, key=lambda one: (one[0] != one[0], one[0]), default=(0.0, ""))
    return Verdict(
        machine=other,
        differences=tuple(differences),
        beyond=tuple(line for share, line in apart if not share <= 1),
        largest=worst[1] if worst[0] else "",
        outs=sum(map(len, found.outs.values())),
    )


def check(profile: str | None, jobs: int, *, write: bool = False) -> Verdict:
    """Clone the commit, run it from scratch, and compare the result with the reference, or write the result as the new reference.

    Args:
        profile: Overrides of params.yaml; None: params.yaml as it is.
        jobs: Maximum number of stages at once.
        write: Write the result of the run as the reference instead of comparing.

    Raises:
        TaskonomyError: No such reference or profile, not inside a git clone, or the run failed.
    """
    name = profile or DEFAULT
    path = FOLDER / f"{name}.yaml"
    if profile and profile not in known_profiles():
        raise unknown("profile", [profile], known_profiles())
    if not (write or path.is_file()):
        raise TaskonomyError(f"{path}: no such file; {' '.join(filter(None, ('taskonomy check', profile)))} --write makes it")
    reference = _read(path) if path.is_file() else Reference(machine={}, tolerances={})
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        print(f"not committed, so not checked: {', '.join(line[3:] for line in changed.splitlines())}", file=sys.stderr)
    with TemporaryDirectory(prefix="taskonomy-check-") as folder:
        root = Path(folder) / "clone"
        git("clone", "--quiet", str(Path.cwd()), str(root))
        write_text(root / ".dvc/config.local", "[cache]\n    dir = cache\n")  # an empty cache of its own, whatever this machine's settings say
        committed = None if profile else snapshot(root)
        (root / "dvc.lock").unlink(missing_ok=True)  # else DVC would take an output as cached if another stage has just made the same bits
        if profile:
            run_in_clone(root, "taskonomy", "profile", profile, "--write")
        run_in_clone(root, "taskonomy", "repro", "--jobs", str(jobs))
        lock = read_lock((root / "dvc.lock").read_text())
        found = snapshot(root, lock)
    if write:
        new = Reference(machine=machine(), tolerances=reference.tolerances, snapshot=found if profile else None)
        write_text(path, yaml.safe_dump(new.model_dump(exclude_none=True), sort_keys=False, width=150))
    expected = (found if write else reference.snapshot) if profile else committed
    if expected is None:
        raise TaskonomyError(f"{path}: a profile's reference needs a snapshot; taskonomy check {name} --write makes it")
    return compare(reference, expected, found, lock, reference.machine if write else machine())


def read_lock(text: str) -> dict[str, Any]:
    """Parse the stages of a dvc.lock."""
    return dict((yaml.safe_load(text) or {}).get("stages", {}))


def _read(path: Path) -> Reference:
    from taskonomy.config.checked import checked

    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TaskonomyError(f"{path}: not readable YAML ({' '.join(str(error).split())})") from None
    return checked(Reference, values, str(path))


def _within(path: str, outs: Any) -> list[str]:
    """Return the outputs that equal the path, lie in it, or contain it."""
    return [out for out in outs if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/")]


def _metrics(root: Path, outs: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for path in sorted(out for out in outs if out.endswith("_metrics.json")):
        yield from ((f"{path}:{key}", value) for key, value in _leaves(yaml.safe_load((root / path).read_text())))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, int | float):
        yield key, float(value)


def _processor() -> dict[str, str]:
    """Describe the processor: its name (of little use on a virtual machine), its model, and the vector instructions that libraries choose between."""
    facts = processor.facts()
    if not facts:
        return {"processor": platform.processor()}
    model = [f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts]
    vectors = sorted(flag for flag in processor.instructions() if re.match("sse4|avx|amx|fma|f16c|bmi|asimd|sve|bf16", flag))
    return {"processor": ", ".join([facts.get("model name", platform.processor()), *model]), "instructions": " ".join(vectors)}


def run_in_clone(root: Path, program: str, *arguments: str) -> None:
    """Run a clone's own program (taskonomy or dvc) on the clone's code, in this environment; its output goes to standard error.

    Raises:
        TaskonomyError: The program failed.
    """
    source = f"{root.absolute() / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    command = (sys.executable, "-c", "from taskonomy.cli.main import main; main()") if program == "taskonomy" else (sys.executable, "-m", program)
    environment = os.environ | {"PYTHONPATH": source}
    with subprocess.Popen((*command, *arguments), cwd=root, env=environment, stdout=sys.stderr) as process, _handed_on(process):
        status = process.wait()
    if status:
        raise TaskonomyError(f"{program} {' '.join(arguments)} ended with status {status}; what it said stands above")


@contextmanager
def _handed_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass signals that end this process on to the other one, and wait for it; a terminal's Ctrl-C reaches both anyway."""
    before = {number: signal.signal(number, lambda number, _frame: process.send_signal(number)) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def git(*arguments: str) -> str:
    """Run git and return its output.

    Raises:
        TaskonomyError: git failed.
    """
    done = subprocess.run(("git", *arguments), capture_output=True, text=True)
    if done.returncode:
        raise TaskonomyError(f"git {arguments[0]}: {' '.join((done.stderr or done.stdout).split())}")
    return done.stdout
