"""A run that cannot succeed says so in one line before any stage starts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from waiting import HANG

from taskonomy.errors import TaskonomyError
from taskonomy.project.code_version import code_version
from taskonomy.project.preconditions import check_parameters, check_targets

PIPELINE = ROOT / "dvc.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """Parameters with one value that no stage accepts."""
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"^  budget: 8$", "  budget: -1", (ROOT / "params.yaml").read_text(), flags=re.MULTILINE))
    return path


def pipeline(folder: Path, **commands: str) -> Path:
    path = folder / "dvc.yaml"
    path.write_text(yaml.safe_dump({"stages": {name: {"cmd": command} for name, command in commands.items()}}))
    return path


def test_a_bad_parameter_is_said_once_and_no_stage_starts(params: Path) -> None:
    """By the command itself; the folder is a project, but nothing of DVC has to be read to know."""
    (params.parent / ".dvc").mkdir()
    shutil.copy(PIPELINE, params.parent)
    done = subprocess.run(
        [Path(sys.executable).with_name("taskonomy"), "repro"], cwd=params.parent, capture_output=True, text=True, timeout=HANG, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: params.yaml: policy.budget must be greater than or equal to 0 (is -1)\n"
    assert not (params.parent / ".dvc/tmp").exists()


def test_a_pipeline_of_other_programs_has_parameters_of_its_own(params: Path) -> None:
    for command in ("sh step.sh params.yaml", "python stages/mine.py", "taskonomy stage mine", "python train.py"):
        check_parameters(pipeline(params.parent, one=command), params)
    for command in ("python stages/train.py --card x", "taskonomy stage train --card x"):
        with pytest.raises(TaskonomyError, match=r"params.yaml: (policy.budget must|version is None)"):
            check_parameters(pipeline(params.parent, one="echo", two=command), params)
    (params.parent / "dvc.yaml").write_text("stages:\n  train:\n    matrix: {task: [a]}\n    cmd: >-\n      python stages/train.py\n      --card x\n")
    with pytest.raises(TaskonomyError, match=r"policy.budget"):
        check_parameters(params.parent / "dvc.yaml", params)


def test_a_project_of_other_code_is_refused_for_that_and_not_for_keys_that_its_code_may_know(params: Path) -> None:
    path = pipeline(params.parent, train="taskonomy stage train")
    text = params.read_text()
    params.write_text(f"version: 0.0.1+0\n{text}")
    with pytest.raises(TaskonomyError, match=r"version is 0\.0\.1\+0, that of the installed code"):
        check_parameters(path, params)
    params.write_text(f"version: {code_version()}\n{text}")
    with pytest.raises(TaskonomyError, match=r"policy\.budget must"):
        check_parameters(path, params)


def test_stages_groups_outputs_and_files_are_targets() -> None:
    stages, paths = ["train", "train@normal", "policy@measured"], ["data/codes", "predictors", "results", "other/dvc.yaml", "dvc.yaml:train"]
    check_targets([*stages, *paths], PIPELINE)


def test_a_name_that_is_no_target_is_refused_with_the_one_that_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given, meant in (("trian", "train"), ("polcy@measured", "policy")):
        with pytest.raises(TaskonomyError, match=rf"^stage: unknown '{given}'.*{meant}"):
            check_targets(["train", given], PIPELINE)
    (tmp_path / "trian").touch()
    check_targets(["trian"], PIPELINE)  # a file: DVC may know it
    check_targets(["trian", "anything"], tmp_path / "nowhere.yaml")  # DVC says that there is no pipeline
