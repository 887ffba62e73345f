"""JSON schema of `params.yaml`, made of the typed parameters: with it, editors complete, explain and check each key.

`python -m taskonomy.config.params_schema` writes it anew; `taskonomy init` lays it down beside the parameters.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from taskonomy.atomic_io import write_text
from taskonomy.config.checked import TASK_NAME
from taskonomy.config.params import Params
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.custom_tasks import KINDS

SCHEMA = "params.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA}"  # first line of params.yaml, by which editors find the schema


class _OfParams(GenerateJsonSchema):
    """As pydantic's, with tasks of the dictionary where names of tasks stand."""

    def dict_schema(self, schema: core_schema.DictSchema) -> dict[str, Any]:
        """Return a mapping's schema; of one by task, with the dictionary's tasks as keys that editors know."""
        found = super().dict_schema(schema)
        if "patternProperties" in found:
            found["additionalProperties"] = False
        if found.get("propertyNames", {}).get("format") == TASK_NAME:
            del found["propertyNames"]
            found["properties"] = {name: {**found["additionalProperties"], "description": f"{task.title}."} for name, task in BUILT_IN.items()}
        return found


def params_schema() -> dict[str, Any]:
    """Return the schema: bounds, choices, defaults, and what each key means."""
    found = _in_lines(Params.model_json_schema(schema_generator=_OfParams))
    _describe_keys_alone(found)
    found["$defs"]["TaskName"] = {"anyOf": [{"enum": list(BUILT_IN)}, {"type": "string"}]}
    return {"$schema": GenerateJsonSchema.schema_dialect, **found}


def _describe_keys_alone(schema: dict[str, Any]) -> None:
    """Take the types' texts out, but for the kinds of custom tasks: editors would show them in the place of a key's own.

    Pydantic leaves a key's text out where it is that of its type.
    """
    types, kinds = schema["$defs"], {one.__name__ for one in KINDS.values()}
    texts = {f"#/$defs/{name}": one.get("description") for name, one in types.items()}
    for section in (schema, *types.values()):
        for key in section.get("properties", {}).values():
            if "$ref" in key:
                key.setdefault("description", texts[key["$ref"]])
    for name in types.keys() - kinds:
        types[name].pop("description", None)


def schema_text() -> str:
    """Return the schema as it is written to a file."""
    return json.dumps(params_schema(), indent=1, ensure_ascii=False) + "\n"


def _in_lines(value: Any) -> Any:
    """Texts in one line each, without the titles that pydantic makes of names; names of tasks, with those of the dictionary to choose from."""
    if isinstance(value, list):
        return [_in_lines(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: " ".join(one.split()) if key == "description" and isinstance(one, str) else _in_lines(one) for key, one in value.items()}
    if isinstance(found.get("title"), str):
        del found["title"]
    if found.get("format") == TASK_NAME:
        return {"$ref": "#/$defs/TaskName"}
    return found


if __name__ == "__main__":
    write_text(Path(SCHEMA), schema_text())
