"""Compute what it costs to run a policy, compared with independent networks: weights, arithmetic and, optionally, measured milliseconds.

Every target is solved once, on the same images: tasks of one image on the first, pairs on the first two, egomotion on all three. Three ways:

    shared       each source's encoder sees each image once, however many targets read its code
    apart        every target runs the encoders of its own sources
    independent  every target has its own fully supervised network, as without a policy
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from taskonomy.models.networks import parameters


@dataclass(frozen=True)
class ModelSize:
    """The size of a part of a policy.

    Attributes:
        parameters: Number of weights.
        flops: Operations of one pass on one image or sample, as `torch.utils.flop_counter` counts them: a multiplication and an addition are two.
    """

    parameters: int
    flops: int

    def as_dict(self) -> dict[str, int]:
        """Return the size as cards hold it."""
        return {"parameters": self.parameters, "flops": self.flops}


def size_of(module: nn.Module, *inputs: Tensor) -> ModelSize:
    """Measure the size of a module on these inputs."""
    module.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs)
    return ModelSize(parameters(module), int(counter.get_total_flops()))


def together(
    encoders: Mapping[str, ModelSize],
    readouts: Mapping[str, ModelSize],
    own: Mapping[str, ModelSize],
    sources: Mapping[str, Iterable[str]],
    images: Mapping[str, int],
) -> dict[str, Any]:
    """Compute the cost of solving all targets once, in each of the three ways.

    Args:
        encoders: Source -> size of its encoder, on one image.
        readouts: Target -> size of its transfer and decoder, on one sample.
        own: Target -> size of its own network, on one sample.
        sources: Target -> the sources it is solved from.
        images: Target -> images of a sample.
    """
    # An encoder runs on as many of the common images as the largest sample has among the targets that are solved from it.
    wanted = {name: max(images[target] for target in sources if name in sources[target]) for name in encoders}
    passes = {target: [(name, images[target]) for name in sources[target]] for target in sources}
    read = ModelSize(sum(one.parameters for one in readouts.values()), sum(one.flops for one in readouts.values()))
    ways = {"shared": list(wanted.items()), "apart": [one for target in passes for one in passes[target]]}
    found = {
        way: {
            "encoder_passes": sum(count for _name, count in runs),
            "parameters": read.parameters + sum(encoders[name].parameters for name, _count in runs),
            "flops": read.flops + sum(encoders[name].flops * count for name, count in runs),
        }
        for way, runs in ways.items()
    }
    alone = {
        "encoder_passes": sum(images[target] for target in own),
        "parameters": sum(one.parameters for one in own.values()),
        "flops": sum(one.flops for one in own.values()),
    }
    return {**found, "independent": alone}
