"""Check the names that options hold against those of a table, before anything large is imported."""

from collections.abc import Collection, Mapping
from pathlib import Path

from taskonomy.errors import unknown


def check_names(path: Path, named: Mapping[str, Collection[str]]) -> None:
    """Refuse names that a table does not have.

    Whether an option may hold this name, a source or a target, is left to who uses it.

    Args:
        path: An affinity table.
        named: Option -> the names that it holds.

    Raises:
        TaskonomyError: A name is neither in the table nor in the dictionary, or the file is no table.
    """
    asked = {option: frozenset(names) for option, names in named.items() if names}
    known = _names(path) if asked else frozenset()
    for option, names in asked.items():
        if names - known and (strange := sorted(names - known - _dictionary())):
            raise unknown(option, strange, known)


def _names(path: Path) -> frozenset[str]:
    """Read the names of a table: targets, sources, and the tasks behind transitive and fine-tuned ones."""
    from taskonomy.parsing.user_text import normal
    from taskonomy.tables.csv_reader import read_sheet
    from taskonomy.tables.transfer_spec import variant

    columns = ("target", "sources")
    sheet = read_sheet(path, "table", columns, names=(*columns, "external", "licence"), others=True)
    target, sources = map(sheet.columns.index, columns)
    written = {normal(name.strip()) for _line, row in sheet.rows for name in (row[target], *row[sources].split("+"))}
    return frozenset(written | {found.source for name in written if (found := variant(name)) is not None})


def _dictionary() -> frozenset[str]:
    """Return the tasks of the dictionary: a table need not have what an option leaves out."""
    from taskonomy.tasks import BUILT_IN

    return frozenset(BUILT_IN)
