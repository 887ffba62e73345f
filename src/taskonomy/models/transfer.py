"""Transfers, from sources' codes to what the target's decoder reads (paper section 3.2): the same shallow network at every order."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.errors import TaskonomyError
from taskonomy.models.decoders import small_normal

WIDTH = 8
STREAMS = 2
LIMIT = 5.0
# The reference's running statistics decay by 0.8 at each step of a transfer, by 0.9 elsewhere.
MOMENTUM = 0.2


class TransferModule(nn.Module):
    """Two parallel streams of two convolutions over the normalised codes of one or more sources.

    The reference normalises by batch renormalisation, whose corrections it ramps up from none over 5,000 steps; without corrections it is plain batch
    normalisation, which is used here throughout.

    Args:
        sources: Number of sources, the transfer's order; their codes are concatenated.
        channels: Channels of one source's code.
        width: Channels of each stream.

    Raises:
        TaskonomyError: There are no sources.
    """

    def __init__(self, sources: int, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        if sources < 1:
            raise TaskonomyError(f"a transfer has at least one source (has {sources})")
        self.inputs, self.outputs = sources * channels, STREAMS * width
        self.before = nn.BatchNorm2d(self.inputs, momentum=MOMENTUM)
        self.streams = nn.ModuleList(nn.Sequential(*_unit(self.inputs, width), *_unit(width, width)) for _ in range(STREAMS))
        self.after = nn.BatchNorm2d(self.outputs, momentum=MOMENTUM)

    def forward(self, codes: Float[Tensor, "batch sources_channels height width"]) -> Float[Tensor, "batch outputs height width"]:
        """Compute what the decoder reads: both streams' channels, normalised."""
        normal = self.before(clipped(codes) if self.training else codes)
        return self.after(torch.cat([stream(normal) for stream in self.streams], 1))


def clipped(codes: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    """Clip each channel to its mean over the batch plus or minus five standard deviations, so that rare codes do not dominate the statistics."""
    mean = codes.mean((0, 2, 3), keepdim=True)
    reach = LIMIT * codes.std((0, 2, 3), correction=0, keepdim=True)
    return codes.clamp(mean - reach, mean + reach)


def _unit(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    small_normal(conv)
    return [conv, nn.BatchNorm2d(outputs, momentum=MOMENTUM), nn.ReLU(inplace=True)]
