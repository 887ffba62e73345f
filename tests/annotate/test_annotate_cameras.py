"""Folders of RGB-D images as real cameras and common data sets have them, against geometry."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotate.scenes import box_on_floor, textured

from taskonomy.annotate.rgbd import annotate_folder
from taskonomy.annotate.rgbd_folders import Intrinsics, read_intrinsics
from taskonomy.cli.main import main
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import from_bytes

pytestmark = pytest.mark.usefixtures("prepared")  # with which numba compiles, in one process while others wait

SIDE = 64
ONLY_IMAGE = {"rgb", "edge_texture", "keypoints2d", "segment_unsup2d"}
ONLY_DEPTH = ONLY_IMAGE | {"depth_zbuffer", "edge_occlusion", "mask_valid"}


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


def plane(height: int, width: int, lens: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a slanted plane as a camera with these intrinsics sees it, metres, and its normal (+X right, +Y up, +Z to the viewer)."""
    across, down = np.meshgrid((np.arange(width) - lens.cx) / lens.fx, (np.arange(height) - lens.cy) / lens.fy)
    normal = np.array([0.3, 0.2, 1.0]) / np.linalg.norm([0.3, 0.2, 1.0])
    rays = np.stack([across, -down, -np.ones_like(across)], -1)
    return -2.0 * normal[2] / (rays @ normal), normal


def read(root: Path, domain: str, name: str) -> np.ndarray:
    return from_bytes(domain, (root / domain / f"{name}.png").read_bytes())


def normals(root: Path, name: str) -> np.ndarray:
    return (read(root, "normal", name).astype(float) / 127.5 - 1) * (1, -1, -1)


@pytest.mark.parametrize(
    ("image", "depth"),
    [
        ("color/{}.jpg", "depth/{}.png"),  # ScanNet
        ("rgb/{}.png", "depth/{}.png"),
        ("images/{}.jpg", "depths/{}.tif"),
        ("{}.jpg", "{}_depth.png"),
    ],
)
def test_images_and_depths_are_found_where_data_sets_have_them(tmp_path: Path, image: str, depth: str) -> None:
    for name in ("0", "10", "9"):
        save(tmp_path / "in" / image.format(name), textured(SIDE))
        save(tmp_path / "in" / depth.format(name), np.full((SIDE, SIDE), 2000, np.uint16))
    found = annotate_folder(tmp_path / "in", tmp_path / "out", fov_degrees=60, depth_unit=1000)
    assert sorted(found.images) == ["0", "10", "9"]
    assert (read(tmp_path / "out", "depth_zbuffer", "9") == 1024).all()
    assert found.left_out == ()


