"""Connect the page's events: fields -> program -> what is shown."""

import time
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate
from flask import Flask, Response, request

from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.explorer import cytoscape as graph
from taskonomy.explorer import downloads as exports
from taskonomy.explorer import policy_view as shown
from taskonomy.explorer.budget_curve import BudgetCurve
from taskonomy.explorer.form import GENERAL, WEIGHTS, Choices, RefusedError, TaskChoice, field_of, from_query, params_of, start, to_query
from taskonomy.explorer.loading import LoadedTable
from taskonomy.explorer.page_layout import FILES, layout
from taskonomy.explorer.solver import Solver
from taskonomy.explorer.task_detail import task_detail
from taskonomy.policy.planner import Policy

_FIELDS = (*GENERAL, "tasks", "solver")  # fields with a place for problems
_PAGES = 100  # pages open at a time
_TYPES = {"policy.json": "application/json", "policy.csv": "text/csv", "params.yaml": "application/yaml"}


class Explorer:
    """The page of one table: what a set of fields gives, as text and components, independent of browser and server."""

    def __init__(self, opened: LoadedTable) -> None:
        self.opened = opened
        self.solver = Solver(opened.table, opened.registry)
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._order = Lock()

    def is_latest(self, page: str, number: int) -> bool:
        """Return whether this is the page's latest request: requests are answered concurrently, and an old result must not replace a newer one."""
        with self._order:
            latest = self._latest[page] = max(number, self._latest.pop(page, number))
            while len(self._latest) > _PAGES:
                self._latest.popitem(last=False)
        return number == latest

    def begin(self) -> None:
        """Solve the initial fields in the background, so that the first visitor need not wait for what is loaded only once."""
        self.solver.prepare(self.opened.start)

    def solved(self, choices: Choices) -> tuple[PolicyParams, Policy]:
        """Return the parameters and the policy of the fields.

        Raises:
            RefusedError: Some fields are wrong, or one makes the program infeasible; it names each.
        """
        params = params_of(choices, self.opened)
        try:
            return params, self.solver.policy(params)
        except TaskonomyError as error:
            raise RefusedError({field_of(str(error)): str(error)}) from None

    def linked(self, query: str | None) -> tuple[PolicyParams, Policy] | None:
        """Return parameters and policy as `solved` does, for a link; None where the link has no policy."""
        try:
            return None if query is None else self.solved(from_query(query, self.opened))
        except (RefusedError, TaskonomyError):
            return None

    def file(self, name: str, query: str) -> str:
        """Return one of the files to export.

        Raises:
            TaskonomyError: The link has no policy.
        """
        try:
            params, policy = self.solved(from_query(query, self.opened))
        except RefusedError as error:
            raise TaskonomyError(str(error)) from None
        match name:
            case "policy.json":
                return exports.as_json(policy, self.solver.alternatives(params))
            case "policy.csv":
                return exports.as_csv(policy)
            case _:
                return exports.as_section(params)


def choices_of(opened: LoadedTable, general: dict[str, Any], may: list[list[str]], *weights: list[str | None]) -> Choices:
    """Build the fields from the browser's values; rows are in the order of the tasks, weights in that of `WEIGHTS`."""
    rows = zip(opened.tasks, may, *weights, strict=True)
    tasks = {name: TaskChoice(frozenset(ticked or ()), *(text or "" for text in texts)) for name, ticked, *texts in rows}
    return Choices({name: str(general[name] or "") for name in GENERAL}, tasks)


def build(explorer: Explorer) -> Dash:
    """Build the Dash application; everything that it serves is local."""
    opened = explorer.opened
    app = Dash(
        "taskonomy.explorer",
        assets_folder=str(Path(__file__).with_name("assets")),
        use_pages=False,
        serve_locally=True,
        title="Taskonomy explorer",
        update_title="",
        add_log_handler=False,
    )
    app.layout = lambda: layout(opened, start(opened))
    _load(app, opened)
    _answer(app, explorer)
    _alternatives(app, explorer)
    _curve(app, explorer)
    _detail(app, explorer)
    _in_the_browser(app)
    _files(app.server, explorer)
    _complete(app.server)
    return app


