"""What people see of data before anything is computed: `taskonomy tasks`, `data inspect`, `data preview`, `annotate`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from by_hand import png, write_folder
from conftest import ROOT

from taskonomy.cli.main import main
from taskonomy.data.preview import MARGIN, TITLE
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.visualize import PAPER


@pytest.fixture
def world(prepared: Prepared) -> Path:
    """That the tiny data was prepared from."""
    return prepared.root.with_name("world")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    monkeypatch.setattr("sys.argv", ["taskonomy", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code, stopped.value.code
    return capsys.readouterr().out


def test_tasks_lists_the_whole_dictionary(monkeypatch, capsys):
    lines = run(monkeypatch, capsys, "tasks").splitlines()
    assert {line.split()[0] for line in lines[1:]} == set(BUILT_IN)


def test_inspect_counts_the_world_and_finds_no_damage(world, monkeypatch, capsys):
    told = run(monkeypatch, capsys, "data", "inspect", world)
    assert "views       168 of 56 points, 3 each" in told
    assert "no damage" in told
    assert "mask_valid" not in told


def test_inspect_reads_a_users_own_folder(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    write_folder(tmp_path / "images", {f"{name}.png": png(rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)) for name in "abc"})
    write_folder(tmp_path / "normal", {f"{name}.png": png(rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)) for name in "abc"})
    (tmp_path / "normal/b.png").write_bytes(b"")
    told = run(monkeypatch, capsys, "data", "inspect", tmp_path)
    assert "images      3: a, b, c" in told
    assert "b.png (empty file)" in told


def test_the_contact_sheet_shows_the_views_and_every_task(world, tmp_path, monkeypatch, capsys):
    run(monkeypatch, capsys, "data", "preview", world, "-o", tmp_path / "sheet.png", "--views", 3, "--side", 48)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    labels = sum(task.label is not None for task in BUILT_IN.values())
    cells = (sheet != sheet[0, 0]).any(-1)
    rows = -(-(labels + 1 - 4) // 9)  # a view may lack partners for the pair tasks
    assert sheet.shape[1] == 9 * (48 + 10) + 10
    assert sheet.shape[0] >= 3 * rows * 48
    assert cells.mean() > 0.4


def test_the_world_is_annotated_again_from_its_own_images_and_depths(world, tmp_path, monkeypatch, capsys):
    from taskonomy.release.layouts import open_source

    source = open_source(world)
    key = source.views()[0]
    write_folder(tmp_path / "in/rgb", {"a.png": source.read(key, "rgb")})
    write_folder(tmp_path / "in/depth", {"a.png": source.read(key, "depth_zbuffer")})
    told = run(monkeypatch, capsys, "annotate", tmp_path / "in", "-o", tmp_path / "out", "--fov", 60)
    assert "1 images" in told
    lines = told.splitlines()
    assert any(line.startswith("the release's: rgb") and "keypoints2d" in line for line in lines)
    assert any(line.startswith("different: principal_curvature, ") for line in lines)
    edges = cv2.imread(str(tmp_path / "out/edge_texture/a.png"), cv2.IMREAD_UNCHANGED)
    written = cv2.imdecode(np.frombuffer(source.read(key, "edge_texture"), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(edges, written)


@pytest.mark.parametrize("fit", ["crop", "pad", "squeeze"])
def test_the_contact_sheet_of_a_project_shows_the_squares_that_it_is_trained_on(tmp_path, monkeypatch, capsys, fit: str):
    """Of an image twice as wide as high: red to the left, green in the middle, blue to the right. Its map is 200 where it is blue, else 40."""
    side = 64
    image, far = np.zeros((side // 2, side, 3), np.uint8), np.full((side // 2, side), 40, np.uint8)
    image[:, : side // 4, 0] = image[:, side // 4 : -side // 4, 1] = image[:, -side // 4 :, 2] = 255
    far[:, -side // 4 :] = 200
    for folder, values in (("images", image), ("far", far)):
        write_folder(tmp_path / "own" / folder, {"a.png": png(values), "b.png": png(values)})
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] |= {"root": "own", "own": {"far": {"kind": "map", "channels": 1}}, "tasks": ["far", "autoencoding"], "labels": {}, "fit": fit}
    for section in ("transfer", "samples"):
        params[section]["targets"] = ["far"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, capsys, "data", "preview", "own", "-o", "sheet.png", "--views", 1, "--side", side)
    sheet = cv2.imread("sheet.png")[..., ::-1]
    top = MARGIN + TITLE
    shown, depth = (sheet[top : top + side, left : left + side].astype(int) for left in (MARGIN, 2 * MARGIN + side))
    colours = {tuple(np.eye(3, dtype=int)[one] * 255) for one in range(3)}
    assert {tuple(pixel) for pixel in shown[side // 2, [2, side // 2, -3]]} == (colours if fit != "crop" else {(0, 255, 0)})
    # Bars are black in the image, and no label in the map.
    assert (shown[2] == 0).all() == (fit == "pad")
    assert (depth[2] == PAPER).all() == (fit == "pad")
    assert not (depth[side // 2] == PAPER).all(-1).any()
    assert (len(np.unique(depth[side // 2], axis=0)) > 1) == (fit != "crop")
