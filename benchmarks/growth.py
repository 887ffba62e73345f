"""What grows with the number of tasks: stages and DVC's own time, units of work and their store, AHP, the program, the page.

Losses are made up; everything that handles them is the project's own. The pipeline has the shape of dvc.yaml, its commands only write outputs.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from taskonomy.affinity.from_run import affinity_tables
from taskonomy.atomic_io import to_json
from taskonomy.config.checked import checked
from taskonomy.config.params import NormalizeParams, Params
from taskonomy.config.policy_params import FrontParams, PolicyParams
from taskonomy.evaluation.savings import random_sets, summary, whole_table
from taskonomy.evaluation.significance import significance
from taskonomy.evaluation.tree import similarity_tree, without_sources
from taskonomy.policy.front import front
from taskonomy.policy.planner import Planner, plan
from taskonomy.report.inputs import Results
from taskonomy.report.page import page
from taskonomy.store.store import Store, key_of

ROOT = Path(__file__).parents[1]
IMAGES = 252  # of each half of test, as in the default run
STEP = """\
for output; do
  case $output in
    *.*) mkdir -p "$(dirname "$output")"; echo "$output" > "$output" ;;
    *) mkdir -p "$output"; echo "$output" > "$output/x" ;;
  esac
  while read -r path; do mkdir -p "$(dirname "$path")"; echo "$path" > "$path"; done < "files/$(echo "$output" | tr / _)"
done
"""


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = what()
    return time.perf_counter() - began, done


def pipeline(folder: Path, names: list[str]) -> int:
    """Write the stages of dvc.yaml for other tasks, with commands that take no time; return how many there are."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["tasks"], params["transfer"]["targets"] = names, [*names]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    made, needed, count = set[str](), set[str](), 0
    for stage in stages.values():
        body = stage.get("do", stage)
        outs = [one if isinstance(one, str) else next(iter(one)) for kind in ("outs", "plots", "metrics") for one in body.get(kind, [])]
        body["cmd"] = f"sh step.sh {' '.join(outs)}"
        body["deps"] = [one for one in body["deps"] if not one.startswith(("src/", "stages/", "data/published", "${data.root}"))]
        each = items_of(stage, names)
        count += len(each)
        for values in each:
            for out in outs:
                made.add(filled(out, values))
            needed.update(filled(dep, values) for dep in body["deps"])
    (folder / "data/published").mkdir(parents=True)
    for name in ("affinities_16k.csv", "networks.csv"):
        (folder / "data/published" / name).write_text("x\n")
    (folder / "results/experiments").mkdir(parents=True)
    (folder / "results/experiments/README.md").write_text("x\n")
    (folder / "files").mkdir()
    for out in made:
        inside = sorted(dep for dep in needed if dep.startswith(f"{out}/") and dep not in made)
        paths = [dep if "." in dep.rpartition("/")[2] else f"{dep}/x" for dep in inside]
        (folder / "files" / out.replace("/", "_")).write_text("".join(f"{path}\n" for path in paths))
    (folder / "step.sh").write_text(STEP)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    subprocess.run(("git", "init", "-q"), cwd=folder, check=True)
    return count


def items_of(stage: dict[str, Any], names: list[str]) -> list[dict[str, str]]:
    """List what each stage of a matrix or foreach has in place of its expressions."""
    if "matrix" in stage:
        return [{f"item.{key}": name for key in stage["matrix"]} for name in names]
    items: Any = stage.get("foreach", {"": {}})
    if isinstance(items, str):  # of params.yaml: none unless somebody asks a query
        return []
    return [{"key": key, **{f"item.{name}": value for name, value in values.items()}} for key, values in items.items()]


def filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda found: values.get(found[1], found[0]), text)


def run(folder: Path, *command: str) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_SITE_CACHE_DIR": str(folder / ".dvc/site")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def candidates(names: list[str], target: str, rng: np.random.Generator) -> list[str]:
    """As the paper's beam makes them, to order 3."""
    best = [str(one) for one in rng.permutation([name for name in names if name != target])[:5]]
    return [*names, *("+".join(some) for order in (2, 3) for some in combinations(best, order)), "self"]


def losses(folder: Path, names: list[str]) -> int:
    """Made-up losses of every transfer; returns how many there are."""
    rng, total = np.random.default_rng(0), 0
    place = {name: rng.normal(size=4) for name in names}
    for target in names:
        chosen = candidates(names, target, rng)
        worth = [min(float(np.linalg.norm(place[target] - place[one])) for one in name.split("+")) if name != "self" else 0.3 for name in chosen]
        (folder / target).mkdir(parents=True)
        for split in ("test_affinity", "test_policy"):
            values = np.array(worth)[:, None] + rng.normal(size=(1, IMAGES)) + rng.normal(size=(len(chosen), IMAGES))
            scratch = 1.2 + rng.normal(size=IMAGES)
            np.savez(
                folder / target / f"{split}.npz", candidates=np.array(chosen), losses=values.astype(np.float32), scratch=scratch.astype(np.float32)
            )
        total += len(chosen)  # self is measured with the networks, scratch takes its place
    return total


