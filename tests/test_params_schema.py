"""params.schema.json, the comments of params.yaml and the typed parameters say the same."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from conftest import ROOT
from pydantic import BaseModel

from taskonomy.config.params import Params
from taskonomy.config.params_schema import MODELINE, SCHEMA, params_schema, schema_text
from taskonomy.config.profiles import overlaid
from taskonomy.tasks import BUILT_IN
from taskonomy.tasks.custom_tasks import KINDS

TEMPLATE = ROOT / "src/taskonomy/project/template/params.yaml"
FILES = {"params.yaml": ROOT / "params.yaml", "template": TEMPLATE}
PROFILES = sorted(path for path in (ROOT / "profiles").rglob("*.yaml") if "references" not in path.parts)
Place = tuple[str, ...]


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def comments(path: Path) -> dict[Place, str | None]:
    """The comment directly above each key that begins a line, None where there is none."""
    found: dict[Place, str | None] = {}
    above: list[str] = []
    around: list[tuple[int, str]] = []
    for line in path.read_text().splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.lstrip().removeprefix("#"))
            continue
        if key := re.match(r"( *)(\w+):(?: |$)", line):
            around = [(indent, name) for indent, name in around if indent < len(key[1])] + [(len(key[1]), key[2])]
            found[tuple(name for _, name in around)] = in_one_line(" ".join(above)) or None
        above = []
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from models(one)


def sections(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for one in models(field.annotation):
                sections(one, seen)
    return seen


def descriptions(model: type[BaseModel], place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Of keys with a fixed place; below names of tasks there are none."""
    for name, field in model.model_fields.items():
        yield (*place, name), in_one_line(field.description or "")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from descriptions(field.annotation, (*place, name))


def text_keys(values: dict[str, Any], place: Place = ()) -> Iterator[Place]:
    for name, value in values.items():
        yield (*place, name)
        if isinstance(value, dict):
            yield from text_keys(value, (*place, name))


def problems(values: Any) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in jsonschema.Draft202012Validator(params_schema()).iter_errors(values)]


def test_every_key_of_every_section_is_described_in_sentences() -> None:
    every = sections(Params, set())
    assert {*KINDS.values()} < every
    texts = {f"{model.__name__}.{name}": field.description or "" for model in every for name, field in model.model_fields.items()}
    assert [place for place, text in texts.items() if not re.fullmatch(r"[A-Za-z0-9].*\.", in_one_line(text))] == []


@pytest.mark.parametrize("name", FILES)
def test_the_comment_above_a_key_is_its_description(name: str) -> None:
    described = dict(descriptions(Params))
    found = comments(FILES[name])
    assert found.keys() <= set(text_keys(yaml.safe_load(FILES[name].read_text())))
    assert {place: text for place, text in found.items() if place in described} == {place: described[place] for place in found if place in described}


@pytest.mark.parametrize("name", FILES)
def test_every_key_has_a_comment_or_stands_in_one_line_with_others_that_have(name: str) -> None:
    described, found = dict(descriptions(Params)), comments(FILES[name])
    for place in text_keys(yaml.safe_load(FILES[name].read_text())):
        if place in described:
            assert any(found.get(place[:depth]) for depth in range(2, len(place) + 1)) or found[place], place


def test_the_schema_is_that_of_the_code() -> None:
    """`python -m taskonomy.config.params_schema` writes it anew."""
    assert (ROOT / SCHEMA).read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(params_schema())


@pytest.mark.parametrize("name", FILES)
def test_the_first_line_names_the_schema_beside_the_file(name: str) -> None:
    assert FILES[name].read_text().splitlines()[0] == MODELINE


@pytest.mark.parametrize("name", FILES)
def test_the_files_that_people_edit_are_valid(name: str) -> None:
    assert problems(yaml.safe_load(FILES[name].read_text())) == []


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_params_yaml_is_valid_under_every_profile(path: Path) -> None:
    values = overlaid(yaml.safe_load((ROOT / "params.yaml").read_text()), yaml.safe_load(path.read_text()))
    Params.model_validate(values)
    assert problems(values) == []


