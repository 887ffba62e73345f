"""Encoders trained by others in predictors: the ONNX file runs in ONNX Runtime, on images at its own side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from taskonomy.atomic_io import write_bytes
from taskonomy.config.checked import checked
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.about_sources import read_encoder_facts
from taskonomy.pretrained.onnx_encoder import BATCH, OnnxEncoder
from taskonomy.pretrained.principal import FITTED, Components, pooled, read_components
from taskonomy.tasks.preprocess import resized


class FileEncoder(nn.Module):
    """An encoder of an ONNX file, with the projection onto its principal components.

    Args:
        encoder: The file's network.
        components: The projection; None: all channels are kept.
        side: Side of the codes.
        dtype: Type that codes were stored in: the transfers have seen no finer numbers.
    """

    def __init__(self, encoder: OnnxEncoder, components: Components | None, side: int, dtype: str) -> None:
        super().__init__()
        self.encoder, self.components, self.side, self.dtype = encoder, components, side, dtype

    def forward(self, images: Float[Tensor, "images 3 _ _"]) -> Float[Tensor, "images channels {self.side} {self.side}"]:
        """Compute the code of images in [0, 1] of any side, which are brought to the encoder's own."""
        side = self.encoder.params.side
        pixels = images.permute(0, 2, 3, 1).cpu().numpy()
        return self._codes(np.stack([resized(np.ascontiguousarray(one), side) for one in pixels]).astype(np.float32)).to(images.device)

    def of_squares(self, squares: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[Tensor, "images channels {self.side} {self.side}"]:
        """Compute the codes of square images of any size, as the stage `encode` does."""
        return self._codes(np.stack([resized(square, self.encoder.params.side) for square in squares]))

    def _codes(self, images: Any) -> Tensor:
        maps = np.concatenate([pooled(self.encoder.maps(images[start : start + BATCH]), self.side) for start in range(0, len(images), BATCH)])
        codes = maps if self.components is None else self.components.project(maps)
        return torch.from_numpy(codes.astype(self.dtype).astype(np.float32))


def write_file_encoder(name: str, params: PretrainedParams, codes: Path, folder: Path, image: str) -> dict[str, Any]:
    """Copy an encoder's network, weights included, and its projection into a folder of predictors; return its entry of the index.

    Args:
        name: The encoder's name.
        params: What the section `encoders` says of it.
        codes: Folder with its codes.
        folder: Folder of encoders.
        image: File of the codes of plain images, in the folder of codes.

    Raises:
        TaskonomyError: The file is not what the parameters say, or its codes are missing.
    """
    facts, encoder = read_encoder_facts(codes), OnnxEncoder(name, params)
    data = encoder.model.SerializeToString()
    write_bytes(folder / f"{name}.onnx", data)
    if (codes / FITTED).is_file():
        write_bytes(folder / f"{name}.npz", (codes / FITTED).read_bytes())
    stored = np.load(codes / image, mmap_mode="r", allow_pickle=False)
    return {
        "title": params.title or name,
        "reads": "colours",
        "file": params.model_copy(update={"file": f"{name}.onnx"}).model_dump(mode="json"),
        "licence": params.licence,
        "dtype": str(stored.dtype),
        "code": [int(size) for size in stored.shape[1:]],
        "parameters": facts["parameters"],
        "flops": 2 * facts["multiply_adds"],
    }


def read_file_encoder(name: str, entry: dict[str, Any], folder: Path) -> FileEncoder:
    """Load an encoder that `write_file_encoder` wrote.

    Raises:
        TaskonomyError: Its files are missing or damaged.
    """
    try:
        params, side, dtype = checked(PretrainedParams, entry["file"], f"{folder}: {name}"), int(entry["code"][-1]), str(np.dtype(entry["dtype"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TaskonomyError(f"{folder}: {name}: not what the stage `export` writes ({error}); export again") from None
    components = read_components(folder / f"{name}.npz") if params.channels is not None else None
    return FileEncoder(OnnxEncoder(name, params.model_copy(update={"file": f"{name}.onnx"}), folder), components, side, dtype)
