"""The learning rate over the steps of a training, and what a schedule must not ask for."""

from math import cos, pi

import numpy as np
import pytest
from test_fit import batches, bits, network
from tiny import KilledError, profile

from taskonomy.config.checked import checked
from taskonomy.config.network_params import ScheduleParams
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Output
from taskonomy.tasks import BUILT_IN
from taskonomy.training import trainer
from taskonomy.training.trainer import fit, losses_of, rates_of

NAME = "camera_pose_fixated"


def plan(**values: object) -> ScheduleParams:
    """A cosine, where nothing else is said."""
    plain = {"epochs": 3, "batch": 8, "rate": 2e-3, "shape": "cosine", "warm_up": 0.1, "weight_decay": 2e-6}
    return checked(ScheduleParams, {**plain, **values}, "train.schedule")


def stepwise(**values: object) -> ScheduleParams:
    return plan(**{"shape": "step", "warm_up": 0, "slow_after": 0.7, **values})


def fitted(prepared, folder, schedule, count: int | None = None, **options):
    net, loss = network(NAME), BUILT_IN[NAME].loss
    train, validation = batches(prepared, NAME, Split.TRAIN), batches(prepared, NAME, Split.VALIDATION)
    train.positions = train.positions[:count]
    return net, fit(net, loss, train, validation, schedule, name=NAME, seed=0, checkpoint=folder / "state", **options)


def recorded(monkeypatch) -> list[float]:
    """Every rate that is set from now on."""
    rates: list[float] = []
    really = trainer.set_rate
    monkeypatch.setattr(trainer, "set_rate", lambda optimizer, rate: (rates.append(rate), really(optimizer, rate)))
    return rates


@pytest.mark.parametrize(("steps", "warm_up"), [(100, 0.1), (96, 0.25), (7, 0.0), (1, 0.0), (3, 0.1)])
def test_the_rate_rises_evenly_then_falls_as_half_a_cosine(steps, warm_up):
    rates = rates_of(plan(warm_up=warm_up), steps, "x")
    warm = round(warm_up * steps)
    assert len(rates) == steps
    assert rates[:warm] == pytest.approx([2e-3 * (step + 1) / (warm + 1) for step in range(warm)])
    assert rates[warm:] == pytest.approx([2e-3 * cos((step - warm) / (steps - warm) * pi / 2) ** 2 for step in range(warm, steps)])
    assert max(rates) == rates[warm] == 2e-3


def test_the_papers_rate_falls_to_a_tenth_after_80_000_of_112_500_steps():
    rates = np.array(rates_of(stepwise(rate=1e-4, slow_after=80_000 / 112_500), 112_500, "x"))
    assert (rates[:80_000] == 1e-4).all()
    assert rates[80_000:] == pytest.approx(1e-5)


def test_a_step_comes_within_an_epoch_too():
    """0.7 of three epochs of 4 steps: the last 3 steps are slow, although no epoch begins after 0.7."""
    assert rates_of(stepwise(), 12, "x")[8:] == pytest.approx([2e-3, 2e-4, 2e-4, 2e-4])


