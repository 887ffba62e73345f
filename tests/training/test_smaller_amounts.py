"""Several amounts of images: what is trained with the smaller ones, on which samples, for how many steps; real trainings at the tiny setting."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from math import ceil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import TRAINED, files_of, once, profile, schedule, tiny_config

from taskonomy.affinity.measure import Normalization
from taskonomy.affinity.over_amounts import losses_by_building, read_amounts_of, table_of_target, tables_over_amounts
from taskonomy.atomic_io import write_json
from taskonomy.config.image_amounts import read_amounts
from taskonomy.dataset.splits import Split
from taskonomy.tables.table import write_table
from taskonomy.training import train_unit as units
from taskonomy.training.transfer_context import shared
from taskonomy.transfers.chosen import ChosenTransfers, write_chosen
from taskonomy.transfers.run_context import RunContext, with_amount
from taskonomy.transfers.smaller_amounts import FromStages, train_amounts, write_amounts
from taskonomy.transfers.stage_outputs import write_transfers
from taskonomy.transfers.transfers import transfers_to
from taskonomy.transfers.variants import VariantTransfers, train_variants, write_variants

SOURCES = ("autoencoding", "denoising", "normal", "random_projection")
SCHEDULE = {"epochs": 3, "least_steps": 2, "batch": 4, "rate": 0.002, "shape": "cosine", "weight_decay": 1e-5}


def stages(folder, prepared, trained, images, *variants, target="normal", sources=SOURCES, **params):
    """A run's folders with some amounts, and what the stages before `amounts` write."""
    for task in TRAINED:
        write_json(folder / "cards" / f"{task}.json", tiny_config(task).as_json())
    shared.cache_clear()
    asked = {"targets": [target], "images": images, "schedule": SCHEDULE, "variants": list(variants), **params}
    section = profile(data={"tasks": list(TRAINED)}, transfer=asked).transfer
    context = RunContext(folder / "cards", prepared.root, trained / "codes", trained / "models", folder / "store", section)
    others = FromStages(*(folder / name for name in ("transfers", "variants", "chosen")))
    write_transfers(others.transfers / target, trained / "models" / target, transfers_to(context.to(target, sources)))
    write_variants(others.variants, train_variants(context) if variants else VariantTransfers((), {}))
    write_chosen(others.chosen, ChosenTransfers())
    return context, others


def trained_amounts(context, others, path=None):
    done = train_amounts(context, TRAINED, others, Normalization.AHP)
    if path is not None:
        write_amounts(path, done, others)
    return done


class Watch:
    """The real `fit`, which keeps the samples and the number of steps of every training."""

    def __init__(self, monkeypatch):
        self.seen, self.fit = [], units.fit
        monkeypatch.setattr(units, "fit", self)

    def __call__(self, network, loss, train, validation, plan, **options):
        result = self.fit(network, loss, train, validation, plan, **options)
        steps = len(result.curve.train) * train.steps
        self.seen.append({"name": options["name"], "samples": train.positions.tolist(), "steps": steps, "once": train.steps})
        return result


@pytest.fixture(scope="module")
def three_amounts(prepared, trained, tmp_path_factory):
    """What a run with 3, 6 and 12 images leaves, `largest`: the units of the stages before `amounts`, and `seen.json`; to be read only."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TASKONOMY_CORES", "1")
            watch = Watch(patch)
            context, others = stages(folder, prepared, trained, [3, 6, 12])
            shutil.copytree(folder / "store", folder / "largest")
            trained_amounts(context, others, folder / "amounts")
        write_json(folder / "seen.json", watch.seen)

    return once(tmp_path_factory, "three_amounts", make)


@pytest.fixture
def run(prepared, trained, tmp_path, monkeypatch):
    """The stages before `amounts` in a folder of the test's own, whose store may begin with units that are known."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")

    def make(images, *variants, known=None, **params):
        if known is not None:
            shutil.copytree(known, tmp_path / "store")
        return stages(tmp_path, prepared, trained, images, *variants, **params)

    return make


@given(epochs=st.integers(1, 40), least=st.integers(1, 300), most=st.integers(2, 5000), few=st.integers(2, 5000), batch=st.integers(2, 64))
def test_a_schedule_of_so_many_steps_takes_them_rounded_up_to_whole_passes(epochs, least, most, few, batch):
    plan = schedule(epochs).model_copy(update={"least_steps": least, "batch": batch})
    steps, once = plan.steps(most), ceil(few / batch)
    passes = plan.of_steps(steps, few).passes(once)
    assert (passes - 1) * once < steps <= passes * once
    assert plan.of_steps(plan.steps(few), few) is plan  # so known units stay known


