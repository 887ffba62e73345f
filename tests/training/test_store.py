"""The store of finished units: what is written comes back, damage never does, and clearing removes what nobody uses."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from enum import StrEnum
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import once
from waiting import HANG

from taskonomy.errors import TaskonomyError
from taskonomy.machine.terminal import byte_size
from taskonomy.store.store import Store, code_digest, digest_of, key_of, store_root, usage

KEY, OTHER = key_of(unit=1), key_of(unit=2)
ARRAYS = {
    "losses": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    "half": np.array([1.5, -0.0, np.inf], np.float16),
    "images": np.array([[2**40, -1]], np.int64),
    "solved": np.array([True, False, True]),
    "none": np.zeros((0, 7), np.float32),
    "one": np.array(3.25),
}
FACTS = {"epochs": 3, "best": 0.1 + 0.2, "history": [1.0, 0.5], "target": "normal", "diverged": None, "π": {"a": [True]}}


class Colour(StrEnum):
    RED = "red"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "units")


def path_of(store: Store, key: str = KEY) -> Path:
    return store.root / key[:2] / f"{key}.unit"


# Units


def test_a_unit_comes_back_bit_for_bit(store: Store) -> None:
    assert store.read(KEY) is None
    assert not store.has(KEY)
    store.write(KEY, ARRAYS, FACTS)
    unit = store.read(KEY)
    assert unit is not None
    assert unit.facts == FACTS
    assert unit.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert unit.arrays[name].dtype == array.dtype
        assert unit.arrays[name].shape == array.shape
        assert unit.arrays[name].tobytes() == array.tobytes()
    assert store.has(KEY)
    assert list(store.keys()) == [KEY]
    assert store.size() == path_of(store).stat().st_size


def test_a_unit_of_nothing_comes_back(store: Store) -> None:
    store.write(KEY, {}, {})
    unit = store.read(KEY)
    assert unit is not None
    assert (unit.arrays, unit.facts) == ({}, {})


@pytest.mark.parametrize("array", [np.arange(12.0).reshape(3, 4).T, np.arange(12)[::-3], np.arange(4, dtype=">f4"), np.asfortranarray(np.eye(3, 4))])
def test_how_an_array_lies_in_memory_does_not_matter(store: Store, array: np.ndarray) -> None:
    store.write(KEY, {"x": array}, {})
    unit = store.read(KEY)
    assert unit is not None
    np.testing.assert_array_equal(unit.arrays["x"], array)


def test_writing_again_replaces_and_equal_content_is_equal_bytes(store: Store) -> None:
    store.write(KEY, ARRAYS, FACTS)
    before = path_of(store).read_bytes()
    store.write(KEY, {}, {"second": 2})
    unit = store.read(KEY)
    assert unit is not None
    assert unit.facts == {"second": 2}
    store.write(KEY, dict(reversed(ARRAYS.items())), FACTS)
    assert path_of(store).read_bytes() == before
    store.remove(KEY)
    store.remove(KEY)
    assert store.read(KEY) is None


@pytest.mark.parametrize("array", [np.array([{"a": 1}], dtype=object), np.array(["a"]), np.zeros(2, "V4"), np.zeros(2, "M8[s]")])
def test_only_numbers_are_stored(store: Store, array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="'x' of a unit must hold numbers"):
        store.write(KEY, {"x": array}, {})
    with pytest.raises(TypeError):
        store.write(KEY, {}, {"x": array})
    assert not store.has(KEY)


@pytest.mark.parametrize("key", ["", "ab", "../" + KEY, "../../etc/passwd", KEY.upper(), KEY + "\n", KEY[:-1] + "/", KEY + "0", "é" * 32])
def test_a_key_that_is_no_digest_names_no_file(store: Store, key: str) -> None:
    for use in (store.read, store.has, store.unfinished, store.remove, lambda key: store.write(key, {}, {})):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            use(key)
    assert not store.root.exists()


def test_others_may_read_what_the_umask_lets_them(store: Store) -> None:
    umask = os.umask(0o027)
    try:
        store.write(KEY, ARRAYS, FACTS)
    finally:
        os.umask(umask)
    assert path_of(store).stat().st_mode & 0o777 == 0o640
    assert path_of(store).parent.stat().st_mode & 0o777 == 0o750


def test_a_store_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file where the folder should be")
    with pytest.raises(TaskonomyError, match=rf"{KEY}.unit: "):
        Store(tmp_path / "units").write(KEY, {}, {})
    with pytest.raises(TaskonomyError, match=rf"{KEY}.state: "):
        Store(tmp_path / "units").unfinished(KEY)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_clear_error_and_leaves_the_old_unit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full stands for a full disk: every write to it fails with 'No space left on device'."""
    store.write(KEY, {}, {"old": 1})
    with monkeypatch.context() as patched:
        patched.setattr("taskonomy.atomic_io.open", lambda path, *rest: open("/dev/full", *rest), raising=False)  # noqa: SIM115
        with pytest.raises(TaskonomyError, match=rf"{KEY}.unit: No space left on device"):
            store.write(KEY, ARRAYS, FACTS)
    unit = store.read(KEY)
    assert unit is not None
    assert unit.facts == {"old": 1}


