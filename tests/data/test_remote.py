"""Released data in object storage, on local servers of S3 and of Google's: the same bits as from this machine's disk, and errors of one line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from by_hand import write_tar
from test_prepare import BUILDINGS, digests, params, release

from taskonomy.cli.main import main
from taskonomy.data.datasets import open_anew, open_data
from taskonomy.data.prepare.run import prepare
from taskonomy.errors import TaskonomyError
from taskonomy.release.formats import DamagedFileError, ViewKey
from taskonomy.release.index_file import open_index, write_index
from taskonomy.release.layouts import open_source
from taskonomy.release.object_storage import Remote, _of_protocol, place_of

pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")
TASKS = ("normal", "camera_pose_nonfixated")
# The server runs in this process and leaves its own temporary files open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file <_io.BufferedRandom:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def s3(patch: pytest.MonkeyPatch) -> Iterator[None]:
    running = moto.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield
    running.stop()


@contextmanager
def gs(patch: pytest.MonkeyPatch) -> Iterator[None]:
    # Else it asks Google what kind of bucket it is, for which there are no credentials; read when it is imported.
    patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    for name in ("gcsfs", "gcp_storage_emulator"):
        pytest.importorskip(name, reason="gs:// is tested where gcsfs and gcp-storage-emulator are installed, 80 MB that nothing else here needs")
    from gcp_storage_emulator.server import create_server

    running = create_server("127.0.0.1", 0, in_memory=True)
    running.start()
    host, port = running._api._httpd.server_address
    patch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
    yield
    running.stop()


@pytest.fixture(scope="module", params=[s3, gs], ids=["s3", "gs"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    scheme = request.param.__name__
    with pytest.MonkeyPatch.context() as patch, request.param(patch):
        fsspec.filesystem(scheme, use_listings_cache=False).mkdir("bucket")
        yield f"{scheme}://bucket"


def system_of(server: str) -> Any:
    return fsspec.filesystem(server.partition("://")[0], use_listings_cache=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders, and of two domains tars."""
    root = release(tmp_path_factory.mktemp("release"))
    for building in BUILDINGS[:4]:
        for domain in ("normal", "nonfixated_matches"):
            folder = root / building / domain
            write_tar(root / f"{building}_{domain}.tar", [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())])
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    lines = [f"{building},{int(number < 3)},{int(3 <= number < 5)},{int(number >= 5)}" for number, building in enumerate(BUILDINGS)]
    (root / "train_val_test_tiny.csv").write_bytes("\r".join(["id,train,val,test", *lines]).encode())
    return root


@pytest.fixture(scope="module")
def bucket(server: str, root: Path) -> str:
    system_of(server).put(f"{root}/", f"{server}/deep/release/", recursive=True)
    return f"{server}/deep/release"


def test_prepared_from_a_bucket_is_prepared_from_disk(bucket: str, root: Path, tmp_path: Path) -> None:
    here = prepare(root, tmp_path / "here", params(tasks=TASKS), processes=1)
    there = prepare(bucket, tmp_path / "there", params(tasks=TASKS), processes=2)
    assert here["views"] == there["views"]
    assert there["root"] == bucket
    for name, digest in digests(tmp_path / "here").items():
        assert name == "manifest.json" or digests(tmp_path / "there")[name] == digest


def test_every_file_is_the_same_one_by_one_and_many_at_once(bucket: str, root: Path) -> None:
    here, there = open_source(root), open_source(bucket + "/")
    assert (there.buildings, there.domains, there.layouts) == (here.buildings, here.domains, here.layouts)
    assert there.views() == here.views()
    assert there.splits() == here.splits() != {}
    keys = here.views()[:3]
    there.fetch(keys, there.domains)
    for key in keys:
        for domain in here.domains:
            assert there.read(key, domain) == here.read(key, domain)
            assert there.where(key, domain) == here.where(key, domain).replace(str(root), bucket)
    with pytest.raises(DamagedFileError, match=r"^missing$"):
        there.read(ViewKey("b0", 77, 0), "rgb")


