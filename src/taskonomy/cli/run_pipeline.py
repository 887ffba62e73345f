"""Define the commands that run the pipeline: profile, repro, check."""

from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli.path_checks import file_to_write, known_profile, need_dvc, need_project
from taskonomy.errors import TaskonomyError


def profile(
    name: Annotated[str, typer.Argument(help="A file of profiles/, without its ending.")],
    write: Annotated[bool, typer.Option("--write", help="Set the values in params.yaml, instead of printing them.")] = False,
) -> None:
    """Print what a profile changes, as options of DVC: `dvc exp run $(taskonomy profile tiny)`."""
    need_project()
    known_profile(name)
    if write:
        _set_profile(name)
        return
    from taskonomy.config.profiles import read_profile

    typer.echo(" ".join(f"-S {one}" for one in read_profile(name)))


def _set_profile(name: str) -> None:
    """Set a profile's values in params.yaml, and say how to go back."""
    from taskonomy.config.profiles import write_profile

    count = write_profile(name)
    typer.echo(f"params.yaml: {count} values set as in profiles/{name}.yaml; to go back: git checkout params.yaml", err=True)


def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, groups (train), outputs or dvc.yaml files, with all that they need.", show_default=False)
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once.", min=1, show_default="one per core")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run stages that are unchanged, too.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run, in which order, and why.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch missing data and results of earlier runs from DVC's remote.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="The targets and what needs them, instead of what they need.")] = False,
    times: Annotated[
        Path | None, typer.Option(help="CSV to write: stage, seconds, start, cached.", show_default=False, callback=file_to_write)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="First set the values of profiles/NAME.yaml in params.yaml.", metavar="NAME", show_default=False)
    ] = None,
    address: Annotated[str | None, typer.Option(help="Train on this Ray cluster: HOST:PORT, or auto.", show_default="params.yaml")] = None,
) -> None:
    """Run the changed stages of the pipeline, several at once; the result is the same as that of dvc repro.

    With --profile, params.yaml itself is set (its comments stay): DVC, the explorer and predictors find there what the results were made with.
    """
    if profile is not None:
        need_project()
        known_profile(profile)
        if dry:
            raise TaskonomyError("--dry with --profile would write params.yaml; set it first: taskonomy profile NAME --write")
        _set_profile(profile)
    need_dvc()
    from taskonomy.project.preconditions import check_parameters, check_targets

    check_targets(targets or ())
    check_parameters()
    if address is not None:
        _use_cluster(address)

    from taskonomy.machine.cores import cores
    from taskonomy.pipeline import scheduler as runner

    request = runner.Request(tuple(targets or ()), jobs or cores(), force=force, pull=pull, downstream=downstream, times=times)
    if dry:
        typer.echo(runner.dry(request))
    else:
        status = runner.repro(request)
        if status == 0:
            _show_headline(targets)
        raise typer.Exit(status)


def _show_headline(targets: list[str] | None) -> None:
    """Say what the whole pipeline found; parts of it say nothing about the rest."""
    from taskonomy.pipeline.headline import headline

    if not targets and (lines := headline()):
        typer.echo(f"\n{lines}")


def _use_cluster(address: str) -> None:
    """Set the cluster's address for this run; its stages inherit it."""
    import os

    from taskonomy.config.params import read_params
    from taskonomy.machine.environment import ADDRESS, of_this_run

    os.environ[ADDRESS] = address
    of_this_run(read_params().execution)


def check(
    profile: Annotated[str | None, typer.Argument(help="A file of profiles/; none: params.yaml as it is.", show_default=False)] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once.", min=1, show_default="one per core")] = None,
    write: Annotated[bool, typer.Option("--write", help="Make what the run gives the reference.")] = False,
) -> None:
    """Run the committed pipeline in a clean clone, from scratch, and check for the same bits or, on another kind of machine, the same metrics."""
    need_project()
    if profile is not None:
        known_profile(profile)
    from taskonomy.machine.cores import cores
    from taskonomy.pipeline.verify import check as verify

    verdict = verify(profile, jobs or cores(), write=write)
    typer.echo("\n".join(verdict.lines()))
    raise typer.Exit(not verdict.good)
