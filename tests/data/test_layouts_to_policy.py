"""Every layout that people have, made small, prepared, trained on, transferred between, and brought to a policy."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from by_hand import png, write_folder
from PIL import Image
from pyarrow import parquet
from test_components import component
from tiny import unchecked
from to_policy import params_of, run_to_policy

from taskonomy.annotate.rgbd import annotate_folder
from taskonomy.annotate.rgbd_folders import Intrinsics
from taskonomy.config.params import Params, read_params
from taskonomy.data.unpack import unpack
from taskonomy.project.init import init

SIDE, COUNT = 32, 30
NAMES = [f"p{number:02}" for number in range(COUNT)]
KINDS = np.arange(COUNT) % 3
CLASSES = ("red", "green", "blue")
Drawn = tuple[np.ndarray, np.ndarray]


def drawn(number: int) -> Drawn:
    """An image whose class is its colour, with a bright block in it, and the block's mask."""
    rng = np.random.default_rng(number)
    image, mask = rng.integers(0, 90, (SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    top, left = rng.integers(2, SIDE - 14, 2)
    mask[top : top + 12, left : left + 12] = 1
    image[..., KINDS[number]] += np.uint8(80)
    image[mask > 0] += np.uint8(80)
    return image, mask


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def images(root: Path, names: list[str] = NAMES, extension: str = "png") -> Path:
    for number, name in enumerate(names):
        data = encoded(drawn(number)[0], {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[extension])
        write_folder((root / "images" / name).parent, {f"{Path(name).name}.{extension}": data})
    return root


BLOCK = {"kind": "pixel_classes", "classes": ["ground", "block"]}
COLOUR = {"kind": "class", "classes": list(CLASSES)}
Layout = tuple[Path, dict[str, Any], tuple[str, ...]]


def sub_folders(root: Path) -> Layout:
    names = [f"{'abc'[number % 3]}/{number}" for number in range(COUNT)]
    images(root, names, "tif")
    for number, name in enumerate(names):
        write_folder((root / "block" / name).parent, {f"{Path(name).name}.png": png(drawn(number)[1]), "Thumbs.db": b"x"})
    rows = "".join(f"{name}.tif,{number}\n" for number, name in enumerate(names))
    (root / "labels.csv").write_text(f"path,age\n{rows}")
    return root, {"block": BLOCK, "age": {"kind": "vector", "length": 1}}, ()


def folder_per_class(root: Path) -> Layout:
    splits = ["train"] * 12 + ["val"] * 9 + ["test"] * 9
    images(root, [f"{split}/{CLASSES[KINDS[number]]}/{number}" for number, split in enumerate(splits)], "jpg")
    return root, {"colour": {**COLOUR, "folders": True}}, ()


def columns(root: Path) -> Layout:
    """As a spreadsheet saves it, some cells empty, with a column that is nobody's label."""
    images(root)
    rows = [f"{name}.png;seen in May;{'' if number % 5 == 1 else CLASSES[KINDS[number]]};{number},5" for number, name in enumerate(NAMES)]
    (root / "labels.csv").write_bytes(("\ufefffilename;note;colour;age\r\n" + "\r\n".join(rows)).encode())
    return root, {"colour": COLOUR, "age": {"kind": "vector", "length": 1}}, ()


def patterns(root: Path) -> Layout:
    """A depth with holes, and a mask, each beside others under a suffix of its own."""
    images(root, extension="jpg")
    for number, name in enumerate(NAMES):
        far = np.where(drawn(number)[1], 0, np.arange(SIDE)[:, None] * 100 + 1).astype(np.uint16)
        write_folder(root / "labels", {f"{name}_depth.png": png(far), f"{name}_mask.png": png(drawn(number)[1] * 255)})
    far = {"kind": "map", "channels": 1, "range": [0, 4000], "missing": 0, "files": "labels/{name}_depth.png"}
    return root, {"far": far, "block": {"kind": "pixel_classes", "classes": 2, "values": [0, 255], "files": "labels/{name}_mask.png"}}, ()


def coco(root: Path, annotations: list[dict[str, Any]]) -> Path:
    images(root, extension="jpg")
    listed = [{"id": number, "file_name": f"{name}.jpg", "height": SIDE, "width": SIDE} for number, name in enumerate(NAMES)]
    categories = [{"id": 3 + number, "name": name} for number, name in enumerate((*CLASSES, "block"))]
    (root / "coco.json").write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories}))
    return root


def coco_instances(root: Path) -> Layout:
    annotations = []
    for number in range(COUNT):
        rows, columns_ = np.nonzero(drawn(number)[1])
        top, left, bottom, right = int(rows.min()), int(columns_.min()), int(rows.max()) + 1, int(columns_.max()) + 1
        annotations.append({"image_id": number, "category_id": 6, "segmentation": [[left, top, right, top, right, bottom, left, bottom]]})
    return coco(root, annotations), {"things": {"kind": "pixel_classes", "classes": ["block", "background"], "files": "coco.json"}}, ()


