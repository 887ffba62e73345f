"""Measure a policy's speed: all targets once on the same images, in the three ways of `taskonomy.inference.inference_cost`."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.config.network_params import DecoderParams, EncoderParams
from taskonomy.inference.composed_model import Readout
from taskonomy.labels.encodings import Head
from taskonomy.models.networks import task_network
from taskonomy.tasks import Task

IMAGES = 3  # images of the largest sample


@runtime_checkable
class Solves(Protocol):
    """The networks of one target of a policy."""

    @property
    def encoders(self) -> Mapping[str, Any]:
        """Return the encoders of its sources."""
        ...

    @property
    def readout(self) -> Readout:
        """Return the readout from the sources' codes to its output."""
        ...


@torch.no_grad()
def solve_all(targets: Sequence[Solves], images: Float[Tensor, "images 3 side side"], *, share: bool) -> None:
    """Compute every target's output once: each task takes as many of the images as its samples have, from the first on.

    Args:
        targets: Targets of the policy.
        images: As many images as the largest sample has.
        share: Whether an encoder processes an image once for all targets, or once for each.
    """
    known: dict[str, Tensor] = {}
    for one in sorted(targets, key=lambda one: -one.readout.images):  # largest samples first, so that the other targets find the codes computed
        taken = one.readout.images
        codes = known if share else {}
        for source, encoder in one.encoders.items():
            if source not in codes:
                codes[source] = encoder(images[:taken])
        one.readout(torch.cat([codes[source][:taken] for source in one.encoders], 1)[None])


def own_network(task: Task, shapes: dict[str, Any]) -> nn.Module:
    """Build the network that would solve a target without a policy, with untrained weights; `shapes` as in the target's card."""
    task = replace(task, head=Head(**shapes["head"]))
    encoder, decoder = EncoderParams(**shapes["encoder"]), DecoderParams(**shapes["decoder"])
    return task_network(task, encoder, decoder, shapes["side"], tile_side=shapes["tile_side"]).eval().requires_grad_(False)


def milliseconds(
    targets: Sequence[Solves], own: Sequence[tuple[Task, nn.Module]], side: int, device: torch.device, repeats: int = 20
) -> dict[str, float]:
    """Measure the time to solve all targets once: the median over the repeats, in ms, for each way; the ways are measured in turns.

    Args:
        targets: Targets of the policy, on the device.
        own: Each target's task with a network of its own, on the device.
        side: Side of the images in pixels.
        device: Where to measure.
        repeats: Runs of each way, besides one to warm up.
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
            if number:  # the first run warms up
                taken[way].append(1000 * (time.perf_counter() - started))
    return {way: statistics.median(times) for way, times in taken.items()}
