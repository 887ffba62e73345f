"""The stages, units of work and images of a run, from its parameters alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, prod
from pathlib import Path
from typing import Any

import yaml

from taskonomy.config.data_params import WorldParams
from taskonomy.config.network_params import Beam
from taskonomy.config.params import Params
from taskonomy.config.task_config import inputs_of_targets
from taskonomy.data.count_labels import count_labels
from taskonomy.data.datasets import open_data
from taskonomy.data.framing import ReadOptions
from taskonomy.dataset.splits import TEST_SPLITS, Split, assign, divide
from taskonomy.errors import TaskonomyError
from taskonomy.release.index_file import read_index
from taskonomy.release.object_storage import Remote, place_of
from taskonomy.release.split_lists import RELEASED_SPLITS
from taskonomy.transfers.beam_search import PAPER

WORLD = "data/world"
BUILDING = "building{:04}"  # as in taskonomy.world.generate, whose import would load the renderer; a test checks that both agree
# The paper's numbers of images, used where a root cannot be counted: 120,000 to train networks, 16,000 for transfers, 17,000 to test.
PAPERS = {"train": 120_000, "val": 16_000, "test": 17_000}


@dataclass(frozen=True)
class ImageCounts:
    """How many views each split has.

    Attributes:
        of: Split -> number of views.
        known: Where the numbers are from.
    """

    of: Mapping[str, int]
    known: str

    @property
    def total(self) -> int:
        """Return the number of views of all splits together."""
        return sum(self.of.values())

    @property
    def coded(self) -> int:
        """Return the number of views that have codes: all but those that networks are trained on."""
        return self.total - self.of["train"]

    @property
    def tested(self) -> int:
        """Return the number of views of both halves of the test split."""
        return sum(self.of[split] for split in TEST_SPLITS)


@dataclass(frozen=True)
class Hours:
    """The time of one group of units.

    Attributes:
        what: Name of the group.
        count: Number of units.
        seconds: Seconds of one process, for all of them.
        tflop: Their arithmetic, TFLOP.
    """

    what: str
    count: int
    seconds: float
    tflop: float


@dataclass(frozen=True)
class Units:
    """How many units of work there are.

    Attributes:
        networks: Task networks that are trained.
        constants: Best constants, a baseline.
        scratch: Networks trained from scratch on a transfer's images, another baseline; there are as many shallow ones on the image, and best
            constants of those images.
        transfers: Order -> transfers to all targets together; with a numeric beam, or a screen, an upper bound.
        variants: Transitive and fine-tuned transfers.
        steps: Further units that those need: transfers whose weights are kept, and representations computed from codes.
        exact: Whether no number depends on results.
        smaller: Transfers with each smaller amount of `transfer.images`; both baselines come on top.
        tuned: Networks that are fine-tuned, with all amounts.
        amounts: Number of smaller amounts; targets with few labels have fewer.
    """

    networks: int
    constants: int
    scratch: int
    transfers: Mapping[int, int]
    variants: int
    steps: int
    exact: bool
    smaller: int = 0
    tuned: int = 0
    amounts: int = 0

    @property
    def total(self) -> int:
        """Return the number of all units."""
        largest = self.networks + self.constants + 3 * self.scratch + sum(self.transfers.values()) + self.variants + self.steps
        return largest + self.of_amounts

    @property
    def of_amounts(self) -> int:
        """Return the number of units for the smaller amounts of images, and of fine-tuned networks."""
        return self.amounts * (self.smaller + 2 * self.scratch) + self.tuned


def units_of(params: Params) -> Units:
    """Count the units of work of a run with an empty store; a run makes only those that it does not find there."""
    registry, plan, targets = params.registry, params.transfer, params.transfer.targets
    labelled = [name for name in params.data.tasks if registry[name].label is not None]
    # With a screen, of single sources all: which targets it is trusted for, and what the policy program then chooses, is for the codes to say.
    transfers = {1: len(params.sources) * len(targets)}
    for order in range(2, plan.max_order + 1):
        sets = [sets_of(order, len({*labelled, *params.encoders} - {target}), plan.beam) for target in targets]
        transfers[order] = sum(sets if plan.limits is None else (min(one, plan.limits.sets) for one in sets))
    variants = {(target, one) for target in targets for one in plan.parsed_variants() if target not in (one.source, one.intermediate)}
    through = {(one.intermediate, one.source) for _target, one in variants if one.intermediate is not None}
    middle = {(one.intermediate, one.source, registry[target].input) for target, one in variants if one.intermediate is not None}
    exact = plan.limits is None and (plan.max_order < 3 or isinstance(plan.beam, Beam) or plan.beam == 1) and len(plan.amounts) == 1
    return Units(len(labelled), len(labelled), len(targets), transfers, len(variants), len(through) + len(middle), exact, *_of_amounts(params))


def _of_amounts(params: Params) -> tuple[int, int, int]:
    """Count the transfers with each smaller amount, the networks that are fine-tuned, and the smaller amounts: upper bounds."""
    plan, registry = params.transfer, params.registry
    if len(plan.amounts) == 1:
        return 0, 0, 0
    fewer, smaller, tuned = plan.fewer, 0, 0
    labelled = [name for name in params.data.tasks if registry[name].label is not None]
    for target in plan.targets:
        # The target's own encoder is kept beside the best sources.
        smaller += len(params.sources) if fewer.sources == "all" else min(fewer.sources + 1, len(params.sources))
        pool = len({*labelled, *params.encoders} - {target})
        smaller += sum(min(fewer.sets, sets_of(order, pool, plan.beam)) for order in range(2, plan.max_order + 1))
        tuned += len(plan.amounts) * min(fewer.fine_tuned, len({*labelled} - {target}))
    return smaller, tuned, len(plan.amounts) - 1


def sets_of(order: int, pool: int, beam: Beam | int) -> int:
    """Count the sets of sources of an order above 1 to one target, out of `pool` sources; an upper bound where sets of a beam may coincide."""
    if beam is Beam.ALL:
        return comb(pool, order)
    if beam is Beam.PAPER:
        return comb(min(PAPER.get(order, order), pool), order)
    width, below = int(beam), pool
    for size in range(2, order + 1):
        kept = min(width, below)
        # For pairs the number is exact: a pair of two kept singles is reached from both.
        below = comb(pool, 2) - comb(pool - kept, 2) if size == 2 else min(kept * max(pool - size + 1, 0), comb(pool, size))
    return below


def code_inputs(params: Params) -> int:
    """Count the forms in which images are encoded: as they are, and as single targets change them."""
    return len(inputs_of_targets(params.transfer.targets, params.registry))


def stages_of(params: Params, pipeline: Path = Path("dvc.yaml")) -> Counter[str]:
    """Count the stages by name, each item of a matrix or foreach separately.

    Raises:
        TaskonomyError: There is no pipeline here.
    """
    try:
        stages = yaml.safe_load(pipeline.read_text())["stages"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise TaskonomyError(f"{pipeline}: no pipeline; run from the project's root") from None
    values = params.model_dump(mode="json")
    return +Counter({name: _times(stage, values) for name, stage in stages.items()})  # + drops stages with no items


def _times(stage: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    if "matrix" in stage:
        return prod(len(_resolved(one, values)) for one in stage["matrix"].values())
    return len(_resolved(stage["foreach"], values)) if "foreach" in stage else 1


def _resolved(what: Any, values: Any) -> Any:
    if isinstance(what, str) and what.startswith("${"):
        for part in what[2:-1].split("."):
            values = values[part]
        return values
    return what


def images_of(params: Params, views: int | None = None) -> ImageCounts:
    """Count the views of each split, exactly where they can be counted.

    Args:
        params: Parameters of the run.
        views: Number of views to expect where the root does not exist yet; None: as many as the paper had.

    Raises:
        TaskonomyError: The root exists, but is not a valid one; or a split would be empty.
    """
    data, known = params.data, f"counted in {params.data.root}"
    if views is not None:
        return _shared(
            {name: round(views * getattr(data.splits, name)) for name in RELEASED_SPLITS}, params, "as --views says, in the shares of data.splits"
        )
    if data.root == WORLD:
        return _by_split(world_sizes(params.world), world_splits(params.world), params, "of the built-in world")
    root = place_of(data.root)
    if isinstance(root, Remote) or root.exists():
        found = open_data(root, params.registry, ReadOptions.of(params.data))
        return _by_split(found.keys.sizes, found.splits, params, known)
    return _shared(PAPERS, params, f"{data.root} is not there: the paper's numbers; --views N for others")


def labels_of(params: Params) -> dict[str, dict[str, int]]:
    """Count the labelled samples of each task in each split, of those tasks of which reading alone does not tell; {}: there is no data here."""
    root = place_of(params.data.root)
    if params.data.root == WORLD or not (isinstance(root, Remote) or root.exists()):
        return {}
    found = open_data(root, params.registry, ReadOptions.of(params.data))
    return count_labels(found, params.data.tasks, assign(found.keys.sizes, found.splits, params.data))


def read_bytes_of(params: Params) -> int | None:
    """Read the size of a root from its index; None where there is no index."""
    path = Path(params.data.root)
    return sum(row[4] for row in read_index(path)["shelves"]) if path.is_file() else None


def world_sizes(world: WorldParams) -> dict[str, int]:
    """Return the number of views of each building of the built-in world."""
    return {BUILDING.format(number): world.points * world.views for number in range(world.buildings)}


def world_splits(world: WorldParams) -> dict[str, str]:
    """Return the split list of the built-in world: building -> split."""
    shares = [getattr(world.splits, name) for name in RELEASED_SPLITS]
    parts = divide(dict.fromkeys(world_sizes(world), 1), shares, world.seed, "world")
    return {name: RELEASED_SPLITS[part] for name, part in parts.items()}


def _by_split(sizes: Mapping[str, int], lists: Mapping[str, str], params: Params, known: str) -> ImageCounts:
    split_of = assign(sizes, lists, params.data)
    found = Counter(dict.fromkeys(map(str, Split), 0))
    for name, split in split_of.items():
        found[split] += sizes[name]
    return ImageCounts(found, known)


def _shared(lists: Mapping[str, int], params: Params, known: str) -> ImageCounts:
    transfer = round(lists["val"] * params.data.transfer_share)
    half = lists["test"] // 2
    counts = (lists["train"], transfer, lists["val"] - transfer, half, lists["test"] - half)
    return ImageCounts(dict(zip(Split, counts, strict=True)), known)
