"""Where networks compute. Apart from the code that decides their numbers: moving a training elsewhere trains nothing again."""

import torch


def fastest() -> torch.device:
    """Where to train: the first CUDA device, or the processor. Weights are drawn on the processor, so that they are the same anywhere."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
