"""A stage whose dependencies are edited while it runs fails in one line, and nothing is recorded; by plain `dvc repro`, too."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from small_pipeline import Pipeline
from waiting import HANG, until

from taskonomy.stage.declaration import DeclaredStage
from taskonomy.stage.snapshot import InputSnapshot, begin, forget_stale_bytecode

DVC, TASKONOMY = ("dvc", "repro"), ("taskonomy", "repro")
BOTH = pytest.mark.parametrize("command", [DVC, TASKONOMY], ids=["dvc", "taskonomy"])
DVC_YAML = """\
stages:
  step:
    cmd: python step.py out.txt
    deps: [step.py, code, data.txt, folder]
    params: [k, deep.value]
    outs: [out.txt]
    metrics: [metrics.json: {cache: false}]
"""
# Begins by reading all that it depends on but for one module, which it imports when the test lets it go on.
STEP = f"""\
from taskonomy.stage.guard import stage

import sys, time
from pathlib import Path
import yaml
sys.path.insert(0, "code")
import early
from taskonomy.atomic_io import write_text

def main():
    used = [yaml.safe_load(Path("params.yaml").read_text())["k"], Path("data.txt").read_text(), early.VALUE]
    used += [path.read_text() for path in sorted(Path("folder").rglob("*.txt"))]
    Path("../began").touch()
    end = time.monotonic() + {HANG}
    while not Path("../go").exists():
        if time.monotonic() > end:
            sys.exit("the test never let it go on")
        time.sleep(0.02)
    import late
    used.append(late.VALUE)
    write_text(Path("metrics.json"), "{{}}")
    write_text(Path("out.txt"), repr(used))

if __name__ == "__main__":
    with stage():
        main()
