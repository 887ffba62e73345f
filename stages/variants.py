"""Stage `variants`: the transitive and fine-tuned transfers of `transfer.variants` to every target, and their losses on every test image."""

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.variants import train_variants, write_variants


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "variants")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    with executor_of(params.execution) as where, progress(0, "transitive and fine-tuned transfers", "units") as bar:
        done = train_variants(run, bar.update, where)
    write_variants(args.variants, done)


if __name__ == "__main__":
    with stage():
        main()
