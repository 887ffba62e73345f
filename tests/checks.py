"""Types and shapes of all calls, as the signatures of taskonomy have them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_of_inner: dict[object, Callable[..., Any]] = {}


def at_first_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """As beartype, whose work on a function waits until it is called: most are in no one test process, and it takes seconds for all."""
    checked: Callable[..., Any] | None = None

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:
            checked = _checked(function)
        return checked(*args, **kwargs)

    return call


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """What checks a function's arguments; one that is defined within another comes anew with each call of that, and once is enough.

    What jaxtyping asks about is not the function itself but a stand-in, which does nothing but have its signature.
    """
    if "<locals>" not in function.__qualname__:
        return _check(function)
    key = (function.__module__, function.__qualname__, function.__code__, *function.__annotations__.items())
    try:
        known = _of_inner.get(key)
    except TypeError:  # an annotation that cannot be hashed
        return _check(function)
    return known or _of_inner.setdefault(key, _check(function))
