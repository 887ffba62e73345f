"""Stage `train`: images and labels of one task -> its network, the codes of its encoder, the losses of both baselines on every test image."""

import argparse
from pathlib import Path

from taskonomy.data.prepared import Prepared
from taskonomy.errors import one_line
from taskonomy.training.cards import read_card
from taskonomy.training.networks import train_task
from taskonomy.training.outputs import Curves, write_network
from taskonomy.training.store import Store, store_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("codes", type=Path)
    args = parser.parse_args()

    card = read_card(args.card)
    with Curves(card) as curves:
        trained = train_task(Prepared(args.prepared), card, Store(store_root()), curves.told)
        write_network(args.model, args.codes, trained, curves)


if __name__ == "__main__":
    with one_line():
        main()