"""
FILES = {
    "dvc.yaml": DVC_YAML, "step.py": STEP, "code/early.py": "VALUE = 'early 1'\n", "code/late.py": "VALUE = 'late 1'\n", "data.txt": "data 1\n",
    "folder/a.txt": "a 1\n", "folder/below/b.txt": "b 1\n", "params.yaml": "k: 1\ndeep: {value: 1}\nother: 1\n", ".dvcignore": "__pycache__\n*.swp\n",
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
}  # fmt: skip


class Project:
    """One stage of Python in a folder of its own."""

    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "work"
        for path, text in FILES.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        subprocess.run(("git", "init", "-q"), cwd=self.root, check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "DVC_SITE_CACHE_DIR": str(base / "site")}

    def run(self, command: tuple[str, ...], meanwhile: Callable[[Path], object] = lambda _root: None) -> tuple[int, str]:
        """Run it, and do something when the stage has read what it reads; the exit status and both outputs."""
        for left in ("began", "go"):
            (self.base / left).unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=self.root, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        until(lambda: (self.base / "began").exists() or process.poll() is not None)
        meanwhile(self.root)
        (self.base / "go").touch()
        out, _err = process.communicate(timeout=HANG)
        return process.returncode, out

    def recorded(self) -> bool:
        """In dvc.lock, in the run cache, or as an output that somebody may take for good."""
        outs = any((self.root / name).exists() for name in ("dvc.lock", "out.txt", "metrics.json"))
        return outs or any(path.is_file() for path in (self.root / ".dvc/cache/runs").rglob("*"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def writes(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(text)


CHANGES = {
    "k of params.yaml": writes("params.yaml", "k: 2\ndeep: {value: 1}\nother: 1\n"),
    "deep.value of params.yaml": writes("params.yaml", "k: 1\ndeep: {}\nother: 1\n"),
    "data.txt": writes("data.txt", "data 2\n"),
    "folder/below/b.txt": writes("folder/below/b.txt", "b 2\n"),
    "folder/new.txt": writes("folder/new.txt", "new\n"),
    "folder/a.txt": lambda root: (root / "folder/a.txt").unlink(),
    "code/early.py": writes("code/early.py", "VALUE = 'early 2'\n"),
    "code/late.py": writes("code/late.py", "VALUE = 'late 2'\n"),
    "step.py": writes("step.py", STEP + "another = 1\n"),
}


@BOTH
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_edited_while_a_stage_runs_fails_it_and_nothing_is_recorded(project: Project, command: tuple[str, ...], name: str) -> None:
    status, printed = project.run(command, CHANGES[name])
    assert status != 0
    assert f"error: {name} changed while the stage ran; run it again" in printed
    assert "Traceback" not in printed
    assert not project.recorded()


@BOTH
def test_after_such_an_edit_the_next_run_uses_and_records_it(project: Project, command: tuple[str, ...]) -> None:
    project.run(command, CHANGES["k of params.yaml"])
    status, printed = project.run(command)
    assert status == 0, printed
    (entry,) = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"].values()
    assert entry["params"]["params.yaml"] == {"k": 2, "deep.value": 1}
    assert (project.root / "out.txt").read_text().startswith("[2, ")


def test_a_whole_dependency_that_is_gone_is_named(project: Project) -> None:
    status, printed = project.run(DVC, lambda root: shutil.rmtree(root / "folder"))
    assert status != 0
    assert "error: folder/a.txt, folder/below/b.txt changed while the stage ran; run it again" in printed
    assert not project.recorded()


def test_a_stage_that_fails_of_it_says_both_in_one_line(project: Project) -> None:
    status, printed = project.run(DVC, writes("code/late.py", "VALU = 2\n"))
    assert status != 0
    assert "error: code/late.py changed while the stage ran, which failed (AttributeError: module 'late' has no attribute 'VALUE'); run it" in printed
    assert "Traceback" not in printed


def other_things(root: Path) -> None:
    """Edits that change nothing of what the stage depends on."""
    for path in ("data.txt", "code/early.py", "folder/a.txt", "params.yaml"):
        text = (root / path).read_bytes()
        (root / path).unlink()
        (root / path).write_bytes(text)  # another file with the same bytes
    (root / "params.yaml").write_text("other: 2\ndeep:\n  value: 1\nk: 1 # the same\n")
    (root / "folder/.a.txt.swp").write_text("of an editor, and ignored by .dvcignore")
    (root / "folder/__pycache__").mkdir()
    (root / "elsewhere.txt").write_text("no dependency")


@BOTH
def test_what_is_touched_ignored_or_no_dependency_does_not_fail_a_stage(project: Project, command: tuple[str, ...]) -> None:
    status, printed = project.run(command, other_things)
    assert status == 0, printed
    assert (project.root / "out.txt").read_text() == repr([1, "data 1\n", "early 1", "a 1\n", "b 1\n", "late 1"])
    status, printed = project.run(("dvc", "status"))
    assert "up to date" in printed


def test_a_script_that_is_started_by_hand_does_as_before(project: Project) -> None:
    status, printed = project.run(("python", "step.py", "out.txt"), CHANGES["data.txt"])
    assert status == 0, printed
    assert "early 1" in (project.root / "out.txt").read_text()


def test_a_script_edited_before_it_could_look_is_noticed(project: Project) -> None:
    # The first thing that Python does after it has read a script is to run it: so the script edits itself.
    edits = "import pathlib\nme = pathlib.Path('step.py')\nme.write_text(me.read_text() + 'another = 1\\n')\n"
    (project.root / "step.py").write_text(edits + STEP)
    status, printed = project.run(DVC)
    assert status != 0
    assert "error: step.py changed while the stage ran; run it again" in printed
    assert not project.recorded()


def test_an_edit_between_the_end_of_a_command_and_dvcs_look_is_not_recorded_by_our_run(project: Project) -> None:
    path = project.root / "dvc.yaml"
    path.write_text(path.read_text().replace("python step.py out.txt", "python step.py out.txt && echo 'data 2' > data.txt"))
    status, printed = project.run(TASKONOMY)
    assert status == 1
    assert "data.txt changed while the stage ran; run it again" in printed
    assert not project.recorded()


def test_our_run_looks_after_commands_that_are_not_of_python_as_well(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.hook("start", "cat params.yaml > used; echo 'k: 2' > params.yaml\n")
    assert "failed: start: error: k of params.yaml changed while the stage ran; run it again" in pipeline.repro(status=1)
    assert not (pipeline.root / "start.txt").exists()
    assert "start:" not in ((pipeline.root / "dvc.lock").read_text() if (pipeline.root / "dvc.lock").exists() else "")
    pipeline.hook("start", "")
    pipeline.repro()
    assert (pipeline.root / "start.txt").read_text() == "k: 2\n"


# A project without code of its own

EDITS_ITS_CODE = """\
from taskonomy.stage.guard import stage
from pathlib import Path
import taskonomy
from taskonomy.atomic_io import write_text
with stage():
    write_text(Path("out.txt"), "made")
    if Path("edit").exists():
        path = Path(taskonomy.__file__).parent.joinpath("numeric/rng.py")
        path.write_text(path.read_text() + "another = 1\\n")
