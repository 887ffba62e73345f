"""Format names and numbers for people, as plain text: templates, plotly's labels and the explorer escape it where they show it."""

import math
from collections.abc import Iterable, Sequence

from taskonomy.tables.table import SELF
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import Registry

MINUS, DASH, SPACE = "\u2212", "\u2013", "\u00a0"


def source_title(written: str, registry: Registry) -> str:
    """Name a source for people, from its form in a table."""
    if written == SELF:
        return "its own network"
    if (one := variant(written)) is None:
        return registry.title(written)
    if one.intermediate is not None:
        return f"{registry.title(one.source)} by way of {registry.title(one.intermediate)}"
    return f"{registry.title(one.source)} fine-tuned on {100 * (one.share or 0):g}{SPACE}%"


def sources_title(sources: Iterable[str], registry: Registry) -> str:
    """Name all sources of one transfer."""
    return " + ".join(source_title(one, registry) for one in sources)


def titles(names: Sequence[str], registry: Registry, shown: int = 100) -> str:
    """List tasks by title as in a sentence, at most `shown`; the rest are counted."""
    listed = [registry.title(name) for name in names]
    if len(listed) > shown:
        return f"{', '.join(listed[:shown])} and {len(listed) - shown} more"
    return " and ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)


def sorted_titles(names: Iterable[str], registry: Registry) -> str:
    """List tasks by title, in the order of the alphabet."""
    return ", ".join(sorted(map(registry.title, names)))


def instead(added: Iterable[str], removed: Iterable[str]) -> str:
    """Describe how another policy's sources differ, from the names of those that it alone has and of those that it lacks."""
    new, gone = ", ".join(sorted(added)), ", ".join(sorted(removed))
    return f"{new or 'nothing'} instead of {gone or 'nothing'}" if new or gone else "the same sources, other transfers"


def as_it_is(licence: str, inference: float | None) -> str:
    """Describe a source that others trained: its licence, and what its encoder costs to run."""
    cost = "inference cost unknown" if inference is None else f"{inference:,.6g} million multiply-adds an image"
    return f"no labels; licence {licence or 'unknown'}; {cost}"


def percent(share: float | None, digits: int = 0) -> str:
    """Format a share in percent: 0.871 as 87 %."""
    return "n/a" if share is None or math.isnan(share) else f"{100 * share:.{digits}f}{SPACE}%"


def count(number: int, what: str, several: str | None = None) -> str:
    """Format a number with its noun: 1 task, 2 tasks."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def measured(value: float, digits: int = 3) -> str:
    """Format a measured number; a dash where there is none."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def images(number: int | None) -> str:
    """Format a number of labelled images; None: all that there are."""
    return "all" if number is None else f"{number:,}"


def significant(value: float) -> str:
    """Format a measured number to three digits, however small; a dash where there is none."""
    return DASH if math.isnan(value) else f"{value:.3g}"


def change(value: float, digits: int = 3) -> str:
    """Format a difference with its sign."""
    if math.isnan(value):
        return DASH
    shown = f"{abs(value):.{digits}f}"
    return f"±{shown}" if not float(shown) else f"{MINUS if value < 0 else '+'}{shown}"


def change_of_cost(value: float, currency: str | None) -> str:
    """Write a change of a cost as `change` does, in its currency; None: it counts tasks."""
    return change(value, 2) if currency is None else f"{change(value, 2)} {currency}"
