"""Lay out the page before anything is solved: its fields, and the places where a policy is shown."""

import json
from typing import Any

import dash_cytoscape as cytoscape
from dash import dcc, html

from taskonomy.config.policy_params import Balance, LabelsParams, Preset, SelfEdge
from taskonomy.explorer.cytoscape import ROW, stylesheet
from taskonomy.explorer.form import MUST, SOURCE, TARGET, Choices, may_be
from taskonomy.explorer.loading import LoadedTable
from taskonomy.report.figures import FAMILY_COLOURS
from taskonomy.tasks import BUILT_IN, FAMILIES

TYPING = 0.3  # seconds after the last key press until the fields are solved
FILES = {"policy.json": "JSON", "policy.csv": "CSV", "params.yaml": "params.yaml"}
COLUMNS = {
    "source": "It may be labelled in full (an encoder of others: used as it is), and others transferred from it",
    "target": "It has to be solved",
    "must": "It has to be among the sources",
    "weight": "Weight of a target in the objective; empty: 1",
    "cost": "Label cost of a source; empty: as the rules say, of an encoder of others 0",
    "price": "Price of one labelled image; empty: as for all tasks, nothing where the images label themselves",
}
_SELF_EDGES = {SelfEdge.TRANSFER: "its encoder", SelfEdge.GOLD: "its own network", SelfEdge.NONE: "neither"}
_PRESETS = {Preset.PRACTICE: "in practice", Preset.PAPER: "the paper's"}
PRESETS_DIFFER = (
    "In practice: tasks whose labels are free (2D and self-supervised) cost nothing, and a labelled task uses its own network. The paper's: every"
    " source costs 1, and a labelled task is solved by a transfer from its own encoder."
)
_MONEY = {
    "currency": ("Currency", "With one, the budget is all the money that labels may cost; without, it counts tasks", "none: tasks"),
    "price": ("Price of an image", "Of one labelled image, where a task has no price of its own", "none"),
    "full": ("Images in full", "Labelled images of a task that is labelled in full", str(LabelsParams().full)),
    "transfer": ("for a transfer", "Labelled images of a transfer to a task", str(LabelsParams().transfer)),
}
_BALANCES = {Balance.NONE: "as measured", Balance.SUM: "to sum 1", Balance.PEAK: "to best 1"}

_LIVE: dict[str, Any] = {"aria-live": "polite"}

Component = Any  # html's and dcc's classes share only a generated base class


def layout(opened: LoadedTable, choices: Choices) -> Component:
    """Build the page; names are passed as text to React, never as markup."""
    about = f"{opened.title}: {len(opened.tasks)} tasks, {len(opened.table):,} transfers"
    styles = dcc.Store(id="styles", data={theme: stylesheet(theme) for theme in ("light", "dark")})
    placeholders = dcc.Store(id="placeholders", data={one.value: [_cost(opened, one, name) for name in opened.tasks] for one in Preset})
    stores = [*(dcc.Store(id=name) for name in ("address", "asked", "good", "rules", "curve-data", "pointed", "dark")), styles, placeholders]
    header = html.Header([html.H1("Taskonomy explorer"), html.Span(about, id="about"), html.Span("solving …", id="solving"), _exports()])
    page = html.Main([_fields(opened, choices), _results(opened)])
    return html.Div([*stores, header, page])


def problem(key: str | dict[str, Any]) -> Component:
    """Build the place for a field's problem, which screen readers announce."""
    return html.Div(id=key, className="problem", role="alert")


def _exports() -> Component:
    files = [html.A(label, id={"type": "file", "name": name}, href="", download=name) for name, label in FILES.items()]
    return html.Nav([html.Span("Export"), *files, html.Button("PNG", id="png"), html.A("Start again", href="/", id="again")], id="exports")


def _fields(opened: LoadedTable, choices: Choices) -> Component:
    value = choices.general
    curve = html.Div(html.Div(id="curve", **_named("Mean gain and quality by budget")), id="budgets")
    presets = [_radio("preset", _PRESETS, value["preset"]), html.Small(PRESETS_DIFFER)]
    general = [
        _field("budget", "Budget", "Total label cost of the sources; with a currency, of all labels", _typed("budget", value["budget"])),
        _field("max_order", "Highest order", "Maximum number of sources per transfer", _typed("max_order", value["max_order"])),
        curve,
        _field("preset", "Rules", PRESETS_DIFFER, html.Div(presets)),
        _field(
            "self_edge", "A source solves itself by", "Its frozen encoder, or its own network", _radio("self_edge", _SELF_EDGES, value["self_edge"])
        ),
        _field("balance", "A target's affinities", "How they are rescaled", _radio("balance", _BALANCES, value["balance"])),
        html.Div([_money(name, value[f"label-{name}"]) for name in _MONEY], id="money"),
    ]
    head = html.Tr([html.Th("Task", scope="col"), *(html.Th(name, scope="col", title=meaning, className=name) for name, meaning in COLUMNS.items())])
    rows = [_row(opened, choices, number, name) for number, name in enumerate(opened.tasks)]
    table = html.Div(html.Table([html.Thead(head), html.Tbody(rows)]), id="tasks")
    problems = [problem(f"{name}-problem") for name in ("link", "solver", "tasks")]
    return html.Section([html.Div(general, id="general"), *problems, table], id="fields", **_named("What may be chosen"))


