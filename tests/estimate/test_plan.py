"""Plans against what runs made, and against brute force."""

import subprocess
import sys
import warnings
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from tiny import profile
from torch import nn

from taskonomy.cli.main import main
from taskonomy.config.network_params import Beam
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.estimate.estimate import code_bytes, make_plan
from taskonomy.estimate.estimate_text import render
from taskonomy.estimate.throughput import Nets, NetworkKind, size_of
from taskonomy.estimate.workload import BUILDING, images_of, sets_of, units_of
from taskonomy.tasks import BUILT_IN
from taskonomy.transfers.beam_search import candidates
from taskonomy.world.generate import building_name

FEW = {
    "data": {"tasks": ["normal", "autoencoding", "camera_pose_fixated", "colorization", "random_projection"]},
    "transfer": {"targets": ["normal", "camera_pose_fixated"]},
}


@pytest.mark.parametrize("beam", [Beam.PAPER, Beam.ALL, 1, 2, 3])
@pytest.mark.parametrize("pool", [3, 5, 8])
def test_as_many_sets_as_the_beam_makes(beam: Beam | int, pool: int) -> None:
    """With affinities drawn anew each time: where their number depends on them, none exceeds the plan, and some ways of drawing reach half of it."""
    most = {2: 0, 3: 0, 4: 0}
    for seed in range(5):
        rng, names = np.random.default_rng(seed), [f"t{number}" for number in range(pool)]
        affinity = {(name,): rng.random() for name in names}
        for order in most:
            found = candidates(order, affinity, names, beam)
            affinity |= {sources: rng.random() for sources in found}
            planned = sets_of(order, pool, beam)
            most[order] = max(most[order], len(found))
            assert len(found) <= planned <= comb(pool, order)
            if isinstance(beam, Beam) or beam == 1 or order == 2:
                assert len(found) == planned
    assert all(2 * many >= sets_of(order, pool, beam) for order, many in most.items())


def test_units_are_those_of_the_released_measurements_at_the_papers_setting() -> None:
    """22 targets, orders to 4 as in the release: 10 pairs, 10 triples and 15 fours to each."""
    params = profile(transfer={"max_order": 4})
    units = units_of(params)
    assert dict(units.transfers) == {1: 26 * 22, 2: 10 * 22, 3: 10 * 22, 4: 15 * 22}
    assert (units.networks, units.constants, units.scratch, units.variants, units.exact) == (25, 25, 22, 0, True)
    assert not units_of(profile(transfer={"max_order": 3, "beam": 2})).exact


def test_units_of_more_are_those_that_are_planned() -> None:
    """By hand: a token makes no transfer to its own source or intermediate; targets that see the same images share what lies between."""
    params = profile(transfer={"targets": ["normal", "reshading", "denoising"], "variants": ["normal>reshading", "normal@0.5"]})
    units = units_of(params)
    assert units.variants == 1 + 2  # denoising by way of reshading; reshading and denoising from a fine-tuned normal
    assert units.steps == 1 + 1


def test_units_of_smaller_amounts_by_hand() -> None:
    """Three targets, two smaller amounts."""
    targets = {"targets": ["normal", "reshading", "denoising"], "max_order": 3}
    one = units_of(profile(transfer={**targets, "images": [12]}))
    assert (one.of_amounts, one.exact, one.total) == (0, True, units_of(profile(transfer={**targets, "images": 12})).total)
    several = units_of(profile(transfer={**targets, "images": [4, 8, 12]}))
    # With each smaller amount and for each target: 26 sources, the best pair and triple, both baselines; with all three, one encoder is fine-tuned.
    assert several.of_amounts == several.total - one.total == 2 * 3 * (26 + 2 + 2) + 3 * 3
    few = units_of(profile(transfer={**targets, "images": [4, 12], "fewer": {"sources": 5, "sets": 0, "fine_tuned": 0}}))
    assert few.of_amounts == 3 * (5 + 1 + 2)  # at most: the target's own encoder beside the five best


def test_images_are_counted_without_any(prepared: Prepared) -> None:
    images = images_of(profile())
    assert dict(images.of) == prepared.manifest["views"]
    assert images.coded == int((prepared.splits != 0).sum())
    assert [BUILDING.format(number) for number in (0, 7, 10_000)] == [building_name(number) for number in (0, 7, 10_000)]


def test_images_of_a_root_that_is_there_are_counted_there(prepared: Prepared) -> None:
    found = images_of(profile(data={"root": str(prepared.root.parent / "world")}))
    assert dict(found.of) == prepared.manifest["views"]


def test_a_root_that_is_not_there_has_the_papers_images_or_those_told() -> None:
    papers = images_of(profile(data={"root": "data/nowhere"}))
    assert (papers.of["train"], papers.of["transfer"] + papers.of["validation"], papers.tested) == (120_000, 16_000, 17_000)
    told = images_of(profile(data={"root": "data/nowhere"}), views=1000)
    assert told.total == 1000
    assert told.of["train"] == 660


