"""Which stages a run has, and which of them go first."""

import json
import os
from pathlib import Path

import pytest
from small_pipeline import Pipeline

from taskonomy.errors import TaskonomyError
from taskonomy.pipeline.plan import let_go, ranks, read_plan

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of pygtrie, as DVC uses it


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    pipeline = Pipeline(tmp_path)
    monkeypatch.chdir(pipeline.root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", pipeline.environment["DVC_SITE_CACHE_DIR"])
    return pipeline


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (["left"], ["start", "left"]),
        (["part"], ["start", "left", "right", "join", "part@1", "part@2", "part@3"]),
        (["parts/2"], ["start", "left", "right", "join", "part@2"]),
        (["dvc.yaml:left", "right"], ["start", "left", "right"]),
        (["./dvc.yaml:part@3"], ["start", "left", "right", "join", "part@3"]),
    ],
)
def test_targets_are_stages_groups_files_and_outputs_with_all_they_need(pipeline: Pipeline, targets: list[str], names: list[str]) -> None:
    plan = read_plan(targets)
    assert sorted(plan.names) == sorted(names)
    assert plan.names[0] == "start"
    assert set(plan.pending) == set(names)


def test_no_target_is_the_whole_file(pipeline: Pipeline) -> None:
    assert read_plan().names == read_plan(["dvc.yaml"]).names
    assert len(read_plan().names) == 10


def test_downstream_is_the_target_and_what_needs_it(pipeline: Pipeline) -> None:
    assert set(read_plan(["gather"], downstream=True).names) == {"gather", "show@one", "show@two"}


def test_unknown_targets_and_broken_files_are_one_line(pipeline: Pipeline) -> None:
    with pytest.raises(TaskonomyError, match=r"nonsense[^\n]*$"):
        read_plan(["nonsense"])
    (pipeline.root / "dvc.yaml").write_text("stages: [")
    with pytest.raises(TaskonomyError, match=r"dvc\.yaml[^\n]*$"):
        read_plan()


def test_the_longest_way_to_the_end_goes_first(pipeline: Pipeline) -> None:
    plan = read_plan()

    def order(seconds: dict[str, float], *names: str) -> list[str]:
        rank = ranks(plan, seconds)
        assert sorted(rank.values()) == list(range(10))
        return sorted(names, key=rank.__getitem__)

    assert order({"left": 1, "right": 9}, "left", "right") == ["right", "left"]
    assert order({"left": 9, "right": 1}, "left", "right") == ["left", "right"]
    assert order({"part@1": 2, "part@2": 1}, "part@1", "part@2", "part@3") == ["part@1", "part@3", "part@2"]  # a new one takes the mean of its group
    assert order({}, "show@one", "gather", "join", "start") == ["start", "join", "gather", "show@one"]  # depth
    assert order({"show@one": 100}, "part@1", "show@two", "show@one")[0] == "part@1"  # all that needs it counts


def test_a_frozen_stage_and_what_makes_its_dependency_keep_the_order_of_dvc(pipeline: Pipeline) -> None:
    path = pipeline.root / "dvc.yaml"
    path.write_text(path.read_text().replace("  join:\n", "  join:\n    frozen: true\n"))
    plan = read_plan()
    place = {name: number for number, name in enumerate(plan.names)}
    for name in ("left", "right"):
        first, last = sorted((name, "join"), key=place.__getitem__)
        assert first in plan.needs[last]


def test_files_that_dvc_holds_for_a_killed_run_of_ours_are_let_go_and_no_others(tmp_path: Path) -> None:
    ours, other = {"pid": os.getpid(), "cmd": "taskonomy repro"}, {"pid": os.getpid(), "cmd": "dvc repro"}
    path = tmp_path / "rwlock"
    path.write_text(json.dumps({"write": {"/a": ours, "/b": other}, "read": {"/c": [ours], "/d": [ours, other]}}))
    let_go(tmp_path)
    assert json.loads(path.read_text()) == {"write": {"/b": other}, "read": {"/d": [other]}}
    path.write_text('{"write": {"/a')
    let_go(tmp_path)
    assert not path.exists()
    let_go(tmp_path)
