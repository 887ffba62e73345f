"""Define `taskonomy experiments`: the paper's experiments that train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli.path_checks import need_project
from taskonomy.errors import unknown

app = typer.Typer(no_args_is_help=True, help="The paper's experiments that train, as experiments of DVC.")
RESULTS = Path("results/experiments")
WAYS = "other-ways"
FOLDER = "experiments/"  # of profiles/


@app.command("list")
def show() -> None:
    """List every experiment: its name, its question, whether it was run, and how DVC runs it."""
    need_project()
    from taskonomy.pipeline.experiments import GROUP, found, titles

    for name, title in titles().items():
        typer.echo(f"{name}: {title} [{'run' if found(name) else 'not run'}]\n  dvc exp run --temp -n {name} $(taskonomy profile {GROUP}{name})")


def _check_known(names: Sequence[str]) -> None:
    """Check that there are experiments of these names; nothing large is imported for it.

    Raises:
        TaskonomyError: There are not.
    """
    from taskonomy.config.profile_files import known_profiles

    known = {name.removeprefix(FOLDER) for name in known_profiles() if name.startswith(FOLDER)}
    if missing := [name for name in names if name not in known]:
        raise unknown("experiment", missing, known)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Which; none: all.", show_default=False)] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once.", min=1, show_default="one per core")] = None,
) -> None:
    """Run experiments on the committed code, several stages at once, and collect their results."""
    need_project()
    _check_known(names or ())
    from taskonomy.machine.cores import cores
    from taskonomy.pipeline import experiments

    experiments.run(names or list(experiments.titles()), jobs or cores())
    collect()


@app.command()
def collect() -> None:
    """Compare all experiments that were run with the committed run, in tables for the report; commit the tables.

    Rows of experiments that other clones ran are kept, unless they were compared with another run.
    """
    need_project()
    from taskonomy.atomic_io import write_csv
    from taskonomy.config.params import read_params
    from taskonomy.evaluation.stability import OTHER_IMAGES, REGIMES, STABILITY, by_gain, regimes, stability
    from taskonomy.evaluation.studies import COLUMNS, as_frame, other_ways
    from taskonomy.pipeline.experiments import beside, committed, found, same, titles

    base = committed()
    done = {name: one for name in titles() if (one := found(name)) is not None}
    sizes = [base, *(one for one in done.values() if one.images != base.images)]
    sized = as_frame(regimes([(one.images, one.affinities, one.held_out) for one in sizes], read_params().policy), REGIMES)
    changed = {name: one.affinities for name, one in done.items() if name != WAYS}
    rows = [*stability(by_gain(base.affinities), {OTHER_IMAGES: by_gain(base.held_out)}), *stability(base.affinities, changed)]
    ranked = as_frame(rows, STABILITY)
    ways = done.get(WAYS)
    if keep := same(RESULTS / "stability.csv", ranked, "run", OTHER_IMAGES):
        ranked, sized = beside(RESULTS / "stability.csv", ranked, "run"), beside(RESULTS / "regimes.csv", sized, "images")
    write_csv(RESULTS / "stability.csv", ranked.sort_values("run", key=lambda runs: runs.where(runs != OTHER_IMAGES, ""), kind="stable"))
    write_csv(RESULTS / "regimes.csv", sized.sort_values("images", key=lambda images: images.astype(int), kind="stable"))
    if ways or not keep:
        write_csv(RESULTS / "ways.csv", as_frame(other_ways(ways.affinities, ways.held_out) if ways else [], COLUMNS["ways"]))
    typer.echo(f"{RESULTS}: of {len(done)} experiments ({', '.join(done) or 'none was run'})")
