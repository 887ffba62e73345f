"""How many labelled images of each task: the amounts that a table's transfers were trained on, as sources of the Boolean program.

The program decides z[task, amount], at most one amount for each task. The images of a larger amount contain those of a smaller one, so it is written
with steps, y[task, amount] = 1 where the task has at least so many: z[task, amount] is y[task, amount] - y[task, next larger amount].

A step costs the images that it adds. A transfer on n images of its target needs the target's steps up to n, and all steps of its sources, which are
labelled in full. So labels of a task that is source and target are paid once, and a step is to the program, its bounds and its proof what a source
is. The smallest amount of a target is no step, since every policy pays it; a table with one amount has no steps, and is the paper's program.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from taskonomy.config.policy_params import LabelsParams, PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.label_costs import cost_of, cost_of_rest, exact_prices, full_images, images_there, needed_images, transfer_images
from taskonomy.tables.table import SELF
from taskonomy.tables.transfer_spec import variant

if TYPE_CHECKING:
    from taskonomy.policy.problem import Transfer


@dataclass(frozen=True)
class Step:
    """At least so many labelled images of a task, fewer than in full."""

    task: str
    images: int

    @property
    def name(self) -> str:
        """Return its name among the program's sources; no task's name holds a comma."""
        return f"{self.task}, {self.images} images"


@dataclass(frozen=True)
class AmountsOfProblem:
    """What amounts add to a problem.

    Attributes:
        transfers: The transfers, whose `needs` hold the steps as well.
        steps: The steps of each task, by their names, ascending by task and images.
        costs: Cost of each source and step, beyond what every policy pays.
        fixed: What every policy pays.
        least: Images of each target that every policy pays.
    """

    transfers: "tuple[Transfer, ...]"
    steps: Mapping[str, Step]
    costs: dict[str, Fraction]
    fixed: Fraction
    least: dict[str, int]


def with_amounts(transfers: "Sequence[Transfer]", targets: Iterable[str], free: Iterable[str], params: PolicyParams) -> AmountsOfProblem:
    """Build the steps of a table with amounts, and what they cost.

    With a currency, a step costs its images times their price. Without one, it costs its share of what the task costs in full, beyond the smallest
    amount of the table, which is free as the labels of the paper's transfers are.

    Args:
        transfers: The admissible transfers.
        targets: The tasks to solve.
        free: Sources that others trained: they need no labels.
        params: The section `policy`.

    Raises:
        TaskonomyError: A transfer takes more images of a task than the task has in full, or a task has no price.
    """
    targets, free = tuple(targets), set(free)
    taken = [_images(one, params) for one in transfers]
    _check_full(transfers, taken, params)
    least = {target: _least(target, transfers, taken, params) for target in targets}
    amounts: dict[str, set[int]] = {}
    for one in taken:
        for task, images in one.items():
            amounts.setdefault(task, set()).add(images)
    for task, found in amounts.items():
        if max(found) > (full := full_images(params.labels, task)):
            found.add(full)
    steps = {
        task: [Step(task, images) for images in sorted(found) if images > least.get(task, 0)]
        for task, found in sorted(amounts.items())
        if task not in free
    }
    needs = [_needs(one, images, steps, params.labels) for one, images in zip(transfers, taken, strict=True)]
    sources = sorted({name for one in transfers for name in one.needs} - free)
    costs, fixed = _costs(steps, sources, least, params)
    ordered = {step.name: step for mine in steps.values() for step in mine}
    return AmountsOfProblem(tuple(replace(one, needs=all_) for one, all_ in zip(transfers, needs, strict=True)), ordered, costs, fixed, least)


def _images(one: "Transfer", params: PolicyParams) -> dict[str, int]:
    """Return the images that a transfer takes of tasks that it does not need in full: of its target, and of what it is transferred through."""
    if one.sources == (SELF,) and one.images is None:
        return {}
    through = {found.intermediate for found in map(variant, one.sources) if found is not None and found.intermediate is not None}
    taken = {one.target: needed_images(params.labels, one.target, one.sources) if one.images is None else one.images}
    return {**{task: transfer_images(params.labels, task) if one.images is None else one.images for task in through}, **taken}


def _check_full(transfers: "Sequence[Transfer]", taken: list[dict[str, int]], params: PolicyParams) -> None:
    for one, images in zip(transfers, taken, strict=True):
        for task, count in () if one.imputed else images.items():  # predictions go beyond what is labelled
            if count > (full := full_images(params.labels, task)):
                raise TaskonomyError(
                    f"policy.labels: {'+'.join(one.sources)} -> {one.target} takes {count:,} labelled images of {task}, which has {full:,} in full;"
                    f" set policy.labels.tasks.{task}.full, or policy.labels.full for all tasks"
                )


def _least(target: str, transfers: "Sequence[Transfer]", taken: list[dict[str, int]], params: PolicyParams) -> int:
    """Return the images of a target that every policy pays: the smallest amount of a transfer into it."""
    found = (images[target] for one, images in zip(transfers, taken, strict=True) if one.target == target and target in images)
    return min(found, default=transfer_images(params.labels, target))


def _needs(one: "Transfer", taken: dict[str, int], steps: dict[str, list[Step]], labels: LabelsParams) -> frozenset[str]:
    """Return what a transfer needs: its sources with their steps up to full, and the steps of its target up to the images that it was trained on."""
    below = {task: full_images(labels, task) for task in one.needs}
    below |= {task: max(images, below.get(task, 0)) for task, images in taken.items()}
    return one.needs | {step.name for task, most in below.items() for step in steps.get(task, ()) if step.images <= most}


def _costs(
    steps: dict[str, list[Step]], sources: Sequence[str], least: Mapping[str, int], params: PolicyParams
) -> tuple[dict[str, Fraction], Fraction]:
    labels = params.labels
    tasks = sorted({*least, *steps, *sources})
    if labels.currency is not None:
        each = exact_prices(labels, tasks)
    else:
        each = {task: cost_of(params, task) / max(1, full_images(labels, task) - least.get(task, 0)) for task in tasks}

    def between(task: str, lower: int, upper: int) -> Fraction:
        there = images_there(labels, task)
        return each[task] * (max(upper, there) - max(lower, there))

    costs: dict[str, Fraction] = {}
    for task in tasks:
        reached, full = [least.get(task, 0)], full_images(labels, task)
        for step in steps.get(task, ()):
            costs[step.name] = between(task, reached[-1], step.images)
            reached.append(step.images)
        if task in sources:
            nothing_between = labels.currency is None and full == reached[0]
            below = max((images for images in reached if images <= full), default=full)
            costs[task] = cost_of_rest(params, task, full) if nothing_between else between(task, below, full)
    fixed = sum((between(task, 0, images) for task, images in least.items()), start=Fraction(0)) if labels.currency is not None else Fraction(0)
    return costs, fixed
