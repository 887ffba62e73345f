"""Test whether a policy is better than random feasible policies of the same budget and order (paper figure 11)."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int

from taskonomy.errors import TaskonomyError
from taskonomy.numeric.rng import generator
from taskonomy.policy.label_costs import money
from taskonomy.policy.numbers import as_written, denominator
from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Problem
from taskonomy.tables.table import MEASURES

_DRAWS_AT_ONCE = 1000
_MAX_ROUNDS = 200
JUDGED_BY = ("objective", *MEASURES)


class Draw(StrEnum):
    """How a random policy is drawn.

    Both start from random sources: the required ones, then others in random order as long as the budget (and policy.max_inference) permits, drawn
    again if some target cannot be solved. Then each target takes

        connections: any of the transfers that these sources allow, with equal probability (the paper's random connectivity);
        sources: the one of them with the highest affinity, so that only the choice of sources is random. This is the stronger baseline.
    """

    CONNECTIONS = "connections"
    SOURCES = "sources"


@dataclass(frozen=True)
class RandomPolicies:
    """Objectives, mean gains and mean qualities of random feasible policies."""

    objective: Float64[np.ndarray, " draws"]
    gain: Float64[np.ndarray, " draws"]
    gain_scratch: Float64[np.ndarray, " draws"]
    quality: Float64[np.ndarray, " draws"]


def random_policies(problem: Problem, budget: float, count: int, draw: Draw, seed: int) -> RandomPolicies:
    """Draw `count` random feasible policies.

    Raises:
        TaskonomyError: Random sources hardly ever solve every target.
    """
    rng = generator(seed, "random policies", draw.value, float(budget))
    needs = np.array([[source in transfer.needs for source in problem.sources] for transfer in problem.transfers], dtype=np.float32)
    targets = np.array([problem.targets.index(transfer.target) for transfer in problem.transfers])
    worth = np.array([transfer.worth for transfer in problem.transfers])
    scores = np.array([[transfer.worth, *(getattr(transfer, name) for name in MEASURES)] for transfer in problem.transfers])
    found: list[Float64[np.ndarray, "draws measures"]] = []
    left = count
    for _ in range(_MAX_ROUNDS):
        on = _random_sources(problem, budget, rng)
        allowed = on.astype(np.float32) @ needs.T == needs.sum(axis=1)
        rank = rng.random(allowed.shape) if draw is Draw.CONNECTIONS else np.broadcast_to(worth, allowed.shape)
        chosen, served = _best_per_target(np.where(allowed, rank, -1.0), targets, len(problem.targets))
        kept = scores[chosen[served.all(axis=1)]][:left]
        found.append(np.column_stack([kept[:, :, 0].sum(axis=1), *(_nanmean(kept[:, :, column]) for column in range(1, scores.shape[1]))]))
        left -= len(kept)
        if left == 0:
            return RandomPolicies(*np.concatenate(found).T)
    raise TaskonomyError(
        f"only {count - left} of {count} random policies within budget {money(budget, problem.currency)} serve every target; raise policy.budget"
    )


def significance(policy: Policy, problem: Problem, count: int, seed: int) -> dict[str, Any]:
    """Compute percentile, p-value and the random policies' mean and spread, per way of drawing and per measure.

    The p-value is (1 + number of random policies at least as good) / (1 + count), so it is never 0.
    """
    own = {"objective": policy.objective, **{name: getattr(policy, f"mean_{name}") for name in MEASURES}}
    result: dict[str, Any] = {}
    for draw in Draw:
        drawn = random_policies(problem, policy.budget, count, draw, seed)
        result[draw.value] = {name: _held_against(own[name], getattr(drawn, name)) for name in JUDGED_BY if not np.isnan(own[name])}
    return result


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """Select the numbers for `dvc metrics show`: the policy's values, percentiles and p-values."""
    names = ("policy", "percentile", "p_value", "random_mean")
    return {draw: {measure: {name: held[name] for name in names} for measure, held in by.items()} for draw, by in found.items()}


def _held_against(own: float, drawn: Float64[np.ndarray, " draws"]) -> dict[str, Any]:
    as_good = int((drawn >= own - 1e-12 * max(1.0, abs(own))).sum())
    density, edges = np.histogram(drawn, bins=60)
    return {
        "policy": own,
        "random_mean": float(drawn.mean()),
        "random_best": float(drawn.max()),
        "percentile": 100 * (1 - as_good / len(drawn)),
        "p_value": (1 + as_good) / (1 + len(drawn)),
        "draws": len(drawn),
        "histogram": {"edges": edges.tolist(), "counts": density.tolist()},
    }


def _random_sources(problem: Problem, budget: float, rng: np.random.Generator) -> Bool[np.ndarray, "draws sources"]:
    unit = denominator([*problem.costs.values(), problem.fixed])  # multiplied by it, costs are integers, and sums of them exact
    cost = np.array([int(problem.costs[source] * unit) for source in problem.sources], dtype=object)
    limit = math.floor(as_written(budget) * unit)
    required = np.array([source in problem.required for source in problem.sources])
    keys = rng.random((_DRAWS_AT_ONCE, len(cost))) - required
    on = np.zeros(keys.shape, dtype=bool)
    spent = np.full(_DRAWS_AT_ONCE, int(problem.fixed * unit), dtype=object)
    rows = np.arange(_DRAWS_AT_ONCE)
    (load, most), loaded = _loads(problem), np.zeros(_DRAWS_AT_ONCE, dtype=object)
    for column in np.argsort(keys, axis=1).T:
        pays = (spent + cost[column] <= limit).astype(bool)
        if most is not None:
            pays &= (loaded + load[column] <= most).astype(bool)
            loaded += np.where(pays, load[column], 0)
        on[rows, column] = pays
        spent += np.where(pays, cost[column], 0)
    return on


def _loads(problem: Problem) -> tuple[Any, int | None]:
    """Return the multiply-adds of each source's encoder in whole numbers, and their bound; None: there is none."""
    if (most := problem.most_inference) is None:
        return np.zeros(len(problem.sources), dtype=object), None
    unit = denominator(problem.inference[source] for source in problem.sources)
    return np.array([int(problem.inference[source] * unit) for source in problem.sources], dtype=object), math.floor(most * unit)


def _best_per_target(
    rank: Float64[np.ndarray, "draws transfers"], targets: Int[np.ndarray, " transfers"], count: int
) -> tuple[Int[np.ndarray, "draws targets"], Bool[np.ndarray, "draws targets"]]:
    chosen = np.empty((len(rank), count), dtype=np.int64)
    served = np.empty((len(rank), count), dtype=bool)
    for target in range(count):
        into = np.flatnonzero(targets == target)
        best = rank[:, into].argmax(axis=1)
        chosen[:, target] = into[best]
        served[:, target] = rank[np.arange(len(rank)), into[best]] >= 0
    return chosen, served


def _nanmean(values: Float64[np.ndarray, "draws targets"]) -> Float64[np.ndarray, " draws"]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
