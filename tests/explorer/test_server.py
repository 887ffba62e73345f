"""Who is served, and who is not; and the command that serves."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from conftest import PUBLISHED, random_table
from dash import Dash
from waiting import HANG, NO_LIMIT

from taskonomy.errors import TaskonomyError
from taskonomy.explorer.callbacks import Explorer
from taskonomy.explorer.loading import opened
from taskonomy.explorer.server import HOST, Server


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = Server(opened(random_table(np.random.default_rng(3)), "small", NO_LIMIT), 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield int(server.url.rstrip("/").rpartition(":")[2])
    server.stop()
    thread.join()
    server.close()


def answered(port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """Of a request as it is sent; `Sec_Fetch_Site` is the header Sec-Fetch-Site."""
    connection = http.client.HTTPConnection(HOST, port)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, dict(response.getheaders()), text


def test_only_names_of_this_machine_are_answered(port: int) -> None:
    assert answered(port, "/", Host=f"127.0.0.1:{port}")[0] == 200
    assert answered(port, "/", Host=f"localhost:{port}")[0] == 200
    for host in (f"rebound.example:{port}", "127.0.0.1.example", "[::1"):
        assert answered(port, "/_dash-layout", Host=host)[0] in (400, 403)


PATHS = ("/", "/_dash-layout", "/_dash-update-component", "/export/policy.json?budget=3", "/assets/explorer.js", "/nowhere")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@pytest.mark.parametrize("method", METHODS)
def test_pages_of_others_cannot_ask_by_any_method(port: int, method: str) -> None:
    here, near = f"http://{HOST}:{port}", f"http://{HOST}:{port - 1}"
    for path in PATHS:
        for header in (
            *({"Origin": origin} for origin in ("https://elsewhere.example", "null", near, f"{here}.example", f"http://localhost:{port}", "")),
            *({"Sec_Fetch_Site": site} for site in ("cross-site", "same-site", "")),
            *({"Referer": page} for page in ("https://elsewhere.example/", f"{near}/", f"{here}.example/", f"{here}@elsewhere.example/")),
            {"Sec_Fetch_Site": "same-origin", "Origin": "https://elsewhere.example"},
            {"Sec_Fetch_Site": "cross-site", "Origin": here},
        ):
            assert answered(port, path, method, **header)[0] == 403, (path, header)


def test_the_page_itself_and_programs_without_a_page_may_ask(port: int) -> None:
    here = f"http://{HOST}:{port}"
    for header in ({}, {"Origin": here}, {"Sec_Fetch_Site": "same-origin", "Referer": f"{here}/?budget=3"}, {"Sec_Fetch_Site": "none"}):
        for path in ("/", "/_dash-layout", "/assets/explorer.js"):
            assert answered(port, path, **header)[0] == 200


def test_no_answer_may_be_read_or_framed_by_pages_of_others(port: int) -> None:
    for path in (*PATHS, "/export/none"):
        for method in METHODS:
            _status, headers, _text = answered(port, path, method)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert not [name for name in headers if name.startswith("Access-Control")]


def the_answers_call(port: int) -> dict[str, Any]:
    """As the page asks for its first policy."""
    tasks = 5
    rows = [[["source", "target"]] * tasks, *([[""] * tasks] * 3)]
    one = next(one for one in json.loads(answered(port, "/_dash-dependencies")[2]) if one["inputs"][0]["id"] == "asked")
    outputs: list[Any] = []
    for written in one["output"].strip(".").split("..."):
        key, _dot, prop = written.rpartition(".")
        kind = json.loads(key) if key.startswith("{") else None
        if kind is None:
            outputs.append({"id": key, "property": prop})
        else:
            places: list[Any] = ["policy.json", "policy.csv", "params.yaml"] if "name" in kind else list(range(tasks))
            outputs.append([{"id": {**kind, "name" if "name" in kind else "task": place}, "property": prop} for place in places])
    asked = {"page": "a", "number": 1, "fields": [["4", "4", "paper", "transfer", "none", "", "", "", ""], *rows]}
    return {
        "output": one["output"], "outputs": outputs, "inputs": [{"id": "asked", "property": "data", "value": asked}],
        "changedPropIds": ["asked.data"], "parsedChangedPropsIds": ["asked.data"], "state": [{"id": "good", "property": "data"}],
    }  # fmt: skip


def called(port: int, call: object, **headers: str) -> tuple[int, str]:
    body = call if isinstance(call, bytes) else json.dumps(call).encode()
    status, _headers, text = answered(port, "/_dash-update-component", "POST", body, **{"Content_Type": "application/json", **headers})
    return status, text


def test_the_pages_own_call_is_answered_with_the_policy(port: int) -> None:
    status, text = called(port, the_answers_call(port))
    assert status == 200
    assert parse_qs(json.loads(text)["response"]["good"]["data"])["budget"] == ["4"]


def changed(path: str, value: object) -> Callable[[dict[str, Any]], object]:
    """The call with another value at a path such as `inputs.0.value`."""

    def change(call: dict[str, Any]) -> object:
        *way, last = [int(one) if one.isdecimal() else one for one in path.split(".")]
        here: Any = call
        for one in way:
            here = here[one]
        here[last] = value
        return call

    return change


FIELDS = "inputs.0.value.fields"
MALFORMED = [
    *(lambda _call, body=body: body for body in (b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{}", b"[" * 20_000, b"9" * 5000, b"NaN")),
    *(changed("output", value) for value in ("", "nobody.children", "asked.data", "budget.value", 3, None, ["tiles.children"], "..tiles.children..")),
    *(changed("outputs", value) for value in ([], {}, None, "x", [{"id": "tiles", "property": "children"}])),
    *(changed("outputs.0.id", value) for value in ("changed", {"type": "file", "name": "x"}, None)),
    *(changed("inputs", value) for value in ([], None, {}, [[]], [{"id": "good", "property": "data", "value": "x"}], "asked.data")),
    *(changed("inputs.0.value", value) for value in (None, "x", [], {}, 3)),
    *(changed("inputs.0.property", value) for value in ("value", None, {})),
    *(changed("inputs.0.value.page", value) for value in (None, 3, ["a"], "x" * 101)),
    *(changed("inputs.0.value.number", value) for value in (None, "1", -1, 1.5, True, 10**30, float("nan"), float("inf"))),
    *(
        changed(FIELDS, value)
        for value in (None, [], {}, [[], [], [], []], [["4", "4", "paper", "transfer", "none", "", "", "", ""], [], [], [], []], "fields")
    ),
    *(changed(f"{FIELDS}.0", value) for value in ([], ["4"], [*["4"] * 8, 3], [*["4"] * 8, {}], ["4"] * 10, None)),
    *(changed(f"{FIELDS}.1.0", value) for value in (["boss"], "source", [3], {}, [["source"]])),
    *(changed(f"{FIELDS}.2.0", value) for value in (3, [], {}, "\ud800")),
    *(changed("state", value) for value in ([], None, [{"id": "asked", "property": "data"}], [3])),
    *(changed("state.0.value", value) for value in (3, [], {"a": 1})),
    *(changed("changedPropIds", value) for value in (None, "asked.data", [3], ["elsewhere.data"], [None])),
    changed("more", 1),
]


@pytest.mark.parametrize("change", MALFORMED)
def test_a_malformed_call_is_an_error_in_one_line(port: int, change: Callable[[dict[str, Any]], object], capfd: pytest.CaptureFixture[str]) -> None:
    status, text = called(port, change(the_answers_call(port)))
    assert status == 400
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_call_that_is_no_json_is_refused(port: int, kind: str) -> None:
    assert called(port, the_answers_call(port), Content_Type=kind)[0] == 415


def test_a_body_has_a_limit_and_says_its_length(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for path in PATHS:
        for method in METHODS:
            assert answered(port, path, method, b" " * 100_000)[0] == 413
            status, _headers, text = answered(port, path, method, b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
            assert status == 411
            assert text in ("", "error: a body must say its length\n")
    assert capfd.readouterr().err == ""


ODD = [
    b"GET http://[", b"GET /%ff%fe", b"GET /\xff", b"GET ", b"\x16\x03\x01", b"GET /" + b"x" * 70_000, b"GET /export/%00", b"GET http://elsewhere.example/",
    b"GET /export/policy.csv?budget=\xff", b"GET /export/policy.csv?budget=%ff%00", b"GET /export/policy.csv?" + b"budget=3&" * 5000,
    b"GET /_dash-component-suites/os/x.js", b"GET /_dash-component-suites/dash/..%2f..%2fx", b"GET /assets/..%2f..%2fapp.py",
]  # fmt: skip


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b""])
@pytest.mark.parametrize("line", ODD)
def test_an_odd_address_is_no_defect_of_the_server(port: int, line: bytes, version: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(line + b" " + version + f"\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(partial(connection.recv, 65536), b""))
    assert b"Traceback" not in answer
    assert answer.partition(b"\r\n")[0].split()[1:2] != [b"500"]
    assert b"import " not in answer
    assert capfd.readouterr().err == ""


def test_a_page_that_is_asked_for_while_the_first_one_is_made_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dash completes itself in its first request. Whoever asked meanwhile once got a page without our scripts, which waited for a policy forever."""
    pages, serving, walk = list[str](), list[int](), Dash._walk_assets_directory

    def asked_meanwhile(app: Dash) -> None:
        pages.extend(answered(port, "/")[2] for port in serving)
        walk(app)

    monkeypatch.setattr(Dash, "_walk_assets_directory", asked_meanwhile)
    server = Server(opened(random_table(np.random.default_rng(3)), "small", NO_LIMIT), 0)
    serving.append(int(server.url.rstrip("/").rpartition(":")[2]))
    thread = threading.Thread(target=server.run)
    thread.start()
    pages.append(answered(serving[0], "/")[2])
    server.stop()
    thread.join()
    server.close()
    for page in pages:
        assert "/assets/explorer.js" in page
        assert "/assets/explorer.css" in page


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
        Server(opened(random_table(np.random.default_rng(3)), "small", NO_LIMIT), port)
    with socket.socket() as other, pytest.raises(OSError):
        other.connect(("127.0.0.2", port))  # loopback, but another address: bound to all of them it would be answered


