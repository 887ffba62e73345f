"""Commands that look at data before anything is computed from it."""

from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli.common import with_progress
from taskonomy.cli.path_checks import existing, file_to_read, file_to_write, folder_to_write

app = typer.Typer(no_args_is_help=True, help="Look at data before computing anything from it.")


@app.command()
def inspect(
    root: Annotated[
        str, typer.Argument(help="The built-in world, a released dataset (also s3://, gs://, or its index), or your own folder.", callback=existing)
    ],
    sample: Annotated[int, typer.Option(help="Views whose files are all decoded; 0 for every view.", min=0)] = 200,
    component: Annotated[list[str] | None, typer.Option(help="A component of Omnidata, such as replica; may be repeated. Default: all.")] = None,
) -> None:
    """Show a dataset's layout, domains, counts, splits, and damaged files."""
    from taskonomy.config.params import read_params
    from taskonomy.data.count_labels import described
    from taskonomy.data.custom_report import CustomReport
    from taskonomy.data.datasets import Custom, Released, open_data
    from taskonomy.data.framing import ReadOptions
    from taskonomy.data.inspect import inspect as look

    params = read_params().data if Path("params.yaml").is_file() else None  # it says how images are divided
    is_its_root = params is not None and Path(params.root).resolve() == Path(root).resolve()
    match open_data(root, options=ReadOptions(components=tuple(component or ()))):
        case Custom(source=own) as data:
            typer.echo(CustomReport(own).render())
            if params is not None:
                there = open_data(root, params.registry) if is_its_root else data  # only a declaration tells which texts are classes
                typer.echo("\n" + described(there, params, sorted(there.domains)))
        case Released(source=released) as data:
            lines = [look(released, sample or None, progress=with_progress).render(), *data.notes(released.domains)]
            typer.echo("\n".join(lines))
            if params is not None and is_its_root:
                typer.echo("\n" + described(data, params, params.tasks))


@app.command()
def index(
    root: Annotated[str, typer.Argument(help="A released dataset: folders or tars, also in object storage (s3://, gs://).", callback=existing)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The index to write (JSON); name it in data.root.", show_default=False, callback=file_to_write)
    ],
) -> None:
    """Write a small index file that stands for a large dataset in data.root: DVC compares it instead of hashing terabytes."""
    from taskonomy.machine.terminal import byte_size
    from taskonomy.release.index_file import write_index

    written = write_index(root, output, with_progress)
    held = f"{written.buildings:,} buildings, {written.domains:,} domains, {written.files:,} files, {byte_size(written.bytes)}"
    typer.echo(f"{output}: {held}; set data.root: {output}, and write it anew when data has changed")


@app.command()
def unpack(
    files: Annotated[
        list[Path],
        typer.Argument(help="Parquet files with images in them, as Hugging Face's data sets have them.", callback=file_to_read("Parquet file")),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The folder to write: images/, labels.csv, label images.", show_default=False, callback=folder_to_write),
    ],
) -> None:
    """Write the images and labels of Parquet files as a folder for data.root."""
    from taskonomy.data.unpack import unpack as write

    typer.echo(write(files, output).render(output))


@app.command()
def preview(
    root: Annotated[str, typer.Argument(help="The built-in world, or a released dataset: folders or tars.", callback=existing)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write (PNG).", show_default=False, callback=file_to_write)],
    views: Annotated[int, typer.Option(help="Views shown.", min=1)] = 2,
    side: Annotated[int, typer.Option(help="Side of one picture, pixels.", min=32)] = 160,
) -> None:
    """Draw a contact sheet: every task's label for some views."""
    from taskonomy.atomic_io import write_bytes
    from taskonomy.config.params import read_params
    from taskonomy.data.framing import ReadOptions
    from taskonomy.data.preview import sheet
    from taskonomy.release.formats import to_bytes
    from taskonomy.tasks import BUILT_IN

    run = read_params() if Path("params.yaml").is_file() else None  # it says what tasks there are, and how images are made square
    registry = BUILT_IN if run is None else run.registry
    options = ReadOptions() if run is None else ReadOptions(run.data.fit, run.data.white)
    write_bytes(output, to_bytes("rgb", sheet(root, registry, options, views=views, side=side)))
    typer.echo(str(output))
