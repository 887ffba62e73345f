"""On a GPU: recorded steps compute what plain ones do, bit for bit, for every task, and a training that is killed ends with the same bits."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny import KilledError, schedule

from taskonomy.config.checked import checked
from taskonomy.config.network_params import Precision
from taskonomy.config.params import Params
from taskonomy.errors import TaskonomyError
from taskonomy.estimate.throughput import SAMPLES, Nets, NetworkKind
from taskonomy.machine.device import fastest
from taskonomy.training import cuda_graphs as graphs
from taskonomy.training import trainer as fitting
from taskonomy.training.dataloader import Batches, Labels
from taskonomy.training.gpu_cache import resident
from taskonomy.training.trainer import fit, losses_of, seeded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
TRAIN, VALIDATION, THREADS = np.arange(58), np.arange(40, SAMPLES), 2
DROPOUT = "class_scene"


@cache
def nets() -> Nets:
    return Nets(checked(Params, yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text()), "params.yaml"))


class Plain:
    """Steps that are not recorded."""

    def __init__(self, function, device) -> None:
        self.function, self.device = function, device

    def __call__(self, batch):
        return self.function(batch.to(self.device), True)


def trained(
    kind: NetworkKind, folder: Path, *, there: bool = True, device: torch.device | None = None, epochs: int = 3, spoil: bool = False, **options
):
    device = device or fastest()
    seeded(0, kind.name, "weights")
    network, task, inputs = nets().network(kind).to(device), nets().task(kind.name), nets().inputs(kind)
    labels = Labels(task)
    if spoil:
        with torch.no_grad():
            next(network.parameters()).fill_(torch.nan)
    threads = THREADS if device.type == "cuda" else 0
    each = resident(labels, inputs, np.concatenate([TRAIN, VALIDATION]), device, threads) if there else None

    def batches(positions: np.ndarray) -> Batches:
        return Batches(labels, inputs, positions, 16, threads) if each is None else Batches(*each, positions, 16)

    loss = task.task.loss
    assert loss is not None
    options = {"name": kind.name, "seed": 0, "checkpoint": folder / "state", **options}
    result = fit(network, loss, batches(TRAIN), batches(VALIDATION), schedule(epochs), **options)
    (folder / "state").unlink(missing_ok=True)
    tests = losses_of(network, loss, Batches(labels, inputs, np.arange(SAMPLES), 16, threads))
    return {name: value.cpu() for name, value in network.state_dict().items()}, result, tests


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(("name", "transfer"), [(kind.name, kind.transfer) for kind in nets().kinds()])
def test_recorded_steps_give_the_bits_of_plain_ones_each_time(name, transfer, tmp_path, monkeypatch):
    kind = NetworkKind(name, transfer, False)
    recorded, again = (trained(kind, tmp_path)[0] for _ in range(2))
    monkeypatch.setattr(fitting, "Recorded", Plain)
    plain = trained(kind, tmp_path)[0]
    assert same(recorded, again)
    assert same(recorded, plain)


@pytest.mark.parametrize("name", ["normal", "denoising", "jigsaw", DROPOUT])
def test_batches_made_ahead_and_batches_that_lie_there_are_the_same(name, tmp_path):
    kind = NetworkKind(name, False, False)
    assert same(trained(kind, tmp_path)[0], trained(kind, tmp_path, there=False)[0])


@pytest.mark.parametrize("name", ["normal", "segment_semantic", "edge_texture"])
def test_a_gpu_and_a_processor_agree_within_what_rounding_makes_of_three_epochs(name, tmp_path):
    kind = NetworkKind(name, False, False)
    there, here = trained(kind, tmp_path)[2], trained(kind, tmp_path, device=torch.device("cpu"))[2]
    assert np.abs(there - here).mean() < 0.02 * here.mean()


@pytest.mark.parametrize("name", ["normal", DROPOUT])
def test_a_training_that_is_killed_ends_with_the_same_bits(name, tmp_path):
    kind = NetworkKind(name, False, False)
    whole = trained(kind, tmp_path, epochs=4)[0]

    def kill(epoch: int, _curve: object) -> None:
        if epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        trained(kind, tmp_path, epochs=4, each_epoch=kill)
    assert same(whole, trained(kind, tmp_path, epochs=4)[0])


@pytest.mark.parametrize("name", ["normal", DROPOUT])
def test_compiled_networks_repeat_their_bits_and_learn_as_others_do(name, tmp_path, monkeypatch):
    kind = NetworkKind(name, True, False)
    plain = trained(kind, tmp_path, precision=Precision.BFLOAT16)
    monkeypatch.setattr(graphs, "COMPILED_FROM", 0)
    one, other = (trained(kind, tmp_path, precision=Precision.BFLOAT16) for _ in range(2))
    assert same(one[0], other[0])
    assert np.abs(one[2] - plain[2]).mean() < 0.02 * plain[2].mean()


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path):
    with pytest.raises(TaskonomyError, match=r"normal: the loss is not finite in epoch 1, step 1;"):
        trained(NetworkKind("normal", False, False), tmp_path, spoil=True)


def test_a_rate_of_this_gpu_can_be_measured():
    kind = NetworkKind("normal", True, True)
    assert 0 < nets().rate(kind, nets().size(kind)).train < 1
