"""Folders as people have them, prepared: each array is what was drawn."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from by_hand import npy, png, write_folder
from conftest import ROOT
from PIL import Image, ImageOps

from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams
from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_report import CustomReport
from taskonomy.data.datasets import Released, open_anew
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError

SIDE = 32
COUNT = 12
RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
IDS = RNG.integers(0, 3, (COUNT, SIDE, SIDE), np.uint8)
SPLITS = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
VALUES = np.arange(COUNT) % 3
NAMES = [f"p{number:02}" for number in range(COUNT)]


def encoded(pixels: np.ndarray, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **more)
    return file.getvalue()


def draw(root: Path, names: list[str] = NAMES, extension: str = "png") -> Path:
    for name, image in zip(names, IMAGES, strict=True):
        path = root / "images" / f"{name}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image, {"png": "PNG", "tif": "TIFF", "bmp": "BMP"}[extension]))
    return root


def table(root: Path, head: str, rows: list[tuple[Any, ...]], separator: str = ",") -> None:
    lines = [head, *(separator.join(map(str, row)) for row in rows)]
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepared(root: Path, own: dict[str, Any], **more: Any) -> tuple[Prepared, dict[str, Any], DataParams]:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    tasks = (*own, "autoencoding")
    params = checked(DataParams, {**values, "resolution": SIDE, "own": own, "tasks": tasks, "labels": {}, **more}, "params.yaml")
    out = root.parent / "out"
    manifest = prepare(root, out, params, processes=1)
    return Prepared(out), manifest, params


def by_image(done: Prepared, params: DataParams, task: str) -> dict[str, Any]:
    """Stored labels by the name of the image; each image is a building of its own."""
    stored = done.task(params.registry[task]).stored
    return {name: np.asarray(stored[row]) for row, name in enumerate(done.index["building"])}


def in_splits(manifest: dict[str, Any]) -> tuple[int, int, int]:
    """Images of train, val and test; the last two are each divided in two."""
    views = manifest["views"]
    return views["train"], views["transfer"] + views["validation"], views["test_affinity"] + views["test_policy"]


SPLIT = {"train": 0.5, "val": 0.25, "test": 0.25}
MASKS = {"kind": "pixel_classes", "classes": 3}


def test_images_and_masks_in_sub_folders_are_matched_by_their_path(tmp_path: Path) -> None:
    names = [f"{'abc'[number % 3]}/{number // 3}" for number in range(COUNT)]  # a/0, b/0, ...: a file's name alone tells nothing
    root = draw(tmp_path / "own", names, "tif")
    for name, ids in zip(names, IDS, strict=True):
        write_folder((root / "parts" / name).parent, {f"{Path(name).name}.png": png(ids), "Thumbs.db": b"x"})
    done, _manifest, params = prepared(root, {"parts": MASKS}, splits=SPLIT)
    found = by_image(done, params, "parts")
    assert sorted(found) == sorted(names)
    for number, name in enumerate(names):
        assert (found[name] == IDS[number]).all()
        assert (done.images[list(done.index["building"]).index(name)] == IMAGES[number]).all()


def test_images_in_rgb_are_images_where_there_are_no_others_and_their_names_are_not_the_releases(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    (root / "images").rename(root / "rgb")
    write_folder(root / "parts", {f"{name}.png": png(ids) for name, ids in zip(NAMES, IDS, strict=True)})
    done, _manifest, params = prepared(root, {"parts": MASKS}, splits=SPLIT)
    found = by_image(done, params, "parts")
    assert sorted(found) == NAMES
    assert all((found[name] == ids).all() for name, ids in zip(NAMES, IDS, strict=True))
    for name in NAMES:
        (root / f"rgb/{name}.png").rename(root / f"rgb/point_{int(name[1:])}_view_0_domain_rgb.png")
    assert isinstance(open_anew(root), Released)


@pytest.mark.parametrize("column", ["image", "filename", "path", "file_name"])
@pytest.mark.parametrize("written", ["{}.png", "{}", "images/{}.png", "/home/me/photos/images/{}.png"])
def test_any_column_may_name_the_file_and_text_that_no_task_names_is_left_alone(tmp_path: Path, column: str, written: str) -> None:
    root = draw(tmp_path / "own")
    rows = [(written.format(name), split, f"seen on day {value}", value) for name, split, value in zip(NAMES, SPLITS, VALUES, strict=True)]
    table(root, f"{column},split,note,age", rows)
    done, manifest, params = prepared(root, {"age": {"kind": "vector", "length": 1}})
    assert in_splits(manifest) == (6, 3, 3)
    assert {name: value.tolist() for name, value in by_image(done, params, "age").items()} == {
        name: [value] for name, value in zip(NAMES, VALUES, strict=True)
    }


def test_a_spreadsheets_table_is_read_semicolons_mark_decimal_commas_and_all(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    lines = ["\ufeffImage;Split;Age", *(f"{name};{split};{value},5" for name, split, value in zip(NAMES, SPLITS, VALUES, strict=True))]
    (root / "labels.csv").write_bytes("\r\n".join(lines).encode())
    done, _manifest, params = prepared(root, {"age": {"kind": "vector", "length": 1}})
    assert [value.item() for value in by_image(done, params, "age").values()] == [value + 0.5 for value in VALUES]


def test_lost_leading_zeros_are_named_in_one_line(tmp_path: Path) -> None:
    names = [f"{number:04}" for number in range(COUNT)]
    root = draw(tmp_path / "own", names)
    table(root, "image,y", [(number, number % 2) for number in range(COUNT)])
    with pytest.raises(
        TaskonomyError, match=r"labels\.csv: 12 names have lost their leading zeros \(0 is 0000\), as spreadsheets do: format the col"
    ):
        CustomSource(root)


@pytest.mark.parametrize("cells", ["names", "numbers"])
def test_classes_are_numbered_in_the_order_of_the_declaration(tmp_path: Path, cells: str) -> None:
    root = draw(tmp_path / "own")
    classes = ["red", "blue", "green"]
    rows = [(name, split, classes[value] if cells == "names" else value) for name, split, value in zip(NAMES, SPLITS, VALUES, strict=True)]
    table(root, "image,split,tint", rows)
    done, _manifest, params = prepared(root, {"tint": {"kind": "class", "classes": classes}})
    assert [value.item() for value in by_image(done, params, "tint").values()] == VALUES.tolist()
    if cells == "names":
        assert "text        tint: 3 different, blue, green, red; of classes: classes: [blue, green, red]" in CustomReport(CustomSource(root)).render()


def test_a_folder_for_each_class_is_its_label_and_folders_of_splits_are_the_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{split}/{('cat', 'dog')[number % 2]}/{number}" for number, split in enumerate(SPLITS)]
    root = draw(tmp_path / "own", names)
    done, manifest, params = prepared(root, {"pet": {"kind": "class", "classes": ["dog", "cat"], "folders": True}})
    assert in_splits(manifest) == (6, 3, 3)
    assert {name: int(value[0]) for name, value in by_image(done, params, "pet").items()} == {name: int("/cat/" in name) for name in names}
    assert "splits are those of the folders images/train, images/val and images/test" in capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["depth/{name}_depth.png", "labels/{name}/d.png", "depth/{name}_depth.*"])
def test_label_files_lie_where_a_pattern_says(tmp_path: Path, pattern: str) -> None:
    root = draw(tmp_path / "own")
    depth = RNG.integers(1, 5000, (COUNT, SIDE, SIDE)).astype(np.uint16)
    for name, values in zip(NAMES, depth, strict=True):
        path = root / pattern.replace("{name}", name).replace(".*", ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(values))
    own = {"far": {"kind": "map", "channels": 1, "range": [0, 65535], "files": pattern}}
    done, _manifest, params = prepared(root, own, splits=SPLIT)
    found = by_image(done, params, "far")
    assert all((found[name][..., 0] == values).all() for name, values in zip(NAMES, depth, strict=True))


def test_a_suffix_that_nobody_declared_is_an_error_that_shows_the_pattern(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    write_folder(root / "depth", {f"{name}_depth.png": png(IDS[0]) for name in NAMES})
    assert "depth (files depth/{name}_depth.png)" in CustomReport(CustomSource(root)).render()
    with pytest.raises(
        TaskonomyError, match=r"depth: 12 of 12 labels have no image: .*; declare where they are: data\.own\.depth\.files: depth/\{name\}_d"
    ):
        prepared(root, {"depth": MASKS}, splits=SPLIT)


def test_masks_with_a_palette_are_its_indices_and_255_is_none(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    (root / "parts").mkdir()
    for name, ids in zip(NAMES, IDS, strict=True):
        ids = np.where(ids == 2, 255, ids).astype(np.uint8)
        image = Image.fromarray(ids).convert("P")
        image.putdata(ids.ravel().tolist())
        image.putpalette(RNG.integers(0, 256, 768, np.uint8).tolist())
        image.save(root / "parts" / f"{name}.png")
    done, _manifest, params = prepared(root, {"parts": {"kind": "pixel_classes", "classes": 2}}, splits=SPLIT)
    assert all(
        (found == np.where(IDS[NAMES.index(name)] == 2, 255, IDS[NAMES.index(name)])).all() for name, found in by_image(done, params, "parts").items()
    )


def test_masks_of_black_and_white_are_two_classes_if_their_values_are_declared(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    write_folder(root / "mole", {f"{name}.png": png((ids > 1).astype(np.uint8) * 255) for name, ids in zip(NAMES, IDS, strict=True)})
    done, _manifest, params = prepared(root, {"mole": {"kind": "pixel_classes", "classes": 2, "values": [0, 255]}}, splits=SPLIT)
    assert all((found == (IDS[NAMES.index(name)] > 1)).all() for name, found in by_image(done, params, "mole").items())


@pytest.mark.parametrize(
    ("orientation", "wider", "drawn"),
    [(3, 16, "on the stored pixels"), (6, 0, "on the stored pixels")]
    + [(turned, 16, drawn) for turned in (6, 8) for drawn in ("on the stored pixels", "upright")],
)
def test_photographs_and_labels_are_turned_together_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], orientation: int, wider: int, drawn: str
) -> None:
    """Of a square, and of half a turn, sizes do not tell how a label was drawn: it is taken for the stored pixels', and that is said."""
    wide = RNG.integers(0, 256, (COUNT, SIDE, SIDE + wider, 3), np.uint8)
    ids = RNG.integers(0, 3, (COUNT, SIDE, SIDE + wider), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    root = tmp_path / "own"
    for name, image, parts in zip(NAMES, wide, ids, strict=True):
        photograph = encoded(image, exif=exif.tobytes())
        turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(parts, exif=exif.tobytes())))))
        write_folder(root / "images", {f"{name}.png": photograph})
        write_folder(root / "parts", {f"{name}.png": png(parts if drawn == "on the stored pixels" else turned)})
    done, _manifest, params = prepared(root, {"parts": MASKS}, splits=SPLIT)
    found = by_image(done, params, "parts")
    for row, name in enumerate(done.index["building"]):
        number = NAMES.index(name)
        upright = [np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(one[number], exif=exif.tobytes()))))) for one in (wide, ids)]
        middle = slice(wider // 2, wider // 2 + SIDE)
        cut = (slice(None), middle) if upright[0].shape[1] > SIDE else (middle, slice(None))
        assert (done.images[row] == upright[0][cut]).all()
        assert (found[name] == upright[1][cut]).all()
    said, report = capsys.readouterr().err, CustomReport(CustomSource(root)).render()
    assert "12 images are turned upright" in said
    assert "12 images are turned upright" in report
    assert ("12 labels of the size of the stored pixels are turned with them" in said) == (drawn == "on the stored pixels")


def test_deep_images_are_scaled_alike_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "own"
    grey = RNG.integers(0, 2000, (COUNT, SIDE, SIDE)).astype(np.uint16)
    grey[3, 0, 0] = 3999  # of 12 bits: one image says it for all
    write_folder(root / "images", {f"{name}.png": png(one) for name, one in zip(NAMES, grey, strict=True)})
    table(root, "image,split,y", list(zip(NAMES, SPLITS, VALUES, strict=True)))
    own = {"y": {"kind": "class", "classes": 3}}
    done, _manifest, _params = prepared(root, own)
    assert (done.images[5, ..., 0] == np.rint(grey[5] * (255 / 4095))).all()
    assert (
        "12 images have more than 8 bits per channel: 4095 is white, the largest value of all of them has so many bits; data.white decl"
        in capsys.readouterr().err
    )
    declared, _manifest, _params = prepared(root, own, white=2000)
    assert (declared.images[5, ..., 0] == np.rint(np.minimum(grey[5] / 2000, 1) * 255)).all()


@pytest.mark.parametrize("missing", ["nan", 0])
def test_pixels_without_a_value_are_masked_where_the_declaration_says_so(tmp_path: Path, missing: Any) -> None:
    root = draw(tmp_path / "own")
    depth = RNG.uniform(1, 9, (COUNT, SIDE, SIDE)).astype(np.float32)
    holes = RNG.random((COUNT, SIDE, SIDE)) < 0.3
    stored = np.where(holes, np.nan if missing == "nan" else 0, depth).astype(np.float32)
    write_folder(root / "depth", {f"{name}.npy": npy(one) for name, one in zip(NAMES, stored, strict=True)})
    own: dict[str, Any] = {"depth": {"kind": "map", "channels": 1, "range": [1, 9], "missing": missing}}
    done, _manifest, params = prepared(root, own, splits=SPLIT)
    task = done.task(params.registry["depth"])
    every = np.arange(COUNT)
    order = [NAMES.index(name) for name in done.index["building"]]
    mask = task.mask(every)
    assert (mask == ~holes[order]).all()
    np.testing.assert_allclose((task.labels(every)[..., 0] + 1) / 2 * 8 + 1, np.where(mask, depth[order], 1), atol=1e-3)
    if missing == "nan":
        assert "holes       depth: 12 labels have values that are no finite numbers" in CustomReport(CustomSource(root)).render()


def test_a_smaller_map_is_no_darker_beside_its_holes(tmp_path: Path) -> None:
    """Of a flat surface with holes, every pixel that is not a hole is the surface."""
    from taskonomy.tasks.custom_tasks import CustomMap

    flat = np.full((64, 64, 1), 7.0)
    flat[RNG.random((64, 64)) < 0.4] = np.nan
    small = CustomMap(kind="map", channels=1, range=(0, 10), missing="nan").compact(flat, 16)
    np.testing.assert_allclose(
        small[~(flat.reshape(16, 4, 16, 4).swapaxes(1, 2) != flat.reshape(16, 4, 16, 4).swapaxes(1, 2)).all((2, 3))], 0.7 * 65535, atol=1
    )


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("which", ["smaller", "larger"])
def test_masks_of_another_size_by_a_whole_factor_are_brought_to_the_images(tmp_path: Path, factor: int, which: str) -> None:
    root = draw(tmp_path / "own")
    coarse = RNG.integers(0, 3, (COUNT, SIDE // factor, SIDE // factor), np.uint8)
    whole = np.kron(coarse, np.ones((1, factor, factor), np.uint8))
    stored = coarse if which == "smaller" else np.kron(whole, np.ones((1, factor, factor), np.uint8))
    write_folder(root / "parts", {f"{name}.png": png(one) for name, one in zip(NAMES, stored, strict=True)})
    done, _manifest, params = prepared(root, {"parts": MASKS}, splits=SPLIT)
    assert all((found == whole[NAMES.index(name)]).all() for name, found in by_image(done, params, "parts").items())


@pytest.mark.parametrize("cells", ["names", "columns of names", "numbered columns"])
def test_any_number_of_classes_of_an_image_are_a_zero_or_one_for_each(tmp_path: Path, cells: str) -> None:
    root = draw(tmp_path / "own")
    classes = ["sky", "Sea", "land"]
    yes = RNG.integers(0, 2, (COUNT, 3))
    yes[0], yes[1] = (1, 1, 0), (0, 0, 0)
    head = {"names": "tags", "columns of names": "tags.sky,tags.Sea,tags.land", "numbered columns": "tags.0,tags.1,tags.2"}[cells]
    text = [["|".join(name for name, one in zip(classes, row, strict=True) if one) or "|"] if cells == "names" else row.tolist() for row in yes]
    table(root, f"image,split,{head}", [(name, split, *row) for name, split, row in zip(NAMES, SPLITS, text, strict=True)])
    done, _manifest, params = prepared(root, {"tags": {"kind": "labels", "classes": classes}})
    assert [value.tolist() for value in by_image(done, params, "tags").values()] == yes.tolist()


def test_padding_keeps_the_whole_image_and_counts_in_no_map(tmp_path: Path) -> None:
    root = tmp_path / "own"
    wide = RNG.integers(1, 256, (COUNT, SIDE // 2, SIDE, 3), np.uint8)
    far = RNG.integers(1, 255, (COUNT, SIDE // 2, SIDE)).astype(np.uint8)
    write_folder(root / "images", {f"{name}.png": png(one) for name, one in zip(NAMES, wide, strict=True)})
    write_folder(root / "far", {f"{name}.png": png(one) for name, one in zip(NAMES, far, strict=True)})
    own = {"far": {"kind": "map", "channels": 1}}
    done, _manifest, params = prepared(root, own, splits=SPLIT, fit="pad")
    bars = slice(SIDE // 4, SIDE // 4 + SIDE // 2)
    for task in ("far", "autoencoding"):
        mask = done.task(params.registry[task]).mask(np.arange(COUNT))
        assert mask[:, bars].all()
        assert mask.sum() == COUNT * SIDE * SIDE // 2
    order = [NAMES.index(name) for name in done.index["building"]]
    assert (done.images[:, bars] == wide[order]).all()
    assert (done.task(params.registry["far"]).stored[:, bars, :, 0] == np.rint(far[order] / np.float32(255) * 65535)).all()


def test_squeezing_keeps_the_whole_image_and_ids_whole(tmp_path: Path) -> None:
    root = tmp_path / "own"
    tall = RNG.integers(0, 256, (COUNT, SIDE, SIDE // 2, 3), np.uint8)
    ids = RNG.integers(0, 3, (COUNT, SIDE, SIDE // 2), np.uint8)
    write_folder(root / "images", {f"{name}.png": png(one) for name, one in zip(NAMES, tall, strict=True)})
    write_folder(root / "parts", {f"{name}.png": png(one) for name, one in zip(NAMES, ids, strict=True)})
    done, _manifest, params = prepared(root, {"parts": MASKS}, splits=SPLIT, fit="squeeze")
    assert all((found == ids[NAMES.index(name)].repeat(2, 1)).all() for name, found in by_image(done, params, "parts").items())
    order = [NAMES.index(name) for name in done.index["building"]]
    assert np.abs(done.images[:].astype(int).mean((1, 2)) - tall[order].mean((1, 2))).max() < 2


def rle(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, beginning with zeros."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


def compressed(counts: list[int]) -> str:
    """As the format's own program writes them: differences, then five bits a character with a sixth that says that more follow."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


@pytest.mark.parametrize("how", ["polygon", "run lengths", "compressed", "panoptic"])
def test_segments_of_a_coco_file_are_classes_of_pixels(tmp_path: Path, how: str) -> None:
    root = draw(tmp_path / "own")
    categories = [{"id": 7, "name": "wall"}, {"id": 90, "name": "ball"}]
    expected = {}
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(NAMES):
        wall, ball = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
        wall[2:20, 3 : 20 + number], ball[8:12, 5:9] = True, True
        expected[name] = np.where(ball, 0, np.where(wall, 2, 1))  # [ball, background, wall]; the ball lies on the wall
        corners = [[3, 2, 20 + number, 2, 20 + number, 20, 3, 20]], [[5, 8, 9, 8, 9, 12, 5, 12]]
        if how == "panoptic":
            colours = np.zeros((SIDE, SIDE, 3), np.uint8)
            colours[wall], colours[ball] = (1, 2, 0), (200, 0, 1)
            write_folder(root / "coco", {f"{name}.png": png(colours)})
            segments = [{"id": 1 + 2 * 256, "category_id": 7}, {"id": 200 + 65536, "category_id": 90}]
            annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
            continue
        for category, mask, polygon in ((90, ball, corners[1]), (7, wall, corners[0])):
            counts = rle(mask) if how == "run lengths" else compressed(rle(mask))
            shape = polygon if how == "polygon" else {"size": [SIDE, SIDE], "counts": counts}
            annotations.append({"image_id": number, "category_id": category, "segmentation": shape})
    images = [{"id": number, "file_name": f"{name}.png", "height": SIDE, "width": SIDE} for number, name in enumerate(NAMES)]
    (root / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    own = {"things": {"kind": "pixel_classes", "classes": ["ball", "background", "wall"], "files": "coco.json"}}
    done, _manifest, params = prepared(root, own, splits=SPLIT)
    for name, found in by_image(done, params, "things").items():
        assert (found == expected[name]).all()


def test_annotations_of_a_coco_file_are_classes_of_images(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    categories = [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}]
    images = [{"id": number, "file_name": f"train2017/{name}.png"} for number, name in enumerate(NAMES)]
    annotations = [{"image_id": number, "category_id": (1, 3)[value % 2]} for number, value in enumerate(VALUES)]
    (root / "a.json").write_text(
        json.dumps({"images": images, "annotations": [*annotations, {"image_id": 0, "category_id": 3}], "categories": categories})
    )
    done, _manifest, params = prepared(root, {"seen": {"kind": "labels", "classes": 2, "files": "a.json"}}, splits=SPLIT)
    # Without names, classes are the categories in the order of their ids: dog, cat.
    expected = {name: [int(value % 2 == 0 or name == "p00"), int(value % 2 == 1 or name == "p00")] for name, value in zip(NAMES, VALUES, strict=True)}
    assert {name: found.tolist() for name, found in by_image(done, params, "seen").items()} == expected
    (root / "b.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    done, _manifest, params = prepared(root, {"pet": {"kind": "class", "classes": ["cat", "dog"], "files": "b.json"}}, splits=SPLIT)
    assert {name: int(found[0]) for name, found in by_image(done, params, "pet").items()} == {
        name: int(value % 2 == 0) for name, value in zip(NAMES, VALUES, strict=True)
    }


def test_pairs_may_name_classes_and_their_images_by_path(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    table(root, "image,group", [(name, number // 2) for number, name in enumerate(NAMES)])
    pairs = [(NAMES[number], NAMES[number + 1], ("near", "far")[number % 4 // 2]) for number in range(0, COUNT, 2)]
    (root / "apart.csv").write_text("image_a;image_b;value\n" + "".join(f"images/{a}.png;{b};{value}\n" for a, b, value in pairs))
    done, _manifest, params = prepared(
        root, {"apart": {"kind": "class", "classes": ["near", "far"], "images": 2}}, splits={"train": 0.4, "val": 0.3, "test": 0.3}
    )
    assert done.task(params.registry["apart"]).stored[:].ravel().tolist() == [0, 1] * 3


def test_an_image_without_a_label_is_read_as_none_and_counted(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    table(root, "image,y,z", [(name, number % 2 if number > 2 else "", 1) for number, name in enumerate(NAMES[:-1])])
    source = CustomSource(root)
    assert source.label(NAMES[0], "y") is None
    assert source.label(NAMES[-1], "y") is None
    assert source.missing("y") == [*NAMES[:3], NAMES[-1]]
    assert source.missing("z") == [NAMES[-1]]
    assert "y (table, 8 of 12 images)" in CustomReport(source).render()


def test_what_no_declaration_names_is_left_alone_and_images_alone_are_enough_for_tasks_made_of_them(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    write_folder(root / "notes", {"todo.txt": b"x"})
    write_folder(root / "old masks", {"dog.png": png(IDS[0])})
    table(root, "image,note", [(name, "hello") for name in NAMES])
    done, _manifest, _params = prepared(root, {}, splits=SPLIT, tasks=("autoencoding", "colorization"))
    assert len(done.index) == COUNT
    assert (done.images[:] == IMAGES[[NAMES.index(name) for name in done.index["building"]]]).all()
