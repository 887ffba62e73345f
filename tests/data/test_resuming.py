"""A preparation that is killed or fails is gone on with, and gives the bits of one that nothing happened to."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from by_hand import write_folder, write_tar
from test_prepare import BUILDINGS, damaged, digests, release
from test_prepare import params as every_task

from taskonomy.config.data_params import DataParams
from taskonomy.data.prepare import run as module
from taskonomy.data.prepare.arrays import arrays_of, disk_needed
from taskonomy.data.prepare.label_statistics import mean_std
from taskonomy.data.prepare.resume_log import ResumeLog
from taskonomy.data.prepare.run import prepare
from taskonomy.errors import TaskonomyError
from taskonomy.tasks import BUILT_IN

FEW = ("normal", "camera_pose_fixated", "camera_pose_nonfixated")
KILLED = """
import os, signal, sys
from pathlib import Path
from taskonomy.data.prepare import run as module
from taskonomy.config.data_params import DataParams

module.PORTION, left, real = 5, int(sys.argv[4]), getattr(module, sys.argv[5])

def until(*work):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*work)

setattr(module, sys.argv[5], until)
module.prepare(Path(sys.argv[1]), Path(sys.argv[2]), DataParams.model_validate_json(sys.argv[3]), processes=1)
"""


def params(**changes: object) -> DataParams:
    return every_task(**{"tasks": FEW, **changes})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of what a preparation gives that nothing happens to."""
    output = tmp_path_factory.mktemp("whole") / "out"
    prepare(root, output, params(), processes=1)
    return digests(output)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First rows of the portions that are read from now on."""
    read: list[int] = []
    real = module.read_views
    monkeypatch.setattr(module, "read_views", lambda job: (read.append(job.first), real(job))[1])
    return read


def change(root: Path, path: str) -> None:
    """Replace a file by itself: its folder notices."""
    data = (root / path).read_bytes()
    (root / path).unlink()
    (root / path).write_bytes(data)


@pytest.mark.parametrize(("where", "at", "left"), [("read_views", 4, 6), ("pair_views", 3, 0), ("finish", 1, 0)])
def test_a_killed_preparation_goes_on_from_where_it_was(root, whole, tmp_path, monkeypatch, where: str, at: int, left: int) -> None:
    monkeypatch.setattr(module, "PORTION", 5)  # of 42 views: 9 portions
    command = (sys.executable, "-c", KILLED, str(root), str(tmp_path / "out"), params().model_dump_json(), str(at), where)
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    with open(tmp_path / ".out.unfinished/journal", "a") as journal:
        journal.write('["read 8", "torn')  # by a kill in the middle of a line
    read = counted(monkeypatch)
    prepare(root, tmp_path / "out", params(), processes=1)
    assert len(read) == left
    assert digests(tmp_path / "out") == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_changed_meanwhile_is_read_again(root, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PORTION", 6)  # a building each
    mine = Path(shutil.copytree(root, tmp_path / "mine"))
    monkeypatch.setattr(module, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(mine, tmp_path / "out", params(), processes=1)
    change(mine, "b2/normal/point_3_view_0_domain_normal.png")
    read = counted(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        prepare(mine, tmp_path / "out", params(), processes=1)
    assert read == [12]
    # Other parameters, or another view: nothing that was done is of use.
    with pytest.raises(ZeroDivisionError):
        prepare(mine, tmp_path / "out", params(tasks=("autoencoding", "jigsaw")), processes=1)
    assert len(read) == 1 + len(BUILDINGS)
    (mine / "b6/rgb/point_12_view_2_domain_rgb.png").unlink()
    with pytest.raises(ZeroDivisionError):
        prepare(mine, tmp_path / "out", params(tasks=("autoencoding", "jigsaw")), processes=1)
    assert len(read) == 1 + 2 * len(BUILDINGS)


def test_after_damage_only_its_portions_are_read_again(root, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PORTION", 6)
    mine = damaged(root, tmp_path)
    with pytest.raises(TaskonomyError, match="4 of 182 files are damaged"):
        prepare(mine, tmp_path / "out", params(), processes=1)
    read = counted(monkeypatch)
    prepare(mine, tmp_path / "skipped", params(on_bad="skip"), processes=1)
    assert read == [6 * number for number in range(7)]  # a preparation of its own
    read.clear()
    prepare(mine, tmp_path / "out", params(on_bad="skip"), processes=1)
    assert read == [0, 6, 12, 30]
    assert digests(tmp_path / "out") == digests(tmp_path / "skipped")


def test_a_preparation_killed_while_rows_are_taken_out_goes_on(root, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PORTION", 6)
    mine = damaged(root, tmp_path)
    prepare(mine, tmp_path / "whole", params(on_bad="skip"), processes=1)
    from taskonomy.data.prepare import finalize as finishing

    real, done = finishing._keep_rows, []

    def twice(path: Path, good: np.ndarray) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(real(path, good))

    monkeypatch.setattr(finishing, "_keep_rows", twice)
    with pytest.raises(KeyboardInterrupt):
        prepare(mine, tmp_path / "out", params(on_bad="skip"), processes=1)
    shutil.copytree(tmp_path / ".out.unfinished", tmp_path / ".again.unfinished")
    monkeypatch.setattr(finishing, "_keep_rows", real)
    read = counted(monkeypatch)
    prepare(mine, tmp_path / "out", params(on_bad="skip"), processes=1)
    assert read == []
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    # Rows that have moved cannot be read again one by one: then all are.
    change(mine, "b6/normal/point_3_view_0_domain_normal.png")
    prepare(mine, tmp_path / "again", params(on_bad="skip"), processes=1)
    assert len(read) == len(BUILDINGS)
    assert digests(tmp_path / "again") == digests(tmp_path / "whole")


def test_two_at_once_are_refused(root, tmp_path, monkeypatch) -> None:
    def other(*_: object) -> None:
        with pytest.raises(TaskonomyError, match=r"\.out\.unfinished: another process is writing it"):
            prepare(root, tmp_path / "out", params(), processes=1)
        raise KeyboardInterrupt

    real = module.finish
    monkeypatch.setattr(module, "finish", other)
    with pytest.raises(KeyboardInterrupt):
        prepare(root, tmp_path / "out", params(), processes=1)
    monkeypatch.setattr(module, "finish", real)
    prepare(root, tmp_path / "out", params(), processes=1)


def test_a_small_disk_is_refused_before_anything_is_read(root, tmp_path, monkeypatch, capsys) -> None:
    needed = disk_needed([BUILT_IN[name] for name in params().tasks], 32, 42)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed - 1))
    read = counted(monkeypatch)
    with pytest.raises(TaskonomyError, match=r"42 views of 3 tasks at 32 px need 1\.4 MB in .*out, 1\.4 MB are free there; make room"):
        prepare(root, tmp_path / "out", params(), processes=1)
    assert read == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed))
    prepare(root, tmp_path / "out", params(), processes=1)
    assert "need 1.4 MB" in capsys.readouterr().err


def test_the_disk_that_is_needed_is_what_is_written_and_hardly_more(root, tmp_path) -> None:
    params = every_task
    prepare(root, tmp_path / "out", params(), processes=1)
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    needed = disk_needed([BUILT_IN[name] for name in params().tasks], 32, 42)
    arrays = sum(42 * array.row for array in arrays_of([BUILT_IN[name] for name in params().tasks], 32))
    assert arrays < written <= needed < written + 2**20 + 42 * 100
    images = tmp_path / "out/images.npy"
    assert images.stat().st_blocks * 512 >= images.stat().st_size  # no hole that a full disk could not fill


def test_a_journal_keeps_the_last_word_on_each_part(tmp_path: Path) -> None:
    journal = ResumeLog(tmp_path / "journal")
    journal.note("a", "mark", {"x": 1})
    journal.note("b", "mark", 2)
    journal.note("a", "other", 3)
    journal.note("b", "mark", None)
    for one in (journal, ResumeLog(tmp_path / "journal")):
        assert (one.gave("a", "mark"), one.gave("a", "other"), one.gave("b", "mark"), one.gave("c", "")) == (None, 3, None, None)


@pytest.mark.parametrize("rows", [1, 255, 256, 1000])
def test_means_and_spreads_of_blocks_are_those_of_all_to_the_last_bit(rows: int) -> None:
    values = np.random.default_rng(rows).normal(3, 5, (1200, 7)).astype(np.float32)
    chosen = np.sort(np.random.default_rng(0).permutation(1200)[:rows])
    found = mean_std(values, chosen, 7)
    every = values[chosen].astype(np.float64)
    assert found["mean"] == every.mean(0).tolist()
    if rows > 1:
        assert found["std"] == every.std(0).tolist()


def write_over(path: Path, data: bytes, *, dated_back: bool = True) -> None:
    """Into the file that is there: no folder notices, and it is as old as it was."""
    before = path.stat()
    assert len(data) == before.st_size
    with open(path, "r+b") as file:
        file.write(data)
    if dated_back:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns == before.st_mtime_ns) == (before.st_ino, before.st_size, dated_back)


def other_pixels(path: Path) -> bytes:
    """An image of the same size in pixels and in bytes, with other values: stored without compression, both are as long."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return stored(255 - image)


