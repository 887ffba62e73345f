"""Stages side by side: a part of the default pipeline with `-j 1` and with one stage per core, the bits compared, and what the machine allows."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from taskonomy.config.profiles import overlaid
from taskonomy.machine.cores import cores

ROOT = Path(__file__).parents[1]
TASKS = ["normal", "depth_zbuffer", "edge_texture", "class_scene", "room_layout", "camera_pose_fixated"]
PART = {"world": {"buildings": 12}, "data": {"tasks": TASKS}, "transfer": {"targets": TASKS[:4]}, "savings": {"set_size": 2}}
WAYS = {"one core": ("1", "1"), "-j 1": ("1", ""), f"-j {cores()}": (str(cores()), "")}  # stages at once, TASKONOMY_CORES
TRAINING = """
import torch
torch.set_num_threads(1)
network = torch.nn.Sequential(*[torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(8)]).to(memory_format=torch.channels_last)
images = torch.ones(16, 64, 16, 16).to(memory_format=torch.channels_last)
for _ in range(600):
    network(images).mean().backward()
"""


def run(folder: Path, *command: str, alone: str = "") -> float:
    """Seconds that a command takes in a workspace, on the project's code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TASKONOMY_CORES": alone}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    begun = time.perf_counter()
    if status := subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    return time.perf_counter() - begun


def work(processes: int) -> float:
    """Seconds that as many trainings of one and the same small network take side by side."""
    begun = time.perf_counter()
    running = [subprocess.Popen((sys.executable, "-c", TRAINING)) for _ in range(processes)]
    if any(one.wait() for one in running):
        raise SystemExit("the training failed")
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    with TemporaryDirectory() as base:
        workspaces = [Path(base) / str(number) for number in range(len(WAYS) + 1)]
        for folder in workspaces:
            subprocess.run(("git", "clone", "--quiet", str(ROOT), str(folder)), check=True)
            (folder / "dvc.lock").unlink()
            params = yaml.safe_load((folder / "params.yaml").read_text())
            (folder / "params.yaml").write_text(yaml.safe_dump(overlaid(params, PART)))
        first = workspaces[-1]
        run(first, "taskonomy", "repro", "prepare", "cards")
        for folder in workspaces[:-1]:  # world and labels are the same for all
            subprocess.run(("cp", "-r", ".dvc/cache", "dvc.lock", "data", str(folder)), cwd=first, check=True)
            subprocess.run(("cp", "-r", ".dvc/cache", str(folder / ".dvc")), cwd=first, check=True)
        seconds = {}
        for (way, (jobs, alone)), folder in zip(WAYS.items(), workspaces, strict=False):
            seconds[way] = run(folder, "taskonomy", "repro", "--jobs", jobs, alone=alone)
            print(f"{way:10} {seconds[way]:6.0f} s, {seconds['one core'] / seconds[way]:.2f} times as fast as one core", flush=True)
        locks = {(folder / "dvc.lock").read_bytes() for folder in workspaces[:-1]}
        print(f"the same dvc.lock in each: {'yes' if len(locks) == 1 else 'NO'}")
    one_alone, together = (work(processes) for processes in (1, cores()))
    print(f"what {cores()} processes that share nothing get done here, in the time of one: {cores() * one_alone / together:.2f} times as much")


if __name__ == "__main__":
    main()
