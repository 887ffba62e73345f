"""Outputs for people: every kind of task as a picture, as named values, as an array."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from taskonomy.errors import TaskonomyError
from taskonomy.inference.rendering import Prediction
from taskonomy.tasks import BUILT_IN

SIDE = 16
RNG = np.random.default_rng(0)
TARGETS = [task.name for task in BUILT_IN.values() if task.head is not None and "target" in task.roles]


def answer(name: str, output: np.ndarray | None = None) -> Prediction:
    task = BUILT_IN[name]
    assert task.head is not None
    numbers = 12 if name == "egomotion" else task.head.channels
    shape = (numbers,) if task.head.layers else (numbers, SIDE, SIDE)
    given = np.tanh(RNG.normal(size=shape)) if output is None else output
    images = tuple(RNG.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(task.images))
    label = task.label
    statistics = {"mean": [0.5] * task.head.channels, "std": [2.0] * task.head.channels} if label and label.statistics == "mean_std" else {}
    return Prediction(task, images, given.astype(np.float32), statistics, {"normal": np.zeros((task.images, 8, 2, 2), np.float32)})


@pytest.mark.parametrize("name", TARGETS)
def test_every_kind_of_answer_is_a_picture_named_values_and_an_array(name: str, tmp_path: Path) -> None:
    one = answer(name)
    for ending in ("png", "json", "npy"):
        one.save(tmp_path / f"a.{ending}", 200)
    assert cv2.imread(str(tmp_path / "a.png")).shape == (200, 200, 3)
    assert json.loads((tmp_path / "a.json").read_text())["task"] == name
    assert np.load(tmp_path / "a.npy", allow_pickle=False).size
    one.save_codes(tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz", allow_pickle=False) as codes:
        assert codes["normal"].shape == (one.task.images, 8, 2, 2)


def test_classes_are_told_by_name_the_likeliest_first() -> None:
    logits = np.zeros(63)
    logits[[20, 3]] = 5, 4
    shares = answer("class_scene", logits).as_dict()["top5"]
    assert [one["number"] for one in shares[:2]] == [20, 3]
    assert shares[1]["class"] == "art_studio"
    assert shares[0]["share"] == pytest.approx(np.exp(5) / (np.exp(5) + np.exp(4) + 61), abs=1e-6)
    assert len(shares) == 5


def test_poses_are_metres_and_radians() -> None:
    found = answer("camera_pose_fixated", np.arange(6.0)).as_dict()
    assert found["1-2"] == {"rotation_rad": [0.5, 2.5, 4.5], "translation_m": [6.5, 8.5, 10.5]}
    assert list(answer("egomotion").as_dict()) == ["task", "1-2", "1-3", "2-3"]


def test_points_match_with_a_share() -> None:
    found = answer("point_matching", np.array([0.0, np.log(3)])).as_dict()
    assert found["same_point"] is True
    assert found["share"] == pytest.approx(0.75)


def test_directions_have_unit_length() -> None:
    found = answer("vanishing_point", np.array([3, 0, 4, 0, -2, 0, 0, 0, 9.0])).as_dict()
    assert (found["x"], found["y"], found["z"]) == ([0.6, 0, 0.8], [0, -1, 0], [0, 0, 1])


def test_segmented_classes_are_told_by_their_share_of_pixels() -> None:
    logits = np.zeros((17, 4, 4))
    logits[0, :2], logits[2, 2:] = 1, 1
    assert answer("segment_semantic", logits).as_dict()["shares"] == {"background": 0.5, "chair": 0.5}


def test_segments_are_counted() -> None:
    embeddings = np.zeros((64, 16, 16))
    embeddings[:, :4] = 3.0
    assert answer("segment_unsup2d", embeddings).as_dict() == {"task": "segment_unsup2d", "segments": 2, "shares": [0.75, 0.25]}


def test_what_has_no_way_to_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match=r"a\.bmp: must end in \.png, \.json, \.npy"):
        answer("normal").save(tmp_path / "a.bmp")
    with pytest.raises(TaskonomyError, match="not finite"):
        _ = replace(answer("normal"), output=np.full((3, 4, 4), np.nan, np.float32)).label
