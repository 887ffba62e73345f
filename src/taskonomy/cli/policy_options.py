"""Options of the commands that solve the Boolean program, and how a policy is printed."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from taskonomy.cli.path_checks import file_to_read
from taskonomy.errors import TaskonomyError

if TYPE_CHECKING:
    from taskonomy.config.policy_params import LabelsParams, PolicyParams
    from taskonomy.policy.planner import Policy
    from taskonomy.policy.problem import Transfer

PresetOption = Annotated[
    Literal["practice", "paper"],
    typer.Option(
        help="In practice, sources that label themselves cost nothing, and labelled tasks use their own networks; as in the paper, each source costs"
        " 1 and is solved through a transfer. Other options win."
    ),
]
SelfEdgeOption = Annotated[
    Literal["gold", "transfer", "none"] | None,
    typer.Option(
        help="What a source is solved by itself: its own network, trained in full (gold), a transfer from its frozen encoder, or neither.",
        show_default="gold in practice, transfer as in the paper",
    ),
]
Cost = Annotated[
    list[str] | None, typer.Option(help="Label cost of a source, TASK=COST; where not named 1, or as --preset says. Repeatable.", show_default=False)
]
Currency = Annotated[
    str | None, typer.Option(help="Costs and budget are money: label prices of --prices, in this currency, such as EUR.", show_default=False)
]
PriceList = Annotated[
    Path | None,
    typer.Option(
        help="CSV: task, price of one labelled image; also full, transfer, there: images it takes and has. Task * stands for all others.",
        show_default=False,
        callback=file_to_read("price list"),
    ),
]
Importance = Annotated[list[str] | None, typer.Option(help="Weight of a target, TASK=WEIGHT; 1 where not named. Repeatable.", show_default=False)]
Exclude = Annotated[list[str] | None, typer.Option(help="Tasks that may not be sources, comma-separated.", show_default=False)]
Require = Annotated[list[str] | None, typer.Option(help="Sources that the policy must use, comma-separated.", show_default=False)]
SourceOnly = Annotated[list[str] | None, typer.Option(help="Tasks that need not be solved, comma-separated.", show_default=False)]
TargetOnly = Annotated[list[str] | None, typer.Option(help="Tasks never labelled in full, comma-separated.", show_default=False)]
BalanceOption = Annotated[
    Literal["none", "sum", "peak"], typer.Option(help="Rescale each target's affinities: not at all, to a sum of 1, or to a best of 1.")
]
External = Annotated[
    list[str] | None,
    typer.Option(help="Sources that others trained, used as they are: no labels; NAME or NAME=LICENCE. Repeatable.", show_default=False),
]
Licences = Annotated[list[str] | None, typer.Option(help="Licences of such sources that may be used; default: all. Repeatable.", show_default=False)]
Inference = Annotated[
    list[str] | None, typer.Option(help="Multiply-adds of a source's encoder, millions for each image, TASK=NUMBER. Repeatable.", show_default=False)
]
MaxInference = Annotated[float | None, typer.Option(help="Most multiply-adds of all sources' encoders together, in millions.", show_default=False)]
Solver = Annotated[Literal["glpk", "highs"], typer.Option(help="Solver of the Boolean program; both prove the same optimum.")]
TimeLimit = Annotated[float, typer.Option(help="Seconds for one program.")]


@dataclass(frozen=True)
class PolicyOptions:
    """The options that policy and front share."""

    preset: PresetOption = "practice"
    self_edge: SelfEdgeOption = None
    cost: Cost = None
    currency: Currency = None
    prices: PriceList = None
    importance: Importance = None
    exclude: Exclude = None
    require: Require = None
    source_only: SourceOnly = None
    target_only: TargetOnly = None
    external: External = None
    licences: Licences = None
    inference: Inference = None
    max_inference: MaxInference = None
    balance: BalanceOption = "none"
    solver: Solver = "glpk"
    time_limit: TimeLimit = 60.0

    def named(self) -> dict[str, tuple[str, ...]]:
        """Return the names of tasks that the options hold, by option."""
        lists = {"--exclude": self.exclude, "--require": self.require, "--source-only": self.source_only, "--target-only": self.target_only}
        weights = {"--cost": self.cost, "--importance": self.importance}
        found = {option: names(given) for option, given in lists.items()}
        return found | {option: tuple(amounts(given, option)) for option, given in weights.items()}

    def params(self, **own: Any) -> "PolicyParams":
        """Build the section `policy` of the parameters, with what a command sets by options of its own."""
        from taskonomy.config.checked import checked
        from taskonomy.config.policy_params import PolicyParams, Role

        roles = dict.fromkeys(names(self.source_only), Role.SOURCE)
        if both := roles.keys() & set(names(self.target_only)):
            raise TaskonomyError(f"{', '.join(sorted(both))} cannot be both --source-only and --target-only")
        values = {
            "preset": self.preset,
            "self_edge": self.self_edge,
            "balance": self.balance,
            "solver": self.solver,
            "time_limit": self.time_limit,
            "roles": roles | dict.fromkeys(names(self.target_only), Role.TARGET),
            "exclude": names(self.exclude),
            "require": names(self.require),
            "cost": amounts(self.cost, "--cost"),
            "labels": _labels(self.currency, self.prices),
            "importance": amounts(self.importance, "--importance"),
            "external": _external(self.external),
            "licences": None if self.licences is None else tuple(self.licences),
            "inference": amounts(self.inference, "--inference"),
            "max_inference": self.max_inference,
        }
        return checked(PolicyParams, {**values, **own}, "options")


def with_policy_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of `PolicyOptions` as options, in the place of its parameter `shared`; Typer reads them from the signature."""
    fields = inspect.signature(PolicyOptions).parameters

    def run(**values: Any) -> None:
        shared = PolicyOptions(**{name: values.pop(name) for name in fields})
        command(**values, shared=shared)

    signature = inspect.signature(command)
    parameters = [one for own in signature.parameters.values() for one in (fields.values() if own.name == "shared" else [own])]
    run.__signature__ = signature.replace(parameters=[one.replace(kind=one.KEYWORD_ONLY) for one in parameters])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _labels(currency: str | None, path: Path | None) -> "LabelsParams":
    if (currency is None) != (path is None):
        raise TaskonomyError("--currency and --prices go together")
    if currency is None or path is None:
        from taskonomy.config.policy_params import LabelsParams

        return LabelsParams()
    from taskonomy.policy.label_costs import read_prices

    return read_prices(path, currency)


