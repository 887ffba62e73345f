"""The world on disk: the same bits however many processes write it, and whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from taskonomy.data.layouts import open_source
from taskonomy.params import WorldParams
from taskonomy.world import make

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
