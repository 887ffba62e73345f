"""Transfers of first order: seconds and memory from stored codes, with frozen encoders run at each step, and with whole networks trained.

`--rates` shows images per second on a GPU, the share of its peak, and the GPU hours of the whole paper; `--side` transfers side by side.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from taskonomy.config.checked import checked
from taskonomy.config.data_params import Splits
from taskonomy.config.params import Params
from taskonomy.config.profiles import overlaid
from taskonomy.config.task_config import task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.estimate.throughput import PEAKS, SAMPLES, Nets, NetworkKind, Stamps, train_rate
from taskonomy.labels.encodings import Input
from taskonomy.models.encoder import make_encoder
from taskonomy.models.networks import transfer_network
from taskonomy.store.store import Store, key_of
from taskonomy.tasks import BUILT_IN
from taskonomy.training import cuda_graphs as graphs
from taskonomy.training.codes import coded_rows, codes_of, row_of_view
from taskonomy.training.dataloader import Batches, CodeInputs, ImageInputs, Labels, NetworkInputs
from taskonomy.training.gpu_cache import resident
from taskonomy.training.task_networks import prepared_task
from taskonomy.training.train_unit import Recipe, train_unit
from taskonomy.training.trainer import autocast, fit, seeded
from taskonomy.training.transfer_context import chosen_samples
from taskonomy.world.generate import make_world

ROOT = Path(__file__).parents[1]
TARGETS = ("normal", "segment_semantic", "class_scene", "camera_pose_fixated")  # a map with L1, classes of pixels, fully connected, of two images
WAYS = {"stored": "stored codes", "frozen": "encoder each step", "whole": "whole network"}
# A small world in which about as many views as in the default one have codes, and test. Transfers from more than MOST images are scaled.
WORLD = {"buildings": 14, "points": 36, "views": 3, "resolution": 32, "samples": 1, "splits": Splits(train=0.08, val=0.57, test=0.35)}
MOST, MOST_EPOCHS = 600, 4
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
STEPS = 60  # of which a rate is the mean
COMPILED = ("normal", "camera_pose_fixated", "colorization")  # measured so, too: it takes most of a minute each
SIDE, SIDE_STEPS = "normal", 1500
# Of the paper: networks, transfers at 16,000 images, images to train networks, to train transfers and to test, GPU hours.
NETWORKS, TRANSFERS, FULL, SMALL, TEST, HOURS = 26, 1740, 120_000, 16_000, 17_000, 47_886


class WithEncoder(nn.Module):
    """Source encoder and transfer in one network, as the reference runs them."""

    def __init__(self, encoder: nn.Module, transfer: nn.Module, *, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.transfer, self.frozen = encoder.requires_grad_(not frozen), transfer, frozen

    def train(self, mode: bool = True) -> "WithEncoder":
        """Keep a frozen encoder from training."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """As `TransferNetwork`, from images."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            codes = self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        return self.transfer(codes)