def test_finishing_a_unit_forgets_the_state_of_its_training(store: Store) -> None:
    store.unfinished(KEY).write_bytes(b"state")
    store.unfinished(OTHER).write_bytes(b"state")
    assert store.unfinished(KEY) == store.root / "unfinished" / f"{KEY}.state"
    assert set(store.states()) == {KEY, OTHER}
    assert store.size() == 10
    store.write(KEY, {}, {})
    assert list(store.states()) == [OTHER]
    assert list(store.keys()) == [KEY]


# Damage


def assert_noticed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert store.read(KEY) is None
    said = capsys.readouterr().err
    assert said.splitlines() == [f"{path_of(store)}: damaged, so it is removed and made again"]
    assert not store.has(KEY)
    assert store.read(KEY) is None
    assert capsys.readouterr().err == ""


def test_any_flipped_bit_is_noticed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write(KEY, ARRAYS, FACTS)
    whole = path_of(store).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path_of(store).write_bytes(damaged)
        assert_noticed(store, capsys)


def test_any_truncation_is_noticed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write(KEY, ARRAYS, FACTS)
    whole = path_of(store).read_bytes()
    for length in range(len(whole)):
        path_of(store).write_bytes(whole[:length])
        assert_noticed(store, capsys)


@pytest.mark.parametrize("damage", ["appended", "zeros", "text", "bare safetensors"])
def test_other_content_is_noticed(store: Store, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    store.write(KEY, ARRAYS, FACTS)
    whole = path_of(store).read_bytes()
    other = {"appended": whole + b"\0", "zeros": bytes(len(whole)), "text": b"version https://git-lfs", "bare safetensors": whole[16:]}
    path_of(store).write_bytes(other[damage])
    assert_noticed(store, capsys)
    store.write(KEY, ARRAYS, FACTS)
    assert path_of(store).read_bytes() == whole


def test_a_unit_under_the_name_of_another_is_noticed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write(OTHER, ARRAYS, FACTS)
    path_of(store).parent.mkdir(exist_ok=True)
    shutil.copy(path_of(store, OTHER), path_of(store))
    assert_noticed(store, capsys)
    assert store.read(OTHER) is not None


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(store: Store) -> None:
    path_of(store).mkdir(parents=True)
    with pytest.raises(TaskonomyError, match=f"{KEY}.unit: Is a directory"):
        store.read(KEY)


# Two processes


def write_often(root: Path, writer: int) -> int:
    """Write the same unit again and again; every read meanwhile must find a whole one."""
    store = Store(root)
    whole = 0
    for _ in range(60):
        store.write(KEY, {"x": np.full(50_000, writer)}, {"writer": writer})
        unit = store.read(KEY)
        whole += unit is not None and set(unit.arrays["x"].tolist()) == {unit.facts["writer"]}
    return whole


def test_processes_may_write_the_same_unit_at_once(store: Store) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(write_often, [store.root] * 2, [1, 2])) == [60, 60]
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == [f"{KEY}.unit"]


