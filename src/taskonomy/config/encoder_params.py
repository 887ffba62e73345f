"""The section `encoders`: networks trained by others, each one file, that images are encoded with."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, FiniteFloat

from taskonomy.config.checked import Checked, Count

Positive = Annotated[FiniteFloat, Field(gt=0)]


class ChannelOrder(StrEnum):
    """The order of an encoder's input channels."""

    RGB = "rgb"
    BGR = "bgr"


class PretrainedParams(Checked):
    """One encoder trained by others."""

    file: Annotated[str, Field(min_length=1, pattern=r"\.onnx$")]
    """ONNX file, from this folder on. Its weights may lie in files beside it, or below its folder."""
    output: Annotated[str, Field(min_length=1)]
    """Tensor that is the representation: a map [images, channels, height, width] or tokens [images, tokens, channels]. Any inner tensor may be; two
    layers of one file are two encoders."""
    side: Annotated[int, Field(ge=16, le=2048)]
    """Side of the images that it sees, pixels."""
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = (0.0, 0.0, 0.0)
    """Subtracted from red, green and blue, of pixels from 0 to 1."""
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    """What red, green and blue are divided by then."""
    order: ChannelOrder = ChannelOrder.RGB
    """Order of the channels that it reads: rgb | bgr."""
    skip_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens before those of the image's patches (class, registers); of maps 0."""
    channels: Count = 32
    """Numbers that are kept of each place, by principal component analysis of the train split."""
    licence: str = ""
    """Licence of the weights, as policy.licences names it; empty: unknown."""
    title: str = ""
    """What people read; it changes no result."""
