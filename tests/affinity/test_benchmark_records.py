"""Records of a benchmark of frozen encoders, as VisBench writes them, become a table whose sources are external."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from taskonomy.cli.main import app
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.policy.planner import plan
from taskonomy.tables.benchmark_records import beaten, import_records
from taskonomy.tables.table import external_sources, read_table

ERRORS = {"dino": 21.4, "mae": 18.8, "clip": 28.3, "resnet": 28.3}  # degrees
ACCURACIES = {"dino": 0.993, "mae": 0.958, "clip": 0.995, "resnet": 0.998}


def record(backbone: str, task: str, **more: Any) -> dict[str, Any]:
    """With the fields of schema 7 that matter, and some that do not."""
    return {
        "backbone": backbone, "backbone_key": f"timm/{backbone}", "task": task, "dataset": "val", "dataset_fingerprint": "95", "split": "val",
        "task_params": {"epochs": 10}, "seed": 0, "pooling_requested": "mean", "pooling": backbone, "layer": None, "layers": None, "finetune": None,
        "duration_seconds": len(backbone), "timestamp": "2026-08-01T18:00:00", "visbench_version": backbone, **more,
    }  # fmt: skip


BOARDS = [record(one, "orientation", metrics={"d1": -value, "orientation_error": value}) for one, value in ERRORS.items()]
BOARDS += [record(one, "classification", metrics={"top1": value, "top5": 1.0}) for one, value in ACCURACIES.items()]


def imported(folder: Path, records: list[Any], metrics: Any = (), licences: Any = (), inference: Any = ()) -> Any:
    path = folder / "records.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in records))
    return import_records(path, dict(metrics), dict(licences), dict(inference))


def affinities(found: Any) -> dict[tuple[str, str], float]:
    return {(row.target, row.sources[0]): row.affinity for row in found.table.itertuples()}


def test_affinity_is_the_share_of_the_other_encoders_that_one_beats(tmp_path: Path) -> None:
    found = affinities(imported(tmp_path, BOARDS))
    for (task, one), affinity in found.items():
        mine, better = (ERRORS, -1) if task == "orientation" else (ACCURACIES, 1)
        others = [better * np.sign(mine[one] - value) for name, value in mine.items() if name != one]
        assert affinity == pytest.approx(np.mean([(sign + 1) / 2 for sign in others]))
    assert len(found) == 8


def test_it_is_the_same_whatever_monotone_scale_a_metric_has() -> None:
    values = np.random.default_rng(0).integers(0, 5, 9).astype(float)
    assert beaten(values) == beaten(np.exp(values)) == beaten(1e6 + values**3)
    assert np.mean(beaten(values)) == pytest.approx(0.5)


def test_only_records_of_one_setting_are_compared_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    """A finer split of two encoders, a fine-tuned one, an older measurement of the same, and a task of one encoder."""
    more = [
        record("mae", "orientation", metrics={"orientation_error": 1.0}, dataset_fingerprint="7a"),
        record("clip", "orientation", metrics={"orientation_error": 2.0}, dataset_fingerprint="7a"),
        record("tuned", "orientation", metrics={"orientation_error": 0.1}, finetune={"rate": 0.1}),
        record("mae", "classification", metrics={"top1": 1.0}, timestamp="2026-07-31T18:00:00"),
        record("mae", "depth", metrics={"d1": 0.7}),
    ]
    found = imported(tmp_path, [*more, *BOARDS])
    assert affinities(found) == affinities(imported(tmp_path, BOARDS))
    assert found.notes == [
        "1 records of fine-tuned encoders are left out",
        "depth is left out: mae is its only encoder, and has none to be compared with",
        "orientation: the setting with the most encoders, 4; 1 with fewer left out",
    ]


def test_the_order_of_the_lines_changes_nothing(tmp_path: Path) -> None:
    first = imported(tmp_path, BOARDS).table
    for order in list(permutations(range(4)))[::7]:
        assert imported(tmp_path, [BOARDS[number] for number in (*order, 6, 4, 7, 5)]).table.equals(first)


def test_the_command_gives_a_table_on_which_encoders_are_chosen_under_a_bound_on_their_number(tmp_path: Path) -> None:
    """By enumeration of all pairs; and licences are kept."""
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, BOARDS)) + "\n\n")
    run = ["import-records", str(tmp_path / "r.jsonl"), "-o", str(tmp_path / "t.csv"), "--inference", "*=1,mae=2", "--licence", "clip=MIT"]
    done = CliRunner().invoke(app, run)
    assert done.stdout == f"{tmp_path / 't.csv'}: 8 transfers from 4 encoders to 2 tasks\n"
    table = read_table(tmp_path / "t.csv")
    said = external_sources(table)
    assert said.licences == {"clip": "MIT", "dino": "", "mae": "", "resnet": ""}
    assert said.inference == {"clip": 1, "dino": 1, "mae": 2, "resnet": 1}
    worth = {(row.target, row.sources[0]): row.affinity for row in table.itertuples()}
    pairs = [pair for pair in permutations(ERRORS, 2) if "mae" not in pair] + [(one, one) for one in ERRORS]
    best, _ = plan(table, PolicyParams(budget=0, max_inference=2))
    assert best.objective == pytest.approx(max(worth["orientation", one] + worth["classification", other] for one, other in pairs))
    assert best.labelled == ()


PLAIN = {"backbone": "a", "task": "depth", "metrics": {"d1": 0.5}}
BROKEN: dict[str, tuple[list[Any], str]] = {
    "no JSON": ([PLAIN, "{"], "line 2: no JSON ("),
    "nested too deep": (["[" * 100_000], "line 1: no JSON ("),
    "no object": (["[1]"], "line 1: must be an object with backbone, task and metrics"),
    "no encoder": ([{"task": "depth", "metrics": {"d1": 1}}], "line 1: backbone must be a text (is None)"),
    "no metrics": ([{**PLAIN, "metrics": None}], "line 1: metrics must be an object of numbers (is null)"),
    "no number": ([{**PLAIN, "metrics": {"d1": "0.5"}}], 'line 1: metrics.d1 must be a finite number (is "0.5")'),
    "NaN": (['{"backbone": "a", "task": "depth", "metrics": {"d1": NaN}}'], "line 1: metrics.d1 must be a finite number (is NaN)"),
    "an encoder with a plus": ([{**PLAIN, "backbone": "a+b"}], "line 1: encoder 'a+b' may not hold a +"),
    "a variant": ([{**PLAIN, "backbone": "a@0.02"}], "line 1: 'a@0.02' is not an encoder's name"),
    "self": ([{**PLAIN, "backbone": "self"}], "line 1: 'self' is not an encoder's name"),
    "a line break": ([{**PLAIN, "task": "de\npth"}], "line 1: 'de\\npth' is not a task name"),
    "a task and an encoder": ([PLAIN, {**PLAIN, "backbone": "depth"}], "depth is a task and an encoder"),
    "another metric": ([PLAIN, {**PLAIN, "backbone": "b", "metrics": {"rmse": 1}}], "line 2: no metric d1 of depth; it has rmse"),
    "an unknown task": ([{**PLAIN, "task": "mood"}, {**PLAIN, "task": "mood", "backbone": "b"}], "which metric of mood? Write --metric mood=NAME"),
    "two encoders of a name": ([{**PLAIN, "backbone_key": "x"}, {**PLAIN, "backbone_key": "y"}], "lines 1 and 2: a stands for two encoders, x and y"),
    "two equal boards": (
        [{**PLAIN, "backbone": name, "split": split} for name in "ab" for split in ("val", "test")],
        "depth has two boards of 2 encoders, those of lines 1 and 2, which differ in split",
    ),
    "one encoder": ([PLAIN], "no two records that can be compared"),
    "nothing": (["", " "], "holds no record"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_record_is_refused_in_one_line_that_names_it(what: str, tmp_path: Path) -> None:
    records, said = BROKEN[what]
    with pytest.raises(TaskonomyError) as error:
        imported(tmp_path, records)
    assert str(error.value).startswith(f"{tmp_path / 'records.jsonl'}: ")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("option", ["metrics", "licences", "inference"])
def test_an_option_for_a_name_that_is_not_there_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match=r"^--(metric|licence|inference): nobody is not in .*records\.jsonl, which has "):
        imported(tmp_path, BOARDS, **{option: {"nobody": 1.0 if option == "inference" else "x"}})


def test_a_metric_may_be_named_and_turned(tmp_path: Path) -> None:
    assert affinities(imported(tmp_path, BOARDS, metrics={"orientation": "d1"})) == affinities(imported(tmp_path, BOARDS))
    turned = affinities(imported(tmp_path, BOARDS, metrics={"classification": "-top1"}))
    assert turned["classification", "mae"] == 1
