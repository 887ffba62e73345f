"""Released files as they are: constants read off the release and its generating code, not what this project writes."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from by_hand import npy, png, write_folder, write_tar
from test_prepare import params, release

from taskonomy.cli.main import main
from taskonomy.data.inspect import inspect
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DOMAINS, ViewKey, file_name, from_bytes, to_bytes
from taskonomy.release.index_file import open_index, write_index
from taskonomy.release.layouts import open_source, write_building
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.visualize import Sample, label_picture

# Of the release: v * 0.5 + 0.5 in 8 bits, halves up, along the camera's right, down, and away from it. In camera coordinates Y is up, and Z points
# back to the viewer.
NORMALS = {
    "a wall that faces the camera": ((128, 128, 0), (0, 0, 1)),
    "a floor": ((128, 0, 128), (0, 1, 0)),
    "a ceiling": ((128, 255, 128), (0, -1, 0)),
    "a wall on the left, which faces right": ((255, 128, 128), (1, 0, 0)),
    "a wall on the right, which faces left": ((0, 128, 128), (-1, 0, 0)),
    "a ramp that rises away from the camera": ((128, 37, 37), (0, 0.7071, 0.7071)),
    "a wall turned by 30 degrees to the right": ((191, 128, 18), (0.5, 0, 0.8660)),
}


def degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def decoded(*pixels: tuple[int, ...]) -> np.ndarray:
    image = np.broadcast_to(np.array(pixels, np.uint8)[:, None], (len(pixels), len(pixels), 3))
    return DOMAINS["normal"].decode(from_bytes("normal", png(image)))[:, 0]


@pytest.mark.parametrize("surface", NORMALS)
def test_normals_point_where_the_surface_of_the_released_pixel_does(surface: str) -> None:
    stored, normal = NORMALS[surface]
    assert degrees(decoded(stored)[0], np.array(normal)) < 0.5


def test_the_blue_of_a_wall_that_faces_the_camera_is_near_nothing_in_real_files() -> None:
    for stored in ((128, 128, 1), (127, 128, 1), (128, 128, 0)):
        np.testing.assert_allclose(decoded(stored)[0], (0, 0, 1), atol=0.01)


@pytest.mark.parametrize("surface", NORMALS)
def test_the_written_pixel_is_the_released_one(surface: str) -> None:
    stored, normal = NORMALS[surface]
    image = cv2.imdecode(np.frombuffer(to_bytes("normal", np.full((4, 4, 3), normal, np.float32)), np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.abs(image.astype(int) - stored).max() <= (0 if 1 in np.abs(normal) else 1)


def test_holes_of_normals_are_128_and_have_no_direction() -> None:
    assert (DOMAINS["normal"].encode(np.zeros((2, 2, 3), np.float32)) == 128).all()
    assert (decoded((128, 128, 128), (127, 127, 127)) == 0).all()


def test_what_is_zero_but_for_rounding_is_written_as_zero() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-7, (50, 50, 1))
    level = np.concatenate([noise, 1 - np.abs(noise), noise[::-1]], -1)
    assert np.unique(DOMAINS["normal"].encode(level).reshape(-1, 3), axis=0).tolist() == [[128, 0, 128]]


def test_reading_and_writing_keep_every_value_of_a_normal() -> None:
    stored = np.stack(np.meshgrid(*[np.arange(0, 256, 3)] * 3), -1).reshape(-1, 86, 3).astype(np.uint8)
    hole = ((stored == 127) | (stored == 128)).all(-1)
    assert (DOMAINS["normal"].encode(DOMAINS["normal"].decode(stored))[~hole] == stored[~hole]).all()


def test_normals_are_shown_and_learned_in_the_colours_of_the_file() -> None:
    wall = np.broadcast_to(np.array((128, 128, 0), np.uint8), (8, 8, 3))
    task = BUILT_IN["normal"]
    target = task.label.encode(wall)  # type: ignore[union-attr]
    np.testing.assert_allclose(target[0, 0], (1 / 255, 1 / 255, -1), atol=1e-6)
    assert np.abs(label_picture(task, Sample(target, [], None, 8)).astype(int) - wall).max() <= 1


# Domain, and the name of a file of it in the release.
RELEASED = {
    "class_scene": "point_3_view_7_domain_class_places.npy",
    "class_object": "point_3_view_7_domain_class_object.npy",
    "segment_semantic": "point_3_view_7_domain_segmentsemantic.png",
    "point_info": "point_3_view_7_domain_point_info.json",
    "depth_zbuffer": "point_3_view_7_domain_depth_zbuffer.png",
    "nonfixated_matches": "point_3_view_all_domain_nonfixated_matches.json",
}
DATA = {"npy": lambda domain: npy(np.zeros(DOMAINS[domain].channels)), "png": lambda domain: b"png", "json": lambda domain: b"{}"}


def data_of(domain: str) -> bytes:
    return DATA[RELEASED[domain].rpartition(".")[2]](domain)


@pytest.mark.parametrize("layout", ["folders", "omnidata", "tar"])
def test_files_are_found_and_written_under_the_names_of_the_release(tmp_path: Path, layout: str) -> None:
    names = {"rgb": "point_3_view_7_domain_rgb.png", **RELEASED}
    for domain, name in names.items():
        assert file_name(domain, 3, "all" if domain == "nonfixated_matches" else 7) == name
        match layout:
            case "folders":
                write_folder(tmp_path / "hand/b0" / domain, {name: data_of(domain) if domain in RELEASED else b"png"})
            case "omnidata":
                write_folder(tmp_path / "hand" / domain / "taskonomy/b0", {name: data_of(domain) if domain in RELEASED else b"png"})
            case "tar":
                write_tar(tmp_path / f"hand/b0_{domain}.tar", [(name, data_of(domain) if domain in RELEASED else b"png")])
    write_index(tmp_path / "hand", tmp_path / "hand.json")
    for source in (open_source(tmp_path / "hand"), open_index(tmp_path / "hand.json")):
        assert source.domains == tuple(sorted(names))
        assert all(source.read(ViewKey("b0", 3, 7), domain) == data_of(domain) for domain in RELEASED)
        assert source.unread() == []
    files = [(domain, name, data_of(domain) if domain in RELEASED else b"png") for domain, name in names.items()]
    write_building(tmp_path / "ours", "b0", files, layout=layout)  # type: ignore[arg-type]
    assert {str(path.relative_to(tmp_path / "ours")) for path in (tmp_path / "ours").rglob("*")} == {
        str(path.relative_to(tmp_path / "hand")) for path in (tmp_path / "hand").rglob("*")
    }
    assert open_source(tmp_path / "ours").read(ViewKey("b0", 3, 7), "class_scene") == data_of("class_scene")


def test_of_two_names_for_one_file_the_same_is_read_each_time_and_it_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "b0/rgb", {"point_3_view_7_domain_rgb.png": b"png"})
    names = ("class_scene", "class_places")
    for order in (names, names[::-1]):
        shutil.rmtree(tmp_path / "b0/class_scene", ignore_errors=True)
        for tag in order:
            write_folder(tmp_path / "b0/class_scene", {f"point_3_view_7_domain_{tag}.npy": tag.encode()})
        source = open_source(tmp_path)
        assert source.read(ViewKey("b0", 3, 7), "class_scene") == b"class_scene"
        assert [problem for _where, problem in source.problems("b0", "class_scene")] == ["holds 1 files more than once; the last one is read"]


CAMERA_TASKS = ("autoencoding", "vanishing_point", "camera_pose_fixated", "egomotion", "point_matching")


def without_box(root: Path, files: int | None = None) -> Path:
    """As the cameras of Replica: nothing but where they are, how they look, and how wide."""
    for path in sorted(root.glob("*/point_info/*.json"))[:files]:
        info = json.loads(path.read_text())
        path.write_text(json.dumps({name: info[name] for name in ("camera_location", "camera_rotation_final", "field_of_view_rads")}))
    return root


def test_cameras_without_a_box_serve_every_task_that_does_not_need_it(tmp_path: Path) -> None:
    root = without_box(release(tmp_path / "release"))
    manifest = prepare(root, tmp_path / "out", params(tasks=CAMERA_TASKS), processes=1)
    assert manifest["skipped"] == []
    prepared = Prepared(tmp_path / "out")
    assert len(prepared.index) == 7 * 6
    for task in CAMERA_TASKS[2:4]:
        assert len(prepared.task(BUILT_IN[task]).samples) == 7 * 6
    directions = prepared.task(BUILT_IN["vanishing_point"]).labels(np.arange(42)).reshape(42, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-6)
    summary = inspect(root)
    assert summary.damages == []
    assert str(summary.elsewhere) == "42 camera files without bounding_box_ranges (room_layout cannot do without)"


def test_the_task_that_needs_the_box_has_the_samples_whose_cameras_have_one_and_it_is_said(tmp_path: Path, capsys) -> None:
    root = without_box(release(tmp_path / "release"), 2)
    manifest = prepare(root, tmp_path / "out", params(tasks=("autoencoding", "room_layout")), processes=1)
    prepared = Prepared(tmp_path / "out")
    assert len(prepared.index) == 42
    lost = sorted(set(range(42)) - set(prepared.task(BUILT_IN["room_layout"]).samples[:, 0].tolist()))
    assert prepared.index.loc[lost, ["building", "point", "view"]].to_numpy().tolist() == [["b0", 12, 0], ["b0", 12, 1]]
    assert len(prepared.task(BUILT_IN["autoencoding"]).samples) == 42
    assert sum(manifest["labelled"]["room_layout"].values()) == 40
    assert manifest["skipped"] == []
    assert "prepare: 2 camera files have no bounding_box_ranges: their views have no label that needs it\n" in capsys.readouterr().err
    with pytest.raises(TaskonomyError, match=r"^room_layout: 0 of its labels are in split train, .*, or take it out of data\.tasks$"):
        prepare(without_box(root), tmp_path / "none", params(tasks=("autoencoding", "room_layout")), processes=1)


def test_damage_is_told_before_what_is_only_lacking(tmp_path: Path) -> None:
    root = without_box(release(tmp_path / "release"), 2)
    (root / "b3/rgb/point_3_view_0_domain_rgb.png").write_bytes(b"")
    with pytest.raises(TaskonomyError, match=r"^1 of 84 files is damaged: .*/b3/rgb/point_3_view_0_domain_rgb\.png \(empty file\); repair it"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "room_layout")), processes=1)


@pytest.mark.parametrize("box", [[], {"x": [0, 1], "y": [0, 1]}, {"x": [0, 1], "y": [0, 1], "z": [0]}, {"x": [0, 1], "y": [0, 1], "z": [0, "a"]}])
def test_a_box_that_is_none_is_damage(tmp_path: Path, box: object) -> None:
    root = release(tmp_path / "release")
    path = root / "b2/point_info/point_3_view_1_domain_point_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "bounding_box_ranges": box}))
    reason = r"its bounding_box_ranges must be x, y and z, each with the least and the largest"
    with pytest.raises(TaskonomyError, match=rf"1 of 84 files is damaged: {path} \({reason}\)"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "room_layout")), processes=1)
    assert [str(damage) for damage in inspect(root).damages] == [f"{path} ({reason})"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"camera_location": None}, "its camera_location must be 3 numbers"),
        ({"camera_location": ["a", 1, 2]}, "its camera_location must be 3 numbers"),
        ({"camera_rotation_final": [1, 2, 10**400]}, "its camera_rotation_final must be 3 numbers"),
        ({"field_of_view_rads": [1]}, "its field_of_view_rads must be a number"),
        ({"field_of_view_rads": 60}, "its field_of_view_rads must lie between 0 and pi"),
    ],
)
def test_prepare_and_inspect_are_of_one_mind_about_cameras(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    root = release(tmp_path / "release")
    path = root / "b2/point_info/point_3_view_1_domain_point_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert [str(damage) for damage in inspect(root).damages] == [f"{path} ({reason})"]
    with pytest.raises(TaskonomyError, match=rf"1 of 84 files is damaged: {path} \({reason}\)"):
        prepare(root, tmp_path / "out", params(tasks=("autoencoding", "vanishing_point")), processes=1)


def test_the_contact_sheet_leaves_out_the_task_that_a_view_cannot_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    for root in (release(tmp_path / "with"), without_box(release(tmp_path / "without"))):
        monkeypatch.setattr("sys.argv", ["taskonomy", "data", "preview", str(root), "-o", str(root / "a.png"), "--views", "1", "--side", "48"])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        page = cv2.imread(str(root / "a.png"))
        corners = [(32 + 80 * row, 10 + 58 * column) for row in range(page.shape[0] // 80) for column in range(9)]
        sizes.append(sum((page[top : top + 48, left : left + 48] != page[0, 0]).any() for top, left in corners))
    assert sizes[1] == sizes[0] - 1


def part_of(root: Path) -> Path:
    """Of building b0 the views 1 and 2 of point 3, of b1 the point 3: what a person has who downloaded or kept no more."""
    for path in [*root.glob("b0/*/point_3_view_[12]_*"), *root.glob("b1/*/point_3_view_*")]:
        path.unlink()
    return root


PAIRS = ("autoencoding", "camera_pose_fixated", "camera_pose_nonfixated", "egomotion", "point_matching")


def test_a_part_of_a_release_is_prepared_whole_and_what_it_lacks_is_one_line(tmp_path: Path, capsys) -> None:
    root = part_of(release(tmp_path / "release"))
    manifest = prepare(root, tmp_path / "out", params(tasks=PAIRS), processes=1)
    assert manifest["skipped"] == []
    prepared = Prepared(tmp_path / "out")
    assert len(prepared.index) == 7 * 6 - 2 - 3
    at = {(view["building"], view["point"]): [] for _row, view in prepared.index.iterrows()}
    for row, view in prepared.index.iterrows():
        at[view["building"], view["point"]].append(row)
    alone, (lonely,) = at["b1", 12], at["b0", 3]
    fixated, elsewhere = prepared.task(BUILT_IN["camera_pose_fixated"]).samples, prepared.task(BUILT_IN["camera_pose_nonfixated"]).samples
    assert sorted(fixated[:, 0]) == sorted(set(range(37)) - {lonely})  # it has no other view of its point,
    assert lonely in elsewhere[:, 0]  # but sees another
    assert sorted(elsewhere[:, 0]) == sorted(set(range(37)) - set(alone))
    assert sorted(prepared.task(BUILT_IN["egomotion"]).samples[:, 0]) == sorted(set(range(37)) - {lonely})
    alone_for = manifest["views_without_partners"]
    assert {name: alone_for[name] for name in PAIRS[1:4]} == {"camera_pose_fixated": 1, "camera_pose_nonfixated": 3, "egomotion": 1}
    lines = [line for line in capsys.readouterr().err.splitlines() if "are not here" in line]
    assert len(lines) == 1
    assert re.search(r"camera_pose_fixated 1, camera_pose_nonfixated 3, egomotion 1.*; 5 views that nonfixated_matches name are not here$", lines[0])


def test_a_kill_in_between_changes_nothing_of_what_a_part_lacks(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    root = part_of(release(tmp_path / "release"))
    monkeypatch.setattr("taskonomy.data.prepare.run.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(root, tmp_path / "out", params(tasks=PAIRS), processes=1)
    monkeypatch.undo()
    prepare(root, tmp_path / "out", params(tasks=PAIRS), processes=1)
    assert "5 views that nonfixated_matches name are not here" in capsys.readouterr().err


def test_inspect_counts_what_a_part_of_a_release_lacks_in_one_line(tmp_path: Path) -> None:
    root = part_of(release(tmp_path / "release"))
    for path in root.glob("*/point_info/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "nonfixated_points_in_view": [3, "12"]}))
    summary = inspect(root)
    assert summary.damages == []
    # Of b1 point 3 has no view; of its own views and those of b0 that the matches of b0 and b1 name, five are not there.
    assert (summary.elsewhere.alone, summary.elsewhere.points, len(summary.elsewhere.views)) == (1, {("b1", 3)}, 5)
    line = "not here, and no damage: 1 view alone at its point, 1 point without views that camera files name, 5 views that nonfixated_matches name"
    assert summary.render().splitlines()[-1] == line
