"""Win rates and AHP: what must hold for any losses, with numpy's eigenvectors and plain loops as oracles."""

import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taskonomy.affinity import ahp
from taskonomy.affinity import win_rates as wins
from taskonomy.affinity.bootstrap import best_of_order, resampled_affinities
from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.affinity.win_rates import win_rate_against, win_rates
from taskonomy.errors import TaskonomyError

# Halves and quarters: sums are exact, ties are frequent.
some_losses = st.tuples(st.integers(2, 6), st.integers(2, 30)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 12).map(lambda value: value / 4))
)


def names(losses: np.ndarray) -> list[str]:
    return [f"s{number}" for number in range(len(losses))]


def rates(losses: np.ndarray) -> np.ndarray:
    return win_rates(losses, "target", names(losses))


def random_losses(seed: int, candidates: int = 8, images: int = 500) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(size=(candidates, images)) + 0.5 * rng.normal(size=(candidates, 1)) + rng.normal(size=images))


@given(some_losses)
@settings(max_examples=60, deadline=None)
def test_win_rates_count_strict_wins_and_half_of_ties(losses: np.ndarray) -> None:
    expected = [[np.mean([1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(one, other, strict=True)]) for other in losses] for one in losses]
    found = rates(losses)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(found + found.T, 1.0)
    np.testing.assert_array_equal(np.diag(found), 0.5)
    np.testing.assert_array_equal(win_rate_against(losses, losses[0], "target", names(losses)), found[:, 0])


@given(some_losses, st.sampled_from([np.exp, np.cbrt, lambda x: x**3 + x, lambda x: -1 / (1 + x), lambda x: 1e6 * x + 3]))
@settings(max_examples=60, deadline=None)
def test_affinities_are_unchanged_by_any_monotone_rescaling_of_losses(losses: np.ndarray, rescale: Any) -> None:
    np.testing.assert_array_equal(ahp.affinities(rates(losses), losses.shape[1]), ahp.affinities(rates(rescale(losses)), losses.shape[1]))


def test_the_linear_normalisation_is_changed_by_a_monotone_rescaling() -> None:
    losses = random_losses(0)
    before, after = (ahp.linear(values.mean(axis=1)) for values in (losses, losses**3))
    assert np.abs(before - after).max() > 0.01


