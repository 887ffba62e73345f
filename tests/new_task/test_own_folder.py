"""A user's own images and labels: a new task that no dictionary knows, answered from a run whose images it does not share."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from test_query import TRAINED, Watch, forget, run_in

from taskonomy.cli.main import main
from taskonomy.config.checked import checked
from taskonomy.config.data_params import QueryParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.errors import TaskonomyError
from taskonomy.new_task.request import ask
from taskonomy.new_task.run_query import answer, run_query

HERE = str(Path(__file__).parent)  # a folder that exists
COUNT = 60


@pytest.fixture(scope="module")
def folder(prepared, tmp_path_factory) -> Path:
    """Images of the tiny world, half as large again and not square, with their mean colours as a vector of three."""
    root = tmp_path_factory.mktemp("own") / "photographs"
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(COUNT):
        image = cv2.resize(np.asarray(prepared.images[2 * number]), (60, 48), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / f"images/{number}.png"), image[..., ::-1])
        rows.append([f"{number}.png", *(image[:, 6:54].reshape(-1, 3).mean(0) / 255)])
    pd.DataFrame(rows, columns=["image", "tint.0", "tint.1", "tint.2"]).to_csv(root / "labels.csv", index=False)
    return root


@pytest.fixture(autouse=True)
def on_one_core(monkeypatch):
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    forget()


def asked(root: Path, **own):
    return checked(QueryParams, {"tasks": {"tint": {"root": str(root), "own": own}}}, "options").tasks["tint"]


@pytest.mark.usefixtures("unchecked_calls")
def test_a_vector_from_a_folder_end_to_end(prepared, trained, folder, tmp_path, monkeypatch):
    run = run_in(tmp_path / "run", prepared, trained, transfer={"targets": ["normal", "denoising"], "max_order": 1})
    before = {path: path.stat().st_mtime_ns for part in (trained, prepared.root) for path in part.rglob("*")}
    query = ask(run, "tint", asked(folder, kind="vector", length=3), (8, 20, 10**6), tmp_path / "work")
    made = Prepared(query.context.prepared)
    task = made.task(query.task)
    counts = made.index["split"].value_counts()
    assert set(counts.index) == {"transfer", "validation", "test_affinity", "test_policy"}  # the encoders have seen none of them
    assert counts.sum() == COUNT
    assert query.images == (8, 20, counts["transfer"])
    table = pd.read_csv(folder / "labels.csv").drop(columns="image").to_numpy()
    for row, number in enumerate(made.index["point"]):
        np.testing.assert_allclose(task.stored[row], table[number], rtol=1e-6)
        np.testing.assert_allclose(made.images[row].reshape(-1, 3).mean(0) / 255, table[number], atol=0.02)

    watch = Watch(monkeypatch)
    done = answer(query, run.params.normalize)
    assert set(done.answer.ranking["sources"]) == {(source,) for source in TRAINED}
    expected = [*(f"transfer {source} tint" for source in TRAINED), "scratch tint", "transfer pixels tint", "average tint"]
    tuned = next(sources[0] for sources in done.answer.ranking["sources"] if sources != ("colorization",))
    expected += 3 * [f"transfer {done.answer.winner[0]} tint", f"fine-tuned {tuned} tint", "scratch tint"]
    assert sorted(watch.names) == sorted(expected)
    assert done.new == len(watch.names) + len(TRAINED)  # each source has encoded the images once
    assert {path: path.stat().st_mtime_ns for part in (trained, prepared.root) for path in part.rglob("*")} == before
    watch.asked.clear()

    # Prepared anew, in another place: the same content, so nothing is computed again.
    forget()
    (run.root / ".dvc/config").write_text(f"[cache]\n    dir = {run.store.parent / 'cache'}\n")
    again = run_query(run.root, "tint", asked(folder, kind="vector", length=3), (8, 20, 10**6), tmp_path / "out")
    assert watch.names == []
    assert again.new == 0
    pd.testing.assert_frame_equal(again.answer.ranking, done.answer.ranking)
    assert not (tmp_path / "out/work").exists()
    assert "tint" in (tmp_path / "out/index.html").read_text()


def test_labels_that_are_not_what_is_declared_are_refused_and_leave_nothing(prepared, trained, folder, tmp_path):
    run = run_in(tmp_path / "run", prepared, trained)
    with pytest.raises(
        TaskonomyError, match=r"data\.own\.tint: .* it has 3 numbers, declared is class, one id from 0 to 1; one number would be right"
    ):
        run_query(run.root, "tint", asked(folder, kind="class", classes=2), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tint", HERE), "options: tasks: tint is no task of the dictionary; say what its labels are, such as own:"),
        (("tint", HERE, "--own", "{kind: vectr}"), r"options: tasks\.tint\.own\.kind must be one of map, .* \(is vectr\)"),
        (("tint", HERE, "--own", "{kind: vector}"), r"options: tasks\.tint\.own\.length is missing"),
        (
            ("tint", HERE, "--own", "{kind: vector, length: 3, size: 2}"),
            r"tasks\.tint\.own\.size is not a known key; known keys: title, images, kind, length, loss",
        ),
        (("normal", HERE, "--own", "{kind: vector, length: 3}"), "options: tasks: normal is a task of the dictionary"),
        (("../tint", HERE, "--own", "{kind: vector, length: 3}"), r"options: tasks: \.\./tint a task's name begins with a letter"),
        (("tint", "--own", "{kind: vector, length: 3}"), "--own goes with a folder"),
        (("tint", HERE, "--own", "{"), "--own: '{' is no YAML"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(arguments, said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["taskonomy", "query", *arguments])
    with pytest.raises(SystemExit, match=f"^error: .*{said}") as ended:
        main()
    assert "\n" not in str(ended.value)
