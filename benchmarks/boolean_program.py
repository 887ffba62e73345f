"""The Boolean program: forms of the link constraint, solvers, growth with tasks, amounts of labels, the page; random programs against enumeration."""

import argparse
import shutil
import sys
import time
from importlib.resources import files
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams, Preset
from taskonomy.policy.planner import Planner
from taskonomy.policy.problem import admissible
from taskonomy.policy.program import Program
from taskonomy.policy.solvers import Solution
from taskonomy.report.page_solver import page_program
from taskonomy.tables.table import read_table

TABLE = Path(__file__).parents[1] / "data/published/affinities_16k.csv"
EXCLUDE = ("random_projection", "class_object_100")
# Milliseconds of each program; one that is not proved ends the benchmark.
TIMED = """([programs, repeats]) => programs.map((program) => {
  let fastest = Infinity;
  for (let time = 0; time < repeats; time += 1) {
    const started = performance.now();
    if (policySolver.solve(program).status !== "optimal") throw new Error("not proved");
    fastest = Math.min(fastest, performance.now() - started);
  }
  return fastest;
})"""
FORMS = ("source_and_target", "transfer_and_source", "transfer")


def told(solution: Solution) -> str:
    return f"{solution.seconds:8.3f} s" + (" " if solution.status.value == "optimal" else f"  {solution.status.value}")


def forms(limit: float) -> None:
    print(f"\nPublished table, orders up to 24: seconds by form of the link constraint (limit {limit:g} s)")
    problem = admissible(read_table(TABLE), PolicyParams(preset=Preset.PAPER, budget=0, max_order=24, exclude=EXCLUDE))
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
        problem = admissible(random_table(tasks, beam), PolicyParams(preset=Preset.PAPER, budget=0))
        solved = {solver: Program(problem, solver).solve(float(tasks // 3), seconds=limit) for solver in ("glpk", "highs")}
        kind = "sets by beam search" if beam else "sets from anywhere"
        times = ", ".join(f"{solver} {told(one)}" for solver, one in solved.items())
        print(f"  {tasks:>4} tasks, {len(problem.transfers):>6,} transfers, {kind}: {times}", flush=True)


def with_amounts(table: pd.DataFrame, images: tuple[int, ...] = (250, 1_000, 4_000, 16_000), full: int = 120_000, seed: int = 0) -> pd.DataFrame:
    """Rows of a table for several amounts: transfers gain less from more images than the target's own network, which is best with all of them."""
    rng = np.random.default_rng([seed, 5])
    best = table.groupby("target")["affinity"].max()
    parts = [table.assign(images=count, affinity=table["affinity"] * (count / images[-1]) ** rng.uniform(0.1, 0.4, len(table))) for count in images]
    for count in (*images, None):
        share = ((count or full) / full) ** rng.uniform(0.3, 0.7, len(best))
        parts.append(
            pd.DataFrame({"target": best.index, "sources": [("self",)] * len(best), "images": count, "affinity": 1.2 * best.to_numpy() * share})
        )
    return pd.concat(parts, ignore_index=True).astype({"images": float}).drop(columns=["gain", "quality"]).assign(gain=np.nan, quality=np.nan)


def amounts(limit: float, tasks: int = 26) -> None:
    """Policies of a table with four amounts, from building the program to the proof."""
    print(f"\nRandom instances with four amounts, orders 1 to 4, {tasks} tasks (limit {limit:g} s)")
    prices = {
        f"task{number:03}": {"price": round(float(price), 2)} for number, price in enumerate(np.random.default_rng(3).gamma(1.0, size=tasks) + 0.01)
    }
    for beam, solver in product((True, False), ("glpk", "highs")):
        table = with_amounts(random_table(tasks, beam))
        kind = "sets by beam search" if beam else "sets from anywhere"
        for share in (0.05, 0.1, 0.3):
            money = round(share * 120_000 * sum(one["price"] for one in prices.values()))
            rules = {"budget": money, "preset": "practice", "labels": {"currency": "EUR", "tasks": prices}, "solver": solver, "time_limit": limit}
            params = PolicyParams.model_validate(rules)
            started = time.perf_counter()
            planner = Planner(table, params)
            built = time.perf_counter() - started
            best = planner.policy(money)
            solved = time.perf_counter() - started - built
            many = f"{len(planner.problem.transfers):,} transfers, {len(planner.problem.steps)} amounts, {kind}"
            print(
                f"  {many}, {share:.0%} of all labels: {solver} built {built:.2f} s, solved {solved:.2f} s, {best.status}, gap {best.gap:g}",
                flush=True,
            )


def in_the_page(repeats: int = 5) -> None:
    """Every budget of the published table, solved and proved by the report's own script in Chromium; of each program the fastest of some times."""
    print("\nPublished table, every budget, solved in the report's page: milliseconds", flush=True)
    if (chromium := shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")) is None:
        print("  no Chromium on this machine; Debian and Ubuntu: apt-get install chromium")
        return
    from playwright.sync_api import sync_playwright

    script = files("taskonomy.report").joinpath("templates", "solver.js").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.add_script_tag(content=script)
        for preset, order in product((Preset.PRACTICE, Preset.PAPER), (1, 2, 4, 24)):
            params = PolicyParams(preset=preset, budget=0, max_order=order, exclude=EXCLUDE)
            problem = admissible(read_table(TABLE), params)
            budgets = range(int(Planner(read_table(TABLE), params).smallest_budget()), sum(map(int, problem.costs.values())) + 1)
            program = page_program(problem, params)
            times = np.array(page.evaluate(TIMED, [[{**program, "budget": budget} for budget in budgets], repeats]))
            print(f"  {preset.value:<8} order {order:>2}, {len(times)} budgets: median {np.median(times):.1f}, at most {times.max():.1f}", flush=True)
        browser.close()


def exactly(count: int) -> None:
    """Policies, alternatives and fronts of random programs with awkward numbers, against every policy in exact arithmetic."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests/policy"))
    import amounts_programs  # type: ignore[import-not-found]
    import programs  # type: ignore[import-not-found]

    for (kind, module), solver in product((("one amount", programs), ("several amounts", amounts_programs)), ("glpk", "highs")):
        found = {seed: what for seed in range(count) if (what := next(module.wrong(module.draw(seed), solver), None)) is not None}
        wrong = "".join(f"\n  {seed}: {what}" for seed, what in found.items())
        print(f"{solver}, {kind}: {len(found)} of {count:,} random programs wrong{wrong}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one program")
    parser.add_argument("--exactly", type=int, default=0, metavar="COUNT", help="only so many random programs against enumeration")
    parser.add_argument("--amounts", action="store_true", help="only programs with amounts of labels")
    parser.add_argument("--page", action="store_true", help="only the report's own solver, in Chromium")
    args = parser.parse_args()
    if args.page:
        in_the_page()
        sys.exit()
    if args.exactly:
        exactly(args.exactly)
        sys.exit()
    if args.amounts:
        amounts(args.limit)
        sys.exit()
    forms(args.limit)
    growth(args.limit)
    amounts(args.limit)
    in_the_page()
