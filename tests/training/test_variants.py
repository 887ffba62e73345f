"""Transitive and fine-tuned transfers: real trainings at the tiny setting."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tiny import TRAINED, files_of, profile, tiny_config, tiny_context
from waiting import HANG

from taskonomy.affinity.losses_file import open_losses
from taskonomy.atomic_io import write_json
from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.models.networks import transfer_network
from taskonomy.models.transfer import STREAMS, WIDTH
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training import train_unit as units
from taskonomy.training.dataloader import CodeInputs
from taskonomy.training.train_unit import weights_of
from taskonomy.training.transfer_context import shared
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.transfers import transfers_to
from taskonomy.transfers.variants import few_samples, train_variants, write_variants

TARGETS = ("autoencoding", "camera_pose_fixated", "denoising", "normal")


@pytest.fixture
def job(prepared, trained, tmp_path, monkeypatch):
    """Jobs on what is trained, with a store of the test's own; units are trained in this process."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    for task in TRAINED:
        write_json(tmp_path / "cards" / f"{task}.json", tiny_config(task).as_json())

    def make(*variants, targets=TARGETS, store=tmp_path / "store", models=trained / "models", **params):
        shared.cache_clear()
        section = profile(data={"tasks": list(TRAINED)}, transfer={"targets": list(targets), "variants": list(variants), **params}).transfer
        return RunContext(tmp_path / "cards", prepared.root, trained / "codes", models, store, section)

    return make


class Watch:
    """The real `fit`, which keeps for each name the samples it learns from, and the weights before and after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.samples, self.before, self.after, self.fit = {}, {}, {}, units.fit
        monkeypatch.setattr(units, "fit", self)

    def __call__(self, network, loss, train, validation, *rest, **options):
        name = options["name"]
        assert name not in self.samples
        self.samples[name] = train.positions
        self.before[name] = {key: value.clone() for key, value in network.state_dict().items()}
        result = self.fit(network, loss, train, validation, *rest, **options)
        self.after[name] = {key: value.clone() for key, value in network.state_dict().items()}
        return result


def rows_of(path: Path) -> set[tuple[str, str, str]]:
    return {(row["key"], row["target"], row["sources"]) for row in csv.DictReader(path.read_text().splitlines())}


TOKENS = ("normal>camera_pose_fixated", "autoencoding>normal", "normal@0.5", "random_projection@1")
EXPECTED = {
    "autoencoding": ["normal>camera_pose_fixated", "normal@0.5", "random_projection@1"],
    "camera_pose_fixated": ["autoencoding>normal", "normal@0.5", "random_projection@1"],
    "denoising": list(TOKENS),
    "normal": ["random_projection@1"],
}


def test_every_target_has_what_is_asked_for_but_by_way_of_itself(job, prepared, tmp_path):
    told = []
    done = train_variants(job(*TOKENS), told.append)
    write_variants(tmp_path / "variants", done)
    store = Store(tmp_path / "store")
    assert {folder.name for folder in (tmp_path / "variants").iterdir()} == {*EXPECTED, "units.csv"}
    rows = rows_of(tmp_path / "variants/units.csv")
    for target, written in EXPECTED.items():
        keys = {sources: key for key, into, sources in rows if into == target and sources in written}
        assert set(keys) == set(written)
        for split in TEST_SPLITS:
            with open_losses(tmp_path / f"variants/{target}/{split}.npz", target) as losses:
                assert losses.candidates == written
                assert losses.losses.shape == (len(written), len(prepared.task(BUILT_IN[target]).of_split(split)))
                assert np.isfinite(losses.losses).all()
                for name, row in zip(written, losses.losses, strict=True):
                    np.testing.assert_array_equal(row, store.read(keys[name]).arrays[split])
    # Every unit of the store is named, so none is cleared: transfers, two kept ones, and representations, one for noise and one for plain images.
    assert {key for key, *_rest in rows} == set(store.keys())
    named = sorted((target, sources) for _key, target, sources in rows)
    steps = [("camera_pose_fixated", "normal"), ("normal", "autoencoding")]
    middles = [("camera_pose_fixated", "normal>camera_pose_fixated"), ("normal", "autoencoding>normal")] * 2
    assert named == sorted([(target, one) for target, written in EXPECTED.items() for one in written] + steps + middles)
    assert sum(told) == len(rows)


@pytest.mark.usefixtures("unchecked_calls")
def test_what_is_known_is_not_trained_again(job, tmp_path, monkeypatch):
    first = train_variants(job(*TOKENS[:3]))
    made = files_of(tmp_path / "store")
    watch, told = Watch(monkeypatch), []
    again = train_variants(job(*TOKENS[:3]), told.append)
    assert watch.samples == {}
    assert again.planned == first.planned
    assert sum(told) == len(first.units)
    # One token more trains its own alone.
    train_variants(job(*TOKENS[:3], "autoencoding@0.5"))
    assert set(watch.samples) == {f"fine-tuned autoencoding {target}" for target in TARGETS if target != "autoencoding"}
    assert made.items() <= files_of(tmp_path / "store").items()
    # What only known units needed is not made again; what is lost is, with the same bits.
    watch.samples.clear()
    kept = [one for one in first.planned if one.middle]
    for key in {key for one in kept for key in (one.through, one.middle)} | {kept[0].key}:
        Store(tmp_path / "store").remove(key)
    train_variants(job(*TOKENS[:3]))
    assert set(watch.samples) == {f"transfer {kept[0].variant.written} {kept[0].target}", "transfer normal camera_pose_fixated"}
    assert made[f"{kept[0].key}.unit"] == files_of(tmp_path / "store")[f"{kept[0].key}.unit"]


@pytest.mark.long  # those of transfers are compared each time
def test_two_processes_make_the_same_files_as_one(job, tmp_path, monkeypatch):
    asked = job(*TOKENS[:3], targets=("denoising", "camera_pose_fixated"))
    train_variants(asked)
    monkeypatch.setenv("TASKONOMY_CORES", "2")
    train_variants(job(*TOKENS[:3], targets=("denoising", "camera_pose_fixated"), store=tmp_path / "two"))
    assert files_of(tmp_path / "two") == files_of(tmp_path / "store")
    assert len(files_of(tmp_path / "two")) == 5 + 2 + 3


def test_the_first_step_is_the_transfer_that_the_stage_transfer_trains(job, prepared, trained, tmp_path):
    """To the last bit: the intermediate's samples, schedule and seeds are those of its own transfers."""
    (one,) = train_variants(job("autoencoding>normal", targets=("camera_pose_fixated",))).planned
    direct = transfers_to(tiny_context(prepared.root, trained / "codes", tmp_path / "other", "normal", "autoencoding", max_order=1))
    kept, plain = Store(tmp_path / "store").read(one.through), direct.units[("autoencoding",)]
    for split in TEST_SPLITS:
        np.testing.assert_array_equal(kept.arrays[split], plain.arrays[split])
    assert weights_of(kept)
    assert not weights_of(plain)


