"""Define the command `taskonomy`. Each subcommand imports only what it uses."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from taskonomy.cli import data
from taskonomy.cli import plan_run as planning
from taskonomy.cli import predict as inference
from taskonomy.cli import projects as own
from taskonomy.cli import run_experiments as experiments
from taskonomy.cli import run_pipeline as running
from taskonomy.cli.advise import advise
from taskonomy.cli.common import Json, Output, Table, print_json, read, with_progress
from taskonomy.cli.new_task import query
from taskonomy.cli.path_checks import file_to_read, file_to_write, folder_to_read, folder_to_write, need_dvc, need_project, need_results
from taskonomy.cli.policy_options import Exclude, PolicyOptions, amounts, names, show, texts, with_policy_options
from taskonomy.cli.strict_options import with_strict_numbers
from taskonomy.cli.table_names import check_names
from taskonomy.errors import TaskonomyError, one_line


@with_policy_options
def policy(
    *,
    table: Table,
    budget: Annotated[float, typer.Option(help="Total label cost of the sources.", show_default=False)],
    max_order: Annotated[int, typer.Option(help="Maximum number of sources per transfer (its order).")] = 4,
    shared: PolicyOptions,
    alternatives: Annotated[int, typer.Option(help="How many next-best policies to give as well.")] = 0,
    alternatives_differ_in: Annotated[Literal["sources", "transfers"], typer.Option(help="How each differs from all better ones.")] = "sources",
    bill: Annotated[
        Path | None, typer.Option(help="CSV to write: the labels of every task, and what they cost.", show_default=False, callback=file_to_write)
    ] = None,
    json: Json = False,
) -> None:
    """Choose the sources to label, and one transfer per target, under a label budget."""
    check_names(table, shared.named())
    params = shared.params(budget=budget, max_order=max_order, alternatives=alternatives, alternatives_differ_in=alternatives_differ_in)

    from taskonomy.policy.planner import plan

    best, others = plan(read(table), params)
    if bill is not None:
        from taskonomy.atomic_io import write_csv

        write_csv(bill, best.bill(params.labels))
    if json:
        print_json({**best.as_dict(), **({"alternatives": [one.as_dict() for one in others]} if alternatives else {})})
    else:
        show(best, others, params)


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
    check_names(table, shared.named())
    params = shared.params(budget=0.0)

    from taskonomy.policy.front import as_frame, parse_numbers
    from taskonomy.policy.front import front as solve_front
    from taskonomy.policy.label_costs import money

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


def affinity(
    losses: Annotated[
        Path,
        typer.Argument(
            help="Folder with a TARGET.npz per target: losses (candidates x images), candidates; also scratch, pixels, average, groups.",
            callback=folder_to_read("; expected one with a TARGET.npz per target"),
        ),
    ],
    output: Output,
    normalization: Annotated[
        Literal["ahp", "linear"], typer.Option(help="The paper's ordinal normalization (ahp), or mean losses on one scale (linear).")
    ] = "ahp",
    resamples: Annotated[int, typer.Option(help="Bootstrap draws of the images; 0 for no intervals.", min=0)] = 1000,
    confidence: Annotated[float, typer.Option(help="Share of resampled affinities in an interval.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    details: Annotated[
        Path | None,
        typer.Option(
            help="JSON to write: consistency ratio, probability of being the best of its order.", show_default=False, callback=file_to_write
        ),
    ] = None,
) -> None:
    """Compute affinities with bootstrap intervals from per-image losses."""
    if not 0 < confidence < 1:
        raise TaskonomyError(f"--confidence must be between 0 and 1 (is {confidence:g})")

    from taskonomy.affinity.losses_file import find_losses, open_losses
    from taskonomy.affinity.measure import Measured, Normalization, as_table, measure
    from taskonomy.atomic_io import write_json
    from taskonomy.tables.table import write_table

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


def tree(
    table: Table,
    construction: Annotated[Literal["standardised", "paper"], typer.Option(help="How transfer patterns are compared.")] = "standardised",
    method: Annotated[
        Literal["complete", "average", "single", "ward"], typer.Option(help="Linkage of the construction paper; ward needs --metric euclidean.")
    ] = "complete",
    metric: Annotated[
        Literal["correlation", "cosine", "euclidean"], typer.Option(help="Distance of two patterns, of the construction paper.")
    ] = "correlation",
    beta: Annotated[float, typer.Option(help="Patterns of the construction paper are exp(-beta * affinity).")] = 20.0,
    exclude: Exclude = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Page to write, with the tree as a figure.", show_default=False, callback=file_to_write)
    ] = None,
) -> None:
    """Print the task similarity tree in Newick form."""
    check_names(table, {"--exclude": names(exclude)})
    from taskonomy.config.checked import checked
    from taskonomy.config.policy_params import EvaluateParams

    values = {"random_policies": 1000, "seed": 0, "tree": construction, "tree_method": method, "tree_metric": metric, "tree_beta": beta}
    params = checked(EvaluateParams, values, "options")

    from taskonomy.evaluation.tree import similarity_tree, without_sources

    kept = without_sources(read(table), names(exclude))
    found = similarity_tree(kept, params.tree, method=params.tree_method, metric=params.tree_metric, beta=params.tree_beta)
    typer.echo(found.newick(), nl=False)
    if output is not None:
        from taskonomy.atomic_io import write_text
        from taskonomy.report.figures import standalone, tree_figure

        write_text(output, standalone(tree_figure(found), "Task similarity tree"))


def _table_or_run(path: Path) -> Path:
    """Check that a path is a table or a run: the folder of a project with results."""
    if not path.exists():
        raise TaskonomyError(f"{path}: no such table")
    if path.is_dir() and not (path / "results/measured/affinities.csv").is_file():
        raise TaskonomyError(f"{path}: no results/measured/affinities.csv; run the pipeline there (taskonomy repro), or name a table")
    return path


def explore(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE|RUN", help="An affinity table, or the folder of a project that has run.", show_default=False, callback=_table_or_run
        ),
    ],
    port: Annotated[int, typer.Option(help="Port on this machine; 0: any free one.", min=0, max=65535)] = 8050,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    time_limit: Annotated[float, typer.Option(help="Seconds for one program.")] = 10.0,
) -> None:
    """Open a local page to choose sources, targets, costs and budget, and see the policy."""
    from taskonomy.explorer.loading import open_path
    from taskonomy.explorer.server import serve

    serve(open_path(path, time_limit), port, browser=not no_browser)


def import_published(
    files: Annotated[
        list[Path], typer.Argument(help="Released result files (.pkl): affinities and win rates.", callback=file_to_read("result file"))
    ],
    output: Output,
) -> None:
    """Combine the authors' released result files into one table; pickles are parsed without executing any code."""
    from taskonomy.tables.published_pickles import import_released
    from taskonomy.tables.table import unmeasured, write_table

    table = import_released(files)
    write_table(output, table)
    typer.echo(f"{output}: {len(table):,} transfers" + (f"; {note}" if (note := unmeasured(table)) else ""))


