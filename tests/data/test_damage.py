"""Every kind of damage is found, named with its file, and nothing is silently dropped."""

import json
from collections.abc import Callable
from pathlib import Path

import by_hand
import numpy as np
import pytest
from by_hand import DOMAINS, contents, name, png, release, write_folder, write_tar

from taskonomy.data.validate import check, damage_error, read_view
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import ViewKey
from taskonomy.release.layouts import ReleasedSource, open_source

KEY = ViewKey("cauthron", 9, 3)
FILES = 8 * (len(DOMAINS) - 1) + 4  # eight views of four points


def found(source: ReleasedSource, **options: bool) -> list[str]:
    return [str(damage) for damage in check(source, source.views(), DOMAINS, **options)]


def replaced(root: Path, domain: str, data: bytes | None) -> Path:
    path = root / "cauthron" / domain / name(domain, KEY.point, "all" if domain == "nonfixated_matches" else KEY.view)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return release(tmp_path, "folders")


@pytest.mark.parametrize("layout", ["folders", "tars"])
def test_a_sound_release_has_no_damage(tmp_path: Path, layout: str):
    source = open_source(release(tmp_path, layout))
    seen = []

    def progress(keys, unit):
        assert unit == "views"
        for key in keys:
            seen.append(key)
            yield key

    damages = check(source, source.views(), DOMAINS, progress)
    assert damages == []
    assert damages.files == FILES
    assert seen == source.views()


def grey(depth: type, side: int = by_hand.SIDE) -> bytes:
    return png(np.full((side, side), 200, depth))


def cut(domain: str) -> Callable[[], bytes]:
    return lambda: contents("cauthron", domain)[name(domain, KEY.point, KEY.view)][:-20]


def flipped() -> bytes:
    data = bytearray(contents("cauthron", "rgb")[name("rgb", KEY.point, KEY.view)])
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


def info_with(**changes: object) -> Callable[[], bytes]:
    def make() -> bytes:
        info = by_hand.point_info("cauthron", KEY.point, KEY.view) | changes
        return json.dumps({key: value for key, value in info.items() if value is not None}).encode()

    return make


