"""Format tables, sizes and durations for the terminal."""

import io
from collections.abc import Iterable, Sequence

_WIDEST = 10_000  # columns: no cell is broken or cut, also where the output is no terminal


def text_table(rows: Iterable[Sequence[str]], left: int | None = None) -> str:
    """Align rows of cells; nothing in a cell is taken for markup.

    Args:
        rows: Rows of one length, a header among them.
        left: So many first columns are words, aligned to the left, and the others numbers, aligned to the right; None: all are words.
    """
    from rich.console import Console  # imported here, as the command line starts sooner without it
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        while len(table.columns) < len(row):
            table.add_column(justify="left" if left is None or len(table.columns) < left else "right", no_wrap=True)
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=_WIDEST, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def byte_size(size: float) -> str:
    """Format a number of bytes: 1.5 kB."""
    from rich.filesize import decimal

    return decimal(int(size))


def clock(seconds: float) -> str:
    """Format a measured duration: 5.0 s, 1:05, 1:00:00."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def rough_duration(seconds: float) -> str:
    """Format an estimated duration: 12 s, 10 min, 10 h, 35 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.0f} h" if seconds < 100 * 3600 else f"{seconds / 86400:,.0f} days"
