"""The restricted reader: real Python 2 pickles are read, and no pickle runs anything."""

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from taskonomy.affinity.published import import_released, read_released
from taskonomy.affinity.table import read_table, write_table
from taskonomy.errors import TaskonomyError


def python2_pickle(values: dict[str, float], *, scalars: bool) -> bytes:
    """Protocol 2 as Python 2 wrote it: `str` as SHORT_BINSTRING, numbers as float or as numpy scalars. Written by opcode."""
    out = io.BytesIO()
    out.write(b"\x80\x02}(")
    for key, value in values.items():
        out.write(b"U" + bytes([len(key)]) + key.encode())
        if scalars:
            out.write(b"cnumpy.core.multiarray\nscalar\n")
            out.write(b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
            out.write(b"U\x08" + struct.pack("<d", value) + b"\x86R")
        else:
            out.write(b"G" + struct.pack(">d", value))
    out.write(b"u.")
    return out.getvalue()


AFFINITIES = {"rgb2sfnorm__curvature": 0.25, "self__curvature": 0.5, "rgb2sfnorm__rgb2mist__curvature": 1 / 3, "pixels__curvature": 0.125}
GAINS = {"rgb2sfnorm__curvature": 0.75, "rgb2mist__rgb2sfnorm__curvature": 0.875, "pixels__curvature": 0.5}


@pytest.mark.parametrize("scalars", [False, True])
def test_python_2_pickles_of_floats_and_numpy_scalars_are_read(tmp_path: Path, scalars: bool) -> None:
    path = tmp_path / "all_affinities_16k.pkl"
    path.write_bytes(python2_pickle(AFFINITIES, scalars=scalars))
    assert read_released(path) == AFFINITIES
    assert pickle.loads(path.read_bytes(), encoding="latin1") == AFFINITIES  # it is what Python reads too


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({key: np.float64(value) for key, value in AFFINITIES.items()}, protocol=protocol))
    assert read_released(path) == AFFINITIES


def test_affinities_and_win_rates_become_one_table_under_our_names(tmp_path: Path) -> None:
    (tmp_path / "all_affinities.pkl").write_bytes(python2_pickle(AFFINITIES, scalars=True))
    (tmp_path / "wins_vs_pixels.pkl").write_bytes(python2_pickle(GAINS, scalars=True))
    table = import_released([tmp_path / "all_affinities.pkl", tmp_path / "wins_vs_pixels.pkl"])
    write_table(tmp_path / "t.csv", table)
    rows = {("+".join(row.sources), row.affinity, row.gain) for row in read_table(tmp_path / "t.csv").fillna(-1.0).itertuples()}
    assert set(table["target"]) == {"principal_curvature"}
    assert rows == {("normal", 0.25, 0.75), ("self", 0.5, -1.0), ("depth_euclidean+normal", 1 / 3, 0.875)}


class Evil:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    path, trace = tmp_path / "all_affinities.pkl", tmp_path / "trace"
    make = f"__import__('os').mkdir({str(trace)!r})"
    for call in (Evil(os.system, f"mkdir {trace}"), Evil(eval, make), Evil(exec, make), Evil(os.mkdir, str(trace))):
        path.write_bytes(pickle.dumps({"rgb2sfnorm__curvature": call}, protocol=protocol))
        with pytest.raises(TaskonomyError, match="refused: it asks for"):
            read_released(path)
        assert not trace.exists()
        pickle.loads(path.read_bytes())  # the attack is real: Python's own reader runs it
        assert trace.exists()
        trace.rmdir()


@pytest.mark.parametrize(
    "content",
    [
        [1.0],
        {"a": [1.0]},
        {"a": {"b": 1.0}},
        {"a": "text"},
        {"a": 1},
        {"a": None},
        {"a": True},
        {("a",): 1.0},
        {"a": np.float32(1)},
        {"a": np.zeros(2)},
        {"a": complex(1, 2)},
        {"a": np.str_("x")},
    ],
)
def test_anything_but_strings_to_float64_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(TaskonomyError, match="refused"):
        read_released(path)


@pytest.mark.parametrize("damage", [b"", b"not a pickle", python2_pickle(AFFINITIES, scalars=True)[:-9], b"\x80\x02]q\x00(K\x01e"])
def test_a_damaged_pickle_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(damage)
    with pytest.raises(TaskonomyError, match="refused"):
        read_released(path)


def test_unknown_names_and_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(python2_pickle({"rgb2sfnrm__curvature": 0.5}, scalars=False))
    with pytest.raises(TaskonomyError, match="unknown 'rgb2sfnrm' \\(did you mean 'rgb2sfnorm'"):
        import_released([path])
    with pytest.raises(TaskonomyError, match="which measurement is it"):
        import_released([tmp_path / "other.pkl"])
