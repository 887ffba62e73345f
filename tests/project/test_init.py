"""Projects that `taskonomy init` lays down."""

import argparse
import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT
from waiting import WHOLE

from taskonomy.config.params import read_params
from taskonomy.config.params_schema import MODELINE, SCHEMA, schema_text
from taskonomy.errors import TaskonomyError
from taskonomy.project.code_version import code_version, run_stage, stages
from taskonomy.project.example import REACH, write_example
from taskonomy.project.init import LAID_DOWN, PIPELINE, init, upgrade
from taskonomy.project.pipeline import LEFT_OUT
from taskonomy.tasks.custom_tasks import CustomMap


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("laid") / "project"
    init(root)
    return root


def test_an_empty_folder_becomes_a_project(laid: Path) -> None:
    assert {name for name in (*LAID_DOWN.values(), PIPELINE) if not (laid / name).is_file()} == set()
    assert (laid / SCHEMA).read_text(encoding="utf-8") == schema_text()
    assert (laid / "params.yaml").read_text().splitlines()[0] == MODELINE
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


@pytest.fixture
def pipeline(laid: Path) -> dict[str, Any]:
    return yaml.safe_load((laid / "dvc.yaml").read_text())["stages"]


@pytest.fixture
def templates() -> dict[str, Any]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def test_a_project_has_the_stages_of_the_pipeline_but_those_of_what_it_has_not(pipeline: dict[str, Any], templates: dict[str, Any]) -> None:
    assert list(pipeline) == ["example", *(name for name in templates if name not in LEFT_OUT)]
    assert set(pipeline) <= set(stages())


def test_dvc_reads_the_pipeline_of_a_project_and_knows_who_makes_what(laid: Path, pipeline: dict[str, Any]) -> None:
    """Every dependency is there or is made by a stage: none is left of what a project has not."""
    from dvc.repo import Repo

    params = read_params(laid / "params.yaml")
    with Repo(str(laid)) as repo:
        found = {stage.name: stage for stage in repo.index.stages}
        matrices = {"train": params.data.tasks, "transfer": params.transfer.targets, "encode": tuple(params.encoders)}
        assert set(found) == {f"{name}@{one}" if one else name for name in pipeline for one in matrices.get(name, ("",))}
        made = [Path(out.fs_path) for stage in found.values() for out in stage.outs]
        for stage in found.values():
            needed = [Path(dep.fs_path) for dep in stage.deps if Path(dep.fs_path).name != "params.yaml"]
            assert [one for one in needed if not any(out in (one, *one.parents) or one in out.parents for out in made)] == [], stage.name
            assert "$" not in stage.cmd


