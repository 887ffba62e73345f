"""Parquet files with images in them, as Hugging Face's data sets have them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from by_hand import png
from pyarrow import parquet

from taskonomy.data.custom import CustomSource
from taskonomy.data.unpack import unpack
from taskonomy.errors import TaskonomyError

RNG = np.random.default_rng(0)


def write(path: Path, pixels: np.ndarray, masks: np.ndarray, labels: list[int]) -> Path:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = {
        "label": pa.array(labels),
        "image": pa.array([{"bytes": png(one), "path": "x.png"} for one in pixels], image),
        "parts": pa.array([{"bytes": png(one), "path": None} for one in masks], image),
        "tags": pa.array([["sky", "sea"], []] * (len(labels) // 2)),
        "box": pa.array([[1.5, 2.0]] * len(labels)),
        "extra": pa.array([{"a": 1}] * len(labels)),
    }
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}
    parquet.write_table(pa.table(cells).replace_schema_metadata({"huggingface": json.dumps(names)}), path)
    return path


def test_images_labels_classes_and_splits_are_those_of_the_files(tmp_path: Path) -> None:
    pixels, masks = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8), RNG.integers(0, 3, (6, 8, 8), np.uint8)
    first = write(tmp_path / "train-00000-of-00001.parquet", pixels[:4], masks[:4], [0, 1, 1, 0])
    second = write(tmp_path / "test-00000-of-00001.parquet", pixels[4:], masks[4:], [1, 0])
    done = unpack([first, second], tmp_path / "mine")
    assert (done.images, done.folders, done.classes) == (6, ["parts"], {"label": ["cat", "dog"]})
    assert "left out: extra, of type dict" in done.render(tmp_path / "mine")
    source = CustomSource(tmp_path / "mine")
    for number, name in enumerate(source.names):
        assert (source.image(name) == pixels[number]).all()
        assert (source.label(name, "parts") == masks[number]).all()
    assert list(source.table.cells["label"].values()) == ["cat", "dog", "dog", "cat", "dog", "cat"]
    assert list(source.table.cells["tags"].values()) == ["sky|sea", "|"] * 3
    assert source.label(source.names[0], "box").tolist() == [1.5, 2.0]
    assert list(source.splits.values()) == ["train"] * 4 + ["test"] * 2


def test_what_is_no_parquet_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"x")
    with pytest.raises(TaskonomyError, match=r"a\.parquet: is no Parquet file"):
        unpack([tmp_path / "a.parquet"], tmp_path / "mine")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    with pytest.raises(TaskonomyError, match=r"b\.parquet: has no column of images, which are structs of bytes and path; columns are x"):
        unpack([tmp_path / "b.parquet"], tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(TaskonomyError, match="exists; unpack overwrites nothing"):
        unpack([tmp_path / "b.parquet"], tmp_path / "mine")
