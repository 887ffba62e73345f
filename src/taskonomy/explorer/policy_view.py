"""Render a solved policy for the page."""

from collections.abc import Sequence
from typing import Any

from dash import html

from taskonomy.explorer.policy_diff import PolicyDifference, difference, differs
from taskonomy.policy.label_costs import money
from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Transfer
from taskonomy.report.figures import FAMILY_COLOURS, by_family
from taskonomy.tables.table import SELF, labelled
from taskonomy.tasks import Registry
from taskonomy.wording import wording as words

SCRATCH = "against scratch"
_SHOWN = 3  # rerouted targets listed by name; the table marks all of them
Component = Any


def tiles(policy: Policy, seconds: float, currency: str | None) -> list[Component]:
    """Summarise the policy in a few numbers; `currency` is that of its costs, None: they count tasks."""
    # Of several amounts each costs its share of a task: then all digits are many, and rounding hides no more than a share of a label.
    cost, budget = money(round(policy.cost, 4) if policy.amounts else policy.cost, currency), money(policy.budget, currency)
    tiles_shown = (
        (f"{len(policy.labelled)}", f"labelled in full{_free(policy)}; cost {cost} of {budget}", "sources"),
        *([(f"{len(policy.licences)}", _others(policy), "others")] if policy.licences else []),
        (words.measured(policy.mean_gain), "mean gain", "gain"),
        (words.measured(policy.mean_quality), "mean quality; 0.5 is full supervision", "quality"),
        (f"{policy.objective:.6f}", f"objective, {policy.proof} in {seconds:.2f} s", "objective"),
    )
    return [html.Div([html.B(value, id=f"tile-{name}"), html.Span(what)], className="tile") for value, what, name in tiles_shown]


def _free(policy: Policy) -> str:
    """Say how many of the labelled tasks cost nothing."""
    return f", {len(policy.free)} of them free" if policy.free else ""


def _others(policy: Policy) -> str:
    """Say which sources that others trained the policy uses, with licence and inference cost."""
    found = [f"{name} ({words.as_it_is(one['licence'], one['inference'])})" for name, one in policy.as_they_are.items()]
    return f"used as {'it is' if len(found) == 1 else 'they are'}: {'; '.join(found)}"


def changed(before: Policy | None, after: Policy, currency: str | None, registry: Registry) -> list[Component]:
    """Describe what differs from the previous policy; costs as in `tiles`."""
    if before is None:
        return [html.Span("Change any setting to see what changes.")]
    found = difference(before, after)
    deltas = (("gain", found.gain, 3), ("quality", found.quality, 3), ("objective", found.objective, 6))
    changes = [f"{name} {words.change(value, digits)}" for name, value, digits in deltas]
    numbers = ", ".join([*changes, f"cost {words.change_of_cost(found.cost, currency)}"])
    if found.none:
        return [html.B("The same policy. "), html.Span(numbers)]
    parts: list[Component] = []
    for sign, names, what in (
        ("+", found.sources_added, "added"),
        (words.MINUS, found.sources_removed, "removed"),
    ):
        parts += [html.Span(f"{sign} {registry.title(name)}", className=what) for name in by_family(list(names), registry)]
    for what, names in (("now a target", found.targets_added), ("no target now", found.targets_removed)):
        parts += [html.Span(f"{what}: {words.sorted_titles(names, registry)}")] if names else []
    if found.rerouted:
        parts.append(html.Span(_rerouted(found, registry)))
    return [*parts, html.Span(numbers, className="numbers")]


def _rerouted(found: PolicyDifference, registry: Registry) -> str:
    targets = [one.after.target for one in found.rerouted]
    more = f" and {len(targets) - _SHOWN} more" if len(targets) > _SHOWN else ""
    return f"{len(targets)} rerouted: {', '.join(map(registry.title, by_family(targets, registry)[:_SHOWN]))}{more}"


def transfers(before: Policy | None, policy: Policy, registry: Registry) -> Component:
    """Show every target with the transfer that solves it; those that were rerouted are marked, with their previous transfer."""
    old = {} if before is None else {one.target: one for one in before.transfers}
    by_target = {one.target: one for one in policy.transfers}
    scratch, several = "gain_scratch" in policy.measures, bool(policy.amounts)
    heads = ("Target", "transferred from", *(["images"] if several else []), "gain", "quality", *([SCRATCH] if scratch else []))
    head = html.Tr([html.Th(name, scope="col") for name in heads])
    rows = [_transfer(by_target[name], old.get(name), registry, scratch, several) for name in by_family(list(by_target), registry)]
    return html.Table([html.Thead(head), html.Tbody(rows)])


def _transfer(one: Transfer, before: Transfer | None, registry: Registry, scratch: bool, several: bool) -> Component:
    other = before is not None and differs(before, one)
    marked: dict[str, Any] = {}
    if before is not None and other:
        few = f" on {words.images(before.images)} images" if several else ""
        marked = {"className": "rerouted", "title": f"before: {words.sources_title(before.sources, registry)}{few}"}
    earlier = rates(before, scratch) if before is not None and other else [None] * len(rates(one, scratch))
    cells = [html.Td(_cell(now, then)) for now, then in zip(rates(one, scratch), earlier, strict=True)]
    title = html.Button(registry.title(one.target), className="plain", title="Show where it could be transferred from", **shows(one.target))
    images = [html.Td(words.images(one.images))] if several else []
    return html.Tr([html.Th(title, scope="row"), html.Td(sources_of(one, registry)), *images, *cells], **marked)


def shows(name: str) -> dict[str, Any]:
    """Return what makes a click on a component show a task in detail; '': none."""
    return {"data-task": name}


def sources_of(one: Transfer, registry: Registry) -> list[Component]:
    """Name the sources of a transfer, each with the colour of its family."""
    sources: list[Component] = []
    for written in one.sources:
        colour = FAMILY_COLOURS[registry.family(one.target if written == SELF else labelled(written))]
        own = "its encoder" if written == one.target else words.source_title(written, registry)
        sources.append(html.Span([html.I(style={"background": colour}), own]))
    return [*sources, html.Small("imputed, not measured")] if one.imputed else sources


def rates(one: Transfer, scratch: bool) -> list[float]:
    """List a transfer's win rates as the tables show them."""
    return [one.gain, one.quality, *([one.gain_scratch] if scratch else [])]


def _cell(value: float, before: float | None) -> list[Component]:
    shown = [html.Span(words.measured(value, 2))]
    return shown if before is None else [*shown, html.Small(words.change(value - before, 2))]


def alternatives(policy: Policy, others: Sequence[Policy], currency: str | None, registry: Registry) -> list[Component]:
    """Show the next-best policies beside the best; costs as in `tiles`."""
    if not others:
        return [html.Span("No other policy keeps to the budget.")]
    head = html.Tr([html.Th(name, scope="col") for name in ("Next best", "objective", "gain", "quality", "cost")])
    rows = []
    for number, other in enumerate(others, start=1):
        found = difference(policy, other)
        measured = words.change(found.objective, 6), words.change(found.gain), words.change(found.quality)
        values = (*measured, words.change_of_cost(found.cost, currency))
        rerouted = f", {len(found.rerouted)} rerouted" if found.rerouted else ""
        rows.append(
            html.Tr(
                [
                    html.Th(
                        f"{number}. {words.instead(map(registry.title, found.sources_added), map(registry.title, found.sources_removed))}{rerouted}",
                        scope="row",
                    ),
                    *map(html.Td, values),
                ]
            )
        )
    return [html.Table([html.Thead(head), html.Tbody(rows)])]