def import_records(
    file: Annotated[
        Path,
        typer.Argument(help="Records of frozen encoders on tasks, JSON lines as VisBench writes them.", callback=file_to_read("file of records")),
    ],
    output: Output,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric of a task, TASK=NAME, or TASK=-NAME where lower is better. Repeatable.", show_default="VisBench's own order"),
    ] = None,
    licence: Annotated[list[str] | None, typer.Option(help="Licence of an encoder, NAME=LICENCE. Repeatable.", show_default=False)] = None,
    inference: Annotated[
        list[str] | None,
        typer.Option(
            help="Multiply-adds of an encoder, millions for each image, NAME=NUMBER; * stands for all others, and *=1 counts them. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a table from a benchmark of encoders that others trained: which of them serve which tasks best."""
    from taskonomy.tables import benchmark_records as records
    from taskonomy.tables.table import write_table

    found = records.import_records(file, texts(metric, "--metric"), texts(licence, "--licence"), amounts(inference, "--inference"))
    write_table(output, found.table)
    encoders, targets = found.table["sources"].nunique(), found.table["target"].nunique()
    typer.echo("\n".join([f"{output}: {len(found.table):,} transfers from {encoders} encoders to {targets} tasks", *found.notes]))


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


def annotate(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of images and depths, as depth cameras and TUM, NYU and ScanNet have them (docs/own-data.md).", callback=folder_to_read()
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write, with a folder per domain.", show_default=False, callback=folder_to_write)
    ],
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


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the units that no revision uses.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --clear: remove all units, and all unfinished ones.")] = False,
) -> None:
    """Show how many finished units of work (networks trained or measured) are stored, and who uses them.

    Clear only while nothing runs, as a stage records its units when it ends. If several projects share a store, only this project's uses are known.
    """
    if everything and not clear:
        raise TaskonomyError("--all goes with --clear")
    need_dvc()
    from taskonomy.machine.terminal import byte_size
    from taskonomy.store.store import Store, store_root, usage

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


def results(
    output: Annotated[Path, typer.Option("--output", "-o", help="Markdown file to write.", callback=file_to_write)] = Path("docs/results.md"),
) -> None:
    """Write the main results of the finished run as tables, and print what changed since the last commit with other results.

    The file (Markdown) shows each result beside that of the published table. Printed are the numbers of summary.json that differ, the tasks that
    the policy labels now and no longer, and how far the ranks of the affinities agree with those before.
    """
    need_project()
    need_results()
    from taskonomy.atomic_io import write_text
    from taskonomy.config.params import registry_here
    from taskonomy.pipeline.changes import since_last
    from taskonomy.report.results_tables import results_page

    folder, registry = Path("results"), registry_here()
    write_text(output, results_page(folder / "measured", folder / "published", registry))
    typer.echo(f"{output}: the tables of {folder / 'measured'}")
    typer.echo("\n".join(since_last(registry=registry)))


START, PLAN, RUN, USE, TABLES = "Start", "Plan", "Run", "Use the results", "Work on any affinity table"
COMMANDS = {
    START: (own.init, tasks, annotate),
    PLAN: (planning.plan, running.profile),
    RUN: (running.repro, running.check, cache),
    USE: (results, explore, advise, query, inference.predict, inference.cost, inference.export_onnx),
    TABLES: (policy, front, tree, affinity, import_published, import_records),
}
GROUPS = {"data": (data.app, START), "experiments": (experiments.app, RUN)}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which vision tasks to label and train in full, and which of those to transfer the rest from.",
)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for name, (group, panel) in GROUPS.items():
    app.add_typer(group, name=name, rich_help_panel=panel)
