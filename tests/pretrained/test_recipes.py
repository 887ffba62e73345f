"""The recipe of docs/pretrained-encoders.md that needs no download, with random weights."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from taskonomy.config.checked import checked
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.models.torchvision_compat import import_torchvision
from taskonomy.pretrained.onnx_encoder import OnnxEncoder

DOCS = (ROOT / "docs/pretrained-encoders.md").read_text(encoding="utf-8")


def test_the_recipe_of_torchvision_gives_what_torchvision_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recipe,) = re.findall(r"<!-- recipe: torchvision -->\n```python\n(.*?)```", DOCS, re.DOTALL)
    torchvision = import_torchvision()
    monkeypatch.chdir(tmp_path)
    Path("encoders").mkdir()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(recipe.replace('weights="DEFAULT"', "weights=None"), "recipe", "exec"), {})
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None).eval()
    params = checked(PretrainedParams, {"file": "encoders/resnet18.onnx", "output": "features", "side": 224}, "encoders.resnet18")
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    seen = torch.tensor(images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        early = net.maxpool(net.relu(net.bn1(net.conv1(seen))))
        wanted = net.layer3(net.layer2(net.layer1(early))).numpy()
    np.testing.assert_allclose(OnnxEncoder("resnet18", params).maps(images), wanted, atol=1e-3 * float(np.abs(wanted).max()))


def test_recipes_have_eight_lines_at_most() -> None:
    recipes = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert len(recipes) == 4
    assert max(len([line for line in recipe.splitlines() if line.strip()]) for recipe in recipes) <= 8


def test_every_field_is_described() -> None:
    fields = DOCS.partition("## The fields")[2].partition("\n## ")[0]
    described = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in fields.splitlines() if line.startswith("| `"))))
    assert described == set(PretrainedParams.model_fields)
