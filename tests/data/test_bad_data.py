"""Bad data, kind by kind: each is one line that names the file or the key, and says what would be right."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from by_hand import npy, png
from conftest import ROOT
from PIL import Image

from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams
from taskonomy.data.prepare.run import prepare
from taskonomy.errors import TaskonomyError

SIDE, COUNT = 32, 10
RNG = np.random.default_rng(2)
NAMES = [f"im{number}" for number in range(COUNT)]
PARTS = {"kind": "pixel_classes", "classes": ["a", "b", "c"]}
DEPTH = {"kind": "map", "channels": 1, "range": [0, 10000]}
TINT = {"kind": "class", "classes": ["red", "blue"]}
AGE = {"kind": "vector", "length": 1}


def good(root: Path) -> Path:
    """Images with a label of every kind, in which nothing is wrong."""
    for folder, make in (
        ("images", lambda: RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)),
        ("parts", lambda: RNG.integers(0, 3, (SIDE, SIDE), np.uint8)),
        ("depth", lambda: RNG.integers(1, 9999, (SIDE, SIDE)).astype(np.uint16)),
    ):
        (root / folder).mkdir(parents=True)
        for name in NAMES:
            (root / folder / f"{name}.png").write_bytes(png(make()))
    rows(root, [f"{name},{('red', 'blue')[number % 2]},{number / 3:.3f}" for number, name in enumerate(NAMES)])
    return root


def rows(root: Path, lines: list[str], head: str = "image,tint,age") -> None:
    (root / "labels.csv").write_text("\n".join([head, *lines]) + "\n")


def labels(root: Path, change: Callable[[int, str], str], head: str = "image,tint,age") -> None:
    rows(root, [change(number, name) for number, name in enumerate(NAMES)], head)


def prepared(root: Path, own: dict[str, Any] | None = None, **more: Any) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    own = {"parts": PARTS, "depth": DEPTH, "tint": TINT, "age": AGE} if own is None else own
    splits = {"train": 0.5, "val": 0.25, "test": 0.25}
    changed = {**values, "resolution": SIDE, "own": own, "tasks": (*own, "autoencoding"), "labels": {}, "splits": splits, **more}
    prepare(root, root.parent / "out", checked(DataParams, changed, "params.yaml"), processes=1)


def over(path: str, data: bytes) -> Callable[[Path], None]:
    """Overwrite a file."""
    return lambda root: (root / path).write_bytes(data) and None


def saved(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def coco(**changes: Any) -> Callable[[Path], None]:
    square = [[1, 1, 9, 1, 9, 9]]
    whole: dict[str, Any] = {
        "images": [{"id": number, "file_name": f"{name}.png", "height": SIDE, "width": SIDE} for number, name in enumerate(NAMES)],
        "annotations": [{"image_id": number, "category_id": 1 + number % 2, "segmentation": square} for number in range(COUNT)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    return lambda root: (root / "coco.json").write_text(json.dumps({**whole, **changes})) and None


IMAGE = png(np.zeros((SIDE, SIDE, 3), np.uint8))
COCO = {"pet": {"kind": "pixel_classes", "classes": ["cat", "dog"], "files": "coco.json"}}
# What is wrong -> how it comes about, what the one line says, and what else is declared.
BAD: dict[str, tuple[Callable[[Path], Any], str, dict[str, Any]]] = {
    "an empty image": (over("images/im3.png", b""), r"images/im3\.png \(empty file\); repair it or set data\.on_bad: skip", {}),
    "an image cut off": (over("images/im3.png", IMAGE[:-20]), r"images/im3\.png \(truncated PNG: copy it again\)", {}),
    "a web page for an image": (over("images/im3.png", b"<html>"), r"images/im3\.png \(image that cannot be decoded\)", {}),
    "an image of floating point": (
        lambda root: ((root / "images/im3.png").unlink(), (root / "images/im3.tif").write_bytes(saved(np.zeros((4, 4), np.float32), "TIFF"))),
        r"images/im3\.tif \(has pixels of type float32; images have 8 or 16 bits: save it so\)",
        {},
    ),
    "a file that is no image": (over("images/notes.txt", b"x"), r"images: 1 files are no \.bmp or \.jpeg .*: notes\.txt$", {}),
    "two images of one name": (over("images/im3.jpg", b"x"), r"im3\.jpg and im3\.png have the same name; keep one", {}),
    "a label of no image": (over("parts/dog.png", b"x"), r"parts: 1 of 11 labels have no image: dog$", {}),
    "a label cut off": (over("parts/im3.png", png(np.zeros((SIDE, SIDE), np.uint8))[:-5]), r"parts/im3\.png \(truncated PNG", {}),
    "a label of another size": (
        over("parts/im3.png", png(np.zeros((30, 31), np.uint8))),
        r"parts/im3\.png \(is 31 x 30, its image 32 x 32 pixels, or a whole number of times",
        {},
    ),
    "an id of no class": (
        over("parts/im3.png", png(np.full((SIDE, SIDE), 7, np.uint8))),
        r"data\.own\.parts: .*im3\.png: it holds the id 7, .*; classes: 8 at least",
        {},
    ),
    "ids saved as JPEG": (
        lambda root: ((root / "parts/im3.png").unlink(), (root / "parts/im3.jpg").write_bytes(saved(np.zeros((SIDE, SIDE), np.uint8), "JPEG"))),
        r"parts/im3\.jpg \(is a JPG, whose compression changes ids; save ids as PNG\)",
        {},
    ),
    "a mask in colours": (
        over("parts/im3.png", png(RNG.integers(0, 3, (SIDE, SIDE, 3), np.uint8))),
        r"parts/im3\.png: it is an image of 3 channels, declared is pixel_classes.*; a grey image of ids would be right",
        {},
    ),
    "values that no class has": (
        lambda root: None,
        r"data\.own\.parts: .*: it holds 2, declared is pixel_classes, values 0, 1 and no other; values with 2 would be right",
        {"parts": {"kind": "pixel_classes", "classes": 2, "values": [0, 1]}},
    ),
    "a map beyond its range": (
        lambda root: None,
        r"data\.own\.depth: .*; range: at least \[0, \d+\] would be right",
        {"depth": {**DEPTH, "range": [0, 99]}},
    ),
    "a map of other channels": (lambda root: None, r"data\.own\.depth: .*; channels: 1 would be right", {"depth": {**DEPTH, "channels": 3}}),
    "a map with a palette": (
        lambda root: Image.new("P", (SIDE, SIDE), 2).save(root / "depth/im3.png"),
        r"depth/im3\.png \(has a palette, whose numbers stand for colours; save the values themselves, grey or RGB\)",
        {},
    ),
    "numbers that are none": (
        lambda root: ((root / "depth/im3.png").unlink(), (root / "depth/im3.npy").write_bytes(npy(np.full((SIDE, SIDE), np.nan)))),
        r"im3\.npy: it has 1,024 of 1,024 values that are no finite numbers, .*; finite ones, or missing: nan, which leaves these pixels out",
        {},
    ),
    "an array of objects": (
        lambda root: ((root / "depth/im3.png").unlink(), np.save(root / "depth/im3.npy", np.array([{}]), allow_pickle=True)),
        r"depth/im3\.npy \(not an array",
        {},
    ),
    "a table of no images": (
        lambda root: labels(root, lambda n, name: f"x{n},red,1", "image,tint,age"),
        r"labels\.csv: 10 of 10 labels have no image: x0",
        {},
    ),
    "a table without a column of files": (
        lambda root: labels(root, lambda n, name: f"{name},red,1", "which,tint,age"),
        r"labels\.csv: has no column image \(or filename, .*; columns are which",
        {},
    ),
    "a row twice": (
        lambda root: rows(root, [f"{name},red,1" for name in [*NAMES, "im3"]]),
        r"labels\.csv: 1 images have more than one row: im3$",
        {},
    ),
    "lost zeros": (
        lambda root: (
            [path.rename(path.with_name(f"00{path.name[2:]}")) for folder in ("images", "parts", "depth") for path in (root / folder).iterdir()],
            labels(root, lambda n, name: f"{n},red,1"),
        ),
        r"labels\.csv: 10 names have lost their leading zeros \(0 is 000\)",
        {},
    ),
    "a class of another name": (
        lambda root: labels(root, lambda n, name: f"{name},{'rot' if n == 3 else 'red'},1"),
        r"labels\.csv: im3, tint: it is 'rot', .*; one of red, blue would",
        {},
    ),
    "names of classes where their number is declared": (
        lambda root: None,
        r"data\.own\.tint: .*: it is 'red', declared is class.*; the names of the classes, such as classes: \[red, \.\.\.\], would be right",
        {"tint": {"kind": "class", "classes": 2}},
    ),
    "text for a number": (
        lambda root: labels(root, lambda n, name: f"{name},{('red', 'blue')[n % 2]},{'old' if n == 3 else n}"),
        r"im3, age: it is 'old', .*; a number would be right",
        {},
    ),
    "cells that are all empty but one": (
        lambda root: labels(root, lambda n, name: f"{name},{'red' if n == 3 else ''},{n}"),
        r"tint: [01] of its labels (is|are) in split \w+, \d at least are needed; label more of the images there, change data\.splits, or take it",
        {},
    ),
    "decimal commas of two kinds": (
        lambda root: (root / "labels.csv").write_text(
            "image;age\n" + "".join(f"{name};{'0,5' if n % 2 else '0.5'}\n" for n, name in enumerate(NAMES))
        ),
        r"labels\.csv: line \d+ has the number '0,5', line \d+ '0\.5'; write all with a decimal point",
        {},
    ),
    "a workbook": (
        lambda root: (root / "labels.csv").write_bytes(b"PK\x03\x04abc"),
        r"labels\.csv: not a text file but a workbook or another archive; save its sheet",
        {},
    ),
    "a split of another name": (
        lambda root: labels(root, lambda n, name: f"{name},dev,{('red', 'blue')[n % 2]},{n}", "image,split,tint,age"),
        r"split must be one of train, val, test",
        {},
    ),
    "a label that never varies": (
        lambda root: labels(root, lambda n, name: f"{name},red,{n}"),
        r"tint: all \d+ training samples have the same label: there",
        {},
    ),
    "a pattern that fits nothing": (
        lambda root: None,
        r"data\.own\.depth\.files: no file fits d/\{name\}\.png, as .*/d/im0\.png would",
        {"depth": {**DEPTH, "files": "d/{name}.png"}},
    ),
    "a pattern that leads elsewhere": (
        lambda root: None,
        r"own\.depth\.files: must be a path below data\.root",
        {"depth": {**DEPTH, "files": "../{name}.png"}},
    ),
    "a pattern without a name": (lambda root: None, r"own\.depth\.files: must have \{name\} where", {"depth": {**DEPTH, "files": "depth/a.png"}}),
    "no COCO file": (lambda root: None, r"coco\.json: no such file; files of data\.own is a path below data\.root", COCO),
    "JSON of something else": (
        over("coco.json", b"[1]"),
        r"coco\.json: is no COCO data set, which has lists of objects images, annotations and categories",
        COCO,
    ),
    "no JSON": (over("coco.json", b"{"), r"coco\.json: is no JSON: ", COCO),
    "a category that is not there": (
        coco(categories=[{"id": 1, "name": "cat"}]),
        r"coco\.json: has no category dog, which data\.own declares; it has cat$",
        COCO,
    ),
    "run lengths of another size": (
        coco(annotations=[{"image_id": 0, "category_id": 1, "segmentation": {"size": [9, 9], "counts": [81]}}]),
        r"coco\.json: im0 \(has no segmentation that can be read: run lengths of \[9, 9\] for an image of \[32, 32\]\)",
        COCO,
    ),
    "images of another data set": (
        coco(images=[{"id": 0, "file_name": "x.png"}]),
        r"coco\.json: none of its images is in images/, such as x\.png",
        COCO,
    ),
    "labels of neither yes nor no": (
        lambda root: labels(root, lambda n, name: f"{name},{n % 3},1", "image,seen.0,seen.1"),
        r"im2, seen: it holds 2, .*; 0 or 1 for each class, or an empty cell",
        {"seen": {"kind": "labels", "classes": 2}},
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_is_one_line_with_the_file_and_what_would_be_right(tmp_path: Path, kind: str) -> None:
    change, said, own = BAD[kind]
    change(root := good(tmp_path / "own"))
    declared = own if own.keys() & {"pet", "seen"} else {"parts": PARTS, "depth": DEPTH, "tint": TINT, "age": AGE} | own
    with pytest.raises(TaskonomyError, match=said) as error:
        prepared(root, declared)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_all_of_these_begin_with_is_good(tmp_path: Path) -> None:
    """Otherwise a line might be about something else than what is wrong."""
    coco()(root := good(tmp_path / "own"))
    prepared(root, {"parts": PARTS, "depth": DEPTH, "tint": TINT, "age": AGE, **COCO})
    assert (tmp_path / "out/manifest.json").is_file()
