"""Show one task of a policy in detail: what its labels cost, where its transfers come from, and which targets read it."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from dash import html

from taskonomy.config.policy_params import LabelsParams
from taskonomy.explorer.policy_view import SCRATCH, rates, shows, sources_of
from taskonomy.policy.label_costs import money
from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Problem, Transfer
from taskonomy.tasks import Registry
from taskonomy.wording import wording as words

_SHOWN = 8  # transfers into the task, the best first
Component = Any


def task_detail(name: str, policy: Policy, problem: Problem, labels: LabelsParams, registry: Registry) -> list[Component]:
    """Describe one task; nothing where neither policy nor problem have it.

    Args:
        name: The task.
        policy: What is shown.
        problem: What might have been chosen.
        labels: Images and prices.
        registry: Tasks, with their titles.
    """
    if name not in (*problem.targets, *problem.costs, *policy.sources):
        return []
    into = sorted((problem.transfers[number] for number in problem.into(name)), key=lambda one: -one.exact) if name in problem.targets else []
    chosen = next((one for one in policy.transfers if one.target == name), None)
    fed = [one for one in policy.transfers if name in one.needs]
    close = html.Button("Close", id="detail-close", **shows(""))
    return [
        html.Div([html.H2(registry.title(name)), close], className="head"),
        html.P(f"{registry.family(name)}; {_role(name, policy, problem, labels)}."),
        *(_into(into, chosen, policy, problem.steps, registry) if into else []),
        *(_fed(name, fed, registry) if fed else []),
    ]


def _role(name: str, policy: Policy, problem: Problem, labels: LabelsParams) -> str:
    """Say whether a task is labelled, and what that costs."""
    if name in policy.licences:
        return words.as_it_is(policy.licences[name], policy.inference.get(name))
    if name not in problem.costs:
        return "it may not be labelled in full"
    one = labels.of(name)
    below = [key for key, step in problem.steps.items() if step.task == name and step.images <= (one.full or 0)]
    cost = money(round(float(sum((problem.costs[key] for key in below), start=problem.costs[name])), 4), problem.currency)
    beyond = ""
    if problem.currency is not None:
        few = f", beyond the {problem.least.get(name, one.transfer):,} of the transfer to it" if name in problem.targets else ""
        beyond = f" for {one.full:,} images{few}"
    return f"{'labelled in full, which costs' if name in policy.sources else 'not labelled in full, which would cost'} {cost}{beyond}"


def _into(into: Sequence[Transfer], chosen: Transfer | None, policy: Policy, steps: Collection[str], registry: Registry) -> list[Component]:
    """List the transfers to a task: the chosen one, and the best that might have been."""
    first = [one for one in into if one is not chosen and (chosen is None or (one.sources, one.images) != (chosen.sources, chosen.images))]
    listed = [*([chosen] if chosen is not None else []), *first][:_SHOWN]

    def needs(one: Transfer) -> str:
        if one is chosen:
            return "chosen"
        more = one.needs - set(policy.sources) - set(steps)
        there = policy.amounts.get(one.target, 0)  # None: labelled in full
        images = [] if one.images is None or there is None or one.images <= there else [f"{one.images:,} labelled images"]
        wanted = [*([words.sorted_titles(more, registry)] if more else []), *images]
        return f"needs {', '.join(wanted)}" if wanted else "possible now"

    left = len(into) - len(listed)
    said = f"Transfers to it, the chosen one first, then the best by affinity{f'; {left:,} more' if left > 0 else ''}:"
    return [html.P(said), _table(listed, "Transferred from", lambda one: sources_of(one, registry), needs)]


def _fed(name: str, fed: Sequence[Transfer], registry: Registry) -> list[Component]:
    """List the targets that read a source."""
    said = f"{words.count(len(fed), 'target')} {'reads' if len(fed) == 1 else 'read'} {registry.title(name)}:"
    return [html.P(said), _table(fed, "Target", lambda one: registry.title(one.target), None)]


def _table(listed: Sequence[Transfer], first: str, cell: Callable[[Transfer], Component], last: Callable[[Transfer], str] | None) -> Component:
    scratch = any(one.gain_scratch == one.gain_scratch for one in listed)
    several = any(one.images is not None for one in listed)
    heads = [first, *(["images"] if several else []), "affinity", "gain", "quality", *([SCRATCH] if scratch else []), *(["labels"] if last else [])]
    rows = []
    for one in listed:
        numbers = [words.significant(one.affinity), *(words.measured(rate, 2) for rate in rates(one, scratch))]
        images = [words.images(one.images)] if several else []
        cells = [html.Td(cell(one)), *map(html.Td, (*images, *numbers)), *([html.Td(last(one), className="words")] if last else [])]
        rows.append(html.Tr(cells, className="chosen" if last and last(one) == "chosen" else ""))
    return html.Table([html.Thead(html.Tr([html.Th(name, scope="col") for name in heads])), html.Tbody(rows)])
