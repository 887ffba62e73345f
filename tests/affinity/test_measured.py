"""From measured losses to tables, against computations written here."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from taskonomy.affinity.from_run import affinity_tables, network_losses
from taskonomy.config.params import NormalizeParams
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import parse_table, write_table

IMAGES = {"test_affinity": 40, "test_policy": 31}
CANDIDATES = ("a", "b", "random_projection", "a+b", "self")


def params(**changes: object) -> NormalizeParams:
    return NormalizeParams(**({"method": "ahp", "resamples": 30, "confidence": 0.9, "seed": 0} | changes))  # type: ignore[arg-type]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Losses of two targets, in which later candidates are better by and large."""
    rng = np.random.default_rng(0)
    for target in ("normal", "reshading"):
        for split, images in IMAGES.items():
            skill = np.linspace(1, 0.4, len(CANDIDATES))[:, None]
            losses = (skill * rng.gamma(2, 1, (len(CANDIDATES), images))).round(1).astype(np.float32)  # rounded: there are ties
            (tmp_path / "transfers" / target).mkdir(parents=True, exist_ok=True)
            scratch = rng.gamma(2, 0.8, images).round(1).astype(np.float32)
            others = {"scratch": scratch, "pixels": scratch * 1.1, "average": scratch + 1}
            np.savez(tmp_path / f"transfers/{target}/{split}.npz", losses=losses, candidates=np.array(CANDIDATES), **others)
            (tmp_path / "models" / target).mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / f"models/{target}/{split}.npz", self=losses[-1], average=scratch + 1)
    (tmp_path / "models/random_projection").mkdir()
    return tmp_path


def wins(row: np.ndarray, other: np.ndarray) -> float:
    """Share of images with the lower loss, ties by half, one image at a time."""
    return sum(1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(row.tolist(), other.tolist(), strict=True)) / len(row)


def by_hand(losses: np.ndarray) -> np.ndarray:
    """The paper's section 3.3: win rates, clipped, made odds; the principal eigenvector by LAPACK, scaled to sum 1."""
    lowest = 1 / (losses.shape[1] + 2)
    rates = np.array([[wins(row, other) for other in losses] for row in losses]).clip(lowest, 1 - lowest)
    values, vectors = np.linalg.eig(rates / rates.T)
    vector = np.abs(vectors[:, values.real.argmax()].real)
    return vector / vector.sum()


def of(table: pd.DataFrame, target: str) -> pd.DataFrame:
    rows = table[table["target"] == target]
    return rows.set_index(rows["sources"].map("+".join))


@pytest.mark.parametrize("target", ["normal", "reshading"])
def test_affinity_gain_and_quality_are_those_computed_from_the_raw_losses(measured: Path, target: str) -> None:
    table, held_out, _facts = affinity_tables(measured / "transfers", ["normal", "reshading"], params())
    halves = {split: np.load(measured / f"transfers/{target}/{split}.npz") for split in IMAGES}
    ours, other = of(table, target), of(held_out, target)
    assert list(ours.index) == list(other.index) == list(CANDIDATES)
    np.testing.assert_allclose(ours["affinity"], by_hand(halves["test_affinity"]["losses"]), rtol=1e-9)
    # The held-out half has its own gain and quality; its affinities stay those that policies are chosen by.
    np.testing.assert_array_equal(ours["affinity"], other["affinity"])
    for rows, split in ((ours, "test_affinity"), (other, "test_policy")):
        losses = halves[split]["losses"]
        for name, baseline in (("gain", "pixels"), ("gain_scratch", "scratch"), ("beats_constant", "average")):
            np.testing.assert_allclose(rows[name], [wins(row, halves[split][baseline]) for row in losses])
        np.testing.assert_allclose(rows["quality"], [wins(row, losses[-1]) for row in losses])
    assert (ours["low"] <= ours["affinity"]).all()
    assert (ours["affinity"] <= ours["high"]).all()
    assert "low" not in other or other["low"].isna().all()