@pytest.mark.parametrize(("intermediate", "target", "how"), [("normal", "denoising", "noise"), ("camera_pose_fixated", "normal", "image")])
def test_the_representation_is_what_the_frozen_transfer_gives_its_decoder(job, prepared, trained, tmp_path, intermediate, target, how):
    """The intermediate's whole network gives the same output from codes as its decoder from representations of every image."""
    (one,) = train_variants(job(f"autoencoding>{intermediate}", targets=(target,), codes="float32", precision="float32")).planned
    store, config, codes = Store(tmp_path / "store"), tiny_config(intermediate), np.load(trained / f"codes/autoencoding/{how}.npy").astype(np.float32)
    middle = store.read(one.middle).arrays["codes"]
    assert middle.shape == (len(codes), STREAMS * WIDTH, *codes.shape[2:])
    task = BUILT_IN[intermediate]
    network = transfer_network(task, 1, config.encoder, config.decoder, int(prepared.images.shape[1]))
    network.load_state_dict(weights_of(store.read(one.through)))
    network.eval()
    images = np.arange(len(codes) // task.images * task.images).reshape(-1, task.images)
    with torch.no_grad():
        whole = network(torch.from_numpy(codes[images]))
        parts = network.decoder(torch.from_numpy(middle[images]).flatten(1, 2))
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    assert parts.std() > 0


def test_the_target_reads_representations_and_no_codes(job, prepared, trained, tmp_path, monkeypatch):
    read = []
    real = CodeInputs.seen
    monkeypatch.setattr(CodeInputs, "seen", lambda self, *rest: (read.append(real(self, *rest).shape[2]), real(self, *rest))[1])
    one, other = train_variants(job("autoencoding>normal", "autoencoding>camera_pose_fixated", targets=("denoising",))).planned
    channels = int(np.load(trained / "codes/autoencoding/image.npy", mmap_mode="r").shape[1])
    assert set(read) == {channels, STREAMS * WIDTH}
    direct = transfers_to(tiny_context(prepared.root, trained / "codes", tmp_path / "other", "denoising", "autoencoding", max_order=1))
    store = Store(tmp_path / "store")
    losses = [direct.units[("autoencoding",)].arrays["test_policy"], *(store.read(way.key).arrays["test_policy"] for way in (one, other))]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (losses[first] != losses[second]).mean() > 0.9


@pytest.mark.parametrize("source", ["normal", "random_projection"])
def test_fine_tuning_starts_from_the_sources_encoder_and_trains_all_of_it(job, prepared, trained, monkeypatch, source):
    watch = Watch(monkeypatch)
    train_variants(job(f"{source}@0.5", targets=("denoising", "camera_pose_fixated")))
    saved = load_file(trained / f"models/{source}/network.safetensors")
    encoder = {name.removeprefix("encoder."): value for name, value in saved.items() if not name.startswith("decoder.")}
    for target in ("denoising", "camera_pose_fixated"):
        before, after = watch.before[f"fine-tuned {source} {target}"], watch.after[f"fine-tuned {source} {target}"]
        started = {name.removeprefix("encoder."): value.numpy() for name, value in before.items() if name.startswith("encoder.")}
        assert started.keys() == encoder.keys()
        for name, value in encoder.items():
            np.testing.assert_array_equal(started[name], value)
        own = load_file(trained / f"models/{target}/network.safetensors")
        assert before.keys() == own.keys()  # of the form of the target's own network, with a decoder that knows nothing yet
        convolutions = [name for name, value in before.items() if value.ndim == 4]
        assert all(not np.array_equal(before[name], own[name]) for name in convolutions)
        assert all(not torch.equal(before[name], after[name]) for name in convolutions)
        positions = prepared.task(BUILT_IN[target]).of_split(Split.TRAIN)
        samples = watch.samples[f"fine-tuned {source} {target}"]
        assert set(samples) < set(positions)
        assert len(samples) == round(0.5 * len(positions))


SPLITS = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@given(SPLITS, st.floats(0.001, 1), st.floats(0.001, 1), st.integers(2, 20), st.integers(0, 3))
def test_smaller_shares_lie_in_larger_ones_and_hold_a_batch(splits, one, other, batch, seed):
    task = PreparedTask(BUILT_IN["normal"], np.arange(len(splits))[:, None], None, None, {}, np.array(splits))
    train = np.flatnonzero(np.array(splits) == 0)
    small, large = (few_samples(task, share, batch, seed) for share in sorted((one, other)))
    assert set(small) <= set(large) <= set(train)
    assert len(small) == len(set(small)) == min(len(train), max(batch, round(min(one, other) * len(train))))
    np.testing.assert_array_equal(small, np.sort(small))
    np.testing.assert_array_equal(few_samples(task, 1, batch, seed), train)


def test_shares_differ_in_their_samples_alone(job, monkeypatch):
    """Two shares start from the same weights; two that give the same samples are one unit."""
    asked = job("normal@0.3", targets=("denoising",)), job("normal@0.9", targets=("denoising",))
    before = []
    for one in asked:
        with monkeypatch.context() as patch:
            watch = Watch(patch)
            train_variants(one)
            before.append(watch.before["fine-tuned normal denoising"])
            samples = watch.samples["fine-tuned normal denoising"]
    assert len(samples) > 12
    scaled = {name for name in before[0] if not torch.equal(before[0][name], before[1][name])}
    assert all(name.endswith((".centre", ".spread")) for name in scaled), scaled  # of the labels of the samples
    first, second = train_variants(job("normal@0.001", "normal@0.002", targets=("denoising",))).planned
    assert first.key == second.key


def test_a_changed_source_makes_new_keys_and_a_changed_schedule_too(job, trained, tmp_path):
    models = tmp_path / "models"
    for name in ("normal", "autoencoding"):
        (models / name).mkdir(parents=True)
        (models / name / "network.safetensors").write_bytes((trained / f"models/{name}/network.safetensors").read_bytes())
    asked = "normal@0.5", "autoencoding@0.5"
    keys = [one.key for one in train_variants(job(*asked, targets=("denoising",), models=models)).planned]
    (models / "normal/network.safetensors").write_bytes((trained / "models/denoising/network.safetensors").read_bytes())
    changed = [one.key for one in train_variants(job(*asked, targets=("denoising",), models=models)).planned]
    assert changed[0] != keys[0]
    assert changed[1] == keys[1]
    faster = {**profile().transfer.schedule.model_dump(), "rate": 0.003}
    assert not set(keys) & {one.key for one in train_variants(job(*asked, targets=("denoising",), schedule=faster)).planned}


def test_weights_that_are_missing_or_damaged_are_named(job, trained, tmp_path):
    (tmp_path / "models/normal").mkdir(parents=True)
    with pytest.raises(TaskonomyError, match=r"models/normal/network\.safetensors: no readable weights .*the stage `train` writes them"):
        train_variants(job("normal@0.5", models=tmp_path / "models"))
    whole = (trained / "models/normal/network.safetensors").read_bytes()
    (tmp_path / "models/normal/network.safetensors").write_bytes(whole[:-20])
    with pytest.raises(TaskonomyError, match=r"models/normal/network\.safetensors: no readable weights"):
        train_variants(job("normal@0.5", models=tmp_path / "models"))
    other = load_file(trained / "models/colorization/network.safetensors")  # of grey images: another form
    from safetensors.numpy import save_file

    save_file(other, tmp_path / "models/normal/network.safetensors")
    with pytest.raises(TaskonomyError, match=r"transfer\.variants: the encoder of normal does not fit the network of"):
        train_variants(job("normal@0.5", models=tmp_path / "models"))
    assert files_of(tmp_path / "store") == {}


@pytest.fixture
def project(prepared, trained, tmp_path):
    """A folder in which the stage runs."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "data").mkdir()
    for link, to in (("data/prepared", prepared.root), ("data/codes", trained / "codes"), ("models", trained / "models")):
        (folder / link).symlink_to(to)
    for task in TRAINED:
        write_json(folder / f"data/cards/{task}.json", tiny_config(task).as_json())

    def write(*variants):
        values = profile(data={"tasks": list(TRAINED)}, transfer={"targets": ["normal", "denoising"], "variants": list(variants)})
        (folder / "params.yaml").write_text(yaml.safe_dump(values.model_dump(mode="json")))
        return folder

    return write


def stage(folder: Path) -> subprocess.CompletedProcess[str]:
    """The real stage; at its end it says whether torch was loaded."""
    options = ["--cards", "data/cards", "--prepared", "data/prepared", "--codes", "data/codes", "--models", "models", "--variants", "data/variants"]
    program = (
        f"import runpy, sys; sys.argv = {['variants', *options]!r}\n"
        f"runpy.run_path({str(ROOT / 'stages/variants.py')!r}, run_name='__main__'); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TASKONOMY_CORES": "1"}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG, cwd=folder, env=environment)


def test_an_empty_list_is_a_header_and_loads_no_torch(project):
    folder = project()
    done = stage(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False"]
    assert [(path.name, path.read_text()) for path in (folder / "data/variants").iterdir()] == [("units.csv", "key,target,sources\n")]


def test_the_stage_writes_rows_and_takes_them_away_again(project):
    folder = project("autoencoding>normal", "normal@0.2")
    done = stage(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True"]
    assert sorted(path.name for path in (folder / "data/variants").iterdir()) == ["denoising", "units.csv"]
    first = {path: path.read_bytes() for path in (folder / "data/variants").rglob("*.*")}
    again = stage(folder)
    assert again.stdout.splitlines() == ["False"]  # all of it is known: nothing to train
    assert {path: path.read_bytes() for path in (folder / "data/variants").rglob("*.*")} == first
    assert stage(project()).returncode == 0
    assert [path.name for path in (folder / "data/variants").iterdir()] == ["units.csv"]


def test_a_stage_that_cannot_go_on_says_why_in_one_line(project):
    folder = project("normal@0.5")
    (folder / "data/cards/denoising.json").unlink()
    done = stage(folder)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/cards/denoising.json: no readable configuration of a task")
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "data/variants").exists()
