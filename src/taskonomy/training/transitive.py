"""Transitive transfers: source -> intermediate -> target (paper section 3.2: transfer functions are composed).

A first-order transfer source -> intermediate is trained as the stage `transfer` trains it, and frozen. What its two streams pass to the
intermediate's decoder is a representation of the intermediate, computed from the source's code: as large as a code, of 16 channels. The first-order
transfer to the target reads it in the place of a code.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from taskonomy.config.network_params import Precision
from taskonomy.machine.device import fastest
from taskonomy.models.transfer import TransferModule
from taskonomy.store.store import Store, Unit
from taskonomy.training.codes import BATCH
from taskonomy.training.train_unit import weights_of
from taskonomy.training.trainer import autocast

REPRESENTATION = "codes"
_TRANSFER = "transfer."


def write_representation(store: Store, key: str, through: Unit, codes: Any, precision: Precision, dtype: str) -> None:
    """Compute and store the unit that holds the representation of an intermediate for every view that has a code.

    Args:
        store: Store to write the unit to.
        key: The unit's key.
        through: The transfer source -> intermediate, with its weights.
        codes: Codes of the source, [coded, channels, height, width].
        precision: Precision of the transfer's arithmetic.
        dtype: Type of the stored numbers, that of codes.
    """
    torch.set_num_threads(1)  # as in training
    transfer = TransferModule(1, int(codes.shape[1]))
    weights = weights_of(through)
    transfer.load_state_dict({name.removeprefix(_TRANSFER): value for name, value in weights.items() if name.startswith(_TRANSFER)})
    store.write(key, {REPRESENTATION: representation(transfer, codes, precision, dtype)}, {"name": f"representation by {through.facts['name']}"})


@torch.no_grad()
def representation(transfer: TransferModule, codes: Any, precision: Precision, dtype: str) -> Shaped[np.ndarray, "coded outputs height width"]:
    """Compute what a frozen transfer passes to its decoder, for all codes."""
    device = fastest()
    transfer.to(device).eval()
    parts = []
    for start in range(0, len(codes), BATCH):
        block = torch.from_numpy(np.asarray(codes[start : start + BATCH]).astype(np.float32))
        with autocast(device, precision):
            made = transfer(block.to(device))
        parts.append(made.float().cpu().numpy().astype(dtype))
    return np.ascontiguousarray(np.concatenate(parts))
