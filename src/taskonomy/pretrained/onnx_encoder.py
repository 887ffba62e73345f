"""Encode images by a network of an ONNX file, with one thread: the same bits each time on one machine."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from taskonomy.config.encoder_params import ChannelOrder, PretrainedParams
from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.onnx_file import input_of, input_shape, read_model

BATCH = 8  # images that a network sees at once
Seen = UInt8[np.ndarray, "images side side 3"] | Float32[np.ndarray, "images side side 3"]
Maps = Float32[np.ndarray, "images channels height width"]


class OnnxEncoder:
    """An encoder of an ONNX file.

    Args:
        name: Its key in the section `encoders`.
        params: What the section says of it.
        folder: Folder that the file's path starts from.

    Raises:
        TaskonomyError: The file is not what the parameters say.
    """

    def __init__(self, name: str, params: PretrainedParams, folder: Path = Path()) -> None:
        self.params, self.where, self.path = params, f"encoders.{name}", folder / params.file
        self._model = read_model(self.path, params.output, self.where)
        shape = input_shape(self._model)
        for size in shape[2:]:
            if size not in (None, params.side):
                raise TaskonomyError(f"{self.where}.side: {params.side}, but {self.path} reads images of {size} x {size} pixels: write side: {size}")
        self._one_by_one = shape[0] == 1
        if shape[0] not in (None, 1):
            raise TaskonomyError(f"{self.where}.file: {self.path}: reads {shape[0]} images at once: export it with a batch of any size, or of 1")

    @cached_property
    def _session(self) -> Any:
        """Open the network in ONNX Runtime."""
        try:
            import onnxruntime
        except ImportError:
            raise TaskonomyError("onnxruntime is not installed: pip install 'taskonomy[onnx]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # errors are raised; warnings about unused weights help nobody
        try:
            return onnxruntime.InferenceSession(self._model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise TaskonomyError(f"{self.where}.file: {self.path}: ONNX Runtime cannot run it ({_short(error)})") from None

    @property
    def model(self) -> Any:
        """Return the part of the file's network that computes the representation, weights included."""
        return self._model

    def maps(self, images: Seen) -> Maps:
        """Compute the representations of images at the encoder's own side.

        Args:
            images: Pixels, 8 bits, or numbers from 0 to 1.

        Raises:
            TaskonomyError: The network fails, its tensor is neither a map nor tokens of a square image, or holds numbers that are not finite.
        """
        made = self._as_maps(self._values(images), len(images))
        if not np.isfinite(made).all():
            raise TaskonomyError(f"{self.where}.output: {self.params.output!r} holds NaN or infinite numbers; check mean and std")
        return made

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the representation of one image: [channels, height, width] of a map, [tokens, channels] of tokens."""
        return tuple(self._values(np.zeros((1, self.params.side, self.params.side, 3), np.uint8)).shape[1:])

    def _values(self, images: Seen) -> Any:
        """Compute the representations of images, in the form that the network gives them."""
        seen = self._normalised(images)
        parts = [seen[place : place + 1] for place in range(len(seen))] if self._one_by_one else [seen]
        try:
            found = [self._session.run([self.params.output], {self._input: part})[0] for part in parts]
        except TaskonomyError:
            raise
        except Exception as error:
            raise TaskonomyError(f"{self.where}: {self.path} fails on an image of {self.params.side} pixels ({_short(error)})") from None
        return np.concatenate([np.asarray(one) for one in found]).astype(np.float32)

    @cached_property
    def _input(self) -> str:
        return str(input_of(self._model).name)

    def _normalised(self, images: Seen) -> Any:
        mean, std = (np.array(values, np.float32) for values in (self.params.mean, self.params.std))
        scaled = images.astype(np.float32) / 255 if images.dtype == np.uint8 else images
        seen = (scaled - mean) / std
        if self.params.order is ChannelOrder.BGR:
            seen = seen[..., ::-1]
        half = input_of(self._model).type.tensor_type.elem_type == 10  # TensorProto.FLOAT16
        return np.ascontiguousarray(seen.transpose(0, 3, 1, 2)).astype(np.float16 if half else np.float32)

    def _as_maps(self, values: Any, images: int) -> Maps:
        where = f"{self.where}.output: {self.params.output!r}"
        if len(values) != images or values.ndim not in (3, 4):
            raise TaskonomyError(f"{where} has the shape {values.shape} for {images} images: must be a map (4 axes) or tokens (3)")
        if values.ndim == 4:
            if self.params.skip_tokens:
                raise TaskonomyError(f"{self.where}.skip_tokens: {self.params.output!r} is a map and has no tokens to skip")
            return np.asarray(values)
        tokens = values.shape[1] - self.params.skip_tokens
        side = round(max(tokens, 0) ** 0.5)
        if tokens < 1 or side * side != tokens:
            more = next((skip for skip in range(values.shape[1]) if _square(values.shape[1] - skip)), 0)
            raise TaskonomyError(
                f"{self.where}.skip_tokens: {values.shape[1]} tokens less {self.params.skip_tokens} are no square image; skip_tokens: {more} would be"
            )
        return np.ascontiguousarray(values[:, self.params.skip_tokens :].transpose(0, 2, 1).reshape(images, -1, side, side))


def _square(count: int) -> bool:
    return round(count**0.5) ** 2 == count


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
