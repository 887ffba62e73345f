"""With a screen: which transfers are trained, and what is trained because the policy program wants it. Real trainings at the tiny setting."""

import json
import shutil
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TRAINED, files_of, once, profile, tiny_config, tiny_context

from taskonomy.affinity.from_run import affinity_tables
from taskonomy.affinity.measure import Normalization
from taskonomy.atomic_io import write_json
from taskonomy.dataset.splits import Split
from taskonomy.policy.planner import plan
from taskonomy.training.transfer_context import BASELINES, shared
from taskonomy.transfers import screen as screening
from taskonomy.transfers import transfers
from taskonomy.transfers.beam_search import most_promising
from taskonomy.transfers.chosen import Rules, chosen_transfers, write_chosen
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.screen import SourceScreen, screened
from taskonomy.transfers.stage_outputs import write_transfers
from taskonomy.transfers.transfers import transfers_to

KEEP = {"keep": 3, "sets": 2, "reliability": 0.6}
POOL = ("autoencoding", "camera_pose_fixated", "colorization", "denoising")  # what has learnt something, without the target
TARGETS = ("autoencoding", "normal")


@pytest.fixture
def job(prepared, trained, tmp_path, monkeypatch):
    """Transfers from all that is trained, with a store of the test's own; units are trained in this process."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")

    def make(target="normal", store=tmp_path / "store", **params):
        return tiny_context(prepared.root, trained / "codes", store, target, *TRAINED, **params)

    return make


@pytest.fixture
def says(monkeypatch):
    """Put what a screen says in the place of readouts: rank and reliability are then the test's."""

    def say(reliability=0.9, *, compared=False, **scores):
        def stand_in(context, pool, params):
            return SourceScreen({name: scores.get(name, 0.01) for name in context.sources}, reliability, params.reliability)

        monkeypatch.setattr(transfers, "screened", stand_in)
        # Whether the scores go with the affinities of these few trainings is chance, unless a test sees to it.
        monkeypatch.setattr(SourceScreen, "compared", COMPARED if compared else lambda screen, affinity, pool: screen)

    return say


COMPARED = SourceScreen.compared
RANKED = {"autoencoding": 0.1, "camera_pose_fixated": 0.2, "colorization": 0.4, "denoising": 0.3}


def test_the_best_sources_are_trained_with_the_targets_own_and_the_baseline_and_no_other(job, says):
    says(**RANKED)
    done = transfers_to(job(screen=KEEP, max_order=1))
    kept = {"camera_pose_fixated", "colorization", "denoising"}
    assert set(done.units) == {*BASELINES, ("normal",), ("random_projection",), *((name,) for name in kept)}


@pytest.mark.parametrize(("reliability", "agreement"), [(0.59, float("nan")), (float("nan"), float("nan")), (-1.0, 1.0), (0.9, 0.0), (0.9, -0.5)])
def test_a_screen_that_is_not_reliable_or_misled_chooses_nothing(reliability, agreement):
    asked = SourceScreen(RANKED, reliability, 0.6, agreement)
    assert not asked.trusted
    assert asked.kept(list(POOL), 3) == sorted(POOL)
    assert replace(asked, reliability=0.6, agreement=0.1).kept(list(POOL), 3) == ["camera_pose_fixated", "colorization", "denoising"]


@pytest.mark.usefixtures("unchecked_calls")
def test_where_better_scores_went_with_worse_transfers_every_source_is_trained(job, says, tmp_path):
    says(**RANKED)
    worth = {name: unit.arrays["test_affinity"].mean() for (name,), unit in transfers_to(job(screen=KEEP, max_order=1)).units.items() if name in POOL}
    # A second screen scores those that were trained by their losses, and the one that was not below them.
    says(compared=True, **({name: float(loss) for name, loss in worth.items()} | {"autoencoding": 1e-6}))
    done = transfers_to(job(screen=KEEP, max_order=1))
    assert done.screen.agreement < 0
    assert set(done.units) == {*BASELINES, *((name,) for name in TRAINED)}
    write_transfers(tmp_path / "normal", job().codes.parent / "models/normal", done)
    assert not json.loads((tmp_path / "normal/screen.json").read_text())["trusted"]


