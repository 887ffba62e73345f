"""Stage `query`: a new task and the sources of this run -> ranking, learning curve, page.

The task is taken from the stage's name rather than from the command, so that a name of `query.tasks` cannot affect a command before it is validated.
"""

import os
from pathlib import Path

from taskonomy.stage.guard import DVC_STAGE, stage
from taskonomy.errors import TaskonomyError
from taskonomy.new_task.run_query import run_query
from taskonomy.stage.paths import paths


def main() -> None:
    args = paths(__doc__, "results")

    name = os.environ.get(DVC_STAGE, "")  # DVC sets it for every command
    if not (task := name.partition("@")[2]):
        raise TaskonomyError(f"DVC_STAGE must be query@TASK, as DVC sets it (is {name!r}); by hand: taskonomy query TASK")
    run_query(Path(), task, output=args.results / task)


if __name__ == "__main__":
    with stage():
        main()
