"""What lies on a GPU is what would be read from disk: the same batches, whichever device they are on."""

import numpy as np
import pytest
import torch
from tiny import SIDE

from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input
from taskonomy.tasks import BUILT_IN
from taskonomy.training.dataloader import Batches, CodeInputs, ImageInputs, Labels
from taskonomy.training.gpu_cache import _inputs, resident

CPU = torch.device("cpu")
LARGE = 10**12


def together(prepared, name: str, inputs) -> tuple[Batches, Batches]:
    """Plain batches of a task, and batches of what was moved to a device, which here is the processor itself."""
    task = prepared.task(BUILT_IN[name])
    positions = np.concatenate([task.of_split(Split.TRANSFER), task.of_split(Split.VALIDATION)])
    found = _inputs(inputs, np.unique(task.samples[positions]), CPU, LARGE)
    labels = Labels(task).on(CPU, positions, LARGE, threads=2)
    assert found is not None
    assert labels is not None
    mirror = task.task.label.mirror if isinstance(inputs, ImageInputs) else None
    return Batches(Labels(task), inputs, positions, 5, mirror=mirror), Batches(labels, found[0], positions, 5, mirror=mirror)


def same(one, other) -> None:
    assert torch.equal(one.seen, other.seen)
    assert all(map(torch.equal, one.targets.parts, other.targets.parts))
    assert (one.targets.mask is None) == (other.targets.mask is None)
    assert one.targets.mask is None or torch.equal(one.targets.mask, other.targets.mask)
    assert (one.targets.pixels is None) == (other.targets.pixels is None)
    assert one.targets.pixels is None or torch.equal(one.targets.pixels, other.targets.pixels)


@pytest.mark.parametrize("name", ["normal", "colorization", "inpainting", "egomotion", "segment_semantic", "segment_unsup2d", "class_scene"])
def test_images_and_labels_are_the_same_wherever_they_lie(prepared, name):
    plain, there = together(prepared, name, ImageInputs(prepared.images, prepared.task(BUILT_IN[name]).task.input))
    for one, other in zip(plain.shuffled(0, 1), there.shuffled(0, 1), strict=True):
        same(one, other)
    for one, other in zip(plain.in_order(), there.in_order(), strict=True):
        same(one, other)


@pytest.mark.parametrize("name", ["depth_zbuffer", "camera_pose_fixated"])
def test_codes_are_the_same_wherever_they_lie(prepared, name):
    rows = np.flatnonzero(prepared.splits != 0)
    row_of = np.full(len(prepared.splits), -1)
    row_of[rows] = np.arange(len(rows))
    rng = np.random.default_rng(0)
    arrays = [rng.random((len(rows), channels, 4, 4)).astype(np.float16) for channels in (8, 3)]
    plain, there = together(prepared, name, CodeInputs(arrays, row_of))
    for one, other in zip(plain.shuffled(0, 0), there.shuffled(0, 0), strict=True):
        same(one, other)


def test_what_does_not_fit_stays_where_it_is(prepared):
    task = prepared.task(BUILT_IN["normal"])
    positions = task.of_split(Split.TRANSFER)
    images = ImageInputs(prepared.images, Input.IMAGE)
    needed = len(positions) * SIDE * SIDE * 3
    assert _inputs(images, positions, CPU, needed - 1) is None
    assert _inputs(images, positions, CPU, needed)[1] == needed
    labels = needed * 4 + (0 if task.masks is None else len(positions) * SIDE * SIDE)  # float32, and the mask
    assert Labels(task).on(CPU, positions, labels - 1, threads=0) is None
    assert Labels(task).on(CPU, positions, labels, threads=0) is not None


def test_a_processor_has_everything_already(prepared):
    task = prepared.task(BUILT_IN["normal"])
    assert resident(Labels(task), ImageInputs(prepared.images, Input.IMAGE), task.of_split(Split.TRANSFER), CPU, 0) is None


def test_codes_of_images_of_the_train_split_are_asked_for_in_vain(prepared):
    with pytest.raises(ValueError, match="no codes"):
        _inputs(CodeInputs([np.zeros((1, 1, 2, 2), np.float16)], np.array([0, -1])), np.array([0, 1]), CPU, LARGE)
