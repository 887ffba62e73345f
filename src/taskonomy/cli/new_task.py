"""Define `taskonomy query`: what should a new task start from?"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskonomy.cli.path_checks import existing, folder_to_write, need_project
from taskonomy.errors import TaskonomyError, unknown

if TYPE_CHECKING:
    from taskonomy.config.data_params import QueryTask


def query(
    task: Annotated[str, typer.Argument(help="The new task: one of the dictionary, of query.tasks in params.yaml, or a name of your own.")],
    root: Annotated[
        Path | None,
        typer.Argument(help="Its images and labels: your own folder; if not given, the images of the run.", show_default=False, callback=existing),
    ] = None,
    own: Annotated[
        str | None, typer.Option(help="What the labels of a task of your own are, such as '{kind: vector, length: 3}'.", show_default=False)
    ] = None,
    run: Annotated[Path, typer.Option(help="The finished run whose tasks are the sources.")] = Path(),
    images: Annotated[str | None, typer.Option(help="Labelled samples of the learning curve, such as 200,500.", show_default="query.images")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write tables and a page to.", show_default="results/query/TASK", callback=folder_to_write),
    ] = None,
) -> None:
    """Find out which known tasks a new task with few labelled images should start from, and what that saves."""
    started, sizes = time.monotonic(), None if images is None else _numbers(images)
    if root is None and own is not None:
        raise TaskonomyError("--own goes with a folder of images and labels: taskonomy query TASK FOLDER --own ...")
    need_project(run)
    if root is None:
        _check_known(task, run)
    asked = None if root is None else _asked(task, root, own, run)

    from taskonomy.new_task.query_text import lines
    from taskonomy.new_task.run_query import run_query

    output = output or Path("results/query") / task
    done = run_query(run, task, asked, sizes, output)
    spent = f"{len(done.units):,} units of work, {done.new:,} of them new: {time.monotonic() - started:.0f} s"
    typer.echo("\n".join([*lines(done.answer), "", spent, str(output / "index.html")]))


def _check_known(task: str, run: Path) -> None:
    """Check that a task without a folder of its own is one of the run's.

    Raises:
        TaskonomyError: It is neither in the dictionary, nor in data.own or query.tasks.
    """
    from taskonomy.config.params import read_params
    from taskonomy.parsing.user_text import normal

    params = read_params(run / "params.yaml")
    known = {*params.registry, *params.query.tasks}
    if normal(task) not in known:
        raise unknown("task", [task], known)


def _asked(task: str, root: Path, own: str | None, run: Path) -> "QueryTask":
    """Read the task's declaration: its folder and the kind of its labels, checked as in params.yaml."""
    import yaml

    from taskonomy.config.checked import checked, one_line_errors
    from taskonomy.config.data_params import QueryParams
    from taskonomy.config.params import read_params
    from taskonomy.parsing.strict_yaml import load_yaml

    try:
        declared = None if own is None else load_yaml(own)
    except yaml.YAMLError as error:
        raise TaskonomyError(f"--own: {own!r} is no YAML: {' '.join(str(error).split())}") from None
    section = checked(QueryParams, {"tasks": {task: {"root": str(root), "own": declared}}}, "options")
    with one_line_errors(QueryParams, "options"):
        section.check_tasks(read_params(run / "params.yaml").registry)
    return section.tasks[task]


def _numbers(text: str) -> tuple[int, ...]:
    from taskonomy.parsing.user_text import whole

    try:
        found = tuple(whole(part) for part in text.split(","))
    except ValueError as error:
        raise TaskonomyError(f"--images: {text!r} must be whole numbers >= 2, such as 200,500: {error}") from None
    if min(found) < 2:
        raise TaskonomyError(f"--images: {text!r} must be whole numbers >= 2, such as 200,500")
    return found