def _field(name: str, label: str, meaning: str, control: Component) -> Component:
    named = html.Label(label, htmlFor=name, title=meaning)
    return html.Div([named, control, problem(f"{name}-problem")], className="field", id=f"{name}-field")


def _money(name: str, value: str) -> Component:
    label, meaning, empty = _MONEY[name]
    field = dcc.Input(id=f"label-{name}", value=value, type="text", debounce=TYPING, placeholder=empty, autoComplete="off")
    return _field(f"label-{name}", label, meaning, field)


def _typed(name: str, value: str) -> Component:
    """Build a field for a number, with buttons to step; the value is text, so that input that is no number gets an error message."""
    field = dcc.Input(id=name, value=value, type="text", debounce=TYPING, autoComplete="off")
    steps = [html.Button(sign, id=f"{name}-{what}", **_named(f"{name}: one {what}")) for sign, what in (("\u2212", "less"), ("+", "more"))]
    return html.Div([steps[0], field, steps[1]], className="stepped")


def _radio(name: str, options: dict[Any, str], value: str) -> Component:
    return dcc.RadioItems(id=name, value=value, options=[{"value": one.value, "label": label} for one, label in options.items()], inline=True)


def _row(opened: LoadedTable, choices: Choices, number: int, name: str) -> Component:
    row, may = choices.tasks[name], may_be(opened, name)
    title = opened.registry.title(name)
    options = [{"value": what, "label": html.Span(f"{title}: {what}", className="unseen"), "disabled": what not in may} for what in (SOURCE, TARGET)]
    options.append({"value": MUST, "label": html.Span(f"{title}: {MUST}", className="unseen"), "disabled": SOURCE not in may})
    ticks = dcc.Checklist(id=_key("may", number), options=options, value=sorted(row.may), inline=True)
    weights = [
        _weight("importance", "weight", number, title, row.importance, TARGET in may),
        _weight("cost", "cost", number, title, row.cost, SOURCE in may, _cost(opened, Preset(choices.general["preset"]), name)),
        _weight("price", "price", number, title, row.price, name not in opened.others, "0" if BUILT_IN.labels_itself(name) else ""),
    ]
    shown = f"{title} (used as it is)" if name in opened.others else title
    head = html.Th([html.Div([_dot(opened, name), html.Span(shown, title=name)]), problem(_key("row-problem", number))], scope="row")
    return html.Tr(
        [
            head,
            html.Td(ticks, colSpan=3, className="ticks"),
            *(html.Td(one, className=what) for what, one in zip(("weight", "cost", "price"), weights, strict=True)),
        ],
        id=_key("row", number),
    )


def _cost(opened: LoadedTable, preset: Preset, name: str) -> str:
    """Return the cost of a source whose field is empty."""
    return "0" if name in opened.others or (preset is Preset.PRACTICE and BUILT_IN.labels_itself(name)) else "1"


def _weight(what: str, label: str, number: int, title: str, value: str, usable: bool, default: str = "1") -> Component:
    key = _key(what, number)
    as_dom = json.dumps(key, sort_keys=True, separators=(",", ":"))  # the id as Dash writes it into the DOM
    field = dcc.Input(id=key, value=value, type="text", placeholder=default, debounce=TYPING, disabled=not usable, autoComplete="off")
    return html.Div([html.Label(f"{title}: {label}", htmlFor=as_dom, className="unseen"), field])


def _results(opened: LoadedTable) -> Component:
    families = [name for name in FAMILIES if any(opened.registry.family(task) == name for task in opened.tasks)]
    legend = [html.Span([_dot_of(FAMILY_COLOURS[name]), name], title=FAMILIES[name]) for name in families]
    graph = cytoscape.Cytoscape(
        id="graph",
        elements=[],
        layout={"name": "preset", "fit": True, "padding": 6},
        style={"width": "100%", "height": f"{ROW * len(opened.targets)}px"},
        stylesheet=stylesheet("light"),
        userZoomingEnabled=False,
        userPanningEnabled=False,
        autoungrabify=True,
        autounselectify=True,
        boxSelectionEnabled=False,
        clearOnUnhover=True,
        responsive=True,
    )
    drawn = html.Div(graph, role="img", id="drawn", **_named("Sources left, targets right; the table says the same"))
    hint = html.Small("Click a task, here or in the table, to see where it could be transferred from.")
    left = html.Div([html.Div(legend, id="legend"), drawn, hint, html.Div(id="detail", **_LIVE)])
    return html.Section(
        [
            html.Div("The fields hold what cannot be solved; below is the last policy that could.", id="old"),
            html.Div(id="tiles"),
            html.Div(id="changed", **_LIVE),
            html.Div([left, html.Div(id="transfers")], id="policy"),
            html.Div(id="alternatives"),
            html.Div([html.Span(note) for note in opened.notes], id="notes"),
        ],
        id="results",
        **_named("The policy"),
    )


def _named(label: str) -> dict[str, Any]:
    """Return the label for screen readers."""
    return {"aria-label": label}


def _dot(opened: LoadedTable, name: str) -> Component:
    return _dot_of(FAMILY_COLOURS[opened.registry.family(name)])


def _dot_of(colour: str) -> Component:
    return html.I(style={"background": colour})


def _key(what: str, number: int) -> dict[str, Any]:
    return {"type": what, "task": number}