# Keys

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abcdef"), PLAIN, min_size=1), PLAIN)
def test_a_key_depends_on_every_value_and_not_on_order(what: dict[str, Any], value: Any) -> None:
    key = key_of(**what)
    assert len(key) == 32
    assert key == key_of(**dict(reversed(what.items())))
    name = next(iter(what))
    assert (key_of(**{**what, name: value}) == key) == (json.dumps(value, sort_keys=True) == json.dumps(what[name], sort_keys=True))
    assert key_of(**what, new=None) != key


def test_values_that_mean_the_same_give_the_same_key() -> None:
    assert key_of(x=(1, (2, 3))) == key_of(x=[1, [2, 3]])
    assert key_of(x=Colour.RED, y={Colour.RED: 1}) == key_of(x="red", y={"red": 1})
    different: list[Any] = [1, 1.0, "1", True, None, [1], [[1]], {"1": 1}, 0.1, np.nextafter(0.1, 1).item(), 0.0, -0.0, {}, [], ""]
    assert len({key_of(x=value) for value in different}) == len(different)


def test_the_key_of_a_unit_stays_what_it_was() -> None:
    """Stores outlive releases: a changed digest would make every finished unit again."""
    text = b'{"epochs":3,"kinds":["a","red"],"rate":0.001,"task":"normal"}'
    assert key_of(task="normal", epochs=3, rate=1e-3, kinds=("a", Colour.RED)) == blake2b(text, digest_size=16).hexdigest()


@pytest.mark.parametrize("value", [np.zeros(1), np.int64(1), Path("x"), b"x", {1}, {1: 2}, [object()], {"a": {None: 1}}])
def test_what_is_not_plain_data_determines_no_unit(value: Any) -> None:
    with pytest.raises(TypeError, match="x"):
        key_of(x=value)


# Digests of arrays


@given(st.sampled_from(["f4", ">f8", "i8", "?", "f2", "u1", "M8[s]", "U3"]), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 99))
def test_a_digest_is_of_content_and_not_of_layout(dtype: str, shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)
    digest = digest_of(array)
    assert digest == digest_of(np.asfortranarray(array))
    padded = np.zeros([2 * n for n in shape], dtype)[tuple(slice(None, None, 2) for _ in shape)]
    padded[...] = array
    assert digest == digest_of(padded)
    assert digest not in (digest_of(array[None]), digest_of(array, array), digest_of())
    if array.size and array.dtype.kind != "U":
        changed = array.copy()
        changed.flat[-1] = 1 - changed.flat[-1].astype(int)
        assert digest_of(changed) != digest


def test_a_digest_knows_where_an_array_ends_and_its_dtype() -> None:
    x = np.arange(6, dtype=np.int32)
    all_ = [digest_of(x), digest_of(x.reshape(2, 3)), digest_of(x.view(np.uint32)), digest_of(x[:3], x[3:]), digest_of(x[:2], x[2:])]
    assert len({*all_, digest_of(np.array(0)), digest_of(np.zeros(1, int)), digest_of(np.zeros((1, 0))), digest_of(np.zeros(0))}) == 9
    assert digest_of(np.zeros(2, [("a", "i4"), ("b", "i4")])) != digest_of(np.zeros(2, [("a", "i4"), ("c", "i4")]))
    with pytest.raises(TypeError, match="objects"):
        digest_of(np.array([None]))


def test_large_arrays_are_hashed_in_blocks_and_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).random((97, 31))
    whole = digest_of(array)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for block in (1, 8, 100, 10**9):
        monkeypatch.setattr("taskonomy.store.store._BLOCK", block)
        assert digest_of(array) == digest_of(mapped) == digest_of(np.asfortranarray(array)) == whole


# Digests of code

