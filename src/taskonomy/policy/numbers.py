"""Numbers as they are written: 0.1 is a tenth, and three of them are within a budget of 0.3.

A float stands for the shortest decimal that reads as it, which is what a table, an option or params.yaml says. Sums and products of those are made of
fractions, and are floats again only to be shown.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction


def as_written(number: float) -> Fraction:
    """The decimal that a float is written as."""
    return Fraction(*Decimal(repr(float(number))).as_integer_ratio())


def at_least(exact: Fraction) -> float:
    """The smallest float that is written as a number no smaller than this."""
    nearest = float(exact)
    return nearest if as_written(nearest) >= exact else math.nextafter(nearest, math.inf)


def difference(one: float, other: float) -> float:
    """One minus the other, as a reader of both takes it: 0.3 - 0.2 is 0.1."""
    return float(as_written(one) - as_written(other)) if math.isfinite(one) and math.isfinite(other) else math.nan


def denominator(numbers: Iterable[Fraction]) -> int:
    """The smallest that all have in common: times it, they are whole."""
    return math.lcm(*{number.denominator for number in numbers})


def shown(number: float) -> str:
    """All digits of a number, and no more: 8, 0.1, 1234567.4."""
    text = repr(float(number))
    return text.removesuffix(".0")
