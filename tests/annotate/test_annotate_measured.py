"""RGB-D images of one's own: normals from depth, and folders annotated whole or not at all."""

import cv2
import numpy as np
import pytest
from annotate.scenes import Scene, box_on_floor, camera, slanted, textured, wall

from taskonomy.annotate.normals_from_depth import normals_from_depth
from taskonomy.annotate.rgbd import annotate_folder, frame_from_rgbd
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DOMAINS, from_bytes

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait


def degrees_between(first, second):
    return np.degrees(np.arccos(np.clip((first.astype(np.float64) * second).sum(-1), -1, 1)))


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.3, 0.8, 0.6), (-0.7, 0.1, 0.5), (0, 1, 0.3)])
@pytest.mark.parametrize("fov", [40.0, 90.0])
def test_normals_from_depth_are_those_of_the_plane(normal, fov):
    scene = slanted(normal, (0, 0, -3.0), fov=fov)
    found = frame_from_rgbd(textured(64), scene.depth, scene.camera).normal
    seen = np.isfinite(scene.depth)
    inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0
    assert degrees_between(found, scene.normal)[inner].max() < 0.1
    assert np.linalg.norm(found[seen], axis=-1) == pytest.approx(1, abs=1e-5)
    assert (found[~seen] == 0).all()


@pytest.mark.parametrize("resolution", [64, 256])
def test_normals_do_not_reach_across_edges(resolution):
    scene = box_on_floor(resolution)
    wrong = degrees_between(normals_from_depth(scene.depth.astype(np.float32), scene.camera), scene.normal)
    assert np.percentile(wrong, 95) < 1
    assert (wrong > 20).mean() < 0.03


def test_normals_stand_the_steps_of_a_depth_camera():
    scene = box_on_floor(256)
    steps = (np.rint(scene.depth * 512) / 512).astype(np.float32)
    wrong = degrees_between(normals_from_depth(steps, scene.camera), scene.normal)
    assert np.median(wrong) < 0.5
    assert np.percentile(wrong, 95) < 3


def test_lonely_pixels_face_the_viewer():
    depth = np.full((64, 64), np.inf, np.float32)
    depth[10, 50] = 2.0
    normal = normals_from_depth(depth, camera())
    toward = -camera().pixel_rays()[10, 50]
    assert normal[10, 50] == pytest.approx(toward / np.linalg.norm(toward), abs=1e-6)


def test_what_is_no_depth_is_a_hole():
    depth = wall().depth.astype(np.float64)
    depth[0, :4] = (0, -1, np.nan, np.inf)
    frame = frame_from_rgbd(textured(64), depth, camera())
    assert np.isinf(frame.depth[0, :4]).all()
    assert np.isfinite(frame.depth[0, 4:]).all()
    assert (frame.instance, frame.category, frame.scene) == (None, None, None)


def test_sizes_must_agree():
    with pytest.raises(TaskonomyError, match="one size"):
        frame_from_rgbd(textured(64), wall().depth[:32, :32], camera())


