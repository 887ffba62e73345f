"""How the page names things; plain text, which the page never reads as markup."""

from collections.abc import Iterable

from taskonomy.explorer.policy_diff import Difference
from taskonomy.tables.table import SELF
from taskonomy.tasks import title_of
from taskonomy.tasks.transfer_spec import variant

MINUS = "\u2212"


def source_title(written: str) -> str:
    """A source as a table writes it, for people."""
    if written == SELF:
        return "its own network"
    if (one := variant(written)) is None:
        return title_of(written)
    if one.intermediate is not None:
        return f"{title_of(one.source)} by way of {title_of(one.intermediate)}"
    return f"{title_of(one.source)} fine-tuned on {100 * (one.share or 0):g}\u00a0%"


def sources_title(sources: Iterable[str]) -> str:
    """All sources of one transfer."""
    return " + ".join(map(source_title, sources))


def listed(names: Iterable[str]) -> str:
    """Tasks by title."""
    return ", ".join(sorted(map(title_of, names)))


def number(value: float, digits: int = 3) -> str:
    """A measured number; a dash where there is none."""
    return "\u2013" if value != value else f"{value:.{digits}f}"


def change(value: float, digits: int = 3) -> str:
    """A difference with its sign."""
    if value != value:
        return "\u2013"
    shown = f"{abs(value):.{digits}f}"
    return f"±{shown}" if not float(shown) else f"{MINUS if value < 0 else '+'}{shown}"


def instead(found: Difference) -> str:
    """In what an alternative's sources differ."""
    if not (found.sources_added or found.sources_removed):
        return "the same sources, other transfers"
    return f"{listed(found.sources_added) or 'nothing'} instead of {listed(found.sources_removed) or 'nothing'}"
