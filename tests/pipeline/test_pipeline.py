"""The real pipeline in a clone of the project, on a small setting of the same parameters."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

PARTS = ("stages", "src", "data/published", "dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore")
TARGETS = ["normal", "denoising", "edge_texture"]
OF_A_TABLE = {"policy", "front", "savings", "evaluate", "report"}
STAGES = {"world", "prepare"} | OF_A_TABLE


def clone(folder: Path) -> Path:
    for part in PARTS:
        source = ROOT / part
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for section, values in yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text()).items():
        params[section] |= values
    params["data"]["tasks"], params["transfer"]["targets"] = [*TARGETS, "jigsaw", "random_projection"], TARGETS
    params["savings"]["set_size"] = 2
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
    return folder


def run(folder: Path, *command: str, status: int = 0) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment |= {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, env=environment)
    assert (done.returncode == 0) == (status == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def repro(folder: Path) -> set[str]:
    """The stages that ran."""
    return set(re.findall(r"Running stage '(\w+)(?:@\w+)?'", run(folder, "dvc", "repro")))


def change(folder: Path, section: str, key: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("finished"))
    assert repro(folder) == STAGES
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "results")
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copied", symlinks=True))


@pytest.mark.parametrize(
    ("section", "key", "value", "reran"),
    [
        ("policy", "budget", 4, {"policy", "evaluate", "report"}),
        ("policy", "alternatives", 0, {"policy", "evaluate", "report"}),
        ("front", "orders", [1], {"front", "report"}),
        ("savings", "draws", 2, {"savings", "report"}),
        ("evaluate", "seed", 1, {"evaluate", "report"}),
        ("report", "title", "Ours", {"report"}),
        ("policy", "balance", "peak", OF_A_TABLE),
        ("data", "labels", {"edge_texture": {"limit": 0.1}}, {"prepare"}),
        ("world", "seed", 1, {"world", "prepare"}),
        ("policy", "budget", 8, set()),
    ],
)
def test_a_changed_parameter_reruns_what_it_affects_and_nothing_else(copied: Path, section: str, key: str, value: object, reran: set[str]) -> None:
    change(copied, section, key, value)
    assert repro(copied) == reran
    assert repro(copied) == set()


def test_another_clean_run_gives_the_same_bits(finished: Path, tmp_path: Path) -> None:
    again = clone(tmp_path)
    repro(again)
    assert (again / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()


def test_a_bad_parameter_is_one_line_and_loses_nothing(copied: Path) -> None:
    before = (copied / "results/published/policy_metrics.json").read_bytes()
    change(copied, "policy", "budget", -1)
    printed = run(copied, "dvc", "repro", status=1)
    assert "error: params.yaml: policy.budget must be greater than or equal to 0 (is -1)" in printed
    assert "Traceback" not in printed
    change(copied, "policy", "budget", 8)
    repro(copied)
    assert (copied / "results/published/policy_metrics.json").read_bytes() == before


def test_dvc_users_see_metrics_plots_and_experiments(copied: Path) -> None:
    run(copied, "dvc", "exp", "run", "-S", "policy.budget=4", "-n", "four")
    metrics = json.loads(run(copied, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert metrics["results/published/policy_metrics.json"]["data"]["sources"] == 4
    shown = run(copied, "dvc", "exp", "show", "--csv", "--no-pager")
    assert "four" in shown
    assert "mean_quality" in shown
    run(copied, "dvc", "plots", "diff", "HEAD", "workspace", "-o", "plots")
    page = (copied / "plots/index.html").read_text()
    assert re.search(r'"order": ?"?2"?[,}]', page)  # the rows carry the order by which the template colours lines
    assert "Quality by order" in page
    differences = json.loads(run(copied, "dvc", "params", "diff", "--json"))
    assert (differences["params.yaml"]["policy.budget"]["old"], differences["params.yaml"]["policy.budget"]["new"]) == (8, 4)


def test_what_compilers_leave_behind_is_no_change(copied: Path) -> None:
    for package in ("world", "annotate", "policy"):
        cache = copied / "src/taskonomy" / package / "__pycache__"
        cache.mkdir(exist_ok=True)
        (cache / "left.nbc").write_bytes(b"compiled")
    assert repro(copied) == set()
