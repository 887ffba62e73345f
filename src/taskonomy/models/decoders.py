"""Decoders, from codes to a task's output. They depend on the task's head, never on its name.

Maps are decoded by 3 x 3 convolutions at the code's side, then by transposed convolutions that double it; numbers by fully connected layers.
"""

from itertools import pairwise
from math import log2, sqrt

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from taskonomy.config.network_params import DecoderParams
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Head

SLOPE = 0.2
DEVIATION = 0.01
# Labels with a deviation below LEAST count as constant; the centre of bounded labels is limited to FAR: nearer to the bound the slope vanishes.
LEAST, FAR = 1e-3, 0.97
# The last layer's weights at the start, as a multiple of what keeps the variance: outputs start at the best constant, not at noise around it. Where
# outputs are compared with one another, they have to differ, or there is no gradient.
START, START_APART = 0.01, 0.3


# Channels at the paper's scale, where 16 x 16 codes become 256 x 256 maps: 14 layers, and 13 for the 64 x 64 colours.
PAPER = DecoderParams(
    layers=(1024, 1024, 512, 256, 256, 128),
    steps=((64, 64), (32, 32), (16, 32), (16,)),
    shrunk=DecoderParams(layers=(1024, 1024, 512, 512, 512, 512, 256, 256, 256), steps=((256, 256), (256,)), last=1),
)
# For machines without a GPU: 8 x 8 codes become 64 x 64 maps in 4 layers of at most 64 channels; 512 hidden units where the paper has 2048.
SMALL = DecoderParams(
    layers=(256, 256), steps=((128,),), last=1, shuffle=4, width=0.25, dropout=0.2, shrunk=DecoderParams(layers=(256, 256), steps=((128,),), last=1)
)


