"""Transfers to a target: the units that the parameters ask for, each of them independent of all others."""

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from tiny import TRAINED, files_of, profile, tiny_config, tiny_context
from waiting import HANG

from taskonomy.atomic_io import write_json
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.store.store import Store
from taskonomy.store.unit_keys import constant_key
from taskonomy.tasks import BUILT_IN
from taskonomy.training import train_unit as units
from taskonomy.training.codes import codes_of, row_of_view
from taskonomy.training.dataloader import TESTING, Batches, CodeInputs, ImageInputs
from taskonomy.training.trainer import losses_of
from taskonomy.training.transfer_context import BASELINES, SCRATCH, chosen_samples, shared
from taskonomy.transfers import transfers
from taskonomy.transfers.transfers import transfers_to

FEW = ("autoencoding", "colorization", "normal", "random_projection")


@pytest.fixture
def job(prepared, trained, tmp_path, monkeypatch):
    """Jobs on what is trained, with a store of the test's own; units are trained in this process."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")

    def make(target="normal", *sources, store=tmp_path / "store", codes=trained / "codes", **params):
        return tiny_context(prepared.root, codes, store, target, *(sources or FEW), **params)

    return make


class Watch:
    """The real `fit`, which keeps for each name the samples to learn from and to select by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.fit = {}, units.fit
        monkeypatch.setattr(units, "fit", self)

    def __call__(self, network, loss, train, validation, *rest, **options):
        assert options["name"] not in self.asked
        self.asked[options["name"]] = train.positions, validation.positions
        return self.fit(network, loss, train, validation, *rest, **options)


@pytest.mark.parametrize("target", ["normal", "camera_pose_fixated"])
def test_every_transfer_that_is_asked_for_is_there_and_learns_from_the_same_images(job, prepared, target, monkeypatch):
    watch, told = Watch(monkeypatch), []
    done = transfers_to(job(target, beam="all"), told.append)
    pool = sorted(set(FEW) - {target, "random_projection"})
    expected = {*BASELINES, *((name,) for name in FEW), *combinations(pool, 2)}
    assert set(done.units) == expected
    assert sum(told) == len(expected) == len(watch.asked)
    task = prepared.task(BUILT_IN[target])
    split = prepared.index["split"].to_numpy()[task.samples[:, 0]]
    (images,) = {tuple(train) for train, _validation in watch.asked.values()}
    assert len(set(images)) == 12
    assert set(split[list(images)]) == {"transfer"}
    assert all(tuple(validation) == tuple(np.flatnonzero(split == "validation")) for _train, validation in watch.asked.values())
    for half in TEST_SPLITS:
        names, losses = done.losses(half)
        assert set(names) == {"+".join(one) for one in expected - {*BASELINES}}
        assert losses.shape == (len(names), (split == half).sum())
        assert np.isfinite(losses).all()
        assert all(losses[names.index("+".join(one))].tobytes() == done.units[one].arrays[half].tobytes() for one in expected - {*BASELINES})
    table = done.table().set_index("sources")
    assert len(set(table["key"])) == len(expected)
    assert all(table.loc[name, "order"] == 0 for (name,) in BASELINES)
    assert all(table.loc["+".join(one), "order"] == len(one) for one in expected - {*BASELINES})


@pytest.mark.usefixtures("unchecked_calls")
def test_a_transfer_has_the_same_bits_alone_after_others_and_in_any_order(job, tmp_path):
    whole = job(beam="all")
    transfers_to(whole)
    company = files_of(tmp_path / "store")
    pairs = [("autoencoding", "colorization"), ("random_projection",), *BASELINES]
    for number, sources in enumerate(pairs):  # each alone, and fewer sources known
        store = tmp_path / f"alone{number}"
        names = FEW if sources in BASELINES else sources
        transfers._train((job("normal", *names, store=store), sources))
        alone = files_of(store)
        assert len(alone) == 1
        assert alone.items() <= company.items()
    backwards = job("normal", *reversed(FEW), store=tmp_path / "backwards", beam="all")
    for sources in reversed(list(transfers_to(whole).units)):
        transfers._train((backwards, sources))
    assert files_of(tmp_path / "backwards") == company


