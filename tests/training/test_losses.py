"""Every loss against a loop in NumPy, and what must not matter to it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import log_softmax
from torch import Tensor

from taskonomy.data.prepare.label_statistics import STATISTICS
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss, Mask
from taskonomy.models.decoders import pack
from taskonomy.numeric import poses as in_numpy
from taskonomy.tasks import BUILT_IN
from taskonomy.training import pose_loss as poses
from taskonomy.training.losses import LOSSES, PIXELS, Targets, compared_pixels, per_sample, sampled_pixels

BATCH, SIDE = 3, 8
ALL_TURNS = st.floats(-np.pi, np.pi)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def some_mask(seed: int = 0) -> np.ndarray:
    """One sample has no labelled pixel."""
    mask = np.random.default_rng(seed).random((BATCH, SIDE, SIDE)) < 0.6
    mask[1] = False
    return mask


def targets(values: Any, mask: Any = None, statistics: dict[str, Any] | None = None, pixels: Any = None) -> Targets:
    def tensor(array: Any) -> Any:
        return None if array is None else torch.as_tensor(array)

    both = tuple(map(tensor, values)) if isinstance(values, tuple) else tensor(values)
    return Targets(both, tensor(mask), statistics or {}, tensor(pixels))


def value(loss: Loss, output: np.ndarray, wanted: Targets) -> np.ndarray:
    return per_sample(loss, torch.as_tensor(output), wanted).numpy()


# ---- one batch of every kind of label: output, targets


def a_map(loss: Loss, *, masked: bool) -> tuple[np.ndarray, Targets]:
    return numbers(BATCH, 2, SIDE, SIDE), targets(numbers(BATCH, SIDE, SIDE, 2), some_mask() if masked else None)


def classes(*, weighted: bool = True) -> tuple[np.ndarray, Targets]:
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 5, (BATCH, SIDE, SIDE)).astype(np.uint8)
    ids[rng.random(ids.shape) < 0.3] = 255
    ids[2] = 255
    return numbers(BATCH, 5, SIDE, SIDE), targets(ids, statistics={"weights": [0.0, 0.5, 1.0, 2.0, 4.0]} if weighted else {})


def distributions() -> tuple[np.ndarray, Targets]:
    return numbers(BATCH, 7), targets(np.random.default_rng(1).dirichlet(np.ones(7), BATCH))


def colours(*, masked: bool = False) -> tuple[np.ndarray, Targets]:
    rng = np.random.default_rng(2)
    bins = np.argsort(rng.random((BATCH, SIDE, SIDE, 20)), -1)[..., :4]
    weights = rng.dirichlet(np.ones(4), (BATCH, SIDE, SIDE))
    return numbers(BATCH, 20, SIDE, SIDE), targets((bins, weights), some_mask() if masked else None, {"weights": rng.random(20).tolist()})


def splitmix(state: int) -> int:
    whole = 2**64 - 1
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & whole
    state = (state ^ state >> 27) * 0x94D049BB133111EB & whole
    return state ^ state >> 31


def hand_pixels(key: int, count: int) -> list[int]:
    start = splitmix(key + 1)
    hashes = [splitmix(start + number * 0x9E3779B97F4A7C15 & 2**64 - 1) for number in range(max(count, PIXELS))]
    hashes = [one - 2**64 if one >> 63 else one for one in hashes]
    return [one % count for one in hashes] if count < PIXELS else sorted(range(count), key=hashes.__getitem__)[:PIXELS]


def segments(side: int = 20) -> tuple[np.ndarray, Targets]:
    """Embeddings of the pixels that are compared."""
    ids = np.random.default_rng(4).integers(0, 4, (BATCH, side, side)).astype(np.uint8)
    pixels = np.array([hand_pixels(key, side**2) for key in (5, 0, 123456789)])
    return np.tanh(numbers(BATCH, 64, PIXELS)) / 4, targets(ids, pixels=pixels)


def triplets(seed: int = 5) -> tuple[np.ndarray, Targets, np.ndarray]:
    """Perfect outputs, targets, and the true poses, in float64."""
    rng = np.random.default_rng(seed)
    limits = np.repeat([np.pi, 1.4, np.pi, 3.0, 3.0, 3.0], 1)
    one_two, two_three = rng.uniform(-limits, limits, (BATCH, 6)), rng.uniform(-limits, limits, (BATCH, 6))
    one_three = np.stack([in_numpy.compose(*pair) for pair in zip(one_two, two_three, strict=True)])
    true = np.concatenate([one_two, one_three, two_three], 1)
    mean, std = rng.normal(size=18), rng.uniform(0.5, 2, 18)
    scores = (true - mean) / std
    return scores[:, [*range(6), *range(12, 18)]], targets(scores, statistics={"mean": mean.tolist(), "std": std.tolist()}), true


MAPS: dict[str, tuple[Loss, tuple[np.ndarray, Targets]]] = {
    "L1": (Loss.L1, a_map(Loss.L1, masked=True)),
    "L2 of all pixels": (Loss.L2, a_map(Loss.L2, masked=False)),
    "classes": (Loss.CROSS_ENTROPY, classes()),
    "colours": (Loss.SOFT_CROSS_ENTROPY, colours(masked=True)),
}


@pytest.mark.parametrize("case", MAPS)
def test_packed_maps_lose_what_whole_ones_do(case: str) -> None:
    loss, (output, wanted) = MAPS[case]
    outputs = pack(torch.as_tensor(output).movedim(1, -1), 4).permute(0, 3, 4, 1, 2)
    packed = replace(wanted.each_row(lambda one: pack(one, 4).movedim(-1, 1)), packed=True)
    torch.testing.assert_close(per_sample(loss, outputs, packed), per_sample(loss, torch.as_tensor(output), wanted), rtol=1e-12, atol=1e-12)


CASES: dict[str, tuple[Loss, np.ndarray, Targets]] = {
    "L1 of maps": (Loss.L1, *a_map(Loss.L1, masked=True)),
    "L2 of maps": (Loss.L2, *a_map(Loss.L2, masked=True)),
    "L1 of maps without mask": (Loss.L1, *a_map(Loss.L1, masked=False)),
    "L1 of vectors": (Loss.L1, numbers(BATCH, 9), targets(numbers(BATCH, 9, seed=1))),
    "L2 of vectors": (Loss.L2, numbers(BATCH, 9), targets(numbers(BATCH, 9, seed=1))),
    "classes of pixels": (Loss.CROSS_ENTROPY, *classes()),
    "classes of pixels without weights": (Loss.CROSS_ENTROPY, *classes(weighted=False)),
    "classes": (Loss.CROSS_ENTROPY, numbers(BATCH, 100), targets(np.array([[99], [0], [7]], np.uint8))),
    "distributions": (Loss.SOFT_CROSS_ENTROPY, *distributions()),
    "colours": (Loss.SOFT_CROSS_ENTROPY, *colours()),
    "colours with a mask": (Loss.SOFT_CROSS_ENTROPY, *colours(masked=True)),
    "several classes": (Loss.BINARY_CROSS_ENTROPY, numbers(BATCH, 4), targets(np.array([[0, 1, 255, 1], [255] * 4, [1, 0, 0, 1]], np.uint8))),
    "segments": (Loss.PAIRWISE, *segments()),
    "segments of a small image": (Loss.PAIRWISE, *segments(6)),
    "poses": (Loss.POSE, numbers(BATCH, 6), targets(numbers(BATCH, 6, seed=1))),
    "egomotion": (Loss.EGOMOTION, triplets()[0] + 0.3 * numbers(BATCH, 12), triplets()[1]),
}
every_case = pytest.mark.parametrize("case", CASES)


# ---- the oracle: loops over single numbers


def by_hand(loss: Loss, output: np.ndarray, wanted: Targets) -> list[float]:
    return [HAND[loss](output[sample], wanted, sample) for sample in range(len(output))]


def hand_regression(power: int) -> Any:
    def one(output: np.ndarray, wanted: Targets, sample: int) -> float:
        label, terms = wanted.values[sample].numpy(), []
        if label.ndim == 1:
            return sum(abs(a - b) ** power for a, b in zip(output, label, strict=True)) / len(label)
        for row, column in np.ndindex(label.shape[:2]):
            if wanted.mask is None or wanted.mask[sample, row, column]:
                terms += [abs(output[channel, row, column] - label[row, column, channel]) ** power for channel in range(label.shape[2])]
        return sum(terms) / max(len(terms), 1)

    return one


def hand_cross_entropy(output: np.ndarray, wanted: Targets, sample: int) -> float:
    ids, terms = wanted.values[sample].numpy(), []
    weights = wanted.statistics.get("weights", np.ones(len(output)))
    for place in np.ndindex(ids.shape):
        if ids[place] != 255:
            logits = output if ids.ndim == 1 else output[:, *place]
            terms.append(-weights[ids[place]] * log_softmax(logits)[ids[place]])
    return sum(terms) / max(len(terms), 1)


def hand_binary_cross_entropy(output: np.ndarray, wanted: Targets, sample: int) -> float:
    known = [(1 / (1 + np.exp(-logit)), yes) for logit, yes in zip(output, wanted.values[sample].numpy(), strict=True) if yes != 255]
    return sum(-np.log(share if yes else 1 - share) for share, yes in known) / max(len(known), 1)


def hand_soft_cross_entropy(output: np.ndarray, wanted: Targets, sample: int) -> float:
    if isinstance(wanted.values, Tensor):
        return -float(wanted.values[sample].numpy() @ log_softmax(output))
    bins, weights = (one[sample].numpy() for one in wanted.values)
    terms = []
    for place in np.ndindex(bins.shape[:2]):
        if wanted.mask is None or wanted.mask[sample, *place]:
            dense = np.zeros(len(output))
            dense[bins[place]] = weights[place]
            terms.append(-wanted.statistics["weights"][bins[place][0]] * (dense @ log_softmax(output[:, *place])))
    return sum(terms) / max(len(terms), 1)


def hand_pairwise(output: np.ndarray, wanted: Targets, sample: int) -> float:
    ids = wanted.values[sample].numpy().ravel()[wanted.pixels[sample].numpy()]
    total = 0.0
    for segment, embedding in zip(ids, output.T, strict=True):
        squared = np.minimum(((output.T - embedding) ** 2).sum(1), 80)
        sigma = np.clip(2 / (1 + np.exp(squared)), 1e-7, 1 - 1e-7)
        total -= np.where(ids == segment, np.log(sigma), np.log(1 - sigma)).sum()
    return total / 300**2


def hand_pose(output: np.ndarray, wanted: Targets, sample: int) -> float:
    return sum((a - b) ** 2 for a, b in zip(output, wanted.values[sample].numpy(), strict=True)) ** 0.5


def hand_egomotion(output: np.ndarray, wanted: Targets, sample: int) -> float:
    label, mean, std = wanted.values[sample].numpy(), np.array(wanted.statistics["mean"]), np.array(wanted.statistics["std"])
    composed = in_numpy.compose(output[:6] * std[:6] + mean[:6], output[6:] * std[12:] + mean[12:])
    for angle in range(3):
        true = label[6 + angle] * std[6 + angle] + mean[6 + angle]
        composed[angle] = min((composed[angle] + turn * 2 * np.pi for turn in range(-5, 6)), key=lambda one, true=true: abs(one - true))
    cycle = (composed - mean[6:12]) / std[6:12] - label[6:12]
    return float(np.linalg.norm(output[:6] - label[:6]) + 0.5 * np.linalg.norm(cycle) + np.linalg.norm(output[6:] - label[12:]))


HAND = {
    Loss.L1: hand_regression(1),
    Loss.L2: hand_regression(2),
    Loss.CROSS_ENTROPY: hand_cross_entropy,
    Loss.SOFT_CROSS_ENTROPY: hand_soft_cross_entropy,
    Loss.PAIRWISE: hand_pairwise,
    Loss.POSE: hand_pose,
    Loss.EGOMOTION: hand_egomotion,
    Loss.BINARY_CROSS_ENTROPY: hand_binary_cross_entropy,
}


# ---- every loss


def test_every_loss_of_the_dictionary_has_a_function() -> None:
    assert set(LOSSES) == set(Loss) == set(HAND)


@every_case
def test_a_loss_is_what_loops_over_single_numbers_give(case: str) -> None:
    loss, output, wanted = CASES[case]
    np.testing.assert_allclose(value(loss, output, wanted), by_hand(loss, output, wanted), rtol=1e-9)
    single = value(loss, output.astype(np.float32), wanted)
    np.testing.assert_allclose(single, by_hand(loss, output.astype(np.float32), wanted), rtol=1e-4, atol=1e-6)


@every_case
def test_gradients_are_those_of_finite_differences(case: str) -> None:
    loss, output, wanted = CASES[case]
    output = torch.as_tensor(output).requires_grad_()
    many = output.numel() > 1000  # then along a random direction
    assert torch.autograd.gradcheck(lambda one: per_sample(loss, one, wanted), output, fast_mode=many)


@every_case
def test_the_loss_of_a_sample_does_not_depend_on_its_company(case: str) -> None:
    loss, output, wanted = CASES[case]
    together = value(loss, output, wanted)
    for sample in range(BATCH):
        one = slice(sample, sample + 1)
        values = tuple(value[one] for value in wanted.values) if isinstance(wanted.values, tuple) else wanted.values[one]
        cut = (part if part is None else part[one] for part in (wanted.mask, wanted.pixels))
        alone = targets(values, next(cut), wanted.statistics, next(cut))
        np.testing.assert_allclose(value(loss, output[one], alone), together[one], rtol=1e-12)


@every_case
def test_half_precision_is_made_good_before_anything_is_computed(case: str) -> None:
    loss, output, wanted = CASES[case]
    half = torch.as_tensor(output, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        under = per_sample(loss, half, wanted)
    assert under.dtype in (torch.float32, torch.float64)
    torch.testing.assert_close(under, per_sample(loss, half.float(), wanted), rtol=1e-5, atol=1e-6)


@every_case
def test_the_memory_order_of_channels_does_not_matter(case: str) -> None:
    loss, output, wanted = CASES[case]
    if output.ndim == 4:
        last = torch.as_tensor(output).contiguous(memory_format=torch.channels_last)
        np.testing.assert_allclose(per_sample(loss, last, wanted).numpy(), value(loss, output, wanted), rtol=1e-12)


# ---- labels that are not there


@pytest.mark.parametrize("case", ["L1 of maps", "L2 of maps", "classes of pixels", "colours with a mask"])
@pytest.mark.parametrize("wrong", [1e6, np.nan, np.inf])
def test_pixels_without_label_do_not_matter(case: str, wrong: float) -> None:
    loss, output, wanted = CASES[case]
    if loss is Loss.CROSS_ENTROPY:
        labelled = wanted.values.numpy() != 255
        changed = np.where(labelled[:, None], output, 1e6)
    else:
        labelled = wanted.mask.numpy()
        changed = np.where(labelled[:, None], output, wrong)
    changed_output = torch.as_tensor(changed).requires_grad_()
    losses = per_sample(loss, changed_output, wanted)
    np.testing.assert_allclose(losses.detach().numpy(), value(loss, output, wanted), rtol=1e-12)
    if not (loss is Loss.SOFT_CROSS_ENTROPY and not np.isfinite(wrong)):  # the softmax of a pixel that is not a number has no gradient
        (gradient,) = torch.autograd.grad(losses.sum(), changed_output)
        assert torch.isfinite(gradient).all()
        assert not gradient.numpy()[np.broadcast_to(~labelled[:, None], output.shape)].any()


@pytest.mark.parametrize("case", ["L1 of maps", "L2 of maps", "classes of pixels", "colours with a mask"])
def test_a_sample_without_any_label_has_loss_0_and_gradient_0(case: str) -> None:
    loss, output, wanted = CASES[case]
    sample = 2 if loss is Loss.CROSS_ENTROPY else 1
    changing = torch.as_tensor(output, dtype=torch.float32).requires_grad_()
    losses = per_sample(loss, changing, wanted)
    losses.mean().backward()
    assert losses[sample] == 0
    assert not changing.grad[sample].any()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(changing.grad).all()
    assert (losses > 0).sum() == BATCH - 1


def test_class_ids_may_be_masked_too() -> None:
    output, wanted = classes()
    mask = some_mask()
    ids = np.where(mask, wanted.values.numpy(), 255).astype(np.uint8)
    masked = targets(wanted.values, mask, wanted.statistics)
    np.testing.assert_array_equal(value(Loss.CROSS_ENTROPY, output, masked), value(Loss.CROSS_ENTROPY, output, targets(ids, None, wanted.statistics)))


# ---- perfect predictions


@pytest.mark.parametrize(("loss", "shape"), [(Loss.L1, (4, 4, 2)), (Loss.L2, (4, 4, 2)), (Loss.L1, (9,)), (Loss.L2, (9,)), (Loss.POSE, (6,))])
def test_a_perfect_prediction_has_loss_0_and_a_finite_gradient(loss: Loss, shape: tuple[int, ...]) -> None:
    label = torch.as_tensor(numbers(BATCH, *shape), dtype=torch.float32)
    output = (label.movedim(-1, 1) if label.ndim == 4 else label).clone().requires_grad_()
    losses = per_sample(loss, output, targets(label))
    losses.sum().backward()
    assert not losses.any()
    assert not output.grad.any()


@pytest.mark.parametrize("seed", range(20))
def test_the_true_steps_of_a_triplet_have_loss_0(seed: int) -> None:
    output, wanted, _true = triplets(seed)
    assert value(Loss.EGOMOTION, output, wanted).max() < 1e-6
    changing = torch.as_tensor(output, dtype=torch.float32).requires_grad_()
    losses = per_sample(Loss.EGOMOTION, changing, wanted)
    losses.sum().backward()
    assert losses.max() < 1e-3
    assert torch.isfinite(changing.grad).all()


def test_a_half_turn_is_one_angle_from_both_sides() -> None:
    """(1, 3) is labelled pi and composed -pi, or nearly so."""
    steps = np.zeros((2, 18))
    steps[:, [0, 12]] = np.pi / 2
    steps[:, 6] = np.pi, -np.pi
    statistics = {"mean": [0.0] * 18, "std": [1.0] * 18}
    near = value(Loss.EGOMOTION, steps[:, [*range(6), *range(12, 18)]], targets(steps, statistics=statistics))
    np.testing.assert_allclose(near, 0, atol=1e-9)


# ---- poses


@given(st.lists(ALL_TURNS, min_size=6, max_size=6), st.lists(st.floats(-10, 10), min_size=6, max_size=6))
def test_poses_compose_as_they_do_in_numpy(angles: list[float], shifts: list[float]) -> None:
    first, second = np.array([*angles[:3], *shifts[:3]]), np.array([*angles[3:], *shifts[3:]])
    composed = poses.compose(torch.tensor(first), torch.tensor(second)).numpy()
    turned = Rotation.from_euler("xyz", second[:3]) * Rotation.from_euler("xyz", first[:3])
    # At a singularity angles differ where rotations do not; within 0.06 degrees of it the rotation is off by as much.
    np.testing.assert_allclose(Rotation.from_euler("xyz", composed[:3]).as_matrix(), turned.as_matrix(), atol=2 * poses.LOCKED)
    np.testing.assert_allclose(composed[3:], Rotation.from_euler("xyz", second[:3]).apply(first[3:]) + second[3:], atol=1e-9)
    if abs(turned.as_matrix()[2, 0]) < 0.999:
        expected = in_numpy.compose(first, second)
        apart = composed - expected
        apart[:3] -= 2 * np.pi * np.round(apart[:3] / (2 * np.pi))
        np.testing.assert_allclose(apart, 0, atol=1e-9)


@given(ALL_TURNS, st.sampled_from([-1, 1]), st.floats(-1e-2, 1e-2), ALL_TURNS)
def test_angles_and_their_gradients_are_finite_at_the_singularity(x: float, side: int, off: float, z: float) -> None:
    for dtype in (torch.float32, torch.float64):
        angles = torch.tensor([x, side * np.pi / 2 + off, z], dtype=dtype).requires_grad_()
        again = poses.euler(poses.rotation(angles))
        (gradient,) = torch.autograd.grad(again.sum(), angles)
        assert torch.isfinite(again).all()
        assert gradient.abs().max() < 10 / poses.LOCKED
        both = [Rotation.from_euler("xyz", one.detach().double().numpy()).as_matrix() for one in (angles, again)]
        np.testing.assert_allclose(*both, atol=2 * poses.LOCKED)


def test_composition_has_the_gradients_of_finite_differences() -> None:
    first, second = (torch.as_tensor(numbers(4, 6, seed=seed)).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(poses.compose, (first, second))


def test_egomotion_has_a_finite_gradient_at_a_locked_pose() -> None:
    output = torch.zeros(1, 12)
    output[0, 1] = torch.pi / 2
    output.requires_grad_()
    statistics = {"mean": [0.0] * 18, "std": [1.0] * 18}
    losses = per_sample(Loss.EGOMOTION, output, targets(torch.ones(1, 18), statistics=statistics))
    losses.sum().backward()
    assert torch.isfinite(output.grad).all()


# ---- metric loss


def embedded(ids: np.ndarray, distance: float) -> np.ndarray:
    """One corner of the 64-d cube for each segment."""
    corners = np.eye(64)[: ids.max() + 1] * distance
    return np.moveaxis(corners[ids], -1, 1)


def test_embeddings_that_agree_with_the_segments_are_better_than_random_ones() -> None:
    random, wanted = segments()
    ids = np.take_along_axis(wanted.values.numpy().reshape(BATCH, -1), wanted.pixels.numpy(), 1)
    agreeing = value(Loss.PAIRWISE, embedded(ids, 2.0), wanted)
    nothing = value(Loss.PAIRWISE, np.zeros_like(random), wanted)
    assert (agreeing < 0.01).all()
    assert (agreeing < value(Loss.PAIRWISE, random, wanted)).all()
    assert (agreeing < nothing).all()


def test_pixels_are_those_of_the_sample_whatever_else_is_in_the_batch() -> None:
    keys = torch.tensor([7, 2**40, 0, 7])
    chosen = sampled_pixels(keys, 1000)
    assert chosen.shape == (4, PIXELS)
    assert torch.equal(chosen[0], chosen[3])
    assert torch.equal(chosen[1:2], sampled_pixels(keys[1:2], 1000))
    assert not torch.equal(chosen[0], chosen[2])
    assert chosen[1].tolist() == hand_pixels(2**40, 1000)


def test_pixels_differ_within_an_image_and_are_even_over_samples() -> None:
    chosen = sampled_pixels(torch.arange(2000), 400)
    assert all(len(set(row)) == PIXELS for row in chosen.tolist())
    counts = np.bincount(chosen.numpy().ravel(), minlength=400)
    spread = (2000 * 0.75 * 0.25) ** 0.5
    assert abs(counts - 1500).max() < 5 * spread
    assert 0.8 < counts.std() / spread < 1.2
    pairs = np.corrcoef((chosen.numpy()[:, :, None] == np.arange(8)).any(1).T)
    assert abs(pairs - np.eye(8)).max() < 0.1


def test_small_images_are_sampled_repeatedly() -> None:
    chosen = sampled_pixels(torch.arange(50), 16)
    assert chosen.shape == (50, PIXELS)
    assert (chosen.min(), chosen.max()) == (0, 15)
    assert all(len(set(row)) == 16 for row in chosen.tolist())


@pytest.mark.parametrize("scale", [0.0, 1e-5, 1e-3, 1.0, 100.0])
def test_the_metric_loss_is_finite_however_far_or_near_embeddings_are(scale: float) -> None:
    output, wanted = segments()
    changing = torch.as_tensor(output * scale + 0.9, dtype=torch.float32).requires_grad_()
    losses = per_sample(Loss.PAIRWISE, changing, wanted)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(changing.grad).all()
    if scale >= 1e-3:
        np.testing.assert_allclose(losses.detach(), by_hand(Loss.PAIRWISE, changing.detach().double().numpy(), wanted), rtol=1e-3)


# ---- what does not fit


@pytest.mark.parametrize(
    ("loss", "output", "wanted"),
    [
        (Loss.L1, (2, 1, 4, 4), targets(np.zeros((2, 4, 4, 3)))),
        (Loss.L1, (2, 1, 4, 4), targets(np.zeros((2, 4, 4, 1)), np.ones((2, 2, 4), bool))),
        (Loss.POSE, (2, 6), targets(np.zeros((2, 1)))),
        (Loss.EGOMOTION, (2, 18), targets(np.zeros((2, 18)))),
        (Loss.CROSS_ENTROPY, (2, 5, 4, 4), targets(np.zeros((2, 2, 8), np.uint8))),
        (Loss.SOFT_CROSS_ENTROPY, (2, 5), targets(np.zeros((2, 1)))),
        (Loss.SOFT_CROSS_ENTROPY, (2, 5, 4, 4), targets((np.zeros((2, 2, 2, 3), int), np.zeros((2, 2, 2, 3))))),
        (Loss.PAIRWISE, (2, 64, 8, 8), targets(np.zeros((2, 8, 8), np.uint8), pixels=np.zeros((2, 5), int))),
    ],
)
def test_a_head_that_does_not_fit_its_label_is_an_error_with_both_shapes(loss: Loss, output: tuple[int, ...], wanted: Targets) -> None:
    with pytest.raises(TaskonomyError, match=r"output of shape \(2, .*does not fit labels of shape \(2, "):
        per_sample(loss, torch.zeros(output), wanted)


def test_masks_and_pixels_are_not_silently_left_out() -> None:
    output, wanted = segments()
    with pytest.raises(TaskonomyError, match="needs the pixels of each sample"):
        value(Loss.PAIRWISE, output, targets(wanted.values))
    with pytest.raises(TaskonomyError, match="no use for a mask"):
        value(Loss.PAIRWISE, output, targets(wanted.values, np.ones((BATCH, 20, 20), bool), pixels=wanted.pixels))
    with pytest.raises(TaskonomyError, match="soft cross entropy alone"):
        value(Loss.L1, numbers(1, 4, 2, 2), targets((np.zeros((1, 2, 2, 4), int), np.zeros((1, 2, 2, 4)))))


# ---- every task


@pytest.mark.parametrize("name", [name for name, task in BUILT_IN.items() if task.loss])
def test_every_task_gets_a_finite_loss_and_gradient(name: str) -> None:
    task, size, rng = BUILT_IN[name], 32, np.random.default_rng(0)
    label, head = task.label, task.head
    shape = (6, *label.array_shape(size))
    if np.dtype(label.dtype).kind == "f":
        stored = rng.random(shape).astype(label.dtype)
    else:
        limits = np.iinfo(label.dtype)
        classes_only = task.loss is Loss.CROSS_ENTROPY
        stored = rng.integers(limits.min, head.channels if classes_only else limits.max, shape, dtype=label.dtype, endpoint=not classes_only)
        if classes_only and len(shape) > 2:
            stored[rng.random(shape) < 0.2] = 255
    statistics = {**label.options, **STATISTICS[label.statistics](stored, np.arange(6), head.channels)}
    values = label.encode(stored, statistics)
    values = (torch.as_tensor(values[0], dtype=torch.int64), torch.as_tensor(values[1])) if isinstance(values, tuple) else values
    mask = rng.random((6, size, size)) < 0.7 if label.mask is Mask.DEPTH else None
    if mask is not None and label.valid is not None:
        mask &= label.valid(stored)
    channels = 12 if task.loss is Loss.EGOMOTION else head.channels
    side = size // head.shrink
    wanted = targets(values, mask, statistics)
    pixels = compared_pixels(task.loss, torch.arange(6), wanted)
    compared = () if head.layers else (side, side) if pixels is None else pixels.shape[1:]
    output = torch.randn(6, channels, *compared, generator=torch.Generator().manual_seed(0))
    output = (output / 4).requires_grad_()  # further apart than d^2 = 16.8 the metric loss is flat
    losses = per_sample(task.loss, output, replace(wanted, pixels=pixels))
    losses.mean().backward()
    assert losses.shape == (6,)
    assert losses.dtype == torch.float32
    assert torch.isfinite(losses).all()
    assert (losses > 0).all()
    assert torch.isfinite(output.grad).all()
    assert output.grad.any()
