"""A run that is stopped leaves nothing running, and a workspace from which both programs go on."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest
import yaml
from small_pipeline import STAGES, Pipeline, by_dvc, stop
from waiting import HANG, until

from taskonomy.pipeline import scheduler


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def under_way(pipeline: Pipeline, hook: str, command: tuple[str, ...] = (), stderr: int | TextIO = subprocess.PIPE) -> "subprocess.Popen[str]":
    """A run in which right is done and left has come to its hook."""
    pipeline.hook("left", pipeline.wait_for("  right:", pipeline.root / "dvc.lock") + hook)
    run = pipeline.begin(*(command or ("taskonomy", "repro")), "-j", "2", stderr=stderr)
    until(lambda: (pipeline.root.parent / "here").exists() or run.poll() is not None)
    assert run.poll() is None, run.communicate()
    return run


FOREVER = f"{10 * HANG:.0f}"  # seconds: who waits for the end of what sleeps so long has failed before
SLEEP = f"touch ../here; sleep {FOREVER} & sleep {FOREVER}"  # the first does not hear SIGINT: it is in the shell's background


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


# A run in which no signal is taken for an echo of the one before, and a stage that is told to end has all the time it wants.
BY_SIGNALS_ALONE = """
from taskonomy.cli.main import main
from taskonomy.pipeline import scheduler

scheduler._ECHO, scheduler._PATIENCE = 0.0, float("inf")
main()
"""


def test_a_stage_that_does_not_listen_ends_at_the_second_signal(pipeline: Pipeline) -> None:
    told = pipeline.root.parent / "told"
    command = (sys.executable, "-c", BY_SIGNALS_ALONE, "repro")
    with told.open("w") as stderr:
        run = under_way(pipeline, "trap '' INT; touch ../here; while :; do sleep 0.1; done", command, stderr)
        run.send_signal(signal.SIGINT)
        until(lambda: "once more to kill" in told.read_text())
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=HANG)
    assert run.returncode == 130, told.read_text()
    assert pipeline.processes() == []


def test_a_stage_that_does_not_listen_is_ended_when_patience_is_over(pipeline: Pipeline) -> None:
    command = (sys.executable, "-c", BY_SIGNALS_ALONE.replace('float("inf")', "0.0"), "repro")
    status, said = stop(under_way(pipeline, "trap '' INT; touch ../here; while :; do sleep 0.1; done", command), signal.SIGINT)
    assert status == 130, said
    assert pipeline.processes() == []


@pytest.mark.parametrize(("echo", "counted"), [(0.0, 2), (1e9, 1)])
def test_a_signal_soon_after_another_is_taken_for_the_same(monkeypatch: pytest.MonkeyPatch, echo: float, counted: int) -> None:
    """A terminal and the programs in between may each pass on the same one."""
    monkeypatch.setattr(scheduler, "_ECHO", echo)
    run = object.__new__(scheduler.PipelineRun)  # signals alone are counted in it
    run.signals = 0
    with scheduler._signals(run):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert run.signals == counted


def test_the_stages_of_a_killed_run_end_and_dvc_goes_on(pipeline: Pipeline) -> None:
    run = under_way(pipeline, f"touch ../here; exec sleep {FOREVER}")
    status, _said = stop(run, signal.SIGKILL)
    assert status == -signal.SIGKILL
    until(lambda: not pipeline.processes())
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
    out, err = run.communicate(timeout=HANG)
    assert run.returncode == 130, out + err
    stages = set(yaml.safe_load((pipeline.root / "dvc.lock").read_text())["stages"])
    assert stages == {"start", "left", "right"}, out + err + log.read_text()
