"""The warm process: what it forks is what `python` would have been, but for the libraries that are there already."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import HANG, until

from taskonomy.pipeline.fork_server.daemon import python

THREE = ["python one.py", "python two.py", "python three.py"]
SAYS = """\
import json, os, sys
sys.stdout.write(json.dumps({
    "arguments": sys.argv, "original": sys.orig_argv[1:], "folder": os.getcwd(), "group": os.getpgid(0), "name": __name__,
    "file": __file__, "first": sys.path[0], "mine": os.environ.get("MINE"), "warm": "pandas" in sys.modules,
    "own": [name for name in sys.modules if name.startswith("taskonomy")],
}))
"""


@pytest.fixture(scope="module")
def listening() -> Iterator[None]:
    """The process listens."""
    with python(THREE):
        folder = Path(os.environ["PATH"].split(os.pathsep)[0])
        until((folder / "socket").exists)
        yield
    assert not folder.exists()


@pytest.fixture
def warm(listening: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begin(*command: str, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, process_group=0, **options)


def said(*command: str, **options: object) -> dict[str, object]:
    with begin(*command, **options) as process:
        out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, err
    return {"process": process.pid, **json.loads(out)}


def test_a_stage_is_what_python_makes_of_it(warm: None, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/says.py").write_text(SAYS)
    command, options = ("in/says.py", "a b", "--c"), {"env": os.environ | {"MINE": "x\ny"}}
    by_warm, by_python = said("python", *command, **options), said(sys.executable, *command, **options)
    assert by_warm["group"] == by_warm["process"]
    assert by_python["group"] == by_python["process"]
    assert (by_warm.pop("warm"), by_python.pop("warm")) == (True, False)
    assert by_warm["own"] == []
    differ = {"process", "group"}
    assert {name: value for name, value in by_warm.items() if name not in differ} == {
        name: value for name, value in by_python.items() if name not in differ
    }


@pytest.mark.parametrize("variables", [{"OMP_NUM_THREADS": "3"}, {"PYTHONPATH": "/nowhere"}])
def test_what_wants_the_libraries_otherwise_is_not_taken(warm: None, tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "says.py").write_text(SAYS)
    assert said("python", "says.py", env=os.environ | variables)["warm"] is False


def test_what_is_no_file_is_not_taken(warm: None) -> None:
    with begin("python", "-c", "import sys; print('pandas' in sys.modules)") as process:
        assert process.communicate(timeout=HANG)[0] == "False\n"


@pytest.mark.parametrize(
    ("script", "status", "last"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("import sys; sys.exit('it is so')", 1, "it is so"),
        ("raise ValueError('no')", 1, "ValueError: no"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM, ""),
        ("import atexit, sys; atexit.register(print, 'end', file=sys.stderr)", 0, "end"),
    ],
)
def test_it_ends_as_it_ends(warm: None, tmp_path: Path, script: str, status: int, last: str) -> None:
    (tmp_path / "ends.py").write_text(script)
    with begin("python", "ends.py") as process:
        err = process.communicate(timeout=HANG)[1]
    assert process.returncode == status
    assert err.strip().splitlines()[-1:] == [last] * bool(last)


def test_a_signal_to_the_group_is_for_the_stage(warm: None, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        f"""
import os, sys, time

try:
    print("here", flush=True)
    time.sleep({10 * HANG})
except KeyboardInterrupt:
    print("heard", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    sys.exit(7)
"""
    )
    with begin("python", "waits.py") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "heard\n"
        (tmp_path / "go").touch()
        assert process.wait(HANG) == 7


WAITS = f"import os, time\nprint(os.getpid(), flush=True)\ntime.sleep({10 * HANG})\n"  # it does not end by itself while a test waits for its end


def waiting(process: "subprocess.Popen[str]") -> psutil.Process:
    assert process.stdout is not None
    return psutil.Process(int(process.stdout.readline()))


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_stage_for_which_nobody_waits_is_killed(warm: None, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    with begin("python", "waits.py") as process:
        stage = waiting(process)
        assert stage.pid != process.pid
        process.kill()
        until(lambda: ended(stage))


def test_when_the_warm_process_is_killed_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waits.py").write_text(WAITS)
    with python(THREE):
        folder = Path(os.environ["PATH"].split(os.pathsep)[0])
        until((folder / "socket").exists)
        with begin("python", "waits.py") as process:
            stage = waiting(process)
            parent = stage.parent()
            assert parent is not None
            parent.kill()
            assert "the process that runs the stages of this run was killed" in process.communicate(timeout=HANG)[1]
            assert process.returncode == 1
            until(lambda: ended(stage))


def test_few_stages_start_by_themselves() -> None:
    before = os.environ["PATH"]
    with python([*THREE[:2], "sh x.sh"]):
        assert os.environ["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}{before}"
    assert os.environ["PATH"] == before


def test_where_a_socket_cannot_be_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep := tmp_path / ("d" * 100)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    before = os.environ["PATH"]
    with python(THREE):
        assert os.environ["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}{before}"
    assert list(deep.iterdir()) == []


def test_before_it_listens_python_is_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "says.py").write_text(SAYS)
    with python(THREE):
        assert said("python", "says.py")["warm"] is False
