"""The real pipeline in a clone of the project, on a small setting of the same parameters."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_run import MEASURED, OF_A_TABLE, TARGETS, change, clone, each, kept, listed, ran, repro, run, side_by_side, units

from taskonomy.config.params import read_params
from taskonomy.estimate.workload import stages_of, units_of

pytestmark = pytest.mark.long  # whole pipelines


def counted(values: Iterable[object]) -> dict[object, int]:
    return dict(Counter(values))


def test_the_plan_counts_the_units_and_stages_that_the_run_made(finished: Path) -> None:
    params = read_params(finished / "params.yaml")
    units = units_of(params)
    models = pd.concat([pd.read_csv(path) for path in finished.glob("models/*/units.csv") if path.stat().st_size > len("key,name\n")])
    transfers = pd.concat([pd.read_csv(path) for path in finished.glob("data/transfers/*/units.csv")])
    assert counted(models["name"]) == {"self": units.networks, "average": units.constants}
    assert counted(transfers["order"]) == {0: 3 * units.scratch, **units.transfers}
    assert len(pd.read_csv(finished / "data/variants/units.csv")) == units.variants + units.steps
    lock = yaml.safe_load((finished / "dvc.lock").read_text())["stages"]
    assert counted(name.partition("@")[0] for name in lock) == dict(stages_of(params, finished / "dvc.yaml"))


@pytest.mark.parametrize(
    ("section", "key", "value", "reran"),
    [
        ("policy", "budget", 4, {"chosen", "policy", "spending", "evaluate", "report", "export"}),
        pytest.param("front", "orders", [1], {"front", "report"}, marks=pytest.mark.long),
        pytest.param("savings", "draws", 2, {"savings", "report"}, marks=pytest.mark.long),
        pytest.param("samples", "views", 2, {"samples", "facts", "report"}, marks=pytest.mark.long),
        pytest.param("evaluate", "seed", 1, {"evaluate", "report"}, marks=pytest.mark.long),
        pytest.param("report", "title", "Ours", {"report"}, marks=pytest.mark.long),
        pytest.param("policy", "balance", "peak", OF_A_TABLE - {"studies"} | {"chosen", "spending", "export"}, marks=pytest.mark.long),
        pytest.param("normalize", "method", "linear", MEASURED | {"chosen", "amounts"}, marks=pytest.mark.long),
    ],
)
def test_a_changed_parameter_reruns_what_it_affects_and_nothing_else(copied: Path, section: str, key: str, value: object, reran: set[str]) -> None:
    change(copied, section, key, value)
    assert side_by_side(copied) == reran
    assert repro(copied) == set()  # DVC sees it so, too


OF_MEASURED = {f"{stage}@measured" for stage in OF_A_TABLE} | {"normalize", "noise", "facts", "agreement", "export"}


@pytest.mark.long
def test_an_edit_for_one_task_trains_one_network_and_the_transfers_from_it(copied: Path) -> None:
    before = units(copied)
    change(copied, "train", "tasks", {"jigsaw": {"rate": 0.001}})
    assert ran(copied) == {"cards", "train@jigsaw", "variants", "chosen", "amounts", "samples"} | each("transfer", *TARGETS) | OF_MEASURED
    new = listed(copied) - before.keys()
    # Its network; to each target the transfer from it alone and the two pairs that it is in. Its constant knows no rate.
    assert len(new) == 1 + len(TARGETS) * 3
    change(copied, "train", "tasks", {})
    assert "train" not in repro(copied)  # DVC's cache still has the old network
    assert before.items() <= units(copied).items()


@pytest.mark.long
def test_labels_of_one_task_train_its_network_and_make_its_transfers(copied: Path) -> None:
    before = units(copied)
    change(copied, "data", "labels", {"edge_texture": {"limit": 0.1}})
    read = {"prepare", "train@edge_texture", "variants", "chosen", "amounts", "spending", "samples"} | each("transfer", *TARGETS)
    assert ran(copied) == read | OF_MEASURED
    new = listed(copied) - before.keys()
    # As a target everything: its network, its constant, from scratch, on pixels, a constant again, 5 of order 1 and 3 of order 2. As a source:
    # alone and in two pairs, twice.
    assert len(new) == 2 + (3 + 5 + 3) + 2 * 3


@pytest.mark.long
def test_transfer_parameters_train_no_task(copied: Path) -> None:
    before = units(copied)
    change(copied, "transfer", "max_order", 1)
    assert ran(copied) == {"chosen", "amounts", "samples"} | each("transfer", *TARGETS) | OF_MEASURED
    assert units(copied).keys() - kept(copied) <= before.keys()


@pytest.mark.long
def test_other_transfers_are_more_rows_whose_units_are_in_use_and_without_them_all_is_as_before(copied: Path) -> None:
    before, lock = units(copied), (copied / "dvc.lock").read_bytes()
    change(copied, "transfer", "variants", ["normal>edge_texture", "normal@0.2"])
    assert ran(copied) == {"variants", "chosen", "amounts"} | OF_MEASURED - {"noise"}
    for name in ("affinities.csv", "held_out.csv"):
        lines = [line.split(",")[:2] for line in (copied / "results/measured" / name).read_text().splitlines()]
        assert [line for line in lines if line[1] in ("normal>edge_texture", "normal@0.2")] == [
            ["denoising", "normal>edge_texture"], ["denoising", "normal@0.2"], ["edge_texture", "normal@0.2"],
        ]  # fmt: skip
    new = listed(copied) - before.keys()
    assert len(new) in (3 + 1, 3 + 2)  # and what the transitive one takes: a representation, and weights of the transfer unless it is among the best
    run(copied, "taskonomy", "cache", "--clear")
    assert new <= units(copied).keys()
    change(copied, "transfer", "variants", [])
    repro(copied)
    assert (copied / "dvc.lock").read_bytes() == lock
    run(copied, "taskonomy", "cache", "--clear")
    assert not new & units(copied).keys()


def test_units_in_the_store_are_not_trained_again(copied: Path) -> None:
    """A workspace that has lost its outputs and DVC's cache, but not its units, ends with the same bits, and no unit is written."""
    before = {path: path.stat().st_mtime_ns for path in (copied / ".dvc/units").rglob("*.unit")}
    lock = (copied / "dvc.lock").read_bytes()
    shutil.rmtree(copied / "data/transfers")
    shutil.rmtree(copied / ".dvc/cache")
    shutil.rmtree(copied / ".dvc/tmp", ignore_errors=True)
    run(copied, "dvc", "repro", "--single-item", "--force", *sorted(each("transfer", *TARGETS)))
    assert (copied / "dvc.lock").read_bytes() == lock
    assert {path: path.stat().st_mtime_ns for path in (copied / ".dvc/units").rglob("*.unit")} == before


