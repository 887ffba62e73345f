"""Transfers: sources' codes to what the target's decoder reads (paper section 3.2). The same shallow network at every order."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.errors import TaskonomyError
from taskonomy.models.decoders import small_normal

WIDTH = 8
STREAMS = 2
LIMIT = 5.0
# The reference keeps 0.8 of the running statistics at each step of a transfer, 0.9 elsewhere.
MOMENTUM = 0.2


class TransferModule(nn.Module):
    """Two parallel streams of two convolutions over the normalised codes of one or more sources.

    The reference normalises with batch renormalisation, whose corrections it ramps up over 5,000 steps from none, which is plain batch
    normalisation; here it is plain throughout.

    Args:
        sources: How many, the transfer's order; their codes are concatenated.
        channels: Of one source's code.
        width: Channels of each stream.

    Raises:
        TaskonomyError: No sources.
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
        """What the decoder reads, both streams' channels, normalised."""
        normal = self.before(clipped(codes) if self.training else codes)
        return self.after(torch.cat([stream(normal) for stream in self.streams], 1))


def clipped(codes: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    """Each channel limited to its mean over the batch, more or less five standard deviations: rare codes would govern the statistics."""
    mean = codes.mean((0, 2, 3), keepdim=True)
    reach = LIMIT * codes.std((0, 2, 3), correction=0, keepdim=True)
    return codes.clamp(mean - reach, mean + reach)


def _unit(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    small_normal(conv)
    return [conv, nn.BatchNorm2d(outputs, momentum=MOMENTUM), nn.ReLU(inplace=True)]