@given(some_losses, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_permuting_candidates_permutes_affinities(losses: np.ndarray, random: Any) -> None:
    order = list(range(len(losses)))
    random.shuffle(order)
    np.testing.assert_allclose(
        ahp.affinities(rates(losses[order]), losses.shape[1]), ahp.affinities(rates(losses), losses.shape[1])[order], rtol=1e-12
    )


@given(some_losses, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_a_dominated_candidate_never_outranks_its_dominator(losses: np.ndarray, margin: int) -> None:
    losses = np.vstack([losses, losses[0] + margin / 4])  # the last is worse than the first on every image
    affinity = ahp.affinities(rates(losses), losses.shape[1])
    assert affinity[-1] <= affinity[0] * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_eigenvector_is_the_one_numpy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = random_losses(seed, candidates=int(rng.integers(2, 40)), images=60)
    values, vectors = np.linalg.eig(ahp.odds(rates(losses), losses.shape[1]))
    principal = vectors[:, values.real.argmax()].real
    found = ahp.affinities(rates(losses), losses.shape[1])
    np.testing.assert_allclose(found, principal / principal.sum(), rtol=1e-9)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found > 0).all()


def test_odds_stay_finite_when_one_candidate_always_wins() -> None:
    losses = np.stack([np.zeros(10), np.ones(10)])
    odds = ahp.odds(rates(losses), losses.shape[1])
    assert odds[0, 1] == pytest.approx(11)  # Laplace: who wins 10 of 10 wins the next with probability 11 / 12
    assert ahp.affinities(rates(losses), losses.shape[1]) == pytest.approx([11 / 12, 1 / 12])


@pytest.mark.parametrize("images", [2, 10, 156, 900])
def test_one_more_image_won_never_multiplies_the_odds_as_a_fixed_bound_would(images: int) -> None:
    """From one lost image to none, the odds n - 1 become n + 1; the paper's bound would make them 999."""
    at = [np.array([[0.5, won / images], [1 - won / images, 0.5]]) for won in (images - 1, images)]
    odds = [ahp.odds(one, images)[0, 1] for one in at]
    assert odds == pytest.approx([images - 1, images + 1])


def test_with_as_many_images_as_the_paper_the_bounds_are_the_papers() -> None:
    assert ahp.lowest_rate(17_000) == 0.001
    assert ahp.odds(np.array([[0.5, 1.0], [0.0, 0.5]]), 17_000)[0, 1] == pytest.approx(999)


def test_intervals_over_buildings_are_those_of_resampled_buildings_and_wider_than_over_images() -> None:
    """All images of a building are alike here, so five buildings are five observations, however many images there are."""
    rng = np.random.default_rng(11)
    each = rng.random((4, 5))
    losses, groups = np.repeat(each, 40, axis=1), np.repeat(list("vwxyz"), 40)
    fast = resampled_affinities(losses, "target", names(losses), 3000, np.random.default_rng(0), groups=groups)
    plain = np.array([ahp.affinities(rates(np.repeat(each[:, rng.integers(0, 5, 5)], 40, axis=1)), 200) for _ in range(3000)])
    np.testing.assert_allclose(fast.mean(axis=0), plain.mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(fast.std(axis=0), plain.std(axis=0), rtol=0.1)
    images = resampled_affinities(losses, "target", names(losses), 3000, np.random.default_rng(0))
    assert (fast.std(axis=0) > 3 * images.std(axis=0)).all()


def test_buildings_of_different_sizes_keep_their_images_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskonomy.affinity.win_rates.BLOCK", 7)
    monkeypatch.setattr("taskonomy.affinity.bootstrap.BLOCK", 7)
    sizes, rng = [1, 30, 4], np.random.default_rng(2)
    losses, groups = rng.random((3, 35)), np.repeat(["a", "b", "c"], sizes)
    fast = resampled_affinities(losses, "target", names(losses), 400, np.random.default_rng(3), groups=groups)
    apart = [losses[:, groups == name] for name in "abc"]
    every = [ahp.affinities(rates(np.hstack(drawn)), 35) for drawn in product(apart, repeat=3)]
    assert {tuple(one.round(9)) for one in fast} <= {tuple(one.round(9)) for one in every}
    assert len({tuple(one.round(9)) for one in fast}) == 10  # multisets of three out of three buildings


def test_consistent_odds_have_consistency_ratio_zero_and_a_cycle_does_not() -> None:
    score = np.array([1.0, 2.0, 5.0, 9.0])
    consistent = score[:, None] / (score[:, None] + score)
    assert ahp.consistency_ratio(consistent, 20_000) == pytest.approx(0, abs=1e-12)
    assert ahp.affinities(consistent, 20_000) == pytest.approx(score / score.sum())
    cycle = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
    assert ahp.consistency_ratio(cycle, 20_000) > 1
    assert ahp.affinities(cycle, 20_000) == pytest.approx(np.full(3, 1 / 3))


def test_blocks_of_images_do_not_change_win_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = random_losses(3, images=1001)
    whole = rates(losses)
    monkeypatch.setattr(wins, "BLOCK", 64)
    np.testing.assert_array_equal(rates(losses), whole)


def test_the_bootstrap_agrees_with_resampling_image_by_image() -> None:
    """Same distribution as the plain bootstrap: compare the spread of the affinities, drawn independently."""
    losses = random_losses(4, candidates=5, images=300)
    fast = resampled_affinities(losses, "target", names(losses), 2000, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    plain = np.array([ahp.affinities(rates(losses[:, rng.integers(0, 300, 300)]), 300) for _ in range(2000)])
    np.testing.assert_allclose(fast.mean(axis=0), plain.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(fast.std(axis=0), plain.std(axis=0), rtol=0.08)


def test_every_resample_draws_as_many_images_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one candidate always ahead on half of the images and behind on the rest, the win counts reveal the number drawn."""
    monkeypatch.setattr("taskonomy.affinity.win_rates.BLOCK", 50)
    monkeypatch.setattr("taskonomy.affinity.bootstrap.BLOCK", 50)
    losses = np.zeros((2, 240))
    losses[0, 120:] = 2
    losses[1] = 1
    drawn = resampled_affinities(losses, "target", names(losses), 500, np.random.default_rng(0))
    share = drawn[:, 0]  # for two candidates the affinity is the clipped win rate itself
    assert np.allclose(share * 240, np.round(share * 240), atol=1e-9)
    assert share.std() == pytest.approx(0.5 / np.sqrt(240), rel=0.15)


def test_intervals_hold_the_affinity_and_narrow_with_more_images() -> None:
    widths = []
    for images in (200, 3200):
        data = Losses("target", [f"s{n}" for n in range(6)], random_losses(5, candidates=6, images=images))
        rows = measure(data, resamples=400).rows
        assert ((rows["low"] <= rows["affinity"]) & (rows["affinity"] <= rows["high"])).all()
        widths.append(float((rows["high"] - rows["low"]).mean()))
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)


def test_the_best_of_each_order_is_counted_among_its_order_and_ties_are_shared() -> None:
    drawn = np.array([[0.5, 0.3, 0.1, 0.1], [0.2, 0.4, 0.3, 0.1]])
    assert best_of_order(drawn, np.array([1, 1, 2, 2])).tolist() == [0.5, 0.5, 0.75, 0.25]


def test_every_rate_is_against_the_baseline_that_its_column_names() -> None:
    losses = random_losses(6, candidates=3, images=400)
    scratch = losses.mean(axis=0)
    pixels, average = scratch + 0.1, scratch + 0.2
    rows = measure(Losses("target", ["a", "a+b", "self"], losses, scratch, pixels, average), resamples=0).rows
    for name, baseline in (("gain", pixels), ("gain_scratch", scratch), ("beats_constant", average)):
        assert rows[name].tolist() == [np.mean(row < baseline) for row in losses]
    assert "gain" not in measure(Losses("target", ["a", "a+b", "self"], losses, scratch), resamples=0).rows
    assert rows["quality"].tolist() == [np.mean(losses[0] < losses[2]), np.mean(losses[1] < losses[2]), 0.5]


def test_the_same_losses_give_the_same_bits_and_another_seed_other_intervals() -> None:
    data = Losses("target", ["a", "b", "c"], random_losses(7, candidates=3))
    one, again, other = (measure(data, resamples=50, seed=seed).rows for seed in (0, 0, 1))
    assert one.equals(again)
    assert not one["low"].equals(other["low"])
    linear = measure(data, resamples=50, normalization=Normalization.LINEAR)
    assert linear.consistency_ratio is None
    assert linear.rows["affinity"].sum() == pytest.approx(1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_named(bad: float) -> None:
    losses = random_losses(8, candidates=3, images=5000)
    losses[1, 4321] = bad
    with pytest.raises(TaskonomyError, match="target normal, candidate b: the loss of image 4321 is"):
        measure(Losses("normal", ["a", "b", "c"], losses))


def test_too_few_images_and_duplicate_candidates_are_refused() -> None:
    with pytest.raises(TaskonomyError, match="target normal: win rates need at least 2 images"):
        measure(Losses("normal", ["a", "b"], np.zeros((2, 1))))
    with pytest.raises(TaskonomyError, match="target normal, candidate b\\+a: stands twice"):
        Losses("normal", ["a+b", "b+a"], np.zeros((2, 5)))


def test_a_near_copy_reverses_ranks_as_the_documentation_says() -> None:
    """Its numbers against eigenvectors of LAPACK, on win rates counted image by image; and against those of the project."""
    text = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    orders = [order.split() for count, order in re.findall(r"^    (\d+) images? +([a-z](?: [a-z])+)$", text, re.MULTILINE) for _ in range(int(count))]
    written = [list(map(float, numbers.split())) for numbers in re.findall(r"^    affinities of [a-d, ]+?  +([\d. ]+)$", text, re.MULTILINE)]
    assert len(orders) == 10
    assert [len(numbers) for numbers in written] == [3, 4]
    with_copy = [[one for name in order for one in (("cd" if place % 2 else "dc") if name == "c" else name)] for place, order in enumerate(orders)]
    for given_names, images, numbers in (("abc", orders, written[0]), ("abcd", with_copy, written[1])):
        losses = np.array([[float(order.index(name)) for order in images] for name in given_names])
        lower = np.array([[np.mean(one < other) if one is not other else 0.5 for other in losses] for one in losses])
        odds = np.clip(lower, 1 / 12, 11 / 12) / np.clip(lower.T, 1 / 12, 11 / 12)
        values, vectors = np.linalg.eig(odds)
        leading = np.abs(vectors[:, values.real.argmax()].real)
        assert (leading / leading.sum()).round(3).tolist() == numbers
        assert ahp.affinities(win_rates(losses, "t", list(given_names)), losses.shape[1]).round(3).tolist() == numbers
    assert written[0][0] > written[0][1]
    assert written[1][0] < written[1][1]
