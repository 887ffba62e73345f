"""The presets of a policy: what they set, and that explicit keys win."""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from conftest import PUBLISHED, ROOT
from waiting import HANG

from taskonomy.config.policy_params import PolicyParams, Preset, SelfEdge
from taskonomy.parsing.strict_yaml import load_yaml
from taskonomy.policy.planner import plan
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import read_table
from taskonomy.tasks import BUILT_IN


def test_a_preset_sets_what_is_left_open_and_explicit_keys_win() -> None:
    assert PolicyParams(budget=1).preset is Preset.PRACTICE
    assert PolicyParams(budget=1).self_edge is SelfEdge.GOLD
    assert PolicyParams(budget=1, preset=Preset.PAPER).self_edge is SelfEdge.TRANSFER
    assert PolicyParams.model_validate({"budget": 1, "preset": "paper", "self_edge": None}).self_edge is SelfEdge.TRANSFER
    assert PolicyParams.model_validate({"budget": 1, "self_edge": None}).self_edge is SelfEdge.GOLD
    assert PolicyParams(budget=1, preset=Preset.PAPER, self_edge=SelfEdge.NONE).self_edge is SelfEdge.NONE
    assert PolicyParams(budget=1, self_edge=SelfEdge.TRANSFER).self_edge is SelfEdge.TRANSFER


def test_the_papers_rules_are_those_of_its_preset_whatever_else_is_given() -> None:
    given = {"budget": 3, "max_order": 2, "exclude": ("jigsaw",), "roles": {"denoising": "target"}, "licences": ("MIT",)}
    more = {"self_edge": "none", "balance": "peak", "importance": {"normal": 2}, "require": ("normal",), "labels": {"currency": "EUR", "price": 1}}
    assert PolicyParams(**given, **more).as_in_paper() == PolicyParams(**given, preset="paper")
    assert PolicyParams(**given, cost={"normal": 4}).as_in_paper() == PolicyParams(**given, preset="paper")


def test_params_yaml_has_the_preset_practice_and_the_profile_paper_the_papers() -> None:
    default, paper = (load_yaml((ROOT / name).read_text())["policy"] for name in ("params.yaml", "profiles/paper.yaml"))
    assert (default["preset"], default["self_edge"]) == ("practice", None)
    assert PolicyParams.model_validate({**default, **paper}).self_edge is SelfEdge.TRANSFER


def test_in_practice_exactly_the_tasks_that_label_themselves_cost_nothing() -> None:
    table = read_table(PUBLISHED)
    costs = admissible(table, PolicyParams(budget=1, preset=Preset.PRACTICE, cost={"jigsaw": 2.0, "normal": 0.5})).costs
    free = {name for name, cost in costs.items() if cost == 0}
    assert free == {name for name in costs if BUILT_IN[name].family in ("2D", "self-supervised")} - {"jigsaw"}
    assert (costs["jigsaw"], costs["normal"], costs["depth_zbuffer"]) == (2, 0.5, 1)
    assert set(admissible(table, PolicyParams(budget=1, preset=Preset.PAPER)).costs.values()) == {1}


def test_the_policy_in_practice_is_the_best_of_all_sets_that_it_could_pay_for() -> None:
    """Every set of sources of a small table, by enumeration: 2D edges cost nothing, normals and depth 1 each."""
    rows = [("normal", "self", 0.5), ("normal", "edge_texture", 0.2), ("normal", "depth_zbuffer", 0.3)]
    rows += [("depth_zbuffer", "self", 0.6), ("depth_zbuffer", "normal", 0.45), ("depth_zbuffer", "edge_texture", 0.1)]
    rows += [("edge_texture", "self", 0.7), ("edge_texture", "normal", 0.3)]
    table = pd.DataFrame([(target, (source,), affinity) for target, source, affinity in rows], columns=["target", "sources", "affinity"])
    best, _ = plan(table, PolicyParams(budget=1, max_order=1, preset=Preset.PRACTICE))

    def worth(sources: tuple[str, ...]) -> float:
        into = [[a for t, s, a in rows if t == target and (target if s == "self" else s) in sources] for target in {row[0] for row in rows}]
        return sum(map(max, into)) if all(into) else float("-inf")

    names = ("depth_zbuffer", "edge_texture", "normal")
    affordable = [some for count in range(1, 4) for some in combinations(names, count) if len(set(some) - {"edge_texture"}) <= 1]
    chosen = max(affordable, key=worth)
    assert (best.sources, best.objective) == (chosen, pytest.approx(worth(chosen)))
    assert best.free == ("edge_texture",)
    assert best.as_dict()["free"] == ["edge_texture"]


def test_text_says_which_labels_are_free(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("target,sources,affinity\nnormal,self,0.5\nnormal,denoising,0.2\ndenoising,self,0.6\n")

    def said(*options: str) -> list[list[str]]:
        command = [Path(sys.executable).with_name("taskonomy"), "policy", table, *options]
        text = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=True).stdout
        return [[" ".join(line.split()) for line in part.splitlines()] for part in text.split("\n\n")[1:-1]]

    assert said("--budget", "1") == [["Label in full", "normal Surface normals"], ["Labels are free", "denoising Denoising"]]
    assert said("--budget", "0") == [["Label nothing in full."], ["Labels are free", "denoising Denoising"]]
    assert said("--budget", "2", "--preset", "paper", "--self-edge", "gold") == [["Label in full", "denoising Denoising", "normal Surface normals"]]


def test_the_command_line_takes_a_preset_and_its_options_win() -> None:
    def solved(*options: str) -> dict[str, object]:
        command = [Path(sys.executable).with_name("taskonomy"), "policy", PUBLISHED, "--budget", "2", "--max-order", "1", "--json", *options]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=True).stdout)

    assert solved()["self_edge"] == solved("--preset", "practice")["self_edge"] == "gold"
    assert solved("--preset", "paper")["self_edge"] == "transfer"
    assert solved("--preset", "paper", "--self-edge", "none")["self_edge"] == "none"
