"""Which training images are mirrored depends on seed, epoch and sample alone, and labels, masks and all images of a sample are mirrored with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import SIDE, KilledError, profile, schedule, tiny_config

from taskonomy.config.network_params import EncoderParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input
from taskonomy.models.decoders import SMALL
from taskonomy.models.networks import task_network
from taskonomy.store.store import Store, Unit
from taskonomy.tasks import BUILT_IN
from taskonomy.training import task_networks
from taskonomy.training.dataloader import Batch, Batches, CodeInputs, ImageInputs, Labels
from taskonomy.training.mirroring import mirrored_in
from taskonomy.training.trainer import fit, seeded
from taskonomy.training.transforms import as_seen

NAMES = [task.name for task in BUILT_IN.values() if task.label is not None and task.label.mirror is not None]
EPOCH = 3


def batches(prepared: Prepared, name: str, split: Split = Split.TRAIN, *, size: int = 6, threads: int = 0, mirror: bool = True) -> Batches:
    task = prepared.task(BUILT_IN[name])
    inputs = ImageInputs(prepared.images, task.task.input, profile().train.tile_side)
    return Batches(Labels(task), inputs, task.of_split(split), size, threads, task.task.label.mirror if mirror else None)


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.seen, *batch.targets.rows]


@given(st.integers(0, 2**31), st.integers(0, 100), st.integers(1, 500), st.integers(0, 500))
def test_more_samples_change_nothing_for_the_others(seed, epoch, samples, more):
    np.testing.assert_array_equal(mirrored_in(seed, epoch, samples), mirrored_in(seed, epoch, samples + more)[:samples])


def test_half_of_the_samples_are_mirrored_and_others_in_each_epoch_and_by_each_seed():
    drawn = np.array([mirrored_in(seed, epoch, 10_000) for seed in (0, 1) for epoch in (0, 1)])
    assert np.abs(drawn.mean(1) - 0.5).max() < 0.02  # four standard deviations
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_what_is_mirrored_is_the_mirror_image_and_what_is_not_is_as_before(prepared, name):
    made = batches(prepared, name)
    task, chosen, which = made.prepared, made.positions[:5], np.array([True, False, True, True, False])
    before, after = made.of(chosen, EPOCH), made.of(chosen, EPOCH, which)
    assert all(torch.equal(one[~which], other[~which]) for one, other in zip(tensors(before), tensors(after), strict=True))
    images = np.asarray(prepared.images[task.samples[chosen]])
    images[which] = images[which][:, :, :, ::-1]
    orders = after.targets.values[:, 0].numpy() if task.task.input is Input.TILES else None
    assert torch.equal(after.seen, as_seen(images, task.task.input, chosen, EPOCH, orders, profile().train.tile_side))
    if task.task.label.mirror.flips:
        signs = torch.tensor(task.task.label.mirror.signs or 1)
        for one, other in zip(before.targets.parts, after.targets.parts, strict=True):
            assert torch.equal(other[which], one[which].flip(2) * signs)
        if before.targets.mask is not None:
            assert torch.equal(after.targets.mask[which], before.targets.mask[which].flip(2))


@pytest.mark.parametrize("name", ["autoencoding", "denoising", "inpainting"])
def test_an_image_and_the_image_to_restore_are_mirrored_together(prepared, name):
    made = batches(prepared, name)
    chosen, which = made.positions[:20], mirrored_in(0, 0, 20)
    batch = made.of(chosen, EPOCH, which)
    outside = slice(0, SIDE // 4)  # of the hole
    difference = (batch.seen[:, 0, :, outside] - batch.targets.values.movedim(-1, 1)[:, :, outside]).abs()
    assert difference.mean() < (0.2 if name == "denoising" else 1e-6)


def test_the_metric_loss_compares_pixels_of_the_mirrored_picture(prepared):
    made = batches(prepared, "segment_unsup2d")
    chosen, which = made.positions[:4], np.ones(4, bool)
    plain, mirrored = made.of(chosen, EPOCH).targets, made.of(chosen, EPOCH, which).targets
    places = mirrored.pixels
    assert torch.equal(places, plain.pixels)
    rows, columns = places // SIDE, SIDE - 1 - places % SIDE
    there = mirrored.values.flatten(1).gather(1, places)
    assert torch.equal(there, torch.stack([one[row, column] for one, row, column in zip(plain.values, rows, columns, strict=True)]))


@pytest.mark.parametrize("name", ["normal", "egomotion", "jigsaw", "denoising"])
def test_a_mirrored_sample_is_the_same_in_every_order_and_batch_whoever_makes_it(prepared, name, monkeypatch):
    monkeypatch.setattr(Batch, "pinned", lambda batch: batch)  # there is no GPU to pin memory for

    def epoch(epoch: int = EPOCH, **options: int) -> dict[int, list[bytes]]:
        found = {}
        for batch in batches(prepared, name, **options).shuffled(5, epoch):
            parts = [part.numpy() for part in tensors(batch)]
            found |= {int(key): [part[row].tobytes() for part in parts] for row, key in enumerate(batch.positions)}
        return found

    alone = epoch(size=5)
    for other in (epoch(size=5, threads=1), epoch(size=5, threads=3), epoch(size=7)):
        assert all(other[key] == alone[key] for key in other.keys() & alone.keys())
        assert len(other.keys() & alone.keys()) >= len(alone) - 1
    plain = epoch(size=5, mirror=False)
    same = np.mean([plain[key] == alone[key] for key in alone])
    assert 0.2 < same < 0.8
    assert epoch(4) != alone


def test_nothing_is_mirrored_where_networks_are_chosen_and_tested(prepared):
    for one, other in zip(batches(prepared, "normal").in_order(), batches(prepared, "normal", mirror=False).in_order(), strict=True):
        assert all(map(torch.equal, tensors(one), tensors(other)))


def test_labels_in_memory_are_not_turned_with_a_batch_of_them(prepared):
    """Batches are copies, so an epoch does not see what another mirrored."""
    made = batches(prepared, "normal")
    kept = Labels(made.prepared, made.positions)
    again = Batches(kept, made.inputs, made.positions, 6, 0, made.mirror)
    for one, other in zip([*again.shuffled(1, 0), *again.shuffled(1, 1)], [*made.shuffled(1, 0), *made.shuffled(1, 1)], strict=True):
        assert all(map(torch.equal, tensors(one), tensors(other)))


def test_codes_are_never_mirrored():
    codes = CodeInputs([np.zeros((2, 1, 2, 2), np.float16)], np.arange(2))
    with pytest.raises(ValueError, match="codes of mirrored images"):
        codes.seen(np.array([[0]]), np.array([0]), 0, None, np.array([True]))


def trained(prepared: Prepared, name: str, checkpoint: Path, *, mirror: bool = True, **options) -> list[bytes]:
    seeded(0, name, "weights")
    net = task_network(BUILT_IN[name], EncoderParams(name="small", width=0.25, stride=8, channels=8), SMALL, SIDE)
    parts = batches(prepared, name, mirror=mirror), batches(prepared, name, Split.VALIDATION)
    fit(net, BUILT_IN[name].loss, *parts, schedule(3), name=name, seed=0, checkpoint=checkpoint, **options)
    return [value.numpy().tobytes() for value in net.state_dict().values()]


@pytest.mark.parametrize("name", ["normal", "camera_pose_fixated"])
def test_a_training_with_mirrored_images_resumes_to_the_same_bits(prepared, name, tmp_path):
    def kill(epoch: int, _curve: object) -> None:
        if epoch == 1:
            raise KilledError

    whole = trained(prepared, name, tmp_path / "whole")
    with pytest.raises(KilledError):
        trained(prepared, name, tmp_path / "killed", each_epoch=kill)
    assert trained(prepared, name, tmp_path / "killed") == whole
    assert trained(prepared, name, tmp_path / "plain", mirror=False) != whole


@pytest.mark.parametrize("mirror", [True, False])
def test_train_mirror_reaches_the_network_and_the_one_from_scratch_but_no_constant(prepared, mirror, tmp_path, monkeypatch):
    """What is asked for is recorded instead of trained."""
    asked = {}

    def record(store, key, recipe, make, **more):
        asked[recipe.name.split()[0]] = recipe.mirror
        return Unit({f"weights/{name}": value.detach().numpy() for name, value in make().state_dict().items()}, {})

    monkeypatch.setattr(task_networks, "train_unit", record)
    config, train = tiny_config("normal", train={"mirror": mirror}), prepared.task(BUILT_IN["normal"]).of_split(Split.TRANSFER)
    task_networks.train_task(prepared, config, Store(tmp_path))
    task_networks.train_scratch(prepared, config, train, "key", Store(tmp_path))
    expected = BUILT_IN["normal"].label.mirror if mirror else None
    assert asked == {"network": expected, "average": None, "scratch": expected}
