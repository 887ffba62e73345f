"""Generate the reference pages `docs/cli.md` and `docs/params.md` from the commands and from the schema of the parameters.

`python -m taskonomy.cli.reference_pages` writes both.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from taskonomy.atomic_io import write_text
from taskonomy.cli.main import app
from taskonomy.config.params_schema import params_schema

_GENERATED = "<!-- Written by `python -m taskonomy.cli.reference_pages`; do not edit. -->"

_INTRODUCTION = """Every key of `params.yaml`, with the values it takes. The default is what holds where the key is missing. Editors that read
`params.schema.json` show the same."""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return [*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows), ""]


def cli_page() -> str:
    """Return the page of the command line: each command with its arguments and options."""
    root = typer.main.get_command(app)
    parts = ["# Command line", "", _GENERATED, "", root.help or "", ""]
    parts += ["`taskonomy COMMAND --help` prints the same. Errors are one line on standard error, with exit status 1.", ""]
    for words, command in _commands(root, ("taskonomy",)):
        parts += _command_section(words, command)
    return "\n".join(parts).rstrip() + "\n"


def _commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


def _command_section(words: tuple[str, ...], command: Any) -> list[str]:
    context = command.make_context(" ".join(words), [], resilient_parsing=True)
    lines = [f"## `{' '.join(words)}`", "", _plain(command.help), "", f"Usage: `{' '.join((*words, *command.collect_usage_pieces(context)))}`", ""]
    records = [one.get_help_record(context) for one in command.params if one.name != "help"]
    rows = [(f"`{name}`", meaning) for name, meaning in filter(None, records)]
    return lines + (_table(("argument or option", "meaning"), rows) if rows else [])


def _plain(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def params_page() -> str:
    """Return the page of the parameters: every key of `params.yaml` with its values, default and meaning."""
    schema = params_schema()
    parts = ["# Parameters", "", _GENERATED, "", _INTRODUCTION, ""]
    for name, section in schema["properties"].items():
        parts += [f"## `{name}`", "", _plain(section.get("description")), ""]
        rows = list(_key_rows(name, _resolved(section, schema), schema))
        parts += _table(("key", "value", "default", "meaning"), rows) if rows else []
    parts += ["## Tasks under `data.own`", "", "One table for each `kind`.", ""]
    for kind, one in sorted(_kinds(schema).items()):
        parts += [f"### `kind: {kind}`", "", _plain(one.get("description")), ""]
        parts += _table(("key", "value", "default", "meaning"), list(_key_rows("", one, schema)))
    return "\n".join(parts).rstrip() + "\n"


def _kinds(schema: dict[str, Any]) -> dict[str, Any]:
    (own,) = schema["$defs"]["DataParams"]["properties"]["own"]["patternProperties"].values()
    return {kind: _resolved({"$ref": reference}, schema) for kind, reference in own["discriminator"]["mapping"].items()}


def _resolved(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else value


def _is_section(value: dict[str, Any]) -> bool:
    return value.get("type") == "object" and value.get("additionalProperties") is False and "properties" in value


def _key_rows(place: str, section: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each key of a section, and of the sections inside it."""
    for name, key in section.get("properties", {}).items():
        where, found = f"{place}.{name}" if place else name, _resolved(key, schema)
        by_task = "normal" in found.get("properties", {})
        below = _is_section(found) and not by_task
        missing = "required" if name in section.get("required", ()) else ""
        default = f"`{_yaml(key['default'])}`" if "default" in key else missing
        yield f"`{where}`", "section" if below else _values(key, schema), "" if below else default, key.get("description", "")
        if below:
            yield from _key_rows(where, found, schema)


def _yaml(value: object) -> str:
    """Return a value as YAML in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_yaml, value)) + "]" if isinstance(value, list) else str(value)


def _values(key: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in words what a key may hold."""
    if key.get("$ref", "").endswith("/TaskName"):
        return "task"
    found = _resolved(key, schema)
    if either := found.get("anyOf") or found.get("oneOf"):
        return " or ".join(dict.fromkeys(_values(one, schema) for one in either))
    if "enum" in found or "const" in found:
        return ", ".join(f"`{_yaml(one)}`" for one in found.get("enum", [found.get("const")]))
    of_type: dict[str | None, Callable[[], str]] = {
        "array": lambda: "list" + (f" of: {_values(found['items'], schema)}" if found.get("items") else ""),
        "object": lambda: "mapping",
        "integer": lambda: "whole number" + _bounds(found),
        "number": lambda: "number" + _bounds(found),
        "string": lambda: "text",
        "boolean": lambda: "`true`, `false`",
        "null": lambda: "`null`",
    }
    return of_type[found.get("type")]()


def _bounds(value: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {value[name]:,g}" for name, sign in signs.items() if name in value]
    return " " + ", ".join(found) if found else ""


PAGES: dict[str, Callable[[], str]] = {"docs/cli.md": cli_page, "docs/params.md": params_page}

if __name__ == "__main__":
    for path, page in PAGES.items():
        write_text(Path(path), page())
