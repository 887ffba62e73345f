"""A plan of a run: what it makes, and what that takes of disk, memory and time."""

import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from taskonomy.cores import cores
from taskonomy.data.arrays import disk_needed, needs
from taskonomy.params import Params
from taskonomy.sizing.counting import WORLD, Images, Units, images_of, read_bytes_of, stages_of, units_of
from taskonomy.tasks import DICTIONARY

# Of the built-in world, per view of 64 px: what its files take, and two cores together in the default run (rendering, annotating and preparing).
WORLD_BYTES, WORLD_SECONDS = 80_000, 0.096
RELEASED_BYTES = {"png8": 250_000, "png16": 120_000, "npy": 4_000, "json": 2_000}  # of a released file of 512 px, where nobody has counted them
UNIT_BYTES = 4_096  # of a unit in the store beside its losses: names, curves, what a file takes at least
UNIT_SECONDS = 0.05  # of a unit beside its training: keys, labels, reading and writing
BASE_MEMORY = 0.45 * 2**30  # of a process that has loaded torch
KEPT = 2**31  # encoded labels that a process keeps, at most
AT_PEAK = 0.4  # share of a GPU's peak that training reaches
GPU, GPU_TFLOPS = "H100", 989


@dataclass(frozen=True)
class Hours:
    """Of one group of units.

    Attributes:
        what: Which.
        count: How many.
        seconds: Of one process, for all of them.
        tflop: Of their arithmetic.
    """

    what: str
    count: int
    seconds: float
    tflop: float


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        where: Which parameters.
        stages: By name.
        units: Of work.
        images: Of each split.
        disk: What, and bytes.
        hours: Of processes, by groups of units; empty where nothing was measured.
        memory: Bytes of the largest process; None where nothing was measured.
        measured: How many networks were, of how many, and in how many seconds.
        cores: Processes at once.
        warnings: What is not in the numbers.
    """

    where: str
    stages: Counter[str]
    units: Units
    images: Images
    disk: dict[str, int]
    hours: list[Hours] = field(default_factory=list)
    memory: float | None = None
    measured: str = ""
    cores: int = 1
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of the whole run, on this machine's processes side by side."""
        return sum(one.seconds for one in self.hours) / self.cores

    @property
    def gpu_hours(self) -> float:
        """Of one GPU, at a stated share of its peak."""
        return sum(one.tflop for one in self.hours) / (AT_PEAK * GPU_TFLOPS) / 3600

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        units = {"networks": self.units.networks, "constants": self.units.constants, "scratch": self.units.scratch, "more": self.units.more}
        units |= {f"transfers of order {order}": count for order, count in self.units.transfers.items()} | {"steps": self.units.steps}
        return {
            "stages": dict(self.stages),
            "units": {**units, "total": self.units.total, "exact": self.units.exact},
            "images": dict(self.images.of),
            "disk_bytes": self.disk,
            "seconds": {one.what: one.seconds for one in self.hours},
            "seconds_on_this_machine": self.seconds,
            "cores": self.cores,
            "memory_bytes": self.memory,
            "gpu_hours": self.gpu_hours if self.hours else None,
        }


def make_plan(params: Params, where: str, *, views: int | None = None, seconds: float = 0.0, pipeline: Path = Path("dvc.yaml")) -> Plan:
    """Count, and measure for so many seconds; 0: nothing that needs torch.

    Raises:
        TaskonomyError: No pipeline here; a root that is none; too few buildings.
    """
    images, units = images_of(params, views), units_of(params)
    plan = Plan(where, stages_of(params, pipeline), units, images, _disk(params, images, units), cores=cores(), warnings=_warnings(params))
    return _measured(plan, params, seconds) if seconds else plan


def code_bytes(params: Params) -> int:
    """Of one image from one source."""
    side = params.data.resolution // params.train.encoder.stride
    return params.train.encoder.channels * side**2 * (2 if params.transfer.codes == "float16" else 4)


def code_inputs(params: Params) -> int:
    """In how many forms images are encoded: as they are, and as single targets change them."""
    return len({DICTIONARY[name].input for name in params.transfer.targets} | {DICTIONARY["normal"].input})


def _disk(params: Params, images: Images, units: Units) -> dict[str, int]:
    tasks = [DICTIONARY[name] for name in params.data.tasks]
    found = {}
    if params.data.root == WORLD:
        found["world, its files"] = round(images.total * WORLD_BYTES * (params.world.resolution / 64) ** 2)
    else:
        size = read_bytes_of(params)
        rows = sum(RELEASED_BYTES[_kind(domain)] for domain in needs(tasks))
        found["read from the root, not copied" + (" (its index)" if size else " (about)")] = size or images.total * rows
    found["prepared data"] = disk_needed(tasks, params.data.resolution, images.total)
    found["codes"] = len(tasks) * code_inputs(params) * images.coded * code_bytes(params)
    losses = 4 * images.tested
    candidates = sum(units.transfers.values()) + units.scratch + units.more + len(params.transfer.targets)
    found["losses of transfers"] = candidates * losses
    found["store of units"] = units.total * (losses + UNIT_BYTES)
    return found


