"""Load the predictors that the stage `export` wrote, and run them on a user's images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from taskonomy.config.network_params import EncoderParams
from taskonomy.errors import TaskonomyError
from taskonomy.inference.composed_model import Encoder, Whole, fresh_encoder, fresh_readout
from taskonomy.inference.file_encoder import FileEncoder, read_file_encoder
from taskonomy.inference.manifest import FOLDER, Exported, open_export
from taskonomy.inference.photographs import read_square, reading_of
from taskonomy.inference.rendering import Prediction
from taskonomy.labels.encodings import Head
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.preprocess import resized

Picture = UInt8[np.ndarray, "_ _ 3"]
Given = Path | str | Picture
AnyEncoder = Encoder | FileEncoder
DEVICES = ("auto", "cpu", "cuda")


class Predictor:
    """The network of one target.

    Args:
        exported: The folder of predictors.
        target: The task.
        encoders: Encoders loaded so far, shared by predictors; missing ones are added.
        device: Device to compute on.

    Attributes:
        task: The target's task, with the head of its network.
        card: What the stage `export` recorded about it: metrics, sources, data, parameters.
    """

    def __init__(self, exported: Exported, target: str, encoders: dict[str, AnyEncoder], device: torch.device) -> None:
        self.card = exported.card(target)
        shapes = self.card["shapes"]
        self.task = replace(exported.task(target), head=Head(**shapes["head"]))
        self.side, self.device, self.reading = exported.side, device, reading_of(exported)
        for source in self.card["encoders"]:
            if source not in encoders:
                encoders[source] = _encoder(exported, source).to(device)
        self.encoders = {source: encoders[source] for source in self.card["encoders"]}
        self.readout = fresh_readout(self.task, 0 if self.card["kind"] == "own network" else len(self.encoders), shapes)
        _loaded(self.readout, exported.readout(target)).to(device)

    def __call__(self, *images: Given) -> Prediction:
        """Predict the target for one sample.

        Args:
            images: Files or RGB arrays, of any size: 1, 2 or 3, as many as the task takes.

        Raises:
            TaskonomyError: Wrong number of images, or one that cannot be read.
        """
        return next(predict([self], [images]))[0]

    @property
    def network(self) -> Whole:
        """Build the network from images [batch, images, 3, side, side] in [0, 1] to outputs as one module.

        Encoders that others trained see the images enlarged; `predict` gives them the images at their own size.
        """
        return Whole(self.encoders, self.readout).eval()

    def check(self, images: int) -> None:
        """Check that the number of images is the one that the task takes.

        Raises:
            TaskonomyError: It is not.
        """
        if images != self.task.images:
            takes = "1 image" if self.task.images == 1 else f"{self.task.images} images of one scene, in order"
            raise TaskonomyError(f"{self.task.name} takes {takes} (got {images})")

    def answer(self, codes: dict[str, Tensor], squares: tuple[Picture, ...]) -> Prediction:
        """Predict from the codes of a sample's images: source -> [images, channels, height, width]."""
        with torch.no_grad():
            output = self.readout(torch.cat([codes[source] for source in self.encoders], 1)[None])[0]
        mine = {source: codes[source].float().cpu().numpy() for source in self.encoders}
        return Prediction(self.task, squares, output.float().cpu().numpy(), self.card["statistics"], mine)


def load_predictor(task: str, folder: Path | str = FOLDER, device: str = "auto", registry: Registry = BUILT_IN) -> Predictor:
    """Load a target's predictor.

    Args:
        task: The target.
        folder: Folder that the stage `export` wrote.
        device: cpu, cuda, or auto: a GPU where there is one.
        registry: Registry of tasks; for predictors of custom tasks `read_params(...).registry` of the run.

    Raises:
        TaskonomyError: There are no predictors or none of this task, weights are damaged, or there is no such device.
    """
    return load_predictors([task], folder, device, registry)[0]


def load_predictors(
    tasks: Iterable[str] | None = None, folder: Path | str = FOLDER, device: str = "auto", registry: Registry = BUILT_IN
) -> list[Predictor]:
    """Load the predictors of several targets (None: all); encoders that several use are loaded once."""
    exported, encoders, where = open_export(Path(folder), registry), dict[str, AnyEncoder](), device_of(device)
    return [Predictor(exported, task, encoders, where) for task in (exported.targets if tasks is None else tasks)]


def predict(predictors: Sequence[Predictor], samples: Iterable[Sequence[Given]], *, share: bool = True) -> Iterator[list[Prediction]]:
    """Yield the predictions for each sample, one for each predictor.

    Args:
        predictors: Predictors that take as many images as a sample has.
        samples: The images of each sample, as files or arrays.
        share: Whether an encoder that several predictors read runs once on an image; the predictions are the same either way.
    """
    for sample in samples:
        for one in predictors:
            one.check(len(sample))
        squares = tuple(read_square(image, predictors[0].reading) for image in sample) if predictors else ()
        seen = {one.device: as_seen(squares, one.side).to(one.device) for one in predictors}
        known: dict[str, Tensor] = {}
        answers = []
        for one in predictors:
            codes = known if share else {}
            encode(one.encoders, seen[one.device], codes, squares)
            answers.append(one.answer(codes, squares))
        yield answers


@torch.no_grad()
def encode(
    encoders: Mapping[str, AnyEncoder], images: Float[Tensor, "images 3 side side"], known: dict[str, Tensor], squares: Sequence[Picture]
) -> None:
    """Compute the codes of images by the encoders that `known` lacks, and add them to it.

    Args:
        encoders: Source -> encoder.
        images: Images at the run's side, for the run's encoders.
        known: Source -> codes.
        squares: The same images at their own size, for encoders that others trained.
    """
    for source, encoder in encoders.items():
        if source not in known:
            known[source] = encoder.of_squares(squares).to(images.device) if isinstance(encoder, FileEncoder) else encoder(images)


def as_seen(squares: Sequence[UInt8[np.ndarray, "_ _ 3"]], side: int) -> Float[Tensor, "images 3 {side} {side}"]:
    """Resize squares to the networks' side as prepared images are (averaged when shrunk, bilinear when enlarged); values in [0, 1]."""
    images = np.stack([resized(square, side) for square in squares])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def device_of(name: str) -> torch.device:
    """Return the device of this name.

    Raises:
        TaskonomyError: There is no such device.
    """
    if name not in DEVICES:
        raise TaskonomyError(f"--device must be {', '.join(DEVICES)} (is {name!r})")
    if name == "cuda" and not torch.cuda.is_available():
        raise TaskonomyError("--device cuda: torch sees no CUDA device; use cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _encoder(exported: Exported, source: str) -> AnyEncoder:
    entry = exported.index["encoders"][source]
    if "file" in entry:
        return read_file_encoder(source, entry, exported.root / "encoders")
    found: Encoder = _loaded(fresh_encoder(exported.task(source), EncoderParams(**entry["shape"])), exported.encoder(source))
    return found


def _loaded(module: Any, path: Path) -> Any:
    inner: nn.Module = module.encoder if isinstance(module, Encoder) else module
    try:
        inner.load_state_dict(load_file(path))
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise TaskonomyError(f"{path}: not the weights that were exported ({' '.join(str(error).split())[:200]}); export again") from None
    return module.eval().requires_grad_(False)
