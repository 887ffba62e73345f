"""The dictionary: one entry per task. Nothing else in the project lists tasks."""

from taskonomy.tasks.dictionary import DICTIONARY, FAMILIES, Task, family_of, labels_itself, title_of

__all__ = ["DICTIONARY", "FAMILIES", "Task", "family_of", "labels_itself", "title_of"]
