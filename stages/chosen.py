"""Stage `chosen`: transfers that the screen left untrained and the policy program chooses, trained until nothing chosen is untrained."""

from taskonomy.stage.guard import stage
from taskonomy.affinity.measure import Normalization
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.chosen import Rules, chosen_transfers, write_chosen
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "transfers", "variants", "chosen")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    rules = Rules(params.policy, Normalization(params.normalize.method), params.registry, params.encoders)
    with executor_of(params.execution) as where, progress(0, "chosen transfers", "units") as bar:
        done = chosen_transfers(run, args.transfers, [args.variants], rules, bar.update, where)
    write_chosen(args.chosen, done)


if __name__ == "__main__":
    with stage():
        main()
