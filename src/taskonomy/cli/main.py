"""Define the command `taskonomy`. Each subcommand imports only what it uses."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli import data
from taskonomy.cli import plan_run as planning
from taskonomy.cli import predict as inference
from taskonomy.cli import projects as own
from taskonomy.cli import run_experiments as experiments
from taskonomy.cli.common import Json, Output, Table, print_json, read, with_progress
from taskonomy.cli.new_task import query
from taskonomy.cli.policy_options import Exclude, PolicyOptions, names, show, with_policy_options
from taskonomy.cli.strict_options import with_strict_numbers
from taskonomy.errors import TaskonomyError, one_line

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which vision tasks to label and train in full, and from which to transfer every other.",
)


@app.command()
@with_policy_options
def policy(
    *,
    table: Table,
    budget: Annotated[float, typer.Option(help="Total label cost of the sources.", show_default=False)],
    max_order: Annotated[int, typer.Option(help="Most sources of one transfer.")] = 4,
    shared: PolicyOptions,
    alternatives: Annotated[int, typer.Option(help="How many next-best policies to give as well.")] = 0,
    alternatives_differ_in: Annotated[str, typer.Option(help="In what each differs from all better ones: sources | transfers.")] = "sources",
    bill: Annotated[Path | None, typer.Option(help="CSV to write: the labels of every task, and what they cost.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Choose the sources to label, and one transfer per target, under a label budget."""
    from taskonomy.policy.planner import plan

    params = shared.params(budget=budget, max_order=max_order, alternatives=alternatives, alternatives_differ_in=alternatives_differ_in)

    best, others = plan(read(table), params)
    if bill is not None:
        from taskonomy.atomic_io import write_csv

        write_csv(bill, best.bill(params.labels))
    if json:
        print_json({**best.as_dict(), **({"alternatives": [one.as_dict() for one in others]} if alternatives else {})})
    else:
        show(best, others, params)


@app.command()
@with_policy_options
def front(
    *,
    table: Table,
    orders: Annotated[str, typer.Option(help="Orders, such as 1,2,4.")] = "1,2,3,4",
    budgets: Annotated[str | None, typer.Option(help="These budgets only, such as 1,2,5-25.", show_default="all that matter")] = None,
    shared: PolicyOptions,
    json: Json = False,
) -> None:
    """Solve every budget for each order, and show what one more label gains."""
    from taskonomy.policy.front import as_frame, parse_numbers
    from taskonomy.policy.front import front as solve_front
    from taskonomy.policy.label_costs import money

    params = shared.params(budget=0.0)
    wanted = [int(order) for order in parse_numbers(orders, "--orders") if order == int(order) and order >= 1]
    if len(wanted) < len(parse_numbers(orders, "--orders")):
        raise TaskonomyError(f"--orders: {orders!r} must be whole numbers >= 1")
    limits = parse_numbers(budgets, "--budgets") if budgets is not None else None
    points = solve_front(read(table), params, wanted, limits, progress=lambda these: with_progress(these, "orders"))
    if json:
        print_json([point.as_dict() for point in points])
    else:
        shown = as_frame(points)[["order", "budget", "cost", "objective", "mean_gain", "mean_quality", "more_quality", "status", "sources"]]
        currency = params.labels.currency
        amounts = dict.fromkeys(("budget", "cost"), lambda amount: money(amount, currency).removesuffix(f" {currency}"))
        typer.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}", formatters=amounts))


