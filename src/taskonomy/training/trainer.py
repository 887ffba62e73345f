"""One training loop for every network, independent of the task."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from taskonomy.config.network_params import AdversarialParams, Precision, RateShape, ScheduleParams
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss
from taskonomy.numeric.rng import generator
from taskonomy.training.adversarial import Adversary
from taskonomy.training.checkpoint import load_training, save_training
from taskonomy.training.cuda_graphs import Recorded, adam, compiled, on_a_stream, set_rate
from taskonomy.training.dataloader import Batch, Batches
from taskonomy.training.losses import per_sample

_LOOK = 200  # steps of a GPU between two checks that its losses are finite


def rates_of(schedule: ScheduleParams, steps: int, name: str) -> list[float]:
    """Compute the learning rate of each step.

    It rises evenly to its highest, which the first step after the warm-up has. Then it falls: by a cosine, of which the step after the last one has
    the zero (Loshchilov and Hutter 2017), or to a tenth after a share of all steps (paper: 1e-4, then 1e-5).

    Raises:
        TaskonomyError: There are too few steps to warm up, or to slow down; says what would be right.
    """
    highest, warm = float(schedule.rate), round(schedule.warm_up * steps)  # type: ignore[arg-type]  # `of` has made it a number
    rising = [highest * (step + 1) / (warm + 1) for step in range(warm)]
    if schedule.shape is RateShape.COSINE:
        if warm >= steps:
            raise TaskonomyError(f"{name}: {_TOO_FEW.format(steps, f'warm_up {schedule.warm_up:g} leaves none of them', 'lower warm_up')}")
        return rising + [highest * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2 for step in range(warm, steps)]
    slow = math.ceil((schedule.slow_after or 1) * steps)
    if slow >= steps or warm > slow:
        raise TaskonomyError(f"{name}: {_TOO_FEW.format(steps, f'none is slow with slow_after {schedule.slow_after:g}', 'lower slow_after')}")
    return rising + [highest] * (slow - warm) + [highest / 10] * (steps - slow)


_TOO_FEW = "its schedule has {} steps, and {}; {}, or raise epochs or least_steps"


@dataclass
class Curve:
    """Mean losses by epoch; None where there was no validation."""

    train: list[float] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)


def seeded(seed: int, *what: object) -> None:
    """Seed torch's own random numbers (initial weights, dropout) from the seed and what is computed."""
    torch.manual_seed(int(generator(seed, *what).integers(2**63)))


@dataclass(frozen=True)
class Result:
    """What a training returns besides the weights.

    Attributes:
        curve: Mean losses by epoch.
        chosen: The epoch whose weights were kept, counted from 0.
    """

    curve: Curve
    chosen: int


