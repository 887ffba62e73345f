"""Stage `more`: the transitive and fine-tuned transfers of `transfer.more` to every target, and their losses on every test image."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.compute.executor import engine
from taskonomy.config.params import read_params
from taskonomy.machine.cores import progress
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.variants import more_transfers, write_more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cards", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("codes", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("more", type=Path)
    args = parser.parse_args()

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    with engine(params.execution) as where, progress(0, "more transfers", "units") as bar:
        done = more_transfers(run, bar.update, where)
    write_more(args.more, done)


if __name__ == "__main__":
    with stage():
        main()