@pytest.mark.parametrize(
    ("domain", "make", "reason"),
    [
        ("rgb", lambda: b"", "empty file"),
        ("normal", lambda: b"", "empty file"),
        ("normal", lambda: None, "missing"),
        ("class_scene", lambda: None, "missing"),
        ("nonfixated_matches", lambda: None, "missing"),
        ("rgb", cut("rgb"), "truncated PNG"),
        ("depth_zbuffer", cut("depth_zbuffer"), "truncated PNG"),
        ("rgb", flipped, "image that cannot be decoded"),
        ("rgb", lambda: b"<html>404</html>", "not a PNG"),
        ("depth_zbuffer", lambda: grey(np.uint8), "has 8 bits per channel, must have 16"),
        ("segment_semantic", lambda: grey(np.uint16), "has 16 bits per channel, must have 8"),
        ("normal", lambda: grey(np.uint8), "is grey, must be RGB"),
        ("depth_zbuffer", lambda: png(np.full((8, 8), 65535, np.uint16)), "no valid depth"),
        ("rgb", lambda: png(np.zeros((4, 4, 3), np.uint8)), "is 4 x 4 pixels, the other images of the view are 8 x 8"),
        ("keypoints2d", lambda: grey(np.uint16, 16), "is 16 x 16 pixels, the other images of the view are 8 x 8"),
        ("rgb", lambda: png(np.zeros((8, 9, 3), np.uint8)), "is 9 x 8 pixels, the other images of the view are 8 x 8"),
        ("class_scene", lambda: by_hand.npy(np.zeros(100)), "has shape (100,), must have 365 numbers"),
        ("class_scene", lambda: by_hand.npy(np.full(365, np.nan)), "holds numbers that are not finite"),
        ("class_scene", lambda: by_hand.npy(np.full(365, "x")), "not an array of real numbers"),
        ("class_scene", lambda: by_hand.npy(np.zeros(365)).replace(b"(365,)", b"(36((("), "not an array: ('EOF in multi-line statement', (2, 0))"),
        ("point_info", lambda: b"[1]", "is no JSON object"),
        ("point_info", lambda: b"[" * 100_000, "not JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ("point_info", info_with(camera_location=None), "has no camera_location"),
        ("point_info", info_with(camera_location=[1, 2]), "its camera_location must be 3 numbers"),
        ("point_info", info_with(field_of_view_rads="wide"), "its field_of_view_rads must be a number"),
        ("point_info", info_with(field_of_view_rads=4), "its field_of_view_rads must lie between 0 and pi"),
        ("point_info", info_with(nonfixated_points_in_view=3), "its nonfixated_points_in_view must be a list of points"),
        ("point_info", info_with(nonfixated_points_in_view=[2, "x"]), "its nonfixated_points_in_view must be a list of points"),
        ("nonfixated_matches", lambda: b"{}", "must have views, each with point_uuid and view_id"),
        ("nonfixated_matches", lambda: b'{"views": [{"point_uuid": "2"}]}', "must have views, each with point_uuid and view_id"),
        ("nonfixated_matches", lambda: b'{"views": [{"point_uuid": "x", "view_id": 1}]}', "must have views, each with point_uuid and view_id"),
    ],
)
def test_one_damaged_file_gives_its_line(root: Path, domain: str, make, reason: str):
    path = replaced(root, domain, make())
    source = open_source(root)
    damages = check(source, source.views(), DOMAINS)
    assert [str(damage) for damage in damages] == [f"{path} ({reason})"]
    assert damages[0].domain == domain
    assert KEY in damages[0].views
    assert str(damage_error(damages)) == f"1 of {FILES} files is damaged: {path} ({reason}); repair it or set data.on_bad: skip"


def test_a_file_that_cannot_be_read_is_damaged(root: Path):
    path = replaced(root, "normal", None)
    path.symlink_to(root / "nowhere")
    folder = root / "cauthron/class_scene" / name("class_scene", 2, 0)
    folder.unlink()
    folder.mkdir()
    assert found(open_source(root)) == [f"{folder} (unreadable: Is a directory)", f"{path} (unreadable: No such file or directory)"]


def test_of_two_sizes_in_two_images_the_rgb_is_wrong(root: Path):
    path = replaced(root, "rgb", png(np.zeros((4, 4, 3), np.uint8)))
    source = open_source(root)
    _values, damages = read_view(source, KEY, ["rgb", "normal"])
    assert [str(damage) for damage in damages] == [f"{path} (is 4 x 4 pixels, the other image of the view is 8 x 8)"]


def test_reading_a_view_gives_what_is_sound(root: Path):
    replaced(root, "normal", b"")
    values, damages = read_view(open_source(root), KEY, ["rgb", "normal", "mask_valid"])
    assert list(values) == ["rgb"]
    assert (values["rgb"] == by_hand.values("cauthron", "rgb", *KEY[1:])).all()
    assert [damage.domain for damage in damages] == ["normal"]  # mask_valid is derived, and may be missing


def test_points_and_views_that_are_elsewhere_are_counted_once_each_and_no_damage(root: Path):
    replaced(root, "point_info", info_with(nonfixated_points_in_view=[2, 5, "10", 6])())
    for point in (2, 10):
        matches = {"views": [{"point_uuid": "2", "view_id": 1}, {"point_uuid": 2, "view_id": "7"}, {"point_uuid": "5", "view_id": 0}]}
        (root / "cauthron/nonfixated_matches" / name("nonfixated_matches", point, "all")).write_bytes(json.dumps(matches).encode())
    source = open_source(root)
    damages = check(source, source.views(), DOMAINS)
    assert damages == []
    assert damages.elsewhere.points == {("cauthron", 5), ("cauthron", 6)}
    assert damages.elsewhere.views == {("cauthron", 2, 7), ("cauthron", 5, 0)}
    assert damages.elsewhere.alone == 0


def test_a_point_with_a_single_view_has_no_partner(root: Path):
    for domain in DOMAINS[:-1]:
        (root / "cauthron" / domain / name(domain, 9, 0)).unlink()
    source = open_source(root)
    damages = check(source, source.views(), DOMAINS)
    assert damages == []
    assert (damages.elsewhere.alone, damages.elsewhere.views) == (1, {("cauthron", 9, 0)})
    assert str(check(source, source.views(), DOMAINS, partners=False).elsewhere) == ""


def test_many_damages_are_one_line(root: Path):
    for view in (0, 3):
        for domain in ("rgb", "normal", "depth_zbuffer"):
            (root / "cauthron" / domain / name(domain, 9, view)).write_bytes(b"")
    (root / "Ackermanville/normal" / name("normal", 0, 0)).write_bytes(b"")
    source = open_source(root)
    damages = check(source, source.views(), DOMAINS)
    assert len(damages) == 7
    error = damage_error(damages)
    assert isinstance(error, TaskonomyError)
    assert str(error) == (
        f"7 of {FILES} files are damaged: {root}/Ackermanville/normal/{name('normal', 0, 0)} (empty file), "
        f"{root}/cauthron/rgb/{name('rgb', 9, 0)} (empty file), {root}/cauthron/normal/{name('normal', 9, 0)} (empty file) and 4 more; "
        "repair them or set data.on_bad: skip"
    )
    assert str(damage_error(list(damages), 3400)).startswith("7 of 3,400 files are damaged: ")
    assert str(damage_error(list(damages))).startswith("7 files are damaged: ")


def test_damage_comes_in_the_order_of_the_views_however_many_threads(root: Path):
    for view in range(300):
        write_folder(root / "big/rgb", {name("rgb", view, 0): b""})
    source = open_source(root)
    keys = [key for key in source.views() if key.building == "big"]
    assert [damage.views for damage in check(source, keys, ["rgb"], partners=False)] == [(key,) for key in keys]


@pytest.mark.parametrize(
    ("spoil", "reason", "left"),
    [
        (lambda data: data[: 512 + 30], "is damaged: unexpected end of data", 1),  # within a file
        (lambda data: data[:1024], "is cut off: its end mark is missing", 1),  # between two files
        (lambda data: data[:1024] + b"\xff" * 512 + data[1536:], "is damaged: what follows its last readable file is no header", 1),
        (lambda data: data[:1300], "is damaged: what follows its last readable file is no header", 1),  # within a header
        (lambda data: b"<html>404</html>", "is no tar: truncated header", 0),
        (lambda data: b"", "is no tar: empty file", 0),
    ],
)
def test_a_damaged_tar_is_reported_even_where_no_view_is_left_of_it(tmp_path: Path, spoil, reason: str, left: int):
    release(tmp_path, "folders", ("rgb",))
    path = write_tar(tmp_path / "zeta_rgb.tar", ((name("rgb", 4, view), b"x" * 100) for view in range(3)))
    path.write_bytes(spoil(path.read_bytes()))
    source = open_source(tmp_path)
    assert len([key for key in source.views() if key.building == "zeta"]) == left
    damages = check(source, [key for key in source.views() if left or key.building != "zeta"], ["rgb"], partners=False)
    assert f"{path} ({reason})" in [str(damage) for damage in damages]


def test_a_member_behind_the_end_of_its_tar_is_cut_off(tmp_path: Path):
    path = write_tar(tmp_path / "zeta_rgb.tar", [(name("rgb", 4, 0), b"x" * 5000)])
    path.write_bytes(path.read_bytes()[:2000])
    source = open_source(tmp_path)
    member = f"{path}: {name('rgb', 4, 0)}"
    reasons = [str(damage) for damage in check(source, source.views(), ["rgb"], partners=False)]
    assert reasons == [f"{member} (cut off: the tar ends inside it)", f"{path} (is damaged: unexpected end of data)"]
