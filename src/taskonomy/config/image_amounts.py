"""Numbers of images to train on: one, or several in rising order, of which most stages need the largest alone."""

from itertools import pairwise
from typing import Annotated, Any

from pydantic import GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

_LEAST = 2
_ONE = {"type": "integer", "minimum": _LEAST}


class Amounts(int):
    """The largest of several numbers of images, as a number; `smaller` are the others, in rising order."""

    smaller: tuple[int, ...]

    def __new__(cls, largest: int, smaller: tuple[int, ...] = ()) -> "Amounts":
        """Make one."""
        made = super().__new__(cls, largest)
        made.smaller = smaller
        return made


def read_amounts(value: Any) -> Amounts:
    """Read a number of images, or a list of such numbers in rising order.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, Amounts):
        return value
    several = list(value) if isinstance(value, list | tuple) else [value]
    whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= _LEAST for one in several)
    if not several or not whole or any(first >= second for first, second in pairwise(several)):
        raise ValueError(f"must be a whole number >= {_LEAST}, or several in rising order, such as [125, 250, 500] (is {value!r})")
    return Amounts(several[-1], tuple(several[:-1]))


def _written(value: int) -> int | list[int]:
    smaller = getattr(value, "smaller", ())
    return [*smaller, int(value)] if smaller else int(value)


def _core(_source: Any, _handler: Any) -> core_schema.CoreSchema:
    written = core_schema.plain_serializer_function_ser_schema(_written)
    return core_schema.no_info_plain_validator_function(read_amounts, serialization=written)


# Of parameters: a number, or a list of numbers.
TrainingImages = Annotated[
    Amounts, GetPydanticSchema(_core), WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1, "uniqueItems": True}]})
]