def test_an_old_question_is_known_whenever_it_comes() -> None:
    explorer = Explorer(opened(random_table(np.random.default_rng(3)), "small", NO_LIMIT))
    assert explorer.is_latest("a", 1)
    assert explorer.is_latest("a", 3)
    assert not explorer.is_latest("a", 2)
    assert explorer.is_latest("b", 2)
    assert explorer.is_latest("a", 3)
    explorer.solver.close()


def test_the_command_says_what_is_wrong_before_it_loads_anything_heavy(tmp_path: Path) -> None:
    told = "atexit.register(lambda: print('dash' in sys.modules))"
    script = f"import sys; sys.argv[0] = 'taskonomy'; import taskonomy.cli.main as c, atexit; {told}; c.main()"
    helped = subprocess.run([sys.executable, "-c", script, "explore", "--help"], capture_output=True, text=True, timeout=HANG)
    assert "TABLE|RUN" in helped.stdout
    assert helped.stdout.endswith("False\n")
    missing = subprocess.run([sys.executable, "-c", script, "explore", tmp_path / "none.csv"], capture_output=True, text=True, timeout=HANG)
    assert (missing.returncode, missing.stderr) == (1, f"error: {tmp_path / 'none.csv'}: no such table\n")


def test_the_command_prints_the_address_and_ends_when_interrupted() -> None:
    command = [sys.executable, "-m", "taskonomy.cli.main", "explore", str(PUBLISHED), "--port", "0", "--no-browser"]
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
        assert process.wait(HANG) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