def stored(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()


def interrupted(monkeypatch: pytest.MonkeyPatch, mine: Path, output: Path, given: DataParams) -> None:
    """Everything is read; then comes an interrupt."""
    with monkeypatch.context() as patched:
        patched.setattr(module, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(mine, output, given, processes=1)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("dated_back", [False, True])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_image_that_is_written_over_meanwhile_is_read_again(root, tmp_path, monkeypatch, dated_back: bool, processes: int) -> None:
    """Of the same size, in its place: only the file itself says so."""
    monkeypatch.setattr(module, "PORTION", 6)  # a building each
    mine = Path(shutil.copytree(root, tmp_path / "mine"))
    changed = [mine / f"b2/{domain}/point_3_view_0_domain_{domain}.png" for domain in ("rgb", "normal")]
    for path in changed:
        path.write_bytes(stored(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    for path in changed:
        shutil.rmtree(tmp_path / ".out.unfinished", ignore_errors=True)
        interrupted(monkeypatch, mine, tmp_path / "out", params())
        write_over(path, other_pixels(path), dated_back=dated_back)
        with monkeypatch.context() as patched:
            read = counted(patched)
            if processes == 1:
                prepare(mine, tmp_path / "out", params(), processes=1)
                assert read == [12]
            else:
                prepare(mine, tmp_path / "out", params(), processes=processes)
        prepare(mine, tmp_path / "anew", params(), processes=1)
        assert digests(tmp_path / "out") == digests(tmp_path / "anew")
        shutil.rmtree(tmp_path / "anew")


def test_cameras_and_matches_that_are_written_over_meanwhile_change_the_samples(root, tmp_path, monkeypatch) -> None:
    """Labels of several images follow from them, in a part of their own."""
    monkeypatch.setattr(module, "PORTION", 6)
    mine = Path(shutil.copytree(root, tmp_path / "mine"))
    camera = mine / "b2/point_info/point_3_view_0_domain_point_info.json"
    turned = json.loads(camera.read_text())
    turned["camera_location"] = [1.0, 2.0, 3.0]
    matches = mine / "b4/nonfixated_matches/point_3_view_all_domain_nonfixated_matches.json"
    fewer = {"views": json.loads(matches.read_text())["views"][:1]}
    for path, values, portion in ((camera, turned, 12), (matches, fewer, 24)):
        interrupted(monkeypatch, mine, tmp_path / "out", params())
        before = path.read_bytes()
        write_over(path, json.dumps(values).encode().ljust(len(before)))
        with monkeypatch.context() as patched:
            read = counted(patched)
            prepare(mine, tmp_path / "out", params(), processes=1)
        assert read == [portion]
        prepare(mine, tmp_path / "anew", params(), processes=1)
        assert digests(tmp_path / "out") == digests(tmp_path / "anew")
        write_over(path, before)
        prepare(mine, tmp_path / "before", params(), processes=1)
        assert digests(tmp_path / "out") != digests(tmp_path / "before")
        for name in ("out", "anew", "before"):
            shutil.rmtree(tmp_path / name)


def test_a_tar_that_is_written_over_meanwhile_is_read_again(root, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PORTION", 6)
    tars = tmp_path / "tars"
    for folder in sorted(root.glob("b?/*")):
        write_tar(tars / f"{folder.parent.name}_{folder.name}.tar", [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())])
    interrupted(monkeypatch, tars, tmp_path / "out", params())
    tar = tars / "b2_normal.tar"
    write_over(tar, tar.read_bytes()[::-1][::-1])
    read = counted(monkeypatch)
    prepare(tars, tmp_path / "out", params(), processes=1)
    assert read == [12]


@pytest.mark.parametrize("what", ["images/photo7.png", "shade/photo7.png", "labels.csv"])
def test_what_is_written_over_in_a_folder_of_ones_own_is_read_again(tmp_path, monkeypatch, what: str) -> None:
    monkeypatch.setattr(module, "PORTION", 6)
    rng = np.random.default_rng(0)
    mine, names = tmp_path / "mine", [f"photo{number}" for number in range(30)]
    for folder in ("images", "shade"):
        write_folder(mine / folder, {f"{name}.png": stored(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)) for name in names})
    table = "image,tone\n" + "".join(f"{name},{number % 10}\n" for number, name in enumerate(names))
    (mine / "labels.csv").write_text(table)
    given = params(tasks=("shade", "tone"), own={"shade": {"kind": "map", "channels": 3}, "tone": {"kind": "vector", "length": 1}})
    interrupted(monkeypatch, mine, tmp_path / "out", given)
    path = mine / what
    write_over(path, table.replace("photo7,7", "photo7,3").encode() if path.suffix == ".csv" else other_pixels(path))
    read = counted(monkeypatch)
    prepare(mine, tmp_path / "out", given, processes=1)
    assert len(read) == (5 if path.suffix == ".csv" else 1)
    prepare(mine, tmp_path / "anew", given, processes=1)
    assert digests(tmp_path / "out") == digests(tmp_path / "anew")


def test_a_damaged_journal_is_no_journal(root, whole, tmp_path, monkeypatch, capsys) -> None:
    """One flipped bit, wherever: everything is read again."""
    monkeypatch.setattr(module, "PORTION", 6)
    interrupted(monkeypatch, root, tmp_path / "out", params())
    path = tmp_path / ".out.unfinished/journal"
    data = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(data) - 8, 300, replace=False).tolist():
        path.write_bytes(data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :])
        capsys.readouterr()
        held = ResumeLog(path)
        assert held.gave("arrays", "") is None
        assert capsys.readouterr().err == f"{path}: damaged, so it is removed and its work begins anew\n"
    read = counted(monkeypatch)
    prepare(root, tmp_path / "out", params(), processes=1)
    assert len(read) == len(BUILDINGS)
    assert digests(tmp_path / "out") == whole


def test_damaged_samples_are_found_anew(root, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PORTION", 6)
    interrupted(monkeypatch, root, tmp_path / "out", params())
    first, second, *_others = sorted((tmp_path / ".out.unfinished/pairs").iterdir())
    first.write_bytes(first.read_bytes()[:-7] + b"\0" * 7)
    second.write_bytes(b"")
    read = counted(monkeypatch)
    prepare(root, tmp_path / "out", params(), processes=1)
    assert read == []
    assert digests(tmp_path / "out") == whole
