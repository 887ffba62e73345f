"""Check requests: only this page's are answered, and only calls in the form in which it makes them. All others get a one-line error."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from dash import Dash
from dash.exceptions import DependencyException
from flask import Flask, Response, abort, request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import HTTPException

from taskonomy.explorer.form import GENERAL, MUST, SOURCE, TARGET
from taskonomy.explorer.page_layout import FILES

CALLS = "/_dash-update-component"
_NAMES = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")  # of this machine; any port, as one may be forwarded here from another machine
_BYTES, _BYTES_PER_TASK = 2**16, 2**10  # limits of a request's body; the page's own need a tenth of it


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Property(_Form):
    """One value in a call; `value` is missing while it has none yet."""

    id: str
    property: str
    value: Any = None


class _Call(_Form):
    """A call of Dash's renderer."""

    output: str
    outputs: Any
    inputs: list[_Property]
    state: list[_Property] = []
    changed: Annotated[list[str], Field(alias="changedPropIds")]
    parsed: Annotated[list[Any], Field(alias="parsedChangedPropsIds")] = []


_Tick = Annotated[str, Field(pattern=f"^({SOURCE}|{TARGET}|{MUST})$")]
_Texts = list[str | None]


class _Asked(_Form):
    """The fields as the page's function `ask` encodes them."""

    page: Annotated[str, Field(max_length=100)]
    number: Annotated[int, Field(ge=0, lt=2**53)]
    fields: Annotated[  # a list in JSON
        tuple[Annotated[_Texts, Field(min_length=len(GENERAL), max_length=len(GENERAL))], list[list[_Tick] | None], _Texts, _Texts, _Texts],
        Field(strict=False),
    ]


_VALUES: dict[str, TypeAdapter[Any]] = {
    "asked": TypeAdapter(_Asked),
    **{name: TypeAdapter(str | None) for name in ("address", "good", "rules", "pointed")},
}


def guard(app: Dash, tasks: int) -> None:
    """Refuse requests of other sites by any method, bodies that are too large, and calls that the page does not make.

    Other sites are refused both under a host name of theirs that resolves to this machine and by cross-site requests to this address: browsers mark
    every such request (Sec-Fetch-Site), and older ones some of them (Origin, Referer).
    """
    server: Flask = app.server
    calls = _calls(app, tasks)
    hashes = " ".join(app.csp_hashes())
    policy = f"default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
    policy += "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    server.config["MAX_CONTENT_LENGTH"] = _BYTES + _BYTES_PER_TASK * tasks

    @server.before_request
    def ours() -> None:
        if not _is_ours():
            abort(403, "this page answers requests of its own alone; open its address in a window of its own")
        if "Transfer-Encoding" in request.headers:
            abort(411, "a body must say its length")
        body = request.get_data()  # 413 where it is too long
        if request.path == CALLS and request.method == "POST":
            _check(body, calls, tasks)

    @server.after_request
    def nothing_from_elsewhere(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    _in_one_line(server)


def _in_one_line(server: Flask) -> None:
    @server.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        if error.code == 500:
            error.description = "the explorer failed; its terminal says where"
        return Response(f"error: {_line(error.description or error.name)}\n", error.code, mimetype="text/plain", headers=_allowed(error))

    @server.errorhandler(DependencyException)
    def no_such_script(_error: DependencyException) -> Response:
        return Response("error: no such file\n", 404, mimetype="text/plain")


def _allowed(error: HTTPException) -> list[tuple[str, str]]:
    """Return the allowed methods, where another was used."""
    return [pair for pair in error.get_headers() if pair[0] == "Allow"]


def _is_ours() -> bool:
    headers = request.headers
    host = headers.get("Host", "")
    here = f"http://{host}"
    referer = headers.get("Referer", "")
    return (
        _NAMES.fullmatch(host) is not None
        and headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
        and headers.get("Origin", here) == here
        and (not referer or referer == here or referer.startswith(f"{here}/"))
    )


def _calls(app: Dash, tasks: int) -> dict[str, tuple[Any, list[str], list[str]]]:
    """Map each call that is answered here to its outputs, inputs and state, as the page writes them."""
    places: dict[str, Iterable[Any]] = {"task": range(tasks), "name": FILES}

    def written(output: Any) -> Any:
        key, prop = output.component_id, output.component_property
        if isinstance(key, str):
            return {"id": key, "property": prop}
        (every,) = key.keys() & places.keys()
        return [{"id": {**key, every: place}, "property": prop} for place in places[every]]

    found = {}
    for name, one in app.callback_map.items():
        if "callback" in one:
            outputs = [written(each) for each in one["output"]] if isinstance(one["output"], list) else written(one["output"])
            found[name] = (outputs, [each["id"] for each in one["inputs"]], [each["id"] for each in one["state"]])
    return found


def _check(body: bytes, calls: dict[str, tuple[Any, list[str], list[str]]], tasks: int) -> None:
    if request.mimetype != "application/json":
        abort(415, "a call must be application/json")
    call = _read(lambda: _Call.model_validate_json(body), "call")
    if call.output not in calls:
        abort(400, "call: output must be one of the page's")
    outputs, *expected = calls[call.output]
    brought = [*call.inputs, *call.state]
    if call.outputs != outputs or [[one.id for one in part] for part in (call.inputs, call.state)] != expected:
        abort(400, "call: outputs, inputs and state must be those of its output")
    if {one.property for one in brought} != {"data"} or not set(call.changed) <= {f"{one.id}.data" for one in call.inputs}:
        abort(400, "call: it must bring the data of its inputs")
    for one in brought:
        value = _read(lambda one=one: _VALUES[one.id].validate_python(one.value), one.id)  # type: ignore[misc]
        if isinstance(value, _Asked) and {len(rows) for rows in value.fields[1:]} != {tasks}:
            abort(400, f"asked: fields must have a row for each of {tasks} tasks")


def _read(read: Callable[[], Any], what: str) -> Any:
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        abort(400, ".".join(map(str, (what, *first["loc"]))) + f": {first['msg']}")


def _line(text: str) -> str:
    return " ".join(text.split())