def _kind(domain: str) -> str:
    from taskonomy.data.formats import DOMAINS

    return DOMAINS[domain].kind


def _warnings(params: Params) -> list[str]:
    found = []
    if params.train.adversarial.share:
        found.append("the critics of train.adversarial are not in the hours: about a third more for tasks whose labels are maps")
    if params.transfer.more:
        found.append("the transfers of transfer.more are counted, and not in the hours")
    return found


def _measured(plan: Plan, params: Params, seconds: float) -> Plan:
    began = time.perf_counter()
    from taskonomy.sizing.measuring import Kind, Nets, Rate, calibrated
    from taskonomy.training.networks import CONSTANT, CONSTANT_STEPS

    start = time.perf_counter() - began
    nets, images = Nets(params), plan.images
    sizes = {kind: nets.size(kind) for kind in nets.kinds()}
    encoding = nets.encoding()
    rates = dict(calibrated(nets, sizes, seconds - (time.perf_counter() - began)))
    constants = {kind.maps: nets.constant(kind) for kind in rates if not kind.transfer}

    def rate(kind: Kind) -> Rate:
        """Measured, or by the arithmetic of those that were, of the same form."""
        if kind in rates:
            return rates[kind]
        like = [one for one in rates if (one.transfer, one.maps) == (kind.transfer, kind.maps)]
        share = sizes[kind].flop / sum(sizes[one].flop for one in like)
        return Rate(share * sum(rates[one].train for one in like), share * sum(rates[one].test for one in like))

    validation, tested = images.of["validation"], images.tested
    few = min(params.transfer.images, images.of["transfer"])

    def trained(what: str, kinds: list[Kind], count: int, samples: int, epochs: dict[Kind, int]) -> Hours:
        """So many units, evenly of these kinds."""
        each = count / max(len(kinds), 1)
        time_of = {kind: epochs[kind] * (samples * rate(kind).train + validation * rate(kind).test) + tested * rate(kind).test for kind in kinds}
        work = sum(sizes[kind].flop * (epochs[kind] * (samples + validation / 3) + tested / 3) for kind in kinds)
        return Hours(what, count, each * (sum(time_of.values()) + UNIT_SECONDS * len(kinds)), each * work / 1e12)

    own, to = [kind for kind in sizes if not kind.transfer], [kind for kind in sizes if kind.transfer]
    epochs = {kind: nets.schedule(kind).epochs for kind in sizes}
    targets = [kind for kind in own if kind.name in params.transfer.targets]
    everything = images.of["train"]
    rounds = max(CONSTANT.epochs, ceil(CONSTANT_STEPS / ceil(everything / CONSTANT.batch)))
    constant = sum(
        rounds * (everything * constants[kind.maps].train + validation * constants[kind.maps].test) + tested * constants[kind.maps].test
        for kind in own
        if kind.maps in constants
    )
    coded = len(params.data.tasks) * code_inputs(params) * images.coded
    flop_of_encoding = max((sizes[kind].flop for kind in own if kind.maps), default=0.0) / 3
    hours = [
        trained("task networks", own, len(own), everything, epochs),
        Hours("best constants", len(own), constant, 0.0),
        Hours("codes", coded, coded * encoding, coded * flop_of_encoding / 1e12),
        trained("from scratch", targets, len(targets), few, epochs),
        *(trained(f"transfers of order {order}", to, count, few, epochs) for order, count in plan.units.transfers.items()),
        Hours("starts of stages", plan.stages["train"] + plan.stages["transfer"], start * (plan.stages["train"] + 2 * plan.stages["transfer"]), 0.0),
    ]
    if params.data.root == WORLD:
        hours.insert(0, Hours("world and labels", images.total, images.total * WORLD_SECONDS * (params.world.resolution / 64) ** 2, 0.0))
    width = 2 if nets.precision.value == "bfloat16" else 4
    step = max(sizes[kind].memory(nets.schedule(kind).batch, width) for kind in sizes)
    labels = min(
        KEPT, max(disk_needed([DICTIONARY[kind.name]], params.data.resolution, images.total - images.coded + validation) * 4 for kind in own)
    )
    memory = max(BASE_MEMORY + step + labels, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    forms = len(rates), len(sizes)
    measured = f"{forms[0]} of {forms[1]} networks measured in {time.perf_counter() - began:.0f} s, {nets.precision.value}, on {_device()}"
    return Plan(
        plan.where, plan.stages, plan.units, images, {**plan.disk, **_weights(params, sizes)}, hours, memory, measured, plan.cores, plan.warnings
    )


def _weights(params: Params, sizes: dict) -> dict[str, int]:  # type: ignore[type-arg]
    own = sum(size.weights for kind, size in sizes.items() if not kind.transfer)
    return {"networks, in models and in the store": 2 * 4 * own}


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "the processor"
