"""Stage `train`: images and labels of one task -> its network, the codes of its encoder, the losses of both baselines on every test image."""

import argparse
import json
from pathlib import Path

from taskonomy.stage import stage
from taskonomy.execution.engines import engine
from taskonomy.params import read_params
from taskonomy.training.cards import read_card
from taskonomy.training.outputs import Curves, write_network
from taskonomy.training.store import store_root
from taskonomy.training.supervised import NetworkJob, supervised


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("codes", type=Path)
    args = parser.parse_args()

    card = read_card(args.card)
    job = NetworkJob(json.dumps(card), args.prepared, store_root())
    with engine(read_params().execution) as where, Curves(card) as curves:
        trained = supervised(job, curves.told, where)
        write_network(args.model, args.codes, trained, curves)


if __name__ == "__main__":
    with stage():
        main()
