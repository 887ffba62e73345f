"""Stage `more`: the transitive and fine-tuned transfers of `transfer.more` to every target, and their losses on every test image."""

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import engine
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.variants import more_transfers, write_more


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "variants")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    with engine(params.execution) as where, progress(0, "more transfers", "units") as bar:
        done = more_transfers(run, bar.update, where)
    write_more(args.variants, done)


if __name__ == "__main__":
    with stage():
        main()
