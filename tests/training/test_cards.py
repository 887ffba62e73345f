"""A task's card holds what its network depends on: an edit that concerns one task changes one card."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from conftest import ROOT
from tiny import OTHER_PRECISION, profile, tiny_config

from taskonomy.config.task_config import read_task_config, task_config
from taskonomy.errors import TaskonomyError
from taskonomy.labels import encodings as labels
from taskonomy.labels.encodings import Loss
from taskonomy.tasks import BUILT_IN

NAMES = profile().data.tasks


def cards(dictionary: Mapping[str, Any] = BUILT_IN, **changes: dict[str, Any]) -> dict[str, str]:
    """Of every task, as text."""
    params = profile(**changes)
    return {name: json.dumps(task_config(dictionary[name], params).as_json()) for name in NAMES}


def changed(dictionary: Mapping[str, Any] = BUILT_IN, **changes: dict[str, Any]) -> set[str]:
    before, after = cards(), cards(dictionary, **changes)
    return {name for name in NAMES if before[name] != after[name]}


@pytest.mark.parametrize("task", ["normal", "egomotion", "class_scene"])
@pytest.mark.parametrize(
    "change", [{"epochs": 3}, {"rate": 0.1}, {"batch": 5}, {"weight_decay": 0.0}, {"least_steps": 9}, {"shape": "step", "slow_after": 0.1}]
)
def test_what_one_task_does_otherwise_is_in_its_card_alone(task, change):
    assert changed(train={"tasks": {task: change}}) == {task}
    assert json.loads(cards(train={"tasks": {task: change}})[task])["schedule"].items() >= change.items()


@pytest.mark.parametrize(
    ("task", "edit"),
    [
        ("normal", lambda one: replace(one, loss=Loss.L2)),
        ("room_layout", lambda one: replace(one, head=replace(one.head, hidden=64))),
        ("class_scene", lambda one: replace(one, head=replace(one.head, layers=3))),
        ("autoencoding", lambda one: replace(one, input=labels.Input.NOISE)),
        ("reshading", lambda one: replace(one, label=replace(one.label, encode=labels.share))),
        ("depth_zbuffer", lambda one: replace(one, label=replace(one.label, mask=labels.Mask.NONE))),
        ("normal", lambda one: replace(one, label=replace(one.label, valid=labels.has_curvature))),
        ("normal", lambda one: replace(one, label=replace(one.label, mirror=None))),
    ],
)
def test_an_edited_entry_changes_its_own_card_alone(task, edit):
    assert changed({**BUILT_IN, task: edit(BUILT_IN[task])}) == {task}


@pytest.mark.parametrize("edit", [{"title": "Another"}, {"family": "2D"}, {"published_key": "x"}, {"picture": ""}])
def test_what_no_network_sees_is_in_no_card(edit):
    assert changed({**BUILT_IN, "normal": replace(BUILT_IN["normal"], **edit)}) == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"transfer": {"images": 5}},
        {"transfer": {"max_order": 4}},
        {"transfer": {"beam": "all"}},
        {"transfer": {"seed": 9}},
        {"transfer": {"precision": OTHER_PRECISION}},
        {"transfer": {"schedule": {"epochs": 9, "batch": 2, "rate": 1.0, "slow_after": 0.5, "weight_decay": 0.0}}},
        {"data": {"labels": {"edge_texture": {"limit": 0.1}}}},  # labels show it
        {"data": {"seed": 3}},
        {"world": {"seed": 3}},
        {"normalize": {"method": "linear"}},
        {"policy": {"budget": 3}},
    ],
)
def test_what_networks_do_not_depend_on_is_in_no_card(changes):
    assert changed(**changes) == set()


@pytest.mark.parametrize("changes", [{"codes": "float32"}, {"targets": ["normal"]}])
def test_transfers_decide_which_codes_are_made_and_nothing_else_of_a_card(changes):
    before, after = cards(), cards(transfer=changes)
    for name in NAMES:
        old, new = json.loads(before[name]), json.loads(after[name])
        assert old.pop("codes") != new.pop("codes")
        assert old == new


def test_codes_are_made_for_every_input_of_the_targets_and_for_the_plain_image():
    inputs = {
        targets: json.loads(cards(transfer={"targets": list(targets)})["jigsaw"])["codes"]["inputs"] for targets in (("normal",), ("denoising",))
    }
    assert inputs == {("normal",): ["image"], ("denoising",): ["image", "noise"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tile_side": 24}, {"jigsaw"}),
        ({"embedding": 5}, {"segment_unsup2d", "segment_unsup25d"}),
        ({"mirror": False}, set(NAMES) - {"keypoints2d", "random_projection"}),
        ({"seed": 1}, set(NAMES)),
        ({"precision": OTHER_PRECISION}, set(NAMES)),
        ({"encoder": {"name": "small", "width": 0.25, "stride": 8, "channels": 4}}, set(NAMES)),
    ],
)
def test_what_concerns_many_tasks_is_in_their_cards(change, expected):
    assert changed(train=change) == expected


def test_the_stage_depends_on_every_parameter_that_cards_read():
    """Sections and keys that dvc.yaml does not name for the stage `cards` are changed all at once: no card may differ."""
    named = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["cards"]["params"]
    changes = {
        "data": {"labels": {}, "seed": 5, "resolution": 64, "root": "x", "transfer_share": 0.5, "on_bad": "skip"},
        "transfer": {"images": 5, "max_order": 1, "beam": 3, "seed": 8, "precision": OTHER_PRECISION},
        "world": {"seed": 4, "buildings": 9},
        "normalize": {"seed": 4},
        "policy": {"budget": 1},
        "report": {"title": "x"},
    }
    for section, keys in changes.items():
        assert not {section, *(f"{section}.{key}" for key in keys)} & set(named)
    assert changed(**changes) == set()


def test_a_task_takes_the_head_of_its_configuration():
    for name, channels in (("segment_unsup2d", 7), ("normal", 3)):
        assert tiny_config(name, train={"embedding": 7}).definition.head.channels == channels
    assert tiny_config("random_projection").definition.head is None


def test_configurations_survive_their_file_and_damaged_ones_are_named(tmp_path):
    path = tmp_path / "normal.json"
    path.write_text(cards()["normal"])
    assert read_task_config(path) == task_config(BUILT_IN["normal"], profile())
    unknown = json.dumps(json.loads(cards()["normal"]) | {"task": "norml"})
    negative = json.dumps(json.loads(cards()["normal"]) | {"tile_side": "wide"})
    for text in ("", "{", "[]", '"task"', "{}", unknown, negative):
        path.write_text(text)
        with pytest.raises(TaskonomyError, match=r"normal\.json: no .*configuration of a task .*the stage `cards` writes it") as caught:
            read_task_config(path)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(TaskonomyError, match=r"normal\.json: no readable configuration of a task"):
        read_task_config(path)