def fit(
    network: nn.Module,
    loss: Loss,
    train: Batches,
    validation: Batches,
    schedule: ScheduleParams,
    *,
    name: str,
    seed: int,
    checkpoint: Path,
    precision: Precision = Precision.FLOAT32,
    adversarial: AdversarialParams | None = None,
    save_every: float = 0.0,
    curve: bool = True,
    each_epoch: Callable[[int, Curve], object] | None = None,
) -> Result:
    """Train in place. Where the rate falls to zero the network ends with the weights of the last epoch, else with those of the best validated one.

    After a kill at any moment a second call with the same arguments continues from the last saved epoch, or starts again if that is damaged;
    either way it ends with the same bits.

    Args:
        network: The network with its initial weights, on the device to train on.
        loss: The loss that it is trained with.
        train: Samples to learn from.
        validation: Samples to validate by.
        schedule: Epochs, batch and learning rate.
        name: Name of what is trained, part of every seed and named in errors.
        seed: Seed.
        checkpoint: File for the state between epochs; the caller removes it when the result is safe.
        precision: Precision of the network's arithmetic; weights, losses and sums are float32.
        adversarial: The adversarial term, for maps trained with L1 or L2; None, or a share of 0: none. No returned loss contains it.
        save_every: Seconds between two saved states; 0: saved after every epoch.
        curve: Whether to validate after every epoch even where no epoch is chosen by that; else the last one is validated.
        each_epoch: Called after every epoch, and for those before a kill.

    Raises:
        TaskonomyError: A loss is not finite; names the step and the last good checkpoint. Or the adversarial term does not fit the task, or the
            schedule has too few steps.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.4 times as fast on a CPU
    device, epochs, choose = _device(network), schedule.passes(train.steps), schedule.shape is RateShape.STEP
    rates = rates_of(schedule, epochs * train.steps, name)
    with on_a_stream(device):
        optimizer = adam(network, rates[0], schedule.weight_decay, device)
        trained, adversary = [(network, optimizer)], None
        if adversarial is not None and adversarial.share:
            seeded(seed, name, "critic")
            adversary = Adversary(name, loss, train, adversarial, schedule.weight_decay, device)
            trained.append((adversary.critic, adversary.optimizer))
        steps = _Steps(network, loss, optimizer, precision, len(rates), recorded=device.type == "cuda" and adversary is None)
        losses, best, lowest, chosen, first = Curve(), _copy(network) if choose else {}, math.inf, 0, 0
        if (state := load_training(checkpoint, trained)) is not None:
            best, facts = state
            losses, lowest, chosen, first = Curve(facts["train"], facts["validation"]), facts["lowest"], facts["chosen"], facts["epoch"]
        report, saved = each_epoch or (lambda epoch, curve: None), time.monotonic()
        for epoch in range(first):
            report(epoch, losses)
        for epoch in range(first, epochs):
            seeded(seed, name, "epoch", epoch)
            pace = _Pace(rates, epoch * train.steps, optimizer, adversary)
            losses.train.append(_one_epoch(steps, train, pace, name=name, seed=seed, epoch=epoch, checkpoint=checkpoint))
            value = None
            if choose or curve or epoch == epochs - 1:
                value = float(_losses(network, validation, steps.judge).mean(dtype=np.float64))
                if not math.isfinite(value):
                    raise _not_finite(name, f"validating epoch {epoch + 1}", checkpoint)
            losses.validation.append(value)
            if not choose:
                chosen = epoch
            elif value is not None and value < lowest:
                best, lowest, chosen = _copy(network), value, epoch
            if time.monotonic() - saved >= save_every:
                facts = {"epoch": epoch + 1, "lowest": lowest, "chosen": chosen, "train": losses.train, "validation": losses.validation}
                save_training(checkpoint, trained, best, facts)
                saved = time.monotonic()
            report(epoch, losses)
        if choose:
            network.load_state_dict(best)
        return Result(losses, chosen)


@dataclass
class _Pace:
    """Sets the learning rate of each step, and the critic's.

    Attributes:
        rates: LearningRates of all steps.
        step: The next step.
        optimizer: The network's optimiser.
        adversary: The adversarial term; None: none.
    """

    rates: list[float]
    step: int
    optimizer: torch.optim.Adam
    adversary: Adversary | None

    def next(self) -> Adversary | None:
        """Begin a step; return the adversarial term if it has begun."""
        rate, done = self.rates[self.step], self.step / len(self.rates)
        self.step += 1
        set_rate(self.optimizer, rate)
        if self.adversary is None or done < self.adversary.after:
            return None
        self.adversary.start(rate, done)
        return self.adversary


class _Steps:
    """Training steps, or the losses of batches. On a GPU both are recorded, unless a critic learns between them."""

    def __init__(self, network: nn.Module, loss: Loss, optimizer: torch.optim.Adam, precision: Precision, steps: int, *, recorded: bool) -> None:
        self.network, self.loss, self.optimizer, self.precision, self.recorded = network, loss, optimizer, precision, recorded
        self.device = _device(network)
        self._whole = compiled(network, steps, self.device) if recorded else network
        self.learn = Recorded(self._learn, self.device) if recorded else None
        self.judge = Recorded(self._judge, self.device) if recorded else lambda batch: self._judge(batch.to(self.device), True)

    def output(self, batch: Batch, whole: bool = True) -> Tensor:
        """Compute the network's output for a batch; `whole` tells whether the batch has the usual size."""
        with autocast(self.device, self.precision):
            return (self._whole if whole else self.network)(batch.seen, batch.targets.pixels, batch.targets.packed)

    def go(self, mean: Float32[Tensor, ""]) -> None:
        """Take one step down this loss."""
        self.optimizer.zero_grad(set_to_none=True)
        mean.backward()
        self.optimizer.step()

    def _learn(self, batch: Batch, whole: bool) -> Tensor:
        losses = per_sample(self.loss, self.output(batch, whole), batch.targets)
        self.go(losses.mean())
        return losses.detach()

    def _judge(self, batch: Batch, whole: bool) -> Tensor:
        return per_sample(self.loss, self.output(batch, whole), batch.targets).float()


