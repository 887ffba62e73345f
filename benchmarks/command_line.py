"""What a user waits for: the whole front, one policy from shell to answer, and the error of a wrong name, beside an empty Python."""

import resource
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


WRONG = {  # answered within 0.5 s of processor time
    "policy": (TABLE, "--budget", 8, "--cost", "norml=3"),
    "front": (TABLE, "--exclude", "norml"),
    "tree": (TABLE, "--exclude", "norml"),
    "profile": ("paperr",),
    "plan": ("--profile", "paperr"),
    "check": ("paperr",),
    "repro": ("trian",),
    "query": ("norml",),
    "experiments": ("run", "images"),
    "explore": ("nowhere",),
    "advise": ("nowhere", "--labels", 10),
    "affinity": ("nowhere", "-o", "x.csv"),
    "annotate": ("nowhere", "-o", "x"),
    "data": ("inspect", "nowhere"),
    "polcy": (),
}


def computing(*command: object, runs: int = 5) -> float:
    """Seconds of processor time until a command has refused a name."""
    taken = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 1, command
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
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
    refused = {name: computing(TASKONOMY, name, *words) for name, words in WRONG.items()}
    print(f"  a wrong name: {', '.join(f'{name} {taken:.2f}' for name, taken in refused.items())} s of processor time")
