"""Stage `amounts`: the smaller amounts of `transfer.images` -> one affinity table of all amounts, and the losses that it is made of."""

from taskonomy.stage.guard import stage
from taskonomy.affinity.measure import Normalization
from taskonomy.affinity.over_amounts import tables_over_amounts
from taskonomy.atomic_io import write_csv
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.pretrained.about_sources import with_external
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.tables.table import write_table
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.smaller_amounts import FromStages, train_amounts, write_amounts


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "transfers", "variants", "chosen", "amounts", "results")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    others, method = FromStages(args.transfers, args.variants, args.chosen), Normalization(params.normalize.method)
    with executor_of(params.execution) as where, progress(0, "smaller amounts", "units") as bar:
        done = train_amounts(run, params.data.tasks, others, method, bar.update, where)
    write_amounts(args.amounts, done, others)

    table, held_out, losses = tables_over_amounts(args.amounts, done.units, params.normalize, args.prepared)
    for name, rows in (("amounts", table), ("amounts_held_out", held_out)):
        write_table(args.results / f"{name}.csv", with_external(rows, params.encoders, args.codes, params.registry))
    write_csv(args.results / "amounts_losses.csv", losses)


if __name__ == "__main__":
    with stage():
        main()
