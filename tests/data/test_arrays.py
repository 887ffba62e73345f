"""Rows of prepared arrays, written in place."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from taskonomy.data.prepare import arrays as module
from taskonomy.data.prepare.arrays import Array, Rows, Writing

ARRAYS = [Array("a.npy", np.dtype("float16"), (3, 2)), Array("deeper/b.npy", np.dtype("bool"), (4,)), Array("c.npy", np.dtype("uint8"), ())]


def made(folder: Path, count: int) -> Path:
    for array in ARRAYS:
        array.make(folder, count)
    return folder


def fill(rows: Writing, count: int) -> None:
    for row in range(count):
        rows.write("a.npy", row, row)


def test_rows_lie_where_they_belong_and_others_stay_as_they_were(tmp_path: Path) -> None:
    made(tmp_path, 7)
    with Writing(tmp_path, ARRAYS, 2) as rows:
        rows.write("a.npy", 2, 7)
        rows.write("a.npy", 3, np.arange(6).reshape(3, 2))  # the next one
        rows.write("deeper/b.npy", 0, (True, False, True, True))
        rows.write("a.npy", 0, 9)  # back; one number for all, as numpy assigns it
        rows.write("c.npy", 1, 200)
        assert "c.npy" in rows
        assert "d.npy" not in rows
    a, b, c = (Rows(tmp_path / array.name)[:] for array in ARRAYS)
    assert a[5].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (a[2] == 9).all()
    assert (a[4] == 7).all()
    assert not a[[0, 1, 3, 6]].any()
    assert b[2].tolist() == [True, False, True, True]
    assert not np.delete(b, 2, 0).any()
    assert c.tolist() == [0, 0, 0, 200, 0, 0, 0]


def test_a_disk_that_fails_meanwhile_is_an_error_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system reports a lost write once: later calls would say that all is well."""
    made(tmp_path, 4)
    monkeypatch.setattr(module, "_SYNCED", 1)
    real, failed = os.fsync, []

    def once(file: int) -> None:
        if not failed:
            failed.append(file)
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fsync", once)
    rows = Writing(tmp_path, ARRAYS, 0)
    with pytest.raises(OSError, match="Input/output error") as caught, rows:
        fill(rows, 4)
    assert failed
    assert caught.value.filename == str(tmp_path / "a.npy")


def test_an_error_within_is_not_hidden_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, 4)
    monkeypatch.setattr(module, "_SYNCED", 1)

    def failing(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    rows = Writing(tmp_path, ARRAYS, 0)
    rows.write("a.npy", 0, 1)
    with pytest.raises(ValueError, match="broadcast"), rows:
        rows.write("a.npy", 1, np.zeros(5))