@pytest.mark.usefixtures("unchecked_calls")
def test_what_is_trained_with_a_screen_has_the_bits_that_it_has_without(job, says, tmp_path):
    says(**RANKED)
    few = transfers_to(job(screen=KEEP, max_order=2))
    every = transfers_to(job(store=tmp_path / "other", max_order=2, beam="all"))
    assert {sources: every.keys[sources] for sources in few.keys} == few.keys
    with_screen, without = files_of(tmp_path / "store"), files_of(tmp_path / "other")
    assert with_screen.items() <= without.items()
    pairs = [sources for sources in few.units if len(sources) == 2]
    kept = [name for name in POOL if name != "autoencoding"]
    assert len(pairs) == KEEP["sets"]
    assert set(pairs) < set(combinations(kept, 2))


def brute(sets, worth, count):
    """Every choice of so many sets: the one that no other beats, set by set."""
    sums = {one: sum(worth[(name,)] for name in one) for one in sets}
    return [one for one in sets if sum(sums[other] > sums[one] or (sums[other] == sums[one] and other < one) for other in sets) < count]


@given(st.lists(st.integers(0, 6), min_size=5, max_size=5), st.integers(1, 12), st.sampled_from([2, 3]))
def test_the_most_promising_sets_are_those_of_the_largest_sums(values, count, order):
    worth = {(name,): float(value) for name, value in zip("abcde", values, strict=True)}
    sets = list(combinations("abcde", order))
    assert most_promising(sets[::-1], worth, count) == brute(sets, worth, count)


@pytest.mark.parametrize("target", ["normal", "camera_pose_fixated"])
def test_no_image_that_affinities_are_measured_on_has_a_part_in_a_screen(job, tmp_path, target):
    params = profile(transfer={"screen": KEEP}).transfer.limits
    context = shared(job(target))
    pool = [name for name in POOL if name != target]
    before = screened(context, pool, params)
    assert set(before.scores) == set(TRAINED)
    assert sum(before.scores.values()) == pytest.approx(1)

    other = job(target, store=tmp_path / "other")
    stored = np.array(other.task.stored)
    tests = np.isin(other.task.splits, [Split.TEST_AFFINITY.number, Split.TEST_POLICY.number])
    stored[tests] = stored[tests][::-1]
    other.__dict__["task"] = replace(other.task, stored=stored)
    assert screened(other, pool, params).scores == before.scores

    # The oracle can tell: other labels to be tested on give other scores.
    third = job(target, store=tmp_path / "third")
    stored = np.array(third.task.stored)
    stored[third.task.of_split(Split.VALIDATION)] = stored[third.task.of_split(Split.VALIDATION)][::-1]
    third.__dict__["task"] = replace(third.task, stored=stored)
    assert screened(third, pool, params).scores != before.scores


def test_a_screen_in_the_store_is_not_computed_again(job, monkeypatch):
    params = profile(transfer={"screen": KEEP}).transfer.limits
    before = screened(shared(job()), list(POOL), params)
    monkeypatch.setattr(screening, "source_errors", None)
    after = screened(shared(job()), list(POOL), params)
    assert after.scores == before.scores
    np.testing.assert_equal(after.reliability, before.reliability)


@pytest.fixture(scope="module")
def written(prepared, trained, tmp_path_factory):
    """What the stages before `chosen` wrote; to be read only."""
    return once(tmp_path_factory, "screened", lambda folder: write_screened(prepared, trained, folder))


def write_screened(prepared, trained, folder):
    """By a screen that left out for each target one source that it has not ranked far below the others."""
    scores = {"autoencoding": 0.19, "camera_pose_fixated": 0.2, "colorization": 0.3, "denoising": 0.4, "normal": 0.18, "random_projection": 0.01}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKONOMY_CORES", "1")
        patch.setattr(transfers, "screened", lambda context, pool, params: SourceScreen(scores, 0.9, params.reliability))
        patch.setattr(SourceScreen, "compared", lambda screen, affinity, pool: screen)
        for task in TRAINED:
            write_json(folder / "cards" / f"{task}.json", tiny_config(task).as_json())
        for target in TARGETS:
            job = tiny_context(prepared.root, trained / "codes", folder / "store", target, *TRAINED, screen=KEEP, max_order=1)
            write_transfers(folder / "transfers" / target, trained / "models" / target, transfers_to(job))


