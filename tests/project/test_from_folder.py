"""Projects that `taskonomy init --from FOLDER` makes of a folder of images and labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from PIL import Image

from taskonomy.config.params import read_params
from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_report import CustomReport
from taskonomy.data.prepare.run import prepare
from taskonomy.data.suggest import as_yaml, suggest
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.project.example import write_example
from taskonomy.project.init import init

RNG = np.random.default_rng(0)


def images(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    return root


def test_the_example_without_its_declaration_becomes_a_project_that_is_prepared(tmp_path: Path) -> None:
    source = tmp_path / "shapes"
    write_example(source, scenes=10, views=3)
    said = init(tmp_path / "project", source)
    params = read_params(tmp_path / "project/params.yaml")
    own = params.data.own
    template = yaml.safe_load((ROOT / "src/taskonomy/project/template/params.yaml").read_text())["data"]["own"]
    assert {name: one.kind for name, one in own.items()} == {name: one["kind"] for name, one in template.items()}
    assert (own["parts"].count, own["floor"].count, own["light"].length, own["moved"].of_images) == (4, 3, 3, 2)
    assert set(params.transfer.targets) == set(own)
    assert params.data.root == str(source)
    stages = yaml.safe_load((tmp_path / "project/dvc.yaml").read_text())["stages"]
    assert "example" not in stages
    assert not (tmp_path / "project/data").exists()
    assert any("class or number?" in line for line in said)
    assert "    # ? class or number?" in (tmp_path / "project/params.yaml").read_text()
    manifest = prepare(params.data.root, tmp_path / "out", params.data, processes=1)
    assert sum(manifest["views"].values()) == 30
    assert len(Prepared(tmp_path / "out").task(params.registry["moved"]).stored) + manifest["samples_left_out"]["moved"] == 30


def test_what_files_say_is_declared_and_what_they_do_not_say_is_asked(tmp_path: Path) -> None:
    names = [f"{('cat', 'dog')[number % 2]}/{number}" for number in range(10)]
    root = images(tmp_path / "mine", names)
    for name in names:
        for folder, values in (
            ("depth", RNG.integers(0, 2, (32, 32)).astype(np.uint16) * 4000),
            ("mole", RNG.integers(0, 2, (32, 32)).astype(np.uint8) * 255),
            ("photo", RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)),
        ):
            path = root / folder / f"{name}_x.png" if folder == "photo" else root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
        path = root / "heat" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.where(RNG.random((32, 32)) < 0.1, np.nan, RNG.random((32, 32))))
    rows = [f"{name},{('wet', 'dry')[number % 2]},sky|sea,seen on {number} May,{number / 7}" for number, name in enumerate(names)]
    (root / "labels.csv").write_text("path,ground,seen,note,age\n" + "\n".join(rows) + "\n")
    found, _notes = suggest(root)
    declared = {one.name: one.declared for one in found}
    questions = {one.name: " ".join(one.questions) for one in found}
    assert declared["mole"] == {"kind": "pixel_classes", "classes": 2, "values": [0, 255]}
    assert declared["photo"] == {"kind": "map", "channels": 3, "range": [0, 255], "files": "photo/{name}_x.png"}
    assert declared["heat"]["missing"] == "nan"
    assert declared["ground"] == {"kind": "class", "classes": ["dry", "wet"]}
    assert declared["seen"] == {"kind": "labels", "classes": ["sea", "sky"]}
    assert declared["age"] == {"kind": "vector", "length": 1}
    assert declared["folder"] == {"kind": "class", "classes": ["cat", "dog"], "folders": True}
    assert declared["note"] is None
    # Two values far apart: ids beyond 254 are none, so it is not said what they are.
    assert declared["depth"] is None
    assert "4000" in questions["depth"]
    assert yaml.safe_load(as_yaml(found, [])).keys() == {name for name, one in declared.items() if one}


@pytest.mark.parametrize(("segmentation", "kind"), [([[1, 1, 9, 1, 9, 9]], "pixel_classes"), (None, "labels")])
def test_a_coco_file_is_found_and_its_categories_named(tmp_path: Path, segmentation: object, kind: str) -> None:
    root = images(tmp_path / "mine", ["a", "b"])
    (root / "labels.csv").write_text("image,y\na,1.5\nb,2.5\n")
    more = {"segmentation": segmentation} if segmentation else {}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 32, "width": 32}],
        "annotations": [{"image_id": 1, "category_id": 4, **more}],
        "categories": [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    (root / "instances.json").write_text(json.dumps(content))
    found = {one.name: one for one in suggest(root)[0]}
    classes = ["cat", "dog", "background"] if segmentation else ["cat", "dog"]
    assert found["instances"].declared == {"kind": kind, "classes": classes, "files": "instances.json"}


def test_label_files_under_several_suffixes_in_one_folder_are_a_task_each(tmp_path: Path) -> None:
    root = images(tmp_path / "mine", ["a", "ab", "b"])
    (root / "labels").mkdir()
    for name in ("a", "ab"):  # b has no label
        Image.fromarray(RNG.integers(0, 9000, (32, 32)).astype(np.uint16)).save(root / f"labels/{name}_depth.png")
        Image.fromarray(RNG.integers(0, 3, (32, 32), np.uint8)).save(root / f"labels/seg-{name}.png")
    found = {one.name: one.declared for one in suggest(root)[0]}
    assert {name: one["files"] for name, one in found.items()} == {"depth": "labels/{name}_depth.png", "seg": "labels/seg-{name}.png"}
    assert {name: one["kind"] for name, one in found.items()} == {"depth": "map", "seg": "pixel_classes"}
    Image.fromarray(RNG.integers(0, 3, (32, 32), np.uint8)).save(root / "labels/c_depth.png")
    with pytest.raises(TaskonomyError, match=r"labels: 5 of 5 labels have no image: .*c_depth"):
        suggest(root)


def labelled_under(root: Path, *files: str) -> Path:
    images(root, ["a", "b"])
    for file in files:
        (root / file).parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 3, (32, 32), np.uint8)).save(root / file)
    return root


def test_files_without_a_word_beside_the_name_are_a_task_of_the_folders_name(tmp_path: Path) -> None:
    root = labelled_under(tmp_path / "mine", *(f"masks/{name}{end}.png" for name in "ab" for end in ("_", "_depth")))
    found = {one.name: one.declared for one in suggest(root)[0]}
    assert {name: one["files"] for name, one in found.items()} == {"masks": "masks/{name}_.png", "depth": "masks/{name}_depth.png"}


def test_two_suffixes_of_one_word_are_named_and_none_hides_the_other(tmp_path: Path) -> None:
    root = labelled_under(tmp_path / "mine", *(f"labels/{name}{end}.png" for name in "ab" for end in ("-depth", "_depth")))
    with pytest.raises(TaskonomyError, match=r"labels: 4 of 4 labels have no image: a-depth, a_depth"):
        suggest(root)


def test_a_suffix_with_the_name_of_another_folder_is_refused(tmp_path: Path) -> None:
    root = labelled_under(tmp_path / "mine", "depth/a.png", *(f"labels/{name}{end}.png" for name in "ab" for end in ("_seg", "_depth")))
    with pytest.raises(TaskonomyError) as error:
        suggest(root)
    assert str(error.value) == f"{root}: depth has labels under {root}/depth and {root}/labels; rename or move one"


def test_folders_of_classes_are_enough_of_a_label(tmp_path: Path) -> None:
    root = images(tmp_path / "mine", [f"{('cat', 'dog')[number % 2]}/{number}" for number in range(8)])
    assert [one.declared for one in suggest(root)[0]] == [{"kind": "class", "classes": ["cat", "dog"], "folders": True}]
    assert "labels      none that are numbers or files" in CustomReport(CustomSource(root)).render()


def test_a_panoptic_coco_file_is_enough_of_a_label_and_the_folder_beside_it_is_no_other(tmp_path: Path) -> None:
    root = images(tmp_path / "mine", ["a", "b"])
    (root / "panoptic").mkdir()
    for name in "ab":
        Image.fromarray(np.full((32, 32, 3), (7, 0, 0), np.uint8)).save(root / f"panoptic/{name}.png")
    listed = [{"id": number, "file_name": f"{name}.png", "height": 32, "width": 32} for number, name in enumerate("ab")]
    segments = [{"image_id": number, "file_name": f"{name}.png", "segments_info": [{"id": 7, "category_id": 1}]} for number, name in enumerate("ab")]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (root / "panoptic.json").write_text(json.dumps({"images": listed, "annotations": segments, "categories": categories}))
    assert [one.declared for one in suggest(root)[0]] == [
        {"kind": "pixel_classes", "classes": ["cat", "dog", "background"], "files": "panoptic.json"}
    ]


def test_names_of_folders_cannot_write_into_the_parameters(tmp_path: Path) -> None:
    root = images(tmp_path / "mine", ["a", "b", "c"])
    (root / "labels.csv").write_text('image,y,"z\n  root: /etc\n"\na,1.5,0\nb,2.5,1\nc,3,1\n')
    found, notes = suggest(root)
    assert all(line.startswith("    ") for line in as_yaml(found, notes).splitlines())
    init(tmp_path / "project", root)
    assert read_params(tmp_path / "project/params.yaml").data.root == str(root)


def test_a_folder_without_images_or_labels_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match="has no folder images/"):
        init(tmp_path / "project", tmp_path)
    root = images(tmp_path / "mine", ["a"])
    (root / "labels.csv").write_text("image,note\na,hello\n")
    with pytest.raises(TaskonomyError, match=r"has nothing that can be declared \(note: text that is always 'hello'\)"):
        init(tmp_path / "project", root)
    assert not (tmp_path / "project").exists()
