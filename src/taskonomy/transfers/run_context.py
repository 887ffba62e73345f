"""Where a run's networks, codes and transfers lie."""

from dataclasses import dataclass, replace
from pathlib import Path

from taskonomy.config.network_params import ScheduleParams, TransferParams
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


def as_long(context: TransferContext, most: int, few: int) -> TransferContext:
    """Return the context in which trainings on `few` samples take as many steps as on `most`, if `transfer.fewer.same` says so.

    With fixed epochs a smaller amount would also be a shorter training. Its steps are rounded up to whole passes over its samples.

    Args:
        context: The context of the few.
        most: Samples of the largest amount.
        few: Samples of the smaller one.
    """
    params, config = context.params, context.config
    if params.fewer.same == "epochs":
        return context
    transfers, own = (_as_long(schedule, most, few) for schedule in (params.schedule, config.schedule))
    return replace(context, params=params.model_copy(update={"schedule": transfers}), config=config.model_copy(update={"schedule": own}))


def with_amount(context: TransferContext, images: int) -> TransferContext:
    """Return the context of a target's transfers, and of its network from scratch, with a smaller amount of images."""
    smaller = replace(context, params=context.params.with_images(images))
    return as_long(smaller, len(context.train), len(smaller.train))


def _as_long(schedule: ScheduleParams, most: int, few: int) -> ScheduleParams:
    return schedule.of_steps(schedule.steps(most), few)
