"""The stage `train`: a network, the codes of its encoder, and the best constant, each as the paper defines it."""

from collections import Counter

import numpy as np
import pytest
import torch
from tiny import KilledError, files_of, tiny_config

from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.store.store import Store
from taskonomy.store.unit_keys import CONSTANT, CONSTANT_STEPS
from taskonomy.tasks import BUILT_IN
from taskonomy.training import task_networks as networks
from taskonomy.training import train_unit as units
from taskonomy.training.codes import code_input, codes_of
from taskonomy.training.task_networks import train_task


class Spy:
    """`codes_of`, which keeps what the encoder is shown for each input kind."""

    def __init__(self) -> None:
        self.shown: dict[Input, Counter[bytes]] = {}

    def __call__(self, encoder, images, rows, how, *rest):
        seen = self.shown.setdefault(how, Counter())
        watch = encoder.register_forward_pre_hook(lambda _module, given: seen.update(one.contiguous().numpy().tobytes() for one in given[0]))
        try:
            return codes_of(encoder, images, rows, how, *rest)
        finally:
            watch.remove()


@pytest.mark.parametrize("task", ["colorization", "random_projection"])
def test_every_image_outside_the_train_split_is_encoded_once_for_each_input_and_no_other(prepared, task, tmp_path, monkeypatch):
    spy = Spy()
    monkeypatch.setattr(networks, "codes_of", spy)
    done = train_task(prepared, tiny_config(task), Store(tmp_path))
    assert set(done.codes) == {"image", "noise"} == set(spy.shown)
    rows = np.flatnonzero(prepared.index["split"] != "train")
    for how, shown in spy.shown.items():
        expected = code_input(prepared.images[rows], rows, how, BUILT_IN[task].input)
        assert shown == Counter(one.contiguous().numpy().tobytes() for one in expected)
        assert len(done.codes[how]) == len(rows)


def test_a_network_learns_from_the_train_split_alone_and_is_judged_elsewhere(prepared, tmp_path, monkeypatch):
    asked = {}

    def spied(network, loss, train, validation, *rest, **options):
        asked[options["name"]] = train.positions, validation.positions
        return fit(network, loss, train, validation, *rest, **options)

    fit = units.fit
    monkeypatch.setattr(units, "fit", spied)
    train_task(prepared, tiny_config("normal"), Store(tmp_path))
    assert set(asked) == {"network normal", "average normal"}
    split = prepared.index["split"].to_numpy()
    for train, validation in asked.values():
        assert Counter(train) == Counter(np.flatnonzero(split == "train"))
        assert Counter(validation) == Counter(np.flatnonzero(split == "validation"))


@pytest.mark.parametrize("task", ["normal", "random_projection"])
def test_company_and_place_change_no_bit(prepared, trained, task, tmp_path):
    """Trained alone here, after others there."""
    done = train_task(prepared, tiny_config(task), Store(tmp_path))
    for how, codes in done.codes.items():
        assert codes.tobytes() == np.load(trained / "codes" / task / f"{how}.npy").tobytes()
    there = files_of(trained / "store")
    assert files_of(tmp_path).items() <= there.items()
    assert len(files_of(tmp_path)) == len(done.units)


