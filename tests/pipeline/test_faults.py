"""A run that is killed, a disk that is full, files that are damaged: the next run repairs it or says what to do, and never gives a wrong result."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from small_run import change, run
from waiting import until

pytestmark = pytest.mark.long  # whole pipelines
DVC, TASKONOMY = ("dvc", "repro"), ("taskonomy", "repro", "-j", "2")

# Loaded by every Python process of a run: the process of one stage stops for good when it renames its so manieth finished file or folder.
STOP = """\
import os, sys, time

left = int(os.environ["STOP_AT"])


def stop(event, arguments):
    global left
    if event == "os.rename" and str(arguments[0]).endswith(".unfinished") and os.environ["STOP_STAGE"] in " ".join((sys.argv[0], *sys.orig_argv)):
        left -= 1
        if not left:
            open(os.environ["STOP_HERE"], "w").close()
            while True:
                time.sleep(60)


sys.addaudithook(stop)
"""


def outputs(folder: Path) -> dict[str, str]:
    """What dvc.lock says that every stage has made."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def sound(folder: Path, finished: Path) -> None:
    """Every output is there, is what dvc.lock says, and has the bits of a run that nothing happened to; nothing is left behind."""
    assert outputs(folder) == outputs(finished)
    (folder / ".dvc/tmp/btime").unlink(missing_ok=True)
    shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)  # what DVC remembers of files: look at them again
    assert run(folder, "dvc", "status").strip().endswith("up to date.")
    for path in (
        "results/measured/affinities.csv",
        "results/measured/policy.json",
        "reports/measured/index.html",
        "models/normal/network.safetensors",
    ):
        assert (folder / path).read_bytes() == (finished / path).read_bytes()
    assert [path for path in folder.rglob("*.unfinished") if ".dvc" not in path.parts] == []


def touch(folder: Path, stage: str) -> None:
    """Make a stage run again, to the same result."""
    with open(folder / "stages" / f"{stage}.py", "a") as file:
        file.write("# the same\n")


def killed(folder: Path, stage: str, at: int) -> None:
    """Start a run and kill all of it as one process of a stage is about to put its output in place."""
    hook, here = folder.parent / "hook", folder.parent / "here"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(STOP)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{hook}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "STOP_STAGE": f"stages/{stage}.py",
        "STOP_AT": str(at),
        "STOP_HERE": str(here),
    }
    with open(folder.parent / "log", "w") as log:
        program = subprocess.Popen(
            ("taskonomy", "repro", "-j", "2"), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    until(lambda: here.exists() or program.poll() is not None)
    assert program.poll() is None, (folder.parent / "log").read_text()
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == program.pid:
                process.send_signal(signal.SIGKILL)
    program.wait()
    shutil.rmtree(hook)


# Which of its renames a stage is killed at: of every way in which stages write (folders of many files, units and networks, tables, pages) one.
KILLED = {"world": 1, "prepare": 1, "train": 2, "transfer": 3, "normalize": 3, "policy": 2, "export": 1, "report": 1}


@pytest.mark.parametrize("stage", [stage if stage == "policy" else pytest.param(stage, marks=pytest.mark.long) for stage in KILLED])
def test_a_killed_run_is_taken_up(finished: Path, copied: Path, stage: str) -> None:
    touch(copied, stage)
    if stage in ("train", "transfer"):
        shutil.rmtree(copied / ".dvc/units")  # so that it trains
    killed(copied, stage, KILLED[stage])
    if len(stage) % 2:
        run(copied, "taskonomy", "repro", "-j", "2")
    else:  # DVC would wait for the dead process, and says what to do
        printed = run(copied, "sh", "-c", "dvc repro || true")
        if "is busy" in printed:
            assert f"you can manually remove '{copied}/.dvc/tmp/rwlock' and try again" in printed
            (copied / ".dvc/tmp/rwlock").unlink()
            run(copied, "dvc", "repro")
    sound(copied, finished)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=256m", "none", str(place)), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk has to be mounted, which needs root: {done.stderr.strip()}")
    yield place
    subprocess.run(("umount", "--lazy", str(place)), check=True)


