"""A user's own images and labels."""

import io
from pathlib import Path

import numpy as np
import pytest
from by_hand import npy, png, write_folder
from PIL import Image

from taskonomy.data.custom import CustomSource
from taskonomy.data.datasets import Custom
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DamagedFileError

NAMES = ("cat 2", "cat 10", "007")
RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def picture(kind: str, image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def own(root: Path, table: str | None = None, **folders: dict[str, bytes]) -> Path:
    write_folder(root / "images", {f"{name}.png": png(RGB) for name in NAMES})
    for task, files in folders.items():
        write_folder(root / task, files)
    if table is not None:
        (root / "labels.csv").write_text(table)
    return root


def test_images_and_labels_of_every_kind_are_read(tmp_path: Path):
    depth = np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000
    table = "image,split,group,class,corner.1,corner.0\ncat 10.png,val,b,2,0.5,1\n007,train,a,1,3,4\ncat 2.png,train,a,0,-1,2e3\n"
    root = own(
        tmp_path,
        table,
        depth={f"{name}.png": png(depth) for name in NAMES},
        colour={f"{name}.png": png(RGB) for name in NAMES},
        feature={f"{name}.npy": npy(np.arange(5.0)) for name in NAMES},
    )
    (root / "images/.DS_Store").write_bytes(b"x")
    source = CustomSource(root)
    assert source.names == ("007", "cat 2", "cat 10")
    assert source.tasks == ("class", "colour", "corner", "depth", "feature")
    assert (source.image("cat 2") == RGB).all()
    assert source.image_bytes("cat 2") == png(RGB)
    for name in source.names:
        assert (source.label(name, "depth") == depth).all()
        assert source.label(name, "depth").dtype == np.uint16
        assert (source.label(name, "colour") == RGB).all()
        assert source.label(name, "feature").tolist() == [0, 1, 2, 3, 4]
    assert [source.label(name, "class") for name in source.names] == [1.0, 0.0, 2.0]
    assert source.label("cat 10", "corner").tolist() == [1.0, 0.5]
    assert source.splits == {"cat 10": "val", "007": "train", "cat 2": "train"}
    assert source.groups == {"cat 10": "b", "007": "a", "cat 2": "a"}
    assert source.where("cat 2") == str(root / "images/cat 2.png")
    assert source.where("cat 2", "depth") == str(root / "depth/cat 2.png")
    assert source.where("cat 2", "class") == f"{root}/labels.csv: cat 2, class"


def test_what_systems_leave_is_nobodys_data(tmp_path: Path):
    root = own(tmp_path, depth={f"{name}.npy": npy(np.zeros(1)) for name in NAMES})
    pairs = "image_a,image_b,value\n" + "".join(f"{NAMES[0]},{NAMES[1]},{number}\n" for number in range(3))
    (root / "match.csv").write_text(pairs)
    before = [line.split()[0] for line in Custom(root).mark([], []).splitlines()]
    for folder in (root, root / "images", root / "depth"):
        for name in (".DS_Store", "._cat 2.png", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / "._match.csv").write_text(pairs)
    source = CustomSource(root)
    assert (source.names, source.tasks) == (("007", "cat 2", "cat 10"), ("depth", "match"))
    assert [line.split()[0] for line in Custom(root).mark([], []).splitlines()] == before == ["depth", "images", "match.csv"]


@pytest.mark.parametrize(("on_disk", "in_table"), [("cafe\u0301", "caf\u00e9"), ("caf\u00e9", "cafe\u0301")])
def test_an_image_is_the_same_in_both_unicode_forms(tmp_path: Path, on_disk: str, in_table: str):
    """macOS takes accents apart in the names of files; tables keep them as typed."""
    write_folder(tmp_path / "images", {f"{on_disk}.png": png(RGB), "b.png": png(RGB)})
    write_folder(tmp_path / "depth", {f"{in_table}.npy": npy(np.zeros(1)), "b.npy": npy(np.zeros(1))})
    (tmp_path / "labels.csv").write_text(f"image,class,group\n{in_table}.png,1,{in_table}\nb,2,{on_disk}\n")
    (tmp_path / "match.csv").write_text(f"image_a,image_b,value\n{in_table},b,1\n")
    source = CustomSource(tmp_path)
    assert source.names == ("b", "caf\u00e9")
    assert source.label("caf\u00e9", "class") == 1.0
    assert source.groups == {"caf\u00e9": "caf\u00e9", "b": "caf\u00e9"}
    assert source.listed["match"].images == (("caf\u00e9", "b"),)
    assert source.image_bytes("caf\u00e9") == png(RGB)
    write_folder(tmp_path / "images", {f"{in_table}.png": png(RGB)})
    with pytest.raises(TaskonomyError, match="have the same name; keep one"):
        CustomSource(tmp_path)


def test_without_a_table_there_are_neither_splits_nor_groups(tmp_path: Path):
    source = CustomSource(own(tmp_path, depth={f"{name}.npy": npy(np.zeros(1)) for name in NAMES}))
    assert (source.splits, source.groups, source.tasks) == ({}, {}, ("depth",))


def test_images_are_rgb_of_eight_bits_whatever_they_were(tmp_path: Path):
    own(tmp_path, "image,class\na,1\nb,1\nc,1\nd,1\n")
    for name in NAMES:
        (tmp_path / f"images/{name}.png").unlink()
    grey = Image.new("L", (5, 3), 100)
    write_folder(
        tmp_path / "images",
        {
            "a.png": picture("PNG", grey),
            "b.JPG": picture("JPEG", Image.new("RGB", (5, 3), (200, 30, 30))),
            "c.png": picture("PNG", Image.new("RGBA", (5, 3), (200, 30, 40, 7))),
            "d.png": png(np.full((3, 5, 3), 256 * 90, np.uint16)),
        },
    )
    source = CustomSource(tmp_path)
    assert {(source.image(name).shape, str(source.image(name).dtype)) for name in source.names} == {((3, 5, 3), "uint8")}
    assert source.image("a")[0, 0].tolist() == [100, 100, 100]
    assert source.image("b")[0, 0, 0] > 180
    # Transparency lies over white, and 16 bits are scaled by the largest number of as many bits as the image's largest value has.
    assert source.image("c")[0, 0].tolist() == [round(255 - (255 - one) * 7 / 255) for one in (200, 30, 40)]
    assert source.image("d")[0, 0].tolist() == [round(256 * 90 / 32767 * 255)] * 3
    assert source.image("d", 65535)[0, 0].tolist() == [90, 90, 90]


TABLE = "image,class\ncat 2,0\ncat 10,1\n007,2\n"


@pytest.mark.parametrize(
    ("table", "folders", "said"),
    [
        (TABLE + "dog,1\n", {}, "labels.csv: 1 of 4 labels have no image: dog$"),
        (None, {"depth": {"cat 2.npy": b"", "x.npy": b""}}, "depth: 1 of 2 labels have no image: x$"),
        (None, {"depth": {"cat 2.pdf": b""}}, "depth: 1 files are no .bmp or .jpeg or .jpg or .npy or .png or .tif or .tiff or .webp: cat 2.pdf$"),
        (None, {"images": {"cat 2.jpg": b""}}, "images: cat 2.jpg and cat 2.png have the same name; keep one"),
        (None, {"images": {"notes.txt": b""}}, "images: 1 files are no .bmp or .jpeg or .jpg or .png or .tif or .tiff or .webp: notes.txt"),
        (None, {}, "has images/ and no labels; expected folders <task>/, or labels.csv"),
        ("title,class\ncat 2,0\n", {}, r"labels.csv: has no column image \(or filename, file_name, file, path\); columns are title, class"),
        (TABLE + "cat 2,1\n", {}, "labels.csv: 1 images have more than one row: cat 2"),
        ("image,c.0,c.2\ncat 2,0,0\ncat 10,1,0\n007,1,0\n", {}, r"columns of c must be c.0 to c.1 \(are c.0, c.2\)"),
        ("image,c.0,c\ncat 2,0,0\ncat 10,1,0\n007,1,0\n", {}, r"columns of c must be c.0 to c.0 \(are c.0 and c\)"),
        ("image,class,split\ncat 2,0,train\ncat 10,1,dev\n007,2,val\n", {}, r"split must be one of train, val, test \(is also dev\)"),
        ("image,class,split,group\ncat 2,0,train,a\ncat 10,1,val,a\n007,2,val,b\n", {}, "1 groups lie in more than one split: a"),
        ("image,class,group\ncat 2,0,a\ncat 10,1,\n007,2,b\n", {}, "1 images have no group: cat 10"),
        (TABLE, {"class": {f"{name}.npy": b"" for name in NAMES}}, "class: is a column and also a folder"),
        ("", {}, r"labels.csv: empty file; expected the header image,\.\.\. and others"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, table: str | None, folders: dict[str, dict[str, bytes]], said: str):
    own(tmp_path, table, **folders)
    with pytest.raises(TaskonomyError, match=said) as error:
        CustomSource(tmp_path)
    assert "\n" not in str(error.value)


def test_no_images_or_two_tables_are_refused(tmp_path: Path):
    with pytest.raises(TaskonomyError, match="has no folder images/"):
        CustomSource(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(TaskonomyError, match="holds no image"):
        CustomSource(tmp_path)
    own(tmp_path, TABLE)
    (tmp_path / "labels.parquet").touch()
    with pytest.raises(TaskonomyError, match=r"has labels.csv and labels.parquet; which one counts"):
        CustomSource(tmp_path)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(TaskonomyError, match=r"labels.parquet: (needs pyarrow to be read|cannot be read)"):
        CustomSource(tmp_path)


def test_unknown_images_and_tasks_are_named(tmp_path: Path):
    source = CustomSource(own(tmp_path, TABLE))
    with pytest.raises(TaskonomyError, match=r"unknown 'clas' \(did you mean 'class'\?\)"):
        source.label("cat 2", "clas")
    with pytest.raises(TaskonomyError, match="no image 'cow'"):
        source.image("cow")
    with pytest.raises(TaskonomyError, match="no image 'cow'"):
        source.label("cow", "class")


def test_damaged_files_say_why(tmp_path: Path):
    labels = {"cat 2.png": b"", "cat 10.png": png(RGB)[:-9], "007.npy": b"x"}
    source = CustomSource(own(tmp_path, mask=labels, images={"cat 2.png": b"\xff\xd8\xff"}))
    for name, reason in (("cat 2", "empty file"), ("cat 10", "truncated PNG: copy it again"), ("007", "not an array: .*")):
        with pytest.raises(DamagedFileError, match=f"^{reason}$"):
            source.label(name, "mask")
    with pytest.raises(DamagedFileError, match="truncated JPEG"):
        source.image("cat 2")
