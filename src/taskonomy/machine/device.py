"""Where networks compute. This is kept apart from the code that decides their numbers, so that computing elsewhere trains nothing again.

`execution.device` and `execution.deterministic` are passed on as environment variables: the processes that a stage starts inherit them, and a
cluster sets them for its workers.
"""

import os
from collections.abc import MutableMapping

import torch

from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import cores
from taskonomy.machine.environment import COMPILE, DETERMINISTIC, DEVICE, PER_GPU


def fastest() -> torch.device:
    """Return the device to train on, by `execution.device`. Weights are drawn on the processor, so that they are the same on every device.

    Raises:
        TaskonomyError: The parameters ask for a GPU that is not there.
    """
    device = device_of(os.environ.get(DEVICE, "auto"), torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if device.type == "cuda" and os.environ.get(DETERMINISTIC) != "0":
        same_bits_each_time(os.environ)
    return device


def device_of(wanted: str, gpus: int) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda` or `cuda:N` means on a machine with this many GPUs.

    Raises:
        TaskonomyError: The device is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if gpus else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        there = f"{gpus} of them" if gpus else "none" + ("" if torch.version.cuda else ": this is a build of torch for processors alone")
        raise TaskonomyError(f"execution.device: {wanted} needs an NVIDIA GPU that torch can use, and there is {there}; auto takes what there is")
    return device


def same_bits_each_time(environment: MutableMapping[str, str]) -> None:
    """Make CUDA use algorithms that give the same bits each time; torch warns of an operation that has none.

    This has to be called before the first product of matrices on the GPU.
    """
    environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads what it has not written


def compiles() -> bool:
    """Return whether long trainings compile their networks: `execution.compile`."""
    return os.environ.get(COMPILE) != "0"


def at_once() -> int | None:
    """Return how many processes of this machine train side by side: `execution.per_gpu` where they share a GPU; None: one per core."""
    return int(os.environ.get(PER_GPU, "1")) if fastest().type == "cuda" else None


def threads_for(device: torch.device) -> int:
    """Return the number of threads that make a GPU's batches: this machine's cores, shared by the processes that train on it; 0 without a GPU."""
    if device.type != "cuda":
        return 0
    return max(1, cores() // int(os.environ.get(PER_GPU, "1")))
