"""Projects that `taskonomy init` lays down."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from waiting import WHOLE

from taskonomy.config.params import read_params
from taskonomy.errors import TaskonomyError
from taskonomy.project.code_version import code_version, run_stage, stages
from taskonomy.project.example import write_example
from taskonomy.project.init import LAID_DOWN, init, upgrade

PROJECT = ROOT / "src/taskonomy/project/template"


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("laid") / "project"
    init(root)
    return root


def test_an_empty_folder_becomes_a_project(laid: Path) -> None:
    assert {name for name in LAID_DOWN.values() if not (laid / name).is_file()} == set()
    params = read_params(laid / "params.yaml")
    assert params.version == code_version()
    assert {one.kind for one in params.data.own.values()} == {"map", "pixel_classes", "vector", "class"}
    assert any(one.of_images == 2 for one in params.data.own.values())
    assert set(params.transfer.targets) == set(params.data.own)
    assert len(list((laid / "data/example/images").iterdir())) == 240
    assert (laid / ".git").is_dir()
    assert (laid / ".dvc/config").is_file()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("mine")
    with pytest.raises(TaskonomyError, match=r"has params\.yaml already; choose a folder without, init overwrites nothing"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def of_project(stage: dict[str, Any]) -> dict[str, Any]:
    """What a stage reads and writes, with the project's own code taken out, in the words of a table of affinities."""
    text = json.dumps(stage).replace("${key}", "measured").replace("${item.table}", "results/measured/affinities.csv")
    for name in ("held_out", "networks", "losses", "by_building", "curves"):
        text = text.replace(f"${{item.{name}}}", f"results/measured/{name}.csv")
    text = text.replace(" --experiments ${item.experiments}", "")  # nor has a project experiments, or published measurements to compare with
    text = text.replace("${item.samples}", "results/measured/samples").replace("${item.facts}", "results/measured/facts.json")
    stage = json.loads(text.replace("${item.subtitle}", "measured in this run").replace("python stages/", "taskonomy stage ").replace(".py ", " "))
    code = re.compile(r"(stages|src)/")
    return {
        "cmd": " ".join(stage["cmd"].split()),
        "deps": sorted(one for one in stage.get("deps", []) if not code.match(one) and one not in ("${item.agreement}", "${item.experiments}")),
        "params": sorted({*stage.get("params", []), "version"} - {"world"}),  # a project has none
        "outs": sorted(json.dumps(one) for name in ("outs", "metrics", "plots") for one in stage.get(name, [])),
        "matrix": stage.get("matrix"),
    }


def test_the_stages_are_those_of_the_pipeline() -> None:
    """A stage that changes there changes here."""
    ours = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    theirs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert ours.keys() - theirs.keys() == {"example"}
    for name in ours.keys() - {"example"}:
        assert of_project(ours[name]) == of_project(theirs[name].get("do", theirs[name])), name
    assert set(ours) <= set(stages())


def test_other_code_refuses_to_run_until_it_is_said_to(laid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (laid / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(code_version(), "0.0.1+0"))
    with pytest.raises(TaskonomyError, match=r"params.yaml: version is 0.0.1\+0, that of the installed code \S+; install the former, or let"):
        run_stage("cards", ["data/cards"])
    assert upgrade(tmp_path) == f"params.yaml: version: {code_version()} (was 0.0.1+0)".replace("params.yaml", str(tmp_path / "params.yaml"))
    assert Path("params.yaml").read_text() == text
    run_stage("cards", ["data/cards"])
    assert len(list(Path("data/cards").iterdir())) == 6
    with pytest.raises(TaskonomyError, match="stage: unknown 'card'"):
        run_stage("card", [])
    with pytest.raises(TaskonomyError, match="has no section world, which the stage of that name reads"):
        run_stage("world", ["data/world"])


def test_only_projects_of_init_have_a_version(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match="no such parameter file; 'taskonomy init"):
        upgrade(tmp_path)
    (tmp_path / "params.yaml").write_text("data: {}\n")
    with pytest.raises(TaskonomyError, match="must have one line 'version"):
        upgrade(tmp_path)


def test_the_example_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_example(tmp_path / name, scenes=2, views=2)
    one, other = ({path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")} for root in (tmp_path / "a", tmp_path / "b"))
    assert one == other
    assert len(one) == 3 * 4 + 2


def run(folder: Path, *command: str) -> str:
    """With the very code under test, wherever the installed command comes from."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=WHOLE, env=_environment(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _environment(folder: Path) -> dict[str, str]:
    import os

    tools = folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "taskonomy").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m taskonomy.cli.main "$@"\n')
    (tools / "taskonomy").chmod(0o755)
    return {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "1"}


@pytest.mark.long
def test_from_an_empty_folder_to_a_policy(tmp_path: Path) -> None:
    """The real thing, on two tasks: a class, and a vector of pairs."""
    root = tmp_path / "project"
    assert f"next: cd {root} && taskonomy repro" in run(tmp_path, "taskonomy.cli.main", "init", str(root))
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"]["tasks"] = params["transfer"]["targets"] = ["floor", "moved"]
    for section in ("train", "transfer"):
        params[section]["schedule"]["epochs"] = 1
    params["transfer"]["max_order"] = 1
    params["policy"] |= {"cost": {}, "budget": 1}
    params["savings"]["set_size"] = 2
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    assert "Running stage 'report'" in run(root, "dvc", "repro")
    policy = json.loads((root / "results/measured/policy.json").read_text())
    assert (policy["status"], len(policy["sources"])) == ("optimal", 1)
    assert sorted(one["target"] for one in policy["transfers"]) == ["floor", "moved"]
    page = (root / "reports/measured/index.html").read_text()
    assert "Pattern of the floor" in page
    assert "Motion of the camera" in page
    # A new title is read by the page alone; another declaration reruns its own task's network.
    params["data"]["own"]["floor"]["title"] = "Tiles"
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    ran = set(re.findall(r"Running stage '([\w@]+)'", run(root, "dvc", "repro")))
    assert ran == {"prepare", "cards", "samples", "facts", "report"}
    assert "Tiles" in (root / "reports/measured/index.html").read_text()
