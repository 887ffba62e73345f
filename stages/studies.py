"""Stage `studies`: affinity table -> the paper's experiments without training: budgets against chance, novel tasks, orders, other transfers."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_csv
from taskonomy.config.params import read_params
from taskonomy.evaluation.studies import COLUMNS, against_chance, as_frame, by_order, novel_tasks, other_ways
from taskonomy.stage.paths import paths
from taskonomy.tables.table import measured, read_table


def main() -> None:
    held_out_is = "gain and quality on images that the affinities were not measured on; default: the table's own"
    args = paths(__doc__, "table", "results", optional={"held_out": held_out_is})

    params = read_params()
    table, rules, plan = measured(read_table(args.table)), params.policy, params.studies
    held = read_table(args.held_out or args.table)
    found = {
        "chance": against_chance(table, held, rules, plan.budgets, plan.random_policies, plan.seed, params.registry),
        "novel": novel_tasks(table, held, rules),
        "orders": by_order(table, held, rules),
        "ways": other_ways(table, held),
    }
    for name, rows in found.items():
        write_csv(args.results / f"{name}.csv", as_frame(rows, COLUMNS[name]))


with stage():
    main()
