"""What some labels are good for: the best transfer of each target that they allow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from taskonomy.config.policy_params import LabelsParams
from taskonomy.policy.exact import Exact
from taskonomy.policy.label_costs import exact_prices, full_images, images_there
from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Problem, Transfer

State = Mapping[str, int]  # task -> its labelled images, if more than are there already


@dataclass(frozen=True)
class LabelsToBuy:
    """The labels that may be bought for one problem, and what they are good for.

    Attributes:
        problem: Of a table with amounts.
        params: Images of each task, those that are there, and prices.
    """

    problem: Problem
    params: LabelsParams

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Return the tasks whose labels a policy may use, and that cost something."""
        steps = {step.task for step in self.problem.steps.values()}
        used = {*self.problem.targets, *steps, *(name for name in self.problem.sources if name not in self.problem.steps)}
        return tuple(sorted(name for name in used - self.problem.licences.keys() if self.price(name) > 0))

    @cached_property
    def _exact(self) -> Exact:
        return Exact(self.problem)

    @cached_property
    def _prices(self) -> dict[str, Fraction]:
        tasks = {*self.problem.targets, *(step.task for step in self.problem.steps.values()), *self.problem.sources} - self.problem.steps.keys()
        return exact_prices(self.params, sorted(tasks - self.problem.licences.keys()))

    def price(self, task: str) -> Fraction:
        """Return the price of one labelled image."""
        return self._prices[task]

    def there(self, task: str) -> int:
        """Return the labelled images that there are already."""
        return images_there(self.params, task)

    def most(self, task: str) -> int:
        """Return the largest number of labelled images of a task that any policy uses."""
        steps = [step.images for step in self.problem.steps.values() if step.task == task]
        full = [full_images(self.params, task)] if task in self.problem.costs else []
        return max([*steps, *full, self.problem.least.get(task, 0)])

    def of(self, policy: Policy) -> dict[str, int]:
        """Return the images of each task that a policy needs; those of a source that is a target, too, may be more than in full, by prediction."""
        taken = {one.target: one.images or 0 for one in policy.transfers}
        needed = {task: full_images(self.params, task) if images is None else images for task, images in policy.amounts.items()}
        return {task: max(images, taken.get(task, 0)) for task, images in needed.items()}

    def cost(self, state: State) -> Fraction:
        """Compute what labels cost beyond those that are there."""
        return sum((self.price(task) * max(0, images - self.there(task)) for task, images in state.items()), start=Fraction(0))

    def best(self, state: State) -> dict[str, Transfer | None]:
        """Find each target's best transfer with these labels, beside those that are there; None: too few for any."""
        problem, exact = self.problem, self._exact

        def has(task: str, images: int) -> bool:
            free = task in problem.licences or self.price(task) == 0
            return free or max(state.get(task, 0), self.there(task)) >= images

        nodes = [name for name in problem.sources if has(*_what(name, problem, self.params))]
        mask = exact.mask(nodes)
        found: dict[str, Transfer | None] = {}
        for target, edges in zip(problem.targets, exact.into, strict=True):
            numbers = (number for need, _worth, number in edges if not need & ~mask)
            number = next(numbers, None) if has(target, problem.least.get(target, 0)) else None
            found[target] = None if number is None else problem.transfers[number]
        return found

    def between(self, state: State) -> dict[str, tuple[float, float]]:
        """Estimate worth and quality of each target, also where its labels are between two amounts of the table: by the logarithm of their number."""
        found = {}
        for target, one in self.best(state).items():
            images, weight, after = max(state.get(target, 0), self.there(target)), 0.0, one
            if one is not None and (upper := self._next(target, images)) is not None:
                lower = max(step for step in self._amounts(target) if step <= images)
                weight, after = math.log(images / lower) / math.log(upper / lower), self.best({**state, target: upper})[target]
            ends = [(0.0, 0.0) if each is None else (float(each.exact), each.quality) for each in (one, after)]
            found[target] = (ends[0][0] + weight * (ends[1][0] - ends[0][0]), ends[0][1] + weight * (ends[1][1] - ends[0][1]))
        return found

    def _amounts(self, target: str) -> list[int]:
        """Return the labelled images with which the table has transfers to a target."""
        return sorted({self.problem.least.get(target, 0), *(step.images for step in self.problem.steps.values() if step.task == target)} - {0})

    def _next(self, target: str, images: int) -> int | None:
        """Return the next amount, if labels cost something and there is one below as well."""
        amounts = self._amounts(target)
        if self.price(target) == 0 or not amounts or images < amounts[0]:
            return None
        return next((amount for amount in amounts if amount > images), None)

    def worth(self, state: State) -> Fraction:
        """Compute the objective of the best transfers with these labels; targets without one are worth nothing."""
        return sum((one.exact for one in self.best(state).values() if one is not None), start=Fraction(0))

    def evenly(self, money: Fraction) -> dict[str, int]:
        """Spend the same money on each task that has a price; what one does not need goes to the others."""
        return self._spread(money, alike=False)

    def alike(self, money: Fraction) -> dict[str, int]:
        """Label the same number of further images of each task, so that each gets money in proportion to its price."""
        return self._spread(money, alike=True)

    def _spread(self, money: Fraction, *, alike: bool) -> dict[str, int]:
        state = {task: self.there(task) for task in self.tasks}
        while open_ := [task for task in self.tasks if state[task] < self.most(task)]:
            together = sum((self.price(task) for task in open_), start=Fraction(0))
            more = {task: int(money / together) if alike else int(money / len(open_) / self.price(task)) for task in open_}
            more = {task: min(count, self.most(task) - state[task]) for task, count in more.items()}
            if not any(more.values()):
                break
            for task, count in more.items():
                state[task] += count
                money -= count * self.price(task)
        return {task: images for task, images in state.items() if images > self.there(task)}


def _what(name: str, problem: Problem, params: LabelsParams) -> tuple[str, int]:
    """Return the task and the images that a source or step of the program stands for."""
    step = problem.steps.get(name)
    return (step.task, step.images) if step is not None else (name, 0 if name in problem.licences else full_images(params, name))
