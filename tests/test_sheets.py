"""Tables as programs save them: what is certain is read, by whichever writer; what is not is an error that says what was found."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.errors import TaskonomyError
from taskonomy.tables.csv_reader import parse_sheet, read_sheet

REQUIRED, OPTIONAL = ("task", "price"), ("full",)
FRAME = pd.DataFrame({"task": ["normal", "NA", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"], "price": [0.125, 12.5, 1e-7], "full": [20, 3000, 4]})


def read(text: str) -> list[list[object]]:
    """Rows of names and numbers."""
    sheet = parse_sheet(text, "T", REQUIRED, OPTIONAL, ("task",))
    return [[cell if name == "task" else sheet.number(cell) for name, cell in zip(sheet.columns, cells, strict=True)] for _line, cells in sheet.rows]


def rows_of(frame: pd.DataFrame) -> list[list[object]]:
    return [list(row) for row in frame.itertuples(index=False)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_what_pandas_writes_is_read_back(separator: str, decimal: str, index: bool, newline: str) -> None:
    text = FRAME.to_csv(sep=separator, decimal=decimal, index=index, lineterminator=newline)
    assert read(text) == rows_of(FRAME)


def test_a_table_that_pandas_wrote_with_its_index_read_and_wrote_again_is_read() -> None:
    again = pd.read_csv(StringIO(FRAME.to_csv()), keep_default_na=False)
    assert again.columns[0] == "Unnamed: 0"
    assert read(again.to_csv(index=False)) == rows_of(FRAME)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_that_a_mark_declares_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(FRAME.to_csv(index=False).encode(encoding))
    assert [cells[0] for _line, cells in read_sheet(tmp_path / "t.csv", "table", REQUIRED, OPTIONAL, ("task",)).rows] == FRAME["task"].tolist()


@given(st.lists(st.lists(st.text(alphabet='ab;,\t"+ .', max_size=6), min_size=2, max_size=2), max_size=5), st.sampled_from(",;\t"))
def test_any_cell_that_is_quoted_as_it_must_be_is_read_as_it_was(cells: list[list[str]], separator: str) -> None:
    text = StringIO()
    csv.writer(text, delimiter=separator).writerows([["task", "Sources"], *cells])
    sheet = parse_sheet(text.getvalue(), "T", ("task", "sources"), names=("task", "sources"))
    assert [row for _line, row in sheet.rows] == [stripped for row in cells if any(stripped := [cell.strip() for cell in row])]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\ntask;price;full\nnormal;0.5;\n",
        "SEP=;\r\ntask;price;full\r\nnormal;0.5;\r\n",
        '"sep=,",,\r\ntask,price,full\r\nnormal,0.5,\r\n',
        "sep=|\ntask|price|full\nnormal|0.5|\n",
        "sep=\t\ntask\tprice\tfull\nnormal\t0.5\t\n",
        "Task, PRICE ,Full\nnormal , 0.5,\n",
        "task,price,full,,\nnormal,0.5,,,\n,,,,\n,,,,\n",
        "\n,,\ntask,price,full\n\nnormal,0.5,\n\n",
        "task,price,full\nnormal,0.5,,\n",
        "full,price,task\n,0.5,normal\n",
        ",task,price,full\n1,normal,0.5,\n",  # R counts from 1
        'task,price,full\n"normal","0,5",\n',
    ],
)
def test_the_same_table_as_other_programs_write_it(text: str) -> None:
    sheet = parse_sheet(text, "T", REQUIRED, OPTIONAL, ("task",))
    ((_line, cells),) = sheet.rows
    row = dict(zip(sheet.columns, cells, strict=True))
    assert (row["task"], sheet.number(row["price"]), row["full"]) == ("normal", 0.5, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file; expected the header task,price"),
        ("\n\n", "empty file"),
        ("name;cost\na;1\n", r"line 1: missing columns: task, price \(found 'name;cost'; semicolon-separated file\?\)"),
        ("task|price\na|1\n", r"line 1: missing columns: task, price \(found 'task\|price'; bar-separated file\?\)"),
        ("task;cost\na;1\n", r"line 1: missing columns: price \(found 'task', 'cost'\)"),
        ("\ntask,cost\n", "line 2: missing columns: price"),
        ("sep=:\ntask:price\n", "line 1: declares ':' as the separator"),
        ("sep=;\ntask,price\na,1\n", r"line 2: missing columns: task, price \(found 'task,price'; comma-separated file\?\)"),
        ("task,price,colour,size\n", "line 1: unknown column 'colour', 'size'; known: task, price, full"),
        ("task,price,Task\na,1,b\n", "line 1: a column stands twice"),
        ("task,price\na,1,x\n", "line 2: 3 cells under 2 columns"),
        ("task,price\na\n", "line 2: 1 cells under 2 columns"),
        (",task,price\n7,a,1\n", "line 2: '7' stands in column 1, which has no name"),
        (",task,price\n0,a,1\n2,b,1\n", "line 2: '0' stands in column 1, which has no name"),
        ("task,price,\na,1,\nb,2,note\n", "line 3: 'note' stands in column 3, which has no name"),
        ('task,price\n"a,1\n', "line 2: unexpected end of data"),
        # Numbers of which nobody can know what they are.
        ("task;price;full\na;0,5;\nb;0.5;\n", "line 2 has the number '0,5', line 3 '0.5'; write all with a decimal point"),
        ("task;price\na;1,234\n", "line 2: '1,234' may be 1.234 or 1234"),
        ("task;price\na;1.234\n", "line 2: '1.234' may be 1.234 or 1234"),
        ("task\tprice\tfull\na\t0,5\t20.000\n", "line 2 has the number '0,5', line 2 '20.000'"),
        ('task,price\na,"1,234"\n', "line 2: '1,234' may be 1.234 or 1234"),
    ],
)
def test_what_is_not_certain_is_an_error_that_says_what_was_found(text: str, message: str) -> None:
    with pytest.raises(TaskonomyError, match=f"^T: {message}"):
        parse_sheet(text, "T", REQUIRED, OPTIONAL, ("task",))


def test_one_number_that_can_be_no_thousand_settles_what_a_comma_is() -> None:
    assert read("task;price\na;1,234\nb;0,5\n") == [["a", 1.234], ["b", 0.5]]
    assert read("task;price\na;1.234\nb;0.5\n") == [["a", 1.234], ["b", 0.5]]
    assert read("task,price\na,1.234\n") == [["a", 1.234]]  # a comma between cells: a point can only be decimal


@pytest.mark.parametrize("cell", ["1.234,56", "1,234.56", "1,2,3", "a,b", "0,5 €"])
def test_with_decimal_commas_what_is_no_number_is_none(cell: str) -> None:
    sheet = parse_sheet(f"task;price\na;0,5\nb;{cell}\n", "T", REQUIRED, names=("task",))
    with pytest.raises(ValueError, match="must be a number"):
        sheet.number(sheet.rows[1][1][1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("task,price\na,1\ncafé,2\n".encode("latin-1"), "not a UTF-8 text file: line 3 has the byte 0xe9; save it as CSV UTF-8"),
        ("task,price\na,1\n".encode("utf-16-le"), "not a UTF-8 text file: holds zero bytes, as UTF-16 without a byte order mark"),
        (b"\xff\xfet\0a", "not a UTF-8 text file: its mark says UTF-16-LE"),
        (b"PK\x03\x04 and more", "a workbook or another archive; save its sheet as CSV"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(TaskonomyError, match=message):
        read_sheet(tmp_path / "t.csv", "table", REQUIRED)
    with pytest.raises(TaskonomyError, match="no such price list"):
        read_sheet(tmp_path / "none.csv", "price list", REQUIRED)


def test_numbers_of_a_large_table_are_those_that_pandas_wrote() -> None:
    values = np.random.default_rng(0).random(5000)
    text = pd.DataFrame({"task": [f"t{number}" for number in range(5000)], "price": values}).to_csv(sep=";", decimal=",", index=False)
    assert [row[1] for row in read(text)] == values.tolist()