def test_every_command_is_one_of_the_installed_code_with_options_that_its_stage_knows(
    pipeline: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage itself reads its options here, and stops there."""

    class Read(Exception):  # noqa: N818
        pass

    def read(parser: argparse.ArgumentParser) -> None:
        parse(parser)
        raise Read

    parse = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read)
    for name, stage in pipeline.items():
        program, verb, called, *options = shlex.split(stage.get("do", stage)["cmd"])
        assert (program, verb, called) == ("taskonomy", "stage", name)
        monkeypatch.setattr(sys, "argv", [name, *options])
        with pytest.raises(Read):
            runpy.run_path(str(stages()[name]), run_name="__main__")


def test_what_a_stage_of_a_project_reads_and_makes_is_what_it_does_in_the_pipeline(pipeline: dict[str, Any], templates: dict[str, Any]) -> None:
    """But for code, in whose place is its version, and for what a project has not."""
    for name in pipeline.keys() - {"example"}:
        own, template = (stage.get("do", stage) for stage in (pipeline[name], templates[name]))
        assert set(own.get("params", ())) == {"version", *template.get("params", ())} - {"world"}
        for kind in ("outs", "metrics", "plots"):
            assert len(own.get(kind, ())) == len(template.get(kind, ()))
        deps = [dep for dep in template["deps"] if not dep.startswith(("src/", "stages/"))]
        absent = [dep for dep in deps if dep in ("${item.agreement}", "${item.noise}", "${item.experiments}")]
        assert len(own.get("deps", ())) == len(deps) - len(absent)
        assert {dep for dep in deps if "${item" not in dep and "${key}" not in dep} <= set(own.get("deps", ()))
    assert "results/measured/samples" in pipeline["report"]["deps"]
    assert not [one for one in pipeline["report"]["deps"] if "published" in one or "experiments" in one or "agreement" in one]


def test_other_code_refuses_to_run_until_it_is_said_to(laid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (laid / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(code_version(), "0.0.1+0"))
    with pytest.raises(TaskonomyError, match=r"params.yaml: version is 0.0.1\+0, that of the installed code \S+; install the former, or let"):
        run_stage("cards", ["--cards", "data/cards"])
    assert upgrade(tmp_path) == f"params.yaml: version: {code_version()} (was 0.0.1+0)".replace("params.yaml", str(tmp_path / "params.yaml"))
    assert Path("params.yaml").read_text() == text
    assert Path(SCHEMA).read_text(encoding="utf-8") == schema_text()
    run_stage("cards", ["--cards", "data/cards"])
    assert len(list(Path("data/cards").iterdir())) == 6
    with pytest.raises(TaskonomyError, match="stage: unknown 'card'"):
        run_stage("card", [])
    with pytest.raises(TaskonomyError, match="has no section world, which the stage of that name reads"):
        run_stage("world", ["--world", "data/world"])


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


def test_the_partial_example_lacks_labels_and_is_the_same_in_all_else(tmp_path: Path) -> None:
    write_example(tmp_path / "whole", scenes=12)
    write_example(tmp_path / "some", scenes=12, partial=True)
    whole, some = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")} for root in (tmp_path / "whole", tmp_path / "some")
    )
    assert {name for name in whole if name.startswith("images/") and whole[name] != some.get(name)} == set()
    parts = {name for name in some if name.startswith("parts/")}
    assert 0 < len(parts) < 48
    assert all(whole[name] == some[name] for name in parts)
    rows, all_rows = ([line.split(",") for line in found["labels.csv"].decode().splitlines()] for found in (some, whole))
    assert all(cell in ("", full) for row, full_row in zip(rows, all_rows, strict=True) for cell, full in zip(row, full_row, strict=True))
    for column in (2, 5):
        assert 0 < sum(row[column] == "" for row in rows) < 48
    assert 2 < len(some["moved.csv"].splitlines()) < len(whole["moved.csv"].splitlines())
    name = "distance/s0_v0.png"
    holes, distance = (cv2.imdecode(np.frombuffer(found[name], np.uint8), cv2.IMREAD_UNCHANGED) for found in (some, whole))
    np.testing.assert_array_equal(holes, np.where(distance > REACH, 0, distance))


def test_a_partial_project_declares_its_holes_and_draws_its_example_anew(tmp_path: Path) -> None:
    init(tmp_path / "project", partial=True)
    declared = read_params(tmp_path / "project/params.yaml").data.own["distance"]
    assert isinstance(declared, CustomMap)
    assert declared.missing == 0
    stage = yaml.safe_load((tmp_path / "project/dvc.yaml").read_text())["stages"]["example"]
    assert stage["cmd"] == "taskonomy stage example --example data/example --partial"
    with pytest.raises(TaskonomyError, match="--partial is of the example, and --from draws none"):
        init(tmp_path / "other", tmp_path, partial=True)


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
    # A new title trains nothing (`chosen` reads the declarations, and units that are known); another declaration reruns its own task's network.
    params["data"]["own"]["floor"]["title"] = "Tiles"
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    ran = set(re.findall(r"Running stage '([\w@]+)'", run(root, "dvc", "repro")))
    assert ran == {"prepare", "cards", "chosen", "samples", "facts", "report"}
    assert "Tiles" in (root / "reports/measured/index.html").read_text()
