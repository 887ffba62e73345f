"""Names of folders and tasks that a shell would take for something else: the real stages work with them, or refuse them in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from by_hand import png, write_folder
from conftest import ROOT

from taskonomy.config.params import read_params
from taskonomy.errors import TaskonomyError
from taskonomy.project.code_version import code_version
from taskonomy.project.pipeline import own_pipeline, template

OWN = {"shade": {"kind": "map", "channels": 3}, "tone": {"kind": "vector", "length": 1}}
# All that a shell, YAML, the templates of DVC and globs know, in one name.
NASTY = """data/it's "mine"; touch owned; $(touch owned) `touch owned` $HOME ${data.seed} $${x} {a,b} | & > owned < ( * ?[a] # ~ \\n %s é ! = :"""


def fill(root: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "shade"):
        write_folder(root / folder, {f"p{number}.png": png(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)) for number in range(20)})
    (root / "labels.csv").write_text("image,tone\n" + "".join(f"p{number},{number}\n" for number in range(20)))


class Project:
    """One that lies in a folder of its own, with the stages under test, run by DVC alone."""

    def __init__(self, folder: Path, pipeline: str) -> None:
        self.folder, (self.tools) = folder / "project", folder / "bin"
        self.folder.mkdir()
        self.tools.mkdir()
        for name, command in (("python", '"$@"'), ("taskonomy", '-m taskonomy.cli.main "$@"')):
            (self.tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}\n')
            (self.tools / name).chmod(0o755)
        (self.folder / "dvc.yaml").write_text(pipeline)
        for name in ("src", "stages"):
            (self.folder / name).symlink_to(ROOT / name)
        self.environment = {
            **os.environ, "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / "site"),
        }  # fmt: skip
        self.dvc("init", "--no-scm", "-q")

    def set(self, root: str, own: dict[str, Any] = OWN, **sections: Any) -> None:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values |= {"version": code_version()}
        values["data"] |= {"root": root, "own": own, "tasks": list(own), "labels": {}, "resolution": 32}
        values["transfer"] |= {"targets": list(own), "variants": []}
        values["samples"] |= {"targets": []}
        for name, changes in sections.items():
            values[name] |= changes
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def dvc(self, *command: str, status: int | None = 0) -> str:
        done = subprocess.run([sys.executable, "-m", "dvc", *command], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


PIPELINES = {"checkout": template, "init": lambda: own_pipeline(template())}
ROOTS = (NASTY, "data/my own pictures", "-rf", "../elsewhere 'too'")
QUICK = {("checkout", NASTY), ("init", NASTY), ("checkout", "-rf"), ("init", "../elsewhere 'too'")}  # every kind of name and both pipelines


@pytest.mark.parametrize(
    ("pipeline", "root"),
    [
        pytest.param(pipeline, root, id=f"{pipeline}-{number}", marks=() if (pipeline, root) in QUICK else pytest.mark.long)
        for pipeline in PIPELINES
        for number, root in enumerate(ROOTS)
    ],
)
def test_the_stage_prepare_reads_any_root_and_runs_nothing_that_it_says(tmp_path: Path, pipeline: str, root: str) -> None:
    project = Project(tmp_path, PIPELINES[pipeline]())
    fill(project.folder / root)
    project.set(root)
    before = {path.name for path in project.folder.iterdir()}
    project.dvc("repro", "-q", "prepare")
    manifest = json.loads((project.folder / "data/prepared/manifest.json").read_text())
    assert manifest["root"] == root
    assert sum(manifest["views"].values()) == 20
    assert {path.name for path in project.folder.iterdir()} - before <= {"dvc.lock", "data", "results"}
    assert not list(project.folder.rglob("owned"))
    # DVC holds on to it: what is unchanged is not read again, and what changes is.
    assert json.loads(project.dvc("status", "--json", "prepare")) == {}
    (project.folder / root / "labels.csv").write_text("image,tone\n" + "".join(f"p{number},{number + 1}\n" for number in range(20)))
    assert list(json.loads(project.dvc("status", "--json", "prepare"))) == ["prepare"]


@pytest.mark.parametrize("root", ["data/a\nb", "data/a\tb", "data/a\x85b", "data/a\u2028b", "data/\x1b[31m", "", "~", "~/pictures", "./~"])
def test_a_root_that_is_no_path_in_one_line_is_refused_by_name(tmp_path: Path, root: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, key in ((values["data"], "data.root"), (values["query"], "query.tasks.normal.root")):
        section |= {"root": root} if section is values["data"] else {"tasks": {"normal": {"root": root}}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        with pytest.raises(TaskonomyError, match=f"{key}") as error:
            read_params(tmp_path / "params.yaml")
        assert str(error.value).isprintable()
        values["data"]["root"] = "data/world"


# What runs where a shell reads it without quotes, within single and within double ones: at once, and each for itself.
ALL_QUOTES = "x; touch owned; '; touch owned; '$(touch owned) #"


@pytest.mark.parametrize("quoted", ["{}", "'{}'", '"{}"'])
def test_a_shell_that_reads_the_name_runs_what_it_says_in_any_quotes(tmp_path: Path, quoted: str) -> None:
    """Otherwise the test below could not fail."""
    subprocess.run(["sh", "-c", f"echo {quoted.format(ALL_QUOTES)}"], cwd=tmp_path, capture_output=True)
    assert list(tmp_path.glob("owned*"))


@pytest.mark.parametrize(
    "name", [ALL_QUOTES, *(pytest.param(one, marks=pytest.mark.long) for one in ("x; touch owned #", "$(touch owned)", "x'; touch owned; '"))]
)
def test_names_of_tasks_run_nothing_before_they_are_refused(tmp_path: Path, name: str) -> None:
    """Whichever stage is asked for, by itself, too."""
    project = Project(tmp_path, template())
    fill(project.folder / "data/mine")
    project.set("data/mine", {**OWN, name: {"kind": "class", "classes": 2}}, query={"tasks": {name: {"root": "data/mine", "own": OWN["tone"]}}})
    said = project.dvc("repro", "prepare", status=None)
    assert "error: params.yaml: data.own" in said
    assert "a task's name begins with a letter" in said
    for stage in (f"train@{name}", f"transfer@{name}", f"query@{name}"):
        project.dvc("repro", "--single-item", stage, status=None)
    assert not list(tmp_path.rglob("owned*"))
    for folder in ("data/prepared", "data/codes", "models"):  # as after a run: then DVC comes to the command
        (project.folder / folder).mkdir(parents=True)
    project.set("data/mine", query={"tasks": {name: {"root": "data/mine", "own": OWN["tone"]}}})
    said = project.dvc("repro", "--single-item", f"query@{name}", status=None)
    assert not list(tmp_path.rglob("owned*"))
    assert "error: params.yaml: query.tasks: " in said
    assert "a task's name begins with a letter" in said