def test_lists_of_times_pair_each_image_with_the_nearest_depth(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for time, value in ((1.0, 5000), (2.0, 10000), (3.0, 15000)):
        save(root / f"rgb/{time:.6f}.png", textured(SIDE))
        save(root / f"depth/{time + 0.013:.6f}.png", np.full((SIDE, SIDE), value, np.uint16))
    save(root / "rgb/9.000000.png", textured(SIDE))  # of no depth near
    (root / "rgb.txt").write_text("# color images\n" + "".join(f"{time:.6f} rgb/{time:.6f}.png\n" for time in (1, 2, 3, 9)))
    (root / "depth.txt").write_text("# depth maps\n" + "".join(f"{time + 0.013:.6f} depth/{time + 0.013:.6f}.png\n" for time in (1, 2, 3)))
    found = annotate_folder(root, tmp_path / "out", fov_degrees=60, depth_unit=5000)
    assert found.images == ("1.000000", "2.000000", "3.000000")
    assert [int(read(tmp_path / "out", "depth_zbuffer", name)[0, 0]) for name in found.images] == [512, 1024, 1536]


@pytest.mark.parametrize("values", [np.uint16, np.float32])
def test_depths_have_any_unit_and_any_mark_of_what_is_missing(tmp_path: Path, values: type) -> None:
    metres = np.linspace(1, 3, SIDE * SIDE).reshape(SIDE, SIDE)
    stored = (metres * 1000).astype(np.uint16) if values is np.uint16 else metres.astype(np.float32)
    stored[5:9, 7:20] = 9999 if values is np.uint16 else -1
    stored[0, 0] = 0
    save(tmp_path / "in/rgb/a.png", textured(SIDE))
    save(tmp_path / f"in/depth/a.{'png' if values is np.uint16 else 'npy'}", stored)
    unit, marks = (1000, (0, 9999)) if values is np.uint16 else (1, (-1,))
    annotate_folder(tmp_path / "in", tmp_path / "out", fov_degrees=60, depth_unit=unit, missing=marks)
    valid = read(tmp_path / "out", "mask_valid", "a") > 0
    expected = np.ones((SIDE, SIDE), bool)
    expected[5:9, 7:20] = expected[0, 0] = False
    assert (valid == expected).all()
    assert np.abs(read(tmp_path / "out", "depth_zbuffer", "a")[expected] / 512 - metres[expected]).max() < 0.002


@pytest.mark.parametrize(
    "lens",
    [
        Intrinsics(60.0, 60.0, 47.5, 31.5),  # the middle
        Intrinsics(60.0, 60.0, 40.0, 35.0),  # off the middle
        Intrinsics(60.0, 72.0, 44.0, 30.0),  # pixels that are not square
    ],
)
def test_intrinsics_give_the_normals_of_the_surface_wherever_the_principal_point_lies(tmp_path: Path, lens: Intrinsics) -> None:
    height, width = 64, 96
    depth, normal = plane(height, width, lens)
    save(tmp_path / "in/rgb/a.png", np.zeros((height, width, 3), np.uint8) + 90)
    save(tmp_path / "in/depth/a.npy", depth)
    annotate_folder(tmp_path / "in", tmp_path / "out", intrinsics=lens, depth_unit=1)
    found = normals(tmp_path / "out", "a")
    side = found.shape[0]
    assert 45 < side <= 64
    inside = found[4:-4, 4:-4]
    cosine = inside @ normal / np.linalg.norm(inside, axis=-1)
    assert np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1))) < 1
    # The Euclidean distance depends on where the middle is: it is the ray's length through each pixel of the square.
    ray = (np.arange(side) + 0.5 - side / 2) / min(lens.fx, lens.fy)
    secant = np.sqrt(1 + ray[None, :] ** 2 + ray[:, None] ** 2)
    z, distance = read(tmp_path / "out", "depth_zbuffer", "a") / 512, read(tmp_path / "out", "depth_euclidean", "a") / 512
    assert np.abs(distance - z * secant).max() < 0.004
    # And the depth is that of the plane where these rays meet it, but for the half pixel by which the middle is rounded.
    rays = np.stack(np.broadcast_arrays(ray[None, :], -ray[:, None], -1.0), -1)
    assert np.abs(z - -2.0 * normal[2] / (rays @ normal)).max() < 0.02


def test_each_view_may_have_intrinsics_of_its_own(tmp_path: Path) -> None:
    save(tmp_path / "in/color/a.jpg", textured(SIDE))
    save(tmp_path / "in/color/b.jpg", textured(SIDE))
    for name, focal in (("a", 50.0), ("b", 100.0)):
        save(tmp_path / f"in/depth/{name}.png", np.full((SIDE, SIDE), 1000, np.uint16))
        matrix = np.eye(4)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = focal, focal, 31.5, 31.5
        (tmp_path / "in/intrinsics").mkdir(exist_ok=True)
        np.savetxt(tmp_path / f"in/intrinsics/{name}.txt", matrix)
    found = annotate_folder(tmp_path / "in", tmp_path / "out", depth_unit=1000)
    for name, focal in (("a", 50.0), ("b", 100.0)):
        corner = read(tmp_path / "out", "depth_euclidean", name)[0, 0] / 512
        assert corner == pytest.approx(np.sqrt(1 + 2 * (31.5 / focal) ** 2), abs=0.002)
    assert f"intrinsics are those of {tmp_path / 'in/intrinsics'}" in found.render()


