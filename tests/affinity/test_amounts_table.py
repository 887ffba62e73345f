"""The column `images`: how many labelled images of the target a row was trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.tree import first_order
from taskonomy.tables.table import has_amounts, is_gold, parse_table, read_table, with_most_images, write_table

TABLE = "target,sources,affinity,images\na,b,0.1,125\na,b,0.2,500\na,self,0.05,125\na,self,0.4,\na,b+c,0.3,1000\n"


def test_the_same_transfer_may_stand_once_for_each_amount() -> None:
    table = parse_table(TABLE, "t")
    assert table["images"].fillna(-1).tolist() == [125, 500, 125, -1, 1000]
    assert has_amounts(table)
    with pytest.raises(TaskonomyError, match=r"line 7: the same transfer as line 3: b -> a on 500 images"):
        parse_table(TABLE + "a,b,0.3,500.0\n", "t")
    with pytest.raises(TaskonomyError, match=r"line 7: the same transfer as line 5: self -> a$"):
        parse_table(TABLE + "a,self,0.3,\n", "t")


def test_a_network_from_scratch_on_some_images_is_not_full_supervision() -> None:
    table = parse_table(TABLE, "t")
    assert np.flatnonzero(is_gold(table)).tolist() == [3]


def test_what_takes_one_amount_takes_the_largest_of_each_transfer() -> None:
    table = parse_table(TABLE + "b,a,0.3,125\nb,a,0.1,250\nb,b,0.5,\nb,b,0.2,250\n", "t")
    kept = with_most_images(table)
    assert [(row.target, row.sources, row.affinity) for row in kept.itertuples()] == [
        ("a", ("b",), 0.2), ("a", ("self",), 0.4), ("a", ("b", "c"), 0.3), ("b", ("a",), 0.1), ("b", ("b",), 0.5),
    ]  # fmt: skip
    pd.testing.assert_frame_equal(first_order(table), first_order(kept))
    assert first_order(table).loc["b"].to_dict() == pytest.approx({"a": 0.1 / 0.6, "b": 0.5 / 0.6})
    plain = parse_table("target,sources,affinity\na,b,0.1\n", "t")
    assert with_most_images(plain) is plain


def test_amounts_survive_writing_and_reading_as_whole_numbers(tmp_path: Path) -> None:
    table = parse_table(TABLE, "t")
    write_table(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), table, check_exact=True)
    assert [line.split(",")[3] for line in (tmp_path / "t.csv").read_text().splitlines()] == ["images", "125", "500", "125", "", "1000"]


def test_a_table_whose_column_is_empty_is_written_without_it(tmp_path: Path) -> None:
    plain = "target,sources,affinity\na,b,0.1\na,c,0.2\n"
    empty = "target,sources,affinity,images\na,b,0.1,\na,c,0.2,\n"
    for text, name in ((plain, "plain.csv"), (empty, "empty.csv")):
        write_table(tmp_path / name, parse_table(text, "t"))
        assert (tmp_path / name).read_text() == plain
    assert not has_amounts(parse_table(empty, "t"))
    assert "images" not in parse_table(plain, "t")


@pytest.mark.parametrize("cell", ["0", "-5", "12.5", "1e30", "many", "inf"])
def test_what_is_no_number_of_images_is_named_by_line(cell: str) -> None:
    with pytest.raises(TaskonomyError, match=r"^t: line 2: images must be [^\n]*\)$"):
        parse_table(f"target,sources,affinity,images\na,b,0.1,{cell}\n", "t")