@pytest.mark.usefixtures("unchecked_calls")
def test_the_best_constant_is_that_of_the_transfers_own_images(job, prepared):
    """Of few images it is another one than of many, and nothing that transfers see beside them changes it."""
    few, many = job(images=8, max_order=1), job(images=16, max_order=1)
    alone = [transfers_to(one).units[("average",)].arrays[Split.TEST_AFFINITY] for one in (few, many)]
    assert not np.array_equal(*alone)
    train = chosen_samples(prepared.task(BUILT_IN["normal"]).of_split(Split.TRANSFER), 8, few.params.seed, "normal")
    assert few.key(("average",)) == constant_key(few.task, few.config, train)


@pytest.mark.usefixtures("unchecked_calls")
def test_two_processes_make_the_same_files_as_one(job, tmp_path, monkeypatch):
    transfers_to(job(max_order=1))
    monkeypatch.setenv("TASKONOMY_CORES", "2")
    transfers_to(job(max_order=1, store=tmp_path / "two"))
    assert len(files_of(tmp_path / "two")) == len(BASELINES) + len(FEW)
    assert files_of(tmp_path / "two") == files_of(tmp_path / "store")


@pytest.mark.usefixtures("unchecked_calls")
def test_what_is_known_is_not_trained_again_and_what_is_damaged_is_with_the_same_bits(job, tmp_path, monkeypatch, capsys):
    first = transfers_to(job(max_order=1))
    made = files_of(tmp_path / "store")
    watch = Watch(monkeypatch)
    told = []
    again = transfers_to(job(max_order=1), told.append)
    assert watch.asked == {}
    assert sum(told) == len(made)
    assert again.keys == first.keys
    # More orders train the new ones alone.
    transfers_to(job(beam="all"))
    assert {name.split()[1] for name in watch.asked} == {"autoencoding+colorization"}
    watch.asked.clear()
    store = Store(tmp_path / "store")
    path = store.root / first.keys[("normal",)][:2] / f"{first.keys[('normal',)]}.unit"
    path.write_bytes(path.read_bytes()[:-1])
    transfers_to(job(max_order=1))
    assert set(watch.asked) == {"transfer normal normal"}
    assert "damaged" in capsys.readouterr().err
    assert made.items() <= files_of(tmp_path / "store").items()


@pytest.mark.usefixtures("unchecked_calls")
def test_a_better_source_comes_first_in_a_beam(job, tmp_path):
    """Width 1 over real losses: the best single source by the test's own count of wins is in every pair."""
    done = transfers_to(job("denoising", "autoencoding", "colorization", "camera_pose_fixated", "normal", beam=1, codes=job().codes))
    losses = {sources: unit.arrays["test_affinity"] for sources, unit in done.units.items() if len(sources) == 1 and sources not in BASELINES}
    lowest = 1 / (len(next(iter(losses.values()))) + 2)
    odds = np.array([[np.clip(((a < b) + 0.5 * (a == b)).mean(), lowest, 1 - lowest) for b in losses.values()] for a in losses.values()])
    values, vectors = np.linalg.eig(odds / odds.T)
    best = list(losses)[int(np.abs(vectors[:, values.real.argmax()].real).argmax())][0]
    pairs = [sources for sources in done.units if len(sources) == 2]
    assert {frozenset(pair) for pair in pairs} == {frozenset({best, other}) for (other,) in losses if other != best}


def test_sources_of_a_target_of_noise_read_noisy_codes(job, prepared):
    """What a transfer to denoising reads is its sources' codes of the noisy images."""
    opened = shared(job("denoising"))
    row = row_of_view(prepared.splits)
    sample = prepared.task(BUILT_IN["denoising"]).of_split(Split.TEST_POLICY)[:3]
    seen = CodeInputs([opened.stored_codes("autoencoding")], row).seen(sample[:, None], sample, TESTING, None)
    noisy = np.load(opened.codes / "autoencoding" / "noise.npy")
    np.testing.assert_array_equal(seen[:, 0], noisy[row[sample]].astype(np.float32))
    assert not np.array_equal(noisy, np.load(opened.codes / "autoencoding" / "image.npy"))


