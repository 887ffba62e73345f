"""Assign buildings to splits: train, transfer, validation, and two halves of test. No building is in two of them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from taskonomy.config.data_params import DataParams
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator


class Split(StrEnum):
    """A part of the buildings, in the order in which prepared data numbers them."""

    TRAIN = "train"
    """Task networks learn from it."""
    TRANSFER = "transfer"
    """Transfers learn from it: with VALIDATION the paper's val split."""
    VALIDATION = "validation"
    """The best epoch of every training is chosen on it."""
    TEST_AFFINITY = "test_affinity"
    """Affinities are measured on it: one half of the paper's test split."""
    TEST_POLICY = "test_policy"
    """The other half: policies are judged on it, and predictions shown."""

    @property
    def number(self) -> int:
        """Return the split's number in prepared data."""
        return tuple(Split).index(self)


TEST_SPLITS = (Split.TEST_AFFINITY, Split.TEST_POLICY)
_RELEASED = ("train", "val", "test")


def divide(sizes: Mapping[str, int], shares: Sequence[float], seed: int, what: str) -> dict[str, int]:
    """Divide buildings into parts whose shares of the views are as close to those requested as whole buildings allow, and of which none is empty.

    Buildings are taken in a random order (by seed and name), so adding a building moves few others.

    Args:
        sizes: Number of views of each building.
        shares: Share of the views for each part.
        seed: Seed of the order.
        what: Name of the division; it enters the order, so that two divisions differ.

    Returns:
        Building -> number of its part.
    """
    order = sorted(sizes, key=lambda name: (generator(seed, what, name).random(), name))
    held = [0.0] * len(shares)
    total = sum(sizes.values()) or 1
    part: dict[str, int] = {}
    for number, name in enumerate(order):
        empty = [one for one in range(len(shares)) if not held[one]]
        open_to = empty if len(order) - number <= len(empty) else range(len(shares))
        neediest = max(open_to, key=lambda one: shares[one] - held[one] / total)
        part[name] = neediest
        held[neediest] += sizes[name]
    return part


def assign(sizes: Mapping[str, int], lists: Mapping[str, str], params: DataParams) -> dict[str, Split]:
    """Return the split of every building; buildings that the root's lists leave out are not in the result.

    Args:
        sizes: Number of views of each building.
        lists: Building (lower case) -> train, val or test, by the root's lists; empty: there are none, and `data.splits` decides.
        params: The section `data`.

    Raises:
        TaskonomyError: A split would be empty.
    """
    if lists:
        released = {name: lists[name.lower()] for name in sizes if name.lower() in lists}
    else:
        shares = [getattr(params.splits, name) for name in _RELEASED]
        released = {name: _RELEASED[part] for name, part in divide(sizes, shares, params.seed, "splits").items()}
    split = {name: Split.TRAIN for name, one in released.items() if one == "train"}
    for one, parts, shares in (
        ("val", (Split.TRANSFER, Split.VALIDATION), [params.transfer_share, 1 - params.transfer_share]),
        ("test", TEST_SPLITS, [0.5, 0.5]),
    ):
        within = {name: sizes[name] for name, released_split in released.items() if released_split == one}
        split |= {name: parts[part] for name, part in divide(within, shares, params.seed, one).items()}
    if empty := [name for name in Split if name not in split.values()]:
        found = ", ".join(f"{sum(value == name for value in released.values())} {name}" for name in _RELEASED)
        least = "1 train, 2 val and 2 test at least"
        raise TaskonomyError(f"data: split {', '.join(empty)} has no building (of one's own data: no group); needed: {least} (found: {found})")
    return split
