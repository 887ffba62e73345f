"""The Boolean program: forms of the link constraint, GLPK against HiGHS, growth with the number of tasks; random programs against enumeration."""

import argparse
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.problem import admissible
from taskonomy.policy.program import Program
from taskonomy.policy.solvers import Solution
from taskonomy.tables.table import read_table

TABLE = Path(__file__).parents[1] / "data/published/affinities_16k.csv"
EXCLUDE = ("random_projection", "class_object_100")
FORMS = ("source_and_target", "transfer_and_source", "transfer")


def told(solution: Solution) -> str:
    return f"{solution.seconds:8.3f} s" + (" " if solution.status.value == "optimal" else f"  {solution.status.value}")


def forms(limit: float) -> None:
    print(f"\nPublished table, orders up to 24: seconds by form of the link constraint (limit {limit:g} s)")
    problem = admissible(read_table(TABLE), PolicyParams(budget=0, max_order=24, exclude=EXCLUDE))
    print(f"{len(problem.transfers):,} transfers, {len(problem.sources)} sources, {len(problem.targets)} targets")
    for solver, budget in product(("glpk", "highs"), (2.0, 4.0, 8.0)):
        solved = {form: Program(problem, solver, link=form).solve(budget, seconds=limit) for form in FORMS}
        ratio = solved["transfer"].seconds / solved["source_and_target"].seconds
        print(
            f"  {solver:<6} budget {budget:g}: " + ", ".join(f"{form} {told(one)}" for form, one in solved.items()) + f"; paper's / ours {ratio:.0f}x"
        )


def random_table(tasks: int, beam: bool, seed: int = 0) -> pd.DataFrame:
    """Random affinities for every first-order transfer and, per target, 10 pairs, 10 triples and 15 quadruples.

    Args:
        tasks: Number of tasks, each a source and a target.
        beam: Whether higher orders come from the target's best five or six sources, as the paper's search picks them, or from anywhere.
        seed: Seed.
    """
    rng = np.random.default_rng([seed, tasks])
    names = [f"task{number:03}" for number in range(tasks)]
    strength = rng.gamma(1.0, size=tasks) * rng.gamma(2.0, size=(tasks, tasks))
    rows: list[tuple[str, tuple[str, ...], float]] = []
    for target, row in zip(names, strength, strict=True):
        best = np.argsort(-row)
        chosen = [(int(source),) for source in range(tasks)]
        for order, width in ((2, 5), (3, 5), (4, 6)):
            sets = list(combinations(best[:width].tolist(), order))
            chosen += sets if beam else [tuple(rng.choice(tasks, order, replace=False).tolist()) for _ in sets]
        for sources in {tuple(sorted(one)) for one in chosen}:
            affinity = float(sum(row[list(sources)]) ** 0.5 * rng.gamma(20.0, 1 / 20))
            rows.append((target, tuple(names[source] for source in sources), affinity))
    return pd.DataFrame(sorted(rows), columns=["target", "sources", "affinity"]).assign(gain=np.nan, quality=np.nan)


def growth(limit: float) -> None:
    print(f"\nRandom instances, orders 1 to 4, budget a third of the tasks (limit {limit:g} s)")
    for beam, tasks in product((True, False), (26, 60, 120)):
        problem = admissible(random_table(tasks, beam), PolicyParams(budget=0))
        solved = {solver: Program(problem, solver).solve(float(tasks // 3), seconds=limit) for solver in ("glpk", "highs")}
        kind = "sets by beam search" if beam else "sets from anywhere"
        times = ", ".join(f"{solver} {told(one)}" for solver, one in solved.items())
        print(f"  {tasks:>4} tasks, {len(problem.transfers):>6,} transfers, {kind}: {times}", flush=True)


def exactly(count: int) -> None:
    """Policies, alternatives and fronts of random programs with awkward numbers, against every policy in exact arithmetic."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests/policy"))
    from programs import draw, wrong  # type: ignore[import-not-found]

    for solver in ("glpk", "highs"):
        found = {seed: what for seed in range(count) if (what := next(wrong(draw(seed), solver), None)) is not None}
        print(
            f"{solver}: {len(found)} of {count:,} random programs wrong" + "".join(f"\n  {seed}: {what}" for seed, what in found.items()), flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one program")
    parser.add_argument("--exactly", type=int, default=0, metavar="COUNT", help="only so many random programs against enumeration")
    args = parser.parse_args()
    if args.exactly:
        exactly(args.exactly)
        sys.exit()
    forms(args.limit)
    growth(args.limit)
