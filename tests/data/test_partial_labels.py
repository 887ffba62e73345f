"""Images of which some have labels of one task, and others of another."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from by_hand import png
from conftest import ROOT

from taskonomy.cli.data import inspect
from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams
from taskonomy.config.params import read_params
from taskonomy.data.count_labels import count_labels, described, table
from taskonomy.data.datasets import open_anew
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.estimate.estimate import make_plan
from taskonomy.estimate.estimate_text import render
from taskonomy.tables.label_counts import words

SIDE, COUNT = 32, 40
NAMES = [f"i{number:02}" for number in range(COUNT)]
SPLIT_OF = ["train"] * 16 + ["val"] * 12 + ["test"] * 12
RNG = np.random.default_rng(3)
DEPTH = RNG.integers(1, 9999, (COUNT, SIDE, SIDE)).astype(np.uint16)
DEPTH[:, :8] = 0  # a hole in every map
PARTS = RNG.integers(0, 3, (COUNT, SIDE, SIDE), np.uint8)
OWN: dict[str, dict[str, Any]] = {
    "depth": {"kind": "map", "channels": 1, "range": [0, 9999], "missing": 0},
    "parts": {"kind": "pixel_classes", "classes": 3},
    "place": {"kind": "vector", "length": 2},
    "tint": {"kind": "class", "classes": ["red", "blue"]},
    "seen": {"kind": "labels", "classes": ["bee", "cat"]},
    "near": {"kind": "class", "classes": 2, "images": 2},
}
KINDS = list(OWN)
PAIRS = [(number, number + 1) for number in range(0, COUNT, 2)]


def draw(root: Path, without: dict[str, set[int]]) -> Path:
    """Images with every label but these; of pairs, the numbers are those of the first image."""
    for folder in ("images", "depth", "parts"):
        (root / folder).mkdir(parents=True)
    rows, pairs = ["image,split,group,place.0,place.1,tint,seen"], ["image_a,image_b,value"]
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):

        def cell(task: str, value: Any, number: int = number) -> Any:
            return "" if number in without.get(task, ()) else value

        (root / f"images/{name}.png").write_bytes(png(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)))
        for task, values in (("depth", DEPTH), ("parts", PARTS)):
            if number not in without.get(task, ()):
                (root / f"{task}/{name}.png").write_bytes(png(values[number]))
        seen = ("|", "bee", "cat", "bee|cat")[number % 4]
        place = (cell("place", number), cell("place", number**2))
        rows.append(f"{name},{SPLIT_OF[number]},{number // 2},{place[0]},{place[1]},{cell('tint', ('red', 'blue')[number % 2])},{cell('seen', seen)}")
    for first, second in PAIRS:
        pairs.append(f"{NAMES[first]},{NAMES[second]},{'' if first in without.get('near', ()) else first // 2 % 2}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "near.csv").write_text("\n".join(pairs) + "\n")
    return root


def params(own: dict[str, Any] = OWN, **more: Any) -> DataParams:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    return checked(DataParams, {**values, "resolution": SIDE, "own": own, "tasks": (*own, "autoencoding"), "labels": {}, **more}, "params.yaml")


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


WITHOUT = {
    "depth": set(range(0, COUNT, 3)),
    "parts": set(range(1, COUNT, 4)),
    "place": set(range(0, COUNT, 5)),
    "tint": set(range(1, COUNT, 3)),
    "seen": set(range(2, COUNT, 4)),
    "near": set(range(0, COUNT, 8)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("whole")
    prepare(draw(base / "own", {}), base / "out", params(), processes=1)
    return base


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("partial")
    prepare(draw(base / "own", WITHOUT), base / "out", params(), processes=1)
    return base


def of_first_image(done: Prepared, task: str) -> dict[int, np.ndarray]:
    """Number of the first image of each sample -> its stored label."""
    found = done.task(params().registry[task])
    points = done.index["point"].to_numpy()[found.samples[:, 0]]
    assert len(found.samples) == len(found.stored) == len(found.splits)
    return {int(point): np.asarray(found.stored[row]) for row, point in enumerate(points)}


@pytest.mark.parametrize("task", KINDS)
def test_a_tasks_samples_are_the_images_that_have_its_label_with_the_labels_they_have_where_all_are_labelled(
    whole: Path, partial: Path, task: str
) -> None:
    every, some = of_first_image(Prepared(whole / "out"), task), of_first_image(Prepared(partial / "out"), task)
    assert set(some) == set(every) - WITHOUT[task] != set(every)
    for number, label in some.items():
        np.testing.assert_array_equal(label, every[number])


def test_images_and_splits_do_not_depend_on_which_labels_there_are(whole: Path, partial: Path) -> None:
    before, after = digests(whole / "out"), digests(partial / "out")
    assert {name for name in before if "/" not in name and before[name] != after[name]} == {"manifest.json"}
    assert {name for name in after if name not in before} == {f"tasks/{task}/samples.npy" for task in KINDS if task != "near"}


@pytest.mark.parametrize("task", KINDS)
def test_a_label_less_changes_the_files_of_its_task_alone(whole: Path, tmp_path: Path, task: str) -> None:
    prepare(draw(tmp_path / "own", {task: {4}}), tmp_path / "out", params(), processes=1)
    before, after = digests(whole / "out"), digests(tmp_path / "out")
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith(f"tasks/{task}/")} <= {"manifest.json"}
    assert f"tasks/{task}/label.npy" in changed


def test_statistics_are_those_of_the_labelled_training_images(partial: Path) -> None:
    done = Prepared(partial / "out")
    there = [number for number in range(16) if number not in WITHOUT["place"]]
    place = np.array([[number, number**2] for number in there], float)
    statistics = done.task(params().registry["place"]).statistics
    np.testing.assert_allclose(statistics["mean"], place.mean(0), rtol=1e-6)
    np.testing.assert_allclose(statistics["std"], place.std(0), rtol=1e-6)


def test_a_mask_is_that_of_its_samples_image(partial: Path) -> None:
    depth = Prepared(partial / "out").task(params().registry["depth"])
    every = np.arange(len(depth.samples))
    np.testing.assert_array_equal(depth.mask(every), np.broadcast_to(np.arange(SIDE)[:, None] >= 8, (len(every), SIDE, SIDE)))


@pytest.mark.parametrize(("task", "empty"), [("depth", np.zeros((SIDE, SIDE), np.uint16)), ("parts", np.full((SIDE, SIDE), 255, np.uint8))])
def test_a_map_without_a_labelled_pixel_is_no_label(tmp_path: Path, task: str, empty: np.ndarray) -> None:
    root = draw(tmp_path / "own", {})
    (root / task / f"{NAMES[7]}.png").write_bytes(png(empty))
    prepare(root, tmp_path / "out", params(), processes=1)
    assert set(range(COUNT)) - set(of_first_image(Prepared(tmp_path / "out"), task)) == {7}


def test_the_counts_before_reading_are_those_of_the_prepared_data(partial: Path) -> None:
    done, data = Prepared(partial / "out"), open_anew(partial / "own", params().registry)
    split_of = dict(zip(done.index["building"], done.index["split"], strict=True))
    counts = count_labels(data, params().tasks, split_of)
    assert counts == {task: {split: len(done.task(params().registry[task]).of_split(split)) for split in Split} for task in KINDS}
    assert counts == {task: found for task, found in done.manifest["labelled"].items() if task != "autoencoding"}
    assert [line.split()[0] for line in table(counts).splitlines()] == ["labelled", *KINDS]
    assert any(line.startswith(f"tint: {counts['tint']['test_policy']} labelled in test_policy: shares of so few") for line in words(counts))


def test_a_folder_too_small_to_be_divided_is_told_in_words(tmp_path: Path) -> None:
    root = draw(tmp_path / "own", {})
    (root / "labels.csv").write_text("image,split,tint\n" + "".join(f"{name},train,red\n" for name in NAMES))
    (root / "near.csv").unlink()
    assert "has no building" in described(open_anew(root, params().registry), params(), sorted(KINDS))


def test_inspect_and_plan_count_what_is_labelled_where_some_images_are_not(
    partial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"root": str(partial / "own"), "own": OWN, "tasks": [*OWN, "autoencoding"], "labels": {}}
    values["transfer"] |= {"targets": list(OWN), "variants": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    inspect(str(partial / "own"))
    here, plan = capsys.readouterr().out, render(make_plan(read_params(), "here", pipeline=ROOT / "dvc.yaml"))
    for task, counts in Prepared(partial / "out").manifest["labelled"].items():
        row = [task, *map(str, counts.values())]
        assert (row in [line.split() for line in here.splitlines()]) == (row in [line.split() for line in plan.splitlines()]) == (task in OWN)


def test_the_run_says_how_many_are_labelled_where_some_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(draw(tmp_path / "own", {"tint": {0}}), tmp_path / "out", params(), processes=1)
    said = capsys.readouterr().err
    assert [line.split()[2] for line in said.splitlines() if line.startswith("prepare: tint ")] == ["15"]


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (("train",), r"tint: 0 of its labels are in split train, 2 at least are needed; label more of the images there"),
        (("val",), r"tint: 0 of its labels are in split transfer, 2 at least"),
        (("test",), r"tint: 0 of its labels are in split test_affinity, 2 at least"),
    ],
)
def test_a_split_without_enough_labels_is_refused_in_one_line(tmp_path: Path, splits: tuple[str, ...], said: str) -> None:
    root = draw(tmp_path / "own", {"tint": {number for number in range(COUNT) if SPLIT_OF[number] in splits}})
    with pytest.raises(TaskonomyError, match=said) as error:
        prepare(root, tmp_path / "out", params(), processes=1)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.replace("4,16,", ",16,"), r"it has 1 of 2 values that are no finite numbers"),
        (lambda row: row.replace(",red,", ",green,"), r"it is 'green', .*one of red, blue would be right"),
    ],
)
def test_half_a_label_is_an_error_and_no_gap(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    root = draw(tmp_path / "own", {})
    rows = (root / "labels.csv").read_text().splitlines()
    rows[5] = change(rows[5])
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(TaskonomyError, match=said):
        prepare(root, tmp_path / "out", params(), processes=1)


def test_a_killed_removal_of_gaps_goes_on_to_the_same_bits(partial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(shutil.copytree(partial / "own", tmp_path / "own"))

    class KilledError(Exception):
        pass

    def killed(*_arguments: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("taskonomy.data.prepare.finalize._write_index", killed)  # labels have been compacted by then
        with pytest.raises(KilledError):
            prepare(root, tmp_path / "out", params(), processes=1)
    assert not (tmp_path / "out").exists()
    prepare(root, tmp_path / "out", params(), processes=1)
    there, again = digests(partial / "out"), digests(tmp_path / "out")
    assert {name for name in there if there[name] != again[name]} <= {"manifest.json"}  # which names the root
    assert there.keys() == again.keys()
