"""Stage `noise`: some transfers and task networks again from other seeds -> how much affinities and win rates differ by chance of training."""

from taskonomy.stage.guard import stage
from taskonomy.affinity.measure import Normalization
from taskonomy.affinity.noise import deviations, noise_table
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.repeats import losses_of, repeated_networks, repeated_transfers
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "transfers", "results")

    params = read_params()
    rules, run = params.noise, RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    targets, sources, tasks = rules.of(params.transfer.targets, params.data.tasks)
    with executor_of(params.execution) as where, progress(0, "other seeds", "units") as bar:
        transfers = repeated_transfers(run, targets, sources, rules.seeds, bar.update, where)
        networks = repeated_networks(run, tasks, rules.network_seeds, bar.update, where)
    repeated = {target: {source: losses_of(units) for source, units in by.items()} for target, by in transfers.items()}
    own = {task: losses_of(units) for task, units in networks.items()}
    table = noise_table(args.transfers, args.models, repeated, own, Normalization(params.normalize.method))
    write_csv(args.results / "noise.csv", table)
    write_json(args.results / "noise_metrics.json", deviations(table))


if __name__ == "__main__":
    with stage():
        main()
