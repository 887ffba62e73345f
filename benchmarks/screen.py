"""What a screen would have cost and lost, on a table that was measured in full.

Without options: the published table, screened by its own first-order affinities. No screen is better, so what is lost is lost by `keep` and `sets`.
`--by TABLE`: by another table's first-order affinities, such as those of transfers trained on fewer images. `--run FOLDER`: a finished run with
`transfer.screen: none`, screened by the readouts of its codes; for each target their reliability, and how they rank.
"""

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from taskonomy.affinity.imputation import with_imputed
from taskonomy.config.network_params import ScreenParams
from taskonomy.config.params import read_params
from taskonomy.config.policy_params import PolicyParams, Preset
from taskonomy.config.task_config import read_task_config
from taskonomy.policy.planner import Planner
from taskonomy.tables.table import SELF, is_gold, read_table
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.training.transfer_context import Sources, TransferContext
from taskonomy.transfers.beam_search import most_promising
from taskonomy.transfers.screen import TESTED_ON, scored, source_errors

TABLE = Path(__file__).parents[1] / "data/published/affinities_16k.csv"
BUDGETS = (4.0, 8.0, 15.0)
Scores = dict[str, dict[str, float]]  # target -> source -> score


@dataclass(frozen=True)
class Outcome:
    """What came of a screen at one budget.

    Attributes:
        share: Objective of the policy that was reached, as a share of that of the whole table.
        trained: Transfers that were trained.
        chosen: Of those, the ones that the program asked for.
        rounds: How often it was solved.
    """

    share: float
    trained: int
    chosen: int
    rounds: int


def singles(table: pd.DataFrame) -> Scores:
    """Return the measured first-order affinities."""
    rows = table[table["sources"].map(len).eq(1) & ~is_gold(table) & table["affinity"].gt(0)]
    return {
        str(target): {one[0]: float(value) for one, value in zip(some["sources"], some["affinity"], strict=True)}
        for target, some in rows.groupby("target")
    }


def baseline(name: str) -> bool:
    """Return whether nothing has learnt this task: such sources are always trained."""
    return name in BUILT_IN and BUILT_IN[name].label is None


def first_trained(rows: pd.DataFrame, target: str, scores: dict[str, float], trusted: bool, rules: ScreenParams) -> set[Sources]:
    """Return what the stage `transfer` would train of a target's rows."""
    measured = {sources: float(affinity) for sources, affinity in zip(rows["sources"], rows["affinity"], strict=True)}
    pool = sorted((one for one in scores if (one,) in measured and one != target and not baseline(one)), key=lambda one: (-scores[one], one))
    kept = set(pool[: rules.keep] if trusted else pool)
    alone = {one for one in measured if len(one) == 1 and (one[0] in kept or one[0] in (target, SELF) or baseline(one[0]))}
    for order in {len(one) for one in measured} - {1}:
        sets = [tuple(sorted(one)) for one in measured if len(one) == order and kept.issuperset(one) and not math.isnan(measured[one])]
        best = {frozenset(one) for one in most_promising(sets, measured, rules.sets)}
        alone |= {one for one in measured if frozenset(one) in best}
    return alone


def known(rows: pd.DataFrame, trained: set[Sources], scores: dict[str, float]) -> pd.DataFrame:
    """Build one target's rows of the table that a run with this screen would have."""
    some = rows[[one in trained for one in rows["sources"]]].reset_index(drop=True)
    return with_imputed(some.assign(affinity=some["affinity"] / some["affinity"].sum()), scores)


def simulated(table: pd.DataFrame, scores: Scores, trusted: set[str], rules: ScreenParams, policy: PolicyParams, registry: Registry) -> Outcome:
    """Look up in a table what a run would have trained, and what the program would have made of it."""
    rows = {str(target): some.reset_index(drop=True) for target, some in table.groupby("target")}
    trained = {target: first_trained(some, target, scores[target], target in trusted, rules) for target, some in rows.items()}
    before, rounds = sum(map(len, trained.values())), 0
    while True:
        rounds += 1
        now = pd.concat([known(rows[target], trained[target], scores[target]) for target in rows], ignore_index=True)
        best = Planner(now, policy, registry=registry).policy(policy.budget)
        wanted = [one for one in best.transfers if one.imputed]
        if not wanted:
            break
        for one in wanted:
            trained[one.target].add(one.sources)
    keys = zip(table["target"], table["sources"], strict=True)
    worth: dict[tuple[str, Sources], float] = dict(zip(keys, table["affinity"].tolist(), strict=True))
    whole = Planner(table, policy, registry=registry).policy(policy.budget)
    reached = sum(worth[one.target, one.sources] for one in best.transfers) / sum(one.affinity for one in whole.transfers)
    after = sum(map(len, trained.values()))
    gold = int(is_gold(table).sum())
    return Outcome(float(reached), after - gold, after - before, rounds)


