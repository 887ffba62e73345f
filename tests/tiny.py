"""The smallest world that every task can be trained on, parameters for it, and a few tasks trained on it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch
import yaml
from conftest import ROOT

from taskonomy.atomic_io import whole_folder
from taskonomy.config.checked import checked
from taskonomy.config.data_params import DataParams, WorldParams
from taskonomy.config.network_params import Precision, ScheduleParams
from taskonomy.config.params import Params
from taskonomy.config.task_config import TaskConfig, task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.store.store import Store
from taskonomy.tasks import BUILT_IN
from taskonomy.training.task_networks import train_task
from taskonomy.training.transfer_context import TransferContext, shared
from taskonomy.transfers.stage_outputs import CurveLog, write_network
from taskonomy.world.generate import make_world

SIDE = 32
# The arithmetic that `auto` does not mean on this machine.
OTHER_PRECISION = "float32" if Precision.AUTO.here() is Precision.BFLOAT16 else "bfloat16"
# Maps with and without masks, one that changes its images, one of several images, one in grey, one that is never trained.
TRAINED = ("autoencoding", "camera_pose_fixated", "colorization", "denoising", "normal", "random_projection")


# Where there is no GPU, torch keeps with each seed that is set the stack it was set from, written out, should a GPU be asked for later; in pytest a
# stack is a hundred calls deep, and that was a fifth of the time of a training.
for device in (torch.cuda, torch.xpu, torch.mtia):
    device.traceback = SimpleNamespace(format_stack=list)


class KilledError(Exception):
    """Ends a training from inside."""


def schedule(epochs: int, *, rate: float = 1e-3) -> ScheduleParams:
    """Few epochs, for what is trained without parameters."""
    return ScheduleParams(epochs=epochs, batch=2, rate=rate, slow_after=0.7, weight_decay=2e-6)


def profile(**changes: dict[str, Any]) -> Params:
    """params.yaml with profiles/tiny.yaml, and with single keys of sections otherwise."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for one in (yaml.safe_load((ROOT / "profiles/tiny.yaml").read_text()), changes):
        for section, keys in one.items():
            values[section] |= keys
    return checked(Params, values, "tiny")


def tiny_world(root: Path) -> Prepared:
    """Rendered and prepared with all labels."""
    world: WorldParams = profile().world
    data: DataParams = profile().data
    make_world(root / "world", world, processes=1)
    prepare(root / "world", root / "prepared", data, processes=1)
    return Prepared(root / "prepared")


def tiny_config(task: str, **changes: dict[str, Any]) -> TaskConfig:
    """As the stage `train` reads it."""
    return TaskConfig.model_validate(json.loads(json.dumps(task_config(BUILT_IN[task], profile(**changes)).as_json())))


def tiny_trained(prepared: Prepared, folder: Path) -> None:
    """What the stage `train` writes for `TRAINED`: models/TASK, codes/TASK, and the units in store."""
    for task in TRAINED:
        config = tiny_config(task)
        with CurveLog(config) as curves:
            done = train_task(prepared, config, Store(folder / "store"), curves.log)
            write_network(folder / "models" / task, folder / "codes" / task, done, curves)


def tiny_context(prepared: Path, codes: Path, store: Path, target: str, *sources: str, **params: Any) -> TransferContext:
    """Transfers to a target; the folders behind a context may have changed since another test opened it."""
    shared.cache_clear()
    return TransferContext(prepared, codes, sources, store, tiny_config(target), profile(transfer=params).transfer)


def files_of(store: Path) -> dict[str, bytes]:
    """Every unit of a store, to the last bit."""
    return {path.name: path.read_bytes() for path in store.rglob("*.unit")}


@contextmanager
def unchecked() -> Iterator[None]:
    """Nothing is held against its signature, which takes several times longer: for what many tests read, made by code that has tests of its own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first of xdist's processes makes, unchecked, while the others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with open(folder.with_name(f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with whole_folder(folder) as unfinished, unchecked():
                make(unfinished)
    return folder
