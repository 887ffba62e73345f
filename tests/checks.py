"""Types and shapes of all calls, as the signatures of taskonomy have them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def at_first_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """As beartype, whose work on a function waits until it is called: most are in no one test process, and it takes seconds for all."""
    checked: Callable[..., Any] | None = None

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:
            checked = _check(function)
        return checked(*args, **kwargs)

    return call