def store(folder: Path, count: int) -> tuple[float, float]:
    """Seconds to read so many units, each with its digest checked, and their size in MB."""
    ledger, rng = Store(folder), np.random.default_rng(0)
    arrays = {split: rng.random(IMAGES).astype(np.float32) for split in ("test_affinity", "test_policy")}
    keys = [key_of(number=number) for number in range(count)]
    for key in keys:
        ledger.write(key, arrays, {"name": "transfer", "train": [0.5] * 3, "validation": [0.5] * 3, "chosen": 2})
    seconds, _units = timed(lambda: [ledger.read(key) for key in keys])
    return seconds, ledger.size() / 1e6


def measured(folder: Path, names: list[str], params: Params) -> dict[str, float]:
    """Seconds from losses to the page, and its size."""
    count = losses(folder / "transfers", names)
    seconds, size = store(folder / "units", count + 2 * len(names))
    out: dict[str, float] = {"units": count + 2 * len(names), "read units": seconds, "units, MB": size}
    normalize: NormalizeParams = params.normalize
    out["AHP"], (table, _held_out, _facts) = timed(lambda: affinity_tables(folder / "transfers", names, normalize))
    policy: PolicyParams = params.policy.model_copy(update={"exclude": (), "max_order": 3, "time_limit": 600.0})
    out["program"], (best, _others) = timed(lambda: plan(table, policy))
    orders: FrontParams = params.front.model_copy(update={"orders": (1, 2, 3)})
    out["front"], points = timed(lambda: front(table, policy, list(orders.orders)))
    savings = params.savings.model_copy(update={"set_size": min(10, len(names)), "draws": 20, "max_order": 3})
    out["20 sets"], sets = timed(lambda: random_sets(table, policy, savings))
    planner = Planner(table, policy)
    out["10,000 policies"], found = timed(lambda: significance(best, planner.problem, 10_000, 0))
    tree = similarity_tree(without_sources(table, ()))
    saved = {"whole table": [asdict(one) for one in whole_table(table, policy, savings)], "random sets": summary(sets, savings.quality_levels)}
    parts = best.reproducible(), [one.reproducible() for one in points], found, saved
    chosen, budgets, chance, shares = (json.loads(to_json(one)) for one in parts)  # as stages leave them
    results = Results(table, (), chosen, budgets, chance, shares, sets, tree)
    out["page"], text = timed(lambda: page("Growth", results))
    out["page, MB"] = len(text.encode()) / 1e6
    best_five = min(5, len(names) - 1)
    assert comb(best_five, 2) + comb(best_five, 3) + len(names) + 1 == len(table) // len(names)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", type=int, default=[5, 10, 26, 60])
    parser.add_argument("--dvc", action="store_true", help="what `dvc repro` takes as well: at 60 tasks many minutes")
    args = parser.parse_args()
    params = checked(Params, yaml.safe_load((ROOT / "params.yaml").read_text()), "params.yaml")
    columns: dict[int, dict[str, float]] = {}
    for count in args.tasks or [5, 10, 26, 60]:
        names = [f"task{number:02}" for number in range(count)]
        with tempfile.TemporaryDirectory() as base:
            work = Path(base) / "work"
            work.mkdir()
            rows: dict[str, float] = {"stages": pipeline(work, names)}
            if args.dvc:
                rows["dvc repro, first"] = run(work, "dvc", "repro")
                rows["dvc repro, nothing to do"] = run(work, "dvc", "repro")
                (work / "dvc.lock").unlink()
                shutil.rmtree(work / ".dvc/cache")
            rows["taskonomy repro, first"] = run(work, "taskonomy", "repro")
            rows["taskonomy repro, nothing to do"] = run(work, "taskonomy", "repro")
            rows["taskonomy repro --dry"] = run(work, "taskonomy", "repro", "--dry")
            columns[count] = rows | measured(Path(base), names, params)
        print(f"{count} tasks: {json.dumps({row: round(value, 3) for row, value in columns[count].items()})}", file=sys.stderr, flush=True)
    print(f"{'tasks':<34}" + "".join(f"{count:>10}" for count in columns))
    for row in next(iter(columns.values())):
        whole = row in ("stages", "units")
        print(f"{row:<34}" + "".join(f"{one[row]:>10,.0f}" if whole else f"{one[row]:>10,.2f}" for one in columns.values()))


if __name__ == "__main__":
    main()
