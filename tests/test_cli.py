"""The command line as a user runs it: what it prints, and what it says when something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PUBLISHED
from waiting import HANG

from taskonomy.tables.table import read_table

WITHOUT = ("--exclude", "random_projection,class_object_100")
KEYS = [
    "status", "objective", "bound", "gap", "seconds", "budget", "cost", "max_order", "self_edge", "sources", "transfers", "mean_gain", "mean_quality",
]  # fmt: skip


def taskonomy(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([Path(sys.executable).with_name("taskonomy"), *map(str, arguments)], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.parametrize("solver", ["glpk", "highs"])
def test_policy_as_json_is_one_object_and_nothing_else(solver: str) -> None:
    done = taskonomy(
        "policy", PUBLISHED, "--budget", 8, "--max-order", 4, "--preset", "paper", "--self-edge", "gold", "--solver", solver, *WITHOUT, "--json"
    )
    found = json.loads(done.stdout)
    assert list(found) == KEYS
    assert found["status"] == "optimal"
    assert found["objective"] == pytest.approx(2.279443, abs=1e-6)
    assert list(found["transfers"][0]) == ["target", "sources", "affinity", "gain", "quality"]
    assert "4 of 1,762 transfers have no affinity" in done.stderr


def test_every_option_of_policy_reaches_the_program() -> None:
    options = [
        "--budget",
        6,
        "--cost",
        "normal=3",
        "--cost",
        "denoising=0.5,jigsaw=2",
        "--importance",
        "jigsaw=0,denoising=0",
        "--require",
        "inpainting",
    ]
    options += ["--balance", "peak", "--target-only", "reshading", "--source-only", "egomotion", "--alternatives", 2, "--preset", "paper", "--json"]
    found = json.loads(taskonomy("policy", PUBLISHED, *options, *WITHOUT).stdout)
    assert "inpainting" in found["sources"]
    assert "reshading" not in found["sources"]
    assert "egomotion" not in {one["target"] for one in found["transfers"]}
    assert found["cost"] == sum({"normal": 3, "denoising": 0.5, "jigsaw": 2}.get(name, 1) for name in found["sources"])
    assert len({tuple(one["sources"]) for one in [found, *found["alternatives"]]}) == 3


def test_names_are_understood_as_they_are_printed_and_with_signs_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("target,sources,affinity\nt,x=y,0.5\nt,b + c,0.4\nb,cafe\u0301,0.5\nb,c,0.1\n")
    found = json.loads(taskonomy("policy", path, "--budget", 5, "--cost", "x=y=3", "--cost", "caf\u00e9=1.5", "--json").stdout)
    assert (found["sources"], found["cost"]) == (["caf\u00e9", "x=y"], 4.5)
    found = json.loads(taskonomy("policy", path, "--budget", 4, "--require", "b + c", "--exclude", "cafe\u0301", "--json").stdout)
    assert found["sources"] == ["b", "c"]


@pytest.mark.parametrize("name", ["a+b", "self", "a,b", "a@0.02"])
def test_affinity_refuses_a_name_that_policy_would_before_it_computes(tmp_path: Path, name: str) -> None:
    (tmp_path / "losses").mkdir()
    for target in ("A", name):
        np.savez(tmp_path / "losses" / f"{target}.npz", losses=np.full((2, 50), np.nan), candidates=np.array(["x", "y"]))
    error = taskonomy("affinity", tmp_path / "losses", "-o", tmp_path / "t.csv", status=1).stderr
    assert repr(name) in error  # the losses, which no affinity can be computed from, are not what it stumbles over
    assert not (tmp_path / "t.csv").exists()


def test_front_as_json_is_a_list_of_policies() -> None:
    found = json.loads(taskonomy("front", PUBLISHED, "--orders", "1,2", "--budgets", "1,3-4", "--preset", "paper", *WITHOUT, "--json").stdout)
    assert [(one["max_order"], one["budget"]) for one in found] == [(1, 1), (1, 3), (1, 4), (2, 1), (2, 3), (2, 4)]
    assert set(KEYS) < set(found[0])
    assert found[1]["objective"] == pytest.approx(0.370828, abs=1e-6)


def test_text_output_names_the_sources_and_every_target() -> None:
    text = taskonomy("policy", PUBLISHED, "--budget", 3, "--max-order", 1, "--preset", "paper", *WITHOUT, "--alternatives", 1).stdout
    assert "proved optimal: objective 0.370828, cost 3 of 3" in text
    assert "Surface normals" in text
    assert "Next best 1: " in text


def test_losses_become_a_table_with_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "losses").mkdir()
    for target in ("x", "y"):
        losses = rng.random((4, 300)) + np.arange(4)[:, None] / 4
        np.savez(
            tmp_path / "losses" / f"{target}.npz", losses=losses, candidates=np.array(["self", "x", "y", "x+y"]), pixels=losses[2], scratch=losses[3]
        )
    taskonomy("affinity", tmp_path / "losses", "-o", tmp_path / "t.csv", "--details", tmp_path / "d.json", "--resamples", 200)
    table = read_table(tmp_path / "t.csv")
    assert table.groupby("target")["affinity"].sum().tolist() == pytest.approx([1, 1])
    assert table["affinity"].is_monotonic_decreasing or table.loc[table["target"] == "x", "affinity"].is_monotonic_decreasing
    assert table.loc[table["sources"] == ("self",), "quality"].tolist() == [] or table["quality"].iloc[0] == 0.5
    assert table["gain"].iloc[2] == table["gain_scratch"].iloc[3] == 0.5
    details = json.loads((tmp_path / "d.json").read_text())["x"]
    assert details["best_of_order"]["x"] + details["best_of_order"]["y"] == pytest.approx(1)
    again = taskonomy("affinity", tmp_path / "losses", "-o", tmp_path / "again.csv", "--resamples", 200)
    assert "8 transfers into 2 targets" in again.stdout
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()
    assert json.loads(taskonomy("policy", tmp_path / "t.csv", "--budget", 1, "--json").stdout)["sources"] == ["x"]


def test_tree_prints_newick_and_draws_a_page(tmp_path: Path) -> None:
    text = taskonomy("tree", PUBLISHED, *WITHOUT, "-o", tmp_path / "tree.html").stdout
    assert text.endswith(";\n")
    assert text.count(",") == 24
    assert "Surface normals" in (tmp_path / "tree.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["policy", "no.csv", "--budget", 1], "no.csv: no such table"),
        (["policy", PUBLISHED, "--budget", "x"], "--budget"),
        (["policy", PUBLISHED], "--budget"),
        (["policy", PUBLISHED, "--budget", -1], "budget must be greater than or equal to 0"),
        (["policy", PUBLISHED, "--budget", 3, "--cost", "normal=1e308"], "cost.normal is too large: must be at most 1,000,000,000,000 (is 1e+308)"),
        (["policy", PUBLISHED, "--preset", "paper", "--budget", 0.5], "the smallest budget that serves every target is 1"),
        (["policy", PUBLISHED, "--budget", 1, "--cost", "normal"], "--cost: 'normal' must be TASK=NUMBER"),
        (["policy", PUBLISHED, "--budget", 1, "--require", "normal,jigsaw,reshading"], "required sources jigsaw, normal, reshading alone cost more"),
        (["policy", PUBLISHED, "--budget", "1_0"], "--budget must be a number, written with the digits 0-9 and without underscores (is '1_0')"),
        (["policy", PUBLISHED, "--budget", "１"], "--budget must be a number, written with the digits 0-9 and without underscores (is '１')"),
        (["policy", PUBLISHED, "--budget=2", "--max-order=1_0"], "--max-order must be a whole number, written with the digits 0-9"),
        (
            ["policy", PUBLISHED, "--budget", 1, "--cost", "normal=1_0"],
            "--cost: 'normal=1_0' must be TASK=NUMBER: normal must be a number, written with",
        ),
        (["policy", PUBLISHED, "--budget", 1, "--cost", "normal=٣"], "--cost: 'normal=٣' must be TASK=NUMBER"),
        (["policy", PUBLISHED, "--budget", 1, "--importance", "=3"], "--importance: '=3' must be TASK=NUMBER"),
        (["policy", PUBLISHED, "--budget", 1, "--cost", "normal + jigsaw=3"], "--cost: 'normal + jigsaw=3' must be TASK=NUMBER, of one task"),
        (["policy", PUBLISHED, "--budget", 1, "--cost", "normal=1,normal=2"], "--cost: normal stands twice, with 1 and 2"),
        (["tree", PUBLISHED, "--beta", "2_0"], "--beta must be a number"),
        (["repro", "-j", "1_0"], "--jobs must be a whole number"),
        (["experiments", "run", "--jobs", "1_0"], "--jobs must be a whole number"),
        (["predict", "x.png", "--side", "3_2"], "--side must be a whole number"),
        (["plan", "--views", "1_0"], "--views must be a whole number"),
        (["data", "inspect", ".", "--sample", "１"], "--sample must be a whole number"),
        (
            ["query", "normal", "--images", "2_00"],
            "--images: '2_00' must be whole numbers >= 2, such as 200,500: must be a whole number, written with",
        ),
        (["front", PUBLISHED, "--budgets", "1_0"], "--budgets: '1_0' must be a number"),
        (["front", PUBLISHED, "--budgets", "1-１"], "--budgets: '1-１' must be a number"),
        (["front", PUBLISHED, "--budgets", "3-1"], "--budgets: '3-1'"),
        (["front", PUBLISHED, "--orders", "0"], "--orders"),
        (["affinity", "nowhere", "-o", "t.csv"], "nowhere: no such folder"),
        (["tree", PUBLISHED, "--method", "wrad"], "'wrad' is not one of 'complete', 'average', 'single', 'ward'"),
        (["import-published", PUBLISHED, "-o", "t.csv"], "refused"),
        (["polcy"], "polcy"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_1(arguments: list[object], message: str) -> None:
    errors = [line for line in taskonomy(*arguments, status=1).stderr.splitlines() if "have no affinity" not in line]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    """/dev/full stands for a full disk: every write to it fails with 'No space left on device'."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    program = (
        "import sys; from pathlib import Path; from taskonomy import atomic_io as files; from taskonomy.errors import one_line\n"
        "real = open\n"
        "files.open = lambda path, *rest, **more: real('/dev/full', *rest, **more)\n"
        "with one_line(): files.write_text(Path(sys.argv[1]), 'new' * 10000)"
    )
    (tmp_path / "x").write_text("old")
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "x"], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "x").read_text() == "old"
