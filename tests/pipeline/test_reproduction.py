"""The reproduction check: what it calls the same, and where it says that a difference began."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_pipeline import Pipeline
from tiny import once
from waiting import HANG, until

from taskonomy.pipeline.verify import Reference, Snapshot, Verdict, compare, machine, snapshot

HERE = {"processor": "one"}


def lock(**digests: str) -> dict[str, Any]:
    """Two stages in a row, and one beside them, written down in another order than they run in."""
    of = {"code": "c0", "mid": "m0", "metrics": "n0", "aside": "a0", **digests}
    first = {"deps": [{"path": "src/code", "md5": of["code"]}], "params": {"params.yaml": {"train.rate": of.get("rate", "slow")}}}
    return {
        "last": {"deps": [{"path": "mid/file", "md5": "-"}], "outs": [{"path": "results/last_metrics.json", "md5": of["metrics"]}]},
        "aside": {"outs": [{"path": "aside", "md5": of["aside"]}]},
        "first": {**first, "outs": [{"path": "mid", "md5": of["mid"]}]},
    }


def taken(root: Path, value: float, **digests: str) -> Snapshot:
    (root / "results").mkdir(exist_ok=True)
    (root / "results/last_metrics.json").write_text(f'{{"gain": {{"mean": {value}}}, "name": "x"}}')
    return snapshot(root, lock(**digests))


def verdict(root: Path, value: float = 0.5, here: dict[str, str] = HERE, **digests: str) -> Verdict:
    reference = Reference(machine=HERE, tolerances={"results/last_*:gain.*": 0.1})
    before = taken(root, 0.5)
    return compare(reference, before, taken(root, value, **digests), lock(**digests), here)


def test_the_same_bits_are_identical_anywhere(tmp_path: Path) -> None:
    for here in (HERE, {"processor": "other"}):
        one = verdict(tmp_path, here=here)
        assert one.good
        assert list(one.lines())[-1] == "identical: all 3 outputs have the bits of the reference"


def test_other_bits_on_the_same_machine_are_named_where_they_began(tmp_path: Path) -> None:
    one = verdict(tmp_path, mid="m1", metrics="n1")
    assert not one.good
    assert list(one.lines())[:2] == ["differs first: first: mid; from the same inputs", "downstream: last"]
    two = verdict(tmp_path, mid="m1", metrics="n1", aside="a1")
    assert {each.stage for each in two.differences if each.first} == {"first", "aside"}


@pytest.mark.parametrize(("change", "named"), [({"code": "c1"}, "src/code"), ({"rate": "fast"}, "train.rate")])
def test_what_else_a_stage_read_is_named(tmp_path: Path, change: dict[str, str], named: str) -> None:
    one = verdict(tmp_path, mid="m1", **change)
    assert f"differs first: first: mid; these of its inputs differ: {named}" in list(one.lines())
    assert verdict(tmp_path, **change).good  # other code that gives the same bits


def test_elsewhere_metrics_may_differ_by_their_tolerance(tmp_path: Path) -> None:
    other = {"processor": "two"}
    near, far, none = (verdict(tmp_path, value, other, mid="m1", metrics="n1") for value in (0.59, 0.61, float("nan")))
    assert near.good
    assert "another kind of machine: processor two (one)" in list(near.lines())
    assert "every metric is within its tolerance" in list(near.lines())
    assert not far.good
    assert "beyond its tolerance: results/last_metrics.json:gain.mean 0.61 (reference 0.5 ± 0.1)" in list(far.lines())
    assert not none.good


def test_a_stage_that_is_gone_or_new_is_a_difference(tmp_path: Path) -> None:
    before = taken(tmp_path, 0.5)
    without = {name: stage for name, stage in lock().items() if name != "aside"}
    reference = Reference(machine=HERE, tolerances={})
    for expected, found, stages in ((before, snapshot(tmp_path, without), without), (snapshot(tmp_path, without), before, lock())):
        assert [one.stage for one in compare(reference, expected, found, stages, HERE).differences] == ["aside"]


@pytest.fixture
def pipeline(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Run, and committed with what it gave; to be changed."""

    def make(folder: Path) -> None:
        (run := Pipeline(folder)).repro()
        commit(run)

    made = once(tmp_path_factory, "committed_pipeline", make)
    mine = Pipeline(tmp_path)
    shutil.copytree(made / "work", mine.root, symlinks=True, dirs_exist_ok=True)
    return mine


@pytest.fixture
def with_reference(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The same, with its reference, which `taskonomy check --write` writes."""

    def make(folder: Path) -> None:
        pipeline.run("taskonomy", "check", "--write")
        shutil.copytree(pipeline.root / "profiles", folder / "profiles")

    made = once(tmp_path_factory, "reference_of_pipeline", make)
    shutil.copytree(made / "profiles", pipeline.root / "profiles", dirs_exist_ok=True)
    pipeline.events()
    return pipeline


def commit(pipeline: Pipeline) -> None:
    for arguments in (("add", "-A"), ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "one")):
        subprocess.run(("git", *arguments), cwd=pipeline.root, check=True)


def test_a_clean_clone_is_run_from_nothing(pipeline: Pipeline) -> None:
    assert "profiles/references/params.yaml: no such file; taskonomy check --write makes it" in pipeline.run("taskonomy", "check", status=1)
    pipeline.run("taskonomy", "check", "--write")
    written = yaml.safe_load((pipeline.root / "profiles/references/params.yaml").read_text())
    assert written["machine"] == machine()
    pipeline.events()
    assert "identical: all 11 outputs" in pipeline.run("taskonomy", "check")
    assert len(pipeline.ran()) == 10  # though DVC's cache here knows every result
    (pipeline.root / "step.sh").write_text("exit 1\n")
    assert "not committed, so not checked: step.sh" in pipeline.run("taskonomy", "check")


def test_what_is_not_the_same_twice_is_found(with_reference: Pipeline) -> None:
    with_reference.hook("left", 'echo $$ > noise; set -- "$@" noise\n')
    said = with_reference.run("taskonomy", "check", status=1)
    assert "differs first: left: left.txt; from the same inputs" in said
    assert "downstream: join, part (3), gather, show (2)" in said


def test_a_run_that_fails_is_one_line(with_reference: Pipeline) -> None:
    with_reference.hook("right", "exit 3\n")
    assert "error: taskonomy repro --jobs 2 ended with status 1; what it said stands above" in with_reference.run(
        "taskonomy", "check", "-j", "2", status=1
    )


def test_who_ends_a_check_ends_what_it_runs(tmp_path):
    waits = f"import os, pathlib, time; pathlib.Path('unseen').write_text(str(os.getpid())); os.rename('unseen', 'pid'); time.sleep({10 * HANG})"
    (tmp_path / "waits.py").write_text(waits)
    outer = "from pathlib import Path; from taskonomy.pipeline.verify import run_in_clone; run_in_clone(Path('.'), 'waits')"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    check = subprocess.Popen((sys.executable, "-c", outer), cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    until(lambda: (tmp_path / "pid").is_file() or check.poll() is not None)
    check.send_signal(signal.SIGTERM)
    _out, said = check.communicate(timeout=HANG)
    assert f"waits  ended with status {-signal.SIGTERM}" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
