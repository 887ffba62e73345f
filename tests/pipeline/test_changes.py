"""What a run changed, against what git and DVC's cache hold of the one before."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from waiting import HANG

from taskonomy.pipeline.changes import since_last
from taskonomy.tables.table import parse_table, write_table

DVC_YAML = """\
stages:
  all:
    cmd: mkdir -p results/measured && cp given/* results/measured
    deps: [given]
    outs: [results/measured/affinities.csv, results/measured/policy.json]
    metrics: [results/measured/summary.json: {cache: false}]
"""
NAMES = ("normal", "reshading", "denoising", "autoencoder")


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr


def commit(folder: Path) -> str:
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "results")
    found = subprocess.run(("git", "rev-parse", "--short", "HEAD"), cwd=folder, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def table(worth: dict[str, list[float]]) -> pd.DataFrame:
    rows = [f"{target},{source},{value}" for target, values in worth.items() for source, value in zip(NAMES, values, strict=True)]
    return parse_table("target,sources,affinity\n" + "\n".join(rows), "T")


def policy(*sources: str, **routes: str) -> dict[str, Any]:
    return {"sources": list(sources), "transfers": [{"target": target, "sources": written.split("+")} for target, written in routes.items()]}


def results(folder: Path, affinities: pd.DataFrame, chosen: dict[str, Any], **summary: float) -> None:
    """Run the pipeline with these results."""
    (folder / "given").mkdir(exist_ok=True)
    write_table(folder / "given/affinities.csv", affinities)
    (folder / "given/policy.json").write_text(json.dumps(chosen))
    (folder / "given/summary.json").write_text(json.dumps(summary))
    run(folder, "dvc", "repro", "-q")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FIRST = {"normal": [4.0, 3, 2, 1], "reshading": [4.0, 3, 2, 1]}
OTHER = {"normal": [4.0, 3, 2, 1], "reshading": [1.0, 2, 3, 4]}  # the second target's sources in reverse


def test_what_changed_is_told_against_the_last_commit_with_other_results(project: Path) -> None:
    results(project, table(FIRST), policy("normal", normal="normal", reshading="normal"), quality=0.25, tree=0.5)
    assert since_last() == ["There is no earlier run to compare with: no commit holds other results."]
    earlier = commit(project)
    assert since_last() == ["There is no earlier run to compare with: no commit holds other results."]
    results(project, table(OTHER), policy("normal", "denoising", normal="normal", reshading="denoising"), quality=0.375, tree=0.5)
    expected = [
        "  quality: 0.375 (was 0.25)",
        "  policy: labels Denoising instead of nothing",
        "  policy: 1 of 2 targets transferred from others: Reshading",
        # rank correlations 1 and -1
        "  affinities: 8 transfers (before: 8); mean rank correlation of a target's sources with before 0.000, lowest for Reshading (-1.000)",
        "  affinities: another best single source for 1 of 2 targets: Reshading",
    ]
    head, *lines = since_last()
    assert head.startswith(f"Changed since commit {earlier} of 20")
    assert lines == expected
    commit(project)
    (project / "note").touch()
    commit(project)
    assert since_last() == [head, *lines]  # the last run is not the last commit


def test_what_is_the_same_and_what_is_not_in_the_cache_is_said_to_be(project: Path) -> None:
    chosen = policy("normal", normal="normal", reshading="normal")
    results(project, table(FIRST), chosen, quality=0.25)
    earlier = commit(project)
    results(project, table(OTHER), chosen, quality=0.25)
    for file in (project / ".dvc/cache/files/md5").glob("*/*"):
        file.unlink()
    assert since_last()[1:] == [
        "  policy: the same",
        f"  affinities: other than before, but results/measured/affinities.csv of commit {earlier} is not in DVC's cache;"
        " run it again, or fetch it with `dvc fetch`",
    ]
