"""The world on disk: the same bits however many processes write it, and whole or not at all."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from taskonomy.config.data_params import WorldParams
from taskonomy.release.layouts import open_source
from taskonomy.world import generate as make

SMALL = WorldParams(buildings=5, points=2, views=3, resolution=32, samples=1, splits={"train": 0.4, "val": 0.3, "test": 0.3}, seed=0)


def digests(root: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in root.iterdir()}


@pytest.mark.long  # the reproduction check compares a world's bits each time
def test_processes_do_not_change_a_bit_and_a_larger_world_begins_with_the_same_buildings(tmp_path):
    make.make_world(tmp_path / "one", SMALL, processes=1)
    make.make_world(tmp_path / "two", SMALL.model_copy(update={"buildings": 6}), processes=2)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    buildings = {name for name in one if name.endswith(".tar")}
    assert buildings
    assert {name: two[name] for name in buildings} == {name: one[name] for name in buildings}


def test_the_world_is_a_released_dataset_with_split_lists(prepared):
    world = prepared.root.with_name("world")
    source = open_source(world)
    assert len(source.views()) == 7 * 8 * 3
    assert {"train", "val", "test"} == set(source.splits().values())
    assert set(source.splits()) == {key.building for key in source.views()}
    assert b"\r" in (world / "train_val_test_world.csv").read_bytes()


def test_the_worlds_normals_are_stored_as_released_ones_every_surface_seen_from_its_front_and_holes_128(prepared):
    source = open_source(prepared.root.with_name("world"))
    for key in source.views()[::20]:
        info = json.loads(source.read(key, "point_info"))
        pixels = cv2.imdecode(np.frombuffer(source.read(key, "normal"), np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
        depth = cv2.imdecode(np.frombuffer(source.read(key, "depth_zbuffer"), np.uint8), cv2.IMREAD_UNCHANGED)
        seen = depth < 65535
        assert (pixels[~seen] == 128).all()
        # The file's axes are right, down and away from the camera, and so are these rays.
        side = (np.arange(len(depth)) + 0.5 - len(depth) / 2) / (len(depth) / 2) * np.tan(info["field_of_view_rads"] / 2)
        rays = np.stack([*np.meshgrid(side, side), np.ones(depth.shape)], -1)
        facing = ((pixels / 127.5 - 1) * rays).sum(-1)[seen]
        assert (facing < 0.05).mean() > 0.99
        assert source.where(key, "class_scene").endswith(f"point_{key.point}_view_{key.view}_domain_class_places.npy")


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    root = tmp_path / "w"
    root.mkdir()
    (root / "old").write_text("still here")

    def fails(job):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make, "_make_building", fails)
    with pytest.raises(OSError, match="No space"):
        make.make_world(root, SMALL, processes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert (root / "old").read_text() == "still here"
