"""Labels of the user's own, held against what is declared of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT
from pydantic import TypeAdapter

from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams
from taskonomy.data.custom_checks import MisfitError, fitted
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.project.example import write_example
from taskonomy.tasks.custom_tasks import AnyCustomTask

OWN: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "src/taskonomy/project/template/params.yaml").read_text())["data"]["own"]
SIDE = 32


def params(own: dict[str, Any] = OWN, tasks: tuple[str, ...] | None = None, **more: Any) -> DataParams:
    values = yaml.safe_load((ROOT / "src/taskonomy/project/template/params.yaml").read_text())["data"]
    return checked(DataParams, {**values, "own": own, "tasks": tasks or (*own, "autoencoding"), **more}, "params.yaml")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "own"
    write_example(root, scenes=10, views=3)
    return root


@pytest.fixture
def example(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "own"))


def test_one_task_of_every_kind_is_prepared(example: Path, tmp_path: Path) -> None:
    manifest = prepare(example, tmp_path / "out", params(), processes=1)
    done = Prepared(tmp_path / "out")
    assert sum(manifest["views"].values()) == len(done.index) == 30
    distance, parts, light, floor, moved = (done.task(params().registry[name]) for name in OWN)
    every = np.arange(30)
    assert distance.labels(every).shape == (30, SIDE, SIDE, 1)
    assert np.unique(parts.labels(every)).tolist() == [0, 1, 2, 3]
    train = light.of_split(Split.TRAIN)
    np.testing.assert_allclose(light.labels(train).mean(0), 0, atol=1e-5)  # z-scores
    assert set(np.unique(floor.labels(every))) <= {0, 1, 2}
    assert (moved.samples.shape, moved.stored.shape, manifest["samples_left_out"]) == ((30, 2), (30, 2), {"moved": 0})
    # A map in the unit of its declaration: the wall's corner is nowhere nearer than the wall, nor farther than the range.
    metres = (distance.labels(every) + 1) / 2 * 10
    assert 1 < metres.min() < metres.max() < 10
    # Pairs stay in one split, and are those that the table lists.
    splits = done.splits
    assert (splits[moved.samples[:, 0]] == splits[moved.samples[:, 1]]).all()


def _mask(value: int) -> Any:
    return np.full((48, 64), value, np.uint8)


@pytest.mark.parametrize(
    ("change", "own", "said"),
    [
        (None, {"parts": {"kind": "pixel_classes", "classes": 2}},
         r"data\.own\.parts: \d+ labels do not fit, the first is .*parts/s0_v\d\.png: it holds the id [23], declared is pixel_classes, ids 0 to 1 and"
         r" 255 for none; classes: [34] at least would be right"),
        (None, {"distance": {"kind": "map", "channels": 3, "range": [0, 1e5]}}, r"it is an image of 1 channel, .* 3 channels.*; channels: 1 would"),
        (None, {"distance": {"kind": "map", "channels": 1}}, r"it has values \d+ to \d+, declared is map of 1 channel, values 0 to 255; range: at l"),
        (None, {"distance": {"kind": "pixel_classes", "classes": 4}}, r"it holds the id \d+, .*; ids from 0 to at most 254 would be right"),
        (None, {"distance": {"kind": "vector", "length": 2}}, r"it is an image of 1 channel, .*; kind: map or pixel_classes would be right"),
        (None, {"light": {"kind": "vector", "length": 2}}, r"labels.csv: s\d_v\d, light: it has 3 numbers, .*; length: 3 would be right"),
        (None, {"light": {"kind": "map", "channels": 3}}, r"it is 3 numbers, .*; kind: vector, length: 3 would be right"),
        (None, {"light": {"kind": "class", "classes": 3}}, r"it has 3 numbers, .*; one number would be right"),
        (None, {"floor": {"kind": "class", "classes": 2}}, r"it holds the id 2, .*; classes: 3 at least would be right"),
        (None, {"moved": {"kind": "class", "classes": 2, "images": 2}}, r"moved.csv: row 2 \(s0_v0, s0_v1\): it has 2 numbers, .*; one number would"),
        (None, {"moved": {"kind": "vector", "length": 2}}, r"moved.csv: lists samples of 2 images; data\.own\.moved must say images: 2"),
        (None, {"floor": {"kind": "class", "classes": 3, "images": 2}}, r"data\.own\.floor: images: 2 needs the table .*floor.csv with columns imag"),
        (None, {"mood": {"kind": "class", "classes": 3}}, r"has no labels of mood, which data.own declares; expected a folder mood/, or columns"),
        (None, {"mood": {"kind": "class", "classes": 3, "images": 2}}, r"has no labels of mood, which data.own declares; expected mood.csv"),
        (lambda root: cv2.imwrite(str(root / "parts/s1_v0.png"), _mask(9)), {},
         r"data\.own\.parts: 1 label does not fit, the first is .*s1_v0\.png: it holds the id 9, "),
        (lambda root: (root / "parts/s1_v0.png").unlink() or np.save(root / "parts/s1_v0.npy", _mask(1) / 2), {},
         r"s1_v0.npy: it holds 0.5, no whole number, .*kind: map or vector is for measured values would be right"),
        (lambda root: (root / "distance/s1_v0.png").unlink() or np.save(root / "distance/s1_v0.npy", np.full((48, 64), np.nan)), {},
         r"s1_v0.npy: it has 3,072 of 3,072 values that are no finite numbers, .*; finite ones, or missing: nan, which leaves these pix"),
        (lambda root: [cv2.imwrite(str(path), _mask(1)) for path in (root / "parts").iterdir()], {},
         r"parts: all \d+ training samples have the same label: there is nothing to learn; take it out of data.tasks"),
        (lambda root: cv2.imwrite(str(root / "parts/s1_v0.png"), _mask(1)[:40]), {}, r"1 of \d+ files is damaged: .*is 64 x 40, its image 64 x 48"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_declaration_is_one_line(
    example: Path, tmp_path: Path, change: Callable[[Path], object] | None, own: dict[str, Any], said: str
) -> None:
    if change is not None:
        change(example)
    with pytest.raises(TaskonomyError, match=said) as error:
        prepare(example, tmp_path / "out", params({**OWN, **own}), processes=1)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_images_whose_labels_do_not_fit_can_be_left_out(example: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(example / "parts/s1_v0.png"), _mask(9))
    manifest = prepare(example, tmp_path / "out", params(on_bad="skip"), processes=2)  # the reason travels between processes
    assert sum(manifest["views"].values()) == 29
    assert manifest["samples_left_out"] == {"moved": 2}  # those with the image that was left out
    (skipped,) = manifest["skipped"]
    assert skipped["file"].endswith("parts/s1_v0.png")
    assert skipped["reason"].startswith("it holds the id 9")


def test_pairs_across_splits_are_left_out_and_told(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = example / "moved.csv"
    table.write_text(table.read_text() + "".join(f"s{one}_v0,s{(one + 1) % 10}_v0.png,1,1\n" for one in range(10)))
    left = prepare(example, tmp_path / "out", params(), processes=1)["samples_left_out"]["moved"]
    assert 0 < left < 10
    assert f"moved.csv: {left} of 40 samples are left out: their images lie in different splits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_a,image_b,value\ns0_v0,dog,1\ns0_v0,cat,1\n", "2 of the images it names are not in images/: cat, dog"),
        ("image_a,image_b,value\ns0_v0,s0_v1,\n", "lists no sample"),
        ("image_a,image_b,value\ns0_v0,s0_v1,left\n", r"row 2 \(left\)"),
        ("image_a,value\ns0_v0,1\n", r"columns must be image_a, image_b \(and image_c\), and value, or value.0, .* \(are image_a, value\)"),
        ("image_a,image_b,value.0,value.2\ns0_v0,s0_v1,1,2\n", "columns must be"),
        ("image_a,image_b,value,note\ns0_v0,s0_v1,1,2\n", "columns must be"),
        ("image_a,image_b,value\n", "lists no sample"),
    ],
)
def test_lists_that_make_no_sense_are_refused(example: Path, tmp_path: Path, text: str, said: str) -> None:
    (example / "moved.csv").write_text(text)
    with pytest.raises(TaskonomyError, match=f"moved.csv: .*{said}"):
        prepare(example, tmp_path / "out", params(), processes=1)


@pytest.mark.parametrize(
    ("values", "found", "kept"),
    [
        ({"kind": "map", "channels": 1}, np.zeros((4, 4, 1)), (4, 4, 1)),
        ({"kind": "map", "channels": 5}, np.zeros((4, 4, 5)), (4, 4, 5)),
        ({"kind": "pixel_classes", "classes": 2}, np.ones((4, 4, 3)), (4, 4)),  # grey, saved as a colour image
        ({"kind": "pixel_classes", "classes": 2}, np.full((4, 4), 255), (4, 4)),
        ({"kind": "vector", "length": 3}, np.zeros((1, 3)), (3,)),
        ({"kind": "class", "classes": 2}, np.ones(1), (1,)),
    ],
)
def test_other_ways_to_store_the_same_are_taken(values: dict[str, Any], found: Any, kept: tuple[int, ...]) -> None:
    assert fitted("mine", TypeAdapter(AnyCustomTask).validate_python(values), found).shape == kept


@pytest.mark.parametrize("found", [np.full(1, 255), np.full(1, -1), np.full(1, np.inf), np.zeros((4, 4)), np.zeros(0)])
def test_a_class_is_one_number_below_their_count(found: Any) -> None:
    with pytest.raises(MisfitError):
        fitted("mine", TypeAdapter(AnyCustomTask).validate_python({"kind": "class", "classes": 2}), found)
