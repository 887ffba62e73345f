"""Codes of an encoder trained by others, for every image that transfers read: what the stage `encode` writes.

```
data/codes/NAME/INPUT.npy    codes of every view outside the train split, as those of tasks
data/codes/NAME/facts.json   channels, variance that they keep, weights, multiply-adds; beside them those of the run's own encoders
data/codes/NAME/components.npz  mean and axes of the principal components, where there are some
```

Images are read anew from the data, as the encoder sees more than the run's prepared images have. What a target does to its images (the noise of
denoising) is done to the prepared image, which is enlarged then: so every source sees what the target sees, and no more.

Images are encoded in portions of a fixed size, so that the bits do not depend on the number of processes; finished portions are kept.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from taskonomy.atomic_io import resumable_folder, write_json
from taskonomy.config.data_params import DataParams
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.config.params import Params
from taskonomy.config.task_config import inputs_of_targets
from taskonomy.data.datasets import Data, open_anew
from taskonomy.data.framing import ReadOptions
from taskonomy.data.prepare.arrays import Array, Writing
from taskonomy.data.prepare.resume_log import ResumeLog
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input
from taskonomy.machine.cores import on_every_core, progress
from taskonomy.numeric.rng import generator
from taskonomy.pretrained.about_sources import FACTS
from taskonomy.pretrained.multiply_adds import multiply_adds, own_multiply_adds, parameters_of
from taskonomy.pretrained.onnx_encoder import BATCH, OnnxEncoder
from taskonomy.pretrained.principal import FITTED, Components, Moments, pooled
from taskonomy.release.formats import DamagedFileError, ViewKey
from taskonomy.store.store import code_digest, digest_of, key_of
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.preprocess import resized

PORTION = 32  # images
FIT = 4096  # images of the train split that principal components are computed from, at most
_CODE = ("taskonomy.pretrained", "taskonomy.training.transforms")


@dataclass(frozen=True)
class ImageSource:
    """What an encoder reads, and how; small, because it travels between processes.

    Attributes:
        name: The encoder's name.
        params: What the section `encoders` says of it.
        prepared: Folder of the prepared data.
        side: Side of the codes.
    """

    name: str
    params: PretrainedParams
    prepared: Path
    side: int


@dataclass(frozen=True)
class PortionJob:
    """Some images to encode.

    Attributes:
        source: How.
        open: Opens the data of their buildings.
        rows: Their rows in the index.
        inputs: What is done to them; empty: they are measured for principal components.
        folder: The unfinished folder.
        first: Row of the first among the codes, or number of the portion.
        components: The projection; None: all channels are kept.
        dtype: Type of the codes.
    """

    source: ImageSource
    open: Callable[[], Data]
    rows: tuple[int, ...]
    inputs: tuple[Input, ...]
    folder: Path
    first: int
    components: Components | None = None
    dtype: str = "float32"


def encode_images(name: str, params: Params, prepared: Path, output: Path, processes: int | None = None) -> dict[str, Any]:
    """Write the codes of all images outside the train split, for everything that targets do to images.

    Args:
        name: The encoder's name.
        params: All parameters.
        prepared: Folder of the prepared data.
        output: Folder to write; it appears complete, or not at all, and unfinished work is resumed.
        processes: Number of processes; None: one per core. The result does not depend on it.

    Returns:
        Facts that differ between runs: milliseconds of one core for one image, and of how many images; 0 where all were known.

    Raises:
        TaskonomyError: The file is not what the parameters say, an image cannot be read, or numbers do not fit.
    """
    mine = params.encoders[name]
    encoder = OnnxEncoder(name, mine)
    views = Prepared(prepared)
    side = params.data.resolution // params.train.encoder.stride
    source = ImageSource(name, mine, Path(prepared), side)
    inputs = inputs_of_targets(params.transfer.targets, params.registry)
    with resumable_folder(output, _key(source, encoder, views, inputs, params.transfer.codes)) as folder:
        work = EncodingWork(source, as_prepared(params.data), views, folder, ResumeLog(folder / "journal"), processes)
        components = work.fitted() if mine.channels is not None else None
        channels = work.all_channels() if components is None else len(components.axes)
        work.encode(inputs, components, channels, params.transfer.codes)
        own = own_multiply_adds(params.train.encoder, params.data.resolution)
        write_json(folder / FACTS, _facts(encoder, components, channels, f"encoders.{name}") | {"own_multiply_adds": own})
        if components is not None:
            np.savez(folder / FITTED, mean=components.mean, axes=components.axes, explained=components.explained)
        work.tidy()
    return {"milliseconds": work.seconds / max(work.images, 1) * 1000, "images": work.images}


@dataclass
class EncodingWork:
    """The work of one encoder, resumed from its journal.

    Attributes:
        source: How images are encoded.
        data: Where they are read.
        views: The prepared data.
        folder: The unfinished folder.
        journal: Portions that are finished.
        processes: Number of processes; None: one per core.
        seconds, images: Seconds in the network, and images that it saw, of the portions that this process finished.
    """

    source: ImageSource
    data: Data
    views: Prepared
    folder: Path
    journal: ResumeLog
    processes: int | None
    seconds: float = 0.0
    images: int = 0

    def fitted(self) -> Components:
        """Compute the principal components, from images of the train split."""
        rows = np.flatnonzero(self.views.splits == Split.TRAIN.number)
        rows = np.sort(generator(0, "principal components", self.source.name).permutation(rows)[:FIT])
        jobs = [PortionJob(self.source, self._opener(part), part, (), self.folder, first) for first, part in _portions(rows)]
        self._run("components", jobs, len(rows))
        total: Moments | None = None
        for job in jobs:
            with np.load(self.folder / f"moments{job.first}.npz", allow_pickle=False) as kept:
                part = Moments.of(int(kept["count"]), kept["sum"], kept["products"])
            total = part if total is None else total.plus(part)
        if total is None:
            raise TaskonomyError(f"{self.views.root}: no images in the train split to compute principal components from")
        assert self.source.params.channels is not None
        return total.components(self.source.params.channels, f"encoders.{self.source.name}")

    def encode(self, inputs: tuple[Input, ...], components: Components | None, channels: int, dtype: str) -> None:
        """Encode every image outside the train split."""
        rows = np.flatnonzero(self.views.splits != Split.TRAIN.number)
        if self.journal.gave("arrays", "") is None:
            for array in _arrays(inputs, channels, self.source.side, dtype):
                array.make(self.folder, len(rows))
            self.journal.note("arrays", "", True)
        jobs = [PortionJob(self.source, self._opener(part), part, inputs, self.folder, first, components, dtype) for first, part in _portions(rows)]
        self._run("codes", jobs, len(rows))

    def all_channels(self) -> int:
        """Return the number of channels of the encoder's tensor."""
        first = (int(np.flatnonzero(self.views.splits != Split.TRAIN.number)[0]),)
        encoder = _opened(self.source.name, self.source.params)
        return int(encoder.maps(_images(self.data, self.source.prepared, first, self.source.params.side)).shape[1])

    def _opener(self, rows: Sequence[int]) -> Callable[[], Data]:
        return self.data.opener(dict.fromkeys(self.views.index["building"].iloc[list(rows)].tolist()))

    def _run(self, what: str, jobs: list[PortionJob], images: int) -> None:
        todo = [job for job in jobs if self.journal.gave(f"{what} {job.first}", "") is None]
        with progress(images, f"encode {self.source.name}: {what}", "images") as bar:
            bar.update(images - sum(len(job.rows) for job in todo))
            for job, (seconds, seen) in on_every_core(_do, todo, self.processes):
                self.journal.note(f"{what} {job.first}", "", True)
                self.seconds, self.images = self.seconds + seconds, self.images + seen
                bar.update(len(job.rows))

    def tidy(self) -> None:
        """Remove what only an unfinished folder has."""
        for left in [*self.folder.glob("moments*.npz"), self.folder / "journal"]:
            left.unlink(missing_ok=True)


