"""Tasks that params.yaml declares stand beside the paper's: in the dictionary, in cards and keys, in every process."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from taskonomy.config.params import Params, checked
from taskonomy.config.task_config import read_task_config, task_config
from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import on_every_core
from taskonomy.tasks import DICTIONARY, family_of, title_of
from taskonomy.tasks.custom_tasks import OwnTask, declare, declare_also, own_name, own_tasks

PAPERS = frozenset(DICTIONARY)
TITLES = st.none() | st.text(st.characters(categories=("L", "N", "Zs"), include_characters="&'\""), min_size=1, max_size=80).filter(str.isprintable)
CLASSES = st.integers(2, 255) | st.lists(st.text("abc &", min_size=1, max_size=5), min_size=2, max_size=6, unique=True)
LOSSES = st.sampled_from(["l1", "l2"])
NUMBERS = st.floats(-1e6, 1e6)
DECLARATIONS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("map"), "channels": st.integers(1, 16)},
        optional={"loss": LOSSES, "title": TITLES, "range": st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] < pair[1])},
    ),
    st.fixed_dictionaries({"kind": st.just("pixel_classes"), "classes": CLASSES}, optional={"title": TITLES}),
    st.fixed_dictionaries(
        {"kind": st.just("vector"), "length": st.integers(1, 50)}, optional={"loss": LOSSES, "title": TITLES, "images": st.integers(1, 3)}
    ),
    st.fixed_dictionaries({"kind": st.just("class"), "classes": CLASSES}, optional={"title": TITLES, "images": st.integers(1, 3)}),
)


@pytest.fixture(autouse=True)
def _nothing_is_declared() -> Iterator[None]:
    yield
    declare({})


def params(own: Any, tasks: list[str] | None = None) -> Params:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"own": own, "tasks": tasks or ["normal", *own]}
    values["transfer"]["targets"] = ["normal"]
    return checked(Params, values, "params.yaml")


def declared(values: dict[str, Any]) -> Any:
    return TypeAdapter(OwnTask).validate_python(values)


@given(DECLARATIONS)
def test_a_declaration_becomes_an_entry_that_a_card_alone_gives_again(values: dict[str, Any]) -> None:
    declare({"mine": declared(values)})
    entry = DICTIONARY["mine"]
    assert entry.title == title_of("mine") == (values.get("title") or "mine")
    assert (entry.family, family_of("mine"), entry.roles) == ("other", "other", ("source", "target"))
    assert entry.images == values.get("images", 1)
    assert (entry.group is None) == (entry.images == 1)
    decides = json.loads(json.dumps(own_tasks()["mine"].decides()))
    declare({})
    assert "mine" not in DICTIONARY
    declare_also("mine", decides)
    again = DICTIONARY["mine"]
    assert (again.head, again.loss, again.images, again.group) == (entry.head, entry.loss, entry.images, entry.group)
    for part in ("shape", "dtype", "encode", "statistics", "options", "domains"):
        assert getattr(again.label, part) == getattr(entry.label, part)


def test_what_a_card_tells_takes_nothing_from_what_people_read() -> None:
    declare({"mine": declared({"kind": "class", "classes": ["a", "b"], "title": "Mine"})})
    declare_also("mine", {"kind": "class", "classes": 2})
    assert (title_of("mine"), DICTIONARY["mine"].classes) == ("Mine", ("a", "b"))
    declare_also("mine", {"kind": "class", "classes": 3})
    assert DICTIONARY["mine"].head.channels == 3


BASE: dict[str, Any] = {
    "depth": {"kind": "map", "channels": 1},
    "parts": {"kind": "pixel_classes", "classes": 4},
    "light": {"kind": "vector", "length": 3},
    "same": {"kind": "class", "classes": 2, "images": 2},
}


def cards(own: dict[str, Any]) -> dict[str, str]:
    """As the stage writes them, on one set of tasks; titles and names are known by then."""
    known = params(own, [*BASE, "normal"])
    return {name: json.dumps(task_config(DICTIONARY[name], known).as_json(), sort_keys=True) for name in known.data.tasks}


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("depth", {"channels": 2}), ("depth", {"range": [0, 1]}), ("depth", {"loss": "l2"}), ("depth", {"kind": "pixel_classes", "classes": 2}),
        ("parts", {"classes": 5}), ("light", {"length": 4}), ("light", {"loss": "l1"}), ("light", {"images": 2}), ("same", {"images": 3}),
        ("same", {"classes": 3}),
    ],
)  # fmt: skip
def test_a_changed_declaration_changes_its_own_card_alone(task: str, change: dict[str, Any]) -> None:
    before, changed = cards(BASE), {**BASE, task: change if "kind" in change else {**BASE[task], **change}}
    after = cards(changed)
    assert {name for name in before if before[name] != after[name]} == {task}


@pytest.mark.parametrize(("task", "change"), [("depth", {"title": "Depth"}), ("parts", {"classes": ["a", "b", "c", "d"]}), ("light", {"loss": "l2"})])
def test_what_no_network_sees_changes_no_card(task: str, change: dict[str, Any]) -> None:
    assert cards({**BASE, task: {**BASE[task], **change}}) == cards(BASE)


def test_cards_of_the_papers_tasks_know_nothing_of_it() -> None:
    assert "own" not in json.loads(cards(BASE)["normal"])


def test_a_process_that_has_read_no_parameters_knows_the_task_of_a_card(tmp_path: Any) -> None:
    (tmp_path / "depth.json").write_text(cards(BASE)["depth"])
    declare({})
    assert read_task_config(tmp_path / "depth.json").definition.head.channels == 1
    (tmp_path / "bad.json").write_text(json.dumps(json.loads(cards(BASE)["depth"]) | {"task": "../x"}))
    with pytest.raises(TaskonomyError, match=r"bad\.json: no readable configuration of a task \(a task's name begins with"):
        read_task_config(tmp_path / "bad.json")


def test_worker_processes_know_what_their_parent_knows() -> None:
    declare({"mine": declared({"kind": "vector", "length": 1, "title": "Mine"})})
    assert list(on_every_core(title_of, ["mine"], processes=2)) == [("mine", "Mine")]


def test_other_parameters_other_tasks() -> None:
    params(BASE)
    assert set(own_tasks()) == set(BASE)
    params({"mood": {"kind": "class", "classes": 3}})
    assert frozenset(DICTIONARY) - PAPERS == {"mood"}


@pytest.mark.parametrize("name", ["Depth", "2d", "a-b", "a/b", "..", "a b", "", "a>b", "é", "x" * 64, "normal", "self", "rgb", "images", "a\n"])
def test_names_that_would_be_paths_or_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(TaskonomyError, match=r"data\.own\.") as error:
        params({name: {"kind": "map", "channels": 1}})
    assert "\n" not in str(error.value).replace(name, "")
    with pytest.raises(ValueError, match=r"name|dictionary|meaning"):
        own_name(name)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "map", "channels": 1, "chanels": 2}, "mine.chanels is not a known key; known keys: title, kind, channels, range, loss"),
        ({"kind": "mop"}, "mine.kind must be one of map, pixel_classes, vector, class (is mop)"),
        ({"channels": 1}, "mine.kind must be one of map, pixel_classes, vector, class (is missing)"),
        ({"kind": "map"}, "mine.channels is missing"),
        ({"kind": "map", "channels": 0}, "mine.channels must be greater than or equal to 1 (is 0)"),
        ({"kind": "map", "channels": 1, "range": [1, 0]}, "mine.range: must be [lowest, highest] (is [1, 0])"),
        ({"kind": "map", "channels": 1, "loss": "l3"}, "mine.loss must be 'l1' or 'l2' (is 'l3')"),
        ({"kind": "class", "classes": 1}, "mine.classes: must be a number from 2 to 255, or a list of as many names (is 1)"),
        ({"kind": "class", "classes": 256}, "mine.classes: must be a number from 2 to 255, or a list of as many names (is 256)"),
        ({"kind": "class", "classes": True}, "mine.classes: must be a number from 2 to 255, or a list of as many names (is True)"),
        ({"kind": "class", "classes": ["a", "b", "a"]}, "mine.classes: names a twice"),
        ({"kind": "class", "classes": ["no", False]}, "mine.classes: names must be text, in quotes where YAML sees something else (are also False)"),
        ({"kind": "class", "classes": ["a", "<b>"]}, "mine.classes: names must be a line of 1 to 80 characters without < and > (is '<b>')"),
        ({"kind": "class", "classes": 2, "images": 4}, "mine.images must be less than or equal to 3 (is 4)"),
        ({"kind": "vector", "length": 2, "title": "a\nb"}, "mine.title: must be a line of 1 to 80 characters without < and > (is 'a\\nb')"),
        ("map", "mine must be a valid dictionary or object to extract fields from (is 'map')"),
    ],
)  # fmt: skip
def test_a_declaration_that_is_none_is_one_line_that_names_the_key(values: Any, said: str) -> None:
    with pytest.raises(TaskonomyError) as error:
        params({"mine": values}, ["mine", "normal"])
    assert str(error.value) == f"params.yaml: data.own.{said}"


def test_options_of_labels_are_the_papers() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"own": BASE, "labels": {"depth": {"limit": 0.5}}}
    with pytest.raises(TaskonomyError, match=r"data: labels names depth: declared by data.own, which says all there is"):
        checked(Params, values, "params.yaml")
