"""CUDA graphs: on a GPU whole training steps are recorded once and replayed.

A step of these networks is some thousand short kernels, which take longer to launch one by one than to run. The first full batches are computed
as usual; then the step is recorded as a CUDA graph, and from there on replayed on other batches of the same shapes. A batch of another shape (the
last of an epoch) is computed as usual. Long trainings also compile their network, which fuses normalisations and rectifiers into one pass over
memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taskonomy.errors import TaskonomyError
from taskonomy.machine.device import compiles
from taskonomy.training.dataloader import Batch

WARM = 3  # batches before the recording, as torch's documentation asks for
COMPILED_FROM = 4_000  # a training of this many steps repays half a minute of compiling


class Recorded:
    """A function of batches that is recorded as a CUDA graph and replayed.

    Args:
        function: Takes a batch on the GPU, and whether it has the usual shapes; returns the losses of its samples.
        device: The GPU.
    """

    def __init__(self, function: Callable[[Batch, bool], Float[Tensor, " batch"]], device: torch.device) -> None:
        self._function, self._device = function, device
        self._form: object = None
        self._warm = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> Float[Tensor, " batch"]:
        """Compute the function for this batch, by replaying the graph where that is possible."""
        form = [(part.shape, part.dtype) for part in _tensors(batch)]
        self._form = self._form or form
        if form != self._form:
            return self._function(batch.to(self._device), False)
        if self._warm < WARM:
            self._warm += 1
            return self._function(batch.to(self._device), True)
        if self._graph is None:
            self._record(batch)
        for to, part in zip(_tensors(self._batch), _tensors(batch), strict=True):
            to.copy_(part, non_blocking=True)
        assert self._graph is not None
        self._graph.replay()
        return self._losses.clone()

    def _record(self, batch: Batch) -> None:
        there = batch.to(self._device)
        self._batch = replace(there, seen=there.seen.clone(), targets=there.targets.each(torch.clone))
        self._graph = torch.cuda.CUDAGraph()
        # Other threads prepare batches meanwhile, which must not abort the recording.
        with torch.cuda.graph(self._graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
            self._losses = self._function(self._batch, True)


def _tensors(batch: Batch) -> list[Tensor]:
    """List the tensors that differ from batch to batch."""
    return [batch.seen, *batch.targets.rows]


@contextmanager
def on_a_stream(device: torch.device) -> Iterator[None]:
    """Run a GPU's work in a stream of its own, as nothing can be recorded in the default stream."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)


def adam(network: nn.Module, rate: float, weight_decay: float, device: torch.device) -> torch.optim.Adam:
    """Build the optimiser; on a GPU its learning rate is a tensor there, so that a recorded step sees it change."""
    if device.type != "cuda":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=weight_decay, fused=True)
    there = torch.tensor(rate, device=device)
    return torch.optim.Adam(network.parameters(), lr=there, weight_decay=weight_decay, fused=True, capturable=True)


def set_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """Set the learning rate from now on."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def compiled(network: nn.Module, steps: int, device: torch.device) -> Callable[[Tensor, Tensor | None, bool], Tensor]:
    """Return the network for computing full batches: compiled where a training of so many steps repays it. It shares the network's weights.

    Raises:
        TaskonomyError: `execution.compile` asks for what this machine cannot do.
    """
    if device.type != "cuda" or steps < COMPILED_FROM or not compiles():
        return network
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 256  # one process trains many networks of a few forms
    fast = torch.compile(network, dynamic=False)

    def call(seen: Tensor, pixels: Tensor | None, packed: bool) -> Tensor:
        try:
            return fast(seen, pixels, packed)
        except torch._dynamo.exc.TorchDynamoException as error:
            said = " ".join(str(error).split())[:300]
            raise TaskonomyError(f"execution.compile: networks cannot be compiled on this machine ({said}); false leaves it") from error

    return call
