"""What a network would have to give for its label to be right is decoded to that label, for every task."""

from typing import Any

import numpy as np
import pytest

from taskonomy.data.preview import METRES
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import NO_CLASS, Loss
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.decode import decode
from taskonomy.tasks.visualize import Sample, label_picture

LEARNT = [name for name, task in BUILT_IN.items() if task.label is not None]


def perfect(loss: Loss, label: Any, channels: int) -> np.ndarray:
    """An output that has the smallest loss there is for this label, written down from the loss's definition."""
    if loss in (Loss.L1, Loss.L2, Loss.POSE):
        return np.moveaxis(label, -1, 0)
    if loss is Loss.EGOMOTION:
        return np.concatenate([label[:6], label[12:]])
    if loss is Loss.CROSS_ENTROPY:
        return np.moveaxis(9.0 * (np.squeeze(label)[..., None] == np.arange(channels)), -1, 0)
    if loss is Loss.PAIRWISE:  # one axis a segment, further apart than the loss looks
        ids = np.unique(label, return_inverse=True)[1].reshape(label.shape)
        return np.moveaxis(3.0 * np.eye(ids.max() + 1)[ids], -1, 0)
    shares = label
    if isinstance(label, tuple):
        shares = np.zeros((*label[0].shape[:2], channels))
        np.put_along_axis(shares, label[0].astype(int), label[1], -1)
    return np.log(np.moveaxis(shares, -1, 0) + 1e-12)


@pytest.mark.parametrize("name", LEARNT)
def test_a_perfect_output_decodes_to_the_label_in_metres_and_classes_and_can_be_drawn(name: str, prepared: Prepared) -> None:
    held = prepared.task(BUILT_IN[name])
    task, chosen = held.task, held.of_split(Split.TEST_POLICY)[:1]
    assert task.label is not None
    assert task.loss is not None
    assert task.head is not None
    encoded = held.labels(chosen)
    label = tuple(part[0] for part in encoded) if isinstance(encoded, tuple) else encoded[0]
    wanted = task.label.encode(np.asarray(held.stored[chosen]), {**held.statistics, **METRES})
    found = decode(task, perfect(task.loss, label, task.head.channels), held.statistics)
    if isinstance(wanted, tuple):
        dense = np.zeros((*wanted[0].shape[1:3], task.head.channels))
        np.put_along_axis(dense, wanted[0][0].astype(int), wanted[1][0], -1)
        assert np.array_equal(found[0], np.broadcast_to(np.arange(task.head.channels), dense.shape))
        assert found[1] == pytest.approx(dense, abs=1e-5)
    elif task.loss is Loss.PAIRWISE:
        same = lambda ids: ids.ravel()[:, None] == ids.ravel()  # noqa: E731
        kept = np.isin(wanted[0], [one for one in np.unique(wanted[0]) if (wanted[0] == one).mean() > 0.01]).ravel()
        assert (same(found) == same(wanted[0]))[np.ix_(kept, kept)].all()
    elif task.loss is Loss.EGOMOTION:
        turns = (found - wanted[0]) / (2 * np.pi)
        assert found[3:6] == pytest.approx(wanted[0][3:6], abs=1e-4)
        assert found[9:12] == pytest.approx(wanted[0][9:12], abs=1e-3)
        assert turns[6:9] == pytest.approx(np.round(turns[6:9]), abs=1e-3)
    else:
        labelled = wanted[0] != NO_CLASS if task.loss is Loss.CROSS_ENTROPY else np.ones(wanted[0].shape, bool)
        assert np.asarray(found)[labelled] == pytest.approx(np.asarray(wanted[0], float)[labelled], abs=1e-4)
    images = [np.asarray(prepared.images[row]) for row in held.samples[chosen[0]]]
    picture = label_picture(task, Sample(found, images, 1.0, 48))
    assert (picture.shape, picture.dtype) == ((48, 48, 3), np.uint8)


def test_embeddings_a_little_apart_are_one_segment_and_far_apart_two() -> None:
    left = np.arange(20) < 10
    for distance, segments in ((0.5, 1), (1.04, 1), (1.06, 2), (3.0, 2)):  # sqrt(ln 3) = 1.048
        output = np.zeros((4, 20, 20))
        output[2] = np.where(left, 0.0, distance)
        found = decode(BUILT_IN["segment_unsup2d"], output, {"pixels": 300})
        assert len(np.unique(found)) == segments
        assert (len(np.unique(found[:, left])), len(np.unique(found[:, ~left]))) == (1, 1)


def test_what_has_no_network_and_what_is_not_finite_is_refused() -> None:
    with pytest.raises(TaskonomyError, match="random_projection has no network"):
        decode(BUILT_IN["random_projection"], np.zeros((3, 4, 4)), {})
    with pytest.raises(TaskonomyError, match="normal's network is not finite"):
        decode(BUILT_IN["normal"], np.full((3, 4, 4), np.nan), {})