class Bench:
    """What the processes of one run share: parameters, and a small world rendered in a temporary folder."""

    def __init__(self, profile: str, sources: int, folder: Path) -> None:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        changes = yaml.safe_load((ROOT / f"profiles/{profile}.yaml").read_text()) if profile else {}
        self.params = checked(Params, overlaid(values, changes), profile)
        self.plan, self.sources, self.folder = self.params.transfer, sources, folder
        self.complete, self.images = self.plan.images <= MOST, min(self.plan.images, MOST)
        self.epochs = self.plan.schedule.epochs if self.complete else min(MOST_EPOCHS, self.plan.schedule.epochs)

    def data(self) -> None:
        """Render small and resize: what is to be seen costs nothing."""
        make_world(self.folder / "world", self.params.world.model_copy(update=WORLD))
        prepare(self.folder / "world", self.folder / "prepared", self.params.data.model_copy(update={"tasks": TARGETS}))

    def open(self) -> None:
        """One thread, as the stages have; libraries are loaded before a clock runs."""
        torch.set_num_threads(1)
        self.prepared = Prepared(self.folder / "prepared")
        with autocast(DEVICE, self.params.train.precision.here()):
            codes = self.encoder(0)(torch.zeros(2, 3, self.params.data.resolution, self.params.data.resolution, device=DEVICE))
        codes.sum().backward()

    def task(self, name: str) -> PreparedTask:
        """As the parameters configure it."""
        return prepared_task(self.prepared, task_config(BUILT_IN[name], self.params))

    def encoder(self, source: int) -> nn.Module:
        """Build a source's encoder; what its weights are costs nothing."""
        seeded(0, "encoder", source)
        encoder = make_encoder(self.params.train.encoder).to(DEVICE)
        return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def codes(self, source: int) -> CodeInputs:
        """Compute, store and memory-map the codes."""
        how, path, splits = Input.IMAGE, self.folder / f"codes{source}.npy", self.prepared.splits
        precision = self.params.train.precision.here()
        codes = codes_of(self.encoder(source), self.prepared.images, coded_rows(splits), how, how, precision, self.plan.codes)
        np.save(path, codes)
        return CodeInputs([np.load(path, mmap_mode="r")], row_of_view(splits))

    def network(self, way: str, name: str, source: int) -> nn.Module:
        """Build what one of the ways trains."""
        shapes = self.params.train.encoder, self.params.train.decoder
        transfer = transfer_network(self.task(name).task, 1, *shapes, self.params.data.resolution).to(DEVICE)
        return transfer if way == "stored" else WithEncoder(self.encoder(source), transfer, frozen=way == "frozen")

    def way(self, way: str) -> dict[str, Any]:
        """Seconds to encode, and of each target to learn and to judge; the lowest validation losses; peak memory, GiB."""
        self.open()
        started = time.perf_counter()
        stored = [self.codes(source) for source in range(self.sources)] if way == "stored" else []
        encode, seconds, lowest = time.perf_counter() - started, {}, []
        for name in TARGETS:
            task = self.task(name)
            train = chosen_samples(task.of_split(Split.TRANSFER), self.images, self.plan.seed, name)
            judged = np.concatenate([task.of_split(split) for split in (Split.VALIDATION, *TEST_SPLITS)])
            labels = Labels(task, np.concatenate([train, judged]) if self.complete else None)  # more images' would not fit into memory
            schedule, times = self.plan.schedule.model_copy(update={"epochs": self.epochs}), np.zeros(2)
            for source in range(self.sources):
                inputs: NetworkInputs = stored[source] if way == "stored" else ImageInputs(self.prepared.images, task.task.input)
                recipe = Recipe(f"{source} {name}", task.task, labels, inputs, train, schedule, self.plan.precision.here(), self.plan.seed)
                key, make, ends = key_of(way=way, target=name, source=source), partial(self.network, way, name, source), Stamps()
                unit = train_unit(Store(self.folder / way), key, recipe, make, each_epoch=ends)
                times += ends[-1] - ends[0], time.perf_counter() - ends[-1]
                lowest.append(min(unit.facts["validation"]))
            seconds[name] = times.tolist()
        on_device = torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else 0
        memory = on_device / 2**30 or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return {"encode": encode, "seconds": seconds, "lowest": lowest, "memory": memory}


