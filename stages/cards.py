"""Stage `cards`: the dictionary and the parameters -> one card per task, with all that its network depends on."""

import argparse
from pathlib import Path

from taskonomy.stage import stage
from taskonomy.files import whole_folder, write_json
from taskonomy.params import read_params
from taskonomy.tasks import DICTIONARY
from taskonomy.training.cards import card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cards", type=Path)
    args = parser.parse_args()

    params = read_params()
    with whole_folder(args.cards) as folder:
        for name in params.data.tasks:
            write_json(folder / f"{name}.json", card(DICTIONARY[name], params))


if __name__ == "__main__":
    with stage():
        main()
