"""Encoders, from images to codes, the representations that transfers start from (paper section 3.1).

The paper's is a ResNet-50 whose later strides are 1, so that 256 x 256 pixels become 16 x 16 positions, and a last convolution to 8 channels:
2,048 non-negative numbers. As in the reference, a stage halves the side in its last unit, not in its first as torchvision's own ResNets do.
Batch normalisation is PyTorch's default everywhere: momentum 0.1 is the reference's decay of 0.9, and eps is 1e-5 in both.
"""

from typing import Any

from torch import nn

from taskonomy.config.network_params import EncoderParams
from taskonomy.errors import TaskonomyError
from taskonomy.models.torchvision_compat import import_torchvision

# Name -> torchvision's unit, units of each stage, channels of the first stage (each next one has twice as many).
FORMS = {
    "small": ("BasicBlock", (2, 2, 2), 32),
    "resnet26": ("Bottleneck", (2, 2, 2, 2), 64),
    "resnet50": ("Bottleneck", (3, 4, 6, 3), 64),
    "resnet101": ("Bottleneck", (3, 4, 23, 3), 64),
}
STEM_STRIDE = 4


def check_size(shape: EncoderParams, side: int) -> int:
    """Compute the side of the code for images of this side, pixels.

    Raises:
        TaskonomyError: The stride does not divide the side.
    """
    if side < shape.stride or side % shape.stride:
        raise TaskonomyError(f"encoder.stride must divide the images' side of {side} px (is {shape.stride})")
    return side // shape.stride


def make_encoder(shape: EncoderParams, in_channels: int = 3) -> nn.Module:
    """Build a fresh encoder: [batch, in_channels, height, width] to [batch, channels, height / stride, width / stride], non-negative.

    Its weights are drawn from torch's random numbers, scaled by He's method. The random projection is such an encoder that is never trained.
    """
    unit, stages, first = FORMS[shape.name]
    make_unit = getattr(import_torchvision().models.resnet, unit)
    now = planes = round(first * shape.width)
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, now, 7, 2, 3, bias=False),
        nn.BatchNorm2d(now),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    for number, units in enumerate(stages):
        halves = shape.stride >= STEM_STRIDE * 2 ** (number + 1)
        layers.append(_stage(make_unit, now, planes, units, stride=2 if halves else 1))
        now, planes = planes * make_unit.expansion, 2 * planes
    layers += [nn.Conv2d(now, shape.channels, 3, padding=1, bias=False), nn.BatchNorm2d(shape.channels), nn.ReLU(inplace=True)]
    encoder = nn.Sequential(*layers)
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return encoder


def _stage(make_unit: Any, inputs: int, planes: int, units: int, stride: int) -> nn.Module:
    """Build residual units; the first changes the channels, the last the side, each with a shortcut that does the same."""
    outputs, layers = planes * make_unit.expansion, []
    for number in range(units):
        step = stride if number == units - 1 else 1
        shortcut: nn.Module | None = nn.MaxPool2d(1, step) if step > 1 else None
        if inputs != outputs:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, step, bias=False), nn.BatchNorm2d(outputs))
        layers.append(make_unit(inputs, planes, step, shortcut))
        inputs = outputs
    return nn.Sequential(*layers)