def test_every_step_of_a_training_has_its_own_rate(prepared, tmp_path, monkeypatch):
    rates = recorded(monkeypatch)
    fitted(prepared, tmp_path, plan())
    steps = -(-len(prepared.task(BUILT_IN[NAME]).of_split(Split.TRAIN)) // 8)
    assert rates == rates_of(plan(), 3 * steps, "x")


def test_a_last_batch_of_one_sample_is_no_step(prepared, tmp_path, monkeypatch):
    """Batch normalisation needs more than one."""
    rates = recorded(monkeypatch)
    fitted(prepared, tmp_path, plan(), count=9)
    assert rates == rates_of(plan(), 3, "x")


@pytest.mark.parametrize(("count", "epochs"), [(8, 12), (16, 6), (24, 4), (40, 3)])
def test_few_samples_are_passed_more_often_until_the_least_steps_are_taken(prepared, tmp_path, monkeypatch, count, epochs):
    """So regimes of few images differ in their images, not in how long they are trained."""
    rates = recorded(monkeypatch)
    _net, result = fitted(prepared, tmp_path, plan(least_steps=12), count=count)
    assert len(result.curve.train) == epochs
    assert len(rates) == max(12, 3 * count // 8)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("schedule", [plan(), stepwise(warm_up=0.2)])
def test_a_killed_training_goes_on_at_the_rate_where_it_was(prepared, schedule, last, tmp_path):
    (tmp_path / "whole").mkdir()
    whole, result = fitted(prepared, tmp_path / "whole", schedule)

    def kill(epoch: int, _curve: object) -> None:
        if epoch == last:
            raise KilledError

    with pytest.raises(KilledError):
        fitted(prepared, tmp_path, schedule, each_epoch=kill)
    again, resumed = fitted(prepared, tmp_path, schedule)
    assert bits(again) == bits(whole)
    assert resumed == result


@pytest.mark.parametrize("curve", [True, False])
def test_a_rate_that_falls_to_zero_ends_with_the_last_epochs_weights(prepared, tmp_path, curve):
    """One validation, at the end, is enough; more of them change no bit."""
    net, result = fitted(prepared, tmp_path, plan(), curve=curve)
    assert result.chosen == 2
    assert [one is None for one in result.curve.validation] == [not curve, not curve, False]
    last = losses_of(net, BUILT_IN[NAME].loss, batches(prepared, NAME, Split.VALIDATION)).mean(dtype=np.float64)
    assert last == pytest.approx(result.curve.validation[-1], rel=1e-6)
    (tmp_path / "other").mkdir()
    assert bits(net) == bits(fitted(prepared, tmp_path / "other", plan(), curve=not curve)[0])


@pytest.mark.parametrize(
    ("schedule", "steps", "message"),
    [
        (
            stepwise(),
            3,
            "its schedule has 3 steps, and none is slow with slow_after 0.7; lower slow_after, or raise epochs or least_steps",
        ),
        (
            plan(warm_up=0.9),
            4,
            "its schedule has 4 steps, and warm_up 0.9 leaves none of them; lower warm_up, or raise epochs or least_steps",
        ),
    ],
)
def test_a_schedule_that_never_slows_or_ends_before_it_has_warmed_up_says_so(schedule, steps, message):
    with pytest.raises(TaskonomyError) as raised:
        rates_of(schedule, steps, "some network")
    assert str(raised.value) == f"some network: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": "step"}, "shape step needs slow_after"),
        ({"slow_after": 0.7}, r"slow_after belongs to shape step \(shape is cosine, slow_after 0.7\)"),
        ({"shape": "step", "slow_after": 1}, "slow_after must be less than 1"),
        ({"shape": "step", "slow_after": 0.1, "warm_up": 0.2}, r"warm_up must end before slow_after \(0.1; warm_up is 0.2\)"),
        ({"warm_up": 1}, "warm_up must be less than 1"),
        ({"rate": {"map": 1e-3, "metric": 1e-3, "classes": 1e-3}}, "vector"),
        ({"rate": 0}, "rate"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused_with_its_key(changes, message):
    with pytest.raises(TaskonomyError, match=message) as raised:
        plan(**changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("change", [{"slow_after": 0.5}, {"shape": "step"}])
def test_what_a_single_task_does_otherwise_must_fit_the_common_schedule(change):
    with pytest.raises(TaskonomyError, match=r"train\.tasks: normal: .*slow_after"):
        profile(train={"schedule": plan().model_dump(), "tasks": {"normal": change}})


def test_rates_go_by_the_kind_of_output():
    rates = {"map": 1.0, "metric": 2.0, "classes": 3.0, "vector": 4.0}
    params = profile(train={"schedule": {**plan().model_dump(), "rate": rates}, "tasks": {"egomotion": {"rate": 5.0}}}).train
    found = {name: params.schedule_of(name, task.output).rate for name, task in BUILT_IN.items() if task.head}
    assert {name for name, rate in found.items() if rate == 2.0} == {"segment_unsup2d", "segment_unsup25d"}
    assert {name for name, rate in found.items() if rate == 3.0} == {"point_matching", "class_object", "class_scene", "jigsaw"}
    assert {name for name, rate in found.items() if rate == 4.0} == {
        "room_layout",
        "vanishing_point",
        "camera_pose_fixated",
        "camera_pose_nonfixated",
    }
    assert found["egomotion"] == 5.0
    assert found["segment_semantic"] == found["colorization"] == found["normal"] == 1.0
    assert plan(rate=7.0).of(Output.VECTOR).rate == 7.0
