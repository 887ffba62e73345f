"""The real pipeline in a folder of its own, on a small setting of the same parameters."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import ROOT
from waiting import WHOLE

PARTS = (
    "stages", "src", "data/published", "results/experiments", "dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore",
    ".dvc/state/repo/.gitignore", ".gitignore",
)  # fmt: skip
TARGETS = ["normal", "denoising", "edge_texture"]
OF_A_TABLE = {"policy", "front", "savings", "evaluate", "studies", "report"}
MEASURED = {"normalize", "noise", "facts", "agreement", "export"} | OF_A_TABLE
STAGES = {"world", "prepare", "cards", "train", "transfer", "variants", "chosen", "amounts", "spending", "samples"} | MEASURED


def clone(folder: Path, compiled: Path | None = None) -> Path:
    """The project in another folder, with small parameters; `compiled`: a folder whose machine code, where it has some, serves again."""
    for part in PARTS:
        source = ROOT / part
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    if compiled is not None:
        for cache in (compiled / "src").rglob("__pycache__"):
            shutil.copytree(cache, folder / cache.relative_to(compiled))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for section, values in yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text()).items():
        params[section] |= values
    params["data"]["tasks"], params["transfer"]["targets"] = [*TARGETS, "jigsaw", "random_projection"], TARGETS
    params["savings"]["set_size"] = 2
    params["policy"]["preset"] = "paper"  # whose policies have transfers to export: in practice labelled tasks use their own networks
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
    return folder


def run(folder: Path, *command: str, status: int = 0, **more: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment |= {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WHOLE, env=environment | more)
    assert (done.returncode == 0) == (status == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def repro(folder: Path) -> set[str]:
    """The stages that ran."""
    return {name.split("@")[0] for name in ran(folder)}


def ran(folder: Path) -> set[str]:
    """The stages that ran, with their items."""
    return set(re.findall(r"Running stage '([\w@]+)'", run(folder, "dvc", "repro")))


def side_by_side(folder: Path) -> set[str]:
    """The stages that ran, or came out of the cache, by our own command."""
    return {name.split("@")[0] for name in re.findall(r"done +([\w@]+)", run(folder, "taskonomy", "repro"))}


def each(stage: str, *items: str) -> set[str]:
    return {f"{stage}@{item}" for item in items}


def units(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / ".dvc/units").rglob("*.unit")}


def kept(folder: Path, *outputs: str) -> set[str]:
    """The units that hold the weights of transfers that are exported or drawn: which those are is for affinities and policy to say."""
    files = [folder / output / "units.csv" for output in outputs or ("predictors", "results/measured/samples")]
    return {f"{row.split(',')[0]}.unit" for path in files for row in path.read_text().splitlines()[1:]}


def listed(folder: Path) -> set[str]:
    """The units that the stages `train`, `transfer` and `variants` list: without kept weights, and without other seeds."""
    files = [*folder.glob("models/*/units.csv"), *folder.glob("data/transfers/*/units.csv"), folder / "data/variants/units.csv"]
    return {f"{row.split(',')[0]}.unit" for path in files for row in path.read_text().splitlines()[1:]}


def change(folder: Path, section: str, key: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def make(folder: Path) -> Path:
    """Run from nothing and committed with its results; that `dvc repro` gives the same bits is one of the long tests."""
    clone(folder, compiled=ROOT)
    assert side_by_side(folder) == STAGES
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "results")
    return folder
