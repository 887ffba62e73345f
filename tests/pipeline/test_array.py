"""cluster/array.sh: jobs in clones of their own, which meet in a remote of DVC."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from small_pipeline import Pipeline, by_dvc

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")


@pytest.mark.long
def test_jobs_in_two_clones_each_run_their_stage_and_their_results_are_collected(tmp_path: Path) -> None:
    main = Pipeline(tmp_path)
    script = str(ROOT / "cluster/array.sh")
    with (main.root / ".dvc/config").open("a") as config:
        config.write(f'    remote = store\n[remote "store"]\n    url = {tmp_path / "remote"}\n')
    main.dvc("join")
    main.run("dvc", "push", "--run-cache", "--quiet")
    main.run(*GIT, "add", "-A")
    main.run(*GIT, "commit", "-qm", "join")
    assert main.ran()[-1] == "join"
    assert main.run(script, "list", "part").split() == ["part@1", "part@2", "part@3"]

    for number in ("1", "2"):
        clone = tmp_path / f"clone{number}"
        subprocess.run((*GIT, "clone", "-q", main.root, clone), check=True)
        subprocess.run((script, "run", "part", number), cwd=clone, env=main.environment, check=True, capture_output=True)
        assert main.ran() == [f"part-{number}"]
        assert (clone / "join.txt").exists()  # what the stage reads came along
        assert not (clone / "left.txt").exists()  # what it does not read did not

    subprocess.run((script, "collect", "part"), cwd=main.root, env=main.environment, check=True, capture_output=True)
    assert main.ran() == ["part-3"]  # its job has not run; the others' results came out of the remote
    expected = {path: data for path, data in by_dvc().items() if path.startswith("parts/")}
    assert {path: data for path, data in main.files().items() if path.startswith("parts/")} == expected
    said = main.run(script, "run", "part", "4", status=1)
    assert "error: part has 3 stages; there is no number 4" in said
    assert "error: dvc.yaml has no stage parts" in main.run(script, "list", "parts", status=1)
