"""Stage `cards`: the tasks and the parameters -> one card per task, with everything that its network depends on."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import whole_folder, write_json
from taskonomy.config.params import read_params
from taskonomy.config.task_config import task_config
from taskonomy.stage.paths import paths


def main() -> None:
    args = paths(__doc__, "cards")

    params = read_params()
    registry = params.registry
    with whole_folder(args.cards) as folder:
        for name in params.data.tasks:
            write_json(folder / f"{name}.json", task_config(registry[name], params).as_json())


if __name__ == "__main__":
    with stage():
        main()