def test_every_amount_takes_as_many_steps_as_the_largest_and_its_samples_lie_within_the_next(three_amounts):
    by_name = {}
    for one in json.loads((three_amounts / "seen.json").read_text()):
        by_name.setdefault(one["name"], []).append(SimpleNamespace(**one | {"samples": set(one["samples"])}))
    assert {"scratch normal", "transfer pixels normal", "transfer autoencoding normal", "transfer random_projection normal"} <= by_name.keys()
    assert any(name.startswith("fine-tuned") for name in by_name)
    for name, found in by_name.items():
        if name.startswith("average"):
            continue  # one best constant, of the largest amount, is enough
        ordered = sorted(found, key=lambda one: len(one.samples))
        if "+" in name and len(found) == 1:
            continue  # not the best of its order
        sizes = [4, 6, 12] if name.startswith("fine-tuned") else [3, 6, 12]  # at least one batch
        assert [len(one.samples) for one in ordered] == sizes, name
        assert all(first.samples < second.samples for first, second in pairwise(ordered))
        most = ordered[-1].steps
        assert all(most <= one.steps < most + one.once for one in ordered), name


def test_with_the_same_epochs_smaller_amounts_take_fewer_steps(run, monkeypatch):
    watch = Watch(monkeypatch)
    trained_amounts(*run([4, 12], sources=("autoencoding", "normal"), fewer={"same": "epochs", "fine_tuned": 0}))
    steps = {len(one["samples"]): one["steps"] for one in watch.seen if one["name"] == "transfer autoencoding normal"}
    assert steps == {12: 9, 4: 3}


def test_with_one_amount_nothing_is_trained_and_the_tables_have_no_rows(run, three_amounts, tmp_path, prepared):
    context, others = run(12, known=three_amounts / "largest")
    before = files_of(tmp_path / "store")
    done = trained_amounts(context, others, tmp_path / "amounts")
    assert done.units == {}
    assert files_of(tmp_path / "store") == before
    assert [path.name for path in (tmp_path / "amounts").iterdir()] == ["units.csv"]
    tables = tables_over_amounts(tmp_path / "amounts", done.units, profile().normalize, prepared.root)
    assert [len(one) for one in tables] == [0, 0, 0]
    write_table(tmp_path / "amounts.csv", tables[0])
    assert (tmp_path / "amounts.csv").read_text() == "target,sources,affinity\n"


def test_a_new_amount_trains_itself_alone_and_a_known_one_nothing(run, three_amounts, tmp_path):
    context, others = run([6, 12], known=three_amounts / "largest", fewer={"sources": 1})
    first = trained_amounts(context, others)
    before = files_of(tmp_path / "store")
    trained_amounts(context, others)
    assert files_of(tmp_path / "store") == before
    more = trained_amounts(replace(context, params=context.params.model_copy(update={"images": read_amounts([3, 6, 12])})), others)
    added = {f"{one.key}.unit" for one in more.units["normal"] if one.images < 5}
    assert files_of(tmp_path / "store").keys() - before.keys() == added
    assert {one.key for one in first.units["normal"]} < {one.key for one in more.units["normal"]}


def test_a_smaller_amount_gives_the_bits_of_a_run_with_that_amount_alone(run, tmp_path, prepared, trained):
    plan = {**SCHEDULE, "epochs": 1, "least_steps": 3}  # which 12 samples of batches of 4 take, and so 6 and 3
    sources = ("autoencoding", "normal")
    done = trained_amounts(*run([6, 12], sources=sources, schedule=plan, fewer={"fine_tuned": 0}))
    alone = profile(data={"tasks": list(TRAINED)}, transfer={"targets": ["normal"], "images": 6, "schedule": plan}).transfer
    other = RunContext(tmp_path / "cards", prepared.root, trained / "codes", trained / "models", tmp_path / "other", alone)
    whole = transfers_to(other.to("normal", sources))
    # The network from scratch has its own schedule, whose steps with 12 images are others than with 6.
    for one in done.units["normal"]:
        if one.sources in ("normal", "autoencoding", "pixels"):
            assert whole.keys[(one.sources,)] == one.key
            assert whole.units[(one.sources,)].arrays["test_policy"].tobytes() == one.unit.arrays["test_policy"].tobytes()


def test_the_best_sources_and_sets_of_the_largest_amount_are_trained_with_the_smaller_ones(run, three_amounts):
    sources = ("autoencoding", "colorization", "denoising", "normal")
    fewer = {"sources": 1, "sets": 2, "fine_tuned": 0}
    context, others = run([6, 12], known=three_amounts / "largest", sources=sources, max_order=2, fewer=fewer)
    losses = others.of("normal", Split.TEST_AFFINITY)
    best = sorted(losses.candidates, key=dict(zip(losses.candidates, by_eigenvalues(losses.losses), strict=True)).__getitem__, reverse=True)
    single = [name for name in best if "+" not in name and name != "self"]
    found = [one.sources for one in trained_amounts(context, others).units["normal"]]
    # Both baselines, the best source, the target's own encoder, best or not, and the best two of three pairs.
    assert sorted(found) == sorted({"self", "pixels", single[0], "normal", *[name for name in best if "+" in name][:2]})