@app.command()
def affinity(
    losses: Annotated[
        Path, typer.Argument(help="Folder with a TARGET.npz per target: losses [candidates, images], candidates[, scratch, pixels, average, groups].")
    ],
    output: Output,
    normalization: Annotated[str, typer.Option(help="ahp (the paper's, ordinal) | linear (rescaled mean losses).")] = "ahp",
    resamples: Annotated[int, typer.Option(help="Bootstrap draws of the images; 0 for no intervals.", min=0)] = 1000,
    confidence: Annotated[float, typer.Option(help="Share of resampled affinities in an interval.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    details: Annotated[
        Path | None, typer.Option(help="JSON: consistency ratio, probability of being the best of its order.", show_default=False)
    ] = None,
) -> None:
    """Compute affinities with bootstrap intervals from per-image losses."""
    from taskonomy.affinity.losses_file import find_losses, open_losses
    from taskonomy.affinity.measure import Measured, Normalization, as_table, measure
    from taskonomy.atomic_io import write_json
    from taskonomy.tables.table import write_table

    if not 0 < confidence < 1:
        raise TaskonomyError(f"--confidence must be between 0 and 1 (is {confidence:g})")
    if normalization not in list(Normalization):
        raise TaskonomyError(f"--normalization must be {' or '.join(Normalization)} (is {normalization!r})")
    measured: dict[str, Measured] = {}
    for path in with_progress(find_losses(losses), "targets"):
        with open_losses(path) as data:
            measured[data.target] = measure(data, normalization=Normalization(normalization), resamples=resamples, confidence=confidence, seed=seed)
    write_table(output, as_table(measured.values()))
    if details is not None:
        write_json(
            details, {name: {"consistency_ratio": one.consistency_ratio, "best_of_order": one.best_of_order} for name, one in measured.items()}
        )
    typer.echo(f"{output}: {sum(len(one.rows) for one in measured.values()):,} transfers into {len(measured)} targets")


@app.command()
def tree(
    table: Table,
    construction: Annotated[str, typer.Option(help="standardised | paper.")] = "standardised",
    method: Annotated[str, typer.Option(help="Of the construction paper: complete | average | single | ward.")] = "complete",
    metric: Annotated[str, typer.Option(help="Of the construction paper: correlation | cosine | euclidean.")] = "correlation",
    beta: Annotated[float, typer.Option(help="Of the construction paper: patterns are exp(-beta * affinity).")] = 20.0,
    exclude: Exclude = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page with the tree as a figure.", show_default=False)] = None,
) -> None:
    """Print the task similarity tree in Newick form."""
    from taskonomy.config.checked import checked
    from taskonomy.config.policy_params import EvaluateParams
    from taskonomy.evaluation.tree import similarity_tree, without_sources

    values = {"random_policies": 1000, "seed": 0, "tree": construction, "tree_method": method, "tree_metric": metric, "tree_beta": beta}
    params = checked(EvaluateParams, values, "options")
    kept = without_sources(read(table), names(exclude))
    found = similarity_tree(kept, params.tree, method=params.tree_method, metric=params.tree_metric, beta=params.tree_beta)
    typer.echo(found.newick(), nl=False)
    if output is not None:
        from taskonomy.atomic_io import write_text
        from taskonomy.report.figures import standalone, tree_figure

        write_text(output, standalone(tree_figure(found), "Task similarity tree"))


@app.command()
def explore(
    path: Annotated[Path, typer.Argument(metavar="TABLE|RUN", help="An affinity table, or a project's folder that ran.", show_default=False)],
    port: Annotated[int, typer.Option(help="Port on this machine; 0: any free one.", min=0, max=65535)] = 8050,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    time_limit: Annotated[float, typer.Option(help="Seconds for one program.")] = 10.0,
) -> None:
    """Open a local page to choose sources, targets, costs and budget, and see the policy."""
    from taskonomy.explorer.loading import open_path
    from taskonomy.explorer.server import serve

    serve(open_path(path, time_limit), port, browser=not no_browser)


@app.command("import-published")
def import_published(
    files: Annotated[list[Path], typer.Argument(help="Released result files (.pkl): affinities and win rates.")], output: Output
) -> None:
    """Combine the authors' released result files into one table; pickles are parsed without executing any code."""
    from taskonomy.tables.published_pickles import import_released
    from taskonomy.tables.table import unmeasured, write_table

    table = import_released(files)
    write_table(output, table)
    typer.echo(f"{output}: {len(table):,} transfers" + (f"; {note}" if (note := unmeasured(table)) else ""))


@app.command()
def tasks() -> None:
    """List every task of the dictionary with its family, images, label, loss, head and roles."""
    from taskonomy.config.params import registry_here
    from taskonomy.machine.terminal import text_table
    from taskonomy.tasks import FAMILIES

    registry = registry_here()
    rows = [("task", "title", "family", "images", "label", "loss", "head", "roles")]
    for family in FAMILIES:
        for task in (one for one in registry.values() if one.family == family):
            label, head = task.label, task.head
            shape = " x ".join(map(str, label.shape)) if label else "-"
            layers = "-" if head is None else f"{head.layers} layers to {head.channels}" if head.layers else f"decoder to {head.channels}"
            images = f"{task.tiles} tiles" if task.tiles > task.images else str(task.images)
            rows.append((task.name, task.title, family, images, shape, task.loss or "-", layers, ", ".join(task.roles)))
    typer.echo(text_table(rows))


@app.command()
def annotate(
    source: Annotated[
        Path, typer.Argument(help="Folder of images and depths, as depth cameras and TUM, NYU and ScanNet have them (docs/own-data.md).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write: a folder per domain.", show_default=False)],
    fov: Annotated[float | None, typer.Option(help="Horizontal field of view of the camera, degrees.", show_default=False)] = None,
    intrinsics: Annotated[str | None, typer.Option(help="fx,fy,cx,cy in pixels, or a file with them or with a matrix.", show_default=False)] = None,
    depth_scale: Annotated[
        float | None, typer.Option("--depth-scale", "--depth-unit", help="Units per metre of the depth files; 512 if not given.", show_default=False)
    ] = None,
    missing: Annotated[
        list[float] | None, typer.Option(help="A depth that means none; may be repeated. Default: 0 and 65535.", show_default=False)
    ] = None,
) -> None:
    """Compute ground truth of every geometric and 2D domain for your own images with depth, and state which of it equals the release's."""
    from taskonomy.annotate.rgbd import annotate_folder
    from taskonomy.annotate.rgbd_folders import read_intrinsics

    lens = None
    if intrinsics is not None:
        text = Path(intrinsics).read_text("utf-8", "replace") if Path(intrinsics).is_file() else intrinsics
        lens = read_intrinsics(text, intrinsics if Path(intrinsics).is_file() else "--intrinsics")
    found = annotate_folder(source, output, fov_degrees=fov, intrinsics=lens, depth_unit=depth_scale, missing=missing or None, progress=with_progress)
    typer.echo(found.render())


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the units that no revision uses.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --clear: remove all units, and all unfinished ones.")] = False,
) -> None:
    """Show how many finished units of work (networks trained or measured) are stored, and who uses them.

    Clear only while nothing runs, as a stage records its units when it ends. If several projects share a store, only this project's uses are known.
    """
    from taskonomy.machine.terminal import byte_size
    from taskonomy.store.store import Store, store_root, usage

    if everything and not clear:
        raise TaskonomyError("--all goes with --clear")
    store, used = Store(store_root()), usage()
    keys, states, size = set(store.keys()), list(store.states()), store.size()
    free = keys - used.workspace - used.revisions
    typer.echo(f"store       {store.root}, {byte_size(size)}")
    typer.echo(f"units       {len(keys):,}")
    typer.echo(f"  used by   workspace {len(keys & used.workspace):,}, git revisions {len(keys & used.revisions):,}, none {len(free):,}")
    typer.echo(f"unfinished  {len(states):,}")
    if used.gone:
        typer.echo(f"not asked   {used.gone:,} outputs that are no longer in DVC's cache")
    for line in used.unreadable:
        typer.echo(f"unreadable  {line}")
    if clear:
        if used.unreadable and not everything:
            raise TaskonomyError("nothing removed: what is unreadable may use any unit (--clear --all removes every unit)")
        removed, forgotten = store.clear(None if everything else used.workspace | used.revisions)
        typer.echo(f"removed     units {removed:,}, unfinished {forgotten:,}, {byte_size(size - store.size())}")


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="A file of profiles/, without its ending.")],
    write: Annotated[bool, typer.Option("--write", help="Set the values in params.yaml, instead of printing them.")] = False,
) -> None:
    """Print what a profile changes, as options of dvc: `dvc exp run $(taskonomy profile tiny)`."""
    from taskonomy.config.profiles import read_profile, write_profile

    if write:
        typer.echo(f"params.yaml: {write_profile(name)} values set as in profiles/{name}.yaml; 'git checkout params.yaml' goes back", err=True)
    else:
        typer.echo(" ".join(f"-S {one}" for one in read_profile(name)))


