"""Transfers to maps: a training step, and 64 test images, with labels packed as the last convolution gives its outputs against whole maps.

All ways take turns; each figure is the fastest of several rounds. Test images are judged in batches as the pipeline judges them, and in training's.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from taskonomy.config.params import read_params
from taskonomy.labels.encodings import Loss
from taskonomy.models.decoders import pack
from taskonomy.models.networks import shuffle_of_decoder, transfer_network
from taskonomy.tasks import BUILT_IN
from taskonomy.training.cuda_graphs import adam
from taskonomy.training.losses import Targets, per_sample
from taskonomy.training.train_unit import JUDGED, OUTPUTS
from taskonomy.training.trainer import autocast

ROOT = Path(__file__).parents[1]
TARGETS = ("normal", "depth_zbuffer", "keypoints2d", "segment_semantic")
ROUNDS, STEPS = 8, 12
CPU = torch.device("cpu")


def main() -> None:
    torch.set_num_threads(1)
    for name in TARGETS:
        first, second, small = _times(name)
        print(
            f"{name:18s} step {1000 * first[0]:5.2f} ms packed, {first[1] / first[0]:.2f} times as long whole;"
            f" {JUDGED} images {1000 * second[0]:5.1f} ms, {second[1] / second[0]:.2f} times whole, {small / second[0]:.2f} also in small batches"
        )


def _times(name: str) -> tuple[list[float], list[float], float]:
    """Measure seconds of a step and of judging, each packed and whole, and of judging whole maps in training's batches."""
    params = read_params(ROOT / "params.yaml")
    task, train, side = BUILT_IN[name], params.train, params.data.resolution
    assert task.loss is not None
    loss = task.loss
    shuffle, batch = shuffle_of_decoder(task, train.encoder, train.decoder, side), params.transfer.schedule.batch
    network = transfer_network(task, 1, train.encoder, train.decoder, side).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, precision = adam(network, 1e-3, 0.0, CPU), params.transfer.precision.here()
    code = side // train.encoder.stride

    def seen(count: int) -> torch.Tensor:
        return torch.rand(count, 1, train.encoder.channels, code, code)

    def output(codes: torch.Tensor, wanted: Targets) -> torch.Tensor:
        with autocast(CPU, precision):
            out: torch.Tensor = network(codes, None, wanted.packed)
        return per_sample(loss, out, wanted)

    def step(codes: torch.Tensor, wanted: Targets) -> None:
        network.train()
        mean = output(codes, wanted).mean()
        optimizer.zero_grad(set_to_none=True)
        mean.backward()
        optimizer.step()

    @torch.no_grad()
    def judge(codes: torch.Tensor, wanted: Targets, times: int = 1) -> None:
        network.eval()
        for _ in range(times):
            output(codes, wanted)

    at_once = max(batch, min(JUDGED, OUTPUTS // (task.outputs * side**2)))
    few, many = seen(batch), seen(at_once)
    steps = [_per_call(step, few, wanted) for wanted in _targets(loss, task.outputs, batch, side, shuffle)]
    judged = [_per_call(judge, many, wanted, JUDGED // at_once) for wanted in _targets(loss, task.outputs, at_once, side, shuffle)]
    whole = _targets(loss, task.outputs, batch, side, shuffle)[1]
    found = _fastest([*steps, *judged, _per_call(judge, few, whole, JUDGED // batch)])
    return found[:2], found[2:4], found[4]


def _targets(loss: Loss, outputs: int, count: int, side: int, shuffle: int) -> list[Targets]:
    """Make labels, packed and whole."""
    if loss is Loss.CROSS_ENTROPY:
        whole = Targets(torch.randint(outputs, (count, side, side)), None, {})
    else:
        whole = Targets(torch.rand(count, side, side, outputs), torch.rand(count, side, side) > 0.05, {})
    packed = whole.each_row(lambda one: pack(one, shuffle).contiguous().movedim(-1, 1))
    return [Targets(packed.values, packed.mask, {}, packed=True), whole]


def _per_call(function: Callable[..., None], *given: object) -> Callable[[], None]:
    return lambda: function(*given)


def _fastest(calls: list[Callable[[], None]]) -> list[float]:
    """Time the calls in turns, in seconds of the processor for one call."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for number, call in enumerate(calls):
            call()
            started = time.process_time()
            for _ in range(STEPS):
                call()
            best[number] = min(best[number], (time.process_time() - started) / STEPS)
    return best


if __name__ == "__main__":
    main()
