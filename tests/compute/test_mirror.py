"""Copies of a driver's files on another machine: each once, whatever happens to those who asked for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskonomy.compute.file_mirror import FileState, Mirror, all_seen
from taskonomy.errors import TaskonomyError


class Driver:
    """Has files, and counts who asks for them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder / "driver", []
        (self.folder / "codes").mkdir(parents=True)
        (self.folder / "codes/a.npy").write_bytes(b"a" * 1000)
        (self.folder / "codes/b.npy").write_bytes(b"b" * 10)

    def files(self) -> tuple[FileState, ...]:
        return all_seen([self.folder / "codes"])

    def chunks(self, path: Path, size: int) -> Iterator[bytes]:
        self.asked.append(path.name)
        data = path.read_bytes()
        yield from (data[start : start + 300] for start in range(0, size, 300))


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


def bring(mirror: Mirror, driver: Driver) -> dict[str, bytes]:
    for file in driver.files():
        mirror.bring(file, driver.chunks)
    return {path.name: path.read_bytes() for path in mirror.where(driver.folder).rglob("*") if path.is_file()}


def test_a_file_is_fetched_once_for_all_drivers_and_again_when_it_has_changed(driver, tmp_path):
    base = tmp_path / "mirror"
    first, second = Mirror("node", "one", base), Mirror("node", "two", base)
    before = {"a.npy": b"a" * 1000, "b.npy": b"b" * 10}
    assert bring(first, driver) == bring(second, driver) == before
    assert driver.asked == ["a.npy", "b.npy"]
    assert first.root != second.root
    (driver.folder / "codes/a.npy").write_bytes(b"c" * 1000)
    third = Mirror("node", "three", base)
    assert bring(third, driver) == {**before, "a.npy": b"c" * 1000}
    assert driver.asked == ["a.npy", "b.npy", "a.npy"]
    assert (first.where(driver.folder) / "codes/a.npy").read_bytes() == b"a" * 1000  # whoever reads it reads on


def test_a_file_that_changes_while_it_is_copied_is_an_error_and_not_there(driver, tmp_path):
    mirror, (file, _other) = Mirror("node", "one", tmp_path / "mirror"), driver.files()
    with pytest.raises(TaskonomyError, match=r"a\.npy: changed while it was copied"):
        mirror.bring(file, lambda path, size: iter([b"short"]))
    assert not mirror.where(file.path).exists()
    mirror.bring(file, driver.chunks)
    assert mirror.where(file.path).read_bytes() == b"a" * 1000


def test_what_drivers_and_machines_that_have_ended_left_is_removed_and_no_other(driver, tmp_path):
    base = tmp_path / "mirror"
    script = (
        "import sys; from pathlib import Path; from taskonomy.compute.file_mirror import Mirror\n"
        "for node, driver in (('old', 'x'), ('node', 'ended')):\n"
        "    root = Mirror(node, driver, Path(sys.argv[1])).root; (root / 'file').touch(); print(root)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    roots = subprocess.run((sys.executable, "-c", script, base), env=environment, check=True, capture_output=True, text=True).stdout.split()
    live = Mirror("node", "live", base)
    bring(live, driver)
    Mirror("node", "new", base)
    assert [Path(root).exists() for root in roots] == [False, False]
    assert not (base / "old").exists()
    assert (live.where(driver.folder) / "codes/a.npy").exists()
    assert len([path for path in (base / "node/files").iterdir() if path.suffix != ".held"]) == 2
