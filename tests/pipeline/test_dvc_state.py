"""What DVC remembers of files lies in the project, where others cannot write, whoever calls DVC and wherever."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import HANG

from taskonomy.pipeline.dvc_state import keep_state_in
from taskonomy.project.init import init

DVC_YAML = """\
stages:
  copy:
    cmd: cat params.yaml > out.txt
    params: [k]
    outs: [out.txt]
"""


def run(folder: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_SITE_CACHE_DIR"}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment |= {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _where_dvc_itself_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)


def make(root: Path) -> Path:
    (root / "below").mkdir(parents=True)
    (root / "below/a").touch()
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text("k: 1\n")
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    keep_state_in(root / ".dvc")
    run(root, "taskonomy", "repro")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "start")
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """To be changed."""
    return make(tmp_path / "work")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for tests that change neither its files nor where its state lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_SITE_CACHE_DIR", raising=False)
        return make(tmp_path_factory.mktemp("known") / "work")


def state_of(folder: Path) -> Path:
    """Where DVC, called there, says that it is."""
    (line,) = (line for line in run(folder, "dvc", "doctor").splitlines() if "site_cache_dir" in line)
    return Path(line.partition(": ")[2])


def closed(state: Path) -> bool:
    """Nobody else can put something into it, or into its place."""
    return not any(folder.stat().st_mode & stat.S_IWOTH for folder in (state, state.parent, state.parent.parent, state.parent.parent.parent))


def test_it_lies_in_the_project_and_is_closed_to_others_wherever_dvc_is_called(known: Path) -> None:
    state = state_of(known)
    assert state.parent == known / ".dvc/state/repo"
    assert state_of(known / "below") == state
    assert closed(state)
    assert run(known, "git", "status", "--porcelain") == ""


def test_it_is_closed_even_where_dvc_has_made_the_folder_itself(project: Path) -> None:
    shutil.rmtree(project / ".dvc/state")
    assert not closed(state_of(project))  # what DVC does, and why the folder comes with a clone
    run(project, "taskonomy", "repro", "--force")
    assert closed(state_of(project))


def test_a_temporary_workspace_of_dvc_uses_that_of_its_project(known: Path) -> None:
    before = {path.name for path in (known / ".dvc/state/repo").iterdir()}
    assert "Ran experiment" in run(known, "dvc", "exp", "run", "--temp", "-n", "two", "-S", "k=2")
    after = {path.name for path in (known / ".dvc/state/repo").iterdir()}
    assert len(after - before) == 1


def test_a_copy_or_a_clone_has_its_own_from_its_first_run_on(known: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(known, tmp_path / "copy", symlinks=True))
    run(tmp_path, "git", "clone", "-q", str(known), "clone")
    for other in (copy, tmp_path / "clone"):
        run(other, "taskonomy", "repro")
        assert state_of(other).parent == other / ".dvc/state/repo"
        assert closed(state_of(other))


def test_who_wants_it_elsewhere_has_it_there(project: Path, tmp_path: Path) -> None:
    run(project, "dvc", "config", "--local", "core.site_cache_dir", str(tmp_path / "mine"))
    run(project, "taskonomy", "repro", "--force")
    assert state_of(project).parent == tmp_path / "mine/repo"


def test_a_new_project_has_it_from_the_start(tmp_path: Path) -> None:
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "os.mkdir" else None)
    init(tmp_path / "project")
    assert not [path for path in opened if path.startswith("/var/tmp/dvc")]
    assert state_of(tmp_path / "project").parent == tmp_path / "project/.dvc/state/repo"
    assert closed(state_of(tmp_path / "project"))
    assert run(tmp_path / "project", "git", "status", "--porcelain") == ""