def make_decoder(
    head: Head,
    in_channels: int,
    code_side: int,
    out_side: int,
    shape: DecoderParams,
    *,
    outputs: int | None = None,
    heads: int = 1,
    batch_norm: bool = True,
    scaled: bool = False,
) -> "Decoder":
    """Build a fresh decoder, linear at its end unless the head is bounded, as the losses take logits.

    The last layer starts with small weights: what the network gives at first is the constant that `Scaled` adds.

    Args:
        head: Whether it is convolutional or fully connected, and how its outputs are bounded.
        in_channels: Channels of the code; several images' codes are concatenated.
        code_side: Side of the code, pixels.
        out_side: Side of the image, pixels; a map's side is this divided by the head's `shrink`.
        shape: Layers and channels.
        outputs: Number of outputs, where it is not the head's channels.
        heads: Number of independent fully connected decoders of the same code, which share the outputs evenly.
        batch_norm: Whether to normalise, as all of the reference's decoders do but that of egomotion.
        scaled: Whether outputs are scaled before they are bounded (`Scaled`), and start at a constant.

    Returns:
        A module from [batch, in_channels, code_side, code_side] to [batch, outputs, side, side], or to [batch, outputs] when fully connected.

    Raises:
        TaskonomyError: The sides cannot be reached from one another by doubling or halving, or `heads` does not divide `outputs`.
    """
    outputs, start = head.channels if outputs is None else outputs, START if scaled else START_APART
    if head.layers:
        if outputs % heads:
            raise TaskonomyError(f"{heads} heads cannot share {outputs} outputs evenly")
        widths = [in_channels * code_side**2, *[_scaled(shape, head.hidden)] * (head.layers - 1), outputs // heads]
        parts: list[nn.Module] = [Heads([_fully_connected(widths, batch_norm, shape.dropout, start) for _ in range(heads)])]
    else:
        shuffle = shuffle_of(head, code_side, out_side, shape)
        if head.shrink > 1 and shape.shrunk:
            shape = shape.shrunk.model_copy(update={"width": shape.shrunk.width * shape.width})
        parts = _convolutional(in_channels, code_side, out_side // head.shrink, outputs, shape, shuffle, batch_norm, start)
    return Decoder(*parts, *[Scaled(outputs, bounded=head.tanh)] * scaled, *[nn.Tanh()] * head.tanh)


class Decoder(nn.Sequential):
    """A decoder's layers. Of a map it computes all pixels, or, with the last layers at these alone, some: those that a loss reads."""

    def forward(
        self, codes: Float[Tensor, "batch channels height width"], pixels: Int[Tensor, "batch compared"] | None = None, packed: bool = False
    ) -> Tensor:
        """Compute the task's output.

        Args:
            codes: Codes of all images.
            pixels: Pixels of each sample's map, row by row; None: the whole map, or all numbers.
            packed: Whether to leave the pixels of a map where the last convolution puts them (`pack`), for losses that do not ask where they lie.

        Returns:
            [batch, outputs, side, side], or [batch, outputs] when fully connected; at pixels [batch, outputs, compared]; packed
            [batch, outputs, shuffle x shuffle, side / shuffle, side / shuffle].
        """
        if packed:
            return self._packed(codes)
        if pixels is None:
            return super().forward(codes)
        at = codes
        for layer in self:
            at = layer.at(at, pixels) if isinstance(layer, ShuffledConv) else layer(at)
        return at

    def _packed(self, codes: Tensor) -> Float[Tensor, "batch outputs inside height width"]:
        inside, packed = 1, codes
        for layer in self:
            if isinstance(layer, ShuffledConv):
                inside, packed = layer.shuffle**2, layer.unshuffled(packed)
            else:
                packed = layer(packed, inside) if isinstance(layer, Scaled) else layer(packed)
        return packed.unflatten(1, (-1, inside))


class ShuffledConv(nn.Conv2d):
    """A convolution that gives `shuffle` x `shuffle` pixels at each place, as channels that are shuffled into place (Shi et al. 2016).

    Args:
        inputs: Channels of the features.
        outputs: Channels of the map.
        kernel: Side of the kernel, odd; the features are padded with zeros.
        shuffle: Side of the map as a multiple of the features' side.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, shuffle: int) -> None:
        super().__init__(inputs, outputs * shuffle**2, kernel, padding=kernel // 2)
        self.shuffle = shuffle

    def forward(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs map_height map_width"]:
        """Compute the whole map."""
        return F.pixel_shuffle(super().forward(features), self.shuffle)

    def unshuffled(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs_inside height width"]:
        """Compute the whole map with the pixels of each place as channels, those of one output side by side."""
        return super().forward(features)

    def at(
        self, features: Float[Tensor, "batch channels height width"], pixels: Int[Tensor, "batch compared"]
    ) -> Float[Tensor, "batch outputs compared"]:
        """Compute the map at some of its pixels, counted row by row: what the whole map has there, but for the order of sums."""
        width = features.shape[-1] * self.shuffle
        row, column = pixels // width, pixels % width
        patches = self._patches(features, row // self.shuffle, column // self.shuffle)
        block = F.linear(patches, self.weight.flatten(1), self.bias).unflatten(2, (-1, self.shuffle**2))
        inside = row % self.shuffle * self.shuffle + column % self.shuffle
        return block.gather(3, inside[:, :, None, None].expand(-1, -1, block.shape[2], -1))[..., 0].mT

    def _patches(self, features: Tensor, row: Tensor, column: Tensor) -> Float[Tensor, "batch compared inputs"]:
        """Gather what the kernel sees at these places of the features, in the order of its weights."""
        padded = F.pad(features, [self.kernel_size[0] // 2] * 4)
        flat = padded.permute(0, 2, 3, 1).flatten(1, 2)
        steps = torch.arange(self.kernel_size[0], device=row.device)
        places = ((row[..., None, None] + steps[:, None]) * padded.shape[3] + column[..., None, None] + steps).flatten(1)
        seen = flat.gather(1, places[..., None].expand(-1, -1, flat.shape[2]))
        return seen.unflatten(1, (row.shape[1], -1)).mT.flatten(2)


def shuffle_of(head: Head, code_side: int, side: int, shape: DecoderParams) -> int:
    """Return how many pixels a side the last convolution of a map's decoder gives at each place; 1 where the output is numbers.

    Args:
        head: The task's head.
        code_side: Side of the code, pixels.
        side: Side of the image, pixels.
        shape: Layers and channels.
    """
    if head.layers:
        return 1
    if head.shrink > 1 and shape.shrunk:
        shape = shape.shrunk
    # A map that is hardly larger than the code leaves less room for pixel shuffling.
    return min(shape.shuffle, max(1, side // head.shrink // code_side))


def pack(pixels: Shaped[Tensor, "batch height width *channels"], shuffle: int) -> Shaped[Tensor, "batch rows columns *channels inside"]:
    """Order the pixels of maps, channels last, as the last convolution gives them: at each place those of a square of `shuffle` pixels a side."""
    places = pixels.unflatten(2, (-1, shuffle)).unflatten(1, (-1, shuffle))
    return places.movedim((2, 4), (-2, -1)).flatten(-2)


def at_pixels(maps: Float[Tensor, "batch channels height width"], pixels: Int[Tensor, "batch compared"]) -> Float[Tensor, "batch channels compared"]:
    """Pick the values of whole maps at these pixels, counted row by row."""
    return maps.flatten(2).gather(2, pixels[:, None].expand(-1, maps.shape[1], -1))


class Scaled(nn.Module):
    """The last layer's numbers, converted to the label's units: training begins at the best constant, and its steps are as large as the deviation.

    Log depths of rooms differ by some hundredths, blurred edges by several units; so one learning rate suits both.

    Args:
        outputs: Numbers or channels.
        bounded: Whether a hyperbolic tangent follows.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, outputs: int, *, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(outputs))

    def set_to(self, centre: Float[Tensor, " outputs"], spread: Float[Tensor, " outputs"]) -> None:
        """Set the initial output to this centre and its scale to this spread, or to 1 where the labels never differ."""
        spread = torch.where(spread > LEAST, spread, 1.0)
        if self.bounded:  # the hyperbolic tangent's inverse, and its slope there
            centre = centre.clamp(-FAR, FAR)
            centre, spread = centre.atanh(), spread / (1 - centre.square())
        self.centre.copy_(centre)
        self.spread.copy_(spread)

    def forward(self, numbers: Float[Tensor, "batch channels *side"], inside: int = 1) -> Float[Tensor, "batch channels *side"]:
        """Scale and shift the numbers, in single precision; each output has `inside` channels."""
        shape = (-1, *[1] * (numbers.ndim - 2))
        centre, spread = (one.repeat_interleave(inside).view(shape) for one in (self.centre, self.spread))
        return centre + spread * numbers.float()


class Heads(nn.Module):
    """Independent fully connected decoders of one flattened code, and their outputs side by side."""

    def __init__(self, heads: list[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, codes: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        """Compute all heads' outputs and concatenate them, the first head's first."""
        flat = codes.flatten(1)
        return torch.cat([head(flat) for head in self.heads], 1)


def _fully_connected(widths: list[int], batch_norm: bool, dropout: float, start: float) -> nn.Module:
    """Build the layers; weights are drawn from a truncated normal distribution, as in the reference, and biases start at 0."""
    layers: list[nn.Module] = []
    for inputs, hidden in pairwise(widths[:-1]):
        layers.append(nn.Linear(inputs, hidden, bias=not batch_norm))
        layers += [nn.BatchNorm1d(hidden)] * batch_norm
        layers += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
    layers.append(nn.Linear(widths[-2], widths[-1]))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            small_normal(layer)
    with torch.no_grad():
        layers[-1].weight.mul_(start)  # type: ignore[operator]
    return nn.Sequential(*layers)


def small_normal(layer: nn.Linear | nn.Conv2d) -> None:
    """Initialise weights from a normal distribution of deviation 0.01, truncated at two deviations, and biases with 0."""
    nn.init.trunc_normal_(layer.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _scaled(shape: DecoderParams, channels: int) -> int:
    """Return the channels at the decoder's width, at least one."""
    return max(1, round(channels * shape.width))


def _convolutional(
    inputs: int, code_side: int, side: int, outputs: int, shape: DecoderParams, shuffle: int, batch_norm: bool, start: float
) -> list[nn.Module]:
    doublings = log2(side / shuffle / code_side) if side > 0 else 0.5
    if not doublings.is_integer():
        raise TaskonomyError(f"codes of {code_side} x {code_side} cannot be decoded to {side} x {side}: doubling or halving one must give the other")
    # A map smaller than the code (a quarter of a small image's side) is decoded from the average-pooled code.
    parts: list[nn.Module] = [nn.AvgPool2d(code_side // side)] if doublings < 0 else []
    steps = [shape.steps[min(number, len(shape.steps) - 1)] for number in range(max(0, int(doublings)))]
    plan = [(channels, 1) for channels in shape.layers] + [(channels, 1 if after else 2) for step in steps for after, channels in enumerate(step)]
    for channels, stride in plan:
        channels = _scaled(shape, channels)
        conv = (
            nn.ConvTranspose2d(inputs, channels, 3, stride, 1, output_padding=1, bias=not batch_norm)
            if stride > 1
            else nn.Conv2d(inputs, channels, 3, padding=1, bias=not batch_norm)
        )
        parts.append(_variance_scaled(conv, SLOPE))
        parts += [nn.BatchNorm2d(channels)] * batch_norm
        parts.append(nn.LeakyReLU(SLOPE, inplace=True))
        inputs = channels
    last = ShuffledConv(inputs, outputs, shape.last, shuffle)
    _variance_scaled(last, 1.0)
    with torch.no_grad():  # all pixels that are shuffled into one place start equal, or maps show their pattern (Aitken et al. 2017)
        last.weight.copy_(start * last.weight[:: shuffle**2].repeat_interleave(shuffle**2, 0))
    return [*parts, last]


def _variance_scaled(conv: nn.Conv2d | nn.ConvTranspose2d, slope: float) -> nn.Module:
    """Initialise by He's method before a leaky rectifier of this slope (1: linear); where the side doubles, a pixel has a quarter of the inputs."""
    inputs = conv.in_channels * conv.kernel_size[0] ** 2 / conv.stride[0] ** 2
    nn.init.normal_(conv.weight, std=sqrt(2 / (1 + slope**2) / inputs))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
