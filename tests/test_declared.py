"""What a stage depends on, read by us, is what DVC finds."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.repo import Repo

from taskonomy.errors import TaskonomyError
from taskonomy.project.pipeline import own_pipeline, template
from taskonomy.stage import declaration as reading
from taskonomy.stage.declaration import declared, of_dvc

# What is read without DVC: all kinds of templates that dvc.yaml of this project has, and more.
PLAIN = """\
stages:
  one: {cmd: x, deps: [a, "${names.file}.txt"], params: [k, other.yaml: [z], whole.yaml: null], outs: [o, p: {cache: false}]}
  each: {foreach: "${names.list}", do: {cmd: x, deps: ["${item}"], outs: ["each/${item}"]}}
  numbered: {foreach: [{file: a}, {file: b}], do: {cmd: x, deps: ["${item.file}"], outs: ["numbered/${item.file}"]}}
  keyed: {foreach: {u: {file: a}, v: {file: b}}, do: {cmd: x, deps: ["${item.file}"], params: ["${key}.n"], outs: ["keyed/${key}"]}}
  grid: {matrix: {left: "${names.list}", right: [1, 2]}, cmd: x, deps: ["${item.left}"], outs: ["grid/${item.left}-${item.right}"]}
"""
# What DVC is asked for.
OTHER = """\
vars: [{place: below}]
stages:
  elsewhere: {cmd: x, wdir: "${place}", deps: [a], outs: [b]}
"""


def project(folder: Path, *files: Path, **texts: str) -> Repo:
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return Repo.init(str(folder), no_scm=True)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(name: str, _folder: Path) -> None:
        raise AssertionError(f"DVC was asked for {name}")

    monkeypatch.setattr(reading, "_by_dvc", asked)


def same(repo: Repo, folder: Path) -> int:
    stages = list(repo.index.stages)
    for stage in stages:
        ours, theirs = declared(stage.addressing.rpartition(":")[2], folder), of_dvc(stage)
        assert (sorted(ours.deps), sorted(ours.outs)) == (sorted(theirs.deps), sorted(theirs.outs))
        assert {file: sorted(keys) for file, keys in ours.params.items()} == {file: sorted(keys) for file, keys in theirs.params.items()}
    return len(stages)


@pytest.mark.parametrize(
    ("pipeline", "params"),
    [(template(), ROOT / "params.yaml"), (own_pipeline(template()), ROOT / "src/taskonomy/project/template/params.yaml")],
    ids=["this", "own"],
)
def test_the_pipelines_of_this_project_are_read_without_dvc(alone: None, tmp_path: Path, pipeline: str, params: Path) -> None:
    with project(tmp_path, dvc=pipeline, params=params.read_text()) as repo:
        assert same(repo, tmp_path) > 20


def test_templates_are_filled_in_as_dvc_does(alone: None, tmp_path: Path) -> None:
    with project(tmp_path, dvc=PLAIN, params="names: {file: f, list: [a, b]}\nk: 1\nu: {n: 1}\nv: {n: 2}\n") as repo:
        assert same(repo, tmp_path) == 1 + 2 + 2 + 2 + 4


def test_what_is_not_understood_is_asked_of_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    with project(tmp_path, dvc=OTHER):
        monkeypatch.chdir(tmp_path)
        found = declared("elsewhere", tmp_path / "below")
    assert found.deps == (str(tmp_path / "below/a"),)
    assert found.outs == (str(tmp_path / "below/b"),)


def test_a_stage_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with project(tmp_path, dvc=PLAIN, params="names: {file: f, list: [a, b]}\n"):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(TaskonomyError, match=r"dvc\.yaml: has no stage gone, which DVC runs"):
            declared("gone", tmp_path)
