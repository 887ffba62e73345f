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
    """Hold tasks by name, built-in ones first; two registries are equal if they have the same custom tasks and titles.

    It is pickled as its declarations, because the entries of custom tasks hold functions that cannot be pickled.

    Args:
        custom: Declarations of custom tasks, by name.
        titles: Titles of sources that are no tasks, by name: of encoders trained by others.

    Attributes:
        custom: The declarations; read-only.
        titles: The titles; read-only.

    Raises:
        ValueError: A custom task has a name that is not allowed.
    """

    __slots__ = ("_tasks", "custom", "titles")
    _tasks: Mapping[str, Task]
    custom: Mapping[str, CustomTask]
    titles: Mapping[str, str]

    def __init__(self, custom: Mapping[str, CustomTask] | None = None, titles: Mapping[str, str] | None = None) -> None:
        declared = {custom_name(name): one for name, one in (custom or {}).items()}
        tasks = {task.name: task for task in ENTRIES} | {name: one.entry(name) for name, one in declared.items()}
        object.__setattr__(self, "custom", MappingProxyType(declared))
        object.__setattr__(self, "titles", MappingProxyType(dict(titles or {})))
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
        return isinstance(other, Registry) and (dict(self.custom), dict(self.titles)) == (dict(other.custom), dict(other.titles))

    def __hash__(self) -> int:
        return hash(frozenset(self.custom.items()))

    def __reduce__(self) -> tuple[type["Registry"], tuple[dict[str, CustomTask], dict[str, str]]]:
        return Registry, (dict(self.custom), dict(self.titles))

    def with_custom(self, custom: Mapping[str, CustomTask]) -> "Registry":
        """Return a registry that also has these tasks; a new declaration replaces one of the same name.

        Raises:
            ValueError: A custom task has a name that is not allowed.
        """
        return Registry({**self.custom, **custom}, self.titles)

    def with_titles(self, titles: Mapping[str, str]) -> "Registry":
        """Return a registry that also knows the titles of these sources, which are no tasks."""
        return Registry(self.custom, {**self.titles, **titles}) if titles else self

    def title(self, name: str) -> str:
        """Return the title of a task or another source; for an unknown one, its name."""
        return self[name].title if name in self else self.titles.get(name, name)

    def family(self, name: str) -> str:
        """Return the family of a task; `other` for custom and unknown tasks."""
        return self[name].family if name in self else "other"

    def labels_itself(self, name: str) -> bool:
        """Return whether a task's labels cost nothing; those of custom tasks never do."""
        return self.family(name) in FREE


BUILT_IN = Registry()
