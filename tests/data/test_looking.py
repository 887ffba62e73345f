"""What people see of data before anything is computed: `taskonomy tasks`, `data inspect`, `data preview`, `annotate`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from by_hand import png, write_folder

from taskonomy.cli.main import main
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.tasks import BUILT_IN


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
