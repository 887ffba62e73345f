"""The training loop on a tiny world: resumes bit for bit, learns, and knows no task."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from skimage.color import rgb2lab

from taskonomy.data.prepare import prepare
from taskonomy.data.prepared import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.nets.decoders import SMALL
from taskonomy.nets.encoder import EncoderShape
from taskonomy.nets.network import task_network
from taskonomy.params import DataParams, WorldParams
from taskonomy.tasks import DICTIONARY
from taskonomy.tasks.jigsaw import permutation_set
from taskonomy.tasks.labels import Input
from taskonomy.training.batches import TESTING, Batches
from taskonomy.training.fit import Schedule, fit, losses_of, seeded
from taskonomy.training.inputs import as_seen
from taskonomy.world.make import make_world

SIDE = 32
SHAPE = EncoderShape("small", width=0.25, stride=8)
TRAINED = [task.name for task in DICTIONARY.values() if task.label is not None]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("fit")
    tiny = yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text())["world"] | {"seed": 0}
    make_world(root / "world", WorldParams(**tiny), processes=1)
    data = yaml.safe_load((ROOT / "params.yaml").read_text())["data"] | {"resolution": SIDE}
    prepare(root / "world", root / "prepared", DataParams(**data), processes=1)
    return Prepared(root / "prepared")


def batches(prepared: Prepared, name: str, split: str, size: int = 8) -> Batches:
    task = prepared.task(name)
    return Batches(task, prepared.images, task.of_split(split), size)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    seeded(seed, name, "weights")
    return task_network(DICTIONARY[name], SHAPE, SMALL, SIDE)


def trained(prepared: Prepared, name: str, folder: Path, epochs: int = 2, **options):
    net = network(name)
    parts = batches(prepared, name, "train"), batches(prepared, name, "validation")
    curve = fit(net, DICTIONARY[name].loss, *parts, Schedule(epochs), name=name, seed=0, checkpoint=folder / f"{name}.safetensors", **options)
    return net, curve


def bits(net: torch.nn.Module) -> list[bytes]:
    return [value.numpy().tobytes() for value in net.state_dict().values()]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", ["denoising", "egomotion"])
def test_a_killed_training_resumes_to_the_same_bits(prepared, name, tmp_path):
    whole, curve = trained(prepared, name, tmp_path / "whole", epochs=3)

    def kill(epoch: int, _curve: object) -> None:
        if epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        trained(prepared, name, tmp_path / "killed", epochs=3, each_epoch=kill)
    seen: list[int] = []
    again, resumed = trained(prepared, name, tmp_path / "killed", epochs=3, each_epoch=lambda epoch, _curve: seen.append(epoch))
    assert seen == [2]
    assert bits(again) == bits(whole)
    assert resumed == curve


@pytest.mark.parametrize("name", TRAINED)
def test_every_task_of_the_dictionary_trains_and_tests(prepared, name, tmp_path):
    net, curve = trained(prepared, name, tmp_path, epochs=1)
    assert np.isfinite(curve.train + curve.validation).all()
    one = losses_of(net, DICTIONARY[name].loss, batches(prepared, name, "test_affinity", size=1))
    many = losses_of(net, DICTIONARY[name].loss, batches(prepared, name, "test_affinity", size=7))
    assert len(one) == len(prepared.task(name).of_split("test_affinity"))
    np.testing.assert_allclose(one, many, rtol=2e-3, atol=1e-5)


def test_a_network_learns_more_than_the_best_constant(prepared, tmp_path):
    _net, curve = trained(prepared, "autoencoding", tmp_path, epochs=12)
    images = prepared.images[prepared.splits == 0] / 127.5 - 1
    constant = np.abs(images - np.median(images, axis=(0, 1, 2))).mean()
    assert curve.train[-1] < constant < curve.train[0]


def test_the_weights_are_those_of_the_best_epoch(prepared, tmp_path):
    net, curve = trained(prepared, "depth_zbuffer", tmp_path, epochs=4)
    value = losses_of(net, DICTIONARY["depth_zbuffer"].loss, batches(prepared, "depth_zbuffer", "validation")).mean(dtype=np.float64)
    assert value == pytest.approx(min(curve.validation), rel=1e-6)


def test_a_loss_that_is_not_finite_names_task_step_and_state(prepared, tmp_path):
    net = network("autoencoding")
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    parts = batches(prepared, "autoencoding", "train"), batches(prepared, "autoencoding", "validation")
    with pytest.raises(TaskonomyError, match="autoencoding: the loss is not finite in epoch 1, step 1; no epoch was finished before"):
        fit(net, DICTIONARY["autoencoding"].loss, *parts, Schedule(1), name="autoencoding", seed=0, checkpoint=tmp_path / "x")


def test_a_damaged_state_is_refused_by_name(prepared, tmp_path):
    trained(prepared, "autoencoding", tmp_path, epochs=1)
    path = tmp_path / "autoencoding.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TaskonomyError, match=r"autoencoding\.safetensors: not the weights"):
        trained(prepared, "autoencoding", tmp_path, epochs=2)


@pytest.mark.parametrize("how", [Input.NOISE, Input.TILES])
def test_what_is_random_depends_on_sample_and_epoch_only(how):
    images = np.random.default_rng(0).integers(0, 256, (4, 1, SIDE, SIDE, 3)).astype(np.uint8)
    keys, orders = np.array([5, 6, 7, 8]), np.array([0, 1, 2, 3])
    together = as_seen(images, how, keys, 3, orders)
    alone = as_seen(images[2:3], how, keys[2:3], 3, orders[2:3])
    assert torch.equal(together[2], alone[0])
    assert not torch.equal(together, as_seen(images, how, keys, 4, orders))
    assert torch.equal(as_seen(images, how, keys, TESTING, orders), as_seen(images, how, keys, TESTING, orders))


def test_noise_has_the_references_variance_and_the_hole_its_area():
    grey = np.full((64, 1, SIDE, SIDE, 3), 128, np.uint8)
    keys = np.arange(64)
    noise = as_seen(grey, Input.NOISE, keys, 0) / 2 - as_seen(grey, Input.IMAGE, keys, 0) / 2
    assert noise.var().item() == pytest.approx(0.01, rel=0.02)
    white = np.full((1, 1, SIDE, SIDE, 3), 255, np.uint8)
    assert (as_seen(white, Input.HOLE, keys[:1], 0) == 0).float().mean().item() == 0.25


def test_lightness_is_that_of_cie_lab():
    image = np.random.default_rng(0).integers(0, 256, (1, 1, SIDE, SIDE, 3)).astype(np.uint8)
    ours = as_seen(image, Input.LIGHTNESS, np.array([0]), 0)[0, 0, 0].numpy()
    np.testing.assert_allclose(ours, rgb2lab(image[0, 0])[..., 0] / 50 - 1, atol=2e-3)


def test_tiles_come_in_the_order_of_their_permutation():
    image = np.zeros((1, 1, 30, 30, 3), np.uint8)
    image[0, 0, ..., 0] = (np.arange(30)[:, None] // 10 * 3 + np.arange(30) // 10) * 20
    seen = as_seen(image, Input.TILES, np.array([0]), 0, np.array([17]))
    found = ((seen[0, :, 0].mean((-1, -2)) + 1) * 127.5 / 20).round().int().numpy()
    np.testing.assert_array_equal(found, permutation_set()[17])