@pytest.fixture
def run(written, prepared, trained, tmp_path, monkeypatch):
    """The same, to be changed."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    shared.cache_clear()

    def make(**params):
        section = profile(data={"tasks": list(TRAINED)}, transfer={"targets": list(TARGETS), "max_order": 1} | params).transfer
        return RunContext(tmp_path / "cards", prepared.root, trained / "codes", trained / "models", tmp_path / "store", section)

    return make


def rules(**policy):
    values = profile(policy={"preset": "paper", "budget": 2, "alternatives": 0} | policy, normalize={"resamples": 0})
    return Rules(values.policy, Normalization.AHP, values.registry)


def best_by_enumeration(table: pd.DataFrame, budget: int) -> float:
    """The largest objective of any set of so many sources, each target with its best transfer among them."""
    names = sorted({name for sources in table["sources"] for name in sources} - {"self", "random_projection"})
    usable = table[table["sources"] != ("self",)]
    worths = []
    for chosen in combinations(names, budget):
        rows = usable[[set(sources) <= set(chosen) for sources in usable["sources"]]]
        best = rows.groupby("target")["affinity"].max()
        worths.append(best.sum() if len(best) == len(TARGETS) else -np.inf)
    return max(worths)


def test_what_the_program_chooses_is_trained_until_all_that_it_chooses_is_measured(run, tmp_path, monkeypatch):
    params = profile(normalize={"resamples": 0}).normalize
    before = affinity_tables(tmp_path / "transfers", TARGETS, params)[0]
    left = {target: set(before.loc[before["imputed"] & (before["target"] == target), "sources"]) for target in TARGETS}
    assert left == {"autoencoding": {("normal",)}, "normal": {("autoencoding",)}}
    # With these two sources alone, and no target from its own encoder, the program has no other choice than what was imputed.
    wanting = rules(budget=2, require=["autoencoding", "normal"], self_edge="none")
    first, _others = plan(before, wanting.policy)
    assert {(one.target, one.sources) for one in first.transfers} == {("autoencoding", ("normal",)), ("normal", ("autoencoding",))}
    assert all(one.imputed for one in first.transfers)

    told, known = [], files_of(tmp_path / "store")
    done = chosen_transfers(run(screen=KEEP), tmp_path / "transfers", [], wanting, told.append)
    write_chosen(tmp_path / "chosen", done)
    assert sum(told) == 2
    assert len(files_of(tmp_path / "store")) == len(known) + 2
    after = affinity_tables(tmp_path / "transfers", TARGETS, params, tmp_path / "chosen")[0]
    assert not after["imputed"].any()
    rows = pd.read_csv(tmp_path / "chosen/units.csv")
    assert rows[["target", "sources"]].to_numpy().tolist() == [["autoencoding", "normal"], ["normal", "autoencoding"]]

    # Nothing known is trained again, and the bits are those of a run without a screen.
    monkeypatch.setattr("taskonomy.transfers.transfers._train", None)
    again = chosen_transfers(run(screen=KEEP), tmp_path / "transfers", [], wanting)
    assert again.keys == done.keys


@pytest.mark.parametrize("budget", [1, 2])
def test_at_the_end_no_choice_of_measured_or_imputed_transfers_is_better_and_every_chosen_one_is_measured(run, tmp_path, budget):
    asked = rules(budget=budget)
    write_chosen(tmp_path / "chosen", chosen_transfers(run(screen=KEEP), tmp_path / "transfers", [], asked))
    table = affinity_tables(tmp_path / "transfers", TARGETS, profile(normalize={"resamples": 0}).normalize, tmp_path / "chosen")[0]
    best, _others = plan(table, asked.policy)
    assert not any(one.imputed for one in best.transfers)
    assert best.objective == pytest.approx(best_by_enumeration(table, budget))


def test_without_a_screen_nothing_is_chosen_and_the_folder_says_so(run, tmp_path):
    write_chosen(tmp_path / "chosen", chosen_transfers(run(), tmp_path / "transfers", [], rules()))
    assert [path.name for path in (tmp_path / "chosen").iterdir()] == ["units.csv"]
    assert (tmp_path / "chosen/units.csv").read_text() == "key,target,sources\n"