class Rates:
    """Task networks and transfers of a profile on a GPU, on made-up images: batches are read, made ahead and moved as at full scale."""

    def __init__(self, params: Params) -> None:
        self.nets = Nets(params)
        torch.set_num_threads(1)
        self.peak = next((one for part, one in PEAKS.items() if part in torch.cuda.get_device_name()), float("nan"))

    def seconds(self, kind: NetworkKind, *, compiled: bool) -> float:
        """Of one sample, in an epoch that is not the first."""
        graphs.COMPILED_FROM = 0 if compiled else sys.maxsize
        network, task = self.nets.network(kind).to(DEVICE), self.nets.task(kind.name)
        return train_rate(network, task, self.nets.inputs(kind), np.arange(SAMPLES), self.nets.schedule(kind), self.nets.precision, STEPS).train

    def show(self) -> None:
        """Print a row a task, and what that makes of the paper."""
        _size, encode = self.nets.encoding()
        print(f"{torch.cuda.get_device_name()}, {self.nets.precision.value}: {1 / encode:,.0f} images encoded per second, one process")
        columns = ("network", "of peak", "compiled", "of peak", "transfer", "of peak", "compiled", "of peak")
        print(f"{'samples per second':<26}" + "".join(f"{one:>10}" for one in columns))
        kinds = self.nets.kinds()
        sizes = {kind: self.nets.size(kind).flop / 1e12 for kind in kinds}
        plain: dict[NetworkKind, float] = {}
        fast: dict[NetworkKind, float] = {}
        for name in self.nets.params.data.tasks:
            line = f"{name:<26}"
            for kind in (one for one in kinds if one.name == name):
                plain[kind] = self.seconds(kind, compiled=False)
                line += f"{1 / plain[kind]:>10,.0f}{sizes[kind] / plain[kind] / self.peak:>10.1%}"
                if name in COMPILED:
                    fast[kind] = self.seconds(kind, compiled=True)
                    line += f"{1 / fast[kind]:>10,.0f}{sizes[kind] / fast[kind] / self.peak:>10.1%}"
                else:
                    line += " " * 20
            if line.strip() != name:
                print(line, flush=True)
        means = []
        for transfer in (False, True):
            found = [kind for kind in kinds if kind.transfer == transfer]
            gain = {maps: [plain[one] / fast[one] for one in fast if (one.transfer, one.maps) == (transfer, maps)] for maps in (False, True)}
            each = [fast.get(kind, plain[kind] / float(np.mean(gain[kind.maps]))) for kind in found]
            means.append(float(np.mean(each)))
            share = sum(sizes[kind] for kind in found) / sum(each) / self.peak
            measured = f"{sum(kind in fast for kind in found)} of {len(found)} measured"
            print(f"  {'transfers' if transfer else 'networks'}, compiled ({measured}): {1000 * means[-1]:.3f} ms a sample, {share:.1%} of the peak")
        self._paper(means[0], means[1], encode)

    def _paper(self, network: float, transfer: float, encode: float) -> None:
        params = self.nets.params
        parts = (
            (NETWORKS, "networks", FULL, params.train.schedule.epochs, network),
            (NETWORKS, "encoders", SMALL + TEST, 1, encode),
            (TRANSFERS, "transfers", SMALL, params.transfer.schedule.epochs, transfer),
        )
        hours = [count * samples * epochs * seconds / 3600 for count, _what, samples, epochs, seconds in parts]
        for (count, what, samples, epochs, seconds), one in zip(parts, hours, strict=True):
            print(f"  {count:,} {what} x {samples:,} images x {epochs} epochs x {1000 * seconds:.3f} ms: {one:,.1f} h")
        total = sum(hours)
        print(f"  the whole paper, passes to validate and test aside: {total:,.0f} GPU hours; the paper's {HOURS:,} are {HOURS / total:,.0f}x")


def _side(params: Params, together: Any, rates: Any) -> None:
    """One of several processes that train transfers on one GPU: its samples per second in an epoch that all begin together."""
    nets, kind = Nets(params), NetworkKind(SIDE, True, True)
    graphs.COMPILED_FROM = 0
    torch.set_num_threads(1)
    task, plan, positions = nets.task(kind.name), nets.schedule(kind), np.arange(SAMPLES)
    there = resident(Labels(task), nets.inputs(kind), positions, DEVICE, 1)
    assert there is not None
    assert task.task.loss is not None
    many, few = (Batches(*there, np.resize(positions, steps * plan.batch), plan.batch) for steps in (SIDE_STEPS, 1))
    ends: list[float] = []

    def each_epoch(epoch: int, _curve: object) -> None:
        together.wait()
        ends.append(time.perf_counter())

    how = {"name": "side", "seed": 0, "checkpoint": Path("none"), "precision": nets.precision, "save_every": 1e9, "each_epoch": each_epoch}
    fit(nets.network(kind).to(DEVICE), task.task.loss, many, few, plan.model_copy(update={"epochs": 2}), **how)  # type: ignore[arg-type]
    rates.put(SIDE_STEPS * plan.batch / (ends[1] - ends[0]))


