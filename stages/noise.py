"""Stage `noise`: some transfers and task networks again from other seeds -> how much affinities and win rates differ by chance of training."""

import numpy as np
import pandas as pd

from taskonomy.stage.guard import stage
from taskonomy.affinity.from_run import AVERAGE
from taskonomy.affinity.losses_file import open_losses, read_losses
from taskonomy.affinity.measure import Normalization
from taskonomy.affinity.noise import COLUMNS, deviations, networks_by_seed, transfers_by_seed
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.dataset.splits import Split
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.tables.table import SELF
from taskonomy.transfers.repeats import repeated_networks, repeated_transfers
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "transfers", "results")

    params = read_params()
    rules, run = params.noise, RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    targets, sources, tasks = rules.of(params.transfer.targets, params.data.tasks)
    with executor_of(params.execution) as where, progress(0, "other seeds", "units") as bar:
        transfers = repeated_transfers(run, targets, sources, rules.seeds, bar.update, where)
        networks = repeated_networks(run, tasks, rules.network_seeds, bar.update, where)
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for target, by in transfers.items():
        with open_losses(args.transfers / target / f"{Split.TEST_AFFINITY}.npz", target) as losses:
            others = {source: [unit.arrays[Split.TEST_AFFINITY] for unit in units] for source, units in by.items() if source in losses.candidates}
            if others:
                parts.append(transfers_by_seed(losses, others, Normalization(params.normalize.method)))
    for task, units in networks.items():
        own, average = read_losses(args.models / task / f"{Split.TEST_AFFINITY}.npz", SELF, AVERAGE)
        parts.append(networks_by_seed(task, [own, *(unit.arrays[Split.TEST_AFFINITY] for unit in units)], np.asarray(average)))
    table = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    write_csv(args.results / "noise.csv", table)
    write_json(args.results / "noise_metrics.json", deviations(table))


if __name__ == "__main__":
    with stage():
        main()
