"""Stage `savings`: affinity table -> labels saved, for all targets and for random sets of them."""

from dataclasses import asdict
from functools import partial

from tqdm import tqdm

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.config.params import read_params
from taskonomy.evaluation.savings import random_sets, summary, whole_table
from taskonomy.stage.paths import paths
from taskonomy.tables.table import measured, read_table


def main() -> None:
    args = paths(__doc__, "table", "results")

    params = read_params()
    registry = params.registry
    table = measured(read_table(args.table))
    reached = whole_table(table, params.policy, params.savings, registry)
    sets = random_sets(table, params.policy, params.savings, partial(tqdm, unit=" task sets"), registry)

    write_csv(args.results / "task_sets.csv", sets)
    write_json(
        args.results / "savings_metrics.json",
        {"whole table": [asdict(one) for one in reached], "random sets": summary(sets, params.savings.quality_levels)},
    )


with stage():
    main()
