"""Ways to use a source other than transfer from its frozen representation, as parameters and tables write them: `a>b` and `a@0.02`."""

import re
from dataclasses import dataclass

# Any other name is a task's: tables may hold any names.
_FORM = re.compile(r"(?P<source>[\w-]+)(?:>(?P<intermediate>[\w-]+)|@(?P<share>[0-9]*\.?[0-9]+))")


@dataclass(frozen=True)
class Variant:
    """A transitive transfer or a fine-tuned source.

    Attributes:
        written: The text, as in tables.
        source: The task that is labelled in full.
        intermediate: `a>b`: the task whose representation is computed from the source's, and which the target is transferred from; None: fine-tuned.
        share: `a@0.02`: share of the target's train split on which the source's encoder is trained further; None: transitive.
    """

    written: str
    source: str
    intermediate: str | None = None
    share: float | None = None


def variant(written: str) -> Variant | None:
    """Parse `a>b` or `a@0.02`; None if the text has neither form."""
    if (found := _FORM.fullmatch(written)) is None:
        return None
    source, intermediate, share = found["source"], found["intermediate"], found["share"]
    return Variant(written, source, intermediate, None if share is None else float(share))
