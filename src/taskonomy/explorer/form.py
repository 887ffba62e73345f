"""What stands in the page's fields, as typed: to parameters, to a link, and back."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ConfigDict

from taskonomy.config.params import PolicyParams, Role, checked
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.explorer.loading import LoadedTable

SOURCE, TARGET, MUST = "source", "target", "must"
OUT = "out"
WEIGHTS = ("importance", "cost")
GENERAL = ("budget", "max_order", "self_edge", "balance")
_WHERE = "explorer"


class _Section(BaseModel):
    """So that errors name `policy.budget`, as they do for params.yaml."""

    model_config = ConfigDict(extra="forbid")
    policy: PolicyParams


class RefusedError(Exception):
    """Fields that cannot be: field -> the pipeline's line about it. Fields of a task are `importance.NAME` and `cost.NAME`."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@dataclass(frozen=True)
class TaskChoice:
    """One task's row.

    Attributes:
        may: Of `source`, `target`, `must` (it must be among the sources), what is ticked.
        importance, cost: As typed; nothing typed is 1.
    """

    may: frozenset[str]
    importance: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Choices:
    """All fields."""

    budget: str
    max_order: str
    self_edge: str
    balance: str
    tasks: dict[str, TaskChoice]


def may_be(opened: LoadedTable, task: str) -> frozenset[str]:
    """What the table lets a task be."""
    return frozenset([SOURCE] * (task in opened.sources) + [TARGET] * (task in opened.targets))


def start(opened: LoadedTable) -> Choices:
    """The fields for the parameters that the page starts with."""
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
    """The section `policy` that says the same.

    Raises:
        RefusedError: with each field that does not hold what it should.
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
    carried = opened.start.model_dump(include={"labels", "solver", "time_limit", "alternatives", "alternatives_differ_in"})
    try:
        return _checked({**values, **weights, "roles": roles, "exclude": exclude, "require": require, **carried})
    except TaskonomyError as error:
        raise RefusedError({field_of(line := _line(error)): line}) from None


def field_of(line: str) -> str:
    """The field that one of the pipeline's lines speaks of; `tasks` for what follows from the rows together, `solver` for none."""
    for name in GENERAL:
        if line.startswith(f"policy.{name} "):
            return name
    return "tasks" if line.startswith(("policy: ", "policy.r", "policy.e", "no transfer is left")) else "solver"


def to_query(choices: Choices, opened: LoadedTable) -> str:
    """The fields as a link holds them: every general one, and what a task's row holds other than usual."""
    pairs = [(name, getattr(choices, name)) for name in GENERAL]
    for name, row in choices.tasks.items():
        if row.may - {MUST} != may_be(opened, name):
            pairs.append((f"role.{name}", "+".join(sorted(row.may - {MUST})) or OUT))
        if MUST in row.may:
            pairs.append(("require", name))
        pairs += [(f"{key}.{name}", text) for key in WEIGHTS if (text := getattr(row, key))]
    return urlencode(pairs, quote_via=quote)


def from_query(query: str, opened: LoadedTable) -> Choices:
    """The fields that a link holds; those of the start where it holds none at all.

    Raises:
        TaskonomyError: for keys, roles and tasks nobody knows.
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
    """A number as people write it, every digit of it."""
    return repr(float(number)).removesuffix(".0")
