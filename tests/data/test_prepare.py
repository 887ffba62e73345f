"""Prepared arrays against files written by hand: what was read, what was left out, and what depends on what."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from by_hand import npy, png, write_folder, write_tar
from conftest import ROOT

from taskonomy.config.data_params import DataParams
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.tasks import BUILT_IN

SIDE = 32
BUILDINGS = [f"b{number}" for number in range(7)]
TASKS = (
    "normal", "depth_zbuffer", "edge_texture", "segment_semantic", "class_scene", "autoencoding", "colorization", "jigsaw", "vanishing_point",
    "room_layout", "camera_pose_fixated", "camera_pose_nonfixated", "egomotion", "point_matching", "random_projection",
)  # fmt: skip


def pixels(building: str, domain: str, point: int, view: int) -> np.ndarray:
    rng = np.random.default_rng([int(building[1:]), len(domain), point, view])
    if domain in ("depth_zbuffer", "edge_texture"):
        return rng.integers(500, 9000, (SIDE, SIDE)).astype(np.uint16)
    if domain == "segment_semantic":
        return rng.integers(0, 18, (SIDE, SIDE)).astype(np.uint8)
    return rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def release(root: Path) -> Path:
    for building in BUILDINGS:
        views = [(point, view) for point in (3, 12) for view in range(3)]
        for domain in ("rgb", "normal", "depth_zbuffer", "edge_texture", "segment_semantic"):
            write_folder(root / building / domain, {f"point_{p}_view_{v}_domain_{domain}.png": png(pixels(building, domain, p, v)) for p, v in views})
        shares = np.random.default_rng(0).random(365).astype(np.float32)
        write_folder(root / building / "class_scene", {f"point_{p}_view_{v}_domain_class_places.npy": npy(shares) for p, v in views})
        info = {}
        for p, v in views:
            rng = np.random.default_rng([int(building[1:]), p, v])
            info[f"point_{p}_view_{v}_domain_point_info.json"] = json.dumps(
                {
                    "camera_location": rng.random(3).tolist(),
                    "camera_rotation_final": [1.5, 0.0, float(rng.random())],
                    "field_of_view_rads": 1.0,
                    "bounding_box_ranges": {"x": [0, 4], "y": [-1, 5], "z": [0, 3]},
                }
            ).encode()
        write_folder(root / building / "point_info", info)
        matches = {
            f"point_{p}_view_all_domain_nonfixated_matches.json": json.dumps(
                {"views": [{"point_uuid": str(q), "view_id": v} for q, v in views if q != p]}
            ).encode()
            for p in (3, 12)
        }
        write_folder(root / building / "nonfixated_matches", matches)
    return root


def params(**changes: object) -> DataParams:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    return DataParams(**{**values, "resolution": SIDE, "tasks": TASKS, "splits": {"train": 0.4, "val": 0.3, "test": 0.3}, **changes})


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def prepared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    output = tmp_path_factory.mktemp("prepared") / "out"
    prepare(root, output, params(), processes=1)
    return Prepared(output)


def test_every_row_holds_its_view(prepared: Prepared) -> None:
    for row, view in prepared.index.iterrows():
        of = (view["building"], "rgb", view["point"], view["view"])
        np.testing.assert_array_equal(prepared.images[row], pixels(*of))
        normal = pixels(view["building"], "normal", view["point"], view["view"])
        np.testing.assert_allclose(prepared.task(BUILT_IN["normal"]).labels([row])[0], normal / 127.5 - 1, atol=1e-6)
        depth = pixels(view["building"], "depth_zbuffer", view["point"], view["view"]).astype(float)
        np.testing.assert_allclose(prepared.task(BUILT_IN["depth_zbuffer"]).labels([row])[0, ..., 0], np.log(1 + depth) / np.log(65536), atol=1e-5)


def test_buildings_do_not_straddle_splits_and_samples_stay_within_a_building(prepared: Prepared) -> None:
    assert prepared.index.groupby("building")["split"].nunique().max() == 1
    assert set(prepared.index["split"]) == set(Split)
    buildings = prepared.index["building"].to_numpy()
    for name in ("camera_pose_fixated", "camera_pose_nonfixated", "egomotion", "point_matching"):
        samples = prepared.task(BUILT_IN[name]).samples
        assert samples.shape[1] == BUILT_IN[name].images
        assert all(len(set(buildings[row])) == 1 and len(set(row)) == len(row) for row in samples)


def test_pairs_are_what_their_task_says(prepared: Prepared) -> None:
    points = prepared.index["point"].to_numpy()
    fixated, others, match = (prepared.task(BUILT_IN[f"{name}"]) for name in ("camera_pose_fixated", "camera_pose_nonfixated", "point_matching"))
    assert (points[fixated.samples[:, 0]] == points[fixated.samples[:, 1]]).all()
    assert (points[others.samples[:, 0]] != points[others.samples[:, 1]]).all()
    same = points[match.samples[:, 0]] == points[match.samples[:, 1]]
    np.testing.assert_array_equal(match.labels(np.arange(len(same)))[:, 0], same)
    assert 0.3 < same.mean() < 0.7


def test_z_scores_are_those_of_the_training_split(prepared: Prepared) -> None:
    pose = prepared.task(BUILT_IN["camera_pose_fixated"])
    chosen = pose.of_split(Split.TRAIN)
    scores, raw = pose.labels(chosen), np.asarray(pose.stored[chosen])
    varies = raw.std(0) > 1e-3
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scores.std(0)[varies], 1, atol=1e-4)


def test_uncertain_pixels_have_no_class(prepared: Prepared) -> None:
    view = prepared.index.iloc[0]
    stored = pixels(view["building"], "segment_semantic", view["point"], view["view"]).astype(int)
    np.testing.assert_array_equal(prepared.task(BUILT_IN["segment_semantic"]).labels([0])[0], np.where(stored == 0, 255, stored - 1))


def test_processes_do_not_change_a_bit(root: Path, prepared: Prepared, tmp_path: Path) -> None:
    prepare(root, tmp_path / "two", params(), processes=2)
    assert digests(tmp_path / "two") == digests(prepared.root)


def test_a_labels_option_changes_its_files_only(root: Path, prepared: Prepared, tmp_path: Path) -> None:
    prepare(root, tmp_path / "out", params(labels={"edge_texture": {"limit": 0.5}}), processes=1)
    before, after = digests(prepared.root), digests(tmp_path / "out")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tasks/edge_texture/card.json"}


def test_half_the_resolution_averages(root: Path, tmp_path: Path) -> None:
    root16 = params(tasks=("autoencoding", "normal")).model_copy(update={"resolution": 16})
    prepare(root, tmp_path / "out", root16, processes=1)
    half = Prepared(tmp_path / "out")
    view = half.index.iloc[3]
    full = pixels(view["building"], "rgb", view["point"], view["view"]).reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(half.images[3] - full).max() <= 0.5


def damaged(root: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "damaged"
    for path in root.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    (copy / "b0/normal/point_3_view_0_domain_normal.png").unlink()
    for name, data in (
        ("b1/rgb/point_3_view_1_domain_rgb.png", b""),
        ("b2/depth_zbuffer/point_3_view_1_domain_depth_zbuffer.png", png(np.full((SIDE, SIDE), 65535, np.uint16))),
        ("b3/edge_texture/point_12_view_2_domain_edge_texture.png", png(np.zeros((SIDE, SIDE), np.uint8))),
        ("b4/segment_semantic/point_12_view_2_domain_segment_semantic.png", png(np.zeros((16, 16), np.uint8))),
        ("b5/point_info/point_12_view_0_domain_point_info.json", b'{"camera_location": [0, 0, 0]}'),
    ):
        (copy / name).unlink()
        (copy / name).write_bytes(data)
    return copy


def test_damage_is_listed_and_stops(root: Path, tmp_path: Path) -> None:
    # 7 buildings of 6 views with 7 domains, and 2 points
    with pytest.raises(TaskonomyError, match="6 of 308 files are damaged") as error:
        prepare(damaged(root, tmp_path), tmp_path / "out", params(), processes=1)
    for reason in ("missing", "empty file", "no valid depth", "and 3 more"):
        assert reason in str(error.value)
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.unfinished", "damaged"]


def test_skipping_leaves_out_what_is_damaged_and_says_so(root: Path, prepared: Prepared, tmp_path: Path) -> None:
    manifest = prepare(damaged(root, tmp_path), tmp_path / "out", params(on_bad="skip"), processes=1)
    reasons = " ".join(one["reason"] for one in manifest["skipped"])
    assert len(manifest["skipped"]) == 6
    for reason in ("missing", "empty file", "no valid depth", "8 bits per channel, must have 16", "16 x 16 pixels, must be 32 x 32"):
        assert reason in reasons
    kept = Prepared(tmp_path / "out")
    assert len(kept.index) == len(prepared.index) - 5
    # A label that is missing is left out alone; what is damaged takes its view with it.
    normal, edges = (kept.task(BUILT_IN[name]) for name in ("normal", "edge_texture"))
    (lost,) = set(range(len(kept.index))) - set(normal.samples[:, 0].tolist())
    assert kept.index.loc[lost, ["building", "point", "view"]].tolist() == ["b0", 3, 0]
    assert len(edges.samples) == len(kept.index)
    for sample, row in enumerate(normal.samples[:, 0]):
        view = kept.index.iloc[row]
        expected = pixels(view["building"], "normal", view["point"], view["view"])
        np.testing.assert_allclose(normal.labels([sample])[0], expected / 127.5 - 1, atol=1e-6)
    for row, view in kept.index.iterrows():
        np.testing.assert_array_equal(kept.images[row], pixels(view["building"], "rgb", view["point"], view["view"]))


def test_a_tar_that_ends_early_is_damage(root: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    for building in BUILDINGS:
        for folder in sorted((root / building).iterdir()):
            write_tar(tars / f"{building}_{folder.name}.tar", [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())])
    prepare(tars, tmp_path / "whole", params(), processes=1)
    whole = tars / "b2_normal.tar"
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(TaskonomyError, match=r"files are damaged: .*b2_normal\.tar"):
        prepare(tars, tmp_path / "cut", params(), processes=1)


def test_what_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match=r"has no domain reshading \(for reshading\); add it, or take the tasks out of data\.tasks"):
        prepare(root, tmp_path / "out", params(tasks=("normal", "reshading")), processes=1)
    with pytest.raises(ValueError, match="has no option sigma; it has limit"):
        params(labels={"edge_texture": {"sigma": 1.0}})


def test_a_users_own_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(30):
        write_folder(tmp_path / "mine/images", {f"photo{number}.png": png(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8))})
        write_folder(tmp_path / "mine/normal", {f"photo{number}.png": png(np.full((40, 50, 3), number, np.uint8))})
        write_folder(tmp_path / "mine/depth_zbuffer", {f"photo{number}.png": png(np.full((40, 50), 700 + number, np.uint16))})
    prepare(tmp_path / "mine", tmp_path / "out", params(tasks=("normal", "autoencoding", "jigsaw")), processes=1)
    mine = Prepared(tmp_path / "out")
    assert len(mine.index) == 30
    np.testing.assert_array_equal(mine.task(BUILT_IN["normal"]).stored[:, 0, 0, 0], mine.index["point"])
    assert mine.images.shape == (30, SIDE, SIDE, 3)
    with pytest.raises(TaskonomyError, match=r"has no domain nonfixated_matches .*point_info"):
        prepare(tmp_path / "mine", tmp_path / "no", params(tasks=("normal", "camera_pose_nonfixated")), processes=1)