def test_the_world_is_made_anew_when_its_seed_changes(copied: Path) -> None:
    change(copied, "world", "seed", 1)
    direct = {stage for stage, why in json.loads(run(copied, "dvc", "status", "--json")).items() if any("changed deps" in one for one in why)}
    assert direct == {"world", "facts"}  # which tells people of the world


@pytest.mark.long
def test_another_clean_run_gives_the_same_bits(finished: Path, tmp_path: Path) -> None:
    again = clone(tmp_path, compiled=finished)
    run(again, "dvc", "repro", TASKONOMY_CORES="1")
    assert (again / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert units(again) == units(finished)


@pytest.fixture
def elsewhere(copied: Path, tmp_path: Path) -> Path:
    """A clone on a machine that has nothing but the remote."""
    run(copied, "dvc", "remote", "add", "-d", "store", str(tmp_path / "remote"))
    run(copied, "git", "commit", "-qam", "a remote")
    run(copied, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", str(copied), "elsewhere")
    return tmp_path / "elsewhere"


def test_a_second_clone_pulls_everything(copied: Path, elsewhere: Path) -> None:
    run(elsewhere, "dvc", "pull")
    assert json.loads(run(elsewhere, "dvc", "status", "--json")) == {}
    outputs = [path.relative_to(copied) for path in (copied / "results").rglob("*") if path.is_file()]
    assert outputs
    assert all((elsewhere / path).read_bytes() == (copied / path).read_bytes() for path in outputs)


@pytest.mark.parametrize(
    "command", [pytest.param(one, marks=pytest.mark.long) for one in (("dvc", "repro"), ("taskonomy", "repro", "-j", "2"))], ids=["dvc", "taskonomy"]
)
def test_a_second_clone_reproduces_without_training(copied: Path, elsewhere: Path, command: tuple[str, ...]) -> None:
    printed = run(elsewhere, *command, "--pull")
    assert "Running stage" not in printed
    assert not re.search(r"[1-9]\d* ran", printed)
    assert units(elsewhere) == {}
    assert (elsewhere / "dvc.lock").read_bytes() == (copied / "dvc.lock").read_bytes()
    assert (elsewhere / "reports/measured/index.html").read_bytes() == (copied / "reports/measured/index.html").read_bytes()
    change(elsewhere, "policy", "budget", 4)
    assert repro(elsewhere) == {"chosen", "policy", "spending", "evaluate", "report", "export"}
    assert units(elsewhere).keys() == kept(elsewhere, "predictors")  # all that is trained: the chosen transfers once more, for their weights


def test_a_bad_parameter_is_one_line_and_loses_nothing(copied: Path) -> None:
    before = (copied / "results/published/policy_metrics.json").read_bytes()
    change(copied, "policy", "budget", -1)
    printed = run(copied, "dvc", "repro", status=1)
    assert "error: params.yaml: policy.budget must be greater than or equal to 0 (is -1)" in printed
    assert "Traceback" not in printed
    change(copied, "policy", "budget", 8)
    repro(copied)
    assert (copied / "results/published/policy_metrics.json").read_bytes() == before


def test_dvc_users_see_metrics_plots_and_experiments(copied: Path) -> None:
    run(copied, "dvc", "exp", "run", "-S", "policy.budget=4", "-n", "four")
    metrics = json.loads(run(copied, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert set(metrics) == {"results/measured/summary.json", "results/published/summary.json"}
    assert {"gain_pixels", "quality", "policy_p", "tree"} <= metrics["results/published/summary.json"]["data"].keys()
    assert json.loads((copied / "results/published/policy_metrics.json").read_text())["sources"] == 4
    shown = run(copied, "dvc", "exp", "show", "--csv", "--no-pager")
    assert "four" in shown
    assert "networks_vs_constant" in shown
    run(copied, "dvc", "plots", "diff", "HEAD", "workspace", "-o", "plots")
    page = (copied / "plots/index.html").read_text()
    assert re.search(r'"order": ?"?2"?[,}]', page)  # the rows carry the order by which the template colours lines
    assert "Quality by order" in page
    differences = json.loads(run(copied, "dvc", "params", "diff", "--json"))
    assert (differences["params.yaml"]["policy.budget"]["old"], differences["params.yaml"]["policy.budget"]["new"]) == (8, 4)


def test_what_compilers_leave_behind_is_no_change(copied: Path) -> None:
    for package in ("world", "annotate", "policy"):
        cache = copied / "src/taskonomy" / package / "__pycache__"
        cache.mkdir(exist_ok=True)
        (cache / "left.nbc").write_bytes(b"compiled")
    assert repro(copied) == set()