def of_run(run: Path, rules: ScreenParams, full: Scores) -> tuple[Scores, set[str]]:
    """Screen a finished run by the readouts of its codes, and print how they rank."""
    params, scores, trusted = read_params(run / "params.yaml"), {}, set()
    print(f"{'target':<24} reliability  Spearman  measured best is the screen's  best of the screen's {rules.keep}  seconds")
    for target in params.transfer.targets:
        started = time.perf_counter()
        config = read_task_config(run / f"data/cards/{target}.json")
        context = TransferContext(run / "data/prepared", run / "data/codes", params.data.tasks, run / "unused", config, params.transfer)
        names = sorted(params.data.tasks)
        ranked = [name != target and not baseline(name) for name in names]
        found, reliability = scored(source_errors(context, names, context.train, context.task.of_split(TESTED_ON)), ranked)
        scores[target] = dict(zip(names, found.tolist(), strict=True))
        trusted |= {target} if reliability >= rules.reliability else set()
        pool = [name for name, one in zip(names, ranked, strict=True) if one and name in full.get(target, {})]
        if len(pool) > 2:
            ours, theirs = (np.array([one[name] for name in pool]) for one in (scores[target], full[target]))
            place = int((ours > ours[theirs.argmax()]).sum()) + 1
            kept = theirs[np.argsort(-ours, kind="stable")[: rules.keep]].max() / theirs.max()
            told = f"{spearmanr(ours, theirs).statistic:8.2f}  {place:>27}.  {kept:>22.0%}"
            print(
                f"{target:<24} {reliability:>11.2f}  {told}  {time.perf_counter() - started:7.1f}"
                + ("" if target in trusted else "  trained in full")
            )
    return scores, trusted


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    options.add_argument("--run", type=Path, help="Folder of a finished run.")
    options.add_argument("--by", type=Path, help="Table whose first-order affinities are the screen.")
    options.add_argument("--keep", type=int, nargs="+", default=[4, 6, 8, 12], help="Single sources kept.")
    options.add_argument("--sets", type=int, default=4, help="Sets of each higher order kept.")
    options.add_argument("--reliability", type=float, default=0.6, help="Least reliability of a screen that is trusted.")
    args = options.parse_args()

    registry, base = BUILT_IN, PolicyParams(preset=Preset.PAPER, budget=1, max_order=4, exclude=("random_projection", "class_object_100"))
    table = read_table(args.run / "results/measured/affinities.csv" if args.run else TABLE)
    if args.run:
        params = read_params(args.run / "params.yaml")
        registry, base = params.registry, params.policy
    full = singles(table)
    rules = ScreenParams(keep=max(args.keep), sets=args.sets, reliability=args.reliability)
    if args.by:
        scores = singles(read_table(args.by))
        trusted = set(scores) & set(full)
        scores = {target: scores.get(target, full[target]) for target in full}
        table = table[table["target"].isin(trusted)]
    else:
        scores, trusted = of_run(args.run, rules, full) if args.run else (full, set(full))
    print(f"\n{len(table):,} rows, {len(trusted)} of {len(full)} targets screened, {args.sets} sets of each order above 1")
    print("keep  budget  trained  of them by the program  rounds  share of the objective")
    for keep in args.keep:
        for budget in BUDGETS:
            one = simulated(
                table,
                scores,
                trusted,
                rules.model_copy(update={"keep": keep}),
                base.model_copy(update={"budget": budget, "alternatives": 0}),
                registry,
            )
            print(f"{keep:>4}  {budget:>6g}  {one.trained:>7,}  {one.chosen:>22}  {one.rounds:>6}  {one.share:>22.4f}")


if __name__ == "__main__":
    main()
