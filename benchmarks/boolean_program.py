"""The Boolean program: forms of the link constraint, GLPK against HiGHS, and growth with the number of tasks."""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.affinity.table import read_table
from taskonomy.params import PolicyParams
from taskonomy.policy.engines import Solution
from taskonomy.policy.problem import admissible
from taskonomy.policy.program import Program

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


def random_problem_table(tasks: int, seed: int = 0) -> pd.DataFrame:
    """Random affinities: every first-order transfer, and 25 transfers of each of the orders 2 to 4 per target."""
    rng = np.random.default_rng([seed, tasks])
    names = [f"task{number:03}" for number in range(tasks)]
    rows = {(target, (source,)) for target in names for source in names}
    rows |= {(target, tuple(sorted(rng.choice(names, order, replace=False).tolist()))) for target in names for order in (2, 3, 4) for _ in range(25)}
    table = pd.DataFrame(sorted(rows), columns=["target", "sources"])
    useful = dict(zip(names, rng.gamma(1.0, size=tasks), strict=True))
    strength = table["sources"].map(lambda sources: sum(useful[name] for name in sources) ** 0.5)
    table["affinity"] = strength * rng.gamma(2.0, size=len(table))
    return table.assign(gain=np.nan, quality=np.nan)


def growth(limit: float) -> None:
    print(f"\nRandom instances, orders 1 to 4, budget a third of the tasks (limit {limit:g} s)")
    for tasks in (26, 60, 120):
        problem = admissible(random_problem_table(tasks), PolicyParams(budget=0))
        solved = {solver: Program(problem, solver).solve(float(tasks // 3), seconds=limit) for solver in ("glpk", "highs")}
        print(f"  {tasks:>4} tasks, {len(problem.transfers):>6,} transfers: " + ", ".join(f"{solver} {told(one)}" for solver, one in solved.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one program")
    args = parser.parse_args()
    forms(args.limit)
    growth(args.limit)
