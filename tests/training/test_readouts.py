"""Closed-form readouts, against least squares written here, and what their reliability tells."""

import numpy as np
import pytest

from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.labels.encodings import NO_CLASS
from taskonomy.tasks import BUILT_IN
from taskonomy.transfers.readouts import PENALTIES, Answers, answers, errors
from taskonomy.transfers.screen import scored


def wanted(values: np.ndarray, *, spatial: bool, weights: np.ndarray | None = None, power: int = 2) -> Answers:
    ones = np.ones(values.shape[:2], np.float32) if weights is None else weights
    return Answers(values.astype(np.float32), ones.astype(np.float32), spatial, power)


def by_hand(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Weighted ridge with a free constant: for each penalty the hat matrix, its generalised cross-validation, then the best one's predictions."""
    share = weights / weights.sum()
    x, y = features - share @ features, labels - share @ labels
    root = np.sqrt(weights)[:, None]
    x, y = root * x, root * y
    gram = x.T @ x if x.shape[1] <= x.shape[0] else x @ x.T
    best = None
    for penalty in PENALTIES * np.trace(gram) / len(gram):
        slopes = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
        hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
        left = 1 - (np.trace(hat) + 1) / (weights > 0).sum()
        score = ((y - x @ slopes) ** 2).sum() / left**2 if left > 0 else np.inf
        if best is None or score < best[0]:
            best = score, (test - share @ features) @ slopes + share @ labels
    assert best is not None
    return best[1]


@pytest.mark.parametrize("channels", [2, 9])  # fewer and more features than samples to learn from
def test_a_readout_of_vectors_is_ridge_regression_with_the_penalty_of_generalised_cross_validation(channels: int) -> None:
    rng = np.random.default_rng(channels)
    codes = rng.normal(size=(80, channels, 2, 3)).astype(np.float32)
    flat = codes.reshape(80, -1).astype(float)
    labels = flat[:, :3] @ rng.normal(size=(3, 2)) + rng.normal(size=(80, 2))
    weights = (rng.random(80) > 0.2).astype(float)
    train, test = np.arange(60), np.arange(60, 80)
    found = errors([codes], wanted(labels[:, None], spatial=False, weights=weights[:, None]), train, test)
    for row, learnt in zip(found, (train, train[:30], train[30:]), strict=True):
        predictions = by_hand(flat[learnt], labels[learnt], weights[learnt], flat[test])
        expected = ((predictions - labels[test]) ** 2).mean(1) * weights[test]
        np.testing.assert_allclose(row, expected, rtol=2e-3, atol=1e-4)


def test_a_readout_of_maps_sees_a_cell_and_its_neighbours_and_no_further() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(40, 2, 6, 6)).astype(np.float32)
    padded = np.pad(codes, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    near, far = padded[:, 0, 1:7, 3:9], padded[:, 0, 0:6, 2:8]  # one up and one right; two up
    train, test = np.arange(30), np.arange(30, 40)
    seen, unseen = (errors([codes], wanted(one.reshape(40, 36, 1), spatial=True), train, test)[0].mean() for one in (near, far))
    assert seen < 1e-6
    assert unseen > 0.5


def test_places_without_a_label_have_no_part_in_what_is_learnt_or_tested() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(30, 3, 4, 4)).astype(np.float32)
    labels = rng.normal(size=(30, 16, 2))
    weights = (rng.random((30, 16)) > 0.5).astype(float)
    other = np.where(weights[..., None] > 0, labels, 99.0)
    train, test = np.arange(20), np.arange(20, 30)
    found = [errors([codes], wanted(one, spatial=True, weights=weights, power=1), train, test) for one in (labels, other)]
    np.testing.assert_allclose(*found, rtol=1e-5)


def task_of(name: str, stored: np.ndarray, masks: np.ndarray | None = None) -> PreparedTask:
    count = len(stored)
    return PreparedTask(BUILT_IN[name], np.arange(count)[:, None], stored, masks, {"limit": 1.0}, np.zeros(count, int))


def test_maps_are_averaged_where_they_are_labelled() -> None:
    rng = np.random.default_rng(0)
    stored, masks = rng.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8), rng.random((3, 16, 16)) > 0.6
    found = answers(task_of("normal", stored, masks), np.arange(3), 4)
    assert (found.spatial, found.power) == (True, 1)
    for sample, row, column in np.ndindex(3, 4, 4):
        cell = slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4)
        labels, seen = stored[sample][cell] / 127.5 - 1, masks[sample][cell]
        assert found.weights[sample, 4 * row + column] == pytest.approx(seen.mean())
        own = labels[seen].mean(0) if seen.any() else np.zeros(3)  # each place of a cell is a pixel here
        expected = np.where(seen[..., None], labels, own)
        np.testing.assert_allclose(found.values[sample, 4 * row + column], expected.reshape(-1), atol=1e-6)


