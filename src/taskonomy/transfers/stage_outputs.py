"""What the stages `train` and `transfer` write: folders that appear whole, and name the units that they hold.

```
models/TASK/network.safetensors   the network; of a task without a label, the encoder
models/TASK/SPLIT.npz             losses [self, average] of each test image
models/TASK/curves/               mean losses by epoch, as DVCLive writes them
models/TASK/units.csv             key, name
data/codes/TASK/INPUT.npy         codes of every view outside the train split
data/transfers/TARGET/SPLIT.npz   losses [candidates, images], candidates, scratch, pixels, average
data/transfers/TARGET/units.csv   key, sources, order, epoch, train, validation
data/transfers/TARGET/screen.json trusted, reliability, threshold, scores by source; only where there was a screen
```
"""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from taskonomy.affinity.imputation import SCREEN
from taskonomy.affinity.losses_file import read_losses
from taskonomy.atomic_io import whole_folder, write_csv, write_json
from taskonomy.config.task_config import TaskConfig
from taskonomy.dataset.splits import TEST_SPLITS
from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import SELF
from taskonomy.training.transfer_context import BASELINES
from taskonomy.transfers.transfers import Transferred

if TYPE_CHECKING:
    from taskonomy.training.task_networks import Trained
    from taskonomy.training.trainer import Curve


class CurveLog:
    """Mean losses by epoch, through DVCLive. The files lie outside the workspace until the training is done."""

    def __init__(self, config: TaskConfig) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="taskonomy-curves-"))
        self._epochs, self._name = config.schedule.epochs, config.task

    def __enter__(self) -> "CurveLog":
        """Start logging."""
        from dvclive.live import Live
        from scmrepo.exceptions import SCMError
        from tqdm import tqdm

        try:
            self._live = Live(str(self._folder / "curves"), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)
        except SCMError as error:
            raise TaskonomyError(f"git: {error}: training curves of DVC need a first commit; git add -A && git commit") from None
        self._bar = tqdm(total=self._epochs, desc=f"train {self._name}", unit=" epochs", disable=None, mininterval=0.5)
        return self

    def log(self, epoch: int, curve: "Curve") -> None:
        """Log a finished epoch."""
        self._live.log_metric("train", curve.train[epoch])
        if (validated := curve.validation[epoch]) is not None:
            self._live.log_metric("validation", validated)
            self._bar.set_postfix(validation=f"{validated:.4g}", refresh=False)
        self._live.next_step()
        self._bar.total = max(self._epochs, epoch + 1)  # few samples are passed more often
        self._bar.update()

    def copy_to(self, folder: Path) -> None:
        """Copy the files to a folder."""
        if (self._folder / "curves/plots").is_dir():
            shutil.copytree(self._folder / "curves/plots/metrics", folder)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop logging, and remove the temporary files."""
        self._bar.close()
        self._live.end()
        shutil.rmtree(self._folder, ignore_errors=True)


def write_network(model: Path, codes: Path, trained: "Trained", curves: CurveLog) -> None:
    """Write a task's network and the codes of its encoder."""
    from taskonomy.training.checkpoint import save_weights

    with whole_folder(codes) as folder:
        for name, array in trained.codes.items():
            np.save(folder / f"{name}.npy", array)
    with whole_folder(model) as folder:
        facts = {name: unit.facts["chosen"] + 1 for name, unit in trained.units.items()}
        save_weights(folder / "network.safetensors", trained.network, {"epoch": facts.get(SELF, 0)})
        for split in TEST_SPLITS if trained.units else ():
            _save(folder / f"{split}.npz", {name: unit.arrays[split] for name, unit in trained.units.items()})
        write_csv(folder / "units.csv", pd.DataFrame({"key": trained.keys.values(), "name": trained.keys.keys()}))
        curves.copy_to(folder / "curves")


def write_transfers(transfers: Path, model: Path, done: Transferred) -> None:
    """Write all transfers to a target, beside its own network."""
    with whole_folder(transfers) as folder:
        for split in TEST_SPLITS:
            candidates, losses = done.losses(split)
            (own,) = read_losses(model / f"{split}.npz", SELF)
            arrays = {
                "losses": np.concatenate([losses, own[None]]),
                **{name: done.units[(name,)].arrays[split] for (name,) in BASELINES},
            }
            _save(folder / f"{split}.npz", {"candidates": np.array([*candidates, SELF]), **arrays})
        write_csv(folder / "units.csv", done.table())
        if done.screen is not None:
            write_json(folder / SCREEN, done.screen.as_dict())


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stubs take any name for an option