def _complete(server: Flask) -> None:
    """Finish the setup that Dash leaves to its first request.

    Dash counts it as done once begun, so a page requested meanwhile would lack its scripts and styles, and never ask for a policy.
    """
    with server.test_request_context():
        server.preprocess_request()


def _all(what: str, prop: str) -> tuple[dict[str, Any], str]:
    return {"type": what, "task": ALL}, prop


def _load(app: Dash, opened: LoadedTable) -> None:
    @app.callback(
        *(Output(name, "value") for name in GENERAL),
        *(Output(*_all(what, "value")) for what in ("may", *WEIGHTS)),
        Output("link-problem", "children"),
        Input("address", "data"),
        prevent_initial_call=True,
    )
    def load(search: str | None) -> list[Any]:
        """Set the fields from the address: after a link, a reload, or the browser's Back."""
        problem = ""
        try:
            choices = from_query(search or "", opened)
        except TaskonomyError as error:
            choices, problem = start(opened), str(error)
        rows = choices.tasks.values()
        weights = ([getattr(row, what) for row in rows] for what in WEIGHTS)
        return [*choices.general.values(), [sorted(row.may) for row in rows], *weights, problem]


def _answer(app: Dash, explorer: Explorer) -> None:
    opened = explorer.opened

    @app.callback(
        {
            "tiles": Output("tiles", "children"),
            "changed": Output("changed", "children"),
            "elements": Output("graph", "elements"),
            "size": Output("graph", "style"),
            "transfers": Output("transfers", "children"),
            "good": Output("good", "data"),
            "rules": Output("rules", "data"),
            "links": Output({"type": "file", "name": ALL}, "href"),
            "old": Output("results", "className"),
            "problems": {name: Output(f"{name}-problem", "children") for name in _FIELDS},
            "rows": Output(*_all("row-problem", "children")),
        },
        {"asked": Input("asked", "data"), "good": State("good", "data")},
        prevent_initial_call=True,
    )
    def answer(asked: dict[str, Any], good: str | None) -> dict[str, Any]:
        question = (str(asked["page"]), int(asked["number"]))
        general, *rows = asked["fields"]
        if explorer.is_latest(*question):
            answered = _answered(explorer, choices_of(opened, dict(zip(GENERAL, general, strict=True)), *rows), good)
            if explorer.is_latest(*question):
                return answered
        raise PreventUpdate


def _answered(explorer: Explorer, choices: Choices, good: str | None) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        params, policy = explorer.solved(choices)
    except RefusedError as error:
        same = dict.fromkeys(("tiles", "changed", "elements", "size", "transfers", "good"), no_update)
        # Where only the budget is wrong, the curve shows those that are not.
        rules = to_query(choices, explorer.opened) if list(error.problems) == ["budget"] else no_update
        return {**same, "rules": rules, "links": [no_update] * len(FILES), "old": "old", **_problems(explorer.opened, error.problems)}
    seconds = time.perf_counter() - started
    before = explorer.linked(good)
    previous, currency = None if before is None else before[1], params.labels.currency
    query, registry = to_query(choices, explorer.opened), explorer.opened.registry
    return {
        "tiles": shown.tiles(policy, seconds, currency),
        "changed": shown.changed(previous, policy, currency, registry),
        "elements": graph.elements(policy, registry),
        "size": {"width": "100%", "height": f"{graph.height(policy, registry)}px"},
        "transfers": shown.transfers(previous, policy, registry),
        "good": query,
        "rules": query,
        "links": [f"/export/{name}?{query}" for name in FILES],
        "old": "",
        **_problems(explorer.opened, {}),
    }


def _problems(opened: LoadedTable, problems: dict[str, str]) -> dict[str, Any]:
    rows = ["; ".join(line for key in WEIGHTS if (line := problems.get(f"{key}.{name}"))) for name in opened.tasks]
    return {"problems": {name: problems.get(name, "") for name in _FIELDS}, "rows": rows}


