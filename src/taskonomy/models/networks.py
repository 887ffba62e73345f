"""Whole networks: an encoder and a decoder for a task's own network, a transfer and a decoder for one that starts from other tasks' codes.

Several images go through one shared encoder (or transfer), and the decoder reads their codes side by side, in the images' order.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

from taskonomy.config.network_params import DecoderParams, EncoderParams
from taskonomy.labels.task import Task
from taskonomy.models.decoders import Decoder, make_decoder, shuffle_of
from taskonomy.models.encoder import check_size, make_encoder
from taskonomy.models.pixels import PixelModule
from taskonomy.models.transfer import TransferModule


class TaskNetwork(nn.Module):
    """A task-specific network.

    Args:
        encoder: From images to codes.
        decoder: From all images' codes to the task's output.
        images: Images that the encoder sees of each sample: the task's `tiles`.
    """

    def __init__(self, encoder: nn.Module, decoder: Decoder, images: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.images = encoder, decoder, images

    def forward(
        self,
        images: Float[Tensor, "batch {self.images} channels height width"],
        pixels: Int[Tensor, "batch compared"] | None = None,
        packed: bool = False,
    ) -> Float[Tensor, "batch outputs *side"]:
        """Compute the task's output, a map or numbers, for each sample; of a map only these pixels, if any are named, or packed (`Decoder`)."""
        return self.decoder(_of_each(self.encoder, images), pixels, packed)


class TransferNetwork(nn.Module):
    """A transfer network: what is trained when the sources' encoders are frozen and their codes stored.

    Args:
        transfer: From the sources' codes to the decoder's inputs.
        decoder: From all images' inputs to the task's output.
        images: Number of images of a sample.
    """

    def __init__(self, transfer: nn.Module, decoder: Decoder, images: int) -> None:
        super().__init__()
        self.transfer, self.decoder, self.images = transfer, decoder, images

    def forward(
        self,
        codes: Float[Tensor, "batch {self.images} sources_channels height width"],
        pixels: Int[Tensor, "batch compared"] | None = None,
        packed: bool = False,
    ) -> Float[Tensor, "batch outputs *side"]:
        """Compute as a `TaskNetwork`, from the codes of its images; those of all sources of an image are concatenated."""
        return self.decoder(_of_each(self.transfer, codes), pixels, packed)


def task_network(task: Task, encoder: EncoderParams, decoder: DecoderParams, side: int, *, tile_side: int | None = None) -> TaskNetwork:
    """Build a fresh network for a task.

    Args:
        task: The task, which has a head.
        encoder: The encoder.
        decoder: The decoder.
        side: Side of the images and of the maps, pixels.
        tile_side: Side of the jigsaw's tiles as the encoder sees them, pixels; by default the images' side, as in the reference.

    Raises:
        TaskonomyError: The task has no network of its own, or the sides do not fit.
    """
    whole = _decoder(task, encoder.channels, encoder, decoder, side, tile_side)
    return TaskNetwork(make_encoder(encoder, task.in_channels), whole, task.tiles)


def transfer_network(
    task: Task, sources: int, encoder: EncoderParams, decoder: DecoderParams, side: int, *, tile_side: int | None = None
) -> TransferNetwork:
    """Build a fresh transfer from this many sources to a task, with a decoder of the task's full architecture.

    Args:
        task: The target.
        sources: Number of sources.
        encoder: The sources' encoder, which gives the side and channels of their codes.
        decoder: The decoder.
        side: Side of the images, pixels.
        tile_side: As for `task_network`.

    Raises:
        TaskonomyError: The task has nothing to learn, the sides do not fit, or there is no source.
    """
    transfer = TransferModule(sources, encoder.channels)
    whole = _decoder(task, transfer.outputs, encoder, decoder, side, tile_side)
    return TransferNetwork(transfer, whole, task.tiles)


def pixel_network(task: Task, encoder: EncoderParams, decoder: DecoderParams, side: int) -> TransferNetwork:
    """Build the network that gain is measured against: a transfer whose sources are the image itself, with the same decoder.

    Args:
        task: The target.
        encoder: The encoder of the sources, for the side of codes.
        decoder: The decoder.
        side: Side of the images, pixels.

    Raises:
        TaskonomyError: The task has nothing to learn, or the sides do not fit.
    """
    pixels = PixelModule(task.in_channels, check_size(encoder, side))
    return TransferNetwork(pixels, _decoder(task, pixels.outputs, encoder, decoder, side, None), task.tiles)


def shuffle_of_decoder(task: Task, encoder: EncoderParams, decoder: DecoderParams, side: int) -> int:
    """Return the pixels a side that a task's decoder gives at each place of its map; 1 where the loss asks where pixels lie, or there is no map.

    Args:
        task: The task, which has a loss and a head.
        encoder: The encoder, which gives the side of the codes.
        decoder: The decoder.
        side: Side of the images, pixels.
    """
    if task.loss is None or task.loss.compares_outputs:
        return 1
    return shuffle_of(task.learnt_head, check_size(encoder, side), side, decoder)


def parameters(module: nn.Module) -> int:
    """Count a module's weights."""
    return sum(weights.numel() for weights in module.parameters())


def _of_each(shared: nn.Module, images: Tensor) -> Tensor:
    """Apply a module to every image, and concatenate the results for each sample."""
    return shared(images.flatten(0, 1)).unflatten(0, images.shape[:2]).flatten(1, 2)


def _decoder(task: Task, channels: int, encoder: EncoderParams, decoder: DecoderParams, side: int, tile_side: int | None) -> Decoder:
    """Build the decoder that reads all images' codes."""
    return make_decoder(
        task.learnt_head,
        task.tiles * channels,
        check_size(encoder, task.input_side(side, tile_side)),
        side,
        decoder,
        outputs=task.outputs,
        heads=task.heads,
        batch_norm=task.heads == 1,
        scaled=task.loss is not None and not task.loss.compares_outputs,
    )
