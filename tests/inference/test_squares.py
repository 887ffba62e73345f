"""Images that people ask about are made square as those were that the networks learned from."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ROOT
from PIL import Image

from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams, Fit
from taskonomy.data.framing import ReadOptions
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.inference.manifest import FORMAT, open_export
from taskonomy.inference.photographs import read_square, reading_of
from taskonomy.inference.predictor import as_seen

SIDE, COUNT = 32, 12
RNG = np.random.default_rng(0)


def wide(number: int) -> bytes:
    """Wide, high or square; deep, or held another way."""
    file, shape = io.BytesIO(), [(40, 64), (90, 50), (48, 48)][number % 3]
    if number % 2:
        Image.fromarray(RNG.integers(0, 4000, shape).astype(np.uint16)).save(file, "PNG")
        return file.getvalue()
    exif = Image.Exif()
    exif[0x0112] = (1, 6, 3)[number % 3]
    Image.fromarray(RNG.integers(0, 256, (*shape, 3), np.uint8)).save(file, "PNG", exif=exif.tobytes())
    return file.getvalue()


@pytest.mark.parametrize("fit", list(Fit))
def test_a_file_is_seen_as_it_was_prepared(tmp_path: Path, fit: Fit) -> None:
    (tmp_path / "own/images").mkdir(parents=True)
    names = [f"{number:02}" for number in range(COUNT)]
    for number, name in enumerate(names):
        (tmp_path / f"own/images/{name}.png").write_bytes(wide(number))
    splits = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    (tmp_path / "own/labels.csv").write_text(
        "image,split,y\n" + "".join(f"{name},{split},{name}\n" for name, split in zip(names, splits, strict=True))
    )
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())["data"]
    own = {"y": {"kind": "vector", "length": 1}}
    params = checked(
        DataParams, {**values, "own": own, "tasks": ("y", "autoencoding"), "labels": {}, "resolution": SIDE, "fit": fit, "white": 4095}, "params.yaml"
    )
    prepare(tmp_path / "own", tmp_path / "out", params, processes=1)
    done = Prepared(tmp_path / "out")
    squares = [read_square(tmp_path / f"own/images/{name}.png", ReadOptions(fit, 4095)) for name in done.index["building"]]
    seen = as_seen(squares, SIDE).permute(0, 2, 3, 1).numpy() * 255
    np.testing.assert_array_equal(np.rint(seen).astype(np.uint8), done.images)


@pytest.mark.parametrize(("data", "expected"), [({}, ReadOptions()), ({"fit": "pad", "white": 4095}, ReadOptions(Fit.PAD, 4095.0))])
def test_an_export_says_how_its_images_were_read(tmp_path: Path, data: dict[str, Any], expected: ReadOptions) -> None:
    index = {"format": FORMAT, "side": 32, "targets": {}, "encoders": {}, "left_out": {}, "cost": {}, "data": data}
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert reading_of(open_export(tmp_path)) == expected
    (tmp_path / "index.json").write_text(json.dumps({**index, "data": {"fit": "stretch"}}))
    with pytest.raises(TaskonomyError, match=r"index\.json: not what the stage `export` writes \('stretch' is not a valid Fit\); export again"):
        reading_of(open_export(tmp_path))
