"""Who is served, and who is not; and the command that serves."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import PUBLISHED, random_table

from taskonomy.errors import TaskonomyError
from taskonomy.explorer.app import Explorer
from taskonomy.explorer.opening import opened
from taskonomy.explorer.server import HOST, Server


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = Server(opened(random_table(np.random.default_rng(3)), "small", 10.0), 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield int(server.url.rstrip("/").rpartition(":")[2])
    server.stop()
    thread.join()
    server.close()


def answered(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, dict(response.getheaders()), text


def test_only_names_of_this_machine_are_answered(port: int) -> None:
    assert answered(port, "/", Host=f"127.0.0.1:{port}")[0] == 200
    assert answered(port, "/", Host=f"localhost:{port}")[0] == 200
    for host in (f"rebound.example:{port}", "127.0.0.1.example", "[::1"):
        assert answered(port, "/_dash-layout", Host=host)[0] in (400, 403)


def test_pages_of_others_cannot_ask(port: int) -> None:
    for path, method in (("/export/policy.json", "GET"), ("/_dash-update-component", "POST")):
        assert answered(port, path, method, Origin="https://elsewhere.example")[0] == 403
        assert answered(port, path, method, Origin="null")[0] == 403
    assert answered(port, "/_dash-layout", Origin=f"http://{HOST}:{port}")[0] == 200


def test_nothing_is_loaded_from_elsewhere(port: int) -> None:
    _status, headers, text = answered(port, "/")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
    assert 'src="http' not in text
    assert 'href="http' not in text
    config = json.loads(text.partition('id="_dash-config" type="application/json">')[2].partition("</script>")[0])
    assert not config["ui"]
    assert "hot_reload" not in config


def test_only_the_files_there_are_can_be_exported(port: int) -> None:
    assert answered(port, "/export/..%2Fparams.yaml")[0] != 500
    assert answered(port, "/export/secret")[0] == 404
    status, _headers, text = answered(port, "/export/policy.csv?budget=-1")
    assert (status, text) == (400, "error: policy.budget must be greater than or equal to 0 (is '-1')\n")


def test_it_listens_on_this_machine_only_and_a_busy_port_is_one_line(port: int) -> None:
    with pytest.raises(TaskonomyError, match=f"--port {port}: address already in use; --port 0 takes any free one"):
        Server(opened(random_table(np.random.default_rng(3)), "small", 10.0), port)
    with socket.socket() as other, pytest.raises(OSError):
        other.connect(("127.0.0.2", port))  # loopback, but another address: bound to all of them it would be answered


def test_an_old_question_is_known_whenever_it_comes() -> None:
    explorer = Explorer(opened(random_table(np.random.default_rng(3)), "small", 10.0))
    assert explorer.is_latest("a", 1)
    assert explorer.is_latest("a", 3)
    assert not explorer.is_latest("a", 2)
    assert explorer.is_latest("b", 2)
    assert explorer.is_latest("a", 3)
    explorer.solver.close()


def test_the_command_says_what_is_wrong_before_it_loads_anything_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv[0] = 'taskonomy'; import taskonomy.cli as c, atexit; atexit.register(lambda: print('dash' in sys.modules)); c.main()"
    )
    helped = subprocess.run([sys.executable, "-c", script, "explore", "--help"], capture_output=True, text=True, timeout=120)
    assert "TABLE|RUN" in helped.stdout
    assert helped.stdout.endswith("False\n")
    missing = subprocess.run([sys.executable, "-c", script, "explore", tmp_path / "none.csv"], capture_output=True, text=True, timeout=120)
    assert (missing.returncode, missing.stderr) == (1, f"error: {tmp_path / 'none.csv'}: no such table\n")


def test_the_command_prints_the_address_and_ends_when_interrupted() -> None:
    command = [sys.executable, "-m", "taskonomy.cli", "explore", str(PUBLISHED), "--port", "0", "--no-browser"]
    # Tests that run in the background of a shell ignore SIGINT, and so would what they start.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith(f"http://{HOST}:")
        assert answered(int(line.partition(f"{HOST}:")[2].partition("/")[0]), "/")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
