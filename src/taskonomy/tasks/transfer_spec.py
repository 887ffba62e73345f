"""Other ways to use a source than by a transfer from its frozen codes, as parameters and tables write them: `a>b` and `a@0.02`."""

import re
from dataclasses import dataclass

# A name of neither form is a task's: tables may hold any names.
_FORM = re.compile(r"(?P<source>[\w-]+)(?:>(?P<intermediate>[\w-]+)|@(?P<share>[0-9]*\.?[0-9]+))")


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        written: As in tables.
        source: The task that is labelled in full.
        intermediate: `a>b`: the task whose representation, computed from the source's codes, the target is transferred from; None: fine-tuned.
        share: `a@0.02`: of the target's train split, on which the source's encoder is trained on; None: transitive.
    """

    written: str
    source: str
    intermediate: str | None = None
    share: float | None = None


def variant(written: str) -> Variant | None:
    """What is written; None where it has neither form."""
    if (found := _FORM.fullmatch(written)) is None:
        return None
    source, intermediate, share = found["source"], found["intermediate"], found["share"]
    return Variant(written, source, intermediate, None if share is None else float(share))
