"""Links below a root: what DVC would not see is refused by name, and what it sees is read as if it were there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from by_hand import png, write_folder
from test_prepare import digests, params, release

from taskonomy.cli.main import main
from taskonomy.data.datasets import open_anew
from taskonomy.data.inspect import inspect
from taskonomy.data.prepare.run import prepare
from taskonomy.errors import TaskonomyError

FEW = ("normal", "autoencoding")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("plain"))


def copied(root: Path, into: Path, linked: Callable[[Path], bool]) -> Path:
    """A root like another one, with links to some of its folders or files."""
    into.mkdir(exist_ok=True)
    for path in sorted(root.iterdir()):
        if linked(path):
            (into / path.name).symlink_to(path)
        elif path.is_dir():
            copied(path, into / path.name, linked)
        else:
            (into / path.name).write_bytes(path.read_bytes())
    return into


def omnidata(root: Path, into: Path) -> Path:
    """The same files as <domain>/taskonomy/<building>/."""
    for folder in root.glob("b?/*"):
        target = into / folder.name / "taskonomy" / folder.parent.name
        target.mkdir(parents=True)
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    return into


def own(root: Path) -> Path:
    """Images and labels by name."""
    for folder in ("images", "shade"):
        write_folder(root / folder, {f"p{number}.png": png(np.full((40, 40, 3), number, np.uint8)) for number in range(30)})
    (root / "labels.csv").write_text("image,tone\n" + "".join(f"p{number},{number}\n" for number in range(30)))
    return root


OWN = {"tasks": ("shade", "tone"), "own": {"shade": {"kind": "map", "channels": 3}, "tone": {"kind": "vector", "length": 1}}}


def refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, object], *names: str) -> None:
    """By `inspect`, its command and `prepare`, in one line that names what it is about."""
    said = []
    with pytest.raises(TaskonomyError) as error:
        prepare(root, tmp_path / "out", params(**given), processes=1)
    said.append(str(error.value))
    monkeypatch.setattr(sys, "argv", ["taskonomy", "data", "inspect", str(root)])
    with pytest.raises(SystemExit) as ended:
        main()
    said.append(str(ended.value))
    for line in said:
        assert "\n" not in line
        assert f"{root}: has links to folders, or to nothing: {root / names[0]} -> " in line
        assert "copy or mount the folder there, or name a folder without links in data.root" in line
        for name in names:
            assert f"{root / name} -> {os.readlink(root / name)}" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("which", "names"), [("b2", ["b2"]), ("b4/normal", ["b4/normal"])])
def test_a_linked_folder_of_the_release_is_refused_by_name(plain, tmp_path, monkeypatch, which: str, names: list[str]) -> None:
    root = copied(plain, tmp_path / "root", lambda path: str(path.relative_to(plain)) == which)
    refused(root, tmp_path, monkeypatch, {"tasks": FEW}, *names)
    with pytest.raises(TaskonomyError, match=f"{which} -> .*or an index of this one: taskonomy data index {root} -o data/index.json"):
        inspect(root)


@pytest.mark.parametrize("which", ["normal", "normal/taskonomy", "rgb/taskonomy/b3"])
def test_a_linked_folder_of_other_layouts_is_refused_by_name(plain, tmp_path, monkeypatch, which: str) -> None:
    real = omnidata(plain, tmp_path / "real")
    root = copied(real, tmp_path / "root", lambda path: str(path.relative_to(real)) == which)
    refused(root, tmp_path, monkeypatch, {"tasks": FEW}, which)


@pytest.mark.parametrize("which", ["images", "shade"])
def test_a_linked_folder_of_ones_own_data_is_refused_by_name(tmp_path, monkeypatch, which: str) -> None:
    real = own(tmp_path / "real")
    root = copied(real, tmp_path / "root", lambda path: path.name == which)
    refused(root, tmp_path, monkeypatch, OWN, which)


@pytest.mark.parametrize("to", ["nowhere", ".", "..", "loop"])
def test_links_to_nothing_and_in_circles_are_refused_by_name(plain, tmp_path, monkeypatch, to: str) -> None:
    released, mine = copied(plain, tmp_path / "released", lambda path: False), own(tmp_path / "mine")
    for root, given in ((released, {"tasks": FEW}), (mine, OWN)):
        (root / "loop").symlink_to(to)
        refused(root, tmp_path, monkeypatch, given, "loop")


def test_links_to_files_a_root_that_is_a_link_and_links_above_it_are_read_as_what_they_lead_to(plain, tmp_path) -> None:
    root = copied(plain, tmp_path / "root", lambda path: path.is_file())
    (tmp_path / "linked").symlink_to(root)
    (tmp_path / "above").symlink_to(tmp_path)
    for number, one in enumerate((plain, root, tmp_path / "linked", tmp_path / "above/root")):
        prepare(one, tmp_path / f"out{number}", params(tasks=FEW), processes=1)
    first, *others = (digests(tmp_path / f"out{number}") for number in range(4))
    for found in others:
        assert {name for name in first if first[name] != found[name]} <= {"manifest.json"}  # which names the root


def test_names_that_begin_with_a_dot_are_nobodys_links(plain, tmp_path) -> None:
    root = copied(plain, tmp_path / "root", lambda path: False)
    (root / ".trash").symlink_to(plain)
    assert inspect(root).views == inspect(plain).views


def test_an_index_follows_links_and_differs_when_a_file_behind_one_does(plain, tmp_path, monkeypatch) -> None:
    real = copied(plain, tmp_path / "real", lambda path: False)
    root = copied(real, tmp_path / "root", lambda path: path.name in ("b2", "rgb"))
    index = tmp_path / "index.json"

    def written() -> str:
        monkeypatch.setattr(sys, "argv", ["taskonomy", "data", "index", str(root), "-o", str(index)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return index.read_text()

    before = written()
    assert written() == before
    assert len(open_anew(index).keys) == 42
    prepare(index, tmp_path / "out", params(tasks=FEW), processes=1)
    changed = real / "b2/normal/point_3_view_0_domain_normal.png"
    data = changed.read_bytes()
    changed.write_bytes(data + b"\0")
    assert written() != before


def test_dvc_sees_what_is_read_and_does_not_see_what_is_refused(plain, tmp_path) -> None:
    """DVC itself is asked: it hashes links to files and a root that is a link by content, and misses links to folders. Should it learn to follow
    them, they need not be refused."""
    elsewhere = copied(plain, tmp_path / "elsewhere", lambda path: False)
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for root, linked in (("files", lambda path: path.is_file()), ("folders", lambda path: path.name == "b2")):
        copied(elsewhere, project / "data" / root, linked)
    (project / "data/root").symlink_to(elsewhere)
    stages = {name: {"cmd": "true", "deps": [f"data/{name}"]} for name in ("files", "folders", "root")}
    (project / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}

    def dvc(*command: str) -> str:
        done = subprocess.run([sys.executable, "-m", "dvc", *command], cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("init", "--no-scm", "-q")
    dvc("repro", "-q")
    assert json.loads(dvc("status", "--json")) == {}
    changed = elsewhere / "b2/normal/point_3_view_0_domain_normal.png"
    changed.write_bytes(bytes(len(changed.read_bytes())))
    assert set(json.loads(dvc("status", "--json"))) == {"files", "root"}
