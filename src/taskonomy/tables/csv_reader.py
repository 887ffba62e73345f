"""Tables of the user, as spreadsheets and other programs save them: one CSV reader, which accepts what is unambiguous and guesses nothing.

It accepts commas, semicolons and tabs as separators, whichever gives the required columns, or the separator that a first line `sep=;` declares; UTF-8
or the encoding that a byte order mark declares; any line ends; column names in any case; and decimal commas. It ignores blank rows, columns without
name and content, and an index: a first column without a name that counts the rows. Cells are kept as text.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import number

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_DECLARED = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)  # spreadsheets that save such a file again fill the row with empty cells
# The longer mark comes first, since that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FRACTION = re.compile(r"[+-]?\d*([.,])\d*([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes of .xlsx and .ods, and of .xls
_INDEX = ("", "unnamed: 0")  # names of the index column: as pandas writes it, and after pandas has read and written it again
_SHOWN = 6
Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Sheet:
    """The content of a table.

    Attributes:
        where: Name of the table in errors.
        columns: Names of the kept columns, in lower case, in the table's order.
        rows: Line number and cells of each row; cells without surrounding spaces.
        comma: Whether numbers have a decimal comma.
    """

    where: str
    columns: tuple[str, ...]
    rows: list[Row]
    comma: bool = False

    def number(self, cell: str) -> float:
        """Return the number in a cell.

        Raises:
            ValueError: The cell is not a number; the message says what it must be and what it is.
        """
        if not self.comma or cell.count(",") != 1:
            return number(cell)
        try:
            return number(cell.replace(",", "."))
        except ValueError:
            raise ValueError(f"must be a number (is {cell!r})") from None


def read_sheet(
    path: Path | str, what: str, required: Sequence[str], optional: Sequence[str] = (), names: Sequence[str] = (), *, others: bool = False
) -> Sheet:
    """Read a table from a file.

    Args:
        path: Path of the file.
        what: What the file should be, for the error if it does not exist.
        required: Columns that the table must have.
        optional: Columns that it may have.
        names: Columns, of both kinds, that hold names; the others hold numbers.
        others: Whether other columns are kept too, whatever they hold; otherwise they are errors.

    Raises:
        TaskonomyError: The file is not such a table; says what was found instead, with its line.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise TaskonomyError(f"{path}: no such {what}") from None
    return parse_sheet(decoded(data, str(path)), str(path), required, optional, names, others=others)


def parse_sheet(
    text: str, where: str, required: Sequence[str], optional: Sequence[str] = (), names: Sequence[str] = (), *, others: bool = False
) -> Sheet:
    """Parse the text of a table as `read_sheet` does; `where` names it in errors."""
    known = (*required, *optional)
    declared, lines, before = _declared(text, where)
    separator = declared or _separator(_first(lines), required, known)
    rows = _rows(lines, separator, before, where)
    line, header = next(rows, (0, []))
    if not header:
        wanted = ",".join(required) + (f"[,{','.join(optional)}]" if optional else "") if required else f"{optional[0]},... and others"
        raise TaskonomyError(f"{where}: empty file; expected the header {wanted}")
    head = [name.casefold() for name in header]
    if missing := [name for name in required if name not in head]:
        raise TaskonomyError(f"{where}: line {line}: {_lacks(missing, header, separator)}")
    cells = list(rows)
    if others:
        known = tuple(dict.fromkeys((*known, *(name for place, name in enumerate(head) if name and not (place == 0 and name in _INDEX)))))
    keep = _columns(head, header, cells, known, f"{where}: line {line}", where)
    columns = tuple(head[place] for place in keep)
    table = [(number, _cut(row, number, keep, len(head), where)) for number, row in cells]
    numbers = [one for one in known if one not in names and not (others and _has_text(table, columns, one))]
    return Sheet(where, columns, table, _has_decimal_commas(table, numbers, columns, separator, where))


