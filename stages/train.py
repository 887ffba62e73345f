"""Stage `train`: images and labels of one task -> its network, the codes of its encoder, the losses of both baselines on every test image."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import engine
from taskonomy.config.params import read_params
from taskonomy.config.task_config import read_task_config
from taskonomy.store.store import store_root
from taskonomy.transfers.stage_outputs import CurveLog, write_network
from taskonomy.transfers.task_network_jobs import NetworkJob, supervised


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("codes", type=Path)
    args = parser.parse_args()

    config = read_task_config(args.card)
    job = NetworkJob(config, args.prepared, store_root())
    with engine(read_params().execution) as where, CurveLog(config) as curves:
        trained = supervised(job, curves.told, where)
        write_network(args.model, args.codes, trained, curves)


if __name__ == "__main__":
    with stage():
        main()
