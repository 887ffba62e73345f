"""Components of Omnidata: images that are not square, depths of other units, cameras without a room's box, scenes of one name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from by_hand import npy, png, write_folder
from conftest import ROOT
from test_prepare import params

from taskonomy.cli.data import inspect as look
from taskonomy.config.params import read_params
from taskonomy.data.count_labels import count_labels
from taskonomy.data.datasets import open_anew
from taskonomy.data.framing import ReadOptions
from taskonomy.data.inspect import inspect
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.estimate.estimate import make_plan
from taskonomy.estimate.estimate_text import render
from taskonomy.release.index_file import open_index, write_index
from taskonomy.release.layouts import open_source
from taskonomy.tasks import BUILT_IN

HIGH, WIDE = 32, 48
TASKS = ("autoencoding", "depth_zbuffer", "normal", "class_scene", "vanishing_point", "camera_pose_fixated")
FOV = 1.2


def pixels(scene: str, domain: str, view: int) -> np.ndarray:
    rng = np.random.default_rng([len(scene), ord(scene[-1]), len(domain), view])
    if domain == "depth_zbuffer":
        return rng.integers(3000, 60000, (HIGH, WIDE)).astype(np.uint16)
    return rng.integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)


def component(root: Path, name: str, scenes: tuple[str, ...]) -> Path:
    """As Omnidata's starter data: `<domain>/<component>/<scene>/`, files named as the release's, cameras of three fields."""
    for scene in scenes:
        for domain in ("rgb", "normal", "depth_zbuffer"):
            files = {f"point_0_view_{view}_domain_{domain}.png": png(pixels(scene, domain, view)) for view in range(3)}
            write_folder(root / domain / name / scene, files)
        camera = {"camera_location": [0.0, 1.0, 1.5], "camera_rotation_final": [1.5, 0.0, 0.2], "field_of_view_rads": FOV}
        infos = {f"point_0_view_{view}_domain_fixatedpose.json": json.dumps(camera).encode() for view in range(3)}
        write_folder(root / "point_info" / name / scene, infos)
        shares = npy(np.random.default_rng(0).random(365).astype(np.float32))
        write_folder(root / "class_scene" / name / scene, {f"point_0_view_{view}_domain_class_places.npy": shares for view in range(3)})
    return root


SCENES = tuple(f"b{number}" for number in range(7))


def test_a_component_of_wide_images_and_plain_cameras_is_prepared(tmp_path: Path) -> None:
    root = component(tmp_path / "omnidata", "hypersim", SCENES)
    assert inspect(root).damages == []
    assert "resolution  48 x 32 pixels" in inspect(root).render()
    manifest = prepare(root, tmp_path / "out", params(tasks=TASKS), processes=1)
    assert manifest["skipped"] == []
    done = Prepared(tmp_path / "out")
    middle = slice((WIDE - HIGH) // 2, (WIDE + HIGH) // 2)
    for row, view in done.index.iterrows():
        assert (done.images[row] == pixels(view["building"], "rgb", view["view"])[:, middle]).all()
        assert (done.task(BUILT_IN["normal"]).stored[row] == pixels(view["building"], "normal", view["view"])[:, middle]).all()
    # A camera file has the field of view of the longer side; that of the square follows from the same focal length.
    assert np.load(tmp_path / "out/cameras.npy")[:, 6] == pytest.approx(2 * np.arctan(np.tan(FOV / 2) * HIGH / WIDE))


def test_padding_keeps_the_field_of_view_and_masks_the_bars(tmp_path: Path) -> None:
    root = component(tmp_path / "omnidata", "hypersim", SCENES)
    prepare(root, tmp_path / "out", params(tasks=("autoencoding", "depth_zbuffer", "vanishing_point"), fit="pad"), processes=1)
    done = Prepared(tmp_path / "out")
    assert np.load(tmp_path / "out/cameras.npy")[:, 6] == pytest.approx(FOV)
    for task in ("autoencoding", "depth_zbuffer"):
        mask = done.task(BUILT_IN[task]).mask(np.arange(len(done.index)))
        bars = 32 * (WIDE - HIGH) // WIDE // 2  # 48 pixels become 32, of which 8 at the top and 8 at the bottom were padding
        assert not mask[:, :bars].any()
        assert not mask[:, -bars:].any()
        assert mask[:, bars + 1 : -bars - 1].all()


@pytest.mark.parametrize(("name", "reach"), [("clevr", 64.0), ("google_scanned", 0.5), ("replica", 128.0), ("CLEVR", 64.0)])
@pytest.mark.parametrize("layout", ["omnidata", "older trainers", "root is the component", "index"])
def test_depths_are_metres_whatever_the_component_stores(tmp_path: Path, name: str, reach: float, layout: str) -> None:
    root = component(tmp_path / "omnidata", name, SCENES[:1])
    if layout == "older trainers":
        for domain in ("rgb", "depth_zbuffer"):
            shutil.copytree(root / domain / name, tmp_path / "older" / name / domain)
        root = tmp_path / "older"
    elif layout == "root is the component":
        for domain in ("rgb", "depth_zbuffer"):
            shutil.copytree(root / domain / name, tmp_path / "alone" / name / domain)
        root = tmp_path / "alone" / name
    elif layout == "index":
        write_index(root, tmp_path / "index.json")
        root = tmp_path / "index.json"
    data = open_anew(root)
    stored = pixels("b0", "depth_zbuffer", 1)[:, 8:40] / 65536 * reach
    assert np.abs(data.view(data.keys[1], 32).stored("depth_zbuffer") / 512 - stored).max() <= 0.5 / 512 + 1e-9
    notes = [f"{name.lower()}: depths are stored in shares of {reach:g} m, and read in the release's steps of 1/512 m"] if reach != 128 else []
    assert data.notes() == notes


def test_a_component_can_be_named_and_scenes_of_one_name_stay_apart(tmp_path: Path) -> None:
    root = component(tmp_path / "omnidata", "taskonomy", SCENES[:2])
    component(root, "replica", SCENES[:1])
    component(root, "hm3d", ("other",))
    assert open_source(root).buildings == ("b0", "b1", "other", "replica.b0")
    assert len(open_source(root).views()) == 12
    assert [problem for name in open_source(root).buildings for problem in open_source(root).problems(name, "rgb")] == []
    write_index(root, tmp_path / "index.json")
    for whole in (open_source(root), open_index(tmp_path / "index.json")):
        assert whole.of_components(["Replica"]).buildings in (("replica.b0",),)
        assert whole.of_components(["hm3d", "taskonomy"]).buildings == ("b0", "b1", "other")
    with pytest.raises(TaskonomyError, match=r"has no component clevr; it has hm3d, replica, taskonomy$"):
        open_anew(root, options=ReadOptions(components=("clevr",)))


def test_a_label_of_another_size_than_its_image_is_damage(tmp_path: Path) -> None:
    root = component(tmp_path / "omnidata", "hypersim", SCENES)
    path = root / "normal/hypersim/b0/point_0_view_0_domain_normal.png"
    path.write_bytes(png(np.zeros((32, 32, 3), np.uint8)))
    with pytest.raises(TaskonomyError, match=rf"{path} \(is 32 x 32 pixels, must be 48 x 32\)"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "normal")), processes=1)


def test_a_component_without_a_domain_lacks_its_labels_and_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = tuple(f"b{number}" for number in range(14))
    root = component(tmp_path / "omnidata", "hypersim", scenes)
    component(root, "replica", ("r0", "r1"))
    for domain in ("normal", "class_scene"):
        shutil.rmtree(root / domain / "replica")
    shutil.rmtree(root / "normal/hypersim/b0")
    tasks = ("autoencoding", "normal", "depth_zbuffer", "class_scene", "vanishing_point")
    manifest = prepare(root, tmp_path / "out", params(tasks=tasks, splits={"train": 0.4, "val": 0.3, "test": 0.3}), processes=1)
    assert manifest["skipped"] == []
    done = Prepared(tmp_path / "out")
    assert len(done.index) == 16 * 3
    without = {"normal": {"r0", "r1", "b0"}, "class_scene": {"r0", "r1"}}
    for task in tasks:
        there = set(done.index["building"].iloc[done.task(BUILT_IN[task]).samples[:, 0]])
        assert {*scenes, "r0", "r1"} - there == without.get(task, set())
    normal = done.task(BUILT_IN["normal"])
    for sample, row in enumerate(normal.samples[:, 0]):
        view = done.index.iloc[row]
        assert (normal.stored[sample] == pixels(view["building"], "normal", view["view"])[:, 8:40]).all()
    said = "buildings without any file of a domain, whose images lack its labels: class_scene in 2 of 16 (r0, r1); normal in 3 of 16 (b0, r0, r1)"
    assert f"prepare: {said}\n" in capsys.readouterr().err
    assert open_anew(root).notes(sorted({"rgb", "normal", "class_scene"})) == [said]
    assert inspect(root).damages == []
    assert inspect(root).domains["normal"].missing == 9
    split_of = dict(zip(done.index["building"], done.index["split"], strict=True))
    write_index(root, tmp_path / "index.json")
    for place in (root, tmp_path / "index.json"):
        counts = count_labels(open_anew(place), tasks, split_of)
        assert counts == {task: manifest["labelled"][task] for task in ("normal", "depth_zbuffer", "class_scene", "vanishing_point")}


def test_inspect_and_plan_count_the_labels_of_released_data_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = component(tmp_path / "omnidata", "hypersim", tuple(f"b{number}" for number in range(20)))
    for number in range(0, 20, 2):
        shutil.rmtree(root / f"normal/hypersim/b{number}")
    tasks = ["autoencoding", "normal", "depth_zbuffer"]
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"root": str(root), "tasks": tasks, "labels": {}}
    values["transfer"] |= {"targets": tasks, "variants": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    look(str(root), sample=1)
    here, plan = capsys.readouterr().out, render(make_plan(read_params(), "here", pipeline=ROOT / "dvc.yaml"))
    for said in (here, plan):
        rows = [row for line in said.splitlines() if len(row := line.split()) == 6 and row[0] in tasks]
        assert {name: sum(map(int, counts)) for name, *counts in rows} == {"normal": 30, "depth_zbuffer": 60}
        assert "labelled in test_affinity: shares of so few are known to" in said


def test_one_file_that_is_missing_among_others_is_damage(tmp_path: Path) -> None:
    root = component(tmp_path / "omnidata", "hypersim", SCENES)
    path = root / "normal/hypersim/b0/point_0_view_0_domain_normal.png"
    path.unlink()
    with pytest.raises(TaskonomyError, match=rf"1 of 63 files is damaged: {path} \(missing\); repair it or set data\.on_bad: skip"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "normal", "depth_zbuffer")), processes=1)


@pytest.mark.parametrize("domain", ["rgb", "point_info"])
def test_images_and_cameras_are_what_no_scene_can_do_without(tmp_path: Path, domain: str) -> None:
    root = component(tmp_path / "omnidata", "hypersim", (*SCENES, "b7"))
    shutil.rmtree(root / domain / "hypersim/b7")
    if domain == "rgb":  # without an image there is no view
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "vanishing_point")), processes=1)
        assert "b7" not in set(Prepared(tmp_path / "out").index["building"])
        return
    with pytest.raises(TaskonomyError, match=r"3 of 48 files are damaged: .*b7.*point_info.*point_0_view_0.* \(missing\)"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "vanishing_point")), processes=1)
