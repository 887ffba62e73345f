"""Stage `samples`: networks and a few transfers -> their predictions on some test images, as pictures beside the ground truth."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.config.params import read_params
from taskonomy.report.predictions import Folders, write_samples
from taskonomy.store.store import store_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("prepared", "cards", "codes", "models", "transfers", "samples"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()

    where = Folders(args.prepared, args.cards, args.codes, args.models, args.transfers, store_root())
    write_samples(args.samples, where, read_params())


if __name__ == "__main__":
    with stage():
        main()
