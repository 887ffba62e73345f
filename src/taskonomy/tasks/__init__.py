"""Tasks: the built-in ones, one entry each, and those that a user declares. No other place in the project lists tasks."""

from taskonomy.labels.task import Task
from taskonomy.tasks.dictionary import FAMILIES
from taskonomy.tasks.registry import BUILT_IN, Registry

__all__ = ["BUILT_IN", "FAMILIES", "Registry", "Task"]
