"""Random programs with awkward numbers, and every policy of one by enumeration in exact arithmetic. Written from the definitions alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, count, islice, pairwise, product
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import AlternativesDiffer, PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.front import FrontPoint, front
from taskonomy.policy.planner import Policy, plan

AFFINITIES = ("tenths", "digits", "tiny", "mixed")
COSTS = ("none", "tenths", "cents", "wide", "tiny", "thirds", "labels")
Rows = tuple[int, ...]


def written(number: float) -> Fraction:
    return Fraction(Decimal(repr(float(number))))


def enough(cost: Fraction) -> float:
    """The smallest float that is written as a number no smaller: a third of a cent is no decimal, and sums of long ones are no floats."""
    around = [float(cost)]
    around += [float(np.nextafter(around[0], 0)), float(np.nextafter(around[0], np.inf))]
    return min(number for number in around if written(number) >= cost)


@dataclass(frozen=True)
class One:
    """A program and its rules, the options of `PolicyParams` but solver and alternatives."""

    table: pd.DataFrame
    rules: dict[str, Any]


@dataclass(frozen=True)
class Known:
    """One policy of all: exact objective and cost, sources, and the row of the table for each target."""

    objective: Fraction
    cost: Fraction
    sources: tuple[str, ...]
    rows: Rows

    def key(self, names: list[str]) -> tuple[Any, ...]:
        """Ascending from the best: worth most, cheapest, first by name."""
        return -self.objective, self.cost, [name not in self.sources for name in names]


def draw(seed: int, foreign: bool = False) -> One:
    """A program of up to five tasks; `foreign`: always with licences and a bound on multiply-adds."""
    rng = np.random.default_rng([71, seed])
    names = [f"t{number}" for number in range(int(rng.integers(2, 6)))]
    affinity, cost = rng.choice(AFFINITIES), rng.choice(COSTS)
    rows = []
    for target in names[: int(rng.integers(1, len(names) + 1))]:
        groups = {
            tuple(sorted(rng.choice(names, int(rng.integers(1, min(3, len(names)) + 1)), replace=False).tolist())) for _ in range(rng.integers(1, 6))
        }
        rows += [(target, ("self",))] * int(rng.random() < 0.5) + [(target, group) for group in sorted(groups)]
    table = pd.DataFrame(rows, columns=["target", "sources"]).assign(affinity=[_affinity(affinity, rng) for _ in rows])
    table = table.assign(low=np.nan, high=np.nan, gain=rng.random(len(rows)), quality=rng.random(len(rows)))
    names = sorted({*table["target"], *(name for group in table["sources"] for name in group if name != "self")})
    exclude = rng.choice(names, int(rng.random() < 0.3), replace=False).tolist()
    rules: dict[str, Any] = {
        "max_order": int(rng.integers(1, 4)),
        "self_edge": str(rng.choice(["gold", "transfer", "none"], p=[0.3, 0.5, 0.2])),
        "balance": str(rng.choice(["none", "sum", "peak"], p=[0.6, 0.2, 0.2])),
        "importance": {name: float(rng.choice([0, 1e-7, 1e-6, 1e-3, 0.3, 2, 1e5])) for name in sorted(set(table["target"])) if rng.random() < 0.5},
        "roles": {name: str(rng.choice(["both", "source", "target"])) for name in names if rng.random() < 0.15},
        "exclude": tuple(exclude),
        "require": tuple(name for name in rng.choice(names, int(rng.random() < 0.2), replace=False).tolist() if name not in exclude),
    }
    if cost == "labels":
        rules["labels"] = _labels(names, rng)
    _foreign(table, names, rules, rng, 1.0 if foreign else 0.5)
    if cost != "none" and cost != "labels":
        rules["cost"] = {name: _cost(cost, rng) for name in names if rng.random() < 0.9}
    known = enumerated(table, {**rules, "budget": 0.0})
    return One(table, {**rules, "budget": _budget(known, rng)})


def _foreign(table: pd.DataFrame, names: list[str], rules: dict[str, Any], rng: np.random.Generator, often: float) -> None:
    """Sometimes sources that others trained, licences that may be used, and a bound on multiply-adds, often just what some sources take."""
    only = [name for name in names if name not in set(table["target"])]
    rules["external"] = {name: str(rng.choice(["MIT", "GPL", ""])) for name in only if rng.random() < 0.6}
    if rng.random() < often:
        rules["licences"] = tuple(rng.choice(["mit", "GPL", ""], int(rng.integers(0, 3)), replace=False).tolist())
    if rng.random() < often:
        rules["inference"] = {name: float(rng.choice([0, 0.1, 0.2, 0.3, 1, 2.5, 1e-6, 1e5])) for name in names}
        some = rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False)
        total = sum((written(rules["inference"][name]) for name in some), start=Fraction(0))
        rules["max_inference"] = max(0.0, float([total, total, total - Fraction(1, 10**7), total * 2][rng.integers(4)]))


def all_foreign(first: int, many: int) -> list[One]:
    """The first programs from a seed on that have sources which others trained, licences that may be used, and a bound on multiply-adds."""
    return list(islice((one for seed in count(first) if (one := draw(seed, foreign=True)).rules["external"]), many))


def _affinity(kind: str, rng: np.random.Generator) -> float:
    plain = float(rng.integers(0, 11)) / 10
    match kind:
        case "tenths":
            return plain
        case "digits":
            return float(rng.random())
        case "tiny":
            return float(f"{rng.integers(0, 9)}e-9")
        case _:
            return [plain, float(f"{rng.integers(1, 9)}e-9"), plain + 1e-9, plain + 1e-12, plain * 1e6][rng.integers(5)]


def _cost(kind: str, rng: np.random.Generator) -> float:
    match kind:
        case "tenths":
            return float(rng.integers(0, 12)) / 10
        case "cents":
            return round(float(rng.random() * 10 ** rng.integers(1, 7)), 2)
        case "wide":
            return float(rng.choice([1e-6, 2e-6, 0.9, 1, 1e6, 1000000.9, 0]))
        case "tiny":
            return float(f"{rng.integers(1, 5)}e-{rng.integers(6, 9)}")
        case _:
            return float(rng.integers(1, 9)) / 3


def _labels(names: list[str], rng: np.random.Generator) -> dict[str, Any]:
    tasks = {}
    for name in names:
        full = int(rng.choice([1, 7, 1000, 120_000, 1_000_000]))
        price = float(rng.choice([0, 0.01, 0.07, 0.3, 1.1, 12.34, 10.0, 9.0, 0.003]))
        tasks[name] = {"price": price, "full": full, "transfer": int(rng.integers(0, full + 1)) if rng.random() < 0.5 else 0}
    return {"currency": "EUR", "tasks": tasks}


def _budget(known: list[Known], rng: np.random.Generator) -> float:
    """Often what some policy costs, or a hair beside it."""
    if not known or rng.random() < 0.1:
        return float(rng.choice([0, 0.3, 1, 2.5]))
    cost = float(known[rng.integers(len(known))].cost)
    return float([cost, cost, float(np.nextafter(cost, 0)), max(0.0, round(cost - 1e-7, 9)), cost + 1e-9, cost * 1.01, cost + 1][rng.integers(7)])


def enumerated(table: pd.DataFrame, rules: dict[str, Any]) -> list[Known]:
    """Every policy, whatever it costs."""
    kept: dict[str, list[tuple[int, frozenset[str], Fraction]]] = {}
    roles, excluded = rules["roles"], set(rules["exclude"])
    for number, (target, group, affinity) in enumerate(zip(table["target"], table["sources"], table["affinity"], strict=True)):
        if roles.get(target) == "source":
            continue
        into = kept.setdefault(target, [])
        needs = {target} if group == ("self",) else set(group)
        if target in needs and rules["self_edge"] != ("gold" if group == ("self",) else "transfer"):
            continue
        if _barred(rules, needs) or not _runs(rules, needs):
            continue  # in no policy; so it is not among what `balance` rescales
        if len(group) <= rules["max_order"] and not needs & excluded and not any(roles.get(name) == "target" for name in needs):
            into.append((number, frozenset(needs), written(affinity)))
    if not kept or not all(kept.values()):
        return []
    worth: dict[int, Fraction] = {}
    for target, into in kept.items():
        values = [value for _, _, value in into]
        scale = {"none": Fraction(1), "sum": sum(values), "peak": max(values)}[rules["balance"]] or Fraction(1)
        worth |= {number: written(rules["importance"].get(target, 1.0)) * value / scale for number, _, value in into}
    found = []
    for rows in product(*kept.values()):
        used = frozenset().union(*(needs for _, needs, _ in rows))
        if set(rules["require"]) <= used and _runs(rules, used):
            objective = sum((worth[number] for number, _, _ in rows), start=Fraction(0))
            found.append(Known(objective, _bill(rules, set(kept), used), tuple(sorted(used)), tuple(number for number, _, _ in rows)))
    return found


def _barred(rules: dict[str, Any], needs: set[str]) -> bool:
    """Whether the licence of a source that others trained is not among those that may be used."""
    usable = [one.lower() for one in rules["licences"]] if "licences" in rules else None
    return usable is not None and any(rules["external"][name].lower() not in usable for name in needs & set(rules["external"]))


def _runs(rules: dict[str, Any], needs: Iterable[str]) -> bool:
    """Whether the encoders of these sources together are within the bound on multiply-adds."""
    return "max_inference" not in rules or sum((written(rules["inference"][name]) for name in needs), Fraction(0)) <= written(rules["max_inference"])


def _bill(rules: dict[str, Any], targets: set[str], sources: frozenset[str]) -> Fraction:
    """With prices, every source in full and every other target for a transfer; else what the sources cost. Those of others cost nothing else."""
    if "labels" not in rules:
        price = {name: 0.0 if name in rules["external"] else 1.0 for name in sources} | rules.get("cost", {})
        return sum((written(price[name]) for name in sources), start=Fraction(0))
    tasks, sources = rules["labels"]["tasks"], sources - set(rules["external"])
    return sum(
        (written(tasks[name]["price"]) * tasks[name]["full" if name in sources else "transfer"] for name in targets | sources), start=Fraction(0)
    )


def wrong(one: One, solver: str) -> Iterator[str]:
    """What of the answers to one program is not as enumeration has it: the policy, its alternatives in both ways to differ, and the front."""
    everything = enumerated(one.table, one.rules)
    names = sorted({*one.table["target"], *(name for group in one.table["sources"] for name in group)})
    affordable = sorted((known for known in everything if known.cost <= written(one.rules["budget"])), key=lambda known: known.key(names))
    for difference in AlternativesDiffer:
        params = PolicyParams(**one.rules, solver=solver, alternatives=4, alternatives_differ_in=difference)
        try:
            best, others = plan(one.table, params)
        except TaskonomyError as error:
            yield from _wrong_error(str(error), everything, affordable, one)
            return
        if not affordable:
            yield f"answers where nothing fits: cost {best.cost!r} of {best.budget!r}"
            return
        expected: dict[object, Known] = {}
        for known in affordable:
            expected.setdefault(known.sources if difference is AlternativesDiffer.SOURCES else known.rows, known)
        right = list(expected.values())[:5]
        if len(others) + 1 != len(right):
            yield f"{len(others)} alternatives in {difference}, not {len(right) - 1}"
        for place, (policy, known) in enumerate(zip([best, *others], right, strict=False)):
            yield from (f"{difference} {place}: {what}" for what in _wrong_policy(policy, known, one, place, difference))
    yield from _wrong_front(one, solver, everything, names)


def _wrong_error(error: str, everything: list[Known], affordable: list[Known], one: One) -> Iterator[str]:
    if affordable:
        yield f"no answer where {float(affordable[0].cost)!r} is within {one.rules['budget']!r}: {error}"
    elif everything and "too small" in error:
        smallest = min(known.cost for known in everything)
        error, _, named = error.partition("; without ")
        if named != (right := _limit_that_does_it(one, ("licences", "max_inference"), written(one.rules["budget"]))):
            yield f"too small because of {named!r}, not {right!r}"
        said = error.removesuffix(" EUR").rsplit(" ", 1)[1].replace(",", "")
        if float(said) != enough(smallest):
            yield f"the smallest budget is {enough(smallest)!r}: {error}"
        if "cannot serve  " in error or (str(one.rules["budget"]).removesuffix(".0") not in error and "EUR" not in error):
            yield f"no names or not all digits of {one.rules['budget']!r}: {error}"
    elif "policy.max_inference" in error and "is too small" in error:
        named = error.partition("; without ")[2]
        if named != (right := _limit_that_does_it(one, ("licences",), None)):
            yield f"no policy because of {named!r}, not {right!r}"


def _limit_that_does_it(one: One, limits: tuple[str, ...], within: Fraction | None) -> str:
    """The fewest limits without which a policy has a cost within this, as a message names them; None: any cost."""
    for some in (some for size in range(1, len(limits) + 1) for some in combinations(limits, size) if set(some) <= one.rules.keys()):
        others = enumerated(one.table, {name: rule for name, rule in one.rules.items() if name not in some})
        if any(within is None or known.cost <= within for known in others):
            return f"{' and '.join(f'policy.{name}' for name in some)} it would do"
    return ""


def _wrong_policy(policy: Policy, known: Known, one: One, place: int, difference: AlternativesDiffer) -> Iterator[str]:
    rows = {(target, group): number for number, (target, group) in enumerate(zip(one.table["target"], one.table["sources"], strict=True))}
    if policy.status != "optimal" or policy.gap != 0:
        yield f"{policy.status} with gap {policy.gap}"
    if policy.objective != float(known.objective):
        yield f"objective {policy.objective!r}, not {float(known.objective)!r}"
    if policy.cost != float(known.cost):
        yield f"cost {policy.cost!r}, not {float(known.cost)!r}"
    if policy.sources != known.sources:
        yield f"sources {policy.sources}, not {known.sources}"
    chosen = tuple(rows[transfer.target, transfer.sources] for transfer in policy.transfers)
    again = {other.rows: other for other in enumerated(one.table, one.rules)}.get(chosen)
    if again is None or (again.objective, again.cost, again.sources) != (known.objective, known.cost, known.sources):
        yield f"its transfers {chosen} are worth, cost or need something else"
    if place == 0 and not one.rules["require"]:
        yield from _dominated(policy, one)


def _dominated(policy: Policy, one: One) -> Iterator[str]:
    """Given its sources, each target takes the best of its admissible transfers."""
    for transfer in policy.transfers:
        for target, group, affinity in zip(one.table["target"], one.table["sources"], one.table["affinity"], strict=True):
            needs = {target} if group == ("self",) else set(group)
            admissible = len(group) <= one.rules["max_order"] and (
                target not in needs or one.rules["self_edge"] == ("gold" if group == ("self",) else "transfer")
            )
            counts = one.rules["importance"].get(target, 1.0) > 0
            admissible &= not _barred(one.rules, needs)
            if target == transfer.target and counts and admissible and needs <= set(policy.sources) and affinity > transfer.affinity:
                yield f"{target} takes {transfer.sources} ({transfer.affinity!r}), though {group} ({affinity!r}) is there"


def _wrong_front(one: One, solver: str, everything: list[Known], names: list[str]) -> Iterator[str]:
    """Each point is the best of its budget, and no policy is better than the front at its cost."""
    params = PolicyParams(**{**one.rules, "budget": 0.0}, solver=solver)
    points: list[FrontPoint] = front(one.table, params, [one.rules["max_order"]])
    for point in points:
        within = min((known for known in everything if known.cost <= written(point.policy.budget)), key=lambda known: known.key(names), default=None)
        if within is None or (point.policy.objective, point.policy.sources) != (float(within.objective), within.sources):
            yield f"front at {point.policy.budget!r}: {point.policy.objective!r} by {point.policy.sources}, not {within}"
    costs = [written(point.policy.budget) for point in points]
    if any(later <= earlier for earlier, later in pairwise(costs)):
        yield f"budgets of the front do not rise: {costs}"
    for known in everything:
        reached = [point.policy.objective for point, cost in zip(points, costs, strict=True) if cost <= written(enough(known.cost))]
        if not reached or max(reached) < float(known.objective):
            yield f"the front misses {known}"
            return