def _one_epoch(steps: _Steps, train: Batches, pace: _Pace, *, name: str, seed: int, epoch: int, checkpoint: Path) -> float:
    steps.network.train()
    batches = train.shuffled(generator(seed, name).integers(2**31).item(), epoch)
    if steps.learn is not None:
        return _recorded_epoch(steps.learn, batches, pace, steps.device, name, epoch, checkpoint)
    total, samples = torch.zeros((), dtype=torch.float64, device=steps.device), 0
    for step, batch in enumerate(batches):
        adversary = pace.next()
        batch = batch.to(steps.device)
        output = steps.output(batch)
        losses = per_sample(steps.loss, output, batch.targets)
        mean = losses.mean() if adversary is None else adversary.whole(losses.mean(), output, batch)
        if not torch.isfinite(mean):
            raise _not_finite(name, f"epoch {epoch + 1}, step {step + 1}", checkpoint)
        steps.go(mean)
        if adversary is not None and not torch.isfinite(adversary.learn(output, batch)):
            raise _not_finite(name, f"epoch {epoch + 1}, step {step + 1} of the critic", checkpoint)
        total, samples = total + losses.detach().sum(dtype=torch.float64), samples + len(losses)
    return float(total) / samples


def _recorded_epoch(
    learn: Callable[[Batch], Tensor], batches: Iterator[Batch], pace: _Pace, device: torch.device, name: str, epoch: int, checkpoint: Path
) -> float:
    """Train one epoch on a GPU, reading numbers back only now and then, as the processor waits for the GPU each time."""
    total, samples = torch.zeros((), dtype=torch.float64, device=device), 0
    fine = torch.full((), 2**31, device=device)  # larger than any step's number: all losses were finite so far
    for step, batch in enumerate(batches):
        pace.next()
        losses = learn(batch)
        total, samples = total + losses.sum(dtype=torch.float64), samples + len(losses)
        fine = torch.where(torch.isfinite(total), fine, fine.clamp(max=step))
        if step % _LOOK == 0:
            _look(fine, name, epoch, checkpoint)
    _look(fine, name, epoch, checkpoint)
    return float(total) / samples


def _look(fine: Tensor, name: str, epoch: int, checkpoint: Path) -> None:
    if (step := int(fine)) < 2**31:
        raise _not_finite(name, f"epoch {epoch + 1}, step {step + 1}", checkpoint)


def losses_of(network: nn.Module, loss: Loss, batches: Batches, precision: Precision = Precision.FLOAT32) -> Float32[np.ndarray, " samples"]:
    """Compute the loss of every sample, as testing sees it."""
    device = _device(network)

    def judge(batch: Batch) -> Tensor:
        batch = batch.to(device)
        with autocast(device, precision):
            output = network(batch.seen, batch.targets.pixels, batch.targets.packed)
        return per_sample(loss, output, batch.targets).float()

    return _losses(network, batches, judge)


@torch.no_grad()
def _losses(network: nn.Module, batches: Batches, judge: Callable[[Batch], Tensor]) -> Float32[np.ndarray, " samples"]:
    network.eval()
    return torch.cat([judge(batch) for batch in batches.in_order()]).cpu().numpy()


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Set the precision in which networks compute: bfloat16 where that is the precision; losses never use it."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _not_finite(name: str, when: str, checkpoint: Path) -> TaskonomyError:
    last = f"the last good state is {checkpoint}" if checkpoint.is_file() else "no epoch was finished before"
    return TaskonomyError(f"{name}: the loss is not finite in {when}; {last}; a lower learning rate may help")
