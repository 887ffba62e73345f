"""Numbers as they are written: 0.1 is a tenth, and three of them are within a budget of 0.3.

A float stands for the shortest decimal that reads as it, which is what a table, an option or params.yaml says. Sums and products are computed as
fractions, and converted back to floats only for display.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction


def as_written(number: float) -> Fraction:
    """Return the decimal that a float is written as."""
    return Fraction(*Decimal(repr(float(number))).as_integer_ratio())


def at_least(exact: Fraction) -> float:
    """Return the smallest float whose written form is at least this number."""
    nearest = float(exact)
    return nearest if as_written(nearest) >= exact else math.nextafter(nearest, math.inf)


def difference(one: float, other: float) -> float:
    """Subtract the numbers as written, so that 0.3 - 0.2 is 0.1."""
    return float(as_written(one) - as_written(other)) if math.isfinite(one) and math.isfinite(other) else math.nan


def denominator(numbers: Iterable[Fraction]) -> int:
    """Return the smallest common denominator: multiplied by it, all numbers are whole."""
    return math.lcm(*{number.denominator for number in numbers})


def shown(number: float) -> str:
    """Format all digits of a number, and no more: 8, 0.1, 1234567.4."""
    text = repr(float(number))
    return text.removesuffix(".0")