def by_eigenvalues(losses):
    """Affinities by numpy's eigenvectors, from win rates counted one by one."""
    images = losses.shape[1]
    rates = np.array([[np.mean(one < other) + np.mean(one == other) / 2 for other in losses] for one in losses])
    rates = np.clip(rates, 1 / (images + 2), 1 - 1 / (images + 2))
    values, vectors = np.linalg.eig(rates / rates.T)
    first = np.abs(vectors[:, values.real.argmax()].real)
    return first / first.sum()


def test_amounts_beyond_a_targets_labels_are_left_out(run, prepared):
    there = len(prepared.task(tiny_config("camera_pose_fixated").definition).of_split(Split.TRANSFER))
    sources = ("autoencoding", "camera_pose_fixated")
    context, others = run([4, there + 1, there + 2], target="camera_pose_fixated", sources=sources, fewer={"fine_tuned": 0})
    done = trained_amounts(context, others)
    assert done.largest == {"camera_pose_fixated": there}
    assert {one.images for one in done.units["camera_pose_fixated"]} == {4}


def test_fine_tuned_shares_are_rows_with_their_number_of_images(run, three_amounts, tmp_path, prepared):
    done = trained_amounts(*run([6, 12], "autoencoding@0.5", known=three_amounts / "store", fewer={"fine_tuned": 2}), tmp_path / "amounts")
    there = len(prepared.task(tiny_config("normal").definition).of_split(Split.TRAIN))
    tuned = {one.sources: one.images for one in done.units["normal"] if "@" in one.sources}
    assert len(tuned) == 4
    assert all(round(float(name.partition("@")[2]) * there) == images for name, images in tuned.items())
    read = read_amounts_of(tmp_path / "amounts", "normal", Split.TEST_POLICY)
    assert dict(zip(read.names, read.images.tolist(), strict=True))["autoencoding@0.5"] == round(0.5 * there)


def test_the_table_compares_all_amounts_on_the_same_images(three_amounts):
    data = read_amounts_of(three_amounts / "amounts", "normal", Split.TEST_AFFINITY)
    rules = profile(normalize={"resamples": 20}).normalize
    groups = np.arange(data.losses.shape[1]) % 3
    table = table_of_target(data, rules, groups)
    rows = [place for place, name in enumerate(data.names) if name != "pixels"]
    np.testing.assert_allclose(table["affinity"], by_eigenvalues(data.losses[rows]), rtol=1e-6)
    assert (table["low"] <= table["high"]).all()
    own = table[[sources == ("self",) for sources in table["sources"]]]
    assert own["images"].fillna(0).astype(int).tolist() == [0, 12, 3, 6]
    for row in table.itertuples():
        number = 12 if pd.isna(row.images) else int(row.images)
        (mine,) = [
            place
            for place, name in enumerate(data.names)
            if name == "+".join(row.sources) and data.images[place] == (0 if pd.isna(row.images) else number)
        ]
        full = data.losses[data.names.index("self")]
        assert row.quality == pytest.approx(np.mean(data.losses[mine] < full) + np.mean(data.losses[mine] == full) / 2)
        for column, name in (("gain", "pixels"), ("gain_scratch", "self")):
            against = [place for place, one in enumerate(data.names) if one == name and data.images[place] == number]
            if not against:
                assert np.isnan(getattr(row, column))  # a fine-tuned share that is no amount
                continue
            other = data.losses[against[0]]
            expected = np.mean(data.losses[mine] < other) + np.mean(data.losses[mine] == other) / 2
            assert getattr(row, column) == pytest.approx(expected), (row, column)
    by_building = losses_by_building(data, Split.TEST_AFFINITY, groups.astype(str))
    one = by_building[(by_building["sources"] == "autoencoding") & (by_building["images"] == 3)]
    place = next(place for place, name in enumerate(data.names) if name == "autoencoding" and data.images[place] == 3)
    assert np.average(one["loss"], weights=one["tests"]) == pytest.approx(data.losses[place].mean(dtype=np.float64))


def test_a_context_of_a_smaller_amount_is_one_of_a_part_of_the_samples(run, three_amounts):
    context, _others = run([3, 6, 12], known=three_amounts / "largest")
    whole = context.resolved().to("normal", SOURCES)
    parts = [set(with_amount(whole, images).train.tolist()) for images in (3, 6)]
    assert parts[0] < parts[1] < set(whole.train.tolist())
