"""The training loop on a tiny world: resumes bit for bit, learns, and knows no task."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from tiny import SIDE, KilledError, schedule

from taskonomy.config.network_params import EncoderParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.labels.jigsaw import permutation_set
from taskonomy.models.decoders import SMALL
from taskonomy.models.networks import task_network
from taskonomy.tasks import BUILT_IN
from taskonomy.training.dataloader import TESTING, Batches, ImageInputs, Labels
from taskonomy.training.trainer import fit, losses_of, seeded
from taskonomy.training.transforms import as_seen

SHAPE = EncoderParams(name="small", width=0.25, stride=8, channels=8)
TRAINED = [task.name for task in BUILT_IN.values() if task.label is not None]


def batches(prepared: Prepared, name: str, split: Split, size: int = 8) -> Batches:
    task = prepared.task(BUILT_IN[name])
    return Batches(Labels(task), ImageInputs(prepared.images, task.task.input), task.of_split(split), size)


def network(name: str, seed: int = 0) -> torch.nn.Module:
    seeded(seed, name, "weights")
    return task_network(BUILT_IN[name], SHAPE, SMALL, SIDE)


def trained(prepared: Prepared, name: str, folder: Path, epochs: int = 2, **options):
    net = network(name)
    parts = batches(prepared, name, Split.TRAIN), batches(prepared, name, Split.VALIDATION)
    where = folder / f"{name}.safetensors"
    return net, fit(net, BUILT_IN[name].loss, *parts, schedule(epochs), name=name, seed=0, checkpoint=where, **options)


def bits(net: torch.nn.Module) -> list[bytes]:
    return [value.numpy().tobytes() for value in net.state_dict().values()]


@pytest.mark.parametrize(("name", "last"), [("denoising", 0), ("denoising", 1), ("denoising", 2), ("egomotion", 1)])
def test_a_training_killed_after_any_epoch_resumes_to_the_same_bits(prepared, name, last, tmp_path):
    whole, result = trained(prepared, name, tmp_path / "whole", epochs=3)

    def kill(epoch: int, _curve: object) -> None:
        if epoch == last:
            raise KilledError

    with pytest.raises(KilledError):
        trained(prepared, name, tmp_path / "killed", epochs=3, each_epoch=kill)
    told: list[int] = []
    again, resumed = trained(prepared, name, tmp_path / "killed", epochs=3, each_epoch=lambda epoch, _curve: told.append(epoch))
    assert told == [0, 1, 2]
    assert bits(again) == bits(whole)
    assert resumed == result


class Stopping:
    """ImageInputs that end the training when so many batches were read."""

    def __init__(self, images: ImageInputs, after: int) -> None:
        self.images, self.left = images, after

    def seen(self, rows, keys, epoch, orders):
        self.left -= 1
        if self.left < 0:
            raise KilledError
        return self.images.seen(rows, keys, epoch, orders)


@pytest.mark.parametrize("after", [5, 11, 15, 27])
def test_a_training_killed_within_an_epoch_resumes_to_the_same_bits(prepared, after, tmp_path):
    """An epoch reads 9 batches to train and 3 to validate: these kills fall in the first, in its validation, in the second, in the third."""
    whole, result = trained(prepared, "autoencoding", tmp_path / "whole", epochs=3)
    checkpoint = tmp_path / "killed.safetensors"
    parts = batches(prepared, "autoencoding", Split.TRAIN), batches(prepared, "autoencoding", Split.VALIDATION)
    assert [len(part) for part in parts] == [9, 3]
    net = network("autoencoding")
    for inputs in (Stopping(parts[0].inputs, after), parts[0].inputs):
        for part in parts:
            part.inputs = inputs
        net = network("autoencoding")
        try:
            resumed = fit(net, BUILT_IN["autoencoding"].loss, *parts, schedule(3), name="autoencoding", seed=0, checkpoint=checkpoint)
        except KilledError:
            assert checkpoint.is_file() == (after > 11)
    assert bits(net) == bits(whole)
    assert resumed == result


def test_nothing_that_was_drawn_before_changes_a_training(prepared, tmp_path):
    first, result = trained(prepared, "autoencoding", tmp_path / "a", epochs=1)
    torch.manual_seed(5)
    torch.rand(7)
    np.random.seed(3)
    again, other = trained(prepared, "autoencoding", tmp_path / "b", epochs=1)
    assert bits(first) == bits(again)
    assert result == other


@pytest.mark.parametrize("name", TRAINED)
def test_every_task_of_the_dictionary_trains_and_tests(prepared, name, tmp_path):
    net, result = trained(prepared, name, tmp_path, epochs=1)
    assert np.isfinite(result.curve.train + result.curve.validation).all()
    one = losses_of(net, BUILT_IN[name].loss, batches(prepared, name, Split.TEST_AFFINITY, size=1))
    many = losses_of(net, BUILT_IN[name].loss, batches(prepared, name, Split.TEST_AFFINITY, size=7))
    assert len(one) == len(prepared.task(BUILT_IN[name]).of_split(Split.TEST_AFFINITY))
    np.testing.assert_allclose(one, many, rtol=2e-3, atol=1e-5)


def test_a_network_learns_more_than_the_best_constant(prepared, tmp_path):
    curve = trained(prepared, "autoencoding", tmp_path, epochs=12)[1].curve
    images = prepared.images[prepared.splits == 0] / 127.5 - 1
    constant = np.abs(images - np.median(images, axis=(0, 1, 2))).mean()
    assert curve.train[-1] < constant < curve.train[0]


def test_the_weights_are_those_of_the_best_epoch(prepared, tmp_path):
    net, result = trained(prepared, "depth_zbuffer", tmp_path, epochs=4)
    value = losses_of(net, BUILT_IN["depth_zbuffer"].loss, batches(prepared, "depth_zbuffer", Split.VALIDATION)).mean(dtype=np.float64)
    assert value == pytest.approx(min(result.curve.validation), rel=1e-6)
    assert result.chosen == np.argmin(result.curve.validation)


def test_a_loss_that_is_not_finite_names_task_step_and_state(prepared, tmp_path):
    net = network("autoencoding")
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    parts = batches(prepared, "autoencoding", Split.TRAIN), batches(prepared, "autoencoding", Split.VALIDATION)
    with pytest.raises(TaskonomyError, match="autoencoding: the loss is not finite in epoch 1, step 1; no epoch was finished before"):
        fit(net, BUILT_IN["autoencoding"].loss, *parts, schedule(1), name="autoencoding", seed=0, checkpoint=tmp_path / "x")


def test_a_training_that_diverges_names_the_last_good_state_and_keeps_it(prepared, tmp_path):
    def burst(epoch: int, _curve: object) -> None:
        if epoch == 1:
            with torch.no_grad():
                next(net.parameters()).fill_(float("inf"))

    net = network("autoencoding")
    parts = batches(prepared, "autoencoding", Split.TRAIN), batches(prepared, "autoencoding", Split.VALIDATION)
    checkpoint = tmp_path / "good.safetensors"
    with pytest.raises(TaskonomyError, match=r"autoencoding: the loss is not finite in epoch 3, step 1; the last good state is .*good\.safetensors"):
        fit(net, BUILT_IN["autoencoding"].loss, *parts, schedule(4), name="autoencoding", seed=0, checkpoint=checkpoint, each_epoch=burst)
    # What lies there is the state after two epochs: going on from it is as if nothing had happened.
    net = network("autoencoding")
    resumed = fit(net, BUILT_IN["autoencoding"].loss, *parts, schedule(4), name="autoencoding", seed=0, checkpoint=checkpoint)
    whole, result = trained(prepared, "autoencoding", tmp_path, epochs=4)
    assert bits(net) == bits(whole)
    assert resumed == result


def test_after_a_damaged_state_no_good_one_is_named(prepared, tmp_path):
    """A training that begins anew and fails at once has none."""
    path = tmp_path / "x"
    path.write_bytes(b"damaged")
    net = network("autoencoding")
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    parts = batches(prepared, "autoencoding", Split.TRAIN), batches(prepared, "autoencoding", Split.VALIDATION)
    with pytest.raises(TaskonomyError, match="epoch 1, step 1; no epoch was finished before"):
        fit(net, BUILT_IN["autoencoding"].loss, *parts, schedule(1), name="autoencoding", seed=0, checkpoint=path)


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
