"""A small pipeline in a folder of its own: a diamond, a matrix into one folder, what gathers it, and a foreach."""

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import psutil
from waiting import HANG

DVC_YAML = """\
stages:
  show:
    foreach: [one, two]
    do:
      cmd: sh step.sh show-${item} shown/${item}.txt all.txt
      deps: [step.sh, all.txt]
      outs: ["shown/${item}.txt"]
  gather:
    cmd: sh step.sh gather all.txt parts/*/x && cp all.txt metrics.json
    deps: [step.sh, parts]
    outs: [all.txt]
    metrics: [metrics.json: {cache: false}]
  part:
    matrix:
      number: [1, 2, 3]
    cmd: sh step.sh part-${item.number} parts/${item.number}/x join.txt
    deps: [step.sh, join.txt]
    outs: ["parts/${item.number}"]
  join:
    cmd: sh step.sh join join.txt left.txt right.txt
    deps: [step.sh, left.txt, right.txt]
    outs: [join.txt]
  left:
    cmd: exec sh step.sh left left.txt start.txt # exec: a shell in between that does not trap SIGINT ends at it
    deps: [step.sh, start.txt]
    outs: [left.txt]
  right:
    cmd: sh step.sh right right.txt start.txt
    deps: [step.sh, start.txt]
    outs: [right.txt]
  start:
    cmd: sh step.sh start start.txt params.yaml
    deps: [step.sh]
    params: [k]
    outs: [start.txt]
"""
STEP = """\
# step.sh NAME OUTPUT INPUTS: says when it starts and ends; does in between what the test has put in its way
name=$1 output=$2
shift 2
echo "start $name" >> "$EVENTS"
if [ -e "$HOOKS/$name" ]; then . "$HOOKS/$name"; fi
mkdir -p "$(dirname "$output")"
cat "$@" > "$output"
echo "end $name" >> "$EVENTS"
"""
NEEDS = {
    "left": ("start",),
    "right": ("start",),
    "join": ("left", "right"),
    "part-1": ("join",),
    "part-2": ("join",),
    "part-3": ("join",),
    "gather": ("part-1", "part-2", "part-3"),
    "show-one": ("gather",),
    "show-two": ("gather",),
}
STAGES = {"start", *NEEDS}


class Pipeline:
    """The pipeline in a folder: runs it, and knows what ran."""

    def __init__(self, base: Path) -> None:
        self.root, self.events_path, self.hooks = base / "work", base / "events", base / "hooks"
        self.hooks.mkdir(parents=True)
        (self.root / ".dvc").mkdir(parents=True)
        for path, text in {
            "dvc.yaml": DVC_YAML,
            "step.sh": STEP,
            "params.yaml": "k: 1\n",
            ".gitignore": "one\n\ntwo\n\nthree",  # DVC adds to it: two empty lines, and no end of line at its end
            ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        }.items():
            (self.root / path).write_text(text)
        subprocess.run(("git", "init", "-q"), cwd=self.root, check=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "TASKONOMY_CORES"},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "EVENTS": str(self.events_path),
            "HOOKS": str(self.hooks),
            "DVC_SITE_CACHE_DIR": str(base / "site"),
        }

    def fill(self, files: dict[str, bytes]) -> None:
        """Put files where `files` has found them."""
        for path, data in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(data)

    def hook(self, name: str, script: str) -> None:
        """What the step does between its start and its work."""
        (self.hooks / name).write_text(script)

    def wait_for(self, text: str, path: Path | None = None) -> str:
        """A hook: wait for a line in the events, or in another file; the step fails where it never comes."""
        often = round(HANG / 0.05)
        return f"n=0; until grep -qF '{text}' {path or self.events_path}; do n=$((n + 1)); [ $n -lt {often} ] || exit 9; sleep 0.05; done\n"

    def begin(self, *command: str, stderr: int | TextIO = subprocess.PIPE) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        )

    def run(self, *command: str, status: int = 0) -> str:
        """Run it to its end; both of its outputs."""
        out, err = (process := self.begin(*command)).communicate(timeout=HANG)
        assert process.returncode == status, out + err
        return out + err

    def repro(self, *options: str, status: int = 0) -> str:
        return self.run("taskonomy", "repro", *options, status=status)

    def dvc(self, *options: str) -> str:
        return self.run("dvc", "repro", *options)

    def events(self, *, clear: bool = True) -> list[str]:
        """`start NAME` and `end NAME`, in their order, since last time."""
        lines = self.events_path.read_text().splitlines() if self.events_path.exists() else []
        if clear:
            self.events_path.unlink(missing_ok=True)
        return [" ".join(line.split()[:2]) for line in lines]

    def ran(self) -> list[str]:
        """The steps that came to their end since last time, in that order."""
        return [event.removeprefix("end ") for event in self.events() if event.startswith("end ")]

    def files(self) -> dict[str, bytes]:
        """Every file of workspace and cache, with dvc.lock and .gitignore files."""
        paths = [path for path in self.root.rglob("*") if path.is_file() and path.relative_to(self.root).parts[:2] != (".dvc", "tmp")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if ".git" not in path.relative_to(self.root).parts}

    def processes(self) -> list[psutil.Process]:
        """What runs in the workspace."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


@cache
def by_dvc() -> dict[str, bytes]:
    """The files that `dvc repro` leaves."""
    with TemporaryDirectory() as base:
        reference = Pipeline(Path(base))
        reference.dvc()
        assert set(reference.ran()) == STAGES
        return reference.files()


def stop(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit status and both outputs."""
    process.send_signal(number)
    out, err = process.communicate(timeout=HANG)
    return process.returncode, out + err
