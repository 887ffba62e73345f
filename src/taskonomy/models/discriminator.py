"""The critic of the adversarial term (Isola et al. 2017): does a map belong to its image? It judges each patch, not the map as a whole."""

from math import log

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.errors import TaskonomyError
from taskonomy.models.decoders import SLOPE

CHANNELS = 64
QUARTERINGS = 3
SMALLEST = 16  # side of the map, pixels
DEVIATION = 0.02


class Critic(nn.Module):
    """The reference's critic: 5 x 5 convolutions that quarter the side (three for 256 x 256 maps, of 64, 128, 256 channels), then two of 4 x 4.

    Smaller maps have fewer of the former, so that a side of 4 or more is left, and patches stay small beside the map. Batches are normalised by
    their own statistics: a critic is never used without a batch.

    Args:
        inputs: Channels of image and map together.
        side: Side of the map, pixels.

    Raises:
        TaskonomyError: The map is too small to have patches.
    """

    def __init__(self, inputs: int, side: int) -> None:
        super().__init__()
        if side < SMALLEST:
            raise TaskonomyError(f"the adversarial term needs maps of at least {SMALLEST} x {SMALLEST} pixels (these are {side} x {side})")
        quarterings = min(QUARTERINGS, int(log(side / 4, 4) + 1e-9))
        layers: list[nn.Module] = []
        for number in range(quarterings + 1):
            outputs = CHANNELS * 2**number
            kernel, stride, padding = (5, 4, 2) if number < quarterings else (4, 1, 1)
            layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=number == 0))
            layers += [nn.BatchNorm2d(outputs, track_running_stats=False)] * (number > 0)
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
            inputs = outputs
        layers.append(nn.Conv2d(inputs, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=DEVIATION)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, image: Float[Tensor, "batch channels height width"], of_it: Float[Tensor, "batch numbers side side"]
    ) -> Float[Tensor, "batch 1 patches patches"]:
        """Compute a logit per patch: above 0 where it looks like a label's. Images of another side than the map are resized to it by averaging."""
        if image.shape[-2:] != of_it.shape[-2:]:
            image = F.interpolate(image, of_it.shape[-2:], mode="area")
        return self.layers(torch.cat([image, of_it], 1))
