"""`taskonomy query`: what should a new task start from?"""

import time
from pathlib import Path
from typing import Annotated

import typer

from taskonomy.errors import TaskonomyError


def query(
    task: Annotated[str, typer.Argument(help="The new task: one of the dictionary, or of query.tasks in params.yaml.", show_default=False)],
    root: Annotated[
        Path | None, typer.Argument(help="Its images and labels: a folder of your own; none: the images of the run.", show_default=False)
    ] = None,
    run: Annotated[Path, typer.Option(help="The finished run whose tasks are the sources.")] = Path(),
    images: Annotated[str | None, typer.Option(help="Labelled samples of the learning curve, such as 200,500.", show_default="query.images")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write: tables, page.", show_default="results/query/TASK")] = None,
) -> None:
    """A new task and its labelled images: which known tasks should it start from, and what does that save?"""
    from taskonomy.query.run import run_query
    from taskonomy.query.words import lines

    started = time.monotonic()
    done = run_query(run, task, root, None if images is None else _numbers(images), output or Path("results/query") / task)
    spent = f"{len(done.units):,} units of work, {done.new:,} of them new: {time.monotonic() - started:.0f} s"
    typer.echo("\n".join([*lines(done.answer), "", spent, str((output or Path("results/query") / task) / "index.html")]))


def _numbers(text: str) -> tuple[int, ...]:
    found = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if len(found) != len(text.split(",")) or min(found) < 2:
        raise TaskonomyError(f"--images: {text!r} must be whole numbers >= 2, such as 200,500")
    return found
