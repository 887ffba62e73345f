"""The paper's experiments, as a user runs them on a small setting."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from small_run import TARGETS, run, units

from taskonomy.pipeline.experiments import titles


@pytest.mark.long
def test_an_experiment_is_run_brought_home_and_held_against_the_committed_run(finished: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))
    recipes = project / "profiles/experiments"
    recipes.mkdir(parents=True)
    (recipes / "images-8.yaml").write_text("# Fewer images.\ntransfer: {images: 8, max_order: 1}\n")
    (recipes / "other-ways.yaml").write_text("# Other ways.\ntransfer: {variants: [normal>edge_texture]}\n")
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "experiments")
    before, lock = units(project), (project / "dvc.lock").read_bytes()
    assert "images-8: Fewer images. [not run]" in run(project, "taskonomy", "experiments", "list")
    assert "of 2 experiments (images-8, other-ways)" in run(project, "taskonomy", "experiments", "run", "-j", "2")
    # One from scratch, one on pixels, a constant and five of first order to each target; by way of a task to the other: a transfer with weights, a
    # representation, a transfer.
    assert len(units(project).keys() - before.keys()) == 8 * len(TARGETS) + 3
    assert (project / "dvc.lock").read_bytes() == lock
    names = {row["Experiment"] for row in pd.read_csv(tmp_csv(project, tmp_path)).to_dict("records")}
    assert {"images-8", "other-ways"} <= names
    regimes = pd.read_csv(project / "results/experiments/regimes.csv")
    assert set(zip(regimes["target"], regimes["images"], strict=True)) == {(target, images) for target in TARGETS for images in (8, 12)}
    ranks = pd.read_csv(project / "results/experiments/stability.csv")
    assert set(ranks["run"]) == {"other test images", "images-8"}
    ways = pd.read_csv(project / "results/experiments/ways.csv")
    assert ways[["target", "written"]].to_numpy().tolist() == [["denoising", "normal>edge_texture"]]
    for ref in run(project, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split():
        run(project, "git", "update-ref", "-d", ref)
    assert "of 0 experiments" in run(project, "taskonomy", "experiments", "collect")  # in another clone, what is known stays
    for name, table in {"regimes": regimes, "ways": ways}.items():
        pd.testing.assert_frame_equal(pd.read_csv(project / f"results/experiments/{name}.csv"), table)
    assert sorted(pd.read_csv(project / "results/experiments/stability.csv")["run"]) == sorted(ranks["run"])
    again = units(project)
    run(project, "taskonomy", "experiments", "run", "images-8")
    assert units(project) == again
    assert "unknown 'images-9' (did you mean 'images-8'?)" in run(project, "taskonomy", "experiments", "run", "images-9", status=1)


def tmp_csv(project: Path, folder: Path) -> Path:
    path = folder / "shown.csv"
    path.write_text(run(project, "dvc", "exp", "show", "--csv", "--no-pager"))
    return path


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles/experiments").glob("*.yaml")))
def test_every_recipe_says_what_it_asks_and_can_be_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from taskonomy.config.profiles import read_profile

    monkeypatch.chdir(ROOT)
    assert len(titles()[name]) > 10
    assert read_profile(f"experiments/{name}")
