"""Stage `transfer`: the codes of all sources -> every transfer to one target, its losses on every test image."""

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.config.task_config import read_task_config
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.training.transfer_context import TransferContext
from taskonomy.transfers.stage_outputs import write_transfers
from taskonomy.transfers.transfers import transfers_to


def main() -> None:
    args = paths(__doc__, "card", "prepared", "codes", "model", "transfers")

    params = read_params()
    config = read_task_config(args.card)
    context = TransferContext(args.prepared, args.codes, params.sources, store_root(), config, params.transfer, params.execution.weights * 2**20)
    with executor_of(params.execution) as where, progress(0, f"transfer to {args.transfers.name}", "transfers") as bar:
        done = transfers_to(context, bar.update, where)
    write_transfers(args.transfers, args.model, done)


if __name__ == "__main__":
    with stage():
        main()
