"""Define `taskonomy init` and `taskonomy stage`, for projects with your own images and tasks."""

from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli.path_checks import folder_to_read, folder_to_write

AS_GIVEN = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}  # a stage's arguments are its script's


def init(
    root: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder, new or empty; with --upgrade, a project.", callback=folder_to_write)
    ] = Path(),
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Only write what belongs to the installed code: its version into params.yaml, and params.schema.json.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="A folder of images and labels to declare, in place of an example.", show_default=False, callback=folder_to_read()
        ),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Images of the example lack some labels, as yours may.")] = False,
) -> None:
    """Create a ready-to-run pipeline for your own images and tasks, with an example: parameters, stages, git and DVC."""
    from taskonomy.project import init as laying

    if upgrade:
        typer.echo(laying.upgrade(root))
        return
    said = laying.init(root, source, partial=partial)
    made = f"{root}: params.yaml, dvc.yaml, README.md"
    if source is None:
        typer.echo(f"{made}, {laying.EXAMPLE}; {', '.join(said)}\nnext: cd {root} && taskonomy repro")
        return
    lines = "\n".join(said[2:])
    typer.echo(
        f"{made}; {', '.join(said[:2])}\n{lines}\nnext: answer the questions (?) in params.yaml under data.own, then: cd {root} && taskonomy repro"
    )


def stage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="STAGE", help="Which, and what its script takes.")],
) -> None:
    """Run one stage, as dvc.yaml of a project created by `taskonomy init` does."""
    from taskonomy.project.code_version import run_stage

    run_stage(name, context.args)