def fill(disk: Path, left: int) -> None:
    """Leave so many bytes."""
    free = shutil.disk_usage(disk).free
    with open(disk / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - left)


@pytest.mark.parametrize(("stage", "left"), [("prepare", 64 * 1024), pytest.param("transfer", 512 * 1024, marks=pytest.mark.long)])
def test_a_full_disk_is_one_line_and_loses_nothing(finished: Path, small_disk: Path, stage: str, left: int) -> None:
    folder = Path(shutil.copytree(finished, small_disk / "project", symlinks=True))
    touch(folder, stage)
    if stage == "transfer":
        shutil.rmtree(folder / ".dvc/units")
    fill(small_disk, left)
    printed = run(folder, "taskonomy", "repro", "-j", "2", status=1)
    assert "No space left on device" in printed or "make room" in printed
    assert "Traceback" not in printed
    (small_disk / "filler").unlink()
    run(folder, "taskonomy", "repro", "-j", "2")
    sound(folder, finished)


def cached(folder: Path, path: str) -> Path:
    digest = outputs(folder)[path]
    return folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("results/measured/affinities.csv", TASKONOMY),
        pytest.param("models/normal", DVC, marks=pytest.mark.long),
        pytest.param("data/prepared", TASKONOMY, marks=pytest.mark.long),
    ],
)
def test_a_damaged_file_in_the_cache_is_not_taken_for_the_result(finished: Path, copied: Path, path: str, command: tuple[str, ...]) -> None:
    damaged = cached(copied, path)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    shutil.rmtree(copied / path) if (copied / path).is_dir() else (copied / path).unlink()
    run(copied, *command)
    sound(copied, finished)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("data/codes/normal", DVC),
        ("data/transfers/normal/test_policy.npz", TASKONOMY),
        pytest.param("results/measured/policy.json", TASKONOMY, marks=pytest.mark.long),
        pytest.param("reports", DVC, marks=pytest.mark.long),
    ],
)
def test_an_output_that_is_gone_comes_back(finished: Path, copied: Path, path: str, command: tuple[str, ...]) -> None:
    shutil.rmtree(copied / path) if (copied / path).is_dir() else (copied / path).unlink()
    run(copied, *command)
    sound(copied, finished)


def test_a_changed_output_is_not_taken_for_the_result(finished: Path, copied: Path) -> None:
    path = copied / "results/measured/affinities.csv"
    text = path.read_text()
    path.unlink()  # it may be a link into the cache
    path.write_text(text.replace("0.", "0.9", 1))
    run(copied, "taskonomy", "repro")
    sound(copied, finished)


@pytest.mark.parametrize("share", [0.0, 0.999])
def test_a_torn_lock_file_is_one_line_or_repaired(finished: Path, copied: Path, share: float) -> None:
    path = copied / "dvc.lock"
    text = path.read_text()
    path.write_text(text[: int(len(text) * share)])
    for command in ("taskonomy repro -j 2", "dvc repro"):
        printed = run(copied, "sh", "-c", f"{command} || true")
        assert "Traceback" not in printed
    if not readable(copied):
        assert "dvc.lock' validation failed" in printed
        run(copied, "git", "checkout", "dvc.lock")
        run(copied, "taskonomy", "repro")
    sound(copied, finished)


def readable(folder: Path) -> bool:
    """Whether the file can be read again."""
    try:
        return outputs(folder).keys() != set()
    except (yaml.YAMLError, TypeError, KeyError):
        return False


@pytest.mark.long
def test_what_a_killed_run_left_behind_is_no_change(finished: Path, copied: Path) -> None:
    (copied / "data/codes/.normal.1.unfinished").mkdir()
    (copied / "data/codes/.normal.1.unfinished/image.npy").write_bytes(b"half")
    (copied / "models/.normal.1.unfinished").write_bytes(b"half")
    printed = run(copied, "taskonomy", "repro")
    assert " 0 ran" in printed
    change(copied, "policy", "budget", 4)
    run(copied, "taskonomy", "repro")
