"""How networks start: at the best constant of their loss over the samples that they learn from.

What is found for each output is the constant with the lowest mean loss and, for losses of differences, how far the labels lie from it. Samples count
equally, however many of their pixels are labelled, as in the losses.
"""

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from taskonomy.labels.encodings import NO_CLASS, Loss
from taskonomy.training.dataloader import Labels
from taskonomy.training.losses import Targets, per_sample

# Of more samples than these, and of more pixels, evenly spaced ones are looked at.
_MAPS, _VECTORS, _PIXELS = 256, 20_000, 2**20
# A class that is in no sample gets this part of an even share, so that its logit is finite.
_SHARE = 0.01
_SEARCHES = 200
Start = tuple[Float[Tensor, " outputs"], Float[Tensor, " outputs"]]
_found: WeakKeyDictionary[Labels, dict[tuple[Loss, bytes], Start]] = WeakKeyDictionary()


def best_constant(loss: Loss, labels: Labels, samples: Int[np.ndarray, " samples"], outputs: int) -> Start:
    """Find the constant output that loses least on these samples, and the spread of the labels around it; 1 for logits and standardised labels.

    Args:
        loss: The loss; not one that compares outputs with one another.
        labels: The task's labels. What was found for them is kept, as many transfers have the same.
        samples: Positions of the samples.
        outputs: Numbers, or channels of a map.
    """
    kept, which = _found.setdefault(labels, {}), (loss, samples.tobytes())
    if which not in kept:
        most = _MAPS if labels.of(samples[:1]).parts[0].ndim > 2 else _VECTORS
        centre, spread = STARTS[loss](labels.of(samples[:: -(-len(samples) // most)]), outputs)
        kept[which] = centre.float(), spread.float()
    return kept[which]


def _median(targets: Targets, outputs: int) -> Start:
    """Find each channel's weighted median, and the mean distance from it."""
    values, weights = _values(targets)
    ordered, order = values.sort(0)
    below = weights[order].cumsum(0)
    place = (below < below[-1:] / 2).sum(0)
    centre = ordered.gather(0, place[None])[0]
    return centre, _mean((values - centre).abs(), weights)


def _average(targets: Targets, outputs: int) -> Start:
    """Find each channel's weighted mean and deviation."""
    values, weights = _values(targets)
    centre = _mean(values, weights)
    return centre, _mean((values - centre).square(), weights).sqrt()


def _log_shares(targets: Targets, outputs: int) -> Start:
    """Find the logarithm of each class's share of the whole weight: rare classes and colours weigh more where the loss says so."""
    values = targets.values
    if isinstance(values, Tensor) and values.dtype.is_floating_point:
        shares = values.double().mean(0)
    else:
        classes = values[0].long() if isinstance(values, tuple) else values.long()[..., None]
        parts = values[1].double() if isinstance(values, tuple) else torch.ones(classes.shape, dtype=torch.float64)
        labelled = classes[..., 0] != NO_CLASS if isinstance(values, Tensor) else torch.ones(classes.shape[:-1], dtype=torch.bool)
        weights = _equal(labelled if targets.mask is None else labelled & targets.mask)
        if (rarity := targets.statistics.get("weights")) is not None:
            nearest = classes[..., 0].where(labelled, 0)
            weights = weights * torch.as_tensor(rarity, dtype=torch.float64)[nearest]
        classes = classes.where(labelled[..., None], 0)
        shares = torch.zeros(outputs, dtype=torch.float64).index_add_(0, classes.flatten(), (parts * weights[..., None]).flatten())
    shares = shares / shares.sum().clamp(min=1e-30)
    return shares.clamp(min=_SHARE / outputs).log(), torch.ones(outputs)


def _log_odds(targets: Targets, outputs: int) -> Start:
    """Find the logarithm of each class's odds among the samples that say whether they have it, which count by how many classes they know."""
    (classes,) = targets.parts
    labelled = classes != NO_CLASS
    weights = _equal(labelled)
    shares = (weights * classes.where(labelled, 0)).sum(0) / weights.sum(0).clamp(min=1e-30)
    return shares.clamp(_SHARE / 2, 1 - _SHARE / 2).logit(), torch.ones(outputs)


def _searched(loss: Loss, targets: Targets, outputs: int) -> Start:
    """Find the constant of a loss without a closed form, by a quasi-Newton search from 0, the mean of standardised labels."""
    constant = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([constant], max_iter=_SEARCHES, tolerance_change=1e-10, line_search_fn="strong_wolfe")

    def mean() -> Tensor:
        search.zero_grad()
        value = per_sample(loss, constant.expand(len(targets.parts[0]), -1), targets).mean()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(mean)
    return constant.detach(), torch.ones(outputs)


# Beside `LOSSES`: how networks that are trained with a loss start. Embeddings have no best constant, as only their differences count.
STARTS: dict[Loss, Callable[[Targets, int], Start]] = {
    Loss.L1: _median,
    Loss.L2: _average,
    Loss.CROSS_ENTROPY: _log_shares,
    Loss.BINARY_CROSS_ENTROPY: _log_odds,
    Loss.SOFT_CROSS_ENTROPY: _log_shares,
    Loss.POSE: partial(_searched, Loss.POSE),
    Loss.EGOMOTION: partial(_searched, Loss.EGOMOTION),
}


def _values(targets: Targets) -> tuple[Float[Tensor, "values channels"], Float[Tensor, " values"]]:
    """List the labelled values, or evenly spaced ones of them, and their weights."""
    (values,) = targets.parts
    labelled = torch.ones(values.shape[:-1], dtype=torch.bool) if targets.mask is None else targets.mask
    weights = _equal(labelled)[labelled]
    step = -(-len(weights) // _PIXELS)
    return values[labelled][::step].double(), weights[::step]


def _equal(labelled: Tensor) -> Tensor:
    """Compute weights of what is labelled that sum to 1 in each sample."""
    count = labelled.reshape(len(labelled), -1).sum(1).clamp(min=1)
    return labelled.double() / count.view(-1, *[1] * (labelled.ndim - 1))


def _mean(values: Float[Tensor, "values channels"], weights: Float[Tensor, " values"]) -> Float[Tensor, " channels"]:
    return (values * weights[:, None]).sum(0) / weights.sum().clamp(min=1e-30)
