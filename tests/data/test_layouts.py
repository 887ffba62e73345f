"""Released files, made by hand, are read from every layout they have been handed out in."""

import gc
import io
import tarfile
import tracemalloc
from pathlib import Path

import by_hand
import pytest
from by_hand import DOMAINS, LAYOUTS, VIEWS, contents, name, release, write_folder, write_tar

from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DamagedFileError, ViewKey, from_bytes
from taskonomy.release.layouts import SourceFile, open_source

EXPECTED_VIEWS = [ViewKey("ackermanville", 0, 0), ViewKey("ackermanville", 0, 1)] + [ViewKey("cauthron", *view) for view in VIEWS["cauthron"]]
ON_DISK = {building.lower(): building for building in VIEWS}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_views_and_bytes(tmp_path: Path, layout: str):
    source = open_source(release(tmp_path, layout))
    assert isinstance(source, SourceFile)
    assert source.buildings == ("ackermanville", "cauthron")
    assert source.domains == tuple(sorted(DOMAINS))
    assert source.views() == EXPECTED_VIEWS  # point 9 before 10, view 2 before 11
    assert source.unread() == []
    for key in source.views():
        for domain in DOMAINS:
            view = "all" if domain == "nonfixated_matches" else key.view
            expected = contents(ON_DISK[key.building], domain)[name(domain, key.point, view)]
            assert source.has(key, domain)
            assert source.read(key, domain) == expected
        assert source.matches(key.building, key.point) == source.read(key, "nonfixated_matches")


def test_what_is_read_decodes_to_the_values_that_were_written(tmp_path: Path):
    source = open_source(release(tmp_path, "tars"))
    for key in source.views():
        for domain in ("rgb", "normal", "depth_zbuffer", "keypoints2d", "segment_semantic", "class_scene"):
            stored = from_bytes(domain, source.read(key, domain), by_hand.SIDE if domain != "class_scene" else None)
            expected = by_hand.values(ON_DISK[key.building], domain, key.point, key.view)
            assert stored.dtype == expected.dtype
            assert (stored == expected).all()


def test_where_names_the_file_or_the_tar_and_its_member(tmp_path: Path):
    key = ViewKey("cauthron", 9, 3)
    folders = open_source(release(tmp_path / "folders", "folders"))
    assert folders.where(key, "rgb") == str(tmp_path / "folders/cauthron/rgb/point_9_view_3_domain_rgb.png")
    assert Path(folders.where(ViewKey("ackermanville", 0, 1), "rgb")).exists()  # as it is written on disk
    tars = open_source(release(tmp_path / "tars", "nested tars"))
    assert tars.where(key, "rgb") == f"{tmp_path}/tars/cauthron_rgb.tar: ./data/cauthron/rgb/point_9_view_3_domain_rgb.png"
    # Of what is missing: where it is looked for.
    lost = ViewKey("cauthron", 9, 77)
    assert tars.where(lost, "rgb") == f"{tmp_path}/tars/cauthron_rgb.tar: point_9_view_77_domain_rgb.png"
    assert tars.where(lost, "reshading") == f"{tmp_path}/tars/cauthron_reshading.tar: point_9_view_77_domain_reshading.png"
    assert folders.where(lost, "nonfixated_matches").endswith("cauthron/nonfixated_matches/point_9_view_all_domain_nonfixated_matches.json")


@pytest.mark.parametrize("layout", ["folders", "tars"])
def test_what_is_absent_is_missing(tmp_path: Path, layout: str):
    source = open_source(release(tmp_path, layout, ("rgb", "nonfixated_matches")))
    for key, domain in (
        (ViewKey("cauthron", 9, 1), "rgb"),
        (ViewKey("cauthron", 3, 0), "nonfixated_matches"),
        (ViewKey("elsewhere", 9, 3), "rgb"),
        (ViewKey("cauthron", 9, 3), "normal"),
    ):
        assert not source.has(key, domain)
        with pytest.raises(DamagedFileError, match=r"^missing$"):
            source.read(key, domain)
    with pytest.raises(DamagedFileError, match=r"^missing$"):
        source.matches("cauthron", 3)


def test_building_and_domain_names_may_have_underscores(tmp_path: Path):
    files = contents("cauthron", "depth_zbuffer")
    write_tar(tmp_path / "old_rgb_house_2_depth_zbuffer.tar", files.items())
    write_tar(tmp_path / "old_rgb_house_2_rgb.tar", contents("cauthron", "rgb").items())
    source = open_source(tmp_path)
    assert source.buildings == ("old_rgb_house_2",)
    assert source.domains == ("depth_zbuffer", "rgb")
    assert all(source.has(key, "depth_zbuffer") for key in source.views())


