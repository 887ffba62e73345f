"""Stage `samples`: networks and a few transfers -> their predictions on some test images, as pictures beside the ground truth."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.config.params import read_params
from taskonomy.inference.sample_predictions import write_samples
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("prepared", "cards", "codes", "models", "transfers", "samples"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    write_samples(args.samples, run, args.transfers, params)


if __name__ == "__main__":
    with stage():
        main()
