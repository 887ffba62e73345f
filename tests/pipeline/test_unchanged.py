"""A run that finds nothing touched does not ask DVC; whatever is touched, it does."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_pipeline import Pipeline, by_dvc
from waiting import HANG

from taskonomy.pipeline.timings import as_csv
from taskonomy.pipeline.unchanged import UNCHANGED, UNFINISHED, remember, untouched


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Run to its end."""
    pipeline = Pipeline(tmp_path_factory.mktemp("still"))
    pipeline.repro("-j", "2")
    return pipeline


def asks_dvc(pipeline: Pipeline, *options: str) -> bool:
    """Whether a run comes to its end where DVC cannot even be imported."""
    broken = pipeline.root.parent / "broken"
    (broken / "dvc").mkdir(parents=True, exist_ok=True)
    (broken / "dvc/__init__.py").write_text("raise ImportError('DVC was asked')\n")
    process = pipeline.begin("env", f"PYTHONPATH={broken}", "taskonomy", "repro", *options)
    out, err = process.communicate(timeout=HANG)
    if process.returncode == 0:
        assert "0 ran, 0 from the cache, 10 unchanged" in out
        return False
    assert "DVC was asked" in err
    return True


def test_what_was_just_run_is_nothing_to_ask(still: Pipeline) -> None:
    assert not asks_dvc(still)
    assert asks_dvc(still, "left")
    assert asks_dvc(still, "--force")
    assert asks_dvc(still, "--dry")
    assert not asks_dvc(still, "--times", "times.csv")
    assert (still.root / "times.csv").read_text() == as_csv([])


def test_a_copy_is_looked_at_anew(still: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(still.root, tmp_path / "copy", symlinks=True))
    monkeypatch.chdir(copy)
    assert untouched(()) is None


def cached(pipeline: Pipeline) -> Path:
    return min(path for path in (pipeline.root / ".dvc/cache/files").rglob("*") if path.is_file())


def overwrite(path: Path) -> None:
    """As long as before, and as old."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


TOUCHES: dict[str, Callable[[Pipeline], object]] = {
    "parameter": lambda pipeline: (pipeline.root / "params.yaml").write_text("k: 2\n"),
    "dependency": lambda pipeline: overwrite(pipeline.root / "step.sh"),
    "output": lambda pipeline: overwrite(pipeline.root / "all.txt"),
    "output in a folder": lambda pipeline: overwrite(pipeline.root / "parts/1/x"),
    "output gone": lambda pipeline: (pipeline.root / "join.txt").unlink(),
    "file more": lambda pipeline: (pipeline.root / "parts/2/more").write_text(""),
    "metric": lambda pipeline: (pipeline.root / "metrics.json").write_text("{}"),
    "cached file": lambda pipeline: overwrite(cached(pipeline)),
    "cached file gone": lambda pipeline: cached(pipeline).unlink(),
    "dvc.yaml": lambda pipeline: overwrite(pipeline.root / "dvc.yaml"),
    "dvc.lock": lambda pipeline: overwrite(pipeline.root / "dvc.lock"),
    "configuration": lambda pipeline: (pipeline.root / ".dvc/config.local").write_text("[cache]\n    dir = /elsewhere\n"),
    "ignored files": lambda pipeline: (pipeline.root / ".dvcignore").write_text("x\n"),
    "a killed run": lambda pipeline: (pipeline.root / f".dvc/tmp/{UNFINISHED}").write_text("{}"),
    "a torn note": lambda pipeline: (pipeline.root / f".dvc/tmp/{UNCHANGED}").write_text('{"targets": ['),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_whatever_is_touched_is_for_dvc_to_judge(still: Pipeline, touch: Callable[[Pipeline], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(still.root)
    note = Path(".dvc/tmp") / UNCHANGED
    known = json.loads(note.read_text())
    assert untouched(()) is not None
    touch(still)
    assert untouched(()) is None
    (note.parent / UNFINISHED).unlink(missing_ok=True)
    remember(note, (), known["stages"], dict.fromkeys(known["paths"], sys.maxsize), known["objects"])  # for the next test: as it is now


@pytest.mark.parametrize("changed", ["params.yaml", "start.txt", "parts/1/x"])
def test_what_changes_while_a_run_goes_on_is_seen_by_the_next(tmp_path: Path, changed: str) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.hook("show-two", f"echo 'k: 7' > {changed}\n")
    pipeline.repro("-j", "1")
    pipeline.events()
    (pipeline.hooks / "show-two").unlink()
    pipeline.repro()
    assert {"params.yaml": "start", "start.txt": "start", "parts/1/x": "part-1"}[changed] in pipeline.ran() or (
        pipeline.root / changed
    ).read_bytes() == by_dvc().get(changed)
