"""A run that is stopped leaves nothing running, and a workspace from which both programs go on."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from small_pipeline import STAGES, Pipeline, by_dvc, stop, until


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def under_way(pipeline: Pipeline, hook: str) -> "subprocess.Popen[str]":
    """A run in which right is done and left has come to its hook."""
    pipeline.hook("left", pipeline.wait_for("  right:", pipeline.root / "dvc.lock") + hook)
    run = pipeline.begin("taskonomy", "repro", "-j", "2")
    until(lambda: (pipeline.root.parent / "here").exists() or run.poll() is not None)
    assert run.poll() is None, run.communicate()
    return run


SLEEP = "touch ../here; sleep 300 & sleep 300"  # the first does not hear SIGINT: it is in the shell's background


@pytest.mark.parametrize(("number", "goes_on"), [(signal.SIGINT, "taskonomy"), (signal.SIGTERM, "dvc")])
def test_both_go_on_from_where_a_run_was_stopped(pipeline: Pipeline, number: signal.Signals, goes_on: str) -> None:
    status, said = stop(under_way(pipeline, SLEEP), number)
    assert status == 130, said
    assert "stopped   left" in said
    assert pipeline.processes() == []
    assert sorted(pipeline.ran()) == ["right", "start"]
    (pipeline.hooks / "left").unlink()
    pipeline.run(goes_on, "repro")
    assert set(pipeline.ran()) == STAGES - {"start", "right"}
    now = pipeline.files()
    assert now.keys() == by_dvc().keys()
    assert yaml.safe_load(now["dvc.lock"]) == yaml.safe_load(by_dvc()["dvc.lock"])
    if goes_on == "taskonomy":  # DVC would append left after right, as we were stopped in between
        assert now == by_dvc()


def test_a_stage_that_does_not_listen_ends_at_the_second_signal(pipeline: Pipeline) -> None:
    run = under_way(pipeline, "trap '' INT; touch ../here; while :; do sleep 0.1; done")
    run.send_signal(signal.SIGINT)
    time.sleep(1.5)  # a signal soon after another is taken for the same
    begun = time.monotonic()
    status, said = stop(run, signal.SIGINT)
    assert status == 130, said
    assert time.monotonic() - begun < 3  # without, it has 10 s
    assert pipeline.processes() == []


def test_the_stages_of_a_killed_run_end_and_dvc_goes_on(pipeline: Pipeline) -> None:
    run = under_way(pipeline, "touch ../here; exec sleep 300")
    status, _said = stop(run, signal.SIGKILL)
    assert status == -signal.SIGKILL
    until(lambda: not pipeline.processes(), seconds=20)
    pipeline.events()
    (pipeline.hooks / "left").unlink()
    pipeline.run("dvc", "repro")
    assert set(pipeline.ran()) == STAGES - {"start", "right"}
    assert yaml.safe_load(pipeline.files()["dvc.lock"]) == yaml.safe_load(by_dvc()["dvc.lock"])


def test_the_command_is_done_so_its_result_is_stored(pipeline: Pipeline) -> None:
    """A stage that ends well in spite of the signal counts."""
    run = under_way(pipeline, "trap 'echo heard' INT; touch ../here; while [ ! -e ../go ]; do sleep 0.1; done")
    run.send_signal(signal.SIGINT)
    log = pipeline.root / ".dvc" / "tmp" / "taskonomy-logs" / "left.log"
    until(lambda: "heard" in log.read_text())  # else the signal may come later, and end `cat`, which does not trap it
    (pipeline.root.parent / "go").touch()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    stages = set(yaml.safe_load((pipeline.root / "dvc.lock").read_text())["stages"])
    assert stages == {"start", "left", "right"}, out + err + log.read_text()
