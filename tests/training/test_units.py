"""Units of work: trained once, whatever happened before and whoever trains beside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from tiny import KilledError, files_of, profile
from waiting import HANG

from taskonomy.config.network_params import Precision, ScheduleParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.models.networks import task_network
from taskonomy.store.store import Store, Unit, key_of
from taskonomy.tasks import BUILT_IN
from taskonomy.training.dataloader import ImageInputs, Labels
from taskonomy.training.train_unit import JUDGED, ConstantPredictor, NoInput, Recipe, judged_at_once, train_unit, weights_of

SCHEDULE = ScheduleParams(epochs=3, batch=12, rate=2e-3, slow_after=0.7, weight_decay=2e-6)
KEY = key_of(unit="test")


def recipe(prepared: Prepared, task: str = "autoencoding", **changes) -> Recipe:
    one = prepared.task(BUILT_IN[task])
    values = {
        "name": f"network {task}",
        "task": one.task,
        "labels": Labels(one),
        "inputs": ImageInputs(prepared.images, one.task.input),
        "train": one.of_split(Split.TRAIN),
        "schedule": SCHEDULE,
        "precision": Precision.FLOAT32,
        "seed": 0,
        "save_every": 0.0,
    }
    return Recipe(**(values | changes))


class Making:
    """Gives fresh networks and counts them."""

    def __init__(self, prepared: Prepared, task: str = "autoencoding") -> None:
        self.task, self.count = prepared.task(BUILT_IN[task]).task, 0

    def __call__(self) -> torch.nn.Module:
        self.count += 1
        train = profile().train
        return task_network(self.task, train.encoder, train.decoder, 32)


def unit(prepared: Prepared, root: Path, task: str = "autoencoding", making: Making | None = None, *, key: str = KEY, **options) -> Unit:
    changes = {name: options.pop(name) for name in list(options) if name in Recipe.__dataclass_fields__}
    return train_unit(Store(root), key, recipe(prepared, task, **changes), making or Making(prepared, task), keep=True, **options)


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The file of a unit whose training nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    unit(prepared, root)
    return files_of(root)


@pytest.mark.parametrize("save_every", [0.0, 1e9])
@pytest.mark.parametrize("last", [0, 2])
def test_a_killed_unit_ends_with_the_same_file(prepared, whole, last, save_every, tmp_path):
    """Whether a state was saved, or the training begins anew."""

    def kill(epoch: int, _curve: object) -> None:
        if epoch == last:
            raise KilledError

    with pytest.raises(KilledError):
        unit(prepared, tmp_path, each_epoch=kill, save_every=save_every)
    assert files_of(tmp_path) == {}
    assert list(Store(tmp_path).states()) == ([KEY] if save_every == 0 else [])
    unit(prepared, tmp_path, save_every=save_every)
    assert files_of(tmp_path) == whole
    assert list(Store(tmp_path).states()) == []


PROGRAM = """
import os, signal, sys
sys.path[:0] = ["tests", "tests/training"]
from pathlib import Path
from test_units import unit
from taskonomy.dataset.prepared_dataset import Prepared

def kill(epoch, curve):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

