"""The restricted reader: real Python 2 pickles are read, no pickle runs anything, and none takes longer to refuse than its bytes are worth."""

import io
import os
import pickle
import pickletools
import struct
import sys
import tracemalloc
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.errors import TaskonomyError
from taskonomy.tables import pickle_reader as pickles
from taskonomy.tables.pickle_reader import LIMIT, STEPS
from taskonomy.tables.published_pickles import import_released, read_released
from taskonomy.tables.table import read_table, write_table
from taskonomy.tasks import BUILT_IN


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


DOUBLED = b"".join(b"q%ch%c\x86" % (place, place) for place in range(40))  # each time the value before, twice
# Programs for a pickle's machine, each of which takes Python's own reader long, or makes it hold much, or asks for what no table needs.
HOSTILE = {
    "a key of tuples in tuples, which doubles with each": b"\x80\x02}K\x01" + DOUBLED + b"G" + bytes(8) + b"s.",
    "tuples in tuples": b"\x80\x02}" + b"(" * 100_000 + b"t" * 100_000,
    "marks": b"\x80\x02}" + b"(" * 500_000,
    "values": b"\x80\x02}(" + b"N" * 500_000,
    "memory": b"\x80\x04}" + b"\x94" * 500_000,
    "one value again and again": b"\x80\x02}q\x00(" + b"h\x00" * 250_000,
    "one long string encoded again and again": b"".join(
        [b"\x80\x02}(c_codecs\nencode\nq\0X\0\x10\0\0", b"a" * 4096, b"q\1X\6\0\0\0latin1q\2", b"h\0h\1h\2\x86R" * 50_000]
    ),
    "a string that says it is long": b"\x80\x02}X\xff\xff\xff\xff",
    "a string that says it is shorter than nothing": b"\x80\x02}T\xff\xff\xff\xff",
    "a line without an end": b"\x80\x02}S" + b"'" * 500_000,
    "a long number": b"\x80\x02}L" + b"9" * 500_000 + b"L\n.",
    "a long number of bytes": b"\x80\x02}\x8b\xff\xff\xff\x7f" + b"\xff" * 100,
    "a long whole number": b"\x80\x02}I" + b"9" * 500_000 + b"\n.",
    "an object outside": b"\x80\x02}Pid\n.",
    "an object outside, by value": b"\x80\x02}K\x01Q.",
    "a name of the operating system": b"\x80\x02}cos\nsystem\n.",
    "an extension": b"\x80\x02}\x82\x01.",
    "an instance": b"(ios\nsystem\n.",
    "an object": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "a list": b"\x80\x02].",
    "the state of a dict": b"\x80\x02}(U\x01aNtb.",
    "a call of a dict": b"\x80\x02}U\x01a\x85R.",
    "a frame beyond the end": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
    "frames": b"\x80\x04" + (b"\x95" + bytes(8)) * 100_000,
    "a protocol in the middle": b"\x80\x02}\x80\x02.",
    "a later protocol": b"\x80\x09}.",
    "a second dict": b"\x80\x02}U\x01a}s.",
    "a dict that is no value": b"\x80\x02}q\x00U\x01ah\x00s.",
    "what follows the end": b"\x80\x02}.}",
    "memory that holds nothing": b"\x80\x02}h\x07.",
    "more taken than there is": b"\x80\x02}ss.",
    "values from below a mark": b"\x80\x02}U\x01a(G" + bytes(8) + b"s.",
    "entries without a value": b"\x80\x02}(U\x01au.",
    "an entry twice": b"\x80\x02}(U\x01aG" + bytes(8) + b"U\x01aG" + bytes(8) + b"u.",
    "a float64 of other bytes": python2_pickle({"a__b": 1.0}, scalars=True).replace(b"U\x08", b"U\x07"),
    "a big-endian float64": python2_pickle({"a__b": 1.0}, scalars=True).replace(b"U\x01<", b"U\x01>"),
    "a float32": python2_pickle({"a__b": 1.0}, scalars=True).replace(b"f8", b"f4"),
    "a number with an underscore": b"\x80\x02}(U\x01aF1_0\nu.",
    "too many bytes": b"\x80\x02}(" + b"U\xff" + b"a" * 255 + b"N" * LIMIT,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_at_a_cost_that_its_size_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The work is counted, not timed: lines that run in the reader, and bytes that it holds at once."""
    monkeypatch.setattr(pickles, "STEPS", 5_000)  # counting takes its time
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(HOSTILE[name])
    lines = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != pickles.__file__:
            return None
        lines += event == "line"
        return count

    tracemalloc.start()
    before = sys.gettrace()
    sys.settrace(count)
    try:
        with pytest.raises(TaskonomyError, match="refused: ") as error:
            read_released(path)
    finally:
        sys.settrace(before)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(str(error.value)) < 400 + len(str(path))
    steps = min(len(HOSTILE[name]), 5_000)
    assert lines <= 30 * steps + 300
    assert most <= 2.5 * LIMIT + 200 * steps


def test_a_program_that_grows_with_each_step_is_refused_at_its_first(tmp_path: Path) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(HOSTILE["a key of tuples in tuples, which doubles with each"])
    first = 2 + 1 + 2 + 5  # protocol, dict, number, and one doubling
    with pytest.raises(TaskonomyError, match=rf"a tuple of other things than strings and whole numbers \(byte {first + 4}\)"):
        read_released(path)


def test_a_pickle_cut_off_anywhere_is_refused() -> None:
    for whole in (python2_pickle(AFFINITIES, scalars=True), pickle.dumps(AFFINITIES, protocol=0), pickle.dumps(AFFINITIES, protocol=5)):
        assert pickles.numbers_of(whole) == AFFINITIES
        for length in range(len(whole)):
            with pytest.raises(pickles.RefusedPickleError):
                pickles.numbers_of(whole[:length])


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from([False, True]))
def test_any_bytes_are_read_or_refused(noise: bytes, place: int, scalars: bool) -> None:
    """There is no third way: no other error, and no other content."""
    whole = python2_pickle(AFFINITIES, scalars=scalars)
    for data in (noise, whole[:place] + noise + whole[place:], whole[:place] + noise + whole[place + len(noise) :]):
        try:
            found = pickles.numbers_of(data)
        except pickles.RefusedPickleError:
            continue
        assert all(type(key) is str and type(value) is float for key, value in found.items())


@pytest.mark.parametrize("protocol", range(6))
def test_a_table_as_large_as_the_released_ones_is_within_the_limits(tmp_path: Path, published: pd.DataFrame, protocol: int) -> None:
    keys = {task.name: task.published_key for task in BUILT_IN.values()} | {"self": "self"}
    rows = published.dropna(subset=["affinity"])
    values = {
        "__".join([keys[name] for name in (*sources, target)]): np.float64(value)
        for target, sources, value in zip(rows["target"], rows["sources"], rows["affinity"], strict=True)
    }
    path = tmp_path / "all_affinities_16k.pkl"
    path.write_bytes(pickle.dumps(values, protocol=protocol))
    assert read_released(path) == values
    assert 2 * len(path.read_bytes()) < LIMIT
    assert 2 * sum(1 for _ in pickletools.genops(path.read_bytes())) < STEPS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.25])
def test_what_cannot_be_measured_is_refused_by_the_name_of_its_row(tmp_path: Path, value: float) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(python2_pickle(AFFINITIES | {"rgb2mist__curvature": value}, scalars=True))
    with pytest.raises(TaskonomyError, match=r"entry 'rgb2mist__curvature' must be a finite number >= 0 \(is"):
        import_released([path])


def test_a_win_rate_above_one_is_refused(tmp_path: Path) -> None:
    paths = save(tmp_path, all_affinities=AFFINITIES, wins_vs_pixels=GAINS | {"rgb2sfnorm__curvature": 1.5})
    with pytest.raises(TaskonomyError, match=r"entry 'rgb2sfnorm__curvature': a win rate must be in \[0, 1\] \(is 1.5\)"):
        import_released(paths)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("rgb2mist__rgb2mist__curvature", "a source stands twice in depth_euclidean\\+depth_euclidean"),
        ("segmentsemantic__segmentsemantic_rb__curvature", "a source stands twice in segment_semantic\\+segment_semantic"),
        ("self__rgb2mist__curvature", "'self' stands beside other sources"),
        ("rgb2mist__self", "'self' is a source, not a target"),
        ("curvature", "must be source__target"),
        ("__".join(["rgb2mist"] * 400), "must be source__target"),
        ("rgb2mist__curvature__pixels", "pixels is the baseline, no target"),
    ],
)
def test_names_that_no_table_can_hold_are_refused(tmp_path: Path, key: str, message: str) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(pickle.dumps(AFFINITIES | {key: 0.5}, protocol=2))
    with pytest.raises(TaskonomyError, match=message):
        import_released([path])


def save(folder: Path, **tables: dict[str, float]) -> list[Path]:
    for name, values in tables.items():
        (folder / f"{name}.pkl").write_bytes(python2_pickle(values, scalars=False))
    return [folder / f"{name}.pkl" for name in tables]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"all_affinities_16k": AFFINITIES, "wins_vs_pixels_1k": GAINS}, "all_affinities_16k.pkl of 16k, wins_vs_pixels_1k.pkl of 1k"),
        ({"all_affinities_1k": AFFINITIES, "wins_vs_task": GAINS}, "all_affinities_1k.pkl of 1k, wins_vs_task.pkl of that without a name"),
        ({"my_affinities": AFFINITIES, "my_wins_vs_task": {"self__class_places": 0.5}}, "only one of both has the target class_scene"),
        (
            {"my_affinities": AFFINITIES, "my_wins_vs_task": {"rgb2sfnorm__curvature": 0.5, "rgb2sfnorm__autoencoder__curvature": 0.5}},
            r"lacks 1 transfers of two or more sources that have affinities \(depth_euclidean\+normal -> principal_curvature first\)",
        ),
    ],
)
def test_files_of_two_data_regimes_make_no_table(tmp_path: Path, tables: dict[str, dict[str, float]], message: str) -> None:
    for paths in (save(tmp_path, **tables), save(tmp_path, **tables)[::-1]):
        with pytest.raises(TaskonomyError, match=f"two data regimes.*{message}|another data regime.*{message}"):
            import_released(paths)


def test_unknown_names_and_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "all_affinities.pkl"
    path.write_bytes(python2_pickle({"rgb2sfnrm__curvature": 0.5}, scalars=False))
    with pytest.raises(TaskonomyError, match="unknown 'rgb2sfnrm' \\(did you mean 'rgb2sfnorm'"):
        import_released([path])
    with pytest.raises(TaskonomyError, match="which measurement is it"):
        import_released([tmp_path / "other.pkl"])