def test_what_cannot_be_known_is_left_out_and_said(tmp_path: Path) -> None:
    save(tmp_path / "in/rgb/a.png", textured(SIDE))
    found = annotate_folder(tmp_path / "in", tmp_path / "only_image")
    assert set(found.domains) == ONLY_IMAGE
    assert "left out, no depth: depth_zbuffer, depth_euclidean, normal" in found.render()
    save(tmp_path / "in/depth/a.png", np.rint(box_on_floor().depth * 512).astype(np.uint16))
    found = annotate_folder(tmp_path / "in", tmp_path / "no_camera")
    assert set(found.domains) == ONLY_DEPTH
    assert "left out, no field of view and no intrinsics (--fov or --intrinsics): depth_euclidean, normal" in found.render()
    assert "depths are taken for units of 1/512 m" in found.render()
    # What is made without a camera is what is made with one.
    annotate_folder(tmp_path / "in", tmp_path / "all", fov_degrees=60)
    for domain in ONLY_DEPTH:
        assert (tmp_path / "no_camera" / domain / "a.png").read_bytes() == (tmp_path / "all" / domain / "a.png").read_bytes()
    for domain in ONLY_IMAGE:
        assert (tmp_path / "only_image" / domain / "a.png").read_bytes() == (tmp_path / "all" / domain / "a.png").read_bytes()


def test_larger_colour_images_are_brought_to_the_size_of_their_depths_and_it_is_said(tmp_path: Path) -> None:
    save(tmp_path / "in/color/a.png", np.kron(textured(SIDE), np.ones((2, 2, 1), np.uint8)))
    save(tmp_path / "in/depth/a.png", np.full((SIDE, SIDE), 1000, np.uint16))
    found = annotate_folder(tmp_path / "in", tmp_path / "out", fov_degrees=60, depth_unit=1000)
    assert (read(tmp_path / "out", "rgb", "a") == textured(SIDE)).all()
    assert "images of 128 x 128 pixels are resized to the 64 x 64 of their depths, which must be registered to them" in found.render()


@pytest.mark.parametrize("text", ["500,510,320,240", "500 510 320 240", "[500 0 320; 0 510 240; 0 0 1]", "500 0 320 0 0 510 240 0 0 0 1 0 0 0 0 1"])
def test_intrinsics_are_four_numbers_or_a_matrix(text: str) -> None:
    assert read_intrinsics(text, "x") == Intrinsics(500, 510, 320, 240)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--intrinsics", "500,510,320"],
            "--intrinsics: intrinsics must be fx,fy,cx,cy in pixels, or a matrix of 3 x 3 or 4 x 4, with positive focal",
        ),
        (["--intrinsics", "a,b,c,d"], "--intrinsics: intrinsics must be a number"),
        (["--intrinsics", "-5,5,1,1"], "with positive focal lengths"),
        (["--intrinsics", "50,50,900,31"], "the principal point (900, 31) lies outside its 64 x 64 pixels"),
        (["--fov", "60"], "a.npy: holds floating point numbers; say how many are a metre: --depth-scale 1 if they are metres"),
        (["--fov", "60", "--depth-scale", "1", "--missing", "2"], "a.npy: holds no depth"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    save(tmp_path / "in/rgb/a.png", textured(SIDE))
    save(tmp_path / "in/depth/a.npy", np.full((SIDE, SIDE), 2.0))
    more = [] if "--fov" in arguments else ["--depth-scale", "1"]
    monkeypatch.setattr(sys, "argv", ["taskonomy", "annotate", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *more, *arguments])
    with pytest.raises(SystemExit) as error:
        main()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["1.0", "x rgb/a.png", "1.0 ../../secret.png"])
def test_a_list_of_times_that_is_none_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "rgb.txt").write_text(f"# time path\n{line}\n")
    (tmp_path / "depth.txt").write_text("1.0 depth/a.png\n")
    with pytest.raises(TaskonomyError, match=r"rgb\.txt: line 2: must be a time and the path of an image below"):
        annotate_folder(tmp_path, tmp_path / "out")