def test_what_a_mask_hides_changes_no_answer() -> None:
    rng = np.random.default_rng(1)
    stored, masks = rng.integers(0, 256, (2, 16, 16, 3)).astype(np.uint8), rng.random((2, 16, 16)) > 0.5
    other = np.where(masks[..., None], stored, 0).astype(np.uint8)
    first, second = (answers(task_of("normal", one, masks), np.arange(2), 2) for one in (stored, other))
    np.testing.assert_array_equal(first.values, second.values)


def test_names_of_segments_mean_nothing_and_their_edges_all() -> None:
    rng = np.random.default_rng(0)
    ids = np.repeat(np.repeat(rng.integers(0, 5, (4, 8, 8)), 2, 1), 2, 2).astype(np.uint8)
    renamed = rng.permutation(5).astype(np.uint8)[ids]
    first, second = (answers(task_of("segment_unsup2d", one), np.arange(4), 4) for one in (ids, renamed))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.values.std() > 0


def test_classes_of_pixels_become_shares_of_those_that_have_one() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 17, (2, 8, 8)).astype(np.uint8)
    ids[:, :4] = NO_CLASS
    found = answers(task_of("segment_semantic", ids), np.arange(2), 2)
    assert found.weights.tolist() == [[0, 0, 1, 1]] * 2
    np.testing.assert_allclose(found.values[:, 2:].reshape(2, 2, -1, 17).sum(-1), 1)


def drawn(signal: float, seed: int, sources: int = 16, images: int = 80) -> np.ndarray:
    """Errors of readouts: noise on single images and on what was learnt, and how good a source is by this factor."""
    rng = np.random.default_rng(seed)
    good = signal * np.linspace(-1, 1, sources)
    learnt = np.array([0.2, 0.2 * 2**0.5, 0.2 * 2**0.5])  # from all samples, and from half of them
    return np.stack([good[:, None] + rng.normal(0, 1, (sources, images)) + one * rng.normal(size=(sources, 1)) for one in learnt], axis=1)


def test_reliability_is_high_where_sources_differ_and_about_none_where_all_is_noise() -> None:
    ranked = [True] * 16
    noise = [scored(drawn(0.0, seed), ranked)[1] for seed in range(20)]
    clear = [scored(drawn(2.0, seed), ranked)[1] for seed in range(20)]
    assert abs(np.mean(noise)) < 0.25
    assert np.mean(np.array(noise) >= 0.6) < 0.1
    assert min(clear) > 0.9


def test_reliability_tells_how_a_screen_of_all_samples_agrees_with_another_one() -> None:
    from scipy.stats import spearmanr

    ranked, told, true = [True] * 16, [], []
    for seed in range(40):
        # What two screens share is how good the sources are; the rest is drawn anew.
        one, other = drawn(0.4, 2 * seed), drawn(0.4, 2 * seed + 1)
        told.append(scored(one, ranked)[1])
        true.append(spearmanr(scored(one, ranked)[0], scored(other, ranked)[0]).statistic)
    assert abs(np.mean(told) - np.mean(true)) < 0.1


def test_sources_that_are_not_chosen_from_have_no_part_in_the_reliability() -> None:
    found = drawn(1.0, 0)
    ranked = [number % 2 == 0 for number in range(16)]
    other = found.copy()
    other[1::2] += 50  # all of them worse than any other: the order of the others is as before
    assert scored(other, ranked)[1] == pytest.approx(scored(replace_with_worst(found, ranked), ranked)[1])


def replace_with_worst(found: np.ndarray, ranked: list[bool]) -> np.ndarray:
    worst = found.copy()
    worst[[not one for one in ranked]] += 90
    return worst


def test_too_few_images_are_no_reliability() -> None:
    assert np.isnan(scored(drawn(1.0, 0, images=3), [True] * 16)[1])


def test_a_task_of_two_images_can_be_read_from_how_their_codes_differ() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 300, 2, 2, 2)).astype(np.float32)
    same = rng.random(300) < 0.5
    second = np.where(same[:, None, None, None], first + 0.1 * second, second)
    labels = np.stack([same, ~same], 1)[:, None]
    train, test = np.arange(200), np.arange(200, 300)
    assert errors([first, second], wanted(labels, spatial=False), train, test)[0].mean() < 0.1  # a constant has 0.25
