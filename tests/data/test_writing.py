"""Buildings are written as the release is, byte for byte the same each time, whole or not at all."""

import random
import tarfile
from pathlib import Path

import pytest
from by_hand import DOMAINS, VIEWS, contents, name, release

from taskonomy.release.layouts import open_source, write_building

LAYOUTS = ("tar", "folders", "omnidata")


def files_of(building: str, seed: int | None = None) -> list[tuple[str, str, bytes]]:
    files = [(domain, file, data) for domain in DOMAINS for file, data in contents(building, domain).items()]
    if seed is not None:
        random.Random(seed).shuffle(files)
    return files


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_reads_as_what_was_made_by_hand(tmp_path: Path, layout: str):
    for building in VIEWS:
        write_building(tmp_path / "ours", building, iter(files_of(building, 0)), layout=layout)
    ours, theirs = open_source(tmp_path / "ours"), open_source(release(tmp_path / "theirs", "nested tars"))
    assert ours.views() == theirs.views()
    assert all(ours.read(key, domain) == theirs.read(key, domain) for key in ours.views() for domain in DOMAINS)
    assert ours.unread() == []
    assert not any(path.name.startswith(".") for path in (tmp_path / "ours").rglob("*"))


def test_folders_are_those_of_the_release(tmp_path: Path):
    for layout in ("folders", "omnidata"):
        write_building(tmp_path / "ours" / layout, "cauthron", files_of("cauthron"), layout=layout)
        theirs = tree(release(tmp_path / "theirs" / layout, layout))
        assert tree(tmp_path / "ours" / layout) == {path: data for path, data in theirs.items() if "Ackermanville" not in path}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_files_in_any_order_give_the_same_bytes(tmp_path: Path, layout: str):
    for seed in (1, 2):
        write_building(tmp_path / str(seed), "cauthron", files_of("cauthron", seed), layout=layout)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_a_tar_says_nothing_of_who_wrote_it_and_when(tmp_path: Path):
    write_building(tmp_path, "cauthron", files_of("cauthron", 3), layout="tar")
    with tarfile.open(tmp_path / "cauthron_rgb.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [name("rgb", *view) for view in VIEWS["cauthron"]]
    assert {(member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode) for member in members} == {(0, 0, 0, "", "", 0o644)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path: Path, layout: str):
    write_building(tmp_path, "cauthron", files_of("cauthron"), layout=layout)
    before = tree(tmp_path)

    def broken():
        yield from ((domain, file, b"new") for domain, file, _data in files_of("cauthron")[:20])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_building(tmp_path, "cauthron", broken(), layout=layout)
    assert tree(tmp_path) == before
    write_building(tmp_path, "cauthron", [("rgb", name("rgb", 1, 1), b"new")], layout=layout)
    source = open_source(tmp_path)
    assert [key[1:] for key in source.views()] == [(1, 1)]  # a domain is replaced whole
    assert source.has(source.views()[0]._replace(point=9, view=3), "normal")  # and the others stay


def test_a_failure_in_the_first_writing_leaves_nothing(tmp_path: Path):
    def broken():
        yield "rgb", name("rgb", 1, 1), b"x"
        raise RuntimeError

    for layout in LAYOUTS:
        with pytest.raises(RuntimeError):
            write_building(tmp_path, "cauthron", broken(), layout=layout)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("domain", "file"),
    [
        ("rgb", "../point_1_view_1_domain_rgb.png"),
        ("rgb", "point_1_view_1_domain_normal.png"),
        ("point_info", "point_1_view_1_domain_fixatedpose.json"),  # read, never written
        ("class_scene", "point_1_view_1_domain_class_scene.npy"),  # not what the release calls it
        ("unheard", "point_1_view_1_domain_unheard.png"),
    ],
)
def test_names_that_are_not_of_the_release_are_refused(tmp_path: Path, domain: str, file: str):
    with pytest.raises(ValueError, match="is no released file name of"):
        write_building(tmp_path, "cauthron", [(domain, file, b"x")], layout="tar")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_comes_twice_is_refused(tmp_path: Path, layout: str):
    with pytest.raises(ValueError, match="comes twice"):
        write_building(tmp_path, "cauthron", [("rgb", name("rgb", 1, 1), b"x")] * 2, layout=layout)
    assert tree(tmp_path) == {}