CODE = '''"""A module."""

import os  # why

LIMIT = 3


class Net:
    """A class."""

    def run(self, x: int) -> int:
        """Docstring."""
        return x + LIMIT
'''


def digest_with(root: Path, text: str) -> str:
    (root / "models/deep").mkdir(parents=True, exist_ok=True)
    (root / "models/__init__.py").write_text("")
    (root / "models/deep/layer.py").write_text(text)
    code_digest.cache_clear()
    return code_digest("taskonomy.models", root=root)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""A module."""\n', "", True),
        ('"""Docstring."""', '"""Another,\n\n        longer."""', True),
        ("  # why", "", True),
        ("x + LIMIT", "(x   +\n                LIMIT)", True),
        ("class Net:", "\n# more\nclass Net():", True),
        ("LIMIT = 3", "LIMIT = 4", False),
        ("LIMIT = 3", "LIMIT = 3.0", False),
        ("x + LIMIT", "x - LIMIT", False),
        ("x: int)", "x: int = 0)", False),
        ("import os", "import sys", False),
    ],
)
def test_only_code_that_runs_counts(tmp_path: Path, old: str, new: str, same: bool) -> None:
    assert old in CODE
    assert (digest_with(tmp_path, CODE) == digest_with(tmp_path, CODE.replace(old, new))) == same


def test_modules_are_named_with_dots_and_counted_without_importing(tmp_path: Path) -> None:
    package = digest_with(tmp_path, CODE)
    assert package == code_digest("models", root=tmp_path) == code_digest("models", "models.deep.layer", root=tmp_path)
    (tmp_path / "data.py").write_text("raise RuntimeError('imported')\n")
    both = code_digest("models", "data", root=tmp_path)
    assert both == code_digest("taskonomy.data", "taskonomy.models", root=tmp_path) == code_digest("taskonomy", root=tmp_path)
    assert len({both, package, code_digest("data", root=tmp_path)}) == 3
    (tmp_path / "models/deep/layer.py").rename(tmp_path / "models/layer.py")
    code_digest.cache_clear()
    assert code_digest("models", root=tmp_path) != package
    for wrong in ("nest", "models.deep", "", "..nets", "models/deep", "data.x"):
        with pytest.raises(ModuleNotFoundError, match="no module"):
            code_digest(wrong, root=tmp_path)


def test_the_modules_of_this_project_are_found_and_torch_is_not_imported() -> None:
    program = (
        "import sys; from taskonomy.store.store import code_digest\n"
        "print(code_digest('taskonomy.models', 'taskonomy.training.trainer'), 'torch' in sys.modules, 'taskonomy.models' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=HANG)
    assert done.stdout.split() == [code_digest("taskonomy.models", "taskonomy.training.trainer"), "False", "False"]


# Where the store is


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DVC project, apart from the machine's own configuration of DVC and git."""
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\n\tname = n\n\temail = n@example.org\n")
    (tmp_path / "project/.dvc").mkdir(parents=True)
    return tmp_path / "project"


