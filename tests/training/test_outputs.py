"""What the stages write: whole or not at all, and in agreement with the units it names."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TRAINED, KilledError, once, tiny_config, tiny_context
from torch import nn

from taskonomy.affinity.losses_file import open_losses, read_losses
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training.checkpoint import load_weights, save_weights
from taskonomy.training.task_networks import Trained, train_task
from taskonomy.training.trainer import Curve
from taskonomy.transfers.stage_outputs import CurveLog, write_network, write_transfers
from taskonomy.transfers.transfers import SCRATCH, Transferred, transfers_to


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("task", TRAINED)
def test_a_networks_folder_holds_the_losses_of_the_units_it_names(trained, prepared, task):
    store, folder = Store(trained / "store"), trained / "models" / task
    keys = {row["name"]: row["key"] for row in rows_of(folder / "units.csv")}
    assert set(keys) == (set() if task == "random_projection" else {"self", "average"})
    assert all((folder / f"{split}.npz").is_file() == bool(keys) for split in TEST_SPLITS)
    for split in TEST_SPLITS if keys else ():
        with np.load(folder / f"{split}.npz") as arrays:
            assert set(arrays) == set(keys)
            for name, key in keys.items():
                assert arrays[name].shape == prepared.task(BUILT_IN[task]).of_split(split).shape
                np.testing.assert_array_equal(arrays[name], store.read(key).arrays[split])


def test_curves_are_the_losses_of_every_epoch(trained):
    unit = Store(trained / "store").read(rows_of(trained / "models/normal/units.csv")[0]["key"])
    for name in ("train", "validation"):
        (path,) = (trained / "models/normal/curves").rglob(f"{name}.tsv")
        written = [float(row[name]) for row in csv.DictReader(path.read_text().splitlines(), delimiter="\t")]
        assert written == pytest.approx(unit.facts[name])
    facts = load_weights(trained / "models/normal/network.safetensors", _network(trained))
    assert facts["epoch"] == 1 + int(np.argmin(unit.facts["validation"]))


def _network(trained: Path) -> nn.Module:
    """Of the form of the saved one: any module with these weights."""
    from safetensors.torch import load_file

    module = nn.Module()
    for name, value in load_file(trained / "models/normal/network.safetensors").items():
        parts = name.split(".")
        at = module
        for part in parts[:-1]:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.register_buffer(parts[-1], torch.zeros_like(value))
    return module


def test_a_known_network_is_written_as_it_was_when_it_was_trained(prepared, trained, tmp_path):
    values = tiny_config("normal")
    with CurveLog(values) as curves:
        done = train_task(prepared, values, Store(trained / "store"), curves.log)
        write_network(tmp_path / "model", tmp_path / "codes", done, curves)
    for new, old in ((tmp_path / "model", trained / "models/normal"), (tmp_path / "codes", trained / "codes/normal")):
        names = {path.relative_to(old) for path in old.rglob("*") if path.is_file()}
        assert names == {path.relative_to(new) for path in new.rglob("*") if path.is_file()}
        for name in names:
            if name.suffix in (".npy", ".csv", ".safetensors"):
                assert (new / name).read_bytes() == (old / name).read_bytes()


class Breaking(CurveLog):
    def copy_to(self, folder: Path) -> None:
        raise KilledError


def test_a_folder_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/old").write_text("old")
    done = Trained({}, {}, nn.Linear(2, 2), {"image": np.zeros((1, 1, 1, 1), np.float16)})
    with Breaking(tiny_config("random_projection")) as curves, pytest.raises(KilledError):
        write_network(tmp_path / "model", tmp_path / "codes", done, curves)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes", "model"]


def test_curves_leave_nothing_behind_and_nothing_in_the_workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def one_epoch() -> None:
        with CurveLog(tiny_config("normal")) as curves:
            curves.log(0, Curve([0.5], [0.25]))
            curves.copy_to(tmp_path / "curves")
            raise KilledError

    with pytest.raises(KilledError):
        one_epoch()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"tmp", "curves"}
    assert {path.stem for path in (tmp_path / "curves").rglob("*.tsv")} == {"train", "validation"}


@pytest.fixture(scope="module")
def store(prepared, trained, tmp_path_factory) -> Path:
    """The units of all transfers from a few sources; to be read only."""
    return once(tmp_path_factory, "three_sources", lambda folder: all_transfers(prepared, trained, folder / "store")) / "store"


@pytest.fixture(scope="module")
def done(prepared, trained, store) -> Transferred:
    """These transfers, which are known."""
    return all_transfers(prepared, trained, store)


def all_transfers(prepared: Prepared, trained: Path, store: Path) -> Transferred:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKONOMY_CORES", "1")
        sources = ("autoencoding", "colorization", "random_projection")
        return transfers_to(tiny_context(prepared.root, trained / "codes", store, "normal", *sources, beam="all"))


def test_a_targets_folder_holds_every_transfer_and_its_own_network(done, store, trained, tmp_path):
    write_transfers(tmp_path / "normal", trained / "models/normal", done)
    table = {row["sources"]: row for row in rows_of(tmp_path / "normal/units.csv")}
    for split in TEST_SPLITS:
        with open_losses(tmp_path / f"normal/{split}.npz", "normal") as losses:
            assert set(losses.candidates) == {"autoencoding", "colorization", "random_projection", "autoencoding+colorization", "self"}
            for name, row in zip(losses.candidates, losses.losses, strict=True):
                if name == "self":
                    np.testing.assert_array_equal(row, np.load(trained / f"models/normal/{split}.npz")["self"])
                else:
                    np.testing.assert_array_equal(row, Store(store).read(table[name]["key"]).arrays[split])
            np.testing.assert_array_equal(losses.scratch, done.units[SCRATCH].arrays[split])
            assert not np.array_equal(losses.average, np.load(trained / f"models/normal/{split}.npz")["average"])  # which saw the train split
    assert {row["key"] for row in table.values()} == set(Store(store).keys())
    for name, row in table.items():
        if name == "average":  # its rate does not fall to zero, so that it has the epoch with the lowest validation loss
            continue
        facts = Store(store).read(row["key"]).facts
        assert int(row["epoch"]) == len(facts["train"])  # the rate falls to zero
        assert float(row["validation"]) == facts["validation"][-1]


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    match how:
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[:-40])
        case "flipped":
            place = len(data) // 3
            path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        case "text":
            path.write_text("losses")
        case "other":
            np.savez(path, other=np.zeros(2))
        case "pickle":
            np.savez(path, self=np.array([{"a": 1}]))


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "flipped", "text", "other", "pickle"])
def test_losses_that_cannot_be_read_are_named_and_nothing_is_written(done, how, trained, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for split in TEST_SPLITS:
        (model / f"{split}.npz").write_bytes((trained / f"models/normal/{split}.npz").read_bytes())
    damaged(model / "test_policy.npz", how)
    with pytest.raises(TaskonomyError, match=r"model/test_policy\.npz: not readable losses"):
        write_transfers(tmp_path / "normal", model, done)
    assert not (tmp_path / "normal").exists()
    assert read_losses(model / "test_affinity.npz", "self")[0].shape == (24,)


# State files


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_weights_that_are_damaged_or_anothers_are_refused_by_name(tmp_path, damage):
    net, path = nn.Linear(3, 2), tmp_path / "w.safetensors"
    save_weights(path, net, {"epoch": 2})
    other = nn.Linear(3, 2)
    assert load_weights(path, other) == {"epoch": 2}
    assert torch.equal(other.weight, net.weight)
    with pytest.raises(TaskonomyError, match=r"w\.safetensors: weights of another network"):
        load_weights(path, nn.Linear(2, 2))
    path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    with pytest.raises(TaskonomyError, match=r"w\.safetensors: not the weights"):
        load_weights(path, other)


def test_cards_and_facts_are_json_that_every_parser_reads(trained):
    for task in TRAINED:
        json.dumps(tiny_config(task).as_json(), allow_nan=False)
