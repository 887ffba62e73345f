"""How fast this machine trains a run's networks: timed steps of the real networks on made-up images, and the operations that a step takes."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from taskonomy.config.network_params import Precision, RateShape, ScheduleParams
from taskonomy.config.params import Params
from taskonomy.config.task_config import task_config
from taskonomy.dataset.prepared_dataset import PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input, Mask
from taskonomy.machine.device import fastest, threads_for
from taskonomy.models.encoder import make_encoder
from taskonomy.models.networks import task_network, transfer_network
from taskonomy.training.dataloader import Batches, CodeInputs, ImageInputs, Labels, NetworkInputs
from taskonomy.training.gpu_cache import resident
from taskonomy.training.train_unit import ConstantPredictor, NoInput
from taskonomy.training.trainer import autocast, fit, losses_of

# Peak of dense bfloat16 arithmetic, TFLOP/s.
PEAKS = {"H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "H200": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125}
STEP = 1.5e11  # FLOP of a measured step: large networks are measured in smaller batches
STEPS = 3
GPU_STEPS = 40  # steps of an epoch on a GPU, where the very first ones run before the recording
SAMPLES = 64  # made-up images that batches are drawn from


def now() -> float:
    """Return a time in seconds, of which only differences count: the clock's, or the processor time used where processors do the work."""
    return time.perf_counter() if fastest().type == "cuda" else time.process_time()


class Stamps(list[float]):
    """The time of its creation, and of the end of each epoch, validation included."""

    def __init__(self) -> None:
        super().__init__([now()])

    def __call__(self, epoch: int, curve: object) -> None:
        """Note the end of an epoch; `fit` calls this."""
        self.append(now())


@dataclass(frozen=True)
class Rate:
    """The time of one sample in one process.

    Attributes:
        train: Seconds of a training step, divided by its samples.
        test: Seconds to test one sample.
    """

    train: float
    test: float


@dataclass(frozen=True)
class NetworkSize:
    """What a network takes of arithmetic and memory.

    Attributes:
        flop: Floating point operations of a training step, per sample: forward and backward.
        weights: Number of weights.
        outputs: Numbers that all layers output for one sample: a step keeps most of them until its backward pass.
    """

    flop: float
    weights: int
    outputs: int

    def memory(self, batch: int, width: int) -> float:
        """Compute the bytes of a step: weights, gradients, Adam's two moments, the best weights so far, and outputs of `width` bytes a number."""
        return self.weights * 4 * 5 + batch * self.outputs * width


def train_rate(
    network: nn.Module,
    task: PreparedTask,
    inputs: NetworkInputs,
    positions: Int[np.ndarray, " samples"],
    plan: ScheduleParams,
    precision: Precision,
    steps: int = STEPS,
) -> Rate:
    """Measure the seconds per sample in an epoch that is not the first.

    Batches are made as they are needed; on a GPU threads make them ahead, except for codes, which are small enough to be kept there with labels.
    """
    assert task.task.loss is not None
    device, labels = fastest(), Labels(task)
    threads = threads_for(device)
    there = resident(labels, inputs, positions, device, threads) if isinstance(inputs, CodeInputs) else None
    if device.type == "cuda":
        steps = max(steps, GPU_STEPS)

    def batches(count: int) -> Batches:
        samples = np.resize(positions, count * plan.batch)
        return Batches(labels, inputs, samples, plan.batch, threads) if there is None else Batches(*there, samples, plan.batch)

    few, many = batches(1), batches(steps)
    with tempfile.TemporaryDirectory() as folder:
        ends, how = Stamps(), {"precision": precision, "save_every": 1e9, "checkpoint": Path(folder) / "none"}
        twice = plan.model_copy(update={"epochs": 2, "least_steps": 1, "shape": RateShape.COSINE, "warm_up": 0.0})  # the rate changes no time
        fit(network, task.task.loss, many, few, twice, name="rate", seed=0, each_epoch=ends, **how)  # type: ignore[arg-type]
    began = now()
    losses_of(network, task.task.loss, few, precision)
    judged = now() - began
    return Rate(max(ends[2] - ends[1] - judged, 0.1 * judged) / steps / plan.batch, judged / plan.batch)


