"""Encoders: images to codes, the representations that transfers start from (paper section 3.1).

The paper's is a ResNet-50 whose later strides are 1, so that 256 x 256 pixels become 16 x 16 positions, and a last convolution to 8 channels:
2,048 non-negative numbers. As in the reference, a stage halves the side in its last unit, not in its first as torchvision's own ResNets do.
Batch normalisation is PyTorch's default everywhere: momentum 0.1 is the reference's decay of 0.9, and eps is 1e-5 in both.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.models.torchvision_compat import import_torchvision

# Name -> torchvision's unit, units of each stage, channels of the first stage (each next one has twice as many).
FORMS = {
    "small": ("BasicBlock", (2, 2, 2), 32),
    "resnet26": ("Bottleneck", (2, 2, 2, 2), 64),
    "resnet50": ("Bottleneck", (3, 4, 6, 3), 64),
    "resnet101": ("Bottleneck", (3, 4, 23, 3), 64),
}
STEM_STRIDE = 4
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class EncoderShape:
    """What an encoder looks like.

    Attributes:
        name: A key of `FORMS`. `small` is for processors without a GPU, 26 and 101 are the paper's test of sensitivity to the architecture.
        width: Multiplies the channels of every layer but the last.
        stride: Side of the image over the side of the code.
        channels: Of the code.

    Raises:
        TaskonomyError: A value that no encoder has.
    """

    name: str = "resnet50"
    width: float = 1.0
    stride: int = 16
    channels: int = 8

    def __post_init__(self) -> None:
        if self.name not in FORMS:
            raise unknown("encoder.name", [self.name], FORMS)
        if self.stride not in STRIDES:
            raise TaskonomyError(f"encoder.stride must be one of {', '.join(map(str, STRIDES))} (is {self.stride})")
        if not 0 < self.width <= 16 or round(FORMS[self.name][2] * self.width) < 1:
            raise TaskonomyError(f"encoder.width must leave {self.name} at least one channel, and be at most 16 (is {self.width})")
        if self.channels < 1:
            raise TaskonomyError(f"encoder.channels must be at least 1 (is {self.channels})")


def check_size(shape: EncoderShape, side: int) -> int:
    """Side of the code for images of this side.

    Raises:
        TaskonomyError: The stride does not divide the side.
    """
    if side < shape.stride or side % shape.stride:
        raise TaskonomyError(f"encoder.stride must divide the images' side of {side} px (is {shape.stride})")
    return side // shape.stride


def make_encoder(shape: EncoderShape, in_channels: int = 3) -> nn.Module:
    """A fresh encoder: [batch, in_channels, height, width] to [batch, channels, height / stride, width / stride], non-negative.

    Its weights come from torch's random numbers: He's variance scaling. The random projection is such an encoder that was never trained.
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
    """Residual units; the first changes the channels, the last the side, each with a shortcut that does the same."""
    outputs, layers = planes * make_unit.expansion, []
    for number in range(units):
        step = stride if number == units - 1 else 1
        shortcut: nn.Module | None = nn.MaxPool2d(1, step) if step > 1 else None
        if inputs != outputs:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, step, bias=False), nn.BatchNorm2d(outputs))
        layers.append(make_unit(inputs, planes, step, shortcut))
        inputs = outputs
    return nn.Sequential(*layers)
