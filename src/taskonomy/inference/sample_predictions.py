"""Draw predictions of every task network and of some transfers beside the ground truth.

```
samples.json   what is shown, in words and numbers; pictures by file name
*.webp         the pictures, each once, without loss
units.csv      key, target, sources: the units that keep the weights of the transfers shown
```
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from taskonomy.affinity.ahp import affinities
from taskonomy.affinity.losses_file import open_losses
from taskonomy.affinity.measure import AGAINST
from taskonomy.affinity.win_rates import win_rate_against, win_rates
from taskonomy.atomic_io import whole_folder, write_bytes, write_csv, write_json
from taskonomy.config.params import Params, SamplesParams
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.numeric.rng import generator
from taskonomy.tables.table import SELF
from taskonomy.tasks import Registry
from taskonomy.tasks.decode import decode
from taskonomy.tasks.visualize import Sample, fit, label_picture
from taskonomy.training.checkpoint import load_weights
from taskonomy.training.codes import row_of_view
from taskonomy.training.dataloader import TESTING, Batches, CodeInputs, ImageInputs, Labels, NetworkInputs
from taskonomy.training.task_networks import network_of, prepared_task
from taskonomy.training.train_transfer import scratch_with_weights, transfer_with_weights
from taskonomy.training.transfer_context import SCRATCH, shared
from taskonomy.transfers.run_context import RunContext

METRES = {"mean": 0.0, "std": 1.0}  # pictures show metres and radians, not z-scores
WITHOUT_LOSS = 101  # OpenCV's quality above 100 means lossless; two thirds of the PNG's size
Picture = UInt8[np.ndarray, "_ _ 3"]


def write_samples(path: Path, run: RunContext, transfers: Path, params: Params) -> None:
    """Write the folder of the stage `samples`, atomically.

    Args:
        path: The folder.
        run: The run with its networks and codes.
        transfers: Folder with the losses of all transfers.
        params: All parameters.

    Raises:
        TaskonomyError: A file that an earlier stage writes is missing or damaged.
    """
    torch.set_num_threads(1)
    prepared = Prepared(run.prepared)
    with whole_folder(path) as folder, torch.no_grad():
        album = PictureAlbum(folder, prepared, params.registry, params.samples)
        learnt = [name for name in params.data.tasks if album.registry[name].label is not None]
        networks = [_network(album, run, name) for name in learnt]
        shown = [name for name in params.samples.targets if name in params.transfer.targets]
        found = [_transfers(album, run, transfers / name, params, name) for name in shown]
        write_json(folder / "samples.json", {"networks": networks, "transfers": [one for one, _units in found]})
        write_csv(folder / "units.csv", pd.DataFrame([row for _one, units in found for row in units], columns=["key", "target", "sources"]))


class PictureAlbum:
    """Draws samples, and keeps each picture once.

    Args:
        folder: Where pictures are written.
        prepared: The prepared data.
        registry: Registry of tasks.
        params: The section `samples`.
    """

    def __init__(self, folder: Path, prepared: Prepared, registry: Registry, params: SamplesParams) -> None:
        self.folder, self.prepared, self.registry, self.params = folder, prepared, registry, params
        # One random order of all views: every task shows the samples whose first images come first in it, so that tasks show the same images.
        self._order = generator(params.seed, "samples").permutation(len(prepared.index)).argsort()
        cameras = prepared.root / "cameras.npy"
        self._cameras = np.load(cameras, mmap_mode="r") if cameras.is_file() else None

    def chosen(self, task: PreparedTask) -> Int[np.ndarray, " views"]:
        """Choose the samples that are shown for a task."""
        positions = task.of_split(Split.TEST_POLICY)
        return positions[self._order[task.samples[positions, 0]].argsort(kind="stable")][: self.params.views]

    def keep(self, picture: Picture) -> str:
        """Store a picture and return its file name."""
        data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, WITHOUT_LOSS])[1].tobytes()
        name = f"{blake2b(data, digest_size=8).hexdigest()}.webp"
        if not (self.folder / name).exists():
            write_bytes(self.folder / name, data)
        return name

    def truth(self, task: PreparedTask, sample: int) -> str:
        """Draw a sample's label."""
        return self.keep(label_picture(task.task, self._sample(task, sample, self._label(task, sample))))

    def prediction(self, task: PreparedTask, sample: int, output: Tensor) -> str:
        """Draw a network's output for a sample, like its label."""
        found = decode(task.task, output.float().numpy(), task.statistics)
        return self.keep(label_picture(task.task, self._sample(task, sample, found, like=self._label(task, sample))))

    def seen(self, task: PreparedTask, images: Any) -> str | None:
        """Draw a network's input for a sample, [images, channels, height, width] in [-1, 1]; None where the drawn label contains the images."""
        if task.task.images > 1:
            return None
        pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
        side = int(np.sqrt(len(pixels)))
        rows = [np.concatenate(list(pixels[start : start + side]), 1) for start in range(0, len(pixels), side)]
        return self.keep(fit(np.ascontiguousarray(np.concatenate(rows)), self.params.side, smooth=True))

    def _label(self, task: PreparedTask, sample: int) -> Any:
        label = task.task.label
        if label is None:
            raise TaskonomyError(f"{task.task.name} has no label to draw")
        found = label.encode(np.asarray(task.stored[[sample]]), {**task.statistics, **METRES})
        return tuple(part[0] for part in found) if isinstance(found, tuple) else found[0]

    def _sample(self, task: PreparedTask, sample: int, target: Any, like: Any = None) -> Sample:
        rows = task.samples[sample]
        fov = None if self._cameras is None else float(self._cameras[rows[0], 6])
        images, names = [np.asarray(self.prepared.images[row]) for row in rows], self.registry[task.task.name].classes
        known = task.mask([sample])
        return Sample(target, images, fov, self.params.side, like, names, None if known is None else known[0])


