"""What a user waits for: the whole front, and one policy from shell to answer, beside an empty Python."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

TABLE = Path(__file__).parents[1] / "data/published/affinities_16k.csv"
TASKONOMY = Path(sys.executable).with_name("taskonomy")
EXCLUDE = ("--exclude", "random_projection,class_object_100")


def seconds(*command: object, runs: int = 5) -> float:
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    empty = seconds(sys.executable, "-c", "")
    commands = {
        "policy --help": (TASKONOMY, "policy", "--help"),
        "policy, budget 8, order 4": (TASKONOMY, "policy", TABLE, "--budget", 8, *EXCLUDE),
        "policy, the same with 3 alternatives": (TASKONOMY, "policy", TABLE, "--budget", 8, "--alternatives", 3, *EXCLUDE),
    }
    for name, command in commands.items():
        taken = seconds(*command)
        print(f"  {name}: {taken:.2f} s ({taken / empty:.0f}x an empty Python)")
    fronts = {
        solver: seconds(TASKONOMY, "front", TABLE, "--orders", "1,2,4,24", "--solver", solver, *EXCLUDE, runs=1) for solver in ("glpk", "highs")
    }
    ratio = fronts["highs"] / fronts["glpk"]
    print(f"  front, all budgets x orders 1, 2, 4, 24: glpk {fronts['glpk']:.1f} s, highs {fronts['highs']:.1f} s: {ratio:.1f}x")