def test_halves_of_the_test_images_are_compared_by_the_ranks_of_single_sources_without_own_and_random(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    candidates = ["normal", "reshading", "edge_texture", "class_scene", "keypoints2d", "random_projection", "normal+reshading", "self"]
    for target in candidates[:2]:
        (tmp_path / target).mkdir()
        for split, images in IMAGES.items():
            losses = rng.gamma(2, rng.uniform(0.5, 2, (len(candidates), 1)), (len(candidates), images)).astype(np.float32)
            np.savez(tmp_path / f"{target}/{split}.npz", losses=losses, candidates=np.array(candidates), pixels=losses.mean(0))
    rhos = []
    for target, kept in (("normal", [1, 2, 3, 4]), ("reshading", [0, 2, 3, 4])):
        halves = [np.load(tmp_path / f"{target}/{split}.npz") for split in IMAGES]
        affinity = [by_hand(half["losses"])[kept] for half in halves]
        gain = [[wins(row, half["pixels"]) for row in half["losses"][kept]] for half in halves]
        rhos.append([spearmanr(*affinity).statistic, spearmanr(*gain).statistic])
    facts = affinity_tables(tmp_path, candidates[:2], params())[2]
    assert list(facts["split_halves"].values()) == pytest.approx(np.mean(rhos, 0))


def test_of_two_sources_the_halves_say_nothing(measured: Path) -> None:
    assert "split_halves" not in affinity_tables(measured / "transfers", ["normal", "reshading"], params())[2]


@pytest.fixture
def variants(measured: Path) -> Path:
    """Losses of other transfers to one of the targets."""
    rng = np.random.default_rng(1)
    (measured / "variants/normal").mkdir(parents=True)
    for split, images in IMAGES.items():
        losses = (0.5 * rng.gamma(2, 1, (2, images))).round(1).astype(np.float32)
        np.savez(measured / f"variants/normal/{split}.npz", losses=losses, candidates=np.array(["a>b", "a@0.02"]))
    return measured / "variants"


def test_transitive_and_fine_tuned_transfers_compete_with_all_others_to_their_target(measured: Path, variants: Path) -> None:
    targets = ["normal", "reshading"]
    table, held_out, facts = affinity_tables(measured / "transfers", targets, params(), variants)
    ours, other = of(table, "normal"), of(held_out, "normal")
    assert list(ours.index) == list(other.index) == [*CANDIDATES, "a>b", "a@0.02"]
    both = {half: [np.load(folder / f"normal/{half}.npz") for folder in (measured / "transfers", variants)] for half in IMAGES}
    losses = {half: np.concatenate([one["losses"] for one in arrays]) for half, arrays in both.items()}
    np.testing.assert_allclose(ours["affinity"], by_hand(losses["test_affinity"]), rtol=1e-9)
    np.testing.assert_array_equal(ours["affinity"], other["affinity"])
    for rows, half in ((ours, "test_affinity"), (other, "test_policy")):
        np.testing.assert_allclose(rows["gain"], [wins(row, both[half][0]["pixels"]) for row in losses[half]])
        np.testing.assert_allclose(rows["quality"], [wins(row, losses[half][len(CANDIDATES) - 1]) for row in losses[half]])
    assert facts["transfers"] == {"order_1": 6 + 2, "order_2": 2}
    # The other target has none: its rows are what they were, to the last bit.
    alone = affinity_tables(measured / "transfers", targets, params())[0]
    pd.testing.assert_frame_equal(of(table, "reshading"), of(alone, "reshading"), check_exact=True)


def test_without_other_transfers_every_table_is_what_it_was_to_the_last_byte(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "variants").mkdir()
    written = []
    for folders in ((), (tmp_path / "variants",)):
        table, held_out, facts = affinity_tables(measured / "transfers", ["normal", "reshading"], params(), *folders)
        for name, one in (("t.csv", table), ("h.csv", held_out)):
            write_table(tmp_path / name, one)
        written.append(((tmp_path / "t.csv").read_bytes(), (tmp_path / "h.csv").read_bytes(), facts))
    assert written[0] == written[1]


def test_other_transfers_on_other_images_are_named(measured: Path, variants: Path) -> None:
    path = variants / "normal/test_policy.npz"
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"losses": arrays["losses"][:, 1:]}))
    with pytest.raises(TaskonomyError, match=r"variants/normal/test_policy\.npz: losses of 30 images, not of the 31 of .*; run `variants`"):
        affinity_tables(measured / "transfers", ["normal"], params(resamples=0), variants)


def test_the_facts_count_transfers_by_order_and_leave_self_out(measured: Path) -> None:
    _table, _held_out, facts = affinity_tables(measured / "transfers", ["normal", "reshading"], params(resamples=0))
    assert facts["transfers"] == {"order_1": 6, "order_2": 2}
    assert facts["worst_consistency_ratio"] >= 0


def test_the_linear_way_scales_mean_losses_and_ranks_otherwise(measured: Path) -> None:
    path = measured / "transfers/normal/test_affinity.npz"
    arrays = dict(np.load(path))
    arrays["losses"][0, 0] = 1000.0  # one outlier: the mean of `a` is the worst by far, its wins are what they were
    np.savez(path, **arrays)
    ahp = of(affinity_tables(measured / "transfers", ["normal"], params(resamples=0))[0], "normal")["affinity"].to_numpy()
    table, held_out, facts = affinity_tables(measured / "transfers", ["normal"], params(method="linear", resamples=0))
    linear = of(table, "normal")["affinity"].to_numpy()
    means = arrays["losses"].mean(axis=1, dtype=float)
    score = (means.max() - means) / (means.max() - means.min())
    np.testing.assert_allclose(linear, score / score.sum(), rtol=1e-6)
    np.testing.assert_allclose(ahp, by_hand(arrays["losses"]), rtol=1e-9)
    assert linear[0] == 0
    assert not np.allclose(linear, ahp, rtol=0.1)
    np.testing.assert_array_equal(of(held_out, "normal")["affinity"], linear)
    assert facts["worst_consistency_ratio"] is None