def _facts(encoder: OnnxEncoder, components: Components | None, channels: int, where: str) -> dict[str, Any]:
    try:
        operations = multiply_adds(encoder.model, encoder.params.side)
    except TaskonomyError as error:
        raise TaskonomyError(f"{where}.file: {encoder.path}: {error}") from None
    return {
        "channels": channels,
        "explained": 1.0 if components is None else components.explained,
        "parameters": parameters_of(encoder.model),
        "multiply_adds": operations,
    }


def _do(job: PortionJob) -> tuple[float, int]:
    """Encode a portion; return the seconds in the network, and the number of images that it saw."""
    encoder = _opened(job.source.name, job.source.params)
    if not job.inputs:
        maps, seconds = _maps(encoder, _images(job.open(), job.source.prepared, job.rows, job.source.params.side), job.source.side)
        moments = Moments(maps.shape[1])
        moments.add(maps)
        np.savez(job.folder / f"moments{job.first}.npz", count=moments.count, sum=moments.sum, products=moments.products)
        return seconds, len(job.rows)
    spent, channels = 0.0, 0
    made: dict[Input, Any] = {}
    for how in job.inputs:
        maps, seconds = _maps(encoder, _seen(job.open(), job.source.prepared, job.rows, how, job.source.params.side), job.source.side)
        made[how] = _as_codes(maps, job.components, job.dtype, job.source.name)
        spent, channels = spent + seconds, made[how].shape[1]
    with Writing(job.folder, _arrays(job.inputs, channels, job.source.side, job.dtype), job.first) as arrays:
        for how, codes in made.items():
            for place, code in enumerate(codes):
                arrays.write(f"{how.value}.npy", place, code)
    return spent, len(job.rows) * len(job.inputs)


def as_prepared(params: DataParams, root: str | None = None) -> Data:
    """Open the images as the stage `prepare` opens them; `root`: where others lie."""
    wanted = {name: one for name, one in params.own.items() if name in params.tasks}
    return open_anew(root or params.root, BUILT_IN.with_custom(wanted), ReadOptions.of(params))


