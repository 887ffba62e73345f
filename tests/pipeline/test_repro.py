"""`taskonomy repro` against `dvc repro`: the same bytes, side by side."""

import csv
from pathlib import Path

import pytest
import yaml
from small_pipeline import NEEDS, STAGES, Pipeline, by_dvc
from waiting import HANG, until


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.fixture
def finished(pipeline: Pipeline) -> Pipeline:
    """`dvc repro` has run it."""
    pipeline.fill(by_dvc())
    return pipeline


def test_bytes_are_those_of_dvc_repro_whatever_the_order_in_which_stages_end(pipeline: Pipeline) -> None:
    lock = pipeline.root / "dvc.lock"
    pipeline.hook("left", pipeline.wait_for("  right:", lock))  # DVC visits left first
    pipeline.hook("part-1", pipeline.wait_for("  part@3:", lock))
    pipeline.hook("part-2", pipeline.wait_for("  part@1:", lock))
    pipeline.hook("show-one", pipeline.wait_for("  show@two:", lock))
    pipeline.repro("-j", "3")
    events = pipeline.events()
    assert [event for event in events if event.startswith("end part")] == ["end part-3", "end part-1", "end part-2"]
    assert pipeline.files() == by_dvc()
    for name, needs in NEEDS.items():
        assert all(events.index(f"end {need}") < events.index(f"start {name}") for need in needs)
    assert "everything" not in pipeline.dvc()
    assert pipeline.events() == []  # DVC, too, finds nothing to do


def test_stages_that_do_not_need_each_other_run_at_the_same_time(pipeline: Pipeline) -> None:
    pipeline.hook("left", pipeline.wait_for("start right"))
    pipeline.hook("right", pipeline.wait_for("start left"))
    pipeline.repro("-j", "2", "left", "right")
    assert sorted(pipeline.ran()) == ["left", "right", "start"]


def test_one_job_is_one_stage_at_a_time(pipeline: Pipeline) -> None:
    pipeline.repro("-j", "1")
    events = pipeline.events()
    assert [event.split()[0] for event in events] == ["start", "end"] * len(STAGES)
    assert all(start.split()[1] == end.split()[1] for start, end in zip(events[::2], events[1::2], strict=True))
    assert pipeline.files() == by_dvc()


def test_unchanged_stages_are_skipped_and_known_results_come_out_of_the_cache(finished: Pipeline) -> None:
    params = finished.root / "params.yaml"
    assert "10 stages" in (said := finished.repro())
    assert "0 ran, 0 from the cache, 10 unchanged" in said
    params.write_text("k: 2\n")
    assert "10 ran" in finished.repro("-j", "2")
    assert len(finished.ran()) == len(STAGES)
    params.write_text("k: 1\n")
    (finished.root / "join.txt").unlink()
    assert "0 ran, 10 from the cache" in finished.repro("-j", "2", "--times", "../times.csv")
    assert finished.events() == []
    rows = list(csv.DictReader((finished.root.parent / "times.csv").read_text().splitlines()))
    assert {row["stage"] for row in rows} >= {"start", "part@2", "show@one"}
    assert {row["cached"] for row in rows} == {"true"}
    workspace = {path: text for path, text in finished.files().items() if not path.startswith(".dvc")}
    assert workspace == {path: text for path, text in by_dvc().items() if not path.startswith(".dvc")}


def test_what_follows_a_stage_with_the_same_result_does_not_run(finished: Pipeline) -> None:
    script = finished.root / "dvc.yaml"
    script.write_text(script.read_text().replace("sh step.sh left left.txt", "sh  step.sh left left.txt"))
    said = finished.repro("-j", "2")
    assert finished.ran() == ["left"]
    assert "1 ran, 0 from the cache, 9 unchanged" in said
    assert "stage" in said
    assert "sh  step.sh" in yaml.safe_load((finished.root / "dvc.lock").read_text())["stages"]["left"]["cmd"]


def test_dry_says_what_would_run_and_changes_nothing(finished: Pipeline) -> None:
    (finished.root / "all.txt").write_text("other\n")
    before = finished.files()
    said = finished.repro("--dry").splitlines()
    assert [line.split(maxsplit=1) for line in said[:-1]] == [
        ["gather", "changed"],
        ["show@one", "after gather"],
        ["show@two", "after gather"],
    ]
    assert said[-1] == "10 stages: 3 may run, 7 unchanged"
    assert finished.events() == []
    assert finished.files() == before


def test_downstream_is_what_needs_the_target(finished: Pipeline) -> None:
    finished.repro("--force", "--downstream", "part@2", "-j", "2")
    assert sorted(finished.ran()) == ["gather", "part-2", "show-one", "show-two"]


@pytest.mark.parametrize("name", ["right", "part-2"])
def test_a_failure_stops_what_needs_it_and_nothing_else(pipeline: Pipeline, name: str) -> None:
    pipeline.hook(name, "echo first; echo; echo 'no such thing' >&2; exit 3")
    said = pipeline.repro("-j", "2", status=1)
    after = {"right": STAGES - {"start", "left"}, "part-2": {"part-2", "gather", "show-one", "show-two"}}[name]
    assert set(pipeline.ran()) == STAGES - after
    stage = name.replace("-", "@")
    failed = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert failed == [f"failed: {stage}: no such thing (.dvc/tmp/taskonomy-logs/{stage}.log)"]
    assert f"1 failed, {len(after) - 1} not run" in said
    assert "first\n" in (pipeline.root / f".dvc/tmp/taskonomy-logs/{stage}.log").read_text()
    assert f"{stage}:" not in (pipeline.root / "dvc.lock").read_text()
    (pipeline.hooks / name).unlink()
    pipeline.repro("-j", "2")
    assert set(pipeline.ran()) == after
    assert pipeline.files() == by_dvc()


def test_locks_of_dvc_are_honoured(pipeline: Pipeline) -> None:
    go = pipeline.root.parent / "go"
    go.touch()
    pipeline.hook("left", pipeline.wait_for("go", go))
    run = pipeline.begin("taskonomy", "repro", "-j", "1", "left")
    try:
        until(lambda: "start left" in pipeline.events(clear=False) or run.poll() is not None)
        assert run.poll() is None
        assert "busy" in pipeline.run("dvc", "repro", "-s", "left", status=255)
        assert "another run" in pipeline.repro("left", status=1)
    finally:
        go.write_text("go")
        out, err = run.communicate(timeout=HANG)
    assert run.returncode == 0, out + err
    assert pipeline.ran() == ["start", "left"]
