"""Options and helpers that the groups of commands share."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from taskonomy.cli.path_checks import file_to_read, file_to_write

Table = Annotated[
    Path,
    typer.Argument(
        help="Affinity table (CSV): target, sources, affinity; also low, high, gain, quality, imputed.",
        show_default=False,
        callback=file_to_read("table"),
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The table to write.", show_default=False, callback=file_to_write)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read(path: Path) -> Any:
    """Read an affinity table; rows that were not measured are named on standard error."""
    from taskonomy.tables.table import read_table, unmeasured

    table = read_table(path)
    if note := unmeasured(table):
        typer.echo(f"{path}: {note}", err=True)
    return table


def with_progress(items: Iterable[Any], what: str) -> Iterable[Any]:
    """Show how far a loop has come, where a person looks at the terminal."""
    from tqdm import tqdm

    return tqdm(items, unit=f" {what}", leave=False, disable=not sys.stderr.isatty())


def print_json(value: object) -> None:
    """Print JSON that every parser reads."""
    from taskonomy.atomic_io import to_json

    typer.echo(to_json(value), nl=False)
