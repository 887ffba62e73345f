"""Intervals of gain and quality, against win rates computed image by image with buildings left out, and against many draws of buildings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from taskonomy.affinity.by_building import by_building, mean_losses
from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.jackknife import Buildings, jackknife
from taskonomy.tasks import BUILT_IN

TARGETS = ("normal", "camera_pose_fixated")
CANDIDATES = ("normal", "reshading", "normal+reshading", "self")
POLICY = [("normal", ("reshading",)), ("camera_pose_fixated", ("normal", "reshading"))]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Losses of two targets on 5 buildings of different sizes; one of pairs, which fewer views have; buildings differ in how hard they are."""
    rng = np.random.default_rng(0)
    rows = [(f"b{number:02}", view) for number in range(5) for view in range(3 + 2 * number)]
    split = ["test_policy"] * len(rows) + ["test_affinity"] * 6
    rows += [("c", view) for view in range(6)]
    index = pd.DataFrame(rows, columns=["building", "view"]).assign(point=0, split=split)
    (tmp_path / "prepared/tasks/camera_pose_fixated").mkdir(parents=True)
    index[["building", "point", "view", "split"]].to_csv(tmp_path / "prepared/index.csv", index=False)
    pairs = np.array([(row, row + 1) for row in range(len(rows) - 1) if rows[row][0] == rows[row + 1][0]])
    np.save(tmp_path / "prepared/tasks/camera_pose_fixated/samples.npy", pairs)
    for target in TARGETS:
        first = pairs[:, 0] if BUILT_IN[target].group else np.arange(len(rows))
        for half in ("test_policy", "test_affinity"):
            here = [row for row in first if split[row] == half]
            hard = np.array([hash_of(rows[row][0]) for row in here])
            losses = (rng.gamma(2, 1, (len(CANDIDATES), len(here))) * (1 + hard)).round(1).astype(np.float32)
            (tmp_path / "transfers" / target).mkdir(parents=True, exist_ok=True)
            scratch = rng.gamma(2, 1.3, len(here)).round(1).astype(np.float32)
            pixels = rng.gamma(2, 1.1, len(here)).round(1).astype(np.float32)
            np.savez(tmp_path / f"transfers/{target}/{half}.npz", losses=losses, candidates=np.array(CANDIDATES), scratch=scratch, pixels=pixels)
    return tmp_path


def hash_of(building: str) -> float:
    return (int(building[1:] or 9) * 7 % 5) / 5


def raw(run: Path, target: str, measure: str, sources: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """Of each held-out image of a target: 1 where the transfer wins, 0.5 at a tie; and its building."""
    arrays = np.load(run / f"transfers/{target}/test_policy.npz")
    own = arrays["losses"][CANDIDATES.index("+".join(sources))]
    other = {"gain": arrays["pixels"], "gain_scratch": arrays["scratch"], "quality": arrays["losses"][CANDIDATES.index("self")]}[measure]
    index = pd.read_csv(run / "prepared/index.csv")
    several = BUILT_IN[target].group is not None
    first = np.load(run / f"prepared/tasks/{target}/samples.npy")[:, 0] if several else np.arange(len(index))
    where = [index["building"][row] for row in first if index["split"][row] == "test_policy"]
    assert len(where) == len(own)
    return np.array([1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(own, other, strict=True)]), where


@pytest.mark.parametrize("measure", ["gain", "gain_scratch", "quality"])
def test_the_interval_is_the_jackknife_over_buildings_of_the_raw_losses(run: Path, measure: str) -> None:
    found = Buildings(by_building(run / "transfers", TARGETS, run / "prepared"), 0.9).interval(POLICY, measure)
    assert found is not None
    outcomes = [raw(run, target, measure, sources) for target, sources in POLICY]
    names = sorted({name for _wins, where in outcomes for name in where})
    assert len(names) == 5
    without = [np.mean([np.mean([w for w, b in zip(wins, where, strict=True) if b != name]) for wins, where in outcomes]) for name in names]
    value = np.mean([wins.mean() for wins, _where in outcomes])
    reach = stats.t.ppf(0.95, 4) * np.sqrt(4 / 5 * sum((one - np.mean(without)) ** 2 for one in without))
    assert (found.value, found.low, found.high) == pytest.approx((value, max(0, value - reach), min(1, value + reach)))
    assert found.low < found.value < found.high


def test_the_rates_of_buildings_add_up_to_those_of_all_images(run: Path) -> None:
    table = by_building(run / "transfers", TARGETS, run / "prepared")
    assert len(table) == len(TARGETS) * len(CANDIDATES) * 5
    for (target, sources), rows in table.groupby(["target", "sources"]):
        for measure in ("gain", "quality"):
            wins, _where = raw(run, str(target), measure, tuple(str(sources).split("+")))
            assert (rows["images"] * rows[measure]).sum() == pytest.approx(wins.sum())


def test_a_win_rate_of_buildings_that_differ_is_covered_as_often_as_the_interval_says() -> None:
    """7 buildings of 36 images, as in the default world. Taking images for independent, an interval of 95 % would hold the true rate 3 times of 4."""
    rng, true, naive, ours = np.random.default_rng(0), 0.7, [], []
    for _draw in range(1500):
        rates = np.clip(rng.normal(true, 0.1, 7), 0, 1)
        shares = rng.binomial(36, rates) / 36
        value = float(shares.mean())
        left_out = (shares.sum() - shares) / 6
        low, high = jackknife(value, left_out, 0.95)
        ours.append(low <= true <= high)
        naive.append(abs(value - true) <= 1.96 * np.sqrt(value * (1 - value) / 252))
    assert 0.93 < np.mean(ours) < 0.97
    assert np.mean(naive) < 0.85


def test_one_building_has_no_interval_and_an_unmeasured_transfer_is_named(run: Path) -> None:
    table = by_building(run / "transfers", TARGETS, run / "prepared")
    alone = Buildings(table[table["building"] == "b01"], 0.95).interval(POLICY, "gain")
    assert alone is not None
    assert np.isnan([alone.low, alone.high]).all()
    assert 0 <= alone.value <= 1
    with pytest.raises(TaskonomyError, match=r"not measured on the held-out images: jigsaw -> normal"):
        Buildings(table, 0.95).interval([("normal", ("jigsaw",))], "gain")


def test_losses_of_other_images_than_the_prepared_ones_are_named(run: Path) -> None:
    index = pd.read_csv(run / "prepared/index.csv")
    index.iloc[1:].to_csv(run / "prepared/index.csv", index=False)
    with pytest.raises(TaskonomyError, match="normal: losses of 35 images, not of the 34 of"):
        by_building(run / "transfers", ("normal",), run / "prepared")


def test_mean_losses_are_those_of_the_images_that_affinities_are_measured_on(run: Path) -> None:
    found = mean_losses(run / "transfers", TARGETS).set_index(["target", "sources"])["loss"]
    for target in TARGETS:
        arrays = np.load(run / f"transfers/{target}/test_affinity.npz")
        for name, losses in zip((*CANDIDATES, "scratch", "pixels"), [*arrays["losses"], arrays["scratch"], arrays["pixels"]], strict=True):
            assert found[target, name] == pytest.approx(losses.astype(float).mean())
    assert len(found) == len(TARGETS) * (len(CANDIDATES) + 2)
