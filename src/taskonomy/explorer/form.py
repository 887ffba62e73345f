"""Convert the text in the page's fields to parameters, to a link, and back."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ConfigDict

from taskonomy.config.checked import checked
from taskonomy.config.policy_params import PolicyParams, Role
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.explorer.loading import LoadedTable

SOURCE, TARGET, MUST = "source", "target", "must"
OUT = "out"
WEIGHTS = ("importance", "cost")
GENERAL = ("budget", "max_order", "self_edge", "balance")
_WHERE = "explorer"


class _Section(BaseModel):
    """The section `policy` by itself, so that errors name `policy.budget` as they do for params.yaml."""

    model_config = ConfigDict(extra="forbid")
    policy: PolicyParams


class RefusedError(Exception):
    """Fields with invalid values: field -> the pipeline's error message. Fields of a task are `importance.NAME` and `cost.NAME`."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@dataclass(frozen=True)
class TaskChoice:
    """One task's row.

    Attributes:
        may: The ticked boxes: `source`, `target`, `must` (it must be among the sources).
        importance, cost: As typed; empty means 1.
    """

    may: frozenset[str]
    importance: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Choices:
    """The values of all fields."""

    budget: str
    max_order: str
    self_edge: str
    balance: str
    tasks: dict[str, TaskChoice]


def may_be(opened: LoadedTable, task: str) -> frozenset[str]:
    """Return the roles that the table permits for a task."""
    return frozenset([SOURCE] * (task in opened.sources) + [TARGET] * (task in opened.targets))


def start(opened: LoadedTable) -> Choices:
    """Return the fields for the parameters that the page starts with."""
    params = opened.start
    tasks = {}
    for name in opened.tasks:
        role = params.roles.get(name, Role.BOTH)
        not_now = {SOURCE} if role is Role.TARGET or name in params.exclude else set()
        not_now |= {TARGET} if role is Role.SOURCE else set()
        weights = {key: _written(getattr(params, key)[name]) for key in WEIGHTS if getattr(params, key).get(name, 1.0) != 1.0}
        tasks[name] = TaskChoice((may_be(opened, name) - not_now) | ({MUST} if name in params.require else set()), **weights)
    return Choices(_written(params.budget), str(params.max_order), params.self_edge.value, params.balance.value, tasks)


def params_of(choices: Choices, opened: LoadedTable) -> PolicyParams:
    """Convert the fields to the section `policy`.

    Raises:
        RefusedError: Some fields are invalid; it names each.
    """
    values = {name: getattr(choices, name) for name in GENERAL}
    weights = {key: {name: text for name, row in choices.tasks.items() if (text := getattr(row, key).strip())} for key in WEIGHTS}
    problems = {name: line for name, text in values.items() if (line := _problem({name: text}))}
    problems |= {f"{key}.{name}": line for key in WEIGHTS for name, text in weights[key].items() if (line := _problem({key: {name: text}}))}
    if problems:
        raise RefusedError(problems)
    roles: dict[str, Role] = {}
    exclude: list[str] = []
    for name, row in choices.tasks.items():
        off = may_be(opened, name) - row.may
        if TARGET in off:
            roles[name] = Role.SOURCE
        if SOURCE in off and TARGET in may_be(opened, name) - off:
            roles[name] = Role.TARGET
        elif SOURCE in off:
            exclude.append(name)
    require = [name for name, row in choices.tasks.items() if MUST in row.may]
    carried = opened.start.model_dump(include={"preset", "labels", "solver", "time_limit", "alternatives", "alternatives_differ_in"})
    try:
        return _checked({**values, **weights, "roles": roles, "exclude": exclude, "require": require, **carried})
    except TaskonomyError as error:
        raise RefusedError({field_of(line := _line(error)): line}) from None


def field_of(line: str) -> str:
    """Return the field that one of the pipeline's messages is about; `tasks` for errors of the rows together, `solver` where there is none."""
    for name in GENERAL:
        if line.startswith(f"policy.{name} "):
            return name
    return "tasks" if line.startswith(("policy: ", "policy.r", "policy.e", "no transfer is left")) else "solver"


def to_query(choices: Choices, opened: LoadedTable) -> str:
    """Encode the fields as a link: every general field, and the values of a task's row that differ from the default."""
    pairs = [(name, getattr(choices, name)) for name in GENERAL]
    for name, row in choices.tasks.items():
        if row.may - {MUST} != may_be(opened, name):
            pairs.append((f"role.{name}", "+".join(sorted(row.may - {MUST})) or OUT))
        if MUST in row.may:
            pairs.append(("require", name))
        pairs += [(f"{key}.{name}", text) for key in WEIGHTS if (text := getattr(row, key))]
    return urlencode(pairs, quote_via=quote)


def from_query(query: str, opened: LoadedTable) -> Choices:
    """Decode the fields of a link; an empty link gives the initial fields.

    Raises:
        TaskonomyError: The link has unknown keys, roles or tasks.
    """
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    general = {name: getattr(start(opened), name) for name in GENERAL}
    if not pairs:
        return start(opened)
    tasks = {name: TaskChoice(may_be(opened, name)) for name in opened.tasks}
    for key, value in pairs:
        what, _dot, name = key.partition(".")
        name = value if key == "require" else name
        if key in GENERAL:
            general[key] = value
            continue
        if what not in ("role", "require", *WEIGHTS):
            raise unknown("link", [key], [*GENERAL, "require", "role.TASK", *(f"{one}.TASK" for one in WEIGHTS)])
        if name not in tasks:
            raise unknown(f"link: {what}", [name], tasks)
        row = tasks[name]
        if what == "require":
            tasks[name] = replace(row, may=row.may | {MUST})
        elif what == "role":
            tasks[name] = replace(row, may=_role(value, name) & may_be(opened, name) | row.may & {MUST})
        else:
            tasks[name] = replace(row, importance=value) if what == "importance" else replace(row, cost=value)
    return Choices(**general, tasks=tasks)


def _role(value: str, name: str) -> frozenset[str]:
    if value == OUT:
        return frozenset()
    if set(parts := value.split("+")) <= {SOURCE, TARGET}:
        return frozenset(parts)
    raise TaskonomyError(f"link: role.{name} must be {SOURCE}, {TARGET}, {SOURCE}+{TARGET} or {OUT} (is {value!r})")


def _problem(values: dict[str, Any]) -> str | None:
    try:
        _checked({"budget": 0, **values})
    except TaskonomyError as error:
        return _line(error)
    return None


def _checked(values: dict[str, Any]) -> PolicyParams:
    return checked(_Section, {"policy": values}, _WHERE).policy


def _line(error: TaskonomyError) -> str:
    return str(error).removeprefix(f"{_WHERE}: ")


def _written(number: float) -> str:
    """Format a number without a trailing `.0`, with every digit."""
    return repr(float(number)).removesuffix(".0")
