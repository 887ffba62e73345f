"""Tasks by name: the built-in ones, and the custom ones that a parameter file declares.

A registry never changes, and tasks are kept nowhere else: code that needs a task is given the registry, or the task. So two parameter files in one
process do not see each other's tasks, and a job sent to another process takes along the tasks that it needs.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from taskonomy.labels.task import Task
from taskonomy.tasks.custom_tasks import CustomTask, custom_name
from taskonomy.tasks.dictionary import ENTRIES, FREE


class Registry(Mapping[str, Task]):
    """Hold tasks by name, built-in ones first; two registries are equal if they have the same custom tasks.

    It is pickled as its declarations, because the entries of custom tasks hold functions that cannot be pickled.

    Args:
        custom: Declarations of custom tasks, by name.

    Attributes:
        custom: The declarations; read-only.

    Raises:
        ValueError: A custom task has a name that is not allowed.
    """

    __slots__ = ("_tasks", "custom")
    _tasks: Mapping[str, Task]
    custom: Mapping[str, CustomTask]

    def __init__(self, custom: Mapping[str, CustomTask] | None = None) -> None:
        declared = {custom_name(name): one for name, one in (custom or {}).items()}
        tasks = {task.name: task for task in ENTRIES} | {name: one.entry(name) for name, one in declared.items()}
        object.__setattr__(self, "custom", MappingProxyType(declared))
        object.__setattr__(self, "_tasks", MappingProxyType(tasks))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a registry of tasks does not change (assigned: {name})")

    def __getitem__(self, name: str) -> Task:
        return self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and dict(self.custom) == dict(other.custom)

    def __hash__(self) -> int:
        return hash(frozenset(self.custom.items()))

    def __reduce__(self) -> tuple[type["Registry"], tuple[dict[str, CustomTask]]]:
        return Registry, (dict(self.custom),)

    def with_custom(self, custom: Mapping[str, CustomTask]) -> "Registry":
        """Return a registry that also has these tasks; a new declaration replaces one of the same name.

        Raises:
            ValueError: A custom task has a name that is not allowed.
        """
        return Registry({**self.custom, **custom})

    def title(self, name: str) -> str:
        """Return a task's title; for an unknown task, its name."""
        return self[name].title if name in self else name

    def family(self, name: str) -> str:
        """Return the family of a task; `other` for custom and unknown tasks."""
        return self[name].family if name in self else "other"

    def labels_itself(self, name: str) -> bool:
        """Return whether a task's labels cost nothing; those of custom tasks never do."""
        return self.family(name) in FREE


BUILT_IN = Registry()