def flop_of_step(network: nn.Module, seen: torch.Tensor, precision: Precision) -> float:
    """Count the floating point operations of convolutions and products, forward and backward, on whatever device the network is."""
    with FlopCounterMode(display=False) as counter:
        with autocast(seen.device, precision) if seen.device.type != "meta" else nullcontext():
            output = network.train()(seen)
        output.float().mean().backward()
    return float(counter.get_total_flops())


def size_of(network: nn.Module, seen: torch.Tensor) -> NetworkSize:
    """Compute the size of a network on the device `meta`, which holds no numbers and computes none."""
    outputs = 0

    def count(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    hooks = [module.register_forward_hook(count) for module in network.modules() if not list(module.children())]
    flop = flop_of_step(network, seen, Precision.FLOAT32)
    for hook in hooks:
        hook.remove()
    return NetworkSize(flop / len(seen), sum(one.numel() for one in network.parameters()), outputs // len(seen))


@dataclass(frozen=True)
class NetworkKind:
    """One network of a run.

    Attributes:
        name: Name of its task.
        transfer: Whether it is a transfer to the task; if not, it is the task's own network.
        maps: Whether its output is a map.
    """

    name: str
    transfer: bool
    maps: bool


class Nets:
    """The networks that a run's parameters ask for, built without its data."""

    def __init__(self, params: Params) -> None:
        self.params, self.registry, self.side = params, params.registry, params.data.resolution
        self.precision = params.train.precision.here()
        self.encoder, self.decoder = params.train.encoder, params.train.decoder

    def kinds(self) -> list[NetworkKind]:
        """List the task networks, then the transfers."""
        own = [NetworkKind(name, False, not head.layers) for name in self.params.data.tasks if (head := self.registry[name].head) is not None]
        return own + [NetworkKind(one.name, True, one.maps) for one in own if one.name in self.params.transfer.targets]

    def network(self, kind: NetworkKind) -> nn.Module:
        """Build a fresh network of this kind."""
        task = self.task(kind.name).task
        if kind.transfer:
            return transfer_network(task, 1, self.encoder, self.decoder, self.side)
        tile_side = self.params.train.tile_side if task.input is Input.TILES else None
        return task_network(task, self.encoder, self.decoder, self.side, tile_side=tile_side)

    def schedule(self, kind: NetworkKind) -> ScheduleParams:
        """Return the schedule that a network of this kind is trained by."""
        output = self.registry[kind.name].output
        return self.params.transfer.schedule.of(output) if kind.transfer else self.params.train.schedule_of(kind.name, output)

    def size(self, kind: NetworkKind) -> NetworkSize:
        """Compute a network's size on the device `meta`."""
        task = self.task(kind.name).task
        with torch.device("meta"):
            side = task.input_side(self.side, self.params.train.tile_side)
            code = (self.encoder.channels, self.side // self.encoder.stride)
            shape = code if kind.transfer else (task.in_channels, side)
            return size_of(self.network(kind), torch.zeros(2, task.tiles, shape[0], shape[1], shape[1]))

    def task(self, name: str) -> PreparedTask:
        """Build a task with the head of the parameters and made-up labels, whose values do not matter for the time of a step."""
        task, rng = self.registry[name], np.random.default_rng(0)
        label, head = task.label, task.head
        assert label is not None and head is not None  # noqa: PT018
        shape, dtype = (SAMPLES, *label.array_shape(self.side)), np.dtype(label.dtype)
        stored = rng.integers(0, 2, shape).astype(dtype) if dtype.kind in "iu" else (rng.random(shape) + 0.01).astype(dtype)
        plain = {"mean": [0.0] * head.channels, "std": [1.0] * head.channels, "weights": [1.0] * head.channels}
        masks = np.ones((SAMPLES, self.side, self.side), bool) if label.mask is Mask.DEPTH else None
        statistics = {**label.options, **self.params.data.labels.get(name, {}), **(plain if label.statistics else {})}
        samples = np.stack([np.roll(np.arange(SAMPLES), -number) for number in range(task.images)], 1)
        made = PreparedTask(task, samples, stored, masks, statistics, np.full(SAMPLES, Split.TRANSFER.number))
        return replace(made, task=task_config(task, self.params).definition)

    def inputs(self, kind: NetworkKind) -> NetworkInputs:
        """Build made-up inputs of a network."""
        rng, task = np.random.default_rng(0), self.registry[kind.name]
        if kind.transfer:
            side = self.side // self.encoder.stride
            codes = rng.random((SAMPLES, self.encoder.channels, side, side)).astype(self.params.transfer.codes)
            return CodeInputs([codes], np.arange(SAMPLES))
        images = rng.integers(0, 256, (SAMPLES, self.side, self.side, 3), dtype=np.uint8)
        return ImageInputs(images, task.input, self.params.train.tile_side if task.input is Input.TILES else None)

    def rate(self, kind: NetworkKind, size: NetworkSize) -> Rate:
        """Measure a network's rate, in smaller batches where a step would take long."""
        plan = self.schedule(kind)
        plan = plan.model_copy(update={"batch": max(2, min(plan.batch, int(STEP / size.flop)))})
        network = self.network(kind).to(fastest())
        steps = STEPS if size.flop * plan.batch < STEP else 1
        return train_rate(network, self.task(kind.name), self.inputs(kind), np.arange(SAMPLES), plan, self.precision, steps)

    def constant(self, kind: NetworkKind) -> Rate:
        """Measure the rate of a task's best constant."""
        task = self.task(kind.name)
        head = task.task.head
        assert head is not None
        shape = task.task.output_shape(self.side)
        plan = self.schedule(kind).model_copy(update={"batch": 64})
        return train_rate(ConstantPredictor(shape).to(fastest()), task, NoInput(), np.arange(SAMPLES), plan, Precision.FLOAT32)

    @torch.no_grad()
    def _encode(self, encoder: nn.Module, images: torch.Tensor) -> float:
        began = now()
        with autocast(images.device, self.precision):
            encoder(images).float().cpu()
        return now() - began

    def encoding(self) -> tuple[NetworkSize, float]:
        """Compute an encoder's size, and the seconds in which it encodes one image."""
        with torch.device("meta"):
            size = size_of(make_encoder(self.encoder), torch.zeros(2, 3, self.side, self.side))
        encoder = make_encoder(self.encoder).eval().to(fastest(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = torch.zeros(max(1, min(SAMPLES, int(3 * STEP / size.flop))), 3, self.side, self.side).to(fastest())
        return size, min(self._encode(encoder, images) for _again in range(2)) / len(images)


def calibrated(nets: Nets, sizes: dict[NetworkKind, NetworkSize], seconds: float) -> Iterator[tuple[NetworkKind, Rate]]:
    """Yield the rates of as many networks as the time allows, one of each form first; those whose step would take too long are left out."""
    torch.set_num_threads(1)
    until = time.perf_counter() + seconds
    first = list({(kind.transfer, kind.maps): kind for kind in reversed(list(sizes))}.values())[::-1]
    speed: dict[tuple[bool, bool], float] = {}
    for kind in [*first, *(kind for kind in sizes if kind not in first)]:
        form = kind.transfer, kind.maps
        if form in speed and time.perf_counter() + speed[form] * max(sizes[kind].flop, STEP / 4) > until:
            continue
        began = time.perf_counter()
        rate = nets.rate(kind, sizes[kind])
        speed[form] = (time.perf_counter() - began) / max(sizes[kind].flop, STEP / 4)
        yield kind, rate
