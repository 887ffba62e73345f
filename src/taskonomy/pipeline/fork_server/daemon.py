"""Fork the stages of a run off a process that has the large libraries loaded, as importing torch and pandas takes each stage seconds.

DVC runs `python stages/train.py ...` as usual, but the `python` that it finds first (`client.py`) hands its arguments, environment and open files
over to this process, whose fork becomes the stage. Only libraries are loaded beforehand: a stage reads the project's own code as it is when it
starts, which is what DVC has hashed. A command whose environment changes how libraries load (PYTHONPATH, OMP_NUM_THREADS) is not run here.
"""

import os
import sys

if __name__ == "__main__":  # started by its path, so that no module of the project is loaded, or found beside this file
    del sys.path[0]

import gc
import importlib
import json
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

LEAST = 3  # number of stages from which on it pays
LONGEST = 90  # bytes of its folder's path: a socket's path has at most 104 on some systems
LIBRARIES = ("numpy", "pandas", "pydantic", "yaml", "tqdm", "psutil", "jaxtyping", "dvclive.live")
OF_TRAINING = ("torch", "torch._dynamo", "safetensors.torch")  # imported when the first stage that trains is requested
TRAINING = ("train.py", "transfer.py", "variants.py", "amounts.py", "samples.py", "export.py")
READ_AS_LOADED = ("PYTHON", "LD_", "OMP_", "MKL_", "OPENBLAS_", "NUMBA_", "CUDA_", "TORCH")
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def python(commands: Iterable[str]) -> Iterator[None]:
    """Put a `python` first on the path of stages: this environment's or, for `LEAST` or more commands, the client of a fork server.

    Args:
        commands: The commands that may run.
    """
    before = os.environ.get("PATH", os.defpath)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # else a log would lag behind what the stage printed
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    try:
        with _fork_server() if sum(command.startswith("python ") for command in commands) >= LEAST else nullcontext():
            yield
    finally:
        os.environ["PATH"] = before


@contextmanager
def _fork_server() -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="taskonomy-"))
    if len(os.fsencode(folder)) > LONGEST:
        folder.rmdir()
        yield
        return
    program = folder / "python"
    command = (sys.executable, "-IS", str(Path(__file__).with_name("client.py")), sys.executable, f"{folder}/socket")
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o700)
    process = subprocess.Popen((sys.executable, "-u", __file__, str(folder)), stdin=subprocess.PIPE, process_group=0)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    try:
        yield
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_stages(folder: Path) -> tuple[dict[str, Any], list[int]]:
    """Serve requests until the run is over; only forks return, with the request that they are to become and its open files."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    started_with = dict(os.environ)
    _load(LIBRARIES)
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wakes)
    waiting: dict[int, socket.socket] = {}  # process -> connection of the client that waits for its end
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen()
    events = selectors.DefaultSelector()
    for file in (listener, woken, 0):
        events.register(file, selectors.EVENT_READ)
    over = False
    while not over or waiting:
        for key, _mask in events.select():
            if key.fileobj is listener:
                client, _address = listener.accept()
                request, files = _request(client, started_with)
                if request is not None and (process := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    events.close()
                    for one in (listener, client, *waiting.values()):
                        one.close()
                    by_libraries = {name: value for name, value in os.environ.items() if name not in started_with}
                    request["environment"] = by_libraries | request["environment"]
                    return request, files
                for file in files:
                    os.close(file)
                if request is None:
                    client.close()
                    continue
                with suppress(OSError):
                    client.sendall(f"{process}\n".encode())
                waiting[process] = client
                events.register(client, selectors.EVENT_READ, process)
            elif key.fileobj == woken:
                with suppress(BlockingIOError):
                    os.read(woken, 512)
            elif key.fileobj == 0:  # the run is over, or was killed
                events.unregister(0)
                over = True
            else:  # the client that waits was killed
                with suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)
                events.unregister(key.fileobj)
        for process, status in _ended(waiting):
            client = waiting.pop(process)
            with suppress(KeyError, ValueError):
                events.unregister(client)
            with suppress(OSError):
                client.sendall(f"{status}\n".encode())
            client.close()
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit()


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        with suppress(ImportError):  # a stage that needs it reports the error
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # keeps the garbage collector from touching, and so copying, memory that forks share


def _request(client: socket.socket, started_with: dict[str, str]) -> tuple[dict[str, Any] | None, list[int]]:
    """Read a client's request and its open files; None: the command is not run here."""
    files: list[int] = []
    try:
        _mark, files, _flags, _address = socket.recv_fds(client, 1, 3)
        with client.makefile() as lines:
            request = json.loads(lines.readline())
        same_session = os.getsid(request["group"]) == os.getsid(0)
    except (OSError, ValueError):
        return None, files
    if _read_as_loaded(request["environment"]) != _read_as_loaded(started_with) or not same_session:
        return None, files
    if os.path.basename(request["arguments"][0]) in TRAINING:
        _load(OF_TRAINING)
    return request, files


def _read_as_loaded(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AS_LOADED)}


def _ended(waiting: dict[int, socket.socket]) -> Iterator[tuple[int, int]]:
    while waiting:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        yield process, os.waitstatus_to_exitcode(status)


def become(request: dict[str, Any], files: list[int]) -> None:
    """Set this process up as the requested command's, up to the start of its script."""
    os.setpgid(0, request["group"])
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    for number in (*STOPS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv[:] = request["arguments"]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = os.path.abspath(sys.argv[0])


if __name__ == "__main__":
    become(*wait_for_stages(Path(sys.argv[1])))
    script = sys.modules["__main__"]
    exec(compile(Path(str(script.__file__)).read_bytes(), str(script.__file__), "exec"), script.__dict__)  # noqa: S102  # as Python does