@given(st.lists(st.integers(0, 999), min_size=1, max_size=60, unique=True).map(sorted), st.integers(1, 70), st.integers(1, 70), st.integers(0, 9))
def test_fewer_images_are_a_part_of_more(positions, fewer, more, seed):
    positions = np.array(positions)
    small, large = (chosen_samples(positions, count, seed, "normal") for count in sorted((fewer, more)))
    assert set(small) <= set(large) <= set(positions)
    assert len(small) == len(set(small)) == min(fewer, more, len(positions))
    np.testing.assert_array_equal(small, np.sort(small))
    np.testing.assert_array_equal(small, chosen_samples(positions, min(fewer, more), seed, "normal"))


def test_targets_and_seeds_draw_different_images():
    positions = np.arange(200)
    drawn = {tuple(chosen_samples(positions, 20, seed, target)) for seed in (0, 1) for target in ("normal", "reshading")}
    assert len(drawn) == 4


# What is wrong is said in one line


@pytest.fixture
def codes(trained, tmp_path):
    """CodeInputs that may be damaged."""
    for name in FEW:
        (tmp_path / "codes" / name).mkdir(parents=True)
        for file in (trained / "codes" / name).iterdir():
            (tmp_path / "codes" / name / file.name).write_bytes(file.read_bytes())
    return tmp_path / "codes"


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fewer(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "no readable codes .*the stage `train` writes them"),
        (cut, "no readable codes"),
        (empty, "no readable codes"),
        (pickled, "no readable codes"),
        (fewer, "codes of 95 images, not of the 96 outside the train split"),
    ],
)
def test_codes_that_are_missing_or_damaged_are_named(job, codes, damage, message):
    damage(codes / "colorization" / "image.npy")
    with pytest.raises(TaskonomyError, match=rf"codes/colorization/image\.npy: {message}"):
        transfers_to(job(codes=codes))


