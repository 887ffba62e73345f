"""The section `encoders`: networks trained by others, each one file, that images are encoded with."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat

from taskonomy.config.checked import Checked, Count
from taskonomy.tasks.custom_tasks import custom_name

Plain = Annotated[str, Field(max_length=80, pattern=r"^[^<>\x00-\x1f\x7f]*$")]  # figures take < and > for markup
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
    channels: Count | None = 32
    """Numbers that are kept of each place, by principal component analysis of the train split; null: all, as they are."""
    licence: Plain = ""
    """Licence of the weights, as policy.licences names it; empty: unknown."""
    title: Plain = ""
    """What people read; it changes no result."""


def _encoder_name(name: str) -> str:
    """Check a name, which becomes part of paths, tables and pages, as that of a task; tasks have names of their own.

    Raises:
        ValueError: It is not allowed.
    """
    try:
        return custom_name(name)
    except ValueError as error:
        raise ValueError(str(error).replace("a task's name", "an encoder's name").replace("the task", "the encoder")) from None


# By name, which has the form of a custom task's.
Encoders = dict[Annotated[str, AfterValidator(_encoder_name)], PretrainedParams]