def decoded(data: bytes, where: str) -> str:
    """Decode a file: UTF-8, or the encoding that its byte order mark declares.

    Raises:
        TaskonomyError: It is not such a text; says what it is instead, as far as that can be known.
    """
    if data.startswith(_WORKBOOKS):
        raise TaskonomyError(f"{where}: not a text file but a workbook or another archive; save its sheet as CSV")
    mark, encoding = next(((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    if not mark and b"\0" in data[:100]:
        raise TaskonomyError(f"{where}: not a UTF-8 text file: holds zero bytes, as UTF-16 without a byte order mark does; save it as CSV UTF-8")
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = data[: len(mark) + error.start]
        line = re.sub(rb"\r\n?", b"\n", at).count(b"\n") + 1
        found = f"line {line} has the byte {error.object[error.start]:#04x}" if encoding == "utf-8" else f"its mark says {encoding.upper()}"
        raise TaskonomyError(f"{where}: not a UTF-8 text file: {found}; save it as CSV UTF-8") from None


def _declared(text: str, where: str) -> tuple[str | None, str, int]:
    """Return the separator that a first line `sep=;` declares, if any, the text after that line, and the number of lines removed."""
    first = next(StringIO(text, newline=""), "")
    if (found := _DECLARED.fullmatch(first.rstrip("\r\n"))) is None:
        return None, text, 0
    if found[1] not in (*SEPARATORS, "|"):
        raise TaskonomyError(f"{where}: line 1: declares {found[1]!r} as the separator; it must be one of , ; | or a tab")
    return found[1], text[len(first) :], 1


def _first(text: str) -> str:
    """Return the first line that is not blank."""
    return next((line for line in StringIO(text, newline="") if line.strip(' ",;\t\r\n')), "")


def _separator(header: str, required: Sequence[str], known: Sequence[str]) -> str:
    """Return the separator that gives all required columns; if none does, the one that gives most known columns."""

    def found(separator: str) -> tuple[bool, int]:
        names = [name.strip().casefold() for name in next(csv.reader([header], delimiter=separator), [])]
        return all(name in names for name in required), sum(name in names for name in known)

    return max(SEPARATORS, key=found)  # ties go to the first, the comma


def _rows(text: str, separator: str, before: int, where: str) -> Iterator[Row]:
    """Yield the line number and cells of all rows that are not blank."""
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in lines:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield lines.line_num + before, stripped
    except csv.Error as error:
        raise TaskonomyError(f"{where}: line {lines.line_num + before}: {error}") from None


def _lacks(missing: Sequence[str], header: Sequence[str], separator: str) -> str:
    """Describe which columns are missing, and what there is instead."""
    there = ", ".join(map(repr, header[:_SHOWN])) + (f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else "")
    held = "".join(header)
    other = next((name for mark, name in (*SEPARATORS.items(), ("|", "bar")) if mark != separator and mark in held), None)
    return f"missing columns: {', '.join(missing)} (found {there}{f'; {other}-separated file?' if other else ''})"


def _columns(head: list[str], header: list[str], rows: list[Row], known: Sequence[str], line: str, where: str) -> list[int]:
    """Return the positions of the columns to keep."""
    keep = []
    if unknown := [header[place] for place, name in enumerate(head) if name and name not in known and not (place == 0 and name in _INDEX)]:
        raise TaskonomyError(f"{line}: unknown column {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    for place, name in enumerate(head):
        if name in known:
            keep.append(place)
            continue
        cells = [(number, row[place]) for number, row in rows if place < len(row) and row[place]]
        if place == 0 and name in _INDEX and cells and _counts([cell for _number, cell in cells], len(rows)):
            continue
        if cells:
            raise TaskonomyError(f"{where}: line {cells[0][0]}: {cells[0][1]!r} stands in column {place + 1}, which has no name")
    if len({head[place] for place in keep}) < len(keep):
        raise TaskonomyError(f"{line}: a column stands twice: {', '.join(header)}")
    return keep


def _has_text(rows: list[Row], columns: tuple[str, ...], column: str) -> bool:
    """Return whether a column of any meaning holds text: something that no number looks like."""
    if column not in columns:
        return False
    place = columns.index(column)
    return any(row[place] and not _FRACTION.fullmatch(row[place]) and not row[place].lstrip("+-").isdecimal() for _line, row in rows)


def _counts(cells: list[str], rows: int) -> bool:
    """Return whether cells count the rows, from 0 or from 1."""
    return any(cells == [str(place) for place in range(start, start + rows)] for start in (0, 1))


def _cut(row: list[str], line: int, keep: list[int], columns: int, where: str) -> list[str]:
    """Return the cells of the kept columns; extra separators at the end of a row are ignored."""
    if len(row) <= max(keep) or any(row[columns:]):
        raise TaskonomyError(f"{where}: line {line}: {len(row)} cells under {columns} columns")
    return [row[place] for place in keep]


def _has_decimal_commas(rows: list[Row], numbers: Sequence[str], columns: tuple[str, ...], separator: str, where: str) -> bool:
    """Return whether 0,5 means a half. A file in which all such numbers might be thousands (1,234) is ambiguous and refused.

    Raises:
        TaskonomyError: Both marks occur, or only numbers that are ambiguous.
    """
    places = [columns.index(name) for name in numbers if name in columns]
    if separator == "," and not any("," in row[place] for _line, row in rows for place in places):
        return False
    certain: dict[str, tuple[int, str]] = {}
    unsure: dict[str, tuple[int, str]] = {}
    for line, row in rows:
        for place in places:
            if (found := _FRACTION.fullmatch(row[place])) is not None:
                (unsure if _THOUSANDS.fullmatch(row[place]) else certain).setdefault(found[1], (line, row[place]))
    if "," in certain | unsure and "." in certain | unsure:
        (first, one), (second, other) = ((certain | unsure)[mark] for mark in ",.")
        raise TaskonomyError(f"{where}: line {first} has the number {one!r}, line {second} {other!r}; write all with a decimal point")
    for mark, (line, cell) in unsure.items():
        # Where commas separate cells, a point is a decimal point.
        if mark not in certain and not (mark == "." and separator == ","):
            one, other = cell.replace(",", "."), cell.replace(",", "").replace(".", "")
            raise TaskonomyError(f"{where}: line {line}: {cell!r} may be {one} or {other}; write one of them, with commas between cells")
    return "," in certain
