"""The tables of `taskonomy results`, made of a small run's results."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from taskonomy.errors import TaskonomyError
from taskonomy.evaluation.studies import COLUMNS
from taskonomy.report.results_tables import results_page
from taskonomy.tables.table import parse_table, write_table

CHANCE = {"policy": 0.6, "percentile": 100.0, "p_value": 0.0001, "random_mean": 0.4}


def studied(folder: Path, budgets: list[float]) -> None:
    """Policies of some budgets by the paper's rules beside random ones, each with numbers of its own."""
    rows = [
        (budget, draw, measure, budget / 20, budget / 40, 0.0, 1.0, budget / 1000)
        for budget in budgets
        for draw in ("connections", "sources")
        for measure in ("gain", "quality")
    ]
    pd.DataFrame(rows, columns=list(COLUMNS["chance"])).to_csv(folder / "chance.csv", index=False)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = ["normal", "reshading", "edge_texture", "class_scene", "random_projection"]
    rows = "".join(f"{target},{source},0.2,{rng.random():.3f},0.4\n" for target in names[:4] for source in [*names, "self"])
    table = parse_table("target,sources,affinity,gain,quality\n" + rows, "T")
    write_table(tmp_path / "affinities.csv", table)
    write_table(tmp_path / "held_out.csv", table.assign(gain=rng.random(len(table))))
    worse = {"worse_than_constant": {"transfers": 7, "of": 16, "targets": 3}}
    (tmp_path / "normalize_metrics.json").write_text(json.dumps({**worse, "split_halves": {"affinity": 0.914, "gain": 0.85}}))
    novel = [
        ("normal", "best single source", 0.5, 0.3, 0.1),
        ("reshading", "best single source", 0.7, 0.5, 0.1),
        ("normal", "best transfer", 0.9, 0.9, 0.9),
    ]
    pd.DataFrame(novel, columns=["target", "way", "gain", "gain_scratch", "quality"]).to_csv(tmp_path / "novel.csv", index=False)
    (tmp_path / "networks.csv").write_text("task,average,random,average_low,average_high\nnormal,0.9,0.8,0.85,0.95\nclass_scene,0.6,0.7,0.5,0.65\n")
    beside = {"without own and random": {"measured": 0.41, "family": 0.5, "family and goodness": 0.64}}
    (tmp_path / "agreement_metrics.json").write_text(json.dumps({"beside": beside}))
    evaluated = {draw: dict.fromkeys(("gain", "gain_scratch", "quality"), CHANCE) for draw in ("connections", "sources")}
    trees = {"tree_family_triplets": {"overall": 0.75}, "tree_family_p_values": {"overall": 0.0012}}
    (tmp_path / "evaluate_metrics.json").write_text(json.dumps({**evaluated, **trees}))
    (tmp_path / "policy.json").write_text(json.dumps({"budget": 3.0, "sources": ["denoising", "jigsaw", "normal"], "free": ["denoising", "jigsaw"]}))
    studied(tmp_path, [1, 6, 11])
    noise = {"transfers": {"count": 15, "seeds": 3, "gain": 0.021, "affinity": 0.1, "between_sources": 0.12}}
    (tmp_path / "noise_metrics.json").write_text(json.dumps(noise))
    return tmp_path


def test_every_main_result_stands_in_a_row_of_its_own(measured: Path) -> None:
    text = results_page(measured, ROOT / "nothing").replace("\u00a0", " ")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for row in (
        "| first-order transfers from trained encoders that are worse than the best constant | 7 of 16, into 3 targets |  |",
        "| best single other source, held-out images: beats a shallow network on the image (gain, the paper's) | 60 % |  |",
        "| best single other source, held-out images: beats its network from scratch | 40 % |  |",
        "| split halves of the test images: mean rank correlation of a target's sources by affinity, without own and random | 0.91 |  |",
        "| beats constant | 75.0 % | 60.0 % (Scene classification, 50 to 65) |",
        "| without own and random | 0.41 | 0.50 | 0.64 |",
        "| overall | 75 % (0.0012) |  |",
        "| gain against scratch, against random sources, best transfers | 0.600, 0.400, p = 0.0001 |  |",
        "| gain of a transfer, points | 15 | 3 | 2.1 |",
    ):
        assert row in rows
    widths = [[line.count("|") for line in part.splitlines() if line.startswith("|")] for part in text.split("## ")[1:]]
    assert all(len(set(one)) == 1 for one in widths)  # as many cells in every row as in its head


def test_the_papers_setting_is_of_the_budget_nearest_to_its_own_that_both_tables_have(measured: Path, tmp_path: Path) -> None:
    def told(published: Path) -> list[str]:
        return results_page(measured, published).split("## The paper's setting, ")[1].split("##")[0].splitlines()

    alone = told(ROOT / "nothing")
    assert alone[0] == "budget 6: the policy against random feasible ones: its value, the random mean, p"
    assert "| quality, against random sources, best transfers | 0.300, 0.150, p = 0.006 |  |" in alone
    other = tmp_path / "other"
    other.mkdir()
    studied(other, [1, 8, 11])
    both = told(other)
    assert both[0].startswith("budget 11: ")
    assert "| gain, against random sources and transfers | 0.550, 0.275, p = 0.011 | 0.550, 0.275, p = 0.011 |" in both
    own = "## The policy of this run, budget 3 (2 of its 3 sources at no cost), against random feasible ones"
    assert own in results_page(measured, other)


def test_a_run_that_is_not_finished_is_named(measured: Path) -> None:
    (measured / "evaluate_metrics.json").unlink()
    with pytest.raises(TaskonomyError, match=r"evaluate_metrics\.json: no such result; run `taskonomy repro` first"):
        results_page(measured, ROOT / "nothing")
