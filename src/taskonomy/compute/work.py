"""A unit of work as it is passed to an executor: which function to call, which files it reads, and which units it leaves in the store."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from taskonomy.config.execution_params import WorkKind


@dataclass(frozen=True)
class Work:
    """A unit of work.

    Attributes:
        name: Name for messages.
        kind: The kind of resources that it needs.
        function: A function that can be imported by name.
        item: The function's argument: dataclasses, tuples, paths and plain data.
        reads: The files, and folders of files, that it reads.
        store: The folder of finished units; the function is given it within `item`.
        keys: The keys of the units that it leaves there.
        perhaps: The keys of the units that it may leave there as well.
    """

    name: str
    kind: WorkKind
    function: Callable[[Any], Any]
    item: Any
    reads: tuple[Path, ...]
    store: Path
    keys: tuple[str, ...]
    perhaps: tuple[str, ...] = ()

    def do(self) -> Any:
        """Call the function in this process."""
        return self.function(self.item)


def moved(item: Any, where: Callable[[Path], Path]) -> Any:
    """Map every path within an item."""
    if isinstance(item, Path):
        return where(item)
    if isinstance(item, tuple):
        return tuple(moved(one, where) for one in item)
    if is_dataclass(item) and not isinstance(item, type):
        return replace(item, **{field.name: moved(getattr(item, field.name), where) for field in fields(item)})
    return item
