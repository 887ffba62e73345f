"""Labels of any number of classes: their loss by hand, and a network that learns them, with a map that lacks pixels and bars of padding beside it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny import profile

from taskonomy.config.task_config import TaskConfig, task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss
from taskonomy.store.store import Store
from taskonomy.training.best_constant import STARTS
from taskonomy.training.losses import Targets, per_sample
from taskonomy.training.task_networks import train_task


def targets(values: torch.Tensor, mask: torch.Tensor | None = None) -> Targets:
    return Targets(values, mask, {})


def test_the_loss_is_the_mean_over_known_classes_of_yes_and_no() -> None:
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(0, 3, (5, 7)), rng.integers(0, 2, (5, 7))
    classes[rng.random((5, 7)) < 0.3] = 255
    classes[4] = 255
    share = 1 / (1 + np.exp(-logits))
    each = -np.where(classes == 1, np.log(share), np.log(1 - share))
    expected = [each[row][classes[row] != 255].mean() if (classes[row] != 255).any() else 0 for row in range(5)]
    output = torch.tensor(logits, requires_grad=True)
    found = per_sample(Loss.BINARY_CROSS_ENTROPY, output, targets(torch.tensor(classes)))
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-9)
    found.sum().backward()
    assert output.grad is not None
    assert (output.grad.numpy()[classes == 255] == 0).all()
    known = (classes != 255).sum(1, keepdims=True).clip(1)
    np.testing.assert_allclose(output.grad.numpy(), np.where(classes == 255, 0, (share - classes) / known), atol=1e-12)


@pytest.mark.parametrize("logit", [-500.0, 500.0])
def test_a_network_that_is_very_sure_has_a_finite_loss(logit: float) -> None:
    classes = torch.tensor([[0, 1]])
    assert per_sample(Loss.BINARY_CROSS_ENTROPY, torch.full((1, 2), logit), targets(classes)).item() == pytest.approx(250)


def test_a_mask_or_another_number_of_classes_is_refused() -> None:
    with pytest.raises(TaskonomyError, match="has no use for a mask"):
        per_sample(Loss.BINARY_CROSS_ENTROPY, torch.zeros(1, 2), targets(torch.zeros(1, 2).long(), torch.ones(1, 2, 2, dtype=torch.bool)))
    with pytest.raises(TaskonomyError, match="does not fit labels"):
        per_sample(Loss.BINARY_CROSS_ENTROPY, torch.zeros(1, 3), targets(torch.zeros(1, 2).long()))


def test_networks_start_at_the_constant_that_no_other_beats() -> None:
    rng = np.random.default_rng(2)
    classes = torch.tensor(np.where(rng.random((40, 3)) < 0.3, 255, rng.random((40, 3)) < (0.2, 0.5, 0.9)).astype(np.int64))
    start, _spread = STARTS[Loss.BINARY_CROSS_ENTROPY](targets(classes), 3)
    constant = start.clone().requires_grad_()
    per_sample(Loss.BINARY_CROSS_ENTROPY, constant.expand(40, 3), targets(classes)).mean().backward()
    assert constant.grad is not None
    assert constant.grad.abs().max() < 1e-9  # the loss is convex, so this is its lowest point
    never, _spread = STARTS[Loss.BINARY_CROSS_ENTROPY](targets(torch.tensor([[0, 1, 255]])), 3)
    assert torch.isfinite(never).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide images, whose left half is red or not and right half blue or not, and a map of their brightness with holes."""
    root, rng = tmp_path_factory.mktemp("own") / "mine", np.random.default_rng(1)
    for name in ("images", "bright"):
        (root / name).mkdir(parents=True)
    rows = []
    for number in range(60):
        red, blue = number % 2, number // 2 % 2
        image = rng.integers(0, 60, (32, 64, 3))
        image[:, :32, 2] += 180 * red
        image[:, 32:, 0] += 180 * blue
        cv2.imwrite(str(root / f"images/{number}.png"), image.astype(np.uint8))
        bright = image.mean(-1)
        np.save(root / f"bright/{number}.npy", np.where(rng.random(bright.shape) < 0.2, np.nan, bright))
        rows.append(f"{number},{'|'.join(['red'] * red + ['blue'] * blue) or '|'}")
    (root / "labels.csv").write_text("image,seen\n" + "\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize("task", ["seen", "bright"])
def test_a_network_learns_them_better_than_the_best_constant(folder: Path, tmp_path: Path, task: str) -> None:
    own = {
        "seen": {"kind": "labels", "classes": ["red", "blue"]},
        "bright": {"kind": "map", "channels": 1, "range": [0, 140], "missing": "nan"},
    }
    splits = {"train": 0.6, "val": 0.2, "test": 0.2}
    schedule = {"epochs": 12, "batch": 8, "rate": 0.003, "slow_after": 0.7, "weight_decay": 2e-6}
    data = {"root": str(folder), "own": own, "tasks": [*own, "autoencoding"], "splits": splits, "labels": {}, "fit": "pad", "resolution": 32}
    params = profile(data=data, transfer={"targets": list(own)}, train={"schedule": schedule, "tasks": None})
    prepare(folder, tmp_path / "prepared", params.data, processes=1)
    card = json.loads(json.dumps(task_config(params.registry[task], params).as_json()))
    done = train_task(Prepared(tmp_path / "prepared"), TaskConfig.model_validate(card), Store(tmp_path / "store"))
    losses = {name: np.concatenate([unit.arrays["test_affinity"], unit.arrays["test_policy"]]).mean() for name, unit in done.units.items()}
    assert losses["self"] < 0.7 * losses["average"]
