"""Define `taskonomy plan`: how large a run will be."""

from typing import Annotated

import typer

from taskonomy.cli.path_checks import known_profile, need_project


def plan(
    profile: Annotated[
        str | None, typer.Option(help="A file of profiles/, without its ending; params.yaml stays as it is.", show_default=False)
    ] = None,
    views: Annotated[int | None, typer.Option(help="Views there will be, where data.root is not there yet.", min=10, show_default=False)] = None,
    calibration: Annotated[bool, typer.Option(help="Measure some training steps on this machine.")] = True,
    seconds: Annotated[float, typer.Option(help="For how long.", min=1)] = 20.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate stages, units of work, disk, memory, hours and GPU hours of a run before it starts."""
    need_project()
    if profile is not None:
        known_profile(profile)
    from taskonomy.atomic_io import to_json
    from taskonomy.config.params import read_params
    from taskonomy.config.profiles import with_profile
    from taskonomy.estimate.estimate import make_plan
    from taskonomy.estimate.estimate_text import render

    params = with_profile(profile) if profile else read_params()
    where = f"params.yaml with profiles/{profile}.yaml" if profile else "params.yaml"
    made = make_plan(params, where, views=views, seconds=seconds if calibration else 0.0)
    typer.echo(to_json(made.as_dict()) if json else render(made), nl=not json)
