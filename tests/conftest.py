"""What tests share: small tables, the published one, and a tiny world."""

import checks  # noqa: F401, I001  # first: it decorates what is imported of taskonomy

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from taskonomy.machine.cores import cores
from taskonomy.tables.table import read_table

if TYPE_CHECKING:
    from taskonomy.dataset.prepared_dataset import Prepared

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # times do not belong in tests
settings.load_profile("no clock")

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "data/published/affinities_16k.csv"
NOT_SOURCES = ("random_projection", "class_object_100")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: there is always a test that waits for a browser, a cluster or a program."""
    return cores() + 1


@pytest.fixture(autouse=True)
def _processes_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little work there is: otherwise no test would see a second process."""
    monkeypatch.setattr("taskonomy.machine.pool.START", 0.0)
    monkeypatch.setattr("taskonomy.machine.pool.FIRST", 0.0)


@pytest.fixture
def unchecked_calls() -> Iterator[None]:
    """Nothing is held against its signature, as `unchecked` says: for a test that trains much by code that other tests call with the checks."""
    from tiny import unchecked

    with unchecked():
        yield


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are trained in this process, which has loaded what trains them; another begins with seconds of that."""
    monkeypatch.setenv("TASKONOMY_CORES", "1")


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return read_table(PUBLISHED)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> "Prepared":
    """The tiny world with every task's labels, rendered once for all tests; to be read only."""
    from tiny import Prepared, once, tiny_world

    return Prepared(once(tmp_path_factory, "tiny_world", tiny_world) / "prepared")


@pytest.fixture(scope="session")
def trained(prepared: "Prepared", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few tasks trained on it, as `tiny_trained` says; to be read only."""
    from tiny import once, tiny_trained

    return once(tmp_path_factory, "tiny_trained", lambda folder: tiny_trained(prepared, folder))


@pytest.fixture(scope="session")
def finished(prepared: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the pipeline in a project of its own; to be read only. `prepared`: so that what numba compiles is compiled once, there."""
    from small_run import make
    from tiny import once

    return once(tmp_path_factory, "finished", make)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copied", symlinks=True))


def random_table(rng: np.random.Generator, *, tasks: int = 5, targets: int = 4, levels: int = 8) -> pd.DataFrame:
    """A table with self edges, orders 1 to 3 and many equal affinities."""
    names = [f"t{number}" for number in range(tasks)]
    rows = []
    for target in names[:targets]:
        if rng.random() < 0.8:
            rows.append((target, ("self",)))
        groups = {tuple(sorted(rng.choice(names, rng.integers(1, 4), replace=False).tolist())) for _ in range(rng.integers(1, 6))}
        rows += [(target, group) for group in sorted(groups)]
    frame = pd.DataFrame(rows, columns=["target", "sources"])
    frame["affinity"] = rng.integers(0, levels, len(frame)) / levels
    return frame.assign(low=np.nan, high=np.nan, gain=rng.random(len(frame)), quality=rng.random(len(frame)))
