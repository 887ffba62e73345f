"""Recipes of docs/pretrained-encoders.md with random weights, which need no download."""

import re
import warnings
from pathlib import Path
from typing import Any

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


SMALL = "transformers.Dinov2Model(transformers.Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=3))"


@pytest.mark.parametrize(
    ("package", "begins", "downloads", "random_weights"),
    [
        ("timm", "import timm", r"pretrained=True", "pretrained=False"),
        ("transformers", "import torch, transformers", r"transformers\.AutoModel\.from_pretrained\(.*?\)", SMALL),
    ],
)
def test_a_recipe_of_tokens_gives_what_the_package_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, begins: str, downloads: str, random_weights: str
) -> None:
    import_torchvision()  # both import it
    pytest.importorskip(package, reason="no dependency of this project's: its recipe is tested where it is installed")
    (recipe,) = (one for one in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if one.startswith(begins))
    changed, times = re.subn(downloads, random_weights, recipe)
    assert times == 1
    monkeypatch.chdir(tmp_path)
    Path("encoders").mkdir()
    made: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(changed, "recipe", "exec"), made)
    given = {"file": "encoders/dinov2_s.onnx", "output": "tokens", "side": 224, "skip_tokens": 1}
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    with torch.no_grad():
        patches = made["net"](torch.tensor(images).permute(0, 3, 1, 2) / 255)[:, 1:]
    wanted = patches.transpose(1, 2).reshape(2, -1, 16, 16).numpy()
    found = OnnxEncoder("dinov2_s", checked(PretrainedParams, given, "encoders.dinov2_s")).maps(images)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * float(np.abs(wanted).max()))


def test_recipes_have_eight_lines_at_most() -> None:
    recipes = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert len(recipes) == 4
    assert max(len([line for line in recipe.splitlines() if line.strip()]) for recipe in recipes) <= 8


def test_every_field_is_described() -> None:
    fields = DOCS.partition("## The fields")[2].partition("\n## ")[0]
    described = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in fields.splitlines() if line.startswith("| `"))))
    assert described == set(PretrainedParams.model_fields)
