"""Stage `cards`: the tasks and the parameters -> one card per task, with everything that its network depends on."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import whole_folder, write_json
from taskonomy.config.params import read_params
from taskonomy.config.task_config import task_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cards", type=Path)
    args = parser.parse_args()

    params = read_params()
    registry = params.registry
    with whole_folder(args.cards) as folder:
        for name in params.data.tasks:
            write_json(folder / f"{name}.json", task_config(registry[name], params).as_json())


if __name__ == "__main__":
    with stage():
        main()
