"""Checks of the user's own labels against their declarations in `data.own`; each error is one line with what was found and what would be right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Num, Shaped

from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import NO_CLASS
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError
from taskonomy.tasks.custom_tasks import CustomClass, CustomLabels, CustomMap, CustomPixelClasses, CustomTask, CustomVector

Values = Shaped[np.ndarray, "..."]
_BLOCK = 256  # samples read at a time


class Misfit(str):
    """Why an intact label is not what `data.own` declares; it takes the place of the reason in lists of damaged files.

    Attributes:
        task: Name of the task that the label belongs to.
    """

    task: str

    def __new__(cls, task: str, reason: str) -> "Misfit":
        """Build the reason and attach the task."""
        made = super().__new__(cls, reason)
        made.task = task
        return made

    def __reduce__(self) -> tuple[type["Misfit"], tuple[str, str]]:
        """Pickle the reason together with its task."""
        return Misfit, (self.task, str(self))


class MisfitError(DamagedFileError):
    """Raised for a label that does not match its declaration; its only argument is the `Misfit`."""


def misfit_error(found: Sequence[tuple[str, Misfit]]) -> TaskonomyError:
    """Build the error `data.own.parts: 12 labels do not fit: ...`, in one line, about the task of the first of these labels.

    Args:
        found: Location of each label and the reason; at least one.
    """
    task = found[0][1].task
    own = [(where, reason) for where, reason in found if reason.task == task]
    labels = "1 label does" if len(own) == 1 else f"{len(own):,} labels do"
    where, reason = own[0]
    others = sorted({other.task for _where, other in found} - {task})
    more = f"; labels of {', '.join(others)} do not fit either" if others else ""
    return TaskonomyError(f"data.own.{task}: {labels} not fit, the first is {where}: {reason}; correct either, or set data.on_bad: skip{more}")


def fitted(name: str, declared: CustomTask, values: Values) -> Values:
    """Return a label in the form of its kind: a map as height x width x channels, class ids as whole numbers, anything else as a vector of numbers.

    Args:
        name: Name of the task.
        declared: The user's declaration of its labels.
        values: The label as it was found.

    Raises:
        MisfitError: The label is not what is declared; the line names the task, what was found and what would be right.
    """
    found = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    may_be_nan = isinstance(declared, CustomLabels) or (isinstance(declared, CustomMap) and declared.missing == "nan")
    if not may_be_nan and not np.isfinite(found).all():
        odd = int((~np.isfinite(found)).sum())
        right = "finite ones, or missing: nan, which leaves these pixels out," if isinstance(declared, CustomMap) else "finite ones"
        raise _misfit(name, declared, f"has {odd:,} of {found.size:,} values that are no finite numbers", right)
    match declared:
        case CustomMap():
            return _map(name, declared, found)
        case CustomPixelClasses():
            return _pixel_classes(name, declared, found)
        case CustomClass():
            return _ids(name, declared, _row(name, declared, found, 1), declared.count)
        case CustomVector():
            return _row(name, declared, found, declared.length)
        case CustomLabels():
            return _yes_or_no(name, declared, _row(name, declared, found, declared.count))
    raise TypeError(f"{name}: no kind of task: {declared!r}")


def of_text(name: str, declared: CustomTask, text: str) -> Values:
    """Return what a cell of text stands for: the number of a class, or a 0 or 1 for each class, of names with `|` between them.

    Raises:
        MisfitError: It names no class, or the task has none.
    """
    names = declared.class_names
    if not names and isinstance(declared, CustomClass | CustomLabels):
        raise _misfit(name, declared, f"is {text!r}", f"the names of the classes, such as classes: [{text.split('|')[0].strip()}, ...],")
    if not names:
        raise _misfit(name, declared, f"is {text!r}", "a number")
    given = [one.strip() for one in text.split("|") if one.strip()] if isinstance(declared, CustomLabels) else [text]
    if lost := [one for one in given if one not in names]:
        raise _misfit(name, declared, f"is {lost[0]!r}", f"one of {few(list(names), 10)}")
    if isinstance(declared, CustomLabels):
        return np.isin(np.arange(declared.count), [names.index(one) for one in given]).astype(np.float64)
    return np.array([float(names.index(text))])


def refuse_constant(task: str, stored: Any, rows: Int[np.ndarray, " rows"]) -> None:
    """Refuse a label that never varies: it teaches nothing, and every transfer to it would be equally good.

    Raises:
        TaskonomyError: All these samples have the same label.
    """
    first = np.asarray(stored[rows[0]])
    if all((np.asarray(stored[rows[start : start + _BLOCK]]) == first).all() for start in range(0, len(rows), _BLOCK)):
        raise TaskonomyError(f"{task}: all {len(rows):,} training samples have the same label: there is nothing to learn; take it out of data.tasks")


def _map(name: str, declared: CustomMap, found: Num[np.ndarray, "..."]) -> Values:
    if found.ndim < 2:
        raise _misfit(name, declared, f"is {_shape(found)}", _kind_of(found))
    channels = found.shape[2] if found.ndim == 3 else 1
    if found.ndim > 3 or channels != declared.channels:
        raise _misfit(name, declared, f"is {_shape(found)}", f"channels: {channels}" if found.ndim <= 3 else "height x width x channels")
    whole = found[..., None] if found.ndim == 2 else found
    if declared.missing is not None:
        missing = declared.is_missing(whole)
        whole = np.where(missing[..., None], np.nan, whole.astype(np.float64))
        if missing.all():
            return whole
    low, high = float(np.nanmin(whole)), float(np.nanmax(whole))
    if low < declared.range[0] or high > declared.range[1]:
        at_least = f"range: at least [{min(low, declared.range[0]):g}, {max(high, declared.range[1]):g}]"
        raise _misfit(name, declared, f"has values {low:g} to {high:g}", at_least)
    return whole


def _pixel_classes(name: str, declared: CustomPixelClasses, found: Num[np.ndarray, "..."]) -> Values:
    if found.ndim == 3 and (found == found[..., :1]).all():
        found = found[..., 0]  # a grey map that was saved as a colour image
    if found.ndim != 2:
        right = "a grey image of ids" if found.ndim > 2 else _kind_of(found)
        raise _misfit(name, declared, f"is {_shape(found)}", right)
    if declared.values is not None:
        return _of_values(name, declared, found, declared.values)
    labelled = found[found != NO_CLASS]
    _ids(name, declared, labelled, declared.count)
    return found


def _of_values(name: str, declared: CustomPixelClasses, found: Num[np.ndarray, "height width"], values: tuple[int, ...]) -> Values:
    """Turn the values that a file has for classes into their numbers."""
    ids = np.full(found.shape, -1)
    for number, value in enumerate(values):
        ids[found == value] = number
    if (ids < 0).any():
        raise _misfit(name, declared, f"holds {found[ids < 0].flat[0]:g}", f"values with {found[ids < 0].flat[0]:g}")
    return ids


def _yes_or_no(name: str, declared: CustomLabels, row: Num[np.ndarray, " classes"]) -> Values:
    known = row[~np.isnan(row)]
    if (odd := known[(known != 0) & (known != 1)]).size:
        raise _misfit(name, declared, f"holds {odd[0]:g}", "0 or 1 for each class, or an empty cell where nothing is known,")
    return row


def _ids(name: str, declared: CustomTask, found: Num[np.ndarray, "*shape"], count: int) -> Values:
    if (broken := found[found != np.rint(found)]).size:
        right = "whole numbers; kind: map or vector is for measured values"
        raise _misfit(name, declared, f"holds {float(broken.flat[0]):g}, no whole number", right)
    if found.size and (found.min() < 0 or found.max() >= count):
        worst = int(found.min() if found.min() < 0 else found.max())
        right = f"classes: {worst + 1} at least" if 0 <= worst < NO_CLASS else f"ids from 0 to at most {NO_CLASS - 1}"
        raise _misfit(name, declared, f"holds the id {worst}", right)
    return found


def _row(name: str, declared: CustomTask, found: Num[np.ndarray, "..."], length: int) -> Values:
    if found.ndim >= 2 and max(found.shape) != found.size:
        raise _misfit(name, declared, f"is {_shape(found)}", _kind_of(found))
    row = found.ravel()
    if len(row) != length:
        right = f"length: {len(row)}" if isinstance(declared, CustomVector) else "one number"
        raise _misfit(name, declared, f"has {len(row)} numbers" if len(row) != 1 else "has 1 number", right)
    return row


def _misfit(name: str, declared: CustomTask, found: str, right: str) -> MisfitError:
    return MisfitError(Misfit(name, f"it {found}, declared is {declared.describe()}; {right} would be right"))


def _kind_of(found: Any) -> str:
    if found.ndim >= 2:
        return "kind: map or pixel_classes"
    return "kind: vector or class" if found.size == 1 else f"kind: vector, length: {found.size}"


def _shape(found: Any) -> str:
    if found.ndim < 2:
        return "one number" if found.size == 1 else f"{found.size} numbers"
    if found.ndim > 3:
        return f"an array of shape {' x '.join(map(str, found.shape))}"
    channels = found.shape[2] if found.ndim == 3 else 1
    return f"an image of {channels} channel{'s' if channels > 1 else ''}"
