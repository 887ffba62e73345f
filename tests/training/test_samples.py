"""The predictions that the report shows are those of the networks that were measured, on the images that it says."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from tiny import TRAINED, profile, tiny_config, tiny_context

from taskonomy.atomic_io import write_json
from taskonomy.config.params import Params
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.inference import sample_predictions as samples
from taskonomy.inference.sample_predictions import chosen_transfers, write_samples
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training.transfer_context import SCRATCH, shared
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.stage_outputs import write_transfers
from taskonomy.transfers.transfers import transfers_to

FEW = ("autoencoding", "denoising", "normal")


@pytest.fixture(scope="module")
def where(prepared: Prepared, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    """Cards, and the transfers to one target."""
    root = tmp_path_factory.mktemp("samples")
    for name in TRAINED:
        write_json(root / f"cards/{name}.json", tiny_config(name).as_json())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKONOMY_CORES", "1")  # in this process
        done = transfers_to(tiny_context(prepared.root, trained / "codes", root / "store", "normal", *FEW))
    write_transfers(root / "transfers/normal", trained / "models/normal", done)
    return RunContext(root / "cards", prepared.root, trained / "codes", trained / "models", root / "store", params().transfer)


def transfers_of(where: RunContext) -> Path:
    """The folder with the losses of the transfers."""
    return where.cards.parent / "transfers"


def params(**changes: object) -> Params:
    """Few tasks, of which one is a target."""
    return profile(data={"tasks": list(TRAINED)}, transfer={"targets": ["normal"]}, samples={"views": 2, "side": 48, "sources": 2, **changes})


@pytest.fixture(scope="module")
def written(where: RunContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "samples"
    shared.cache_clear()
    write_samples(folder, where, transfers_of(where), params())
    return folder


def picture(folder: Path, name: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB).astype(int)


def test_every_network_is_shown_on_the_same_images_of_the_half_that_policies_are_judged_on(prepared: Prepared, written: Path) -> None:
    shown = json.loads((written / "samples.json").read_text())
    learnt = [name for name in TRAINED if BUILT_IN[name].label is not None]
    assert [one["task"] for one in shown["networks"]] == learnt
    by_task = {one["task"]: one for one in shown["networks"]}
    assert all(len(one["samples"]) == 2 for one in shown["networks"])
    # The clean image is the label of both; what denoising saw is not clean, and images in grey are.
    clean = [one["truth"] for one in by_task["autoencoding"]["samples"]]
    assert clean == [one["truth"] for one in by_task["denoising"]["samples"]]
    assert clean != [one["seen"] for one in by_task["denoising"]["samples"]]
    assert [one["seen"] for one in by_task["normal"]["samples"]] == shown["transfers"][0]["seen"]
    grey = picture(written, by_task["colorization"]["samples"][0]["seen"])
    assert (grey == grey[..., :1]).all()
    assert by_task["camera_pose_fixated"]["samples"][0]["seen"] is None
    test = np.flatnonzero(prepared.index["split"] == "test_policy")
    images = [cv2.resize(np.asarray(prepared.images[row]), (48, 48), interpolation=cv2.INTER_NEAREST).astype(int) for row in test]
    assert all(min(np.abs(picture(written, name) - image).max() for image in images) <= 1 for name in clean)


def test_the_outputs_that_are_drawn_have_the_losses_that_were_measured(where: RunContext, prepared: Prepared, monkeypatch, tmp_path: Path) -> None:
    """Held against the stored losses of the very samples: of the task's own network, of each transfer, and of the one from scratch."""
    found: list[np.ndarray] = []
    draw = samples._outputs

    def judged(network, task, inputs, chosen):
        seen, outputs = draw(network, task, inputs, chosen)
        label, mask = task.labels(chosen), task.mask(chosen)[..., None]
        error = np.abs(outputs.float().numpy().transpose(0, 2, 3, 1) - label)
        found.append((error * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3))))
        places.append(np.searchsorted(task.of_split(Split.TEST_POLICY), chosen))
        return seen, outputs

    places: list[np.ndarray] = []
    monkeypatch.setattr(samples, "_outputs", judged)
    shared.cache_clear()
    album = samples.PictureAlbum(tmp_path, prepared, BUILT_IN, params().samples)
    shown, units = samples._transfers(album, where, transfers_of(where) / "normal", params(), "normal")
    arrays = np.load(transfers_of(where) / "normal/test_policy.npz")
    names = arrays["candidates"].tolist()
    assert [column["kind"] for column in shown["columns"]] == ["own", "transfer", "transfer", "transfer", "scratch"]
    for column, losses, place in zip(shown["columns"], found, places, strict=True):
        stored = arrays["scratch"] if column["kind"] == "scratch" else arrays["losses"][names.index("+".join(column["sources"]))]
        assert losses == pytest.approx(stored[place], rel=0.02, abs=1e-3)
        wins = np.mean((stored < arrays["pixels"]) + (stored == arrays["pixels"]) / 2)
        assert column["gain"] == (None if column["kind"] == "scratch" else pytest.approx(wins))
    assert [sources for _key, _target, sources in units] == ["+".join(column["sources"]) for column in shown["columns"][1:]]


def test_the_weights_of_what_is_drawn_are_stored_once_and_named_as_in_use(where: RunContext, written: Path, tmp_path: Path) -> None:
    keys = pd.read_csv(written / "units.csv")
    assert list(keys["sources"])[-1] == SCRATCH[0]
    store = Store(where.store)
    assert all(store.has(key) for key in keys["key"])
    before = set(store.keys())
    shared.cache_clear()
    write_samples(tmp_path / "again", where, transfers_of(where), params())
    assert set(store.keys()) == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == {path.name: path.read_bytes() for path in written.iterdir()}


def test_other_seeds_show_other_images_and_targets_that_are_none_are_left_out(where: RunContext, written: Path, tmp_path: Path) -> None:
    shared.cache_clear()
    write_samples(tmp_path / "other", where, transfers_of(where), params(seed=1, targets=["segment_unsup25d"]))
    shown, other = (json.loads((folder / "samples.json").read_text()) for folder in (written, tmp_path / "other"))
    assert other["transfers"] == []
    assert [one["samples"] for one in other["networks"]] != [one["samples"] for one in shown["networks"]]
    with pytest.raises(TaskonomyError, match=r"samples\.targets.*norml"):
        params(targets=["norml"])


def test_sources_are_spread_from_the_best_to_the_worst(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e", "normal", "a+b", "c+d", "self"]
    losses = np.arange(len(names))[:, None] + np.zeros((1, 10)) + np.linspace(0, 0.5, 10)
    np.savez(tmp_path / "x.npz", candidates=np.array(names), losses=losses.astype(np.float32))
    assert chosen_transfers(tmp_path / "x.npz", "normal", 3) == [("a", "b"), ("a",), ("c",), ("e",)]
    assert chosen_transfers(tmp_path / "x.npz", "normal", 9) == [("a", "b"), ("a",), ("b",), ("c",), ("d",), ("e",)]