WRONG = [
    ("policy.budgte", 3),
    ("policy.budget", -1),
    ("policy.budget", 1e13),
    ("policy.self_edge", "golden"),
    ("policy.cost", {"normal": -1}),
    ("policy.roles", {"jigsaw": "sauce"}),
    ("policy.labels", {"currency": "US DOLLARS 7"}),
    ("policy.labels", {"tasks": {"normal": {"full": 0}}}),
    ("world.resolution", 100),
    ("world.splits", {"train": 1.0, "val": 0.1, "test": 0.1}),
    ("train.tasks", {"normal": {"epoch": 3}}),
    ("train.decoder.last", 2),
    ("train.decoder.shuffle", 3),
    ("train.encoder.stride", 5),
    ("transfer.beam", 0),
    ("transfer.beam", "papers"),
    ("transfer.variants", ["normal"]),
    ("transfer.targets", []),
    ("savings.quality_levels", [1.2]),
    ("query.tasks", {"normal": {}}),
    ("execution.device", "gpu"),
    ("execution.address", "ray://head:10001"),
    ("execution.kinds", {"network": {"gpu": 1}}),
    ("data.own", {"mood": {"kind": "sound", "classes": 3}}),
    ("data.own", {"mood": {"kind": "class"}}),
    ("data.own", {"mood": {"kind": "class", "classes": 1}}),
    ("data.own", {"mood": {"kind": "class", "classes": ["one"]}}),
    ("data.own", {"mood": {"kind": "class", "classes": 3, "title": "a < b"}}),
    ("data.own", {"mood": {"kind": "map", "channels": 17}}),
    ("data.own", {"Mood": {"kind": "map", "channels": 1}}),
    ("data.labels", {"edge_occlusion": {"blur": 0}}),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_what_the_schema_refuses_the_code_refuses(key: str, value: object) -> None:
    values = copy.deepcopy(yaml.safe_load((ROOT / "params.yaml").read_text()))
    *around, last = key.split(".")
    section = values
    for name in around:
        section = section[name]
    section[last] = value
    assert [one for one in problems(values) if one.startswith(f"$.{key.split('.')[0]}")]
    with pytest.raises(ValueError, match="validation error"):
        Params.model_validate(values)


RIGHT = [
    ("policy", "labels", {"currency": "EUR", "price": 0.05, "tasks": {"normal": {"price": 0.12}, "class_scene": {"full": 20000, "transfer": 3000}}}),
    ("policy", "cost", {"no_task_of_the_dictionary": 3, "normal": 0}),
    ("policy", "exclude", ["mine"]),
    ("transfer", "variants", ["normal>reshading", "normal@0.02", "normal@.1", "reshading@1"]),
    ("transfer", "beam", 3),
    ("transfer", "screen", {"keep": 12}),
    ("transfer", "screen", {"keep": 3, "sets": 1, "reliability": 0.5}),
    ("train", "tasks", None),
    ("execution", "device", "cuda:3"),
    ("execution", "address", "head:6379"),
    ("query", "tasks", {"normal": {"root": "data/world"}, "mood": {"root": "data/mood", "own": {"kind": "class", "classes": 3}}}),
    ("data", "own", {"depth": {"kind": "map", "channels": 1, "range": [0, 65535]}, "soil": {"kind": "pixel_classes", "classes": ["a", "b"]}}),
    ("data", "own", {"age": {"kind": "vector", "length": 2, "images": 2}, "mood": {"kind": "class", "classes": 255, "title": "Mood"}}),
]


@pytest.mark.parametrize(("section", "key", "value"), RIGHT)
def test_what_the_code_takes_the_schema_takes(section: str, key: str, value: object) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values[section][key] = value
    Params.model_validate(values)
    assert problems(values) == []


def test_bounds_are_written_in_words_of_the_standard() -> None:
    """A word that is none, such as pydantic's `ge`, checks nothing."""
    words = set(jsonschema.Draft202012Validator.VALIDATORS) | {"$schema", "$defs", "title", "description", "default", "discriminator"}

    def unknown(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.keys() - words
            for key in schema.keys() & {"properties", "patternProperties", "$defs"}:
                for one in schema[key].values():
                    yield from unknown(one)
            for key in schema.keys() & {"items", "additionalProperties", "propertyNames", "not"}:
                yield from unknown(schema[key])
            for key in schema.keys() & {"anyOf", "oneOf", "allOf", "prefixItems"}:
                for one in schema[key]:
                    yield from unknown(one)

    assert list(unknown(params_schema())) == []


def test_editors_offer_the_tasks_of_the_dictionary_with_their_titles() -> None:
    definitions = params_schema()["$defs"]
    costs = definitions["PolicyParams"]["properties"]["cost"]["properties"]
    assert {name: one["description"] for name, one in costs.items()} == {name: f"{task.title}." for name, task in BUILT_IN.items()}
    assert definitions["DataParams"]["properties"]["tasks"]["items"] == {"$ref": "#/$defs/TaskName"}
    assert set(definitions["TaskName"]["anyOf"][0]["enum"]) == set(BUILT_IN)


def test_defaults_and_descriptions_stand_in_the_schema() -> None:
    written = json.loads(schema_text())
    for name, model in ((one.__name__, one) for one in sections(Params, set())):
        properties = (written if model is Params else written["$defs"][name])["properties"]
        assert properties.keys() == model.model_fields.keys()
        for key, field in model.model_fields.items():
            assert properties[key]["description"] == in_one_line(field.description or ""), (name, key)
            assert ("default" in properties[key]) == (not field.is_required() and field.default_factory is None), (name, key)


def test_comments_are_read_as_people_read_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "# About the file.\n\na:\n  # One,\n  #   two.\n  b: 1  # beside\n  c: {d: 2}\n  e:\n    - 1\n  # Last.\n  f:\n    {g: 1}\n"
    )
    found = comments(tmp_path / "p.yaml")
    assert found == {("a",): None, ("a", "b"): "One, two.", ("a", "c"): None, ("a", "e"): None, ("a", "f"): "Last."}