def test_what_cannot_be_is_one_line(server: str, bucket: str, tmp_path: Path, monkeypatch) -> None:
    nobody = server.replace("bucket", "nobody")
    with pytest.raises(TaskonomyError, match=rf"^{nobody}/taskonomy: no such bucket, {nobody}$"):
        open_data(f"{nobody}/taskonomy")
    with pytest.raises(TaskonomyError, match=rf"^{server}/nowhere: no such folder in {server}$"):
        open_data(f"{server}/nowhere")
    with pytest.raises(TaskonomyError, match=rf"^{server}/deep: has nonfixated_matches, normal but no rgb, which every view must have$"):
        open_data(f"{server}/deep")
    with pytest.raises(TaskonomyError, match=r"^ftp://: no storage that can be read; those are s3://, gs://, gcs://$"):
        open_data("ftp://host/data")
    with pytest.raises(TaskonomyError, match=rf"^{server}/deep: cannot be read: .*"):
        Remote(f"{server}/deep")._ask(lambda: 1 / 0)
    with pytest.raises(TaskonomyError, match=rf"^{server}/deep: no permission to read it .*environment$"):
        Remote(f"{server}/deep")._ask(lambda: (_ for _ in ()).throw(PermissionError("Access Denied")))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    _of_protocol.cache_clear()
    with pytest.raises(TaskonomyError, match=r"^gs://: needs gcsfs: pip install 'taskonomy\[remote\]'$"):
        open_data("gs://bucket/taskonomy")


def test_images_by_name_are_not_read_from_a_bucket(server: str) -> None:
    system_of(server).pipe(f"{server}/mine/images/a.png", b"x")
    with pytest.raises(TaskonomyError, match=rf"^{server}/mine: images and labels by name are read from folders of this machine only"):
        open_data(f"{server}/mine")


@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_an_index_stands_for_its_root(where: str, bucket: str, root: Path, tmp_path: Path) -> None:
    place = str(root) if where == "disk" else bucket
    index = tmp_path / "release.json"
    written = write_index(place, index)
    # 7 buildings of 6 views and 7 domains, 2 points; of 4 buildings two domains are a tar each
    assert (written.buildings, written.domains, written.files) == (7, 8, 7 * 6 * 7 + 7 * 2 - 4 * 6 - 4 * 2 + 4 * 2)
    assert written.bytes == sum(path.stat().st_size for path in root.glob("*/*/*")) + sum(path.stat().st_size for path in root.glob("*.tar"))
    source, direct = open_index(index), open_source(place)
    assert source.views() == direct.views()
    assert source.splits() == direct.splits()
    assert (source.layouts, source.domains) == (direct.layouts, direct.domains)
    again = tmp_path / "again.json"
    write_index(place, again)
    assert again.read_bytes() == index.read_bytes()


def test_an_index_changes_with_any_file_and_the_file_alone(root: Path, tmp_path: Path) -> None:
    index = tmp_path / "release.json"
    write_index(root, index)
    before = json.loads(index.read_text())["shelves"]
    path = root / "b5/normal/point_3_view_0_domain_normal.png"
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    write_index(root, index)
    after = json.loads(index.read_text())["shelves"]
    assert [row[:2] for row, other in zip(after, before, strict=True) if row != other] == [["b5", "normal"]]
    splits = root / "train_val_test_tiny.csv"
    old = splits.read_bytes()
    splits.write_bytes(old.replace(b"b0,1,0,0", b"b0,0,1,0"))
    with pytest.raises(
        TaskonomyError, match=r"release\.json: the split lists of .* are not those that it names; write it anew: taskonomy data index"
    ):
        open_data(str(index))
    splits.write_bytes(old)


def test_a_file_that_is_no_index_is_said_to_be_none(tmp_path: Path) -> None:
    for text in ("", "{}", '{"root": 3, "splits": {}, "shelves": []}', "[1]"):
        (tmp_path / "some.json").write_text(text)
        with pytest.raises(TaskonomyError, match=r"some\.json: neither a folder of images nor an index of one; taskonomy data index ROOT -o"):
            open_anew(tmp_path / "some.json")
    (tmp_path / "out.json").write_text(json.dumps({"root": str(tmp_path), "layouts": [], "splits": {}, "shelves": [["a", "rgb", "../x", 1, 1, ""]]}))
    with pytest.raises(TaskonomyError, match=r"'\.\./x' is not below it"):
        open_data(tmp_path / "out.json")


def test_the_commands_take_buckets_and_indexes(bucket: str, tmp_path: Path, monkeypatch, capsys) -> None:
    def run(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["taskonomy", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code, stopped.value.code
        return capsys.readouterr().out

    assert "7 buildings, 8 domains, 284 files" in run("data", "index", bucket, "-o", tmp_path / "index.json")
    told = run("data", "inspect", bucket, "--sample", 3)
    assert "views       42 of 14 points, 3 each" in told
    assert "train 3, val 2, test 2 of the buildings here" in told
    assert run("data", "inspect", tmp_path / "index.json", "--sample", 3) == told


def test_places_are_told_by_their_form() -> None:
    assert place_of("data/world") == Path("data/world")
    assert place_of("s3://bucket/a/") == Remote("s3://bucket/a") == Remote("s3://bucket") / "a"
    assert (Remote("s3://b/x_rgb.tar").suffix, Remote("s3://b/x_rgb.tar").stem, Remote("s3://b/x").name) == (".tar", "x_rgb", "x")