@app.command()
def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, groups (train), outputs or dvc.yaml files, with all that they need.", show_default=False)
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once.", min=1, show_default="one per core")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run stages that are unchanged, too.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run, in which order, and why.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch missing data and results of earlier runs from DVC's remote.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="The targets and what needs them, instead of what they need.")] = False,
    times: Annotated[Path | None, typer.Option(help="CSV to write: stage,seconds,start,cached.", show_default=False)] = None,
    address: Annotated[str | None, typer.Option(help="Train on this Ray cluster: HOST:PORT, or auto.", show_default="params.yaml")] = None,
) -> None:
    """Run the changed stages of the pipeline, several at once; the result is the same as that of dvc repro."""
    from taskonomy.machine.cores import cores
    from taskonomy.pipeline import scheduler as runner

    if address is not None:
        _use_cluster(address)
    request = runner.Request(tuple(targets or ()), jobs or cores(), force=force, pull=pull, downstream=downstream, times=times)
    if dry:
        typer.echo(runner.dry(request))
    else:
        raise typer.Exit(runner.repro(request))


def _use_cluster(address: str) -> None:
    """Set the cluster's address for this run; its stages inherit it."""
    import os

    from taskonomy.config.params import read_params
    from taskonomy.machine.environment import ADDRESS, of_this_run

    os.environ[ADDRESS] = address
    of_this_run(read_params().execution)


