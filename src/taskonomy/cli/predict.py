"""Define the commands that use exported predictors: predict for images, compute what a policy costs to run, write ONNX graphs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taskonomy.cli.path_checks import existing, folder_to_write
from taskonomy.errors import TaskonomyError

if TYPE_CHECKING:
    from taskonomy.inference.manifest import Exported
    from taskonomy.tasks import Registry


EXPORT = "export"


def _exported(folder: Path) -> Path:
    """Check that a folder holds predictors."""
    if (folder / "index.json").is_file():
        return folder
    from taskonomy.project.preconditions import PIPELINE, stage_names

    stages = stage_names(folder.parent / PIPELINE)
    if not stages or EXPORT in stages:
        raise TaskonomyError(f"{folder}: no predictors; the stage `{EXPORT}` writes them: taskonomy repro {EXPORT}")
    from taskonomy.project.pipeline import own_command

    raise TaskonomyError(
        f"{folder}: no predictors; this project has no stage `{EXPORT}`, so write them after `taskonomy repro`: {own_command(EXPORT)}"
    )


Predictors = Annotated[Path, typer.Option("--predictors", help="Folder that the stage `export` wrote.", callback=_exported)]
Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="Targets, comma-separated. Repeatable.", show_default=False)]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto: on a GPU if there is one.")]
FOLDER = Path("predictors")


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Images of any size, or folders of them. Poses and matching take two, egomotion three.", callback=existing),
    ],
    task: Tasks = None,
    everything: Annotated[bool, typer.Option("--all", help="Every target of the policy that takes so many images.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="One answer: .png, .json or .npy; several: a folder.", show_default="one answer is printed as JSON"),
    ] = None,
    share: Annotated[bool, typer.Option("--share/--apart", help="Run an encoder that several targets read once, or once for each.")] = True,
    save_representation: Annotated[bool, typer.Option("--save-representation", help="Also the sources' codes, as .npz.")] = False,
    side: Annotated[int, typer.Option(help="Side of pictures, pixels.", min=32, max=4096)] = 256,
    device: Device = "auto",
    predictors: Predictors = FOLDER,
) -> None:
    """Predict the targets of a policy for images: as pictures, or as named values in JSON.

    Images are made square as those of the run were (data.fit), and resized to the networks' side. Inputs are never overwritten.
    """
    from taskonomy.inference.manifest import open_export
    from taskonomy.inference.requests import plan

    registry = _registry(predictors)
    exported, names = open_export(predictors, registry), _names(task)
    if everything == bool(names):
        raise TaskonomyError(f"--task or --all must be given, and not both; there are predictors of {', '.join(exported.targets)}")
    if save_representation and output is None:
        raise TaskonomyError("--save-representation needs --output")
    planned = plan(exported, names, images, output)
    if planned.left:
        typer.echo(f"left out, as they take another number of images: {', '.join(planned.left)}", err=True)
    _say_used(exported, [name for one in planned.work for name in one.tasks])

    from taskonomy.atomic_io import to_json
    from taskonomy.inference.predictor import load_predictors
    from taskonomy.inference.predictor import predict as run
    from taskonomy.machine.cores import progress

    loaded = {one.task.name: one for one in load_predictors([name for one in planned.work for name in one.tasks], predictors, device, registry)}
    with progress(planned.answers, "predict", "answers") as bar:
        for work in planned.work:
            for name, answers in zip(work.names, run([loaded[one] for one in work.tasks], work.samples, share=share), strict=True):
                for answer in answers:
                    for file in planned.files(name, answer.task.name):
                        answer.save(file, side)
                    if save_representation:
                        answer.save_codes(planned.representation(name, answer.task.name))
                    if output is None:
                        typer.echo(to_json(answer.as_dict()), nl=False)
                bar.update(len(answers))
    if output is not None:
        typer.echo(f"{output}: {planned.answers:,} answers" if planned.in_folder else str(output))


def _registry(predictors: Path) -> "Registry":
    """Read the registry of the run that the predictors come from: its parameters lie beside them."""
    from taskonomy.config.params import registry_here

    return registry_here(predictors.parent / "params.yaml")


def _say_used(exported: "Exported", targets: Iterable[str]) -> None:
    """Say which encoders of others these targets use, under which licences, and what they cost to run."""
    from taskonomy.wording.wording import as_it_is

    for one in exported.as_they_are(targets).values():
        typer.echo(f"{one['title']} is used as it is: {as_it_is(one['licence'], one['inference'])}", err=True)


def _names(options: list[str] | None) -> list[str]:
    from taskonomy.parsing.user_text import names_in

    return [name for option in options or () for name in names_in(option)]


def cost(
    predictors: Predictors = FOLDER,
    repeats: Annotated[int, typer.Option(help="Runs that are timed.", min=1)] = 20,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute what it costs to run all targets of a policy once on the same images: weights, arithmetic, and milliseconds measured now.

    Compares shared encoders, separate encoders, and independent networks.
    """
    from taskonomy.atomic_io import to_json
    from taskonomy.inference.benchmark import milliseconds, own_network
    from taskonomy.inference.manifest import open_export
    from taskonomy.inference.predictor import device_of, load_predictors
    from taskonomy.machine.terminal import text_table

    exported, where = open_export(predictors), device_of(device)
    loaded = load_predictors(None, predictors, device, _registry(predictors))
    own = [(one.task, own_network(one.task, one.card["shapes"]).to(where)) for one in loaded]
    taken = milliseconds(loaded, own, exported.side, where, repeats)
    found = {way: {**exported.index["cost"][way], "milliseconds": taken[way]} for way in taken}
    if json:
        typer.echo(to_json(found), nl=False)
        return
    _say_used(exported, exported.targets)
    typer.echo(f"{len(loaded)} targets, {len(exported.index['encoders'])} encoders, {exported.side} px, {where.type}\n")
    rows = [("", "encoder passes", "parameters", "MFLOPs", "ms")]
    for way, one in found.items():
        rows.append((way, str(one["encoder_passes"]), f"{one['parameters']:,}", f"{one['flops'] / 1e6:,.1f}", f"{one['milliseconds']:.1f}"))
    typer.echo(text_table(rows, left=1))
    ratio = {name: found["shared"][name] / found["independent"][name] for name in ("parameters", "flops", "milliseconds")}
    typer.echo(
        f"\nshared, of independent networks: {ratio['parameters']:.0%} of the parameters, {ratio['flops']:.0%} of the FLOPs,"
        f" {ratio['milliseconds']:.0%} of the time"
    )


def export_onnx(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write TASK.onnx to.", show_default=False, callback=folder_to_write)],
    task: Tasks = None,
    predictors: Predictors = FOLDER,
) -> None:
    """Write predictors as ONNX graphs, from image to output, each checked against torch if onnxruntime is installed; all unless tasks are named."""
    from importlib.util import find_spec

    from taskonomy.inference.manifest import open_export

    registry, names = _registry(predictors), _names(task)
    exported = open_export(predictors, registry)
    for name in names:
        exported.card(name)

    from taskonomy.inference.onnx_export import TOLERANCE, difference, write_graph
    from taskonomy.inference.predictor import load_predictors

    checks = find_spec("onnxruntime") is not None
    for one in load_predictors(names or None, predictors, "cpu", registry):
        path = output / f"{one.task.name}.onnx"
        write_graph(one, path)
        said = "not checked: onnxruntime is not installed"
        if checks:
            apart = difference(one, path)
            if apart > TOLERANCE:
                path.unlink()
                raise TaskonomyError(f"{path}: differs from torch by {apart:.1g}, more than {TOLERANCE:g} of the output; it is removed")
            said = f"differs from torch by {apart:.1g} of the output"
        typer.echo(f"{path}: {said}")