def codes_of_views(
    source: ImageSource, encoder: OnnxEncoder, components: Components | None, data: Data, rows: Int[np.ndarray, " rows"], how: Input, dtype: str
) -> Any:
    """Compute the codes of some images of any prepared data, as `encode_images` does.

    Args:
        source: The encoder, and the prepared data.
        encoder: The encoder's network.
        components: The projection; None: all channels are kept.
        data: Where the images are read.
        rows: Their rows in the index.
        how: What is done to them.
        dtype: Type of the codes.
    """
    parts = [_maps(encoder, _seen(data, source.prepared, part, how, source.params.side), source.side)[0] for _first, part in _portions(rows)]
    return np.concatenate([_as_codes(maps, components, dtype, source.name) for maps in parts])


def _as_codes(maps: Any, components: Components | None, dtype: str, name: str) -> Any:
    with np.errstate(over="ignore"):  # is refused below
        codes = (maps if components is None else components.project(maps)).astype(dtype)
    if not np.isfinite(codes).all():
        raise TaskonomyError(f"encoders.{name}: its numbers are too large for {dtype}; write transfer.codes: float32")
    return codes


def _maps(encoder: OnnxEncoder, images: Any, side: int) -> tuple[Any, float]:
    """Compute the pooled representations of images, in batches of one size, and the seconds that the network took."""
    parts, seconds = [], 0.0
    for start in range(0, len(images), BATCH):
        began = time.perf_counter()
        maps = encoder.maps(images[start : start + BATCH])
        seconds += time.perf_counter() - began
        parts.append(pooled(maps, side))
    return np.concatenate(parts), seconds


def _seen(data: Data, prepared: Path, rows: Sequence[int], how: Input, side: int) -> Any:
    """Return what the encoder sees of images to which this is done."""
    if how is Input.IMAGE:
        return _images(data, prepared, rows, side)
    return altered(np.asarray(_prepared(prepared).images[list(rows)]), np.array(rows), how, side)


def altered(images: Any, rows: Int[np.ndarray, " batch"], how: Input, side: int) -> Float32[np.ndarray, "batch {side} {side} 3"]:
    """Alter prepared images as a target's own network sees them, and enlarge them; of lightness alone, all three channels are it."""
    from taskonomy.training.dataloader import TESTING
    from taskonomy.training.transforms import as_seen

    seen = as_seen(images[:, None], how, rows, TESTING)[:, 0].permute(0, 2, 3, 1).numpy()
    scaled = np.broadcast_to((seen + 1) / 2, (*seen.shape[:3], 3))
    return np.stack([resized(np.ascontiguousarray(one), side) for one in scaled]).astype(np.float32)


def _images(data: Data, prepared: Path, rows: Sequence[int], side: int) -> Any:
    """Read images from the data: the central square of each, at the encoder's side."""
    keys = [_view_key(prepared, row) for row in rows]
    data.fetch(keys, ["rgb"])
    images = []
    for key in keys:
        try:
            images.append(resized(data.view(key, side).stored("rgb"), side))
        except DamagedFileError as error:
            raise TaskonomyError(f"{data.where(key, 'rgb')}: {error}; it has changed since the stage `prepare` read it") from None
    return np.stack(images)


def _view_key(prepared: Path, row: int) -> ViewKey:
    building, point, view = (_prepared(prepared).index[column].iloc[row] for column in ("building", "point", "view"))
    return ViewKey(str(building), int(point), int(view))


@lru_cache(maxsize=1)
def _prepared(path: Path) -> Prepared:
    return Prepared(path)


@lru_cache(maxsize=1)
def _opened(name: str, params: PretrainedParams) -> OnnxEncoder:
    return OnnxEncoder(name, params)


def _arrays(inputs: Sequence[Input], channels: int, side: int, dtype: str) -> list[Array]:
    return [Array(f"{how.value}.npy", np.dtype(dtype), (channels, side, side)) for how in inputs]


def _portions(rows: Int[np.ndarray, " rows"]) -> Iterator[tuple[int, tuple[int, ...]]]:
    for first in range(0, len(rows), PORTION):
        yield first, tuple(rows[first : first + PORTION].tolist())


def _key(source: ImageSource, encoder: OnnxEncoder, views: Prepared, inputs: tuple[Input, ...], dtype: str) -> str:
    """Return a text that identifies the result: the network, the images as they were prepared, the parameters and the code."""
    from importlib.metadata import version

    model = digest_of(np.frombuffer(encoder.model.SerializeToString(), np.uint8))
    said = source.params.model_dump(mode="json", exclude={"file", "licence", "title"})
    return key_of(
        name=source.name, params=said, model=model, index=digest_of(np.frombuffer((views.root / "index.csv").read_bytes(), np.uint8)),
        images=digest_of(views.images), inputs=[one.value for one in inputs], side=source.side, dtype=dtype, code=code_digest(*_CODE),
        versions=[version(name) for name in ("numpy", "onnxruntime", "torch")],
    )  # fmt: skip