def test_disk_is_what_was_written(prepared: Prepared, trained: Path) -> None:
    plan = make_plan(profile(), "tiny", pipeline=ROOT / "dvc.yaml")
    written = sum(path.stat().st_size for path in prepared.root.rglob("*") if path.is_file())
    assert written <= plan.disk["prepared data"] < 1.1 * written + 2**20
    codes = np.load(trained / "codes/normal/image.npy", mmap_mode="r")
    assert codes.nbytes == plan.images.coded * code_bytes(profile())
    assert plan.disk["codes"] == len(profile().data.tasks) * len(list((trained / "codes/normal").glob("*.npy"))) * codes.nbytes


def test_arithmetic_weights_and_outputs_by_hand() -> None:
    with torch.device("meta"):
        size = size_of(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)), torch.zeros(5, 3, 16, 16))
    first, second = 2 * 16 * 16 * 3 * 8 * 9, 2 * 16 * 16 * 8 * 4
    assert size.flop == 2 * first + 3 * second  # nobody asks for the gradient of the image
    assert size.weights == 3 * 8 * 9 + 8 + 8 * 4 + 4
    assert size.outputs == 16 * 16 * (8 + 8 + 4)


@pytest.mark.parametrize("name", [name for name, task in BUILT_IN.items() if task.head is not None])
def test_every_network_has_a_size_that_is_its_own(name: str) -> None:
    nets = Nets(profile())
    for kind in (NetworkKind(name, False, True), NetworkKind(name, True, True)):
        size = nets.size(kind)
        assert size.weights == sum(one.numel() for one in nets.network(kind).parameters())
        assert size.flop > 0


def test_a_plan_with_hours_of_real_steps() -> None:
    plan = make_plan(profile(**FEW), "few", seconds=0.5, pipeline=ROOT / "dvc.yaml")
    hours = {one.what: one for one in plan.hours}
    assert hours["task networks"].count == 4
    assert hours["transfers of order 2"].count == plan.units.transfers[2] == 3 + 3
    assert all(one.seconds > 0 for one in plan.hours)
    assert plan.seconds == pytest.approx(sum(one.seconds for one in plan.hours) / plan.cores)
    assert plan.gpu_hours > 0
    assert 2**28 < (plan.memory or 0) < 2**36
    assert set(hours) == {"world and labels", "task networks", "best constants", "codes", "from scratch", "shallow networks on the image",
                          "transfers of order 1", "transfers of order 2", "starts of processes"}  # fmt: skip
    text = render(plan)
    assert "4 task networks and 4 best constants" in text
    assert "of one H100 at 14% of its bfloat16 peak" in text


def test_a_plan_has_what_encoders_of_others_take(tmp_path: Path) -> None:
    """Images outside the train split as they are and with noise, and those that components are fitted to; a file that is not there yet is named."""
    net = nn.Conv2d(3, 5, 3, stride=2, bias=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 3, 32, 32),), str(tmp_path / "x.onnx"), dynamo=False, input_names=["image"], output_names=["code"],
                          dynamic_axes={"image": {0: "n"}, "code": {0: "n"}})  # fmt: skip
    one = {"file": str(tmp_path / "x.onnx"), "output": "code", "side": 32, "channels": 4, "title": "Mine"}
    few = {**FEW, "transfer": {"targets": ["normal", "denoising"]}, "data": {"tasks": [*FEW["data"]["tasks"], "denoising"]}}
    plain = make_plan(profile(**few), "few", pipeline=ROOT / "dvc.yaml")
    plan = make_plan(profile(**few, encoders={"mine": one, "gone": {**one, "file": "gone.onnx"}}), "few", seconds=0.5, pipeline=ROOT / "dvc.yaml")
    hours = {one.what: one for one in plan.hours}
    images = plan.images
    assert hours["codes of Mine"].count == 2 * images.coded + images.of["train"]
    assert hours["codes of Mine"].seconds > 0
    assert hours["codes of Mine"].tflop == pytest.approx(2 * 5 * 3 * 9 * 15 * 15 * hours["codes of Mine"].count / 1e12)
    assert "gone.onnx is not there" in render(plan)
    place = 2 * 2 * images.coded * (profile().data.resolution // profile().train.encoder.stride) ** 2  # float16, as they are and with noise
    assert plan.disk["codes"] - plain.disk["codes"] == 2 * 4 * place


def test_counting_needs_no_torch_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.yaml", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    code = (
        "import sys; from taskonomy.cli.main import app; app(['plan', '--profile', 'paper', '--no-calibration'], standalone_mode=False);"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run((sys.executable, "-c", code), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "params.yaml with profiles/paper.yaml" in done.stdout
    # 1,740 transfers are released of 22 targets, 26 sources and orders to 4; beside these are chains and orders to 25
    assert "transfers 572 of order 1, 220 of order 2, 220 of order 3, 330 of order 4" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "params.yaml", "profiles"]


def test_what_cannot_be_planned_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["taskonomy", "plan", "--profile", "papper", "--no-calibration"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert str(stopped.value.code).startswith("error: profile: unknown 'papper' (did you mean 'paper'?)")