def cache_dir(file: Path, folder: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[core]\n    analytics = false\n[cache]\n    dir = {folder}\n['remote \"other\"']\n    url = /else\n")


def test_the_store_is_beside_dvcs_cache_wherever_that_is(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_root(project) == project / ".dvc/units"
    cache_dir(tmp_path / "SYSTEM/config", "/system/cache")
    assert store_root(project) == Path("/system/units")
    cache_dir(tmp_path / "GLOBAL/config", "~/cache")
    assert store_root(project) == Path.home() / "units"
    cache_dir(project / ".dvc/config", "../../shared/cache")
    assert store_root(project) == tmp_path / "shared/units"
    cache_dir(project / ".dvc/config.local", "/local/cache")
    assert store_root(project) == Path("/local/units")
    monkeypatch.chdir(project)
    assert store_root() == Path("/local/units")
    (project / ".dvc/config.local").unlink()
    assert store_root() == tmp_path / "shared/units"


@pytest.mark.parametrize(("config", "message"), [("[cache\n", "config"), ("[cache]\ndir = s3://bucket/cache\n", "a folder of this machine")])
def test_a_configuration_that_names_no_folder_is_an_error(project: Path, config: str, message: str) -> None:
    (project / ".dvc/config").write_text(config)
    with pytest.raises(TaskonomyError, match=message):
        store_root(project)


def test_without_dvc_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match=r"\.dvc: no such folder"):
        store_root(tmp_path)


# Who uses what, in a real project


def run(folder: Path, *command: str, status: int = 0) -> str:
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([str(program) if program.exists() else command[0], *command[1:]], cwd=folder, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


STAGE = """
import sys
from pathlib import Path
from taskonomy.store.store import Store, key_of, store_root
Path("models/normal").mkdir(parents=True)
keys = [key_of(unit=number) for number in Path("params.yaml").read_text().split()[1:]]
for key in keys:
    Store(store_root()).write(key, {}, {})
Path("models/normal/units.csv").write_text("".join(f"{line}\\n" for line in ["unit,key", *(f"x,{key}" for key in keys)]))
"""


def keys(*numbers: int) -> set[str]:
    return {key_of(unit=str(number)) for number in numbers}


@pytest.fixture
def used(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a history, to be changed."""
    return Path(shutil.copytree(once(tmp_path_factory, "used", with_history), project, symlinks=True, dirs_exist_ok=True))


def with_history(project: Path) -> None:
    """Two commits that use units 1, 2 and 2, 3; an experiment that uses 4; a side branch, merged without effect, that uses 5; 6 is unused."""
    run(project, "git", "init", "-q")
    run(project, "dvc", "init", "-q")
    (project / "stage.py").write_text(STAGE)
    (project / ".gitignore").write_text("/models\n")
    (project / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {sys.executable} stage.py\n    params: [units]\n    outs: [models/normal]\n")

    def commit(units: str) -> None:
        (project / "params.yaml").write_text(f"units: {units}\n")
        run(project, "dvc", "repro", "-q")
        run(project, "git", "add", "-A")
        run(project, "git", "commit", "-q", "-m", units)

    commit("1 2")
    main = run(project, "git", "branch", "--show-current").strip()
    run(project, "git", "checkout", "-q", "-b", "side")
    commit("5")
    commit("1 2")
    run(project, "git", "checkout", "-q", main)
    (project / "note").write_text("x")
    run(project, "git", "add", "note")
    run(project, "git", "commit", "-q", "-m", "note")
    run(project, "git", "merge", "-q", "-m", "merge", "side")
    run(project, "git", "branch", "-D", "side")
    commit("2 3")
    run(project, "dvc", "exp", "run", "-q", "--temp", "-S", "units=4 4")
    Store(project / ".dvc/units").write(*keys(6), {}, {})


def test_cache_tells_what_revisions_use_and_clears_the_rest(used: Path) -> None:
    store = Store(used / ".dvc/units")
    # The experiment ran in a copy of the workspace and wrote into this store.
    assert set(store.keys()) == keys(1, 2, 3, 4, 5, 6)
    found = usage(used)
    assert (found.workspace, found.revisions, found.gone, found.unreadable) == (keys(2, 3), keys(1, 2, 3, 4, 5), 0, ())
    shown = run(used, "taskonomy", "cache")
    assert [line.split() for line in shown.splitlines()] == [
        ["store", f"{used}/.dvc/units,", *byte_size(store.size()).split()],
        ["units", "6"],
        ["used", "by", "workspace", "2,", "git", "revisions", "5,", "none", "1"],
        ["unfinished", "0"],
    ]
    assert set(store.keys()) == keys(1, 2, 3, 4, 5, 6)

    resumed, finished = key_of(unit="new"), key_of(unit="1")
    for key in (resumed, finished):
        store.unfinished(key).write_bytes(b"state")
    assert "removed     units 1, unfinished 1" in run(used, "taskonomy", "cache", "--clear")
    assert set(store.keys()) == keys(1, 2, 3, 4, 5)
    assert list(store.states()) == [resumed]
    assert "removed     units 0, unfinished 0, 0 bytes" in run(used, "taskonomy", "cache", "--clear")

    # What the workspace uses and no commit does is in use.
    run(used, "git", "checkout", "-q", "--orphan", "empty")
    for line in run(used, "git", "for-each-ref", "--format=%(refname)").split():
        run(used, "git", "update-ref", "-d", line)
    with open(used / "models/normal/units.csv", "a") as file:
        file.write(f"x,{key_of(unit='4')}\n")
    assert (usage(used).workspace, usage(used).revisions) == (keys(2, 3, 4), set())
    assert "removed     units 2," in run(used, "taskonomy", "cache", "--clear")
    assert set(store.keys()) == keys(2, 3, 4)

    assert "--all goes with --clear" in run(used, "taskonomy", "cache", "--all", status=1)
    (store.root / "notes.txt").write_text("not ours")
    run(used, "taskonomy", "cache", "--clear", "--all")
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["notes.txt"]


def test_what_is_gone_is_counted_and_what_is_damaged_stops_clearing(used: Path) -> None:
    store = Store(used / ".dvc/units")
    listings = {json.loads(path.read_text())[0]["md5"]: path for path in (used / ".dvc/cache/files/md5").rglob("*.dir")}
    tables = {digest: (used / ".dvc/cache/files/md5" / digest[:2] / digest[2:]) for digest in listings}
    holds = {number: next(digest for digest in tables if key_of(unit=number) in tables[digest].read_text()) for number in "145"}
    for path in [*listings.values(), *tables.values()]:
        path.chmod(0o644)

    tables[holds["5"]].unlink()
    listings[holds["1"]].unlink()
    found = usage(used)
    assert (found.workspace, found.revisions, found.gone, found.unreadable) == (keys(2, 3), keys(2, 3, 4), 2, ())
    assert "not asked   2 outputs" in run(used, "taskonomy", "cache")

    text = tables[holds["4"]].read_text()
    for damage in ("", "unit\nx\n", text[:-5], "unit,key\nx\n"):
        tables[holds["4"]].write_text(damage)
        printed = run(used, "taskonomy", "cache", "--clear", status=1)
        assert "unreadable " in printed
        assert printed.splitlines()[-1].startswith("error: nothing removed: ")
    tables[holds["4"]].write_text(text)
    whole = listings[holds["4"]].read_text()
    for damage in ("", whole[:-4], "{}", "[1]", '[{"md5": "0"}]'):
        listings[holds["4"]].write_text(damage)
        assert usage(used).unreadable != ()
    listings[holds["4"]].write_text(whole)
    assert usage(used).unreadable == ()

    (used / "models/normal/units.csv").write_text("nothing")
    assert "no column `key`" in run(used, "taskonomy", "cache", "--clear", status=1)
    shutil.rmtree(used / "models")
    lock = (used / "dvc.lock").read_text()
    (used / "dvc.lock").write_text(f"<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> side\n")
    assert "a dvc.lock: " in usage(used).unreadable[0]
    (used / "dvc.lock").write_text(lock)
    shutil.move(used / ".git/HEAD", used / ".git/head")
    assert "git: " in usage(used).unreadable[0]
    assert set(store.keys()) == keys(1, 2, 3, 4, 5, 6)

    shutil.rmtree(used / ".git")
    assert (usage(used).workspace, usage(used).revisions, usage(used).unreadable) == (keys(2, 3), set(), ())
    run(used, "taskonomy", "cache", "--clear")
    assert set(store.keys()) == keys(2, 3)


def test_a_project_without_outputs_uses_nothing(project: Path) -> None:
    assert usage(project).workspace == set()
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: f\n      md5: '0'\n")
    assert usage(project).unreadable == ()
    (project / "dvc.lock").write_text("schema: '2.0'\ndatasets: []\n")
    assert usage(project).unreadable == ()
