"""An estimate of a run: what it makes, and the disk, memory and time that this takes."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from taskonomy.config.params import Params
from taskonomy.data.prepare.arrays import Array, disk_needed, needs
from taskonomy.estimate.encoding import missing_files
from taskonomy.estimate.workload import WORLD, Hours, ImageCounts, Units, code_inputs, images_of, labels_of, read_bytes_of, stages_of, units_of
from taskonomy.machine.cores import cores
from taskonomy.tables.label_counts import Counts, words

WORLD_BYTES = 80_000  # all files of a 64 px view of the built-in world
RELEASED_BYTES = {"png8": 250_000, "png16": 120_000, "npy": 4_000, "json": 2_000}  # a released file of 512 px, where the real sizes are not known
UNIT_BYTES = 4_096  # a unit in the store besides its losses: names, curves, the minimum size of a file
AT_PEAK = 0.14  # share of a GPU's bfloat16 peak that training at the paper's sizes reached, one process (benchmarks/transfers.py --rates)
GPU, GPU_TFLOPS = "H100", 989


@dataclass(frozen=True)
class RunEstimate:
    """What a run will take.

    Attributes:
        where: Which parameters.
        stages: Number of stages, by name.
        units: Units of work.
        images: Images of each split.
        disk: What is stored -> bytes.
        hours: Time of processes, by groups of units; empty where nothing was measured.
        memory: Bytes of the largest process; None where nothing was measured.
        measured: How many networks were measured, of how many, and in how many seconds.
        cores: Processes at once.
        warnings: What the numbers leave out.
        labelled: Task -> split -> labelled samples, where some images have no label; else empty.
    """

    where: str
    stages: Counter[str]
    units: Units
    images: ImageCounts
    disk: dict[str, int]
    hours: list[Hours] = field(default_factory=list)
    memory: float | None = None
    measured: str = ""
    cores: int = 1
    warnings: list[str] = field(default_factory=list)
    labelled: Counts = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Compute the seconds of the whole run, on this machine's processes side by side."""
        return sum(one.seconds for one in self.hours) / self.cores

    @property
    def gpu_hours(self) -> float:
        """Compute the hours of one GPU, at a stated share of its peak."""
        return sum(one.tflop for one in self.hours) / (AT_PEAK * GPU_TFLOPS) / 3600

    def as_dict(self) -> dict[str, object]:
        """Return the estimate as JSON data."""
        units = {
            "networks": self.units.networks,
            "constants": self.units.constants,
            "scratch": self.units.scratch,
            "pixels": self.units.scratch,
            "constants of transfers": self.units.scratch,
            "variants": self.units.variants,
        }
        units |= {f"transfers of order {order}": count for order, count in self.units.transfers.items()} | {"steps": self.units.steps}
        units |= {"smaller amounts": self.units.of_amounts} if self.units.amounts else {}
        return {
            "stages": dict(self.stages),
            "units": {**units, "total": self.units.total, "exact": self.units.exact},
            "images": dict(self.images.of),
            **({"labelled": {task: dict(found) for task, found in self.labelled.items()}} if self.labelled else {}),
            "disk_bytes": self.disk,
            "seconds": {one.what: one.seconds for one in self.hours},
            "seconds_on_this_machine": self.seconds,
            "cores": self.cores,
            "memory_bytes": self.memory,
            "gpu_hours": self.gpu_hours if self.hours else None,
        }


def make_plan(params: Params, where: str, *, views: int | None = None, seconds: float = 0.0, pipeline: Path = Path("dvc.yaml")) -> RunEstimate:
    """Estimate a run from its parameters, and measure for so many seconds; 0: nothing that needs torch.

    Raises:
        TaskonomyError: There is no pipeline here, the data root is invalid, or there are too few buildings.
    """
    images, units = images_of(params, views), units_of(params)
    labelled = labels_of(params) if views is None else {}
    partial = labelled if any(found != dict(images.of) for task, found in labelled.items() if params.registry[task].images == 1) else {}
    warnings = [*_warnings(params), *words(labelled), *(missing_files(params) if seconds else ())]
    if partial:
        warnings.append("the hours are those of tasks with a label of every image; with fewer labels they are fewer")
    made, disk = stages_of(params, pipeline), _disk(params, images, units)
    plan = RunEstimate(where, made, units, images, disk, cores=cores(), warnings=warnings, labelled=partial)
    if not seconds:
        return plan
    from taskonomy.estimate.cost_model import timed

    found = timed(params, images, units, plan.stages, seconds)
    weights = {"networks, in models and in the store": 2 * 4 * found.weights}
    return replace(plan, disk=plan.disk | weights, hours=found.hours, memory=found.memory, measured=found.measured)


def code_bytes(params: Params) -> int:
    """Compute the bytes of one image's code from one source."""
    side = params.data.resolution // params.train.encoder.stride
    return params.train.encoder.channels * side**2 * (2 if params.transfer.codes == "float16" else 4)


def _disk(params: Params, images: ImageCounts, units: Units) -> dict[str, int]:
    registry = params.registry
    tasks = [registry[name] for name in params.data.tasks]
    found = {}
    if params.data.root == WORLD:
        found["world, its files"] = round(images.total * WORLD_BYTES * (params.world.resolution / 64) ** 2)
    else:
        size = read_bytes_of(params)
        rows = sum(_file_bytes(domain, params) for domain in needs(tasks))
        found["read from the root, not copied" + (" (its index)" if size else " (about)")] = size or images.total * rows
    found["prepared data"] = disk_needed(tasks, params.data.resolution, images.total, params.data.fit)
    channels = len(tasks) * params.train.encoder.channels + sum(one.channels or 0 for one in params.encoders.values())
    found["codes"] = channels * code_inputs(params) * images.coded * (code_bytes(params) // params.train.encoder.channels)
    losses = 4 * images.tested
    candidates = sum(units.transfers.values()) + 3 * units.scratch + units.variants + len(params.transfer.targets)
    found["losses of transfers"] = (candidates + (candidates + units.of_amounts if units.amounts else 0)) * losses
    found["store of units"] = units.total * (losses + UNIT_BYTES)
    if params.execution.weights:
        found["weights of transfers in it, at most"] = len(params.transfer.targets) * params.execution.weights * 2**20
    return found


def _file_bytes(domain: str, params: Params) -> int:
    """Estimate the bytes of a view's file; a label of one's own is taken to be as large as its array at the prepared size."""
    from taskonomy.release.formats import DOMAINS

    label = params.registry[domain].label if domain in params.data.own else None
    if label is not None:
        return Array("", np.dtype(label.dtype), label.array_shape(params.data.resolution)).row
    return RELEASED_BYTES[DOMAINS[domain].kind]


def _warnings(params: Params) -> list[str]:
    found = []
    if params.train.adversarial.share:
        found.append("the critics of train.adversarial are not in the hours: about a third more for tasks whose labels are maps")
    found += [
        f"the codes of encoders.{name} are not in the disk: how many channels all are, its file says"
        for name, one in params.encoders.items()
        if one.channels is None
    ]
    if params.transfer.variants:
        found.append("the transfers of transfer.variants are counted, and not in the hours")
    return found
