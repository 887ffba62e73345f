"""The baseline of the paper's gain (section 4; the released `pixels`): a shallow network on the image itself, in the place of a transfer."""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.models.decoders import small_normal
from taskonomy.models.transfer import MOMENTUM, STREAMS, WIDTH

# The reference looks at images of 64 x 64 for codes of 16 x 16, in two convolutions of 4 and 8 channels, the second with this step.
REDUCED = 4
HIDDEN = 4


class PixelModule(nn.Module):
    """Two convolutions over the image, made four times as large as a code; their output stands twice, as wide as a transfer's.

    Args:
        channels: Channels of the image.
        side: Side of a code, pixels.
        width: Channels of one stream of a transfer.
    """

    def __init__(self, channels: int, side: int, width: int = WIDTH) -> None:
        super().__init__()
        self.side, self.outputs = REDUCED * side, STREAMS * width
        hidden = nn.Conv2d(channels, HIDDEN, 3, padding=1, bias=False)
        last = nn.Conv2d(HIDDEN, width, 3, stride=REDUCED, padding=1, bias=False)
        for conv in (hidden, last):
            small_normal(conv)
        self.layers = nn.Sequential(hidden, nn.BatchNorm2d(HIDDEN, momentum=MOMENTUM), nn.ReLU(inplace=True), last)
        self.after = nn.BatchNorm2d(self.outputs, momentum=MOMENTUM)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs side side"]:
        """Compute what the decoder reads, of the size of a code."""
        seen = self.layers(F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False))
        return self.after(torch.cat([seen] * STREAMS, 1))
