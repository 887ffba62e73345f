"""Labels that are bought in rounds, replayed on a run that has measured them all: what a rule knows is what it has bought so far.

Encoders are there, trained elsewhere; what costs money are the labels of the targets. Of a target with n labelled images, the transfers and networks
on at most n images are known, by their losses on one half of the test images. Each target is solved by the best of them; the quality of that choice
is its win rate against the target's full network on the other half. No rule sees qualities.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from taskonomy.advice.advice import advise
from taskonomy.advice.curves import curves
from taskonomy.advice.predictions import with_predictions
from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import measure
from taskonomy.affinity.over_amounts import AmountLosses, losses_by_building, read_amounts_of
from taskonomy.affinity.win_rates import win_rate_against
from taskonomy.config.policy_params import Balance, LabelsOfTask, LabelsParams, PolicyParams, SelfEdge
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.tables.table import OPTIONAL, PIXELS, SELF, join_sources, split_sources

Labelled = Mapping[str, int]  # target -> labelled images
Rule = Callable[["Market", Labelled, float], "dict[str, int]"]  # what is labelled, and the money -> what is labelled then
_AFFORDED = 1e-9  # money is a sum of floats


@dataclass(frozen=True)
class MeasuredAmounts:
    """All networks of all targets, on both halves of the test images, and the group of each image.

    Attributes:
        halves: Target -> its losses on the half that affinities are measured on, and on the other.
        groups: Target -> the building of each image of the first half.
        encoders: Sources that are there.
    """

    halves: Mapping[str, tuple[AmountLosses, AmountLosses]]
    groups: Mapping[str, np.ndarray]
    encoders: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path, targets: tuple[str, ...], encoders: tuple[str, ...], groups: Mapping[str, np.ndarray]) -> "MeasuredAmounts":
        """Read what one seed has measured, in the files of the stage `amounts`."""
        halves = {name: tuple(read_amounts_of(folder, name, split) for split in TEST_SPLITS) for name in targets}
        return cls(halves, groups, encoders)  # type: ignore[arg-type]  # two splits


@dataclass(frozen=True)
class Market:
    """What may be bought, and what is known of it.

    Attributes:
        measured: The run.
        prices: Target -> price of one labelled image.
        amounts: Images that a target may have labelled, rising.
    """

    measured: MeasuredAmounts
    prices: Mapping[str, float]
    amounts: tuple[int, ...]

    @cached_property
    def _known(self) -> dict[tuple[str, int], pd.DataFrame]:
        return {}

    def step(self, target: str, images: int) -> int | None:
        """Return the next amount of a target; None: it has the largest."""
        return next((amount for amount in self.amounts if amount > images), None)

    def cost(self, target: str, images: int, then: int) -> float:
        """Compute what labels of a target from one number of images to another cost."""
        return self.prices[target] * (then - images)

    def table(self, target: str, images: int) -> pd.DataFrame:
        """Compute the affinity table of a target as a run with so many labelled images would: in it is no network on more, nor the full one."""
        if (target, images) not in self._known:
            half = _up_to(self.measured.halves[target][0], images)
            names = [f"{name} on {number} images" for name, number in zip(half.names, half.images, strict=True)]
            compared = Losses(target, names, half.losses, average=half.average, groups=self.measured.groups[target])
            rows = measure(compared, resamples=0).rows
            rows = rows.assign(sources=pd.Series([split_sources(name) for name in half.names], rows.index), images=half.images.astype(float))
            missing = [name for name in OPTIONAL if name not in rows]
            self._known[target, images] = rows.reindex(columns=[*rows.columns, *missing]).assign(imputed=False)
        return self._known[target, images]

    def losses(self, target: str, images: int) -> pd.DataFrame:
        """Return the losses by building behind that table."""
        half = _up_to(self.measured.halves[target][0], images)
        return losses_by_building(half, Split.TEST_AFFINITY, self.measured.groups[target])

    def quality(self, target: str, images: int) -> float:
        """Compute the quality of what is best by the table, on the images that nobody chose by."""
        chosen, full = self._judged(target, images)
        return float(win_rate_against(chosen[None], full, target, ["chosen"])[0])

    def excess(self, target: str, images: int) -> float:
        """Compute the logarithm of the ratio of its mean loss to that of the full network, on the same images."""
        chosen, full = self._judged(target, images)
        return float(np.log(chosen.mean(dtype=np.float64) / full.mean(dtype=np.float64)))

    def _judged(self, target: str, images: int) -> tuple[Shaped[np.ndarray, " tests"], Shaped[np.ndarray, " tests"]]:
        """Return the losses of what is best by the table, and of the full network, on the other half of the test images."""
        rows = self.table(target, images)
        best = rows.iloc[int(rows["affinity"].to_numpy().argmax())]
        other = self.measured.halves[target][1]
        chosen, full = other.baseline(join_sources(best["sources"]), int(best["images"])), other.baseline(SELF, 0)
        if chosen is None or full is None:
            raise ValueError(f"{target}: no losses of {best['sources']} on {best['images']} images, or of its full network")
        return chosen, full

    def state(self, labelled: Labelled) -> dict[str, float]:
        """Compute the mean quality and excess over all targets, and what each has labelled."""
        means = {name: float(np.mean([of(*one) for one in labelled.items()])) for name, of in (("quality", self.quality), ("excess", self.excess))}
        return {**means, **labelled}


def _up_to(data: AmountLosses, images: int) -> AmountLosses:
    shallow = np.array(data.names) == PIXELS  # a baseline, that solves nothing
    kept = np.flatnonzero((data.images > 0) & (data.images <= images) & ~shallow)
    return AmountLosses(data.target, [data.names[place] for place in kept], data.images[kept], data.losses[kept], data.average)


def replay(market: Market, rule: Rule, start: int, income: float, rounds: int) -> pd.DataFrame:
    """Buy labels in rounds; money that a rule leaves is there in the next round.

    Args:
        market: What may be bought.
        rule: Who decides.
        start: Labelled images of each target in the beginning.
        income: Money of each round.
        rounds: How many.

    Returns:
        A row for the beginning and for the end of each round: `round`, `given` and `spent` (money so far), `quality`, `excess`, images of each
        target.
    """
    labelled, spent = dict.fromkeys(market.prices, start), 0.0
    rows = [{"round": 0, "given": 0.0, "spent": 0.0, **market.state(labelled)}]
    for number in range(1, rounds + 1):
        given = income * number
        then = rule(market, labelled, given - spent)
        spent += sum(market.cost(target, labelled[target], images) for target, images in then.items())
        if spent > given + _AFFORDED * given:
            raise ValueError(f"a rule spent {spent:g} of {given:g}")
        labelled = then
        rows.append({"round": number, "given": given, "spent": spent, **market.state(labelled)})
    return pd.DataFrame(rows)


def by_advice(balance: Balance = Balance.PEAK) -> Rule:
    """Return the rule that buys what `taskonomy advise` says; without rescaling of affinities where `balance` says so."""

    def rule(market: Market, labelled: Labelled, money: float) -> dict[str, int]:
        most = market.amounts[-1]
        known = pd.concat([market.table(target, images) for target, images in labelled.items()], ignore_index=True)
        found = curves(pd.concat([market.losses(target, images) for target, images in labelled.items()], ignore_index=True))
        table = with_predictions(known, found)
        table = table[table["images"] <= most].reset_index(drop=True)
        tasks = {name: LabelsOfTask(price=market.prices[name], there=images, full=most, transfer=images) for name, images in labelled.items()}
        params = PolicyParams(
            budget=money,
            self_edge=SelfEdge.GOLD,
            balance=balance,
            external=dict.fromkeys(market.measured.encoders, ""),
            labels=LabelsParams(currency="EUR", price=0, full=most, transfer=0, tasks=tasks),
        )
        bought = {one.task: one.total for one in advise(table, params, found).purchases}
        return {**labelled, **bought}

    return rule


def evenly(market: Market, labelled: Labelled, money: float) -> dict[str, int]:
    """Spend as much money on each target: next comes the one that has cost least so far."""
    return _in_turn(market, labelled, money, lambda target, images: market.cost(target, market.amounts[0], images))


def alike(market: Market, labelled: Labelled, money: float) -> dict[str, int]:
    """Label as many images of each target: next comes the one that has fewest, the cheapest first."""
    return _in_turn(market, labelled, money, lambda target, images: images)


def by_chance(seed: int) -> Rule:
    """Return the rule that buys the next amount of any target that it can pay for."""
    rng = np.random.default_rng(seed)

    def rule(market: Market, labelled: Labelled, money: float) -> dict[str, int]:
        state = dict(labelled)
        while steps := _affordable(market, state, money):
            target = sorted(steps)[int(rng.integers(len(steps)))]
            money -= market.cost(target, state[target], steps[target])
            state[target] = steps[target]
        return state

    return rule


def in_hindsight(market: Market, labelled: Labelled, money: float) -> dict[str, int]:
    """Buy what brings most quality for its money, as only somebody can who knows all qualities; up to two amounts at once. No rule can use it."""
    state = dict(labelled)
    while True:
        found = [(_per_money(market, target, images, then), target, then) for target, images in state.items() for then in _next(market, images)]
        found = [one for one in found if market.cost(one[1], state[one[1]], one[2]) <= money + _AFFORDED and one[0] > 0]
        if not found:
            return state
        _best, target, then = max(found)
        money -= market.cost(target, state[target], then)
        state[target] = then


def _next(market: Market, images: int) -> list[int]:
    return [amount for amount in market.amounts if amount > images][:2]


def _per_money(market: Market, target: str, images: int, then: int) -> float:
    return (market.quality(target, then) - market.quality(target, images)) / market.cost(target, images, then)


def _affordable(market: Market, state: Labelled, money: float) -> dict[str, int]:
    steps = {target: then for target, images in state.items() if (then := market.step(target, images)) is not None}
    return {target: then for target, then in steps.items() if market.cost(target, state[target], then) <= money + _AFFORDED}


def _in_turn(market: Market, labelled: Labelled, money: float, least: Callable[[str, int], float]) -> dict[str, int]:
    """Buy the next amount of the target that comes next; who cannot be paid for waits for the next round, and so do all behind it."""
    state = dict(labelled)
    while open_ := {target: then for target, images in state.items() if (then := market.step(target, images)) is not None}:
        target = min(open_, key=lambda name: (least(name, state[name]), market.prices[name], name))
        if (cost := market.cost(target, state[target], open_[target])) > money + _AFFORDED:
            break
        money -= cost
        state[target] = open_[target]
    return state
