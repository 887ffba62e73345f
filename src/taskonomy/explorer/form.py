"""Convert the text in the page's fields to parameters, to a link, and back."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ConfigDict

from taskonomy.config.checked import LARGEST, checked
from taskonomy.config.policy_params import LabelsParams, PolicyParams, Role
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.explorer.loading import LoadedTable

SOURCE, TARGET, MUST = "source", "target", "must"
OUT = "out"
_LABEL = "label-"
WEIGHTS = ("importance", "cost", "price")
LABELS = ("currency", "price", "full", "transfer")  # keys of policy.labels; their fields are named label-KEY
GENERAL = ("budget", "max_order", "preset", "self_edge", "balance", *(f"label-{name}" for name in LABELS))
_WHERE = "explorer"


class _Section(BaseModel):
    """The section `policy` by itself, so that errors name `policy.budget` as they do for params.yaml."""

    model_config = ConfigDict(extra="forbid")
    policy: PolicyParams


class RefusedError(Exception):
    """Fields with invalid values: field -> the pipeline's error message. Fields of a task are `importance.NAME`, `cost.NAME` and `price.NAME`."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@dataclass(frozen=True)
class TaskChoice:
    """One task's row.

    Attributes:
        may: The ticked boxes: `source`, `target`, `must` (it must be among the sources).
        importance, cost: As typed; empty means 1, or what the preset says.
        price: Of one labelled image, as typed; empty means the price of all tasks.
    """

    may: frozenset[str]
    importance: str = ""
    cost: str = ""
    price: str = ""


@dataclass(frozen=True)
class Choices:
    """The values of all fields: those of `GENERAL` by name, and a row for each task. Without a currency, prices mean nothing; with one, costs do."""

    general: dict[str, str]
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
        price = params.labels.tasks[name].price if name in params.labels.tasks else None
        numbers = {"importance": params.importance.get(name), "cost": params.cost.get(name), "price": price}
        weights = {key: _written(number) for key, number in numbers.items() if number is not None}
        tasks[name] = TaskChoice((may_be(opened, name) - not_now) | ({MUST} if name in params.require else set()), **weights)
    return Choices(_general(params), tasks)


def _general(params: PolicyParams) -> dict[str, str]:
    labels = params.labels
    values = (params.preset.value, params.self_edge.value, params.balance.value, labels.currency or "")
    price = "" if labels.price is None else _written(labels.price)
    return dict(zip(GENERAL, (_written(params.budget), str(params.max_order), *values, price, str(labels.full), str(labels.transfer)), strict=True))


def params_of(choices: Choices, opened: LoadedTable, *, any_budget: bool = False) -> PolicyParams:
    """Convert the fields to the section `policy`; with `any_budget`, that field is passed over.

    Raises:
        RefusedError: Some fields are invalid; it names each.
    """
    if any_budget:
        choices = replace(choices, general={**choices.general, "budget": "0"})
    in_money = bool(choices.general["label-currency"].strip())
    used = tuple(name for name in WEIGHTS if name != ("cost" if in_money else "price"))
    weights = {key: {name: text for name, row in choices.tasks.items() if (text := getattr(row, key).strip())} for key in used}
    problems = {name: line for name, text in choices.general.items() if (line := _problem(_alone(name, text)))}
    problems |= {f"{key}.{name}": line for key in used for name, text in weights[key].items() if (line := _problem(_of_task(key, name, text)))}
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
    carried = opened.start.model_dump(exclude={*GENERAL, *WEIGHTS, "labels", "roles", "exclude", "require"})
    values: dict[str, Any] = {name: text for name, text in choices.general.items() if not name.startswith(_LABEL)}
    values |= {key: weights[key] for key in used if key != "price"}
    labels = _labels(choices.general, weights.get("price", {}), opened.start.labels)
    try:
        return _checked({**values, "labels": labels, "roles": roles, "exclude": exclude, "require": require, **carried})
    except TaskonomyError as error:
        raise RefusedError({field_of(line := _line(error)): line}) from None


def _labels(general: dict[str, str], prices: dict[str, str], given: LabelsParams) -> dict[str, Any]:
    """Make the section `policy.labels` of the fields; numbers of images that differ by task stay those of the start."""
    found: dict[str, Any] = {name: text for name in LABELS if (text := general[f"{_LABEL}{name}"].strip())}
    if "currency" not in found:
        found.pop("price", None)
    tasks = {name: one.model_dump(exclude={"price"}, exclude_none=True) for name, one in given.tasks.items()}
    for name, text in prices.items():
        tasks[name] = {**tasks.get(name, {}), "price": text}
    carried = given.model_dump(exclude={*LABELS, "tasks"})
    return {**carried, **found, "tasks": {name: one for name, one in tasks.items() if one}}


def _alone(name: str, text: str) -> dict[str, Any]:
    """Make a section of one general field, such that nothing but this field can be wrong."""
    if not name.startswith(_LABEL):
        return {name: text}
    others: dict[str, dict[str, Any]] = {"label-price": {"currency": "EUR"}, "label-full": {"transfer": 0}, "label-transfer": {"full": LARGEST}}
    return {"labels": {**others.get(name, {}), name.removeprefix(_LABEL): text.strip()}} if text.strip() else {}


def _of_task(key: str, name: str, text: str) -> dict[str, Any]:
    """Make a section of one field of a task."""
    return {"labels": {"currency": "EUR", "tasks": {name: {"price": text}}}} if key == "price" else {key: {name: text}}


def field_of(line: str) -> str:
    """Return the field that one of the pipeline's messages is about; `tasks` for errors of the rows together, `solver` where there is none."""
    for name in GENERAL:
        if line.startswith((f"policy.{name} ", f"policy.{name.replace('-', 's.')} ")):
            return name
    if line.startswith("policy.labels"):
        return "label-full" if ".full" in line else "label-price"
    return "tasks" if line.startswith(("policy: ", "policy.r", "policy.e", "no transfer is left")) else "solver"


def to_query(choices: Choices, opened: LoadedTable) -> str:
    """Encode the fields as a link: every general field, and the values of a task's row that differ from the default."""
    pairs = list(choices.general.items())
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
    if not pairs:
        return start(opened)
    general = dict(start(opened).general)
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
            field: dict[str, Any] = {what: value}
            tasks[name] = replace(row, **field)
    return Choices(general, tasks)


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
