"""What all sections of `params.yaml` share: their base class, types of numbers and names, and errors that name the key."""

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import PydanticCustomError

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal
from taskonomy.tasks.custom_tasks import KINDS

TASK_NAME = "task"  # marks names of tasks in the schema
# Of costs, prices, labels, budgets and importances: a double holds thousandths of their unit up to here, and sums and products of as many as
# there can be stay far from infinity.
LARGEST = 1e12


def _not_too_large(value: float) -> float:
    if value > LARGEST:
        raise PydanticCustomError("too_large", "is too large: must be at most {most}", {"most": f"{LARGEST:,.0f}"})
    return value


# `_not_too_large` checks it, with a message that people can read; in the schema it is a bound like any other.
_BOUND = Field(json_schema_extra={"maximum": LARGEST})
Weight = Annotated[FiniteFloat, Field(ge=0)]
Amount = Annotated[Weight, AfterValidator(_not_too_large), _BOUND]
Images = Annotated[int, Field(ge=0), AfterValidator(_not_too_large), _BOUND]
SomeImages = Annotated[int, Field(ge=1), AfterValidator(_not_too_large), _BOUND]
Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=32, le=2048, multiple_of=16)]  # of images, pixels
# Of tasks: editors offer those of the dictionary (`config.params_schema`).
TaskName = Annotated[str, Field(json_schema_extra={"format": TASK_NAME})]
Name = Annotated[TaskName, AfterValidator(normal)]  # as tables have it
Model = TypeVar("Model", bound=BaseModel)


class Checked(BaseModel):
    """Section of params.yaml: no other keys, checked values, nothing changes later; the text under each field explains its key to people."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_enum_values=False, use_attribute_docstrings=True)
    renamed: ClassVar[Mapping[str, str]] = {}  # keys that earlier versions had -> what they are called now


def checked(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Build `model` from `values`, or fail with one line that names each bad key."""
    with one_line_errors(model, where):
        made = model.model_validate(values)
    if taken := next(_taken_for_numbers(values, made), None):
        raise TaskonomyError(f"{where}: {taken}")
    return made


@contextmanager
def one_line_errors(model: type[BaseModel], where: str) -> Iterator[None]:
    """Turn errors of a section into one line that names each bad key."""
    try:
        yield
    except ValidationError as error:
        raise TaskonomyError(f"{where}: {'; '.join(_problem(model, problem) for problem in error.errors())}") from None


def wrong_key(key: str, message: str) -> ValidationError:
    """Make an error of one key of the section that is checked."""
    return ValidationError.from_exception_data(
        "params", [{"type": "value_error", "loc": (key,), "input": None, "ctx": {"error": ValueError(message)}}]
    )


def must_be_a_path(path: str) -> None:
    """Control characters DVC does not always read back as it wrote them, and no error could name the path in one line; `~` pandas alone expands.

    Raises:
        ValueError: There is such a character in it.
    """
    if str(Path(path)).startswith("~"):
        raise ValueError(f"begins with ~, which stands for no folder here (is {path!r}); write the whole path")
    if odd := [one for one in path if unicodedata.category(one) in ("Cc", "Zl", "Zp")]:
        raise ValueError(f"must be a path in one line, without control characters (is {path!r}: {odd[0]!r}); rename the folder, or link to it")


def _taken_for_numbers(value: Any, made: Any, key: str = "") -> Iterator[str]:
    """Refuse what pydantic reads as a number and people do not write as one: yes and no, and text with underscores."""
    match value, made:
        case dict(), BaseModel() | dict():
            for name, one in value.items():
                part = getattr(made, name, None) if isinstance(made, BaseModel) else made.get(normal(name) if isinstance(name, str) else name)
                yield from _taken_for_numbers(one, part, f"{key}.{name}" if key else str(name))
        case list() | tuple(), list() | tuple():
            for place, (one, part) in enumerate(zip(value, made, strict=False)):
                yield from _taken_for_numbers(one, part, f"{key}.{place}")
        case bool() | str(), int() | float() if not isinstance(made, bool) and (isinstance(value, bool) or "_" in value):
            yield f"{key} must be a number, written with the digits 0-9 and without underscores (is {value!r})"


def _problem(model: type[BaseModel], problem: Any) -> str:
    key, last = _key(model, problem["loc"])
    match problem["type"]:
        case "extra_forbidden" if now := getattr(last, "renamed", {}).get(str(problem["loc"][-1])):
            return f"{key} is called {now} now; rename the key"
        case "extra_forbidden":
            return f"{key} is not a known key; known keys: {', '.join(last.model_fields)}"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
        case "union_tag_invalid" | "union_tag_not_found":
            return f"{key}.kind must be one of {', '.join(KINDS)} (is {problem['ctx'].get('tag', 'missing')})"
    allowed = problem["msg"].replace("Input should be", "must be").replace("Value should", "must")
    return f"{key} {allowed} (is {problem['input']!r})"


def _key(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[str, type[BaseModel]]:
    """Translate pydantic's location of an error: the key as params.yaml has it, and the innermost section around it."""
    parts = [str(part) for part in location if part != "[key]"]
    for place, part in enumerate(location):
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif part == "own" and place >= 2 and location[place - 2] == "tasks" and location[place + 1 : place + 2] and location[place + 1] in KINDS:
            del parts[place + 1]
            model = KINDS[location[place + 1]]
        elif part == "own" and location[place + 2 : place + 3] and location[place + 2] in KINDS:
            del parts[place + 2]  # which of the kinds NAME of `own.NAME` was taken for: no key of the file
            model = KINDS[location[place + 2]]
    return ".".join(parts), model
