"""Profiles: what they set, and how it gets into params.yaml."""

import shutil
from math import ceil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from taskonomy.config.params import read_params
from taskonomy.config.profile_files import known_profiles
from taskonomy.config.profiles import overlaid, read_profile, with_profile, write_profile
from taskonomy.config.yaml_text import with_values
from taskonomy.errors import TaskonomyError


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's parameters and profiles, as the working directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_written_values_are_those_of_the_profile(params: Path, name: str) -> None:
    expected = overlaid(yaml.safe_load(params.read_text()), yaml.safe_load((ROOT / "profiles" / f"{name}.yaml").read_text()))
    assert write_profile(name) > 0
    assert yaml.safe_load(params.read_text()) == expected
    lines = params.read_text().splitlines()
    kept = [line for line in (ROOT / "params.yaml").read_text().splitlines() if line.startswith(("#", "  #"))]
    assert [line for line in lines if line.startswith(("#", "  #"))] == kept
    assert write_profile(name) == 0
    read_params(params)


@pytest.mark.parametrize("images", [60, 125, 250])
def test_a_regime_takes_the_steps_of_the_default_whatever_its_images(params: Path, images: int) -> None:
    """With images as many as there are; of pairs there are fewer, which rounds to passes otherwise."""
    before, regime = read_params(params), with_profile(f"experiments/images-{images}", params)
    assert regime.transfer.amounts == (images,)
    for target in before.transfer.targets:
        output = before.registry[target].output
        for whole, few in (
            (before.transfer.schedule, regime.transfer.schedule),
            (before.train.schedule_of(target, output), regime.train.schedule_of(target, output)),
        ):
            most, once = whole.steps(before.transfer.images), ceil(images / few.batch)
            assert most <= few.steps(images) < most + once, target
        own = [one.train.schedule_of(target, output).steps(3456) for one in (before, regime)]
        assert own[0] == own[1]  # the task's own network on the built-in world stays as it is


def test_only_what_differs_is_set(params: Path) -> None:
    (params.parent / "profiles/mine.yaml").write_text("policy: {budget: 4, max_order: 4}\n")
    assert read_profile("mine") == ["policy.budget=4"]


def test_a_section_keeps_what_the_profile_does_not_name(params: Path) -> None:
    before = read_params(params)
    write_profile("tiny")
    assert read_params(params).world.seed == before.world.seed
    assert read_params(params).train.encoder.width != before.train.encoder.width


def test_hidden_files_are_no_profiles(params: Path) -> None:
    before = known_profiles()
    (params.parent / "profiles/._tiny.yaml").write_bytes(b"\0\5\x16\7Mac OS X")
    assert known_profiles() == before


def test_unknown_profile(params: Path) -> None:
    with pytest.raises(TaskonomyError, match=r"unknown 'tinny' \(did you mean 'tiny'\?\)"):
        read_profile("tinny")


def test_profile_that_is_not_valid(params: Path) -> None:
    (params.parent / "profiles/bad.yaml").write_text("policy: {budget: -1}\n")
    with pytest.raises(TaskonomyError, match=r"profiles/bad\.yaml: policy\.budget must be"):
        write_profile("bad")
    assert params.read_text() == (ROOT / "params.yaml").read_text()


def test_values_are_set_in_blocks_lists_and_flows_and_the_rest_of_the_text_stays() -> None:
    text = "a:  # of a\n  one: 1  # of one\n  many:\n    - x\n    # of y\n    - y\n\n  # of last\n  last: {p: 1, q: 2}  # of last too\n# end\n"
    before = yaml.safe_load(text)
    after = {"a": {**before["a"], "one": "word", "many": ["z"], "last": {"p": 1, "q": 3}, "new": None}}
    assert with_values(text, before, before) == text
    assert with_values(text, before, after) == (
        "a:  # of a\n  one: word  # of one\n  many: [z]\n\n  # of last\n  last: {p: 1, q: 3}  # of last too\n  new: null\n# end\n"
    )


def test_values_that_two_keys_share_are_not_set_in_place() -> None:
    text = "a: &shared {x: {y: 1}}\nb: *shared\n"
    with pytest.raises(TaskonomyError, match="set them by hand"):
        with_values(text, yaml.safe_load(text), {"a": {"x": {"y": 1}}, "b": {"x": {"y": 2}}, "c": {}} | {"a": {"x": {"y": 3}}})
