"""Table 1 of the paper: against plain loops, and the numbers it prints."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from taskonomy.affinity.table1 import Resampling, headline, read_networks, table_one, write_networks
from taskonomy.errors import TaskonomyError
from taskonomy.tasks import BUILT_IN

PUBLISHED_NETWORKS = ROOT / "data/published/networks.csv"
HEADER = "task,average,random\n"


def test_a_win_rate_counts_images_and_a_tie_is_half_a_win() -> None:
    rng = np.random.default_rng(0)
    losses = {name: tuple(rng.integers(0, 4, (3, images)).astype(np.float32)) for name, images in (("normal", 9), ("jigsaw", 5000))}
    frame = table_one(losses)
    for task, (own, *baselines) in losses.items():
        row = frame.set_index("task").loc[task]
        for name, other in zip(("average", "random"), baselines, strict=True):
            wins = sum(1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(own.tolist(), other.tolist(), strict=True))
            assert row[name] == pytest.approx(wins / len(own), rel=1e-12)


def test_a_task_without_a_random_readout_has_no_rate_against_it_and_no_part_in_its_mean() -> None:
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.3, 0.4, 0.1])
    frame = table_one({"normal": (low, high, low), "jigsaw": (high, low, None)})
    assert frame["average"].tolist() == [0.75, 0.25]
    assert frame["random"].iloc[0] == 0.5
    assert frame[["pixels", "scratch"]].isna().all(axis=None)
    assert np.isnan(frame["random"].iloc[1])
    assert headline(frame) == {"average": {"mean": 0.5, "lowest": 0.25}, "random": {"mean": 0.5, "lowest": 0.5}}


def test_intervals_are_those_of_buildings_drawn_anew() -> None:
    """All 27 ways to draw three buildings of three, the images of each together."""
    rng = np.random.default_rng(3)
    own, average = rng.random((2, 60))
    groups = np.repeat(["a", "b", "c"], [5, 35, 20])
    frame = table_one({"normal": (own, average)}, Resampling({"normal": groups}, 4000, 0.8, 0)).iloc[0]
    won = (own < average).astype(float)
    every = [np.mean(np.concatenate([won[groups == name] for name in drawn])) for drawn in product("abc", repeat=3)]
    assert (frame["average_low"], frame["average_high"]) == pytest.approx(tuple(np.quantile(every, [0.1, 0.9])), abs=0.03)
    alone = table_one({"normal": (own, average)}, Resampling({"normal": np.repeat("a", 60)}, 100, 0.8, 0)).iloc[0]
    assert np.isnan(alone["average_low"])


def test_a_win_rate_is_unchanged_by_any_increasing_rescaling_of_the_losses() -> None:
    own, average, random = np.random.default_rng(1).random((3, 200))
    plain = table_one({"normal": (own, average, random)})
    pd.testing.assert_frame_equal(table_one({"normal": (np.exp(9 * own), np.exp(9 * average), np.exp(9 * random))}), plain)


def test_losses_that_cannot_be_compared_are_refused_by_task_and_baseline() -> None:
    four = np.zeros(4)
    with pytest.raises(TaskonomyError, match="target normal: its own network has losses of 4 images, random has 3"):
        table_one({"normal": (four, four, np.zeros(3))})
    with pytest.raises(TaskonomyError, match="target normal, candidate average: the loss of image 2 is nan"):
        table_one({"normal": (four, np.array([0, 0, np.nan, 0]), None)})


def test_the_published_table_has_the_means_that_the_paper_prints() -> None:
    """The second mean is printed as 90.9 %, but the 20 cells above it have the mean 91.2 %."""
    frame = read_networks(PUBLISHED_NETWORKS)
    assert len(frame) == 22
    assert set(frame["task"]) <= set(BUILT_IN)
    assert frame["average"].mean() == pytest.approx(0.924, abs=0.0005)
    assert frame["random"].mean() == pytest.approx(0.909, abs=0.004)
    assert sorted(frame.loc[frame["random"].isna(), "task"]) == ["inpainting", "jigsaw"]


def test_win_rates_survive_writing_and_reading(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task": ["normal", "my, own"], "average": [1 / 3, np.nan], "random": [0.0, 1.0]})
    write_networks(tmp_path / "networks.csv", frame)
    pd.testing.assert_frame_equal(read_networks(tmp_path / "networks.csv"), frame)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty file; expected the header task,average,random"),
        ("task,random\nnormal,1\n", r"line 1: missing columns: average \(found 'task', 'random'\)"),
        (HEADER + "normal,1,1_0\n", r"line 2: random must be a number, written with the digits 0-9"),
        (HEADER, "no rows below the header"),
        (HEADER + "normal,1\n", "line 2: 2 cells under 3 columns"),
        (HEADER + "normal,1,1\n\nnormal,1,1\n", "line 4: normal stands in line 2 already"),
        (HEADER + ",1,1\n", "line 2: '' is not a task name"),
        (HEADER + "normal,92.4,\n", r"line 2: average must be in \[0, 1\] \(is 92.4\)"),
        (HEADER + "normal,1,nan\n", r"line 2: random must be in \[0, 1\] \(is nan\)"),
        (HEADER + "normal,much,1\n", "line 2: average must be a number"),
        (HEADER + 'normal,"1,1\n', "line 2: unexpected end"),
    ],
)
def test_a_bad_file_is_refused_by_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "networks.csv"
    path.write_text(text)
    with pytest.raises(TaskonomyError, match=told) as error:
        read_networks(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match="no such file"):
        read_networks(tmp_path / "nothing.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskonomyError, match="not a UTF-8 text file"):
        read_networks(tmp_path / "bytes.csv")
