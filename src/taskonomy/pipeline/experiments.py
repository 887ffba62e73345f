"""Run the paper's experiments that train: each is a profile, run as a DVC experiment outside the workspace and compared with the committed run.

`dvc exp run --temp -n NAME $(taskonomy profile experiments/NAME)` does the same, one stage after another; here stages run in parallel.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from taskonomy.atomic_io import write_text
from taskonomy.config.image_amounts import read_amounts
from taskonomy.config.profile_files import known_profiles
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.pipeline.dvc_state import keep_state_in
from taskonomy.pipeline.verify import git, read_lock, run_in_clone
from taskonomy.tables.table import parse_table

GROUP = "experiments/"
TABLES = {"affinities": "results/measured/affinities.csv", "held_out": "results/measured/held_out.csv"}
STAGES = ("agreement", "evaluate@measured", "studies@measured")


@dataclass(frozen=True)
class ExperimentResult:
    """The tables of one experiment, or of the committed run that experiments are compared with.

    Attributes:
        affinities: Table of affinities.
        held_out: Table of the same transfers on the held-out half of the test images.
        images: Number of images that its transfers were trained on.
    """

    affinities: pd.DataFrame
    held_out: pd.DataFrame
    images: int


def titles() -> dict[str, str]:
    """Return the name of every experiment with the first line of its profile, which states its question."""
    files = {name.removeprefix(GROUP): path for name, path in known_profiles().items() if name.startswith(GROUP)}
    return {name: path.read_text().splitlines()[0].removeprefix("#").strip() for name, path in files.items()}


def run(names: Sequence[str], jobs: int) -> None:
    """Run experiments on the committed code, each in its own clone that shares cache and trained units, and store them as DVC experiments.

    Raises:
        TaskonomyError: No such experiment, not inside a git clone, or a run failed.
    """
    if strange := set(names) - titles().keys():
        raise unknown("experiment", sorted(strange), titles())
    cache = _cache()
    for number, name in enumerate(names, 1):
        print(f"experiment {name} ({number} of {len(names)})", file=sys.stderr, flush=True)
        with TemporaryDirectory(prefix="taskonomy-experiment-") as folder:
            root = Path(folder) / "clone"
            git("clone", "--quiet", str(Path.cwd()), str(root))
            write_text(root / ".dvc/config.local", f"[cache]\n    dir = {cache}\n")
            keep_state_in(root / ".dvc")
            run_in_clone(root, "dvc", "checkout", "--quiet", "--allow-missing")  # DVC saves whole workspaces: what does not run stays as committed
            run_in_clone(root, "taskonomy", "profile", f"{GROUP}{name}", "--write")
            run_in_clone(root, "taskonomy", "repro", "--jobs", str(jobs), *STAGES)
            run_in_clone(root, "dvc", "exp", "save", "--force", "--name", name)
            (ref,) = _refs(name, root)
            for old in _refs(name):
                git("update-ref", "-d", old)
            git("-C", str(root), "push", "--quiet", "--force", "origin", f"{ref}:{ref}")


def same(path: Path, now: pd.DataFrame, key: str, value: str) -> bool:
    """Return whether the table written earlier has the same rows as now where `key` is `value`, that is, for the common baseline run."""
    if not path.exists():
        return False
    old, new = _as_written(path), _as_written(StringIO(now.to_csv(index=False)))
    return list(old) == list(new) and old[old[key] == value].reset_index(drop=True).equals(new[new[key] == value].reset_index(drop=True))


def beside(path: Path, now: pd.DataFrame, key: str) -> pd.DataFrame:
    """Combine this clone's rows with the rows of other experiments in the table written earlier, which another clone has run."""
    old, new = _as_written(path), _as_written(StringIO(now.to_csv(index=False)))
    return pd.concat([new, old[~old[key].isin(new[key])]], ignore_index=True)


def _as_written(file: Path | StringIO) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def found(name: str) -> ExperimentResult | None:
    """Read the tables of an experiment; None where it was not run.

    Raises:
        TaskonomyError: Its tables are missing from DVC's cache.
    """
    refs = _refs(name)
    return _found(name, refs[0]) if refs else None


def committed() -> ExperimentResult:
    """Read the tables of the last commit.

    Raises:
        TaskonomyError: As `found`.
    """
    return _found("the last commit", "HEAD")


def _found(name: str, ref: str) -> ExperimentResult:
    lock = read_lock(git("show", f"{ref}:dvc.lock"))
    digests = {out["path"]: out["md5"] for out in lock.get("normalize", {}).get("outs", ())}
    if missing := [path for path in TABLES.values() if path not in digests]:
        raise TaskonomyError(f"{name}: its dvc.lock names no {missing[0]}; run `taskonomy repro`, and commit dvc.lock")
    tables = {key: parse_table(cached_text(digests[path], path, name), f"{path} of {name}") for key, path in TABLES.items()}
    images = next(one["params"]["params.yaml"]["transfer.images"] for stage, one in lock.items() if stage.startswith("transfer@"))
    return ExperimentResult(**tables, images=read_amounts(images))  # of several amounts, the largest: its tables are compared


def _refs(name: str, root: Path = Path(".")) -> list[str]:
    """Return the git references of DVC's experiments of this name, newest first."""
    text = git("-C", str(root), "for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/exps")
    return [line for line in text.split() if re.fullmatch(rf"refs/exps/[0-9a-f]{{2}}/[0-9a-f]+/{re.escape(name)}", line)]


def _cache() -> Path:
    done = subprocess.run(("dvc", "cache", "dir"), capture_output=True, text=True)
    if done.returncode:
        raise TaskonomyError(f"dvc cache dir: {' '.join(done.stderr.split())}")
    return Path(done.stdout.strip()).absolute()


def cached_text(digest: str, path: str, name: str) -> str:
    """Read a file of an earlier run from DVC's cache.

    Args:
        digest: Its MD5, from that run's dvc.lock; empty: it names none.
        path: The file's path in the project.
        name: What the run is called in messages.

    Raises:
        TaskonomyError: The cache has no such file.
    """
    file = _cache() / "files/md5" / digest[:2] / digest[2:]
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        raise TaskonomyError(f"{path} of {name} is not in DVC's cache; run it again, or fetch it with `dvc fetch`") from None
