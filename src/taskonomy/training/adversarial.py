"""The adversarial term of the loss of maps (reference, section 3): a critic learns to tell a network's maps from labels, the network to fool it.

It is used in training only: the losses that validate, test and are plotted are the plain ones. Here and in the reference, the critic takes one
step for each of the network's. This differs from the reference as follows: the critic learns by Adam, because with the reference's SGD it would not
learn anything in short trainings; it sees maps, and noise, in units of the labels' deviation, as log depths of rooms differ by hundredths only;
it computes in float32 whatever the network does.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from taskonomy.config.network_params import AdversarialParams
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Loss
from taskonomy.models.decoders import LEAST
from taskonomy.models.discriminator import Critic
from taskonomy.training.dataloader import Batch, Batches

RATE = 0.1  # times the network's learning rate
DECAY = 10.0  # times the network's weight decay
BETA = 0.5  # Adam's first coefficient; Isola et al. 2017
SURE = 0.9  # the critic's target for labels: smoothed, not 1
# Noise on all maps that the critic sees, in deviations of the labels, to hide tiny differences from it; over a whole training it fades to
# NOISE / (1 + FADING). The reference: from 0.1 on maps in [-1, 1] and 0.03 on the two depths, fading by 0.2 for every 1,000 of 112,500 steps.
NOISE = 0.25
FADING = 22.5


class Adversary:
    """The adversarial term of one training. Its random numbers are torch's own, which `fit` seeds for each epoch.

    Args:
        name: Name of what is trained, for errors.
        loss: The loss that the network is trained with.
        train: The samples that the network learns from.
        params: The term's share of the whole loss, and when it begins.
        weight_decay: The network's weight decay.
        device: Device to train on.

    Raises:
        TaskonomyError: The task's output is not a map trained with L1 or L2, or its maps are too small.
    """

    def __init__(self, name: str, loss: Loss, train: Batches, params: AdversarialParams, weight_decay: float, device: torch.device) -> None:
        example = train.of(train.positions[:1], 0)
        values = example.targets.values
        if loss not in (Loss.L1, Loss.L2) or not isinstance(values, Tensor) or values.ndim != 4:
            raise TaskonomyError(f"{name}: train.adversarial is for maps trained with L1 or L2 alone")
        self.share, self.after, self.noise = params.share, params.after, NOISE
        centre, deviation = train.labels.scale(train.positions)
        self.centre, self.deviation = (one[:, None, None].to(device) for one in (centre, torch.where(deviation > LEAST, deviation, 1.0)))
        self.critic = Critic(_images(example).shape[1] + values.shape[-1], values.shape[1]).to(device)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), betas=(BETA, 0.999), weight_decay=DECAY * weight_decay, fused=True)

    def start(self, rate: float, done: float) -> None:
        """Begin a step.

        Args:
            rate: The network's learning rate.
            done: Share of the training that is done.
        """
        self.noise = NOISE / (1 + FADING * done)
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * rate

    def whole(self, plain: Float[Tensor, ""], output: Float[Tensor, "batch numbers height width"], batch: Batch) -> Float[Tensor, ""]:
        """Compute the network's whole loss: the plain one, and how surely the critic recognises its maps."""
        self.critic.requires_grad_(False)
        fooled = _entropy(self._judged(output, batch), 1.0)
        return (1 - self.share) * plain + self.share * fooled

    def learn(self, output: Float[Tensor, "batch numbers height width"], batch: Batch) -> Float[Tensor, ""]:
        """Train the critic for one step, and return its loss before that step."""
        self.critic.requires_grad_(True)
        labels = batch.targets.values
        assert isinstance(labels, Tensor)  # the constructor checked it
        loss = (_entropy(self._judged(labels.movedim(-1, 1), batch), SURE) + _entropy(self._judged(output.detach(), batch), 0.0)) / 2
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _judged(self, maps: Tensor, batch: Batch) -> Tensor:
        """Compute the critic's logits. Pixels without a label are set to 0 in labels and outputs, or the critic would recognise labels by them."""
        maps = (maps.float() - self.centre) / self.deviation
        maps = maps + self.noise * torch.randn_like(maps)
        if batch.targets.mask is not None:
            maps = maps.where(batch.targets.mask[:, None], 0)
        return self.critic(_images(batch), maps)


def _images(batch: Batch) -> Float[Tensor, "batch channels height width"]:
    """Concatenate the images that the network sees of each sample, channel by channel."""
    return batch.seen.flatten(1, 2).float()


def _entropy(logits: Tensor, wanted: float) -> Tensor:
    """Compute the mean cross-entropy over all patches; the network's gradient does not vanish while the critic is sure (Goodfellow et al. 2014)."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
