"""Hours and memory of a run, from the speed of its networks on this machine."""

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import torch

from taskonomy.config.network_params import RateShape
from taskonomy.config.params import Params
from taskonomy.dataset.splits import Split
from taskonomy.estimate.encoding import encodings
from taskonomy.estimate.throughput import Nets, NetworkKind, Rate, calibrated
from taskonomy.estimate.workload import WORLD, Hours, ImageCounts, Units, code_inputs
from taskonomy.store.unit_keys import CONSTANT
from taskonomy.training.dataloader import KEPT_BYTES

# Seconds of a process in the default run: to render, annotate and prepare a view of 64 px of the built-in world; to load what stages load.
WORLD_SECONDS, START_SECONDS = 0.096, 3.0
UNIT_SECONDS = 0.05  # per unit besides its training: keys, labels, reading and writing
BASE_MEMORY = 0.45 * 2**30  # bytes of a process that has loaded torch


@dataclass(frozen=True)
class Timed:
    """Hours and memory that were estimated.

    Attributes:
        hours: Time of one process, by groups of units.
        memory: Bytes of the largest process.
        weights: Number of weights of all task networks.
        measured: What was measured, in words.
    """

    hours: list[Hours]
    memory: float
    weights: int
    measured: str


def timed(params: Params, images: ImageCounts, units: Units, stages: Mapping[str, int], seconds: float) -> Timed:
    """Measure for so many seconds, and extrapolate to the run."""
    began = time.perf_counter()
    clock = _Clock(params, images, seconds)
    spent = time.perf_counter() - began
    few, everything = min(params.transfer.images, images.of[Split.TRANSFER]), images.of[Split.TRAIN]
    targets = [kind for kind in clock.own if kind.name in params.transfer.targets]
    constants = [*((kind, everything) for kind in clock.own), *((kind, few) for kind in targets)]
    coded = len(params.data.tasks) * code_inputs(params) * images.coded
    starts = stages["train"] + stages.get("encode", 0) + 2 * stages["transfer"]
    hours = [
        clock.trained("task networks", clock.own, len(clock.own), everything),
        Hours("best constants", len(clock.own) + len(targets), sum(clock.constant(kind, images) for kind, images in constants), 0.0),
        Hours("codes", coded, coded * clock.encoding, coded * clock.encoder.flop / 3 / 1e12),
        *encodings(params, images),
        clock.trained("from scratch", targets, len(targets), few),
        clock.trained("shallow networks on the image", clock.to, units.scratch, few),
        *(clock.trained(f"transfers of order {order}", clock.to, count, few) for order, count in units.transfers.items()),
        *_smaller(clock, targets, units, few),
        Hours("starts of processes", starts, starts * START_SECONDS, 0.0),
    ]
    if params.data.root == WORLD:
        hours.insert(0, Hours("world and labels", images.total, images.total * WORLD_SECONDS * (params.world.resolution / 64) ** 2, 0.0))
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "the processor"
    how = f"{len(clock.rates)} of {len(clock.sizes)} networks measured in {spent:.0f} s, {clock.nets.precision.value}, on {where}"
    return Timed(hours, clock.memory(), sum(clock.sizes[kind].weights for kind in clock.own), how)


def _smaller(clock: "_Clock", targets: Sequence[NetworkKind], units: Units, few: int) -> list[Hours]:
    """Estimate the time of the smaller amounts of images, and of what is fine-tuned; nothing with one amount."""
    found = []
    for images in clock.params.transfer.amounts[:-1] if units.amounts else ():
        if images < few:
            found.append(clock.trained(f"networks from scratch of {images:,} images", targets, units.scratch, images, few))
            found.append(clock.trained(f"transfers and shallow networks of {images:,} images", clock.to, units.smaller + units.scratch, images, few))
    if units.tuned:
        found.append(clock.trained("fine-tuned networks", targets, units.tuned, few, transfers=True))
    return found


class _Clock:
    """LearningRates of all networks: measured, or estimated by their arithmetic from those that were."""

    def __init__(self, params: Params, images: ImageCounts, seconds: float) -> None:
        until = time.perf_counter() + seconds
        self.params, self.images, self.nets = params, images, Nets(params)
        self.sizes = {kind: self.nets.size(kind) for kind in self.nets.kinds()}
        self.own, self.to = [kind for kind in self.sizes if not kind.transfer], [kind for kind in self.sizes if kind.transfer]
        self.encoder, self.encoding = self.nets.encoding()
        self.rates = dict(calibrated(self.nets, self.sizes, until - time.perf_counter()))
        self._constants = {kind.maps: self.nets.constant(kind) for kind in self.rates if not kind.transfer}

    def rate(self, kind: NetworkKind) -> Rate:
        """Return a network's measured rate, or estimate it from the measured ones of the same form."""
        if kind in self.rates:
            return self.rates[kind]
        like = [one for one in self.rates if (one.transfer, one.maps) == (kind.transfer, kind.maps)]
        share = self.sizes[kind].flop / sum(self.sizes[one].flop for one in like)
        return Rate(share * sum(self.rates[one].train for one in like), share * sum(self.rates[one].test for one in like))

    def trained(
        self, what: str, kinds: Sequence[NetworkKind], count: int, samples: int, most: int | None = None, *, transfers: bool = False
    ) -> Hours:
        """Estimate the time of `count` units, spread evenly over these kinds, each trained on `samples` samples.

        Args:
            what: Name of the group.
            kinds: Their networks.
            count: Number of units.
            samples: Samples to learn from.
            most: Samples of the largest amount, whose number of steps is taken; None: as the schedule says.
            transfers: Whether they are trained by the schedule of transfers, whatever their kind.
        """
        each, seconds, flop = count / max(len(kinds), 1), 0.0, 0.0
        for kind in kinds:
            rate, plan = self.rate(kind), self.nets.schedule(replace(kind, transfer=True) if transfers else kind)
            if most is not None and self.params.transfer.fewer.same == "steps":
                plan = plan.of_steps(plan.steps(most), samples)
            epochs = plan.passes(ceil(samples / plan.batch))
            validated = 1 if kind.transfer and plan.shape is RateShape.COSINE else epochs
            judged = validated * self.images.of[Split.VALIDATION] + self.images.tested
            seconds += epochs * samples * rate.train + judged * rate.test + UNIT_SECONDS
            flop += self.sizes[kind].flop * (epochs * samples + judged / 3)
        return Hours(what, count, each * seconds, each * flop / 1e12)

    def constant(self, kind: NetworkKind, samples: int) -> float:
        """Compute the seconds that a task's best constant takes."""
        rate = self._constants[kind.maps]
        epochs = CONSTANT.passes(ceil(samples / CONSTANT.batch))
        return epochs * samples * rate.train + (epochs * self.images.of[Split.VALIDATION] + self.images.tested) * rate.test

    def memory(self) -> float:
        """Compute the bytes of the largest process: a step of the largest network and the labels that it keeps, or what measuring took."""
        width = 2 if self.nets.precision.value == "bfloat16" else 4
        step = max(self.sizes[kind].memory(self.nets.schedule(kind).batch, width) for kind in self.sizes)
        registry = self.params.registry
        labels = [label for name in self.params.data.tasks if (label := registry[name].label) is not None]
        samples = self.images.of[Split.TRAIN] + self.images.of[Split.VALIDATION]
        kept = [samples * prod(label.array_shape(self.params.data.resolution)) * 4 for label in labels]
        encoded = max((one for one in kept if one <= KEPT_BYTES), default=0)  # labels larger than KEPT_BYTES are not kept at all
        return max(BASE_MEMORY + step + encoded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0)