def names(options: list[str] | None) -> tuple[str, ...]:
    """Split the names that options hold, comma-separated."""
    from taskonomy.parsing.user_text import names_in

    return tuple(name for option in options or () for name in names_in(option))


def _external(options: list[str] | None) -> dict[str, str]:
    """Read sources that others trained, with their licences: one in an option, as licences may hold anything but `=`."""
    from taskonomy.parsing.user_text import normal

    found: dict[str, str] = {}
    for option in options or ():
        name, _equals, licence = option.partition("=")
        if not (key := normal(name.strip())) or "+" in key:
            raise TaskonomyError(f"--external: {option!r} must be NAME or NAME=LICENCE, of one source")
        found[key] = licence.strip()
    return found


def texts(options: list[str] | None, what: str) -> dict[str, str]:
    """Read options of the form NAME=TEXT, one in each.

    Raises:
        TaskonomyError: One has another form.
    """
    from taskonomy.parsing.user_text import normal

    found: dict[str, str] = {}
    for option in options or ():
        name, _equals, text = option.partition("=")
        if not (name.strip() and text.strip()):
            raise TaskonomyError(f"{what}: {option!r} must be NAME=TEXT")
        found[normal(name.strip())] = text.strip()
    return found


def amounts(options: list[str] | None, what: str) -> dict[str, float]:
    """Read options of the form TASK=NUMBER, several in one with commas between.

    Raises:
        TaskonomyError: One has another form, or a task stands twice.
    """
    from taskonomy.parsing.user_text import normal, number

    values: dict[str, float] = {}
    for part in (one.strip() for option in options or () for one in option.split(",") if one.strip()):
        task, equals, amount = part.rpartition("=")  # a name may itself contain =
        name = normal(task.strip())
        if not (equals and name) or "+" in name:
            raise TaskonomyError(f"{what}: {part!r} must be TASK=NUMBER, of one task")
        try:
            value = number(amount)
        except ValueError as error:
            raise TaskonomyError(f"{what}: {part!r} must be TASK=NUMBER: {name} {error}") from None
        if values.setdefault(name, value) != value:
            raise TaskonomyError(f"{what}: {name} stands twice, with {values[name]:g} and {value:g}")
    return values


def objective(value: float) -> str:
    """Format an objective with six decimals, or six significant digits where these would all be zeros."""
    return f"{value:.6f}" if value >= 1e-3 or value == 0 else f"{value:.6g}"


def _images(one: "Transfer", best: "Policy") -> list[str]:
    """Word on how many labelled images a transfer was trained, where a table has several amounts."""
    return ["in full" if one.images is None else f"{one.images:,}"] if best.amounts else []


def show(best: "Policy", others: "list[Policy]", params: "PolicyParams") -> None:
    """Print a policy, its bill and its alternatives."""
    from taskonomy.config.params import registry_here
    from taskonomy.machine.terminal import text_table
    from taskonomy.policy.label_costs import bill_table, money, summary_of_bill
    from taskonomy.wording.wording import as_it_is, instead

    registry = registry_here()
    currency = params.labels.currency
    cost, budget = money(best.cost, currency), money(best.budget, currency)
    typer.echo(f"{best.proof}: objective {objective(best.objective)}, cost {cost} of {budget}, {best.seconds:.2f} s")
    typer.echo(f"mean gain {best.mean_gain:.4f}, mean quality {best.mean_quality:.4f}\n")
    paid = [(name, registry.title(name)) for name in best.labelled if name not in best.free]
    typer.echo((text_table([("Label in full", ""), *paid]) if paid else "Label nothing in full.") + "\n")
    if best.free:
        typer.echo(text_table([("Labels are free", ""), *((name, registry.title(name)) for name in best.free)]) + "\n")
    if others_used := best.as_they_are:
        described = [(name, registry.title(name), as_it_is(one["licence"], one["inference"])) for name, one in others_used.items()]
        typer.echo(text_table([("Use as it is", "", ""), *described]) + "\n")
    rows = [(one.target, f"{one.gain:.2f}", f"{one.quality:.2f}", " + ".join(one.sources), *_images(one, best)) for one in best.transfers]
    typer.echo(text_table([("Target", "gain", "quality", "transferred from", *(["images"] if best.amounts else [])), *rows]))
    if currency is not None:
        bill = best.bill(params.labels)
        typer.echo(f"\n{bill_table(bill, currency)}\n{summary_of_bill(bill, currency)}")
    for number, other in enumerate(others, start=1):
        new, gone = set(other.sources) - set(best.sources), set(best.sources) - set(other.sources)
        what = instead(new, gone)
        typer.echo(f"\nNext best {number}: objective {objective(other.objective)}, quality {other.mean_quality:.4f}: {what}", nl=False)
    if others:
        typer.echo("")
