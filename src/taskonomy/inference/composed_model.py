"""Compose a policy's networks: images to the sources' codes, and from these to the output. Every part is frozen."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, cat, nn

from taskonomy.config.network_params import DecoderParams, EncoderParams
from taskonomy.labels.encodings import Head, Input
from taskonomy.models.encoder import make_encoder
from taskonomy.models.networks import task_network, transfer_network
from taskonomy.tasks import Task
from taskonomy.training.transforms import lightness


class Encoder(nn.Module):
    """A source's encoder, from images in [0, 1].

    Args:
        encoder: Network that reads channels in [-1, 1].
        grey: Whether it reads lightness alone.
    """

    def __init__(self, encoder: nn.Module, *, grey: bool) -> None:
        super().__init__()
        self.encoder, self.grey = encoder, grey

    def forward(self, images: Float[Tensor, "images 3 side side"]) -> Float[Tensor, "images channels height width"]:
        """Compute the code of each image."""
        if not self.grey:
            return self.encoder(images * 2 - 1)
        with images.device:  # constants of the conversion are created on the images' device
            return self.encoder(lightness(images[:, None])[:, 0])


class Readout(nn.Module):
    """The network from the codes of all sources to a target's output: what `TransferNetwork` and `TaskNetwork` do after their encoders.

    Args:
        transfer: From the codes of one image to the decoder's inputs; the identity where the target is solved by its own network.
        decoder: From the inputs of all images of a sample to the task's output.
        images: Number of images of a sample.
    """

    def __init__(self, transfer: nn.Module, decoder: nn.Module, images: int) -> None:
        super().__init__()
        self.transfer, self.decoder, self.images = transfer, decoder, images

    def forward(self, codes: Float[Tensor, "batch {self.images} sources_channels height width"]) -> Float[Tensor, "batch outputs *side"]:
        """Compute the output of each sample: a map, or numbers."""
        # Sizes are written so that exported graphs keep the batch size open.
        return self.decoder(self.transfer(codes.flatten(0, 1)).unflatten(0, (-1, self.images)).flatten(1, 2))


class Whole(nn.Module):
    """The complete network of one target, from images to its output.

    Args:
        encoders: Encoders of the sources, in the order in which the transfer reads them.
        readout: The target's readout.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], readout: Readout) -> None:
        super().__init__()
        self.encoders, self.readout = nn.ModuleList(encoders.values()), readout

    def forward(self, images: Float[Tensor, "batch images 3 side side"]) -> Float[Tensor, "batch outputs *map"]:
        """Compute the output of each sample: a map, or numbers."""
        flat = images.flatten(0, 1)
        codes = cat([encoder(flat) for encoder in self.encoders], 1)
        return self.readout(codes.unflatten(0, (-1, self.readout.images)))


def fresh_encoder(source: Task, shape: EncoderParams) -> Encoder:
    """Build a source's encoder with untrained weights."""
    return Encoder(make_encoder(shape, source.in_channels), grey=source.input is Input.LIGHTNESS)


def fresh_readout(target: Task, sources: int, shapes: dict[str, Any]) -> Readout:
    """Build a target's readout with untrained weights.

    Args:
        target: The target's task.
        sources: Number of sources; 0: the decoder of its own network.
        shapes: As in the target's card: head, encoder, decoder, side, tile_side, and channels of each source's code.
    """
    task = replace(target, head=Head(**shapes["head"]))
    encoder, decoder, side = EncoderParams(**shapes["encoder"]), DecoderParams(**shapes["decoder"]), shapes["side"]
    if not sources:
        return Readout(nn.Identity(), task_network(task, encoder, decoder, side, tile_side=shapes["tile_side"]).decoder, task.tiles)
    encoder = encoder.model_copy(update={"channels": sum(shapes["channels"])})  # a transfer reads the sources' codes as one
    network = transfer_network(task, 1, encoder, decoder, side)  # codes are of tiles at the image's side
    return Readout(network.transfer, network.decoder, task.tiles)