def _network(album: PictureAlbum, run: RunContext, name: str) -> dict[str, Any]:
    """Describe the samples of a task's own network: its input, the label, and its output."""
    config = run.config(name)
    task = prepared_task(album.prepared, config)
    network = _trained(run, config, album.prepared)
    chosen = album.chosen(task)
    seen, outputs = _outputs(network, task, ImageInputs(album.prepared.images, task.task.input, config.tile_side), chosen)
    samples = [
        {"seen": album.seen(task, images), "truth": album.truth(task, one), "prediction": album.prediction(task, one, output)}
        for one, images, output in zip(chosen.tolist(), seen, outputs, strict=True)
    ]
    changed = task.task.images == 1 and task.task.input is not Input.IMAGE
    return {"task": name, "changes_images": changed, "samples": samples}


def _transfers(album: PictureAlbum, run: RunContext, losses: Path, params: Params, target: str) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Describe some transfers to a target, best first, between its own network and the one from scratch; also return their units."""
    context = shared(run.to(target, params.data.tasks))
    config, task = context.config, context.task
    chosen, gains = album.chosen(task), _gains(losses / f"{Split.TEST_POLICY}.npz", target)
    images = ImageInputs(album.prepared.images, task.task.input, config.tile_side)
    rows = row_of_view(album.prepared.splits)

    def column(kind: str, sources: Sequence[str], network: nn.Module, inputs: NetworkInputs) -> dict[str, Any]:
        _seen, outputs = _outputs(network, task, inputs, chosen)
        pictures = [album.prediction(task, one, output) for one, output in zip(chosen.tolist(), outputs, strict=True)]
        rates = gains.get("+".join(sources), {})
        return {"kind": kind, "sources": list(sources), **{name: rates.get(name) for name in ("gain", "gain_scratch")}, "pictures": pictures}

    columns = [column("own", (SELF,), _trained(run, config, album.prepared), images)]
    units = []
    for sources in chosen_transfers(losses / f"{Split.TEST_AFFINITY}.npz", target, params.samples.sources):
        with torch.enable_grad():
            network, _unit = transfer_with_weights(context, sources)
        columns.append(column("transfer", sources, network, CodeInputs([context.stored_codes(one) for one in sources], rows)))
        units.append((context.weights_key(sources), target, "+".join(sources)))
    with torch.enable_grad():
        network, _unit = scratch_with_weights(context)
    columns.append(column("scratch", SCRATCH, network, images))
    units.append((context.weights_key(SCRATCH), target, SCRATCH[0]))
    seen = [album.keep(fit(np.asarray(album.prepared.images[row]), album.params.side, smooth=True)) for row in task.samples[chosen, 0]]
    return {"target": target, "seen": seen, "truth": [album.truth(task, one) for one in chosen.tolist()], "columns": columns}, units


def chosen_transfers(path: Path, target: str, count: int) -> list[tuple[str, ...]]:
    """Choose the best transfer from several sources, then `count` transfers from single ones, evenly spread from best to worst by affinity.

    Args:
        path: The target's losses on the images that affinities are measured on.
        target: Its name; its own encoder is excluded as a source.
        count: Number of single sources.
    """
    with open_losses(path, target) as losses:
        worth = dict(
            zip(losses.candidates, affinities(win_rates(losses.losses, target, losses.candidates), losses.losses.shape[1]).tolist(), strict=True)
        )
    sets = sorted((tuple(name.split("+")) for name in worth if name not in (SELF, target)), key=lambda one: (-worth["+".join(one)], one))
    single, several = [one for one in sets if len(one) == 1], [one for one in sets if len(one) > 1]
    places = {round(place) for place in np.linspace(0, len(single) - 1, min(count, len(single)))}
    return [*several[:1], *(single[place] for place in sorted(places))]


def _gains(path: Path, target: str) -> dict[str, dict[str, float]]:
    """Return each candidate's win rates against the two baselines of gain, as far as they were measured: candidate -> column of a table -> rate."""
    with open_losses(path, target) as losses:
        found: dict[str, dict[str, float]] = {name: {} for name in losses.candidates}
        for column in ("gain", "gain_scratch"):
            if (baseline := getattr(losses, AGAINST[column])) is not None:
                rates = win_rate_against(losses.losses, baseline, target, losses.candidates).tolist()
                for name, rate in zip(losses.candidates, rates, strict=True):
                    found[name][column] = rate
        return found


def _trained(run: RunContext, config: TaskConfig, prepared: Prepared) -> nn.Module:
    network = network_of(config, prepared)
    load_weights(run.models / config.task / "network.safetensors", network)
    return network.eval()


@torch.no_grad()
def _outputs(network: nn.Module, task: PreparedTask, inputs: NetworkInputs, chosen: Int[np.ndarray, " views"]) -> tuple[Tensor, Tensor]:
    """Compute a network's inputs and outputs for these samples."""
    batch = Batches(Labels(task), inputs, chosen, len(chosen)).of(chosen, TESTING)
    return batch.seen, network.cpu()(batch.seen)
