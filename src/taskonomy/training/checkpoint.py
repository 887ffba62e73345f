"""The state of a training, written whole or not at all: tensors as safetensors, and a few numbers beside them; nothing is ever unpickled.

The state of an unfinished training is sealed as finished units are: before the safetensors stands a digest of the file's name, which is its unit's
key, and of all content. So a training starts anew if its state is damaged anywhere, or is that of another unit under this name.
"""

import json
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Adam

from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError

_SEP = "\x1f"
_DIGEST = 16  # bytes of a seal
_FORMAT = b"taskonomy state1"  # part of a seal, so that states of other formats are not read
Trained = Sequence[tuple[nn.Module, Adam]]  # the network and, where there is one, its critic, with their optimisers


def save_weights(path: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """Write a network's weights, and facts about them as JSON."""
    write_bytes(path, save(_contiguous(network.state_dict()), {"facts": json.dumps(facts)}))


def load_weights(path: Path, network: nn.Module) -> dict[str, Any]:
    """Load weights into a network of the same form, and return the facts.

    Raises:
        TaskonomyError: The file is damaged, or holds another network's weights.
    """
    tensors, facts = _read(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise TaskonomyError(f"{path}: weights of another network ({' '.join(str(error).split())[:200]})") from None
    return facts


def save_training(path: Path, trained: Trained, best: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write everything that the next epoch depends on: weights, the optimisers' moments, the best weights so far."""
    tensors = {f"best{_SEP}{name}": value for name, value in best.items()}
    for which, (module, optimizer) in enumerate(trained):
        tensors |= {f"weights {which}{_SEP}{name}": value for name, value in module.state_dict().items()}
        for number, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"adam {which}{_SEP}{number}{_SEP}{name}": value for name, value in moments.items()}
    payload = save(_contiguous(tensors), {"facts": json.dumps(facts)})
    write_bytes(path, _seal(path, payload) + payload)


def load_training(path: Path, trained: Trained) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Load what `save_training` wrote, and return the best weights so far and the facts.

    Return None, and load nothing, where there is no state, or where it is not what was written under this name; standard error then says so.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _begin_anew(path, f"cannot be read ({error.strerror or error})")
        return None
    payload = data[_DIGEST:]
    if data[:_DIGEST] != _seal(path, payload):
        _begin_anew(path, "damaged")
        return None
    header = int.from_bytes(payload[:8], "little")
    tensors, facts = load(payload), json.loads(json.loads(payload[8 : 8 + header])["__metadata__"]["facts"])
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _sep, rest = name.partition(_SEP)
        parts.setdefault(part, {})[rest] = value
    for which, (module, optimizer) in enumerate(trained):
        module.load_state_dict(parts[f"weights {which}"])
        _load_moments(optimizer, parts.get(f"adam {which}", {}))  # an adversarial term that has not begun has no moments
    return parts.get("best", {}), facts  # where the last epoch is taken, none is the best so far


def _seal(path: Path, payload: bytes) -> bytes:
    return blake2b(path.name.encode() + b"\0" + payload, digest_size=_DIGEST, person=_FORMAT).digest()


def _begin_anew(path: Path, why: str) -> None:
    path.unlink(missing_ok=True)
    print(f"{path}: {why}, so it is removed and its training begins anew", file=sys.stderr)


def _load_moments(optimizer: Adam, tensors: dict[str, Tensor]) -> None:
    weights = [one for group in optimizer.param_groups for one in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _sep, what = name.partition(_SEP)
        weight = weights[int(number)]
        # Fused Adam pairs weights and moments by their order in memory: with another memory layout each weight would get another's moments.
        moments.setdefault(int(number), {})[what] = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads((file.metadata() or {})["facts"])  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise TaskonomyError(f"{path}: not the weights that were written there ({error}); remove it to train again") from None


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy each tensor to memory of its own, in C order, on the CPU, as safetensors files need it."""
    return {name: torch.clone(value.detach().cpu(), memory_format=torch.contiguous_format) for name, value in tensors.items()}