def coco_panoptic(root: Path) -> Layout:
    annotations = []
    for number, name in enumerate(NAMES):
        mask, colours = drawn(number)[1], np.zeros((SIDE, SIDE, 3), np.uint8)
        colours[mask == 0], colours[mask == 1] = (7, 0, 0), (9, 1, 0)
        write_folder(root / "coco", {f"{name}.png": png(colours)})
        segments = [{"id": 7, "category_id": 3 + int(KINDS[number])}, {"id": 9 + 256, "category_id": 6}]
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
    return coco(root, annotations), {"things": {"kind": "pixel_classes", "classes": [*CLASSES, "block"], "files": "coco.json"}}, ()


def coco_of_images(root: Path) -> Layout:
    annotations = [{"image_id": number, "category_id": 3 + int(kind)} for number, kind in enumerate(KINDS)]
    annotations += [{"image_id": number, "category_id": 6} for number in range(0, COUNT, 4)]
    return coco(root, annotations), {"seen": {"kind": "labels", "classes": [*CLASSES, "block"], "files": "coco.json"}}, ()


def parquet_unpacked(root: Path) -> Layout:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    splits = {"train": range(12), "validation": range(12, 21), "test": range(21, COUNT)}
    features = {"info": {"features": {"colour": {"names": list(CLASSES), "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}
    files = []
    for split, numbers in splits.items():
        cells = {
            "image": pa.array([{"bytes": encoded(drawn(number)[0], "JPEG"), "path": None} for number in numbers], image),
            "block": pa.array([{"bytes": png(drawn(number)[1]), "path": None} for number in numbers], image),
            "colour": pa.array([int(KINDS[number]) for number in numbers]),
        }
        files.append(root.with_name(f"{split}-00000-of-00001.parquet"))
        parquet.write_table(pa.table(cells).replace_schema_metadata({"huggingface": json.dumps(features)}), files[-1])
    unpack(files, root)
    return root, {"colour": COLOUR, "block": BLOCK}, ()


def omnidata(root: Path) -> Layout:
    """Wide images of one component, and another without normals."""
    component(root, "hypersim", tuple(f"b{number}" for number in range(20)))
    component(root, "clevr", ("c0", "c1", "c2"))
    shutil.rmtree(root / "normal/clevr")
    return root, {}, ("depth_zbuffer", "normal", "class_scene", "vanishing_point")


def annotated(root: Path) -> Layout:
    """Photographs of a real camera with a depth in millimetres that has holes, off the middle of its pixels."""
    source = root.with_name("camera")
    for number, name in enumerate(NAMES):
        image, mask = (np.pad(one, [(4, 4), (8, 8)] + [(0, 0)] * (one.ndim - 2), mode="edge") for one in drawn(number))
        depth = np.where(mask, 1200, 2000 + 20 * np.arange(mask.shape[1])[None]).astype(np.uint16)
        depth[:3, :9] = 0
        write_folder(source / "color", {f"{name}.jpg": encoded(image, "JPEG")})
        write_folder(source / "depth", {f"{name}.png": png(depth)})
    annotate_folder(source, root, intrinsics=Intrinsics(40.0, 40.0, 22.5, 20.5), depth_unit=1000, missing=(0,))
    return root, {}, ("depth_zbuffer", "normal", "edge_texture")


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    "sub-folders": sub_folders,
    "a folder for each class": folder_per_class,
    "columns of a spreadsheet": columns,
    "files by pattern": patterns,
    "COCO instances": coco_instances,
    "COCO panoptic": coco_panoptic,
    "COCO annotations of images": coco_of_images,
    "Parquet": parquet_unpacked,
    "components of Omnidata": omnidata,
    "a camera with depth, annotated": annotated,
}


NOT_DECLARED = ("components of Omnidata", "a camera with depth, annotated")  # their tasks are the dictionary's


def must_be_a_policy(params: Params, home: Path) -> None:
    with unchecked():  # of its parts there are tests
        run = run_to_policy(params, home)
    assert {one.target for one in run.policy.transfers} == set(params.transfer.targets)
    assert run.policy.status == "optimal"
    assert run.policy.cost <= params.policy.budget
    table = run.table.assign(sources=run.table["sources"].map("+".join)).set_index(["target", "sources"])
    for one in run.policy.transfers:
        # Each target is solved by what was measured for it, and by no worse than what costs nothing.
        assert table.loc[(one.target, "+".join(one.sources)), "affinity"] >= table.loc[(one.target, "autoencoding"), "affinity"]
        assert 0 < table.loc[(one.target, "autoencoding"), "affinity"] < 1


@pytest.mark.long
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_prepared_trained_on_and_brought_to_a_policy(layout: str, tmp_path: Path) -> None:
    root, own, built_in = LAYOUTS[layout](tmp_path / "mine")
    must_be_a_policy(params_of(root, own, (*own, *built_in, "autoencoding")), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("layout", [one for one in LAYOUTS if one not in NOT_DECLARED])
def test_a_layout_is_declared_by_init_and_brought_to_a_policy(layout: str, tmp_path: Path) -> None:
    root, own, _built_in = LAYOUTS[layout](tmp_path / "mine")
    init(tmp_path / "project", root)
    found = read_params(tmp_path / "project/params.yaml")
    must_be_a_policy(params_of(root, found.model_dump(mode="json")["data"]["own"], found.data.tasks), tmp_path)
    assert len(found.transfer.targets) >= len(own)
