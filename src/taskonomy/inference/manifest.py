"""What the stage `export` writes, read without torch: an index of predictors, and the card of each.

```
predictors/index.json                    the policy, the encoders, the targets, what all of it costs to run
predictors/encoders/SOURCE.safetensors   a source's encoder, stored once however many targets use it
predictors/encoders/NAME.onnx            an encoder that others trained, weights included; NAME.npz is the projection of its codes
predictors/targets/TARGET.safetensors    transfer and decoder; of a target that is solved by its own network, the decoder
predictors/targets/TARGET.json           card: metrics, sources, data, shapes, parameters
predictors/units.csv                     key, target, sources: units of work that hold the same weights
```
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.tasks import BUILT_IN, Registry, Task

FORMAT = 2
FOLDER = Path("predictors")
_NAME = re.compile(r"[\w-]+")  # a name in an index becomes part of a path


@dataclass(frozen=True)
class Exported:
    """A folder of predictors that the stage `export` wrote.

    Attributes:
        root: The folder.
        index: Its `index.json`.
        registry: Registry of tasks.
    """

    root: Path
    index: dict[str, Any]
    registry: Registry = BUILT_IN

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the tasks that have a predictor."""
        return tuple(self.index["targets"])

    @cached_property
    def side(self) -> int:
        """Return the side of the images that the networks read, in pixels."""
        return int(self.index["side"])

    def card(self, target: str) -> dict[str, Any]:
        """Read a predictor's card.

        Raises:
            TaskonomyError: There is no predictor for this task (the error suggests the one that may have been meant), or the card is damaged.
        """
        if target not in self.index["targets"]:
            if target in self.index["left_out"]:
                raise TaskonomyError(f"{self.root}: {self.index['left_out'][target]}")
            if target in self.registry:
                raise TaskonomyError(f"{self.root}: the policy does not solve {target}; it solves {', '.join(self.targets)}")
            raise unknown(f"{self.root}: task", [target], self.targets)
        return _read(self.root / "targets" / f"{target}.json", ("task", "sources", "encoders", "statistics", "shapes"))

    def task(self, name: str) -> Task:
        """Return the task of a target, or of an encoder.

        Raises:
            TaskonomyError: There is no such task.
        """
        if name not in self.registry:
            raise TaskonomyError(f"{self.root}: {name} is not in the dictionary of tasks")
        return self.registry[name]

    def as_they_are(self, targets: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the encoders that others trained and these targets read: title, licence, and multiply-adds in millions for each image."""
        read = sorted({name for target in targets for name in self.card(target)["encoders"]})
        entries = {name: self.index["encoders"][name] for name in read}
        return {
            name: {"title": one["title"], "licence": one["licence"], "inference": one["flops"] / 2e6}
            for name, one in entries.items()
            if "file" in one
        }

    def encoder(self, source: str) -> Path:
        """Return the path of a source's encoder."""
        return self.root / "encoders" / f"{source}.safetensors"

    def readout(self, target: str) -> Path:
        """Return the path of a target's transfer and decoder."""
        return self.root / "targets" / f"{target}.safetensors"


def open_export(root: Path = FOLDER, registry: Registry = BUILT_IN) -> Exported:
    """Open the predictors in a folder.

    Args:
        root: The folder.
        registry: Tasks that the predictors may solve.

    Raises:
        TaskonomyError: There are no predictors yet, or they are damaged or of another version.
    """
    root = Path(root)
    if not (root / "index.json").is_file():
        raise TaskonomyError(f"{root}: no predictors; the stage `export` writes them: taskonomy repro export")
    index = _read(root / "index.json", ("format", "side", "targets", "encoders", "left_out", "cost"))
    if index["format"] != FORMAT:
        raise TaskonomyError(f"{root}/index.json: format {index['format']!r}, this version reads {FORMAT}; export again")
    if bad := [name for name in (*index["targets"], *index["encoders"]) if not _NAME.fullmatch(name)]:
        raise TaskonomyError(f"{root}/index.json: {bad[0]!r} is not a task name")
    return Exported(root, index, registry)


def _read(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskonomyError(f"{path}: unreadable ({error}); export again") from None
    if not isinstance(values, dict) or any(name not in values for name in needed):
        raise TaskonomyError(f"{path}: not what the stage `export` writes; export again")
    return values
