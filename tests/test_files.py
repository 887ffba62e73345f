"""What a killed process has left of an output goes when the output is next written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskonomy.atomic_io import whole_folder, write_bytes, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from taskonomy.atomic_io import whole_folder, write_text

sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.rename" else None)
if sys.argv[1] == "file":
    write_text(Path("out.d"), "half")
with whole_folder(Path("out.d")) as folder:
    (folder / "part").write_text("half")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes(tmp_path: Path, kind: str) -> None:
    with subprocess.Popen((sys.executable, "-c", KILLED, kind), cwd=tmp_path) as killed:
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie: nobody has asked how it ended
        (left,) = tmp_path.iterdir()
        assert left.name == f".out.d.{killed.pid}.unfinished"
        others = [f".out.d.{os.getppid()}.unfinished", f".out.{killed.pid}.unfinished", f"out.d.{killed.pid}.unfinished"]
        for other in others:  # of a process that runs; of another output; not ours
            (tmp_path / other).touch()
        if kind == "file":
            write_text(tmp_path / "out.d", "whole")
        else:
            with whole_folder(tmp_path / "out.d") as folder:
                write_bytes(folder / "part", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out.d", *others])