def _alternatives(app: Dash, explorer: Explorer) -> None:
    @app.callback(Output("alternatives", "children"), Input("good", "data"), prevent_initial_call=True)
    def alternatives(good: str) -> Any:
        """List the alternatives after the policy is shown, as they take several times as long."""
        if (found := explorer.linked(good)) is None:
            return ""
        params, policy = found
        try:
            return shown.alternatives(policy, explorer.solver.alternatives(params), params.labels.currency, explorer.opened.registry)
        except TaskonomyError as error:
            return str(error)


def _curve(app: Dash, explorer: Explorer) -> None:
    @app.callback(Output("curve-data", "data"), Input("rules", "data"), prevent_initial_call=True)
    def curve(rules: str) -> Any:
        """Solve every budget after the policy is shown; there is no point where none can be solved."""
        try:
            params = params_of(from_query(rules, explorer.opened), explorer.opened, any_budget=True)
            return explorer.solver.curve(params).as_data(params.labels.currency)
        except (RefusedError, TaskonomyError):
            return BudgetCurve((), whole=True).as_data(None)


def _detail(app: Dash, explorer: Explorer) -> None:
    @app.callback(Output("detail", "children"), Input("pointed", "data"), Input("good", "data"), prevent_initial_call=True)
    def detail(pointed: str | None, good: str | None) -> Any:
        """Show the task that was clicked, in the policy that is shown."""
        if not pointed or (found := explorer.linked(good)) is None:
            return ""
        params, policy = found
        return task_detail(pointed, policy, explorer.solver.problem(params), params.labels, explorer.opened.registry)


def _in_the_browser(app: Dash) -> None:
    app.clientside_callback(ClientsideFunction("explorer", "address"), Output("address", "data"), Input("address", "id"))
    app.clientside_callback(
        ClientsideFunction("explorer", "ask"),
        Output("asked", "data"),
        *(Input(name, "value") for name in GENERAL),
        *(Input(*_all(what, "value")) for what in ("may", *WEIGHTS)),
        prevent_initial_call=True,
    )
    app.clientside_callback(ClientsideFunction("explorer", "remember"), Input("good", "data"))
    app.clientside_callback(
        ClientsideFunction("explorer", "style"),
        Output("graph", "stylesheet"),
        Input("dark", "data"),
        Input("graph", "mouseoverNodeData"),
        State("styles", "data"),
        State("graph", "elements"),
    )
    app.clientside_callback(ClientsideFunction("explorer", "fit"), Output("drawn", "title"), Input("graph", "elements"), Input("graph", "stylesheet"))
    app.clientside_callback(ClientsideFunction("explorer", "clicked"), Output("pointed", "data"), Input("graph", "tapNodeData"))
    app.clientside_callback(
        ClientsideFunction("explorer", "curve"),
        Output("curve", "title"),
        Input("curve-data", "data"),
        Input("budget", "value"),
        Input("rules", "data"),
    )
    app.clientside_callback(ClientsideFunction("explorer", "seen"), Output("detail", "title"), Input("detail", "children"))
    app.clientside_callback(
        ClientsideFunction("explorer", "placeholders"),
        Output(*_all("cost", "placeholder")),
        Input("preset", "value"),
        State("placeholders", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("explorer", "png"),
        Output("graph", "generateImage"),
        Input("png", "n_clicks"),
        prevent_initial_call=True,
    )
    for name in ("budget", "max_order"):
        app.clientside_callback(
            ClientsideFunction("explorer", "step"),
            Output(name, "value", allow_duplicate=True),
            Input(f"{name}-less", "n_clicks"),
            Input(f"{name}-more", "n_clicks"),
            State(name, "value"),
            prevent_initial_call=True,
        )


def _files(server: Flask, explorer: Explorer) -> None:
    @server.get("/export/<name>")
    def export(name: str) -> Response:
        if name not in FILES:
            return Response("error: no such file\n", 404, mimetype="text/plain")
        try:
            text = explorer.file(name, request.query_string.decode())
        except UnicodeDecodeError:
            return Response("error: the link is not UTF-8\n", 400, mimetype="text/plain")
        except TaskonomyError as error:
            return Response(f"error: {error}\n", 400, mimetype="text/plain")
        return Response(text, mimetype=_TYPES[name], headers={"Content-Disposition": f"attachment; filename={name}"})