def store(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


def depth_file(scene, unit):
    return np.where(np.isfinite(scene.depth), np.rint(scene.depth * unit), 0).astype(np.uint16)


@pytest.mark.parametrize("subfolders", [False, True])
def test_a_folder_is_annotated(tmp_path, subfolders):
    scene = box_on_floor()
    for name in ("b", "a"):
        image, depth = (f"rgb/{name}.png", f"depth/{name}.png") if subfolders else (f"{name}.png", f"{name}_depth.png")
        store(tmp_path / "in" / image, textured(64))
        store(tmp_path / "in" / depth, depth_file(scene, 1000))
    told = []
    result = annotate_folder(
        tmp_path / "in", tmp_path / "out", fov_degrees=60, depth_unit=1000, progress=lambda these, unit: told.append((len(these), unit)) or these
    )
    assert result.images == ("a", "b")
    assert told == [(2, "images")]
    assert set(result.domains) == {path.name for path in (tmp_path / "out").iterdir()}
    assert len(result.domains) == 13
    for domain in result.domains:
        assert sorted(path.name for path in (tmp_path / "out" / domain).iterdir()) == ["a.png", "b.png"]
        from_bytes(domain, (tmp_path / "out" / domain / "a.png").read_bytes(), 64)
    read = {domain: DOMAINS[domain].decode(from_bytes(domain, (tmp_path / f"out/{domain}/a.png").read_bytes())) for domain in result.domains}
    assert (read["rgb"] == textured(64)).all()
    assert np.abs(read["depth_zbuffer"] - scene.depth).max() < 0.002
    secant = np.linalg.norm(scene.rays, axis=-1)
    assert np.abs(read["depth_euclidean"] - scene.depth * secant).max() < 0.003
    assert np.median(degrees_between(read["normal"], scene.normal)) < 2


def test_wide_images_are_cut_to_their_middle_with_the_focal_length_kept(tmp_path):
    scene = wall(2.0, 96, 90.0)
    store(tmp_path / "in/x.png", textured(96)[16:80])
    store(tmp_path / "in/x_depth.png", depth_file(scene, 512)[16:80])
    annotate_folder(tmp_path / "in", tmp_path / "out", fov_degrees=90)
    distance = from_bytes("depth_euclidean", (tmp_path / "out/depth_euclidean/x.png").read_bytes(), 64) / 512
    expected = (scene.depth * np.linalg.norm(scene.rays, axis=-1))[16:80, 16:80]
    assert np.abs(distance - expected).max() < 0.002


@pytest.mark.parametrize("layout", ["beside", "apart"])
def test_hidden_files_are_nobodys_images(tmp_path, layout):
    source = tmp_path / "in"
    image, depth = ("x.png", "x_depth.png") if layout == "beside" else ("rgb/x.png", "depth/x.png")
    store(source / image, textured(64))
    store(source / depth, depth_file(wall(), 512))
    for path in (source / image, source / depth):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7Mac OS X")
    assert annotate_folder(source, tmp_path / "out", fov_degrees=90).images == ("x",)


def test_damaged_files_are_told_and_the_others_written(tmp_path):
    source = tmp_path / "in"
    scene = Scene().plane((0, 0, 1), (0, 0, -2))
    for name in "abcdefgh":
        store(source / f"{name}.png", textured(64))
        store(source / f"{name}_depth.png", depth_file(scene, 512))
    (source / "b.png").write_bytes((source / "b.png").read_bytes()[:-40])
    (source / "c_depth.png").write_bytes(b"")
    (source / "d_depth.png").unlink()
    store(source / "e_depth.png", np.full((64, 64), 100, np.uint8))
    store(source / "f_depth.png", np.zeros((64, 64), np.uint16))
    store(source / "g_depth.png", np.full((32, 48), 1000, np.uint16))
    with pytest.raises(TaskonomyError) as error:
        annotate_folder(source, tmp_path / "out", fov_degrees=60)
    text = str(error.value)
    assert text.startswith("6 of 8 images cannot be annotated")
    said = (
        "b.png: truncated PNG",
        "c_depth.png: empty file",
        "d_depth.png: missing",
        "e_depth.png: must be grey with 16 bits",
        "f_depth.png: holds no",
    )
    assert all(part in text for part in said)
    assert "and 1 more" in text
    assert "g_depth" not in text
    assert "\n" not in text
    assert sorted(path.name for path in (tmp_path / "out/normal").iterdir()) == ["a.png", "h.png"]


def test_a_write_that_fails_leaves_no_file_behind(tmp_path, monkeypatch):
    store(tmp_path / "in/a.png", textured(64))
    store(tmp_path / "in/a_depth.png", depth_file(wall(), 512))

    def full(*_paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taskonomy.atomic_io.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        annotate_folder(tmp_path / "in", tmp_path / "out", fov_degrees=60)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(TaskonomyError, match="no such folder"):
        annotate_folder(tmp_path / "nowhere", tmp_path, fov_degrees=60)
    with pytest.raises(TaskonomyError, match="holds no images"):
        annotate_folder(tmp_path, tmp_path / "out", fov_degrees=60)
    with pytest.raises(TaskonomyError, match=r"field of view.*is 180"):
        annotate_folder(tmp_path, tmp_path / "out", fov_degrees=180)
    with pytest.raises(TaskonomyError, match=r"depth unit.*is 0"):
        annotate_folder(tmp_path, tmp_path / "out", fov_degrees=60, depth_unit=0)
