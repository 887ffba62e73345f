"""Batches: what a sample is does not depend on the batch that it comes in."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import profile

from taskonomy.dataset.splits import Split
from taskonomy.labels.jigsaw import permutation_set
from taskonomy.models.decoders import pack
from taskonomy.tasks import BUILT_IN
from taskonomy.training import dataloader as batches
from taskonomy.training.best_constant import best_constant
from taskonomy.training.dataloader import TESTING, Batch, Batches, ImageInputs, Labels
from taskonomy.training.losses import Targets
from taskonomy.training.train_unit import NoInput

NAMES = [task.name for task in BUILT_IN.values() if task.label is not None]


class Bare:
    """Labels of no task."""

    class prepared:  # noqa: N801
        task = BUILT_IN["autoencoding"]
        samples = np.arange(1000)[:, None]

    def of(self, chosen):
        return torch.from_numpy(chosen)


def plain(positions: np.ndarray, size: int) -> Batches:
    made = object.__new__(Batches)
    made.labels, made.inputs, made.positions, made.size, made.prepared, made.threads = Bare(), NoInput(), positions, size, Bare.prepared, 0
    made.mirror = None
    made.of = lambda chosen, epoch, mirrored=None: Batch(chosen, torch.empty(len(chosen), 0), Targets(torch.empty(len(chosen)), None, {}))
    return made


def shown_by(batches: Iterable[Batch]) -> list[np.ndarray]:
    return [one.positions for one in batches]


@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_shows_every_sample_once_but_for_one_left_alone(count, size, seed, epoch):
    positions = np.arange(100, 100 + 3 * count, 3)
    shown = shown_by(plain(positions, size).shuffled(seed, epoch))
    together = np.concatenate(shown)
    assert len(set(together)) == len(together) == count - (count % size == 1)
    assert set(together) <= set(positions)
    assert [len(one) for one in shown[:-1]] == [size] * (len(shown) - 1)
    again = np.concatenate(shown_by(plain(positions, size).shuffled(seed, epoch)))
    np.testing.assert_array_equal(together, again)


def test_the_order_differs_between_epochs_and_seeds_and_testing_keeps_it():
    positions = np.arange(60)
    orders = {tuple(np.concatenate(shown_by(plain(positions, 7).shuffled(seed, epoch)))) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(orders) == 6
    np.testing.assert_array_equal(np.concatenate(shown_by(plain(positions, 7).in_order())), positions)
    assert len(plain(positions, 7)) == len(list(plain(positions, 7).in_order())) == 9


def parts_of(targets) -> list[torch.Tensor]:
    values = targets.values if isinstance(targets.values, tuple) else (targets.values,)
    return [*values, *(one for one in (targets.mask, targets.pixels) if one is not None)]


@pytest.mark.parametrize("name", NAMES)
def test_labels_kept_in_memory_are_those_encoded_anew(prepared, name, monkeypatch):
    task = prepared.task(BUILT_IN[name])
    some = task.of_split(Split.TRANSFER)[::-1]
    kept, anew = Labels(task, np.concatenate([some, some[:2]])), Labels(task)
    monkeypatch.setattr(batches, "KEPT_BYTES", 0)
    too_large = Labels(task, some)
    asked = some[[3, 0, 3, 5]]
    for one in zip(*(parts_of(labels.of(asked)) for labels in (kept, anew, too_large)), strict=True):
        assert one[0].dtype == one[1].dtype == one[2].dtype
        assert torch.equal(one[0], one[1])
        assert torch.equal(one[1], one[2])
    outside = np.concatenate([some[:1], task.of_split(Split.VALIDATION)[:1]])
    assert all(map(torch.equal, parts_of(kept.of(outside)), parts_of(anew.of(outside))))


@pytest.mark.parametrize("name", ["normal", "edge_texture", "segment_semantic", "colorization"])
def test_packed_labels_are_the_same_in_the_order_of_the_last_convolution_and_have_the_same_best_constant(prepared, name):
    task = prepared.task(BUILT_IN[name])
    some = task.of_split(Split.TRANSFER)
    plain, kept, anew = Labels(task), Labels(task, some, shuffle=2), Labels(task, shuffle=2)
    for one, packed, other in zip(*(parts_of(labels.of(some[:5])) for labels in (plain, kept, anew)), strict=True):
        assert torch.equal(pack(one, 2).movedim(-1, 1), packed)
        assert torch.equal(packed, other)
    loss, outputs = task.task.loss, task.task.outputs
    for one, packed in zip(*(best_constant(loss, labels, some, outputs) for labels in (plain, kept)), strict=True):
        torch.testing.assert_close(one, packed)


def sets_of(prepared, name: str, size: int = 4) -> Batches:
    task = prepared.task(BUILT_IN[name])
    return Batches(Labels(task), ImageInputs(prepared.images, task.task.input, profile().train.tile_side), task.of_split(Split.VALIDATION), size)


@pytest.mark.parametrize("name", ["denoising", "egomotion", "jigsaw", "inpainting", "colorization"])
@pytest.mark.parametrize("epoch", [TESTING, 0, 1])
def test_a_sample_is_the_same_in_every_batch(prepared, name, epoch):
    made = sets_of(prepared, name)
    together = made.of(made.positions[:4], epoch)
    for place in range(4):
        alone = made.of(made.positions[[place]], epoch)
        assert torch.equal(together.seen[[place]], alone.seen)
        assert all(torch.equal(many[[place]], one) for many, one in zip(parts_of(together.targets), parts_of(alone.targets), strict=True))


def test_several_images_come_in_the_samples_order(prepared):
    made = sets_of(prepared, "egomotion")
    seen = made.of(made.positions[:3], 0).seen
    for row, position in enumerate(made.positions[:3]):
        for place, view in enumerate(prepared.task(BUILT_IN["egomotion"]).samples[position]):
            np.testing.assert_allclose(seen[row, place].permute(1, 2, 0), prepared.images[view] / 127.5 - 1, atol=1e-6)


def test_the_jigsaw_is_laid_anew_each_epoch_and_shown_as_its_label_says(prepared):
    made = sets_of(prepared, "jigsaw", size=24)
    orders = {epoch: made.of(made.positions, epoch).targets.values[:, 0].numpy() for epoch in (TESTING, 0, 1)}
    np.testing.assert_array_equal(orders[TESTING], np.asarray(prepared.task(BUILT_IN["jigsaw"]).stored[made.positions])[:, 0])
    assert (orders[0] != orders[1]).mean() > 0.8
    assert ((orders[0] >= 0) & (orders[0] < len(permutation_set()))).all()
    # The label says of each place which cell its tile is cut from; a tile is the middle 0.9 of its cell.
    batch = made.of(made.positions, TESTING)
    shown = batch.seen.mean((-1, -2)).numpy()
    thirds = prepared.images[made.positions][:, :30, :30].reshape(24, 3, 10, 3, 10, 3).mean((2, 4)).reshape(24, 9, 3) / 127.5 - 1
    placed = np.take_along_axis(thirds, permutation_set()[orders[TESTING]][..., None], axis=1)
    assert np.abs(shown - placed).mean() < 0.3 * np.abs(shown - np.roll(placed, 1, axis=1)).mean()