def test_a_known_network_is_not_trained_and_gives_the_same_codes(prepared, trained, tmp_path, monkeypatch):
    def never(*_arguments, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(units, "fit", never)
    done = train_task(prepared, tiny_config("normal"), Store(trained / "store"))
    assert done.codes["image"].tobytes() == np.load(trained / "codes/normal/image.npy").tobytes()


def test_a_stage_killed_between_network_and_constant_keeps_the_network(prepared, trained, tmp_path, monkeypatch):
    def stopping(*arguments, **options):
        if options["name"].startswith("average"):
            raise KilledError
        return fit(*arguments, **options)

    fit = units.fit
    monkeypatch.setattr(units, "fit", stopping)
    with pytest.raises(KilledError):
        train_task(prepared, tiny_config("autoencoding"), Store(tmp_path))
    assert len(files_of(tmp_path)) == 1
    monkeypatch.setattr(units, "fit", fit)
    train_task(prepared, tiny_config("autoencoding"), Store(tmp_path))
    assert len(files_of(tmp_path)) == 2
    assert files_of(tmp_path).items() <= files_of(trained / "store").items()


def test_the_random_encoder_depends_on_the_seed_alone(prepared):
    weights = []
    for seed in (0, 0, 1):
        network = networks._fresh(tiny_config("random_projection", train={"seed": seed}), prepared)
        weights.append(next(network.parameters()).detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_rate_that_diverges_stops_the_task_by_name(prepared, tmp_path):
    values = tiny_config("normal", train={"tasks": {"normal": {"rate": 1e38}}})
    with pytest.raises(TaskonomyError, match=r"^network normal: the loss is not finite in .*epoch 1.*; no epoch was finished before"):
        train_task(prepared, values, Store(tmp_path))


# The best constant


def labels_of(prepared, name: str, split: Split):
    task = prepared.task(BUILT_IN[name])
    chosen = task.of_split(split)
    return task.labels(chosen), task.mask(chosen)


def l1(labels, mask, constant):
    return _masked(np.abs(labels - constant), mask)


def l2(labels, mask, constant):
    return _masked((labels - constant) ** 2, mask)


def cross_entropy(labels, _mask, shares):
    return -np.log(shares[labels[:, 0]])


def soft_cross_entropy(labels, _mask, shares):
    return -(labels * np.log(np.maximum(shares, 1e-300))).sum(1)


def pose(labels, _mask, constant):
    return np.linalg.norm(labels - constant, axis=1)


def _masked(errors, mask):
    """Mean over each sample's labelled values."""
    axes = tuple(range(1, errors.ndim))
    if mask is None:
        return errors.mean(axes)
    return (errors * mask[..., None]).sum(axes) / np.maximum(mask.sum((1, 2)) * errors.shape[-1], 1)


def weighted_median(labels, mask):
    """Pixel by pixel: the value below which half of the weight lies. A sample's pixels share its weight of 1."""
    weights = (
        np.ones(labels.shape) if mask is None else np.broadcast_to((mask / np.maximum(mask.sum((1, 2), keepdims=True), 1))[..., None], labels.shape)
    )
    order = np.argsort(labels, axis=0)
    below = np.cumsum(np.take_along_axis(weights, order, 0), axis=0)
    place = (below >= below[-1:] / 2).argmax(0)
    return np.take_along_axis(np.take_along_axis(labels, order, 0), place[None], 0)[0]


def weighted_mean(labels, mask):
    if mask is None:
        return labels.mean(0)
    weights = (mask / np.maximum(mask.sum((1, 2), keepdims=True), 1))[..., None]
    return (labels * weights).sum(0) / np.maximum(weights.sum(0), 1e-12)


def class_shares(labels, _mask):
    return np.bincount(labels[:, 0], minlength=2) / len(labels)


def mean_shares(labels, _mask):
    return labels.astype(float).mean(0) / labels.astype(float).sum(1).mean()


def geometric_median(labels, _mask):
    """Weiszfeld's iteration."""
    constant = labels.mean(0, dtype=float)
    for _step in range(10_000):
        weights = 1 / np.linalg.norm(labels - constant, axis=1, keepdims=True)
        constant = (labels * weights).sum(0) / weights.sum()
    return constant


@pytest.mark.parametrize(
    ("name", "loss", "best"),
    [
        ("autoencoding", l1, weighted_median),
        ("depth_zbuffer", l1, weighted_median),
        ("principal_curvature", l2, weighted_mean),
        ("room_layout", l2, weighted_mean),
        ("point_matching", cross_entropy, class_shares),
        ("class_scene", soft_cross_entropy, mean_shares),
        ("camera_pose_fixated", pose, geometric_median),
    ],
)
def test_the_average_is_the_constant_that_loses_least(prepared, name, loss, best, tmp_path):
    """By median, mean, shares of the classes or geometric median, all computed here; at most 2 % worse, and never better."""
    config = tiny_config(name)
    task = networks.prepared_task(prepared, config)
    train = task.of_split(Split.TRAIN)
    labels = networks.Labels(task)
    recipe = networks._constant(task, labels, config, train)
    shape = config.definition.output_shape(int(prepared.images.shape[1]))
    unit = units.train_unit(Store(tmp_path), "0" * 32, recipe, lambda: units.ConstantPredictor(shape), keep=True)
    stored, mask = labels_of(prepared, name, Split.TRAIN)
    optimum = loss(stored, mask, best(stored, mask)).mean()
    assert optimum * (1 - 1e-6) <= unit.facts["train"][-1] <= 1.02 * optimum
    # Kept is the constant of the epoch that validates best: no worse there than the optimum of the training samples.
    there = labels_of(prepared, name, Split.VALIDATION)
    assert min(unit.facts["validation"]) == unit.facts["validation"][unit.facts["chosen"]] <= 1.02 * loss(*there, best(stored, mask)).mean()
    # And its losses are those of one output for all test images, by the definition of the loss.
    (value,) = units.weights_of(unit).values()
    kept = value.numpy().astype(float)
    kept = np.exp(kept) / np.exp(kept).sum() if "entropy" in loss.__name__ else np.moveaxis(kept, 0, -1)
    expected = loss(*labels_of(prepared, name, Split.TEST_POLICY), kept)
    np.testing.assert_allclose(unit.arrays["test_policy"], expected, rtol=1e-4, atol=1e-6)


def test_the_average_of_few_samples_takes_as_many_steps(prepared):
    assert CONSTANT.passes(1) == CONSTANT_STEPS
    assert CONSTANT.passes(10**4) == CONSTANT.epochs
