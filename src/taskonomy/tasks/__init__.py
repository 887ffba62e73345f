"""The dictionary: one entry per task. Nothing else in the project lists tasks."""

from taskonomy.labels.task import Task
from taskonomy.tasks.dictionary import DICTIONARY, FAMILIES, family_of, labels_itself, title_of

__all__ = ["DICTIONARY", "FAMILIES", "Task", "family_of", "labels_itself", "title_of"]