@pytest.mark.parametrize(
    ("folder", "tag", "domain"),
    [
        ("points", "point_info", "point_info"),
        ("points", "fixatedpose", "point_info"),
        ("point_info", "fixatedpose", "point_info"),
        ("segmentsemantic", "segmentsemantic", "segment_semantic"),
        ("segment_semantic", "segment_semantic", "segment_semantic"),  # as an earlier version wrote it
        ("class_scene", "class_scene", "class_scene"),
        ("class_places", "class_places", "class_scene"),
        ("keypoints2d", "keypoint_2d", "keypoints2d"),
        ("RGB", "rgb", "rgb"),
    ],
)
@pytest.mark.parametrize("tars", [False, True])
def test_names_that_have_been_in_use_are_read_as_the_released_domain(tmp_path: Path, folder: str, tag: str, domain: str, tars: bool):
    if domain != "rgb":
        write_folder(tmp_path / "cauthron/rgb", contents("cauthron", "rgb"))
    released = by_hand.TAGS.get(domain, domain)
    files = {file.replace(f"domain_{released}.", f"domain_{tag}."): data for file, data in contents("cauthron", domain).items()}
    if tars:
        write_tar(tmp_path / f"cauthron_{folder}.tar", files.items())
    else:
        write_folder(tmp_path / "cauthron" / folder, files)
    source = open_source(tmp_path)
    key = ViewKey("cauthron", 10, 11)
    assert source.read(key, domain) == contents("cauthron", domain)[name(domain, 10, 11)]
    assert source.where(key, domain).endswith(f"point_10_view_11_domain_{tag}.{by_hand.extension(domain)}")
    assert source.unread() == []


def test_buildings_are_one_whatever_the_case_of_their_name(tmp_path: Path):
    write_folder(tmp_path / "Cauthron/rgb", contents("cauthron", "rgb"))
    write_tar(tmp_path / "cauthron_normal.tar", contents("cauthron", "normal").items())
    (tmp_path / "train_val_test_tiny.csv").write_bytes(b"id,train,val,test\rCAUTHRON,0,0,1")
    source = open_source(tmp_path)
    assert source.buildings == ("cauthron",)
    assert source.splits() == {"cauthron": "test"}
    assert all(source.has(key, "normal") for key in source.views())


def test_a_root_that_is_one_building_is_read_as_it(tmp_path: Path):
    root = tmp_path / "Cauthron"
    for domain in ("rgb", "normal"):
        write_folder(root / domain, contents("cauthron", domain))
    source = open_source(root)
    assert source.buildings == ("cauthron",)
    assert len(source.views()) == 6


def test_components_of_omnidata_are_read_side_by_side(tmp_path: Path):
    release(tmp_path, "omnidata", ("rgb", "normal"))
    for domain in ("rgb", "normal"):
        write_folder(tmp_path / domain / "replica/room_0", contents("cauthron", domain))
        write_folder(tmp_path / domain / "google_scanned/0001", contents("cauthron", domain))
    source = open_source(tmp_path)
    assert source.layouts == ("<domain>/<component>/<building>/",)
    assert source.buildings == ("0001", "ackermanville", "cauthron", "room_0")
    assert source.read(ViewKey("room_0", 9, 3), "normal") == contents("cauthron", "normal")[name("normal", 9, 3)]
    assert source.unread() == []


def test_a_mended_file_beside_its_tar_is_the_one_that_is_read(tmp_path: Path):
    release(tmp_path, "tars", ("rgb",))
    mended = name("rgb", 9, 0)
    write_folder(tmp_path / "cauthron/rgb", {mended: b"mended"})
    source = open_source(tmp_path)
    assert source.read(ViewKey("cauthron", 9, 0), "rgb") == b"mended"
    assert source.read(ViewKey("cauthron", 9, 3), "rgb") == contents("cauthron", "rgb")[name("rgb", 9, 3)]
    assert len(source.views()) == 8
    (problem,) = source.problems("cauthron", "rgb")
    assert problem == (str(tmp_path / "cauthron_rgb.tar"), f"has 1 files that are also in {tmp_path}/cauthron/rgb, from where they are read")


def test_names_that_leave_the_tar_do_no_harm_and_are_reported(tmp_path: Path):
    root = tmp_path / "root"
    good = contents("cauthron", "rgb")
    evil = name("rgb", 66, 0)
    members = [(f"../../{evil}", b"x"), (f"/tmp/{evil}", b"x"), (f"a/../../{evil}", b"x"), *good.items()]
    path = write_tar(root / "cauthron_rgb.tar", members)
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo(name("rgb", 67, 0))
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    source = open_source(root)
    assert len(source.views()) == 6
    assert sorted(tmp_path.rglob("*")) == [root, path]
    (line,) = source.unread()
    assert line == f"{path}: ../../{evil}, /tmp/{evil}, a/../../{evil} and 1 more: no file of rgb"