def side_by_side(params: Params) -> None:
    """Transfers per process and together. Without NVIDIA's MPS processes take turns on a GPU."""
    running = (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")) / "control").exists()
    print(f"\ntransfers to {SIDE}, compiled, side by side in processes, {'under' if running else 'without'} MPS:")
    context = multiprocessing.get_context("spawn")
    for count in (1, 2, 4):
        together, rates = context.Barrier(count), context.Queue()
        processes = [context.Process(target=_side, args=(params, together, rates)) for _ in range(count)]
        for process in processes:
            process.start()
        found = [rates.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
        print(f"  {count}: {sum(found):,.0f} samples per second", flush=True)


def table(bench: Bench, done: dict[str, dict[str, Any]]) -> None:
    everything, passes = len(bench.params.data.tasks), bench.plan.images * bench.plan.schedule.epochs / bench.images / bench.epochs
    print(f"\n{'seconds on ' + DEVICE.type:<40}" + "".join(f"{way:>20}" for way in WAYS.values()))
    rows = {f"encoding, {bench.sources} sources": [one["encode"] for one in done.values()]}
    rows |= {f"{name}, {bench.sources} transfers": [sum(one["seconds"][name]) for one in done.values()] for name in TARGETS}
    totals = []
    for one in done.values():
        learn, judge = np.sum(list(one["seconds"].values()), 0)
        totals.append(everything / bench.sources * (passes * learn + bench.plan.images / bench.images * (judge + one["encode"])))
    rows[f"scaled to {everything} sources and the profile"] = totals
    for text, numbers in rows.items():
        print(f"{text:<40}" + "".join(f"{number:>20,.1f}" for number in numbers))
    print(f"{'ratio':<40}" + "".join(f"{number / totals[0]:>19.1f}x" for number in totals))
    print(f"{'peak memory, GiB':<40}" + "".join(f"{one['memory']:>20.2f}" for one in done.values()))
    a, b = (np.array(done[way]["lowest"]) for way in ("stored", "frozen"))
    print(f"validation losses from stored codes over those with the encoder at each step: {np.min(a / b):.3f} to {np.max(a / b):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=3, help="how many to measure")
    parser.add_argument("--profile", default="", help="a file of profiles/, without its ending")
    parser.add_argument("--rates", action="store_true", help="on a GPU: images per second, and the GPU hours of the paper, instead")
    parser.add_argument("--side", action="store_true", help="on a GPU: transfers side by side, instead")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rates or args.side:
        params = Bench(args.profile, args.sources, Path()).params
        if DEVICE.type == "cpu":
            sys.exit("--rates and --side need a GPU: there is none here")
        if args.rates:
            Rates(params).show()
        if args.side:
            side_by_side(params)
        return
    if args.part:
        bench = Bench(args.profile, args.sources, Path(args.part[0]))
        if args.part[1] == "data":
            bench.data()
        else:
            print(json.dumps(bench.way(args.part[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.profile, args.sources, Path(folder))

        def part(name: str, **kwargs: Any) -> Any:
            """In a process of its own, so that its peak memory is its own."""
            command = [sys.executable, __file__, "--profile", args.profile, "--sources", str(args.sources), "--part", folder, name]
            return subprocess.run(command, check=True, **kwargs).stdout

        part("data")
        train = f"{bench.images} of {bench.plan.images:,} images, {bench.epochs} of {bench.plan.schedule.epochs} epochs"
        print(f"{len(TARGETS)} targets, {args.sources} of {len(bench.params.data.tasks)} sources, {train}, one process")
        table(bench, {way: json.loads(part(way, stdout=subprocess.PIPE)) for way in WAYS})
        if DEVICE.type == "cpu":
            print("images per second, the share of the device's peak and the hours of the whole paper need a GPU: there is none here")


if __name__ == "__main__":
    main()
