"""Transfers and networks from other seeds, and the shallow network on the image that gain is measured against."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_config, tiny_context

from taskonomy.labels.encodings import Input
from taskonomy.tasks import BUILT_IN
from taskonomy.training.codes import code_input
from taskonomy.training.dataloader import FixedImages
from taskonomy.training.train_transfer import fresh_pixels, fresh_transfer
from taskonomy.training.transfer_context import PIXELS
from taskonomy.transfers.repeats import repeated_networks, repeated_transfers
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.transfers import transfers_to


@pytest.fixture
def run(prepared, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    (tmp_path / "cards").mkdir()
    for task in ("normal", "autoencoding"):
        (tmp_path / "cards" / f"{task}.json").write_text(json.dumps(tiny_config(task).as_json()))
    context = tiny_context(prepared.root, trained / "codes", tmp_path / "store", "normal", "autoencoding")
    return RunContext(tmp_path / "cards", prepared.root, trained / "codes", trained / "models", tmp_path / "store", context.params)


def test_a_repeat_is_the_transfer_of_a_run_with_that_seed_and_is_trained_once(run, tmp_path):
    told = []
    found = repeated_transfers(run, ["normal"], ["autoencoding"], 2, told.append)["normal"]["autoencoding"]
    assert len(found) == 2
    for number, unit in enumerate(found, 1):
        params = run.params.model_copy(update={"seed": run.params.seed + number, "max_order": 1})
        other = replace(run, params=params, store=tmp_path / "other").to("normal", ("autoencoding",))
        whole = transfers_to(other).units[("autoencoding",)]
        assert whole.arrays["test_affinity"].tobytes() == unit.arrays["test_affinity"].tobytes()
    assert found[0].arrays["test_affinity"].tobytes() != found[1].arrays["test_affinity"].tobytes()
    before = sorted((tmp_path / "store").rglob("*"))
    again = repeated_transfers(run, ["normal"], ["autoencoding"], 2)["normal"]["autoencoding"]
    assert [one.arrays["test_policy"].tobytes() for one in again] == [one.arrays["test_policy"].tobytes() for one in found]
    assert sorted((tmp_path / "store").rglob("*")) == before


def test_networks_from_other_seeds_differ_and_are_known_the_second_time(run, tmp_path):
    told = []
    first, second = repeated_networks(run, ["normal"], 2, told.append)["normal"]
    assert sum(told) == 2
    assert first.arrays["test_affinity"].tobytes() != second.arrays["test_affinity"].tobytes()
    assert len(first.facts["train"]) == tiny_config("normal").schedule.epochs
    before = sorted((tmp_path / "store").rglob("*"))
    again = repeated_networks(run, ["normal"], 1)["normal"]
    assert again[0].arrays["test_affinity"].tobytes() == first.arrays["test_affinity"].tobytes()
    assert sorted((tmp_path / "store").rglob("*")) == before


@pytest.mark.parametrize("target", ["normal", "denoising", "camera_pose_fixated"])
def test_the_network_on_pixels_has_the_decoder_and_the_output_of_a_transfer(prepared, trained, tmp_path, target):
    context = tiny_context(prepared.root, trained / "codes", tmp_path / "store", target, "autoencoding")
    pixels, transfer = fresh_pixels(context).eval(), fresh_transfer(context, [context.stored_codes("autoencoding")]).eval()
    shapes = [[tuple(weights.shape) for weights in network.decoder.parameters()] for network in (pixels, transfer)]
    assert shapes[0] == shapes[1]
    convolutions = [module for module in pixels.transfer.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [(one.in_channels, one.out_channels) for one in convolutions] == [(3, 4), (4, 8)]
    images = BUILT_IN[target].images
    seen = torch.rand(2, images, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    codes = torch.zeros(2, images, *context.stored_codes("autoencoding").shape[1:])
    with torch.no_grad():
        assert pixels(seen).shape == transfer(codes).shape
        assert pixels.transfer(seen.flatten(0, 1)).shape == transfer.transfer(codes.flatten(0, 1)).shape
        assert not torch.equal(pixels(seen), pixels(seen.flip(-1)))


@pytest.mark.parametrize("target", ["normal", "denoising"])
def test_pixels_sees_the_images_that_sources_encoded_whatever_the_epoch(prepared, target):
    rows = np.array([[3], [0], [7]])
    inputs = FixedImages(prepared.images, BUILT_IN[target].input)
    first, second = (inputs.seen(rows, np.array([11, 12, 13]), epoch, None) for epoch in (0, 5))
    assert torch.equal(first, second)
    assert torch.equal(first[:, 0], code_input(np.asarray(prepared.images[rows[:, 0]]), rows[:, 0], BUILT_IN[target].input, Input.IMAGE))


def test_another_decoder_or_schedule_is_another_baseline_but_another_source_is_not(prepared, trained, tmp_path):
    def key(*sources, **params):
        return tiny_context(prepared.root, trained / "codes", tmp_path / "store", "normal", *sources, **params).resolved().key(PIXELS)

    assert key("autoencoding") == key("autoencoding", "colorization") == key("autoencoding", max_order=1)
    others = {key("autoencoding", seed=1), key("autoencoding", decoder_width=2.0), key("autoencoding", images=8)}
    assert len(others | {key("autoencoding")}) == 4
