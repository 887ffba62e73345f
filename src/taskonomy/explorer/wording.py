"""Format names and numbers for the page, as plain text that is never interpreted as markup."""

from collections.abc import Iterable

from taskonomy.explorer.policy_diff import PolicyDifference
from taskonomy.tables.table import SELF
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import Registry

MINUS = "\u2212"


def source_title(written: str, registry: Registry) -> str:
    """Name a source for people, from its form in a table."""
    if written == SELF:
        return "its own network"
    if (one := variant(written)) is None:
        return registry.title(written)
    if one.intermediate is not None:
        return f"{registry.title(one.source)} by way of {registry.title(one.intermediate)}"
    return f"{registry.title(one.source)} fine-tuned on {100 * (one.share or 0):g}\u00a0%"


def sources_title(sources: Iterable[str], registry: Registry) -> str:
    """Name all sources of one transfer."""
    return " + ".join(source_title(one, registry) for one in sources)


def listed(names: Iterable[str], registry: Registry) -> str:
    """List tasks by title."""
    return ", ".join(sorted(map(registry.title, names)))


def number(value: float, digits: int = 3) -> str:
    """Format a measured number; a dash where there is none."""
    return "\u2013" if value != value else f"{value:.{digits}f}"


def change(value: float, digits: int = 3) -> str:
    """Format a difference with its sign."""
    if value != value:
        return "\u2013"
    shown = f"{abs(value):.{digits}f}"
    return f"±{shown}" if not float(shown) else f"{MINUS if value < 0 else '+'}{shown}"


def change_of_cost(value: float, currency: str | None) -> str:
    """Write a change of a cost as `change` does, in its currency; None: it counts tasks."""
    return change(value, 2) if currency is None else f"{change(value, 2)} {currency}"


def instead(found: PolicyDifference, registry: Registry) -> str:
    """Describe how an alternative's sources differ."""
    if not (found.sources_added or found.sources_removed):
        return "the same sources, other transfers"
    return f"{listed(found.sources_added, registry) or 'nothing'} instead of {listed(found.sources_removed, registry) or 'nothing'}"
