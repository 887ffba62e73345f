"""Assign buildings to splits: train, transfer, validation, and two halves of test. No building is in two of them."""

from collections.abc import Mapping, Sequence

from taskonomy.config.data_params import DataParams
from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator

# In the order in which prepared data numbers them. `transfer` and `validation` divide the paper's val split, the last two its test split.
SPLITS = ("train", "transfer", "validation", "test_affinity", "test_policy")


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


def assign(sizes: Mapping[str, int], lists: Mapping[str, str], params: DataParams) -> dict[str, str]:
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
        names = ("train", "val", "test")
        shares = [getattr(params.splits, name) for name in names]
        released = {name: names[part] for name, part in divide(sizes, shares, params.seed, "splits").items()}
    split = {name: "train" for name, one in released.items() if one == "train"}
    for one, parts, shares in (
        ("val", ("transfer", "validation"), [params.transfer_share, 1 - params.transfer_share]),
        ("test", ("test_affinity", "test_policy"), [0.5, 0.5]),
    ):
        within = {name: sizes[name] for name, released_split in released.items() if released_split == one}
        split |= {name: parts[part] for name, part in divide(within, shares, params.seed, one).items()}
    if empty := [name for name in SPLITS if name not in split.values()]:
        found = ", ".join(f"{sum(value == name for value in released.values())} {name}" for name in ("train", "val", "test"))
        least = "1 train, 2 val and 2 test at least"
        raise TaskonomyError(f"data: split {', '.join(empty)} has no building (of one's own data: no group); needed: {least} (found: {found})")
    return split
