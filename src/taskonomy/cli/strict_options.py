"""Parse the command line's numbers strictly: Typer also accepts underscores and digits of other scripts."""

import inspect
import typing
from collections.abc import Callable
from functools import partial
from types import NoneType
from typing import Any

from taskonomy.errors import TaskonomyError


def with_strict_numbers(command: Any) -> Any:
    """Make a command and its subcommands refuse numbers with underscores or digits other than 0-9; the error names the option."""
    for below in getattr(command, "commands", {}).values():
        with_strict_numbers(below)
    parameters = inspect.signature(command.callback).parameters if command.callback else {}
    for one in command.params:
        if one.name in parameters and (kind := _kind(parameters[one.name].annotation)) is not None:
            one.process_value = partial(_checked, one.opts[0], kind, one.process_value)
    return command


def _kind(hint: Any) -> type[int] | type[float] | None:
    hint = hint.__origin__ if typing.get_origin(hint) is typing.Annotated else hint
    kinds = set(typing.get_args(hint) or (hint,)) - {NoneType}
    return int if kinds == {int} else float if kinds == {float} else None


def _checked(option: str, kind: type[int] | type[float], process: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    if isinstance(value, str):
        from taskonomy.parsing.user_text import number, whole  # late: what a stage is to note must not be loaded before it looks

        try:
            whole(value) if kind is int else number(value)
        except ValueError as error:
            raise TaskonomyError(f"{option} {error}") from None
    return process(context, value)