def test_tables_are_read_back_as_they_are_and_targets_do_not_depend_on_each_other(measured: Path, tmp_path: Path) -> None:
    both = affinity_tables(measured / "transfers", ["normal", "reshading"], params())
    alone = affinity_tables(measured / "transfers", ["reshading"], params())
    for one, other in zip(both[:2], alone[:2], strict=True):
        pd.testing.assert_frame_equal(one[one["target"] == "reshading"].reset_index(drop=True), other)
        write_table(tmp_path / "t.csv", one)
        read = parse_table((tmp_path / "t.csv").read_text(), "t.csv")
        pd.testing.assert_frame_equal(read[one.columns], one, check_exact=True, check_dtype=False)


@pytest.mark.parametrize("split", IMAGES)
@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_losses_that_cannot_be_read_are_named(measured: Path, split: str, damage: bytes | None) -> None:
    for folder in ("transfers", "models"):
        path = measured / folder / "reshading" / f"{split}.npz"
        path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    with pytest.raises(TaskonomyError, match=rf"transfers/reshading/{split}\.npz: not a readable"):
        affinity_tables(measured / "transfers", ["normal", "reshading"], params(resamples=0))
    with pytest.raises(TaskonomyError, match=rf"models/reshading/{split}\.npz: not readable losses"):
        network_losses(measured / "models", measured / "transfers", ["normal", "reshading"], ["normal"])


def test_a_loss_that_is_not_finite_names_target_candidate_and_image(measured: Path) -> None:
    path = measured / "transfers/reshading/test_policy.npz"
    arrays = dict(np.load(path))
    arrays["losses"][1, 7] = np.nan
    np.savez(path, **arrays)
    with pytest.raises(TaskonomyError, match=re.escape("target reshading, candidate b: the loss of image 7 is nan")):
        affinity_tables(measured / "transfers", ["normal", "reshading"], params(resamples=0))


def test_the_halves_must_hold_the_same_candidates(measured: Path) -> None:
    path = measured / "transfers/normal/test_policy.npz"
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"candidates": arrays["candidates"][[1, 0, 2, 3, 4]]}))
    with pytest.raises(TaskonomyError, match=r"transfers/normal: other candidates in test_policy\.npz"):
        affinity_tables(measured / "transfers", ["normal"], params(resamples=0))


def test_network_losses_are_of_all_test_images_with_the_random_readout_of_targets(measured: Path) -> None:
    found = network_losses(measured / "models", measured / "transfers", ["normal", "reshading", "random_projection"], ["normal"])
    assert set(found) == {"normal", "reshading"}
    for task, (own, average, random, pixels, scratch) in found.items():
        kept = [np.load(measured / f"models/{task}/{split}.npz") for split in IMAGES]
        np.testing.assert_array_equal(own, np.concatenate([one["self"] for one in kept]))
        np.testing.assert_array_equal(average, np.concatenate([one["average"] for one in kept]))
        assert all((one is None) == (task == "reshading") for one in (random, pixels, scratch))
    both = [np.load(measured / f"transfers/normal/{split}.npz")["losses"][2] for split in IMAGES]
    np.testing.assert_array_equal(found["normal"][2], np.concatenate(both))


def test_transfers_that_lose_to_the_constant_are_counted(measured: Path) -> None:
    """Of single trained sources: neither the random one, nor several, nor the target's own network."""
    expected = {"transfers": 0, "of": 0, "targets": 0}
    for number, target in enumerate(("normal", "reshading")):
        path = measured / f"transfers/{target}/test_affinity.npz"
        arrays = dict(np.load(path))
        arrays["average"] = (arrays["losses"][:2].mean(axis=0) + number).astype(np.float32)
        np.savez(path, **arrays)
        rates = [wins(row, arrays["average"]) for row in arrays["losses"][:2]]
        expected["transfers"] += sum(rate < 0.5 for rate in rates)
        expected["of"] += 2
        expected["targets"] += min(rates) < 0.5
    facts = affinity_tables(measured / "transfers", ["normal", "reshading"], params(resamples=0))[2]
    assert facts["worse_than_constant"] == expected
    assert 1 <= expected["transfers"] < 4


def test_intervals_of_a_run_are_over_its_buildings(measured: Path) -> None:
    """One building says nothing of others, so there is no interval; many buildings of one image each are as good as images."""
    rows = [(split, number) for split, images in IMAGES.items() for number in range(images)]
    (measured / "prepared").mkdir()
    wide = []
    for several in (False, True):
        names = [f"b{number}" if several else "b" for _split, number in rows]
        index = pd.DataFrame({"building": names, "point": 0, "view": range(len(rows)), "split": [split for split, _number in rows]})
        index.to_csv(measured / "prepared/index.csv", index=False)
        table = affinity_tables(measured / "transfers", ["normal"], params(), prepared=measured / "prepared")[0]
        wide.append((table["high"] - table["low"]).to_numpy())
    assert np.isnan(wide[0]).all()
    assert (wide[1] > 0.01).all()


def test_without_any_network_the_stage_to_run_is_named(measured: Path) -> None:
    with pytest.raises(TaskonomyError, match="models: no task has a network; the stage `train` writes them"):
        network_losses(measured / "models", measured / "transfers", ["random_projection"], [])
