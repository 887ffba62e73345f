"""Stage `spending`: the affinity table of several amounts of labels -> the best policy of every budget, in money or labelled images."""

from taskonomy.stage.guard import stage
from taskonomy.advice.basis import read_amounts_table
from taskonomy.advice.spending import Spending, images_in_full, spending
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.stage.paths import paths
from taskonomy.tables.table import read_table


def main() -> None:
    args = paths(__doc__, "prepared", "results")

    params = read_params()
    found, table = Spending(), read_amounts_table(args.results / "amounts.csv")
    if table is not None:
        held_out = read_table(args.results / "amounts_held_out.csv")
        found = spending(table, held_out, params.policy, images_in_full(Prepared(args.prepared).manifest, table), params.registry)
    write_json(args.results / "spending.json", found.reproducible())
    print(f"{len(found.points)} budgets" if found.points else "one amount of labels: nothing to choose")


with stage():
    main()
