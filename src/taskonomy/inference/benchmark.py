"""A policy's speed: all targets once on the same images, the three ways of `taskonomy.inference.inference_cost`."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.config.params import DecoderParams, EncoderParams
from taskonomy.inference.composed_model import Encoder, Readout
from taskonomy.labels.encodings import Head
from taskonomy.models.networks import task_network
from taskonomy.tasks import Task

IMAGES = 3  # of the largest sample


@runtime_checkable
class Solves(Protocol):
    """One target's part of a policy."""

    @property
    def encoders(self) -> Mapping[str, Encoder]:
        """Of its sources."""
        ...

    @property
    def readout(self) -> Readout:
        """From their codes to its output."""
        ...


@torch.no_grad()
def solve_all(targets: Sequence[Solves], images: Float[Tensor, "images 3 side side"], *, share: bool) -> None:
    """Every target's output once: tasks of one image on the first image, of several on as many.

    Args:
        targets: Of the policy.
        images: As many as the largest sample has.
        share: Whether an encoder sees an image once for all targets, or once for each.
    """
    known: dict[str, Tensor] = {}
    for one in sorted(targets, key=lambda one: -one.readout.images):  # those of fewer images find the codes of more
        taken = one.readout.images
        codes = known if share else {}
        for source, encoder in one.encoders.items():
            if source not in codes:
                codes[source] = encoder(images[:taken])
        one.readout(torch.cat([codes[source][:taken] for source in one.encoders], 1)[None])


def own_network(task: Task, shapes: dict[str, Any]) -> nn.Module:
    """What would solve a target without a policy, with weights that were never trained; `shapes` as in its card."""
    task = replace(task, head=Head(**shapes["head"]))
    encoder, decoder = EncoderParams(**shapes["encoder"]), DecoderParams(**shapes["decoder"])
    return task_network(task, encoder, decoder, shapes["side"], tile_side=shapes["tile_side"]).eval().requires_grad_(False)


def milliseconds(
    targets: Sequence[Solves], own: Sequence[tuple[Task, nn.Module]], side: int, device: torch.device, repeats: int = 20
) -> dict[str, float]:
    """Of all targets once, the median of some runs, taken in turns.

    Args:
        targets: Of the policy, on the device.
        own: Their tasks, with a network of their own each, on the device.
        side: Of the images, pixels.
        device: Where to measure.
        repeats: Runs of each way.
    """
    images = torch.rand(IMAGES, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    seen = [(network, images[None, : task.tiles, : task.in_channels]) for task, network in own]

    @torch.no_grad()
    def independent() -> None:
        for network, these in seen:
            network(these)

    ways: dict[str, Callable[[], None]] = {
        "shared": lambda: solve_all(targets, images, share=True),
        "apart": lambda: solve_all(targets, images, share=False),
        "independent": independent,
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(repeats + 1):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:  # the first warms up
                taken[way].append(1000 * (time.perf_counter() - started))
    return {way: statistics.median(times) for way, times in taken.items()}
