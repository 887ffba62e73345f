"""Stage `train`: images and labels of one task -> its network, the codes of its encoder, the losses of both baselines on every test image."""

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import executor_of
from taskonomy.config.params import read_params
from taskonomy.config.task_config import read_task_config
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.stage_outputs import CurveLog, write_network
from taskonomy.transfers.task_network_jobs import NetworkJob, supervised


def main() -> None:
    args = paths(__doc__, "card", "prepared", "model", "codes")

    config = read_task_config(args.card)
    job = NetworkJob(config, args.prepared, store_root())
    with executor_of(read_params().execution) as where, CurveLog(config) as curves:
        trained = supervised(job, curves.log, where)
        write_network(args.model, args.codes, trained, curves)


if __name__ == "__main__":
    with stage():
        main()
