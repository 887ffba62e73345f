"""Parameters to shapes of networks."""

from typing import Any

from taskonomy.models.decoders import DecoderShape
from taskonomy.models.encoder import EncoderShape


def encoder_shape(values: dict[str, Any]) -> EncoderShape:
    """Of `train.encoder`."""
    return EncoderShape(**values)


def decoder_shape(values: dict[str, Any]) -> DecoderShape:
    """Of `train.decoder`."""
    shrunk = values.get("shrunk")
    rest = {name: value for name, value in values.items() if name not in ("layers", "steps", "shrunk")}
    steps = tuple(tuple(step) for step in values["steps"])
    return DecoderShape(layers=tuple(values["layers"]), steps=steps, shrunk=decoder_shape(shrunk) if shrunk else None, **rest)
