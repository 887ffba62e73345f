"""The affinity table: what is written is read back, what is wrong is named by line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import PUBLISHED

from taskonomy.affinity.losses_file import Losses, find_losses, open_losses
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import labelled, parse_table, read_table, task_names, unmeasured, write_table


def test_the_published_table_is_read_whole(published: pd.DataFrame) -> None:
    lines = PUBLISHED.read_text().splitlines()
    assert len(published) == len(lines) - 1
    assert unmeasured(published) == "4 of 1,762 transfers have no affinity: they are never chosen"
    measured = [line.split(",") for line in lines[1:] if line.split(",")[2]]
    assert published["affinity"].sum() == pytest.approx(sum(float(cells[2]) for cells in measured))


def test_a_table_survives_writing_and_reading_to_the_last_bit(published: pd.DataFrame, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", published)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), published, check_exact=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("target,sources,affinity\n", "no rows"),
        ("target,affinity\na,1\n", r"line 1: missing columns: sources \(found 'target', 'affinity'\)"),
        ("target,sources,affinity,afinity\na,b,1,1\n", "line 1: unknown column 'afinity'"),
        ("target,sources,affinity\na,b,1\na,c+d+c,1\n", "line 3: a source stands twice in c\\+d\\+c"),
        ("target,sources,affinity\na,b,-0.1\n", "line 2: affinity must be >= 0 \\(is -0.1\\)"),
        ("target,sources,affinity\na,b,high\n", "line 2: affinity must be a number \\(is 'high'\\)"),
        ("target,sources,affinity\na,b,nan\n", "line 2: affinity must be finite"),
        ("target,sources,affinity,gain\na,b,1,1.5\n", "line 2: gain must be in \\[0, 1\\]"),
        ("target,sources,affinity\na,b,1\nc,b,\n", "line 3: target c has no measured row"),
        ("target,sources,affinity\na,b+c,1\na,b,1\na,c+b,2\n", "line 4: the same transfer as line 2"),
        ("target,sources,affinity\na,b\n", "line 2: 2 cells under 3 columns"),
        ("target,sources,affinity\n,b,1\n", "line 2: '' is not a task name"),
        ("target,sources,affinity\na,self+b,1\n", "line 2: 'self' stands beside other sources"),
        ("target,sources,affinity\na,self@0.1,1\n", "line 2: 'self' stands beside other sources in self@0.1"),
        ("target,sources,affinity\na@0.1,b,1\n", "line 2: target 'a@0.1' is written as a variant of the source a"),
        ("target,sources,affinity\na,b>c,1\na,b>c,1\n", "line 3: the same transfer as line 2"),
        ("target,sources,affinity\na,b+c,1\na,c + b,1\n", "line 3: the same transfer as line 2"),
        ("target,sources,affinity\na,cafe\u0301,1\na,caf\u00e9,1\n", "line 3: the same transfer as line 2"),
        (
            "target,sources,affinity\na,b,1_0\n",
            "line 2: affinity must be a number, written with the digits 0-9 and without underscores \\(is '1_0'\\)",
        ),
        ("target,sources,affinity\na,b,１\n", "line 2: affinity must be a number, written with the digits 0-9 and without underscores \\(is '１'\\)"),
        ("ziel;quellen;affinitaet\na;b;1\n", "missing columns: target, sources, affinity .*semicolon-separated file"),
    ],
)
def test_what_is_wrong_is_named_by_line(text: str, message: str) -> None:
    with pytest.raises(TaskonomyError, match=f"T.csv: .*{message}"):
        parse_table(text, "T.csv")


def test_of_a_transitive_and_of_a_fine_tuned_transfer_the_source_alone_is_labelled(tmp_path: Path) -> None:
    text = "target,sources,affinity\na,self,0.5\na,b,0.1\na,b>c,0.2\na,b@0.02,0.3\na,b@1+d,0.4\n"
    table = parse_table(text, "T.csv")
    assert table["sources"].tolist() == [("self",), ("b",), ("b>c",), ("b@0.02",), ("b@1", "d")]
    assert task_names(table) == (["a"], ["b", "d"])
    write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == text


@pytest.mark.parametrize("name", ["normal", "my.task", "<b>x</b>", "a@home", "a@", "@0.1", "a>", ">b", "a>b>c", "a@0.1@0.2", "a>b c", "a@1e2"])
def test_names_of_no_form_are_tasks_of_their_own(name: str) -> None:
    assert labelled(name) == name


def test_two_unicode_forms_of_one_name_are_one_task() -> None:
    table = parse_table("target,sources,affinity\ncafe\u0301,b,0.5\nb,caf\u00e9,0.5\n", "T.csv")
    assert task_names(table) == (["b", "caf\u00e9"], ["b", "caf\u00e9"])


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "N/A", "NaN", "true", "1", "-", "#N/A"])
def test_words_that_other_programs_take_for_nothing_are_names(name: str) -> None:
    table = parse_table(f"target,sources,affinity\n{name},{name},0.5\n", "T.csv")
    assert task_names(table) == ([name], [name])


def test_transfers_are_read_as_they_are_printed(tmp_path: Path) -> None:
    table = parse_table("target,sources,affinity\na,b + c,0.5\n", "T.csv")
    assert table["sources"].tolist() == [("b", "c")]
    write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == "target,sources,affinity\na,b+c,0.5\n"


def save_losses(path: Path, candidates: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    np.savez(path, losses=np.random.default_rng(0).random((len(candidates), 20)), candidates=np.array(candidates))


@pytest.mark.parametrize(
    ("target", "candidates"),
    [("a+b", ["a", "b"]), ("self", ["a", "b"]), ("a,b", ["a", "b"]), ("a@0.02", ["a", "b"]), ("a>b", ["a", "b"])]
    + [("t", candidates) for candidates in (["a,x", "b"], ["a\nx", "b"], ["", "b"], ["a+", "b"], ["a+a", "b"], ["self+a", "b"], ["self@0.1", "b"])],
)  # fmt: skip
def test_names_that_no_table_can_hold_are_refused_before_anything_is_computed(tmp_path: Path, target: str, candidates: list[str]) -> None:
    save_losses(tmp_path / "L" / "A.npz", ["a", "b"])
    save_losses(tmp_path / "L" / f"{target}.npz", candidates)
    with pytest.raises(TaskonomyError, match=r"target .*, candidate "):
        find_losses(tmp_path / "L")
    rows = "".join(f'"{target}","{name}",0.5\n' for name in candidates)
    with pytest.raises(TaskonomyError):  # the table itself
        parse_table("target,sources,affinity\n" + rows, "T.csv")


def test_targets_in_two_unicode_forms_are_refused_and_hidden_files_are_nobodys(tmp_path: Path) -> None:
    folder = tmp_path / "L"
    save_losses(folder / "caf\u00e9.npz", ["a", "b + c", "cafe\u0301"])
    for name in ("._caf\u00e9.npz", ".x.npz"):
        (folder / name).write_bytes(b"\0\5\x16\7Mac OS X")
    (found,) = find_losses(folder)
    with open_losses(found) as data:
        assert (data.target, data.candidates) == ("caf\u00e9", ["a", "b+c", "caf\u00e9"])
    save_losses(folder / "cafe\u0301.npz", ["a", "b"])
    with pytest.raises(TaskonomyError, match="in another Unicode form; keep one"):
        find_losses(folder)


def test_any_line_ending_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("\ufefftarget,sources,affinity\r\na,b+c,0.5\r\n\r\n".encode())
    assert read_table(tmp_path / "t.csv")[["target", "sources", "affinity"]].to_numpy().tolist() == [["a", ("b", "c"), 0.5]]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_losses_are_mapped_from_plain_and_compressed_archives(tmp_path: Path, save: object) -> None:
    losses = np.random.default_rng(0).random((2, 50), dtype=np.float32)
    save(tmp_path / "normal.npz", losses=losses, candidates=np.array(["a", "a+b"]), scratch=losses[0])  # type: ignore[operator]
    with open_losses(tmp_path / "normal.npz") as data:
        assert data.target == "normal"
        assert data.candidates == ["a", "a+b"]
        np.testing.assert_array_equal(data.losses, losses)
        assert isinstance(data.losses, np.memmap)


def test_an_archive_with_pickled_objects_or_damage_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", losses=np.zeros((1, 2)), candidates=np.array(["a"], dtype=object))
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    np.savez(tmp_path / "c.npz", losses=np.zeros((1, 2)))
    for name, message in (("a", "pickle"), ("b", "not a readable .npz"), ("c", "must hold the arrays")):
        with pytest.raises(TaskonomyError, match=message), open_losses(tmp_path / f"{name}.npz"):
            pass
    with pytest.raises(TaskonomyError, match=r"losses must be \[2 candidates, images\] \(is \[1, 2\]\)"):
        Losses("a", ["x", "y"], np.zeros((1, 2)))