def test_odd_names_are_reported_and_hidden_ones_are_nobodys(tmp_path: Path):
    good = contents("cauthron", "rgb")
    odd = ["point_1_view_2_domain_normal.png", "point_01_view_2_domain_rgb.png", "point_1_view_all_domain_rgb.png", "point_1_view_2_domain_rgb.jpg"]
    write_folder(tmp_path / "cauthron/rgb", good | dict.fromkeys([*odd, ".DS_Store", "Thumbs.db", "._point_2_view_0_domain_rgb.png"], b"x"))
    write_folder(tmp_path / "__MACOSX/rgb", {"point_2_view_0_domain_rgb.png": b"x"})
    (tmp_path / "._train_val_test_tiny.csv").write_text("id,train,val,test\ncauthron,1,0,0\n")
    write_folder(tmp_path / "cauthron/fragments", {"point_2_view_0_domain_fragments.png": b"x"})
    write_tar(tmp_path / "cauthron_unheard.tar", good.items())
    (tmp_path / "cauthron_normal.tar.gz").write_bytes(b"x")
    source = open_source(tmp_path)
    assert len(source.views()) == 6
    assert source.splits() == {}
    assert sorted(source.unread()) == [
        f"{tmp_path}/cauthron/fragments: fragments is no domain",
        f"{tmp_path}/cauthron/rgb: {', '.join(sorted(odd)[:3])} and 1 more: no file of rgb",
        f"{tmp_path}/cauthron_normal.tar.gz: is compressed; only a plain tar can be read in place",
        f"{tmp_path}/cauthron_unheard.tar: its name is not <building>_<domain>.tar",
    ]


def test_the_last_of_two_members_of_one_name_counts(tmp_path: Path):
    files = contents("cauthron", "rgb")
    write_tar(tmp_path / "cauthron_rgb.tar", [*files.items(), (f"again/{name('rgb', 9, 3)}", b"newer")])
    source = open_source(tmp_path)
    assert source.read(ViewKey("cauthron", 9, 3), "rgb") == b"newer"
    assert source.problems("cauthron", "rgb") == [(str(tmp_path / "cauthron_rgb.tar"), "holds 1 files more than once; the last one is read")]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: None, "root: no released data: is empty; expected <building>/<domain>/point_..."),
        (lambda root: write_folder(root / "rgb/replica/b0", {"x.png": b""}), "rgb/replica/b0: has no file of rgb"),
        (lambda root: write_folder(root / "a/b", {"x.png": b""}), r"holds a/ \(.*root/a/b: b is no domain\); expected"),
        (lambda root: release(root / "downloads", "folders"), "did you mean .*root/downloads/?"),
        (lambda root: write_folder(root / "images", {"x.png": b""}), r"\(images/ is of your own data, not of released data\)"),
        (lambda root: release(root, "folders", ("normal", "depth_zbuffer")), "has depth_zbuffer, normal but no rgb, which every view must have"),
    ],
)
def test_a_folder_without_released_data_is_refused_with_what_is_there(tmp_path: Path, make, said: str):
    root = tmp_path / "root"
    root.mkdir()
    make(root)
    with pytest.raises(TaskonomyError, match=said) as error:
        open_source(root)
    assert "\n" not in str(error.value)


def test_the_folder_of_a_domain_is_no_root(tmp_path: Path):
    release(tmp_path, "omnidata")
    with pytest.raises(TaskonomyError, match="it is the folder of a domain: give the one above it"):
        open_source(tmp_path / "normal")
    with pytest.raises(TaskonomyError, match="no such folder"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(TaskonomyError, match="is not a folder"):
        open_source(tmp_path / "file")


def test_the_index_of_a_tar_takes_less_than_30_bytes_a_file(tmp_path: Path):
    """So that 200,000 views of 16 domains need some 100 MB."""
    count = 5000
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for view in range(count):
            tar.addfile(tarfile.TarInfo(f"rgb/{name('rgb', view // 5, view % 5)}"))
    (tmp_path / "cauthron_rgb.tar").write_bytes(file.getvalue())
    open_source(tmp_path).keys("cauthron", "rgb")  # whatever is loaded once
    tracemalloc.start()
    source = open_source(tmp_path)
    assert len(source.keys("cauthron", "rgb")) == count
    gc.collect()
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 30 * count + 20_000
