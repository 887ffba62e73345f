"""Entries added in any order come into that of `dvc repro`; every other byte stays."""

import random
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dvc.utils.serialize import dumps_yaml
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.pipeline.lockfile import LockFile, Unfinished, write_entry

HEAD = "schema: '2.0'\nstages:\n"


def entry(name: str) -> str:
    md5 = f"{random.Random(name).getrandbits(64):x}"
    return f"  {name}:\n    cmd: |-\n      echo {name}\n\n      done\n    deps:\n    - path: {name}\n      md5: {md5}\n"


@pytest.mark.parametrize("added", list(permutations("bcd")))
def test_new_entries_follow_the_old_ones_in_the_wanted_order(tmp_path: Path, added: tuple[str, ...]) -> None:
    lock, ignore = tmp_path / "dvc.lock", tmp_path / ".gitignore"
    lock.write_text(HEAD + entry("z") + entry("a") + "datasets: []\n")
    ignore.write_text("x\n\ny\n\n/a\n")
    order = LockFile({str(lock): ["a", "b", "c", "d", "z"]}, {str(ignore): ["/a", "/b", "/c", "/d"]})
    before = order.entries()
    lock.write_text(HEAD + entry("z") + entry("a") + "".join(map(entry, added)) + "datasets: []\n")
    ignore.write_text("x\n\ny\n\n/a\n" + "".join(f"/{name}\n" for name in added))
    ignore.chmod(0o664)
    order.restore(before)
    assert lock.read_text() == HEAD + "".join(map(entry, "zabcd")) + "datasets: []\n"
    assert ignore.read_text() == "x\n\ny\n\n/a\n/b\n/c\n/d\n"
    assert ignore.stat().st_mode & 0o777 == 0o664
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "dvc.lock"]


def test_a_file_that_dvc_did_not_write_is_left_alone(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    order = LockFile({str(lock): ["a", "b"]}, {})
    text = HEAD + " b: {cmd: echo}\n a: {cmd: echo}\n"
    lock.write_text(text)
    order.restore({})
    assert lock.read_text() == text


def test_a_run_that_goes_on_adds_where_one_run_would_have(tmp_path: Path) -> None:
    lock, state = tmp_path / "dvc.lock", tmp_path / "state.json"
    order = LockFile({str(lock): ["a", "b", "c", "d"]}, {})
    lock.write_text(HEAD + entry("d"))
    first = Unfinished(state, order)
    assert not first.resumed
    lock.write_text(HEAD + entry("d") + entry("c"))
    first.note(["b"])  # and is killed while b runs, which ends
    lock.write_text(HEAD + entry("d") + entry("c") + entry("b"))
    second = Unfinished(state, order)
    assert second.resumed
    lock.write_text(HEAD + entry("d") + entry("c") + entry("b") + entry("a"))
    second.close(finished=True)
    assert lock.read_text() == HEAD + "".join(map(entry, "dabc"))
    assert not state.exists()


def test_what_another_command_has_added_since_is_not_moved(tmp_path: Path) -> None:
    lock, state = tmp_path / "dvc.lock", tmp_path / "state.json"
    order = LockFile({str(lock): ["a", "b", "c"]}, {})
    lock.write_text(HEAD)
    Unfinished(state, order).note(())
    text = HEAD + entry("c") + entry("a")  # by dvc repro c, say
    lock.write_text(text)
    run = Unfinished(state, order)
    assert not run.resumed
    run.close(finished=True)
    assert lock.read_text() == text
    state.write_text('{"before": [1')  # torn
    assert not Unfinished(state, order).resumed


def dumped(entries: dict[str, object]) -> str:
    """As DVC writes it."""
    return str(dumps_yaml({"schema": "2.0", "stages": entries}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab: #'-\n{1é", max_size=120),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab: '1", min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["train@normal", "1", "a b", "yes", "x"])
ENTRIES = st.dictionaries(st.sampled_from(["cmd", "deps", "params", "outs"]), VALUES, min_size=1)


@given(st.dictionaries(NAMES, ENTRIES, min_size=1), NAMES, ENTRIES)
def test_an_entry_is_written_as_dvc_would_write_it(before: dict[str, object], name: str, entry: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        lock = Path(folder) / "dvc.lock"
        lock.write_text(dumped(before))
        if write_entry(str(lock), name, dumped({name: entry})):
            assert lock.read_text() == dumped(before | {name: entry})
        else:
            assert lock.read_text() == dumped(before)


@pytest.mark.parametrize(
    "text",
    ["", "schema: '2.0'\nstages: {}\n", "stages:\n  a: {cmd: x}\n", "stages:\n  a:\n    cmd: x\n # by hand\n", "stages:\n  a:\n    cmd: x\n    de"],
)
def test_an_entry_is_not_written_where_dvc_did_not(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "dvc.lock"
    assert not write_entry(str(lock), "b", dumped({"b": {"cmd": "x"}}))
    lock.write_text(text)
    assert not write_entry(str(lock), "b", dumped({"b": {"cmd": "x"}}))
    assert lock.read_text() == text


def test_entries_that_share_a_list_stay_together(tmp_path: Path) -> None:
    """Of `targets: *tasks` in params.yaml DVC makes `&id001` and `*id001`, names that are good in one file only."""
    shared, lock = ["a", "b"], tmp_path / "dvc.lock"
    text = dumped({"first": {"params": {"params.yaml": {"tasks": shared}}}, "second": {"params": {"params.yaml": {"targets": shared}}}})
    assert "&id001" in text
    lock.write_text(text)
    assert not write_entry(str(lock), "third", dumped({"third": {"cmd": "x"}}))
    LockFile({str(lock): ("second", "first")}, {}).restore({})
    assert lock.read_text() == text
    lock.write_text(dumped({"first": {"cmd": "x"}}))
    assert not write_entry(str(lock), "both", dumped({"both": {"deps": shared, "outs": shared}}))