@pytest.fixture
def project(prepared, trained, codes, tmp_path, monkeypatch):
    """A folder in which the stages run."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "data").mkdir()
    for link, to in (("data/prepared", prepared.root), ("data/codes", codes), ("models", trained / "models"), ("src", ROOT / "src")):
        (folder / link).symlink_to(to)
    values = profile(data={"tasks": list(FEW)}, transfer={"targets": ["normal"], "max_order": 1}).model_dump(mode="json")
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    write_json(folder / "normal.json", tiny_config("normal").as_json())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    shared.cache_clear()
    return folder


def stage(name: str, *arguments: str) -> str:
    """Run a stage in this process; what it says when it fails."""
    before, sys.argv = sys.argv, [name, *arguments]
    try:
        runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
    except SystemExit as stop:
        return str(stop.code)
    finally:
        sys.argv = before
    return ""


def transfer_with(model: str = "models/normal") -> tuple[str, ...]:
    return (
        *("--card", "normal.json", "--prepared", "data/prepared", "--codes", "data/codes"),
        *("--model", model, "--transfers", "data/transfers/normal"),
    )


TRANSFER = transfer_with()
TRAIN = ("--card", "normal.json", "--prepared", "data/prepared", "--model", "out/normal", "--codes", "outcodes/normal")


@pytest.mark.parametrize(
    ("name", "arguments", "damage", "message"),
    [
        (
            "transfer",
            TRANSFER,
            lambda at: (at / "normal.json").unlink(),
            r"normal\.json: no readable configuration of a task .*the stage `cards` writes it",
        ),
        ("transfer", TRANSFER, lambda at: (at / "normal.json").write_text("{"), r"normal\.json: no readable configuration of a task"),
        ("transfer", TRANSFER, lambda at: (at / "normal.json").write_text("[]"), r"normal\.json: no configuration of a task"),
        ("transfer", TRANSFER, lambda at: (at / "params.yaml").unlink(), "no such parameter file"),
        ("transfer", TRANSFER, lambda at: (at / "data/codes/normal/image.npy").unlink(), r"codes/normal/image\.npy: no readable codes"),
        ("transfer", TRANSFER, lambda at: (at / "data/prepared").unlink(), "data/prepared: no prepared data; the stage `prepare` writes it"),
        ("transfer", transfer_with("models/none"), lambda at: None, r"models/none/test_affinity\.npz: not readable losses"),
        ("train", TRAIN, lambda at: (at / "normal.json").unlink(), r"normal\.json: no readable configuration of a task"),
        ("train", TRAIN, lambda at: (at / ".dvc").rmdir(), r"\.dvc: no such folder"),
        ("train", TRAIN, lambda at: (at / "data/prepared").unlink(), "data/prepared: no prepared data"),
    ],
)
def test_a_stage_that_cannot_go_on_says_why_in_one_line(project, name, arguments, damage, message):
    import re

    damage(project)
    said = stage(name, *arguments)
    assert re.match(f"error: (.*{message})", said), said
    assert "\n" not in said
    assert not (project / "data/transfers").exists() or not list((project / "data/transfers").iterdir())
    assert not (project / "out").exists()


def test_a_failed_stage_has_status_1_and_prints_one_line(project):
    (project / "normal.json").unlink()
    done = subprocess.run(
        [sys.executable, ROOT / "stages/transfer.py", *TRANSFER],
        capture_output=True, text=True, timeout=HANG, cwd=project, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: normal.json")


def test_a_training_that_diverges_is_one_line_of_the_stage(project):
    write_json(project / "normal.json", tiny_config("normal", train={"tasks": {"normal": {"rate": 1e38}}}).as_json())
    said = stage("train", *TRAIN)
    assert said.startswith("error: network normal: the loss is not finite in")
    assert "\n" not in said
    assert not (project / "out").exists()


def test_the_stage_writes_what_the_transfers_are(project, prepared, trained):
    assert stage("transfer", *TRANSFER) == ""
    arrays = dict(np.load(project / "data/transfers/normal/test_policy.npz"))
    assert list(arrays["candidates"]) == [*sorted(FEW), "self"]
    own = np.load(trained / "models/normal/test_policy.npz")["self"]
    np.testing.assert_array_equal(arrays["losses"][-1], own)
    store = Store(project / ".dvc/units")
    rows = [line.split(",") for line in (project / "data/transfers/normal/units.csv").read_text().splitlines()]
    for key, sources, *_rest in rows[1:]:
        stored = store.read(key).arrays["test_policy"]
        there = arrays[sources] if (sources,) in BASELINES else arrays["losses"][list(arrays["candidates"]).index(sources)]
        np.testing.assert_array_equal(stored, there)
    assert {sources for _key, sources, *_rest in rows[1:]} == {*(name for (name,) in BASELINES), *FEW}


def test_stored_codes_are_what_the_saved_encoder_makes(prepared, trained):
    """Weights from the model folder give the codes in the codes folder."""
    from taskonomy.training.checkpoint import load_weights
    from taskonomy.training.task_networks import network_of

    for task in set(TRAINED) - {"random_projection"}:
        config = tiny_config(task)
        one, network = config.definition, network_of(config, prepared)
        load_weights(trained / "models" / task / "network.safetensors", network)
        rows = np.flatnonzero(prepared.index["split"] != "train")
        for how in ("image", "noise"):
            made = codes_of(network.encoder, prepared.images, rows, Input(how), one.input, config.precision, "float32")
            np.testing.assert_allclose(np.load(trained / "codes" / task / f"{how}.npy"), made, rtol=0.02, atol=0.02)


def test_scratch_sees_images_and_transfers_see_codes_alone(job, monkeypatch):
    seen = []
    for kind in (ImageInputs, CodeInputs):
        real = kind.seen
        monkeypatch.setattr(kind, "seen", lambda self, *rest, real=real: (seen.append(type(self)), real(self, *rest))[1])
    transfers._train((job(), SCRATCH))
    assert set(seen) == {ImageInputs}
    seen.clear()
    transfers._train((job(), ("autoencoding",)))
    assert set(seen) == {CodeInputs}


@pytest.mark.parametrize("sources", [("normal",), ("autoencoding", "colorization")])
def test_a_transfer_with_its_weights_is_the_one_that_was_measured(job, sources):
    from taskonomy.training.train_transfer import transfer_with_weights

    one = job("camera_pose_fixated", *FEW, "camera_pose_fixated", beam="all")
    measured = transfers_to(one).units[sources]
    before = len(files_of(one.store))
    network, unit = transfer_with_weights(one, sources)
    for split in ("test_affinity", "test_policy"):
        assert np.array_equal(unit.arrays[split], measured.arrays[split])
    opened = shared(one)
    task = opened.task
    codes = CodeInputs([opened.stored_codes(name) for name in sources], opened.code_rows)
    batches = Batches(opened.labels, codes, task.of_split(Split.TEST_POLICY), 5)
    found = losses_of(network, task.task.loss, batches, opened.params.precision)
    assert np.allclose(found, measured.arrays["test_policy"], rtol=1e-3, atol=1e-5)
    again, _ = transfer_with_weights(one, sources)
    assert len(files_of(one.store)) == before + 1
    assert all((a == b).all() for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True))


def kept_by(context) -> dict:
    """Sources -> bytes of the weights that lie in the store."""
    done = transfers_to(context)
    opened = shared(context)
    return {sources: size for sources in done.units if (size := opened.units.size_of(opened.weights_key(sources)))}


def by_affinity(context) -> list:
    """All transfers of the context, best first."""
    worth = transfers._worth(transfers_to(context).units, context.config.task)
    return sorted(worth, key=lambda one: (-worth[one], one))


@pytest.mark.usefixtures("unchecked_calls")
def test_the_weights_of_the_best_transfers_are_kept_as_far_as_there_is_room_and_leave_all_losses_as_they_are(job, tmp_path):
    none = job(max_order=1)
    assert kept_by(none) == {}
    every = kept_by(replace(job(max_order=1, store=tmp_path / "every"), kept=2**30))
    best = by_affinity(none)
    assert set(every) == {SCRATCH, *best}
    room = every[SCRATCH] + every[best[0]] + every[best[1]]
    some = kept_by(replace(job(max_order=1, store=tmp_path / "some"), kept=room))
    assert set(some) == {SCRATCH, *best[:2]}
    assert files_of(tmp_path / "store").items() <= files_of(tmp_path / "some").items() <= files_of(tmp_path / "every").items()


@pytest.mark.parametrize("sources", [SCRATCH, ("autoencoding",)])
def test_kept_weights_are_those_that_another_training_gives_and_spare_it(job, tmp_path, sources, monkeypatch):
    from taskonomy.training.train_transfer import scratch_with_weights, transfer_with_weights

    def unit_of(context):
        return scratch_with_weights(context)[1] if sources == SCRATCH else transfer_with_weights(context, sources)[1]

    anew = unit_of(job("normal", "autoencoding", store=tmp_path / "anew"))
    context = replace(job("normal", "autoencoding", max_order=1), kept=2**30)
    transfers_to(context)
    watch = Watch(monkeypatch)
    kept = unit_of(context)
    assert watch.asked == {}
    assert kept.facts == anew.facts
    assert kept.arrays.keys() == anew.arrays.keys()
    assert all(kept.arrays[name].tobytes() == anew.arrays[name].tobytes() for name in anew.arrays)


@pytest.mark.usefixtures("unchecked_calls")
def test_weights_that_something_else_has_kept_stay(job):
    from taskonomy.training.train_transfer import transfer_with_weights

    context = job("normal", "autoencoding", "colorization", max_order=1)
    transfer_with_weights(context, ("colorization",))
    before = kept_by(context)
    assert set(before) == {("colorization",)}
    assert kept_by(replace(context, kept=before["colorization",] - 1)) == before
