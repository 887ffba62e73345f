"""A real Ray cluster of two nodes on this machine: what it gives, and what it survives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from parts import Part, fails, lines
from tiny import files_of, tiny_context
from waiting import until

from taskonomy.compute.executor import LOCAL, executor_of
from taskonomy.config.execution_params import ExecutionParams
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store
from taskonomy.training.transfer_context import BASELINES
from taskonomy.transfers.transfers import transfers_to

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytest.importorskip("ray", reason="Ray is not installed: the optional extra `cluster` brings it")
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Ray's own two nodes; their workers find the functions of these tests."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()


def on(nodes: Any, **changes: Any) -> ExecutionParams:
    return ExecutionParams(engine="ray", address=nodes.address, **changes)


def parts(folder: Path, count: int, store: str = "store", **what: Any) -> list[Part]:
    read = folder / "numbers"
    read.write_bytes(bytes(range(100)))
    return [Part(number, folder / store, read, str(folder / "events"), **what) for number in range(count)]


def test_bits_are_those_of_one_machine_and_each_file_travels_once_to_a_machine(nodes, prepared, trained, tmp_path):
    sources = ("autoencoding", "normal", "random_projection")

    def job(store):
        return tiny_context(prepared.root, trained / "codes", tmp_path / store, "camera_pose_fixated", *sources, max_order=1)

    transfers_to(job("here"), executor=LOCAL)
    with executor_of(on(nodes, inputs="copy")) as cluster:
        done = transfers_to(job("there"), executor=cluster)
        sent = cluster.sent()
    assert len(done.units) == len(BASELINES) + len(sources)
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")
    assert str(trained / "codes/normal/image.npy") in sent
    assert set(sent.values()) <= {1, 2}  # machines, of which each may have had two workers or more


def test_a_worker_that_is_killed_is_replaced(nodes, tmp_path, capfd):
    todo = parts(tmp_path, 4, die=True)[:1] + parts(tmp_path, 4)[1:]
    with executor_of(on(nodes)) as cluster:
        found = sorted(value for _work, value in cluster.submit([part.work() for part in todo]))
        assert found == [0, 1, 2, 3]
        assert cluster.tally.deaths == 1
        assert cluster.sent() == {}  # nothing had to travel: both nodes see the same files
    assert sorted(line.split()[0] for line in lines(str(tmp_path / "events"))) == ["0", "0", "1", "2", "3"]
    assert "a worker died over part 0, which another one does again" in capfd.readouterr().err
    once, elsewhere = on(nodes, kinds={"transfer": {"retries": 0}}), tmp_path / "once"
    elsewhere.mkdir()
    with executor_of(once) as cluster, pytest.raises(TaskonomyError, match=r"part 0: 1 of its workers died, .* is 0"):
        list(cluster.submit([part.work() for part in parts(elsewhere, 1, die=True)]))


def test_a_node_that_is_lost_is_done_without(nodes, tmp_path):
    import ray

    lost = nodes.add_node(**NODE)
    gone = str(tmp_path / "gone")
    todo = parts(tmp_path, 3, hold=gone)  # one on each node, and none ends before one node is lost
    with executor_of(on(nodes)) as cluster:
        node = next(one["NodeID"] for one in ray.nodes() if one["NodeManagerPort"] == lost.node_manager_port)

        def lose() -> None:
            until(lambda: any(node in line for line in lines(todo[0].events)))
            (worker,) = (int(line.split()[1]) for line in lines(todo[0].events) if node in line)
            nodes.remove_node(lost, allow_graceful=False)
            until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie")  # it outlives its node by a moment
            Path(gone).touch()

        thread = Thread(target=lose)
        thread.start()
        assert sorted(value for _work, value in cluster.submit([part.work() for part in todo])) == [0, 1, 2]
        thread.join()
        assert cluster.tally.deaths >= 1
    where = [line.split()[2] for line in lines(todo[0].events)]
    assert where.count(node) == 1
    assert len(where) == 4  # what the lost node had begun was done elsewhere, and nothing else again


def test_a_driver_that_is_killed_and_started_again_repeats_nothing_that_was_finished(nodes, tmp_path):
    todo = parts(tmp_path, 5)
    todo[3] = replace(todo[3], hold=str(tmp_path / "never"))
    driver = subprocess.Popen(
        (sys.executable, "-c", DRIVER, nodes.address, str(tmp_path)), env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    until(lambda: (len(lines(todo[0].events)) == 5 and len(files_of(tmp_path / "store")) == 4) or driver.poll() is not None)
    assert driver.poll() is None
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    begun = [int(line.split()[1]) for line in lines(todo[0].events) if line.startswith("3 ")]
    until(lambda: not psutil.pid_exists(begun[0]))  # Ray ends what worked for it
    store = Store(tmp_path / "store")
    with executor_of(on(nodes)) as cluster:
        left = [part.work() for part in todo if store.read(part.key) is None]
        assert [value for _work, value in cluster.submit(left)] == [3]
    assert sorted(line.split()[0] for line in lines(todo[0].events)) == ["0", "1", "2", "3", "3", "4"]
    here = [replace(part, store=tmp_path / "here", events=str(tmp_path / "events here")) for part in todo]
    list(LOCAL.submit([replace(part, hold="").work() for part in here]))
    assert files_of(tmp_path / "here") == files_of(tmp_path / "store")


DRIVER = """
import sys
from dataclasses import replace
from pathlib import Path
from parts import Part
from taskonomy.compute.executor import executor_of
from taskonomy.config.execution_params import ExecutionParams

address, folder = sys.argv[1], Path(sys.argv[2])
todo = [Part(number, folder / "store", folder / "numbers", str(folder / "events")) for number in range(5)]
todo[3] = replace(todo[3], hold=str(folder / "never"))
with executor_of(ExecutionParams(engine="ray", address=address)) as cluster:
    list(cluster.submit([part.work() for part in todo]))
"""


def test_an_error_of_a_unit_is_raised_once_and_not_tried_again(nodes, tmp_path):
    (part,) = parts(tmp_path, 1)
    wrong = replace(part.work(), function=fails)
    with executor_of(on(nodes)) as cluster, pytest.raises(TaskonomyError) as caught:
        list(cluster.submit([wrong]))
    assert str(caught.value) == "it cannot be done"
    assert "in a worker of the cluster" in caught.value.__notes__[0]
    assert len(lines(part.events)) == 1


def test_no_cluster_is_one_line():
    with (
        pytest.raises(TaskonomyError, match=r"^execution\.address: 127\.0\.0\.1:1: no Ray cluster that this machine belongs to"),
        executor_of(ExecutionParams(engine="ray", address="127.0.0.1:1")),
    ):
        pass
