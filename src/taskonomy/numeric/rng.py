"""Random numbers derived from what is computed, never from order or time."""

from hashlib import blake2b

import numpy as np


def generator(seed: int, *what: object) -> np.random.Generator:
    """A generator that depends on the seed and on the names of what it is for, and on nothing else."""
    key = "\x1f".join([str(seed), *map(str, what)])
    return np.random.default_rng(int.from_bytes(blake2b(key.encode(), digest_size=16).digest()))