app.command(context_settings=own.AS_GIVEN, hidden=True)(own.stage)


def _print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"taskonomy {version('taskonomy')}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass


def main() -> None:
    """Run the console command; errors that the user can correct become one line and exit status 1."""
    with one_line():
        try:
            sys.exit(with_strict_numbers(typer.main.get_command(app))(standalone_mode=False))
        except (typer.Abort, KeyboardInterrupt):
            sys.exit("interrupted")
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":  # typer has printed the help of a group
                sys.exit(0)
            raise TaskonomyError(_said_of_usage(error)) from None


def _said_of_usage(error: Any) -> str:
    """Word an error of the parser: what is wrong, and where the help is."""
    command = error.ctx.command_path if error.ctx is not None else "taskonomy"
    said = " ".join(error.format_message().split()).replace("Value error, ", "")
    missing = getattr(error, "param", None)
    if said.startswith("Missing argument") and missing is not None:
        said = f"missing {missing.metavar or missing.name.upper()}"
    said = re.sub(r"\. Did you mean (.+)\?$", r" (did you mean \1?)", said)
    said = re.sub(r"^No such option: (\S+) \(Possible options: (.+)\)$", r"no such option \1 (did you mean \2?)", said)
    said = re.sub(r"^Got unexpected extra arguments?(?:\(s\))? \((.+)\)$", r"takes no further argument (got \1)", said)
    said = f"{said[:1].lower()}{said[1:].removesuffix('.')}"
    return said if "did you mean" in said else f"{said} (see {command} --help)"


if __name__ == "__main__":
    main()
