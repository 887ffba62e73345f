"""Curves of loss by labelled images: what is fitted, what is predicted, and what is not."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from taskonomy.advice.curves import FURTHEST, LabelCurve, coverage, curves
from taskonomy.advice.power_law import fit
from taskonomy.errors import TaskonomyError

AMOUNTS = np.array([125.0, 250, 500, 1000, 2000])


def law(images: float, floor: float = 0.2, scale: float = 0.5, exponent: float = 0.6) -> float:
    return float(floor + scale * (images / 125) ** -exponent)


def losses(ways: dict[str, dict[float, float]], noise: float = 0.0, buildings: int = 10, seed: int = 0) -> pd.DataFrame:
    """Losses of one target in some buildings: some are harder than others, for all ways and amounts alike."""
    rng = np.random.default_rng(seed)
    harder = np.exp(0.1 * rng.standard_normal(buildings))
    rows = []
    for sources, by_amount in ways.items():
        for images, loss in by_amount.items():
            trained = loss * np.exp(noise * rng.standard_normal())
            rows += [("t", sources, images, f"b{place}", 20, trained * factor) for place, factor in enumerate(harder)]
    return pd.DataFrame(rows, columns=["target", "sources", "images", "building", "tests", "loss"])


@pytest.mark.parametrize("seed", range(5))
def test_the_law_is_fitted_as_a_general_optimiser_fits_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = np.array([[law(one) for one in AMOUNTS]]) * np.exp(0.02 * rng.standard_normal((1, 5)))
    ours = fit(AMOUNTS, measured)

    def off(values: np.ndarray) -> np.ndarray:
        return (values[0] + values[1] * (AMOUNTS / 2000) ** -values[2]) / measured[0] - 1

    theirs = min((least_squares(off, [0.1, 0.1, start], bounds=([0, 0, 0.05], [9, 9, 3])) for start in (0.2, 0.5, 1.0)), key=lambda one: one.cost)
    assert (ours.residuals**2).sum() / 2 <= theirs.cost * 1.02 + 1e-9
    assert ours.at(4000)[0] == pytest.approx(theirs.x[0] + theirs.x[1] * 2 ** -theirs.x[2], rel=0.01)


def test_points_of_a_law_predict_four_times_their_largest_amount() -> None:
    (curve,) = curves(losses({"s": {one: law(one) for one in AMOUNTS}}))
    harder = curve.losses[0, 0] / law(125)
    assert curve.at(8000).value == pytest.approx(harder * law(8000), rel=0.005)
    with pytest.raises(ValueError, match="no prediction for 8001"):
        curve.at(FURTHEST * 2000 + 1)


def test_two_amounts_bound_the_loss_and_do_not_predict_it() -> None:
    (curve,) = curves(losses({"s": {one: law(one) for one in AMOUNTS[:2]}}))
    assert not curve.fitted
    assert curve.why_not == "2 amounts (125, 250) tell how steep the loss falls, not where it stops; a third is needed"
    bounds = curve.at(1000)
    assert np.isnan(bounds.value)
    assert bounds.low <= curve.losses[0, 0] / law(125) * law(1000) <= bounds.high == curve.losses[0, -1]
    (one,) = curves(losses({"s": {125.0: 1.0}}))
    assert one.why_not == "1 amount (125) tells nothing about more images; a second and a third are needed"


def test_networks_trained_on_all_images_are_no_points_of_a_curve() -> None:
    assert [one.images.tolist() for one in curves(losses({"self": {125.0: 1.0, np.nan: 0.5}}))] == [[125.0]]


def test_intervals_hold_what_was_hidden_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    found: list[LabelCurve] = []
    for seed in range(40):
        shapes = [(rng.uniform(0, 0.3), rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)) for _ in range(6)]
        ways = {f"s{place}": {one: law(one, *shape) for one in AMOUNTS} for place, shape in enumerate(shapes)}
        found += curves(losses(ways, noise=0.02, seed=seed).assign(target=f"t{seed}"), draws=300)
    hidden = coverage(found)
    assert len(hidden) == 240
    assert 0.83 <= hidden["within"].mean() <= 0.97
    exact = coverage([one for one in found if one.target == "t0"])["measured"].tolist()
    assert exact == [one.losses[0, -1] for one in found if one.target == "t0"]


def test_an_interval_is_wider_the_further_it_is_predicted_and_the_noisier_training_is() -> None:
    widths = {}
    for noise in (0.005, 0.05):
        ways = {f"s{place}": {one: law(one) for one in AMOUNTS} for place in range(8)}
        found = curves(losses(ways, noise=noise), draws=300)
        for images in (2000, 8000):
            each = [one.at(images) for one in found]
            widths[noise, images] = float(np.mean([one.high - one.low for one in each]))
    assert widths[0.005, 2000] < widths[0.05, 2000] < widths[0.05, 8000]
    assert widths[0.005, 8000] < widths[0.05, 8000]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="tests"), "missing columns: tests"),
        (lambda table: table.assign(loss=0.0), "images, tests and loss must be numbers > 0"),
        (lambda table: table.drop(index=3), "s -> t: losses are missing for some buildings"),
    ],
)
def test_wrong_losses_are_one_line(change: object, said: str) -> None:
    with pytest.raises(TaskonomyError, match=f"^l.csv: {said}"):
        curves(change(losses({"s": {125.0: 1.0, 250.0: 0.9}})), "l.csv")  # type: ignore[operator]