@app.command()
def results(
    output: Annotated[Path, typer.Option("--output", "-o", help="File of Markdown to write.")] = Path("docs/results.md"),
) -> None:
    """Write the main results of the finished run as tables of Markdown, beside those of the published table."""
    from taskonomy.atomic_io import write_text
    from taskonomy.config.params import registry_here
    from taskonomy.pipeline.timings import read_seconds
    from taskonomy.report.results_tables import results_page

    folder = Path("results")
    times = read_seconds(Path(".dvc/tmp/taskonomy-durations.json"))
    write_text(output, results_page(folder / "measured", folder / "published", times, registry_here()))
    typer.echo(f"{output}: the tables of {folder / 'measured'}")


@app.command()
def check(
    profile: Annotated[str | None, typer.Argument(help="A file of profiles/; none: params.yaml as it is.", show_default=False)] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once.", min=1, show_default="one per core")] = None,
    write: Annotated[bool, typer.Option("--write", help="Make what the run gives the reference.")] = False,
) -> None:
    """Run the committed pipeline in a clean clone, from scratch, and check for the same bits or, on another kind of machine, the same metrics."""
    from taskonomy.machine.cores import cores
    from taskonomy.pipeline.verify import check

    verdict = check(profile, jobs or cores(), write=write)
    typer.echo("\n".join(verdict.lines()))
    raise typer.Exit(not verdict.good)


app.add_typer(experiments.app, name="experiments")

app.command()(query)

app.command()(inference.predict)
app.command()(inference.cost)
app.command("export-onnx")(inference.export_onnx)
app.add_typer(own.app)  # taskonomy init, taskonomy stage
app.command()(planning.plan)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the console command; errors that the user can correct become one line and exit status 1."""
    with one_line():
        try:
            sys.exit(with_strict_numbers(typer.main.get_command(app))(standalone_mode=False))
        except (typer.Abort, KeyboardInterrupt):
            sys.exit("interrupted")
        except Exception as error:
            if (wrong := getattr(error, "format_message", None)) is None:
                raise
            raise TaskonomyError(" ".join(wrong().split()) or "see taskonomy --help") from None


if __name__ == "__main__":
    main()