"""


def test_a_stage_of_a_project_fails_when_the_installed_code_changes_while_it_runs(tmp_path: Path) -> None:
    for part in ("src", "stages"):
        shutil.copytree(ROOT / part, tmp_path / "installed" / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "installed/stages/step.py").write_text(EDITS_ITS_CODE)
    project = Project(tmp_path)
    program = "python -c 'from taskonomy.cli.main import main; main()'"
    project.environment["PYTHONPATH"] = str(tmp_path / "installed/src")
    version = (sys.executable, "-c", "from taskonomy.project.code_version import code_version; print(code_version())")
    found = subprocess.run(version, env=project.environment, capture_output=True, text=True, check=True).stdout
    (project.root / "params.yaml").write_text(f"version: {found}")
    (project.root / "dvc.yaml").write_text(
        f"stages:\n  step:\n    cmd: {program} stage step\n    params: [version]\n    deps: [data.txt]\n    outs: [out.txt]\n"
    )
    (project.root / "edit").touch()
    status, printed = project.run(DVC)
    assert status != 0
    assert "src/taskonomy/numeric/rng.py changed while the stage ran; run it again" in printed
    assert not project.recorded()
    (project.root / "edit").unlink()
    status, printed = project.run(DVC)
    assert "version is" in printed  # that of the code that was edited is another one
    seeds = tmp_path / "installed/src/taskonomy/numeric/rng.py"
    seeds.write_text(seeds.read_text().removesuffix("another = 1\n"))
    status, printed = project.run(DVC)
    assert status == 0, printed


def test_what_taskonomy_stage_has_loaded_before_it_looks_decides_no_result() -> None:
    says = (
        "import sys, taskonomy.project.code_version as code\n"
        "code.run_stage = lambda *_: print(*sorted(name for name in sys.modules if name.startswith('taskonomy')))\n"
        "sys.argv = ['taskonomy', 'stage', 'x']\n"
        "from taskonomy.cli.main import main\nmain()\n"
    )
    loaded = set(subprocess.run((sys.executable, "-c", says), capture_output=True, text=True, check=True).stdout.split())
    none = {
        "taskonomy",
        "taskonomy.cli.main",
        "taskonomy.errors",
        "taskonomy.project",
        "taskonomy.project.code_version",
        "taskonomy.stage",
        "taskonomy.stage.snapshot",
        "taskonomy.stage.declaration",
    }
    assert {name for name in loaded if not name.startswith("taskonomy.cli")} - none == set()


# What is noted


def seen(*paths: Path) -> InputSnapshot:
    return InputSnapshot.now(DeclaredStage(tuple(map(str, paths)), {}, ()))


def test_an_edit_that_time_size_and_inode_do_not_tell_is_noticed_if_the_file_was_touched_just_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1" * (2 << 20))
    before, stat = seen(path), path.stat()
    with open(path, "r+b") as file:
        file.write(b"2")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as the clock of a file system that ticks too slowly would leave it
    assert before.changed() == [os.path.relpath(path)]


def test_a_large_file_that_is_touched_counts_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1" * (2 << 20))
    os.utime(path, (1, 1))
    before = seen(path)
    os.utime(path, (2, 2))
    assert before.changed() == [os.path.relpath(path)]


def test_a_link_counts_for_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "real")
    (tmp_path / "folder/to_nothing").symlink_to(tmp_path / "nothing")
    before = seen(tmp_path / "folder")
    assert before.changed() == []
    (tmp_path / "real").write_text("2")
    assert before.changed() == [os.path.relpath(tmp_path / "folder/link")]


def test_compiled_code_of_an_earlier_source_is_forgotten(tmp_path: Path) -> None:
    # Python itself takes it for that of the second source, which has the size and the second of the first.
    source, moment = tmp_path / "value.py", int(time.time()) - 100
    run = (sys.executable, "-c", "import value; print(value.VALUE)")
    for number in (1, 2):
        source.write_text(f"VALUE = {number}\n")
        os.utime(source, ns=(0, moment * 10**9 + number * 10**8))
        if number == 1:
            subprocess.run(run, cwd=tmp_path, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
            (compiled,) = tmp_path.rglob("*.pyc")
            os.utime(compiled, ns=(0, moment * 10**9 + 15 * 10**7))
    assert subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout == "1\n"
    forget_stale_bytecode(seen(tmp_path))
    assert subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout == "2\n"


def test_nothing_is_put_in_its_place_by_this_process_or_its_helpers_once_something_has_changed(tmp_path: Path) -> None:
    from taskonomy.atomic_io import resumable_folder, whole_folder, write_text
    from taskonomy.errors import TaskonomyError
    from taskonomy.machine.cores import on_every_core
    from taskonomy.store.store import Store

    (tmp_path / "code.py").write_text("1")
    begin(seen(tmp_path / "code.py"))
    try:
        list(on_every_core(_write, [tmp_path / "first", tmp_path / "second"], 2, long=True))
        (tmp_path / "code.py").write_text("22")
        with pytest.raises(TaskonomyError, match=r"code\.py changed while the stage ran; run it again"):
            write_text(tmp_path / "a", "x")
        for folder in (whole_folder(tmp_path / "b"), resumable_folder(tmp_path / "c", "key")):
            with pytest.raises(TaskonomyError, match="changed"), folder as place:
                write_text(place / "x", "x")
        with pytest.raises(TaskonomyError, match="changed"):
            Store(tmp_path / "units").write("0" * 32, {}, {})
        with pytest.raises(TaskonomyError, match="changed"):
            list(on_every_core(_write, [tmp_path / str(number) for number in range(4)], 2, long=True))
    finally:
        begin(None)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"first", "second"} <= names
    assert not names & {"a", "b", "c", "0", "1", "2", "3"}
    assert not list(tmp_path.rglob("*.unit"))


def _write(path: Path) -> None:
    from taskonomy.atomic_io import write_text

    write_text(path, "x")