unit(Prepared(Path(sys.argv[1])), Path(sys.argv[2]), each_epoch=kill)
"""


def test_a_unit_killed_by_sigkill_in_another_process_ends_here_with_the_same_file(prepared, whole, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(prepared.root), str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, timeout=HANG, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert killed.returncode == -signal.SIGKILL
    assert list(Store(tmp_path).states()) == [KEY]
    assert files_of(tmp_path) == {}
    unit(prepared, tmp_path)
    assert files_of(tmp_path) == whole


def test_a_known_unit_is_never_trained_again(prepared, tmp_path):
    making, told = Making(prepared), []
    first = unit(prepared, tmp_path, making=making, each_epoch=lambda epoch, curve: told.append((epoch, curve.train[epoch], curve.validation[epoch])))
    assert making.count == 1
    once = list(told)
    again = unit(prepared, tmp_path, making=making, each_epoch=lambda epoch, curve: told.append((epoch, curve.train[epoch], curve.validation[epoch])))
    assert making.count == 1
    assert told == once + once  # its curves are those of its training
    assert [epoch for epoch, *_losses in once] == [0, 1, 2]
    assert first.facts == again.facts
    assert first.arrays.keys() == again.arrays.keys()
    assert all(first.arrays[name].tobytes() == again.arrays[name].tobytes() for name in ("test_affinity", "test_policy"))
    assert all(torch.equal(weights_of(first)[name], value) for name, value in weights_of(again).items())


@pytest.mark.parametrize("at", [0.0, 0.01, 0.5, 0.999])
def test_a_damaged_unit_is_trained_again_to_the_same_file(prepared, whole, at, tmp_path, capsys):
    ((name, data),) = whole.items()
    path = tmp_path / name[:2] / name
    path.parent.mkdir()
    place = int(at * len(data))
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    making = Making(prepared)
    unit(prepared, tmp_path, making=making)
    assert making.count == 1
    assert "damaged" in capsys.readouterr().err
    assert files_of(tmp_path) == whole


def test_company_changes_no_bit(prepared, whole, tmp_path):
    """Neither other units trained before, nor how many threads torch had, nor random numbers drawn."""
    unit(prepared, tmp_path / "other", "point_matching")
    torch.set_num_threads(2)
    torch.manual_seed(99)
    unit(prepared, tmp_path / "this")
    assert files_of(tmp_path / "this") == whole


def test_seed_and_name_decide_the_initial_weights_and_the_order(prepared, whole, tmp_path):
    made = [whole]
    for number, change in enumerate(({"seed": 1}, {"name": "scratch autoencoding"})):
        unit(prepared, tmp_path / str(number), **change)
        made.append(files_of(tmp_path / str(number)))
    arrays = [Store(tmp_path / str(number)).read(KEY) for number in (0, 1)]
    assert len({data for one in made for data in one.values()}) == 3
    assert not np.array_equal(arrays[0].arrays["test_policy"], arrays[1].arrays["test_policy"])


def test_every_test_image_has_its_loss_and_the_kept_weights_give_it(prepared, tmp_path):
    made = unit(prepared, tmp_path)
    net = Making(prepared)()
    net.load_state_dict(weights_of(made))
    net.eval()
    for split in TEST_SPLITS:
        rows = prepared.task(BUILT_IN["autoencoding"]).of_split(split)
        assert made.arrays[split].shape == rows.shape
        seen = torch.from_numpy(prepared.images[rows].astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            by_hand = (net(seen[:, None]) - seen).abs().mean((1, 2, 3)).numpy()
        np.testing.assert_allclose(made.arrays[split], by_hand, rtol=1e-4)


def test_a_loss_that_is_not_finite_stops_with_task_epoch_step_and_state_and_stores_nothing(prepared, tmp_path):
    def burst(rate: float) -> None:
        unit(prepared, tmp_path, schedule=SCHEDULE.model_copy(update={"rate": rate}))

    with pytest.raises(TaskonomyError, match=r"^network autoencoding: the loss is not finite in (validating )?epoch \d+.*(state is|no epoch)"):
        burst(1e38)
    assert files_of(tmp_path) == {}


class Blind:
    """ImageInputs, but nothing finite of those whose rows are in a list."""

    def __init__(self, images: ImageInputs, rows: np.ndarray) -> None:
        self.images, self.rows = images, rows

    def seen(self, rows, keys, epoch, orders):
        seen = self.images.seen(rows, keys, epoch, orders)
        seen[np.isin(rows, self.rows)] = float("nan")
        return seen


def test_test_images_without_a_finite_loss_are_counted(prepared, tmp_path):
    task = prepared.task(BUILT_IN["autoencoding"])
    inputs = Blind(ImageInputs(prepared.images, task.task.input), task.of_split(Split.TEST_POLICY)[[1, 5]])
    with pytest.raises(TaskonomyError, match="network autoencoding: the loss is not finite on 2 images of test_policy"):
        unit(prepared, tmp_path, inputs=inputs)
    assert files_of(tmp_path) == {}


def test_a_task_without_a_loss_is_refused_by_name(prepared, tmp_path):
    with pytest.raises(TaskonomyError, match="random_projection has no loss"):
        unit(prepared, tmp_path, "random_projection", making=Making(prepared))


def test_a_constant_is_one_output_whatever_it_sees():
    constant = ConstantPredictor((3, 4, 4))
    out = constant(NoInput().seen(np.zeros((5, 1), int), np.arange(5), 0, None))
    assert out.shape == (5, 3, 4, 4)
    assert torch.equal(out, out[:1].expand(5, -1, -1, -1))


@pytest.mark.parametrize("task", ["normal", "class_scene"])
def test_test_images_are_judged_in_larger_batches_with_the_same_losses(prepared, task, tmp_path, monkeypatch):
    making = Making(prepared, task)
    in_large = unit(prepared, tmp_path / "large", task, making)
    assert judged_at_once(making(), recipe(prepared, task)) == JUDGED
    monkeypatch.setattr("taskonomy.training.train_unit.OUTPUTS", 1)
    assert judged_at_once(making(), recipe(prepared, task)) == SCHEDULE.batch
    in_small = unit(prepared, tmp_path / "small", task, making)
    for name, values in in_small.arrays.items():
        np.testing.assert_allclose(in_large.arrays[name], values, rtol=1e-4, atol=1e-6)
