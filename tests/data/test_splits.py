"""The released split lists, whose lines end in CR alone."""

from pathlib import Path

import pytest
from by_hand import contents, write_folder

from taskonomy.errors import TaskonomyError
from taskonomy.release.layouts import open_source
from taskonomy.release.split_lists import find_splits, read_splits, write_splits

LINES = ["id,train,val,test", "allensville,1,0,0", "Beechwood,0,1,0", "cauthron,0,0,1"]
EXPECTED = {"allensville": "train", "beechwood": "val", "cauthron": "test"}


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lists_are_read_whatever_ends_their_lines(tmp_path: Path, ending: str, last: bool):
    path = tmp_path / "list.csv"
    path.write_bytes((ending.join(LINES) + (ending if last else "")).encode())
    assert read_splits(path) == EXPECTED


def test_lists_are_written_as_released(tmp_path: Path):
    path = tmp_path / "list.csv"
    write_splits(path, {"Allensville": "train", "beechwood": "val", "cauthron": "test"})
    assert path.read_bytes() == b"id,train,val,test\rallensville,1,0,0\rbeechwood,0,1,0\rcauthron,0,0,1"
    assert read_splits(path) == EXPECTED
    with pytest.raises(ValueError, match="split must be one of train, val, test"):
        write_splits(path, {"a": "dev"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"must begin with id,train,val,test \(begins with nothing\)"),
        ("name,split\ra,train", r"\(begins with name,split\)"),
        ("id,train,val,test\ra,1,0", r"line 2 must be a building and three of 0 and 1 \(is a,1,0\)"),
        ("id,train,val,test\ra,1,0,0\rb,1,yes,0", "line 3 must be"),
        ("id,train,val,test\ra,1,1,0", "line 2: a is in train and val; a building belongs to one split"),
        ("id,train,val,test\ra,1,0,0\rA,0,1,0", "line 3: a is in val, above in train"),
    ],
)
def test_bad_lists_are_refused_with_their_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(TaskonomyError, match=said):
        read_splits(path)


def test_nested_lists_in_the_root_are_one_and_other_tables_are_none(tmp_path: Path):
    write_folder(tmp_path / "cauthron/rgb", contents("cauthron", "rgb"))
    assert open_source(tmp_path).splits() == {}
    (tmp_path / "train_val_test_tiny.csv").write_text("\r".join(LINES[:2]), newline="")
    (tmp_path / "train_val_test_full.csv").write_text("\r".join([*LINES, "unused,0,0,0"]), newline="")
    (tmp_path / "train_val_test_debug.csv").write_text("id,train,val,test\rallensville,1,1,1", newline="")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    assert open_source(tmp_path).splits() == EXPECTED
    (tmp_path / "mine.csv").write_text("id,train,val,test\ncauthron,1,0,0\n")
    with pytest.raises(TaskonomyError, match=r"train_val_test_full.csv: cauthron is in test, in .*mine.csv in train"):
        find_splits(tmp_path)
