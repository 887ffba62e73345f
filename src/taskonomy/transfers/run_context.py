"""Where a run's networks, codes and transfers lie."""

from dataclasses import dataclass, replace
from pathlib import Path

from taskonomy.config.network_params import TransferParams
from taskonomy.config.task_config import TaskConfig, read_task_config
from taskonomy.training.transfer_context import TransferContext


@dataclass(frozen=True)
class RunContext:
    """The folders that the stages of a run wrote; small, because it travels between processes.

    Attributes:
        cards: Folder with the configuration of each task.
        prepared: Folder of the prepared data.
        codes: Folder with the codes of each source.
        models: Folder with the network of each source.
        store: Folder of the finished units.
        params: The section `transfer`.
    """

    cards: Path
    prepared: Path
    codes: Path
    models: Path
    store: Path
    params: TransferParams

    def resolved(self) -> "RunContext":
        """Return the same context with the precision that `auto` means on this machine, so that it holds wherever the units are trained."""
        return replace(self, params=self.params.model_copy(update={"precision": self.params.precision.here()}))

    def config(self, task: str) -> TaskConfig:
        """Read the configuration of a task's network."""
        return read_task_config(self.cards / f"{task}.json")

    def to(self, target: str, sources: tuple[str, ...] = ()) -> TransferContext:
        """Return the context of the transfers to one target, as the stage `transfer` has it."""
        return TransferContext(self.prepared, self.codes, sources, self.store, self.config(target), self.params)
