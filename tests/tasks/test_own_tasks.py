"""Tasks that params.yaml declares stand beside the paper's: in its registry, in cards and keys, in every process; and nowhere else."""

import json
import multiprocessing
import pickle
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from taskonomy.config.checked import checked
from taskonomy.config.params import Params
from taskonomy.config.task_config import read_task_config, task_config
from taskonomy.errors import TaskonomyError
from taskonomy.labels.mirror import Mirroring
from taskonomy.machine.cores import on_every_core
from taskonomy.tasks import BUILT_IN, FAMILIES, Registry
from taskonomy.tasks.custom_tasks import AnyCustomTask, custom_name
from taskonomy.tasks.dictionary import ENTRIES

TITLES = st.none() | st.text(st.characters(categories=("L", "N", "Zs"), include_characters="&'\""), min_size=1, max_size=80).filter(str.isprintable)
CLASSES = st.integers(2, 255) | st.lists(st.text("abc &", min_size=1, max_size=5), min_size=2, max_size=6, unique=True)
LOSSES = st.sampled_from(["l1", "l2"])
NUMBERS = st.floats(-1e6, 1e6)
DECLARATIONS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("map"), "channels": st.integers(1, 16)},
        optional={
            "loss": LOSSES,
            "title": TITLES,
            "range": st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] < pair[1]),
            "mirror": st.booleans(),
            "missing": st.none() | NUMBERS | st.sampled_from(["nan", float("nan")]),
            "files": st.just("there/{name}_x.png"),
        },
    ),
    st.fixed_dictionaries({"kind": st.just("pixel_classes"), "classes": CLASSES}, optional={"title": TITLES, "files": st.just("coco.json")}),
    st.fixed_dictionaries({"kind": st.just("labels"), "classes": CLASSES}, optional={"title": TITLES, "mirror": st.booleans()}),
    st.fixed_dictionaries(
        {"kind": st.just("vector"), "length": st.integers(1, 50)},
        optional={"loss": LOSSES, "title": TITLES, "images": st.integers(1, 3), "mirror": st.sampled_from([False, "keep"])},
    ),
    st.fixed_dictionaries({"kind": st.just("class"), "classes": CLASSES}, optional={"title": TITLES, "images": st.integers(1, 3)}),
)


def params(own: Any, tasks: list[str] | None = None) -> Params:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"own": own, "tasks": tasks or ["normal", *own]}
    values["transfer"]["targets"] = ["normal"]
    return checked(Params, values, "params.yaml")


def declared(values: dict[str, Any]) -> Any:
    return TypeAdapter(AnyCustomTask).validate_python(values)


@given(DECLARATIONS)
def test_a_declaration_becomes_an_entry_that_a_card_alone_gives_again(values: dict[str, Any]) -> None:
    registry = BUILT_IN.with_custom({"mine": declared(values)})
    entry = registry["mine"]
    assert entry.title == registry.title("mine") == (values.get("title") or "mine")
    assert (entry.family, registry.family("mine"), entry.roles) == ("other", "other", ("source", "target"))
    assert not registry.labels_itself("mine")
    assert entry.images == values.get("images", 1)
    assert (entry.group is None) == (entry.images == 1)
    decides = json.loads(json.dumps(registry.custom["mine"].decides()))
    again = declared(decides).entry("mine")
    assert (again.head, again.loss, again.images, again.group) == (entry.head, entry.loss, entry.images, entry.group)
    for part in ("shape", "dtype", "encode", "statistics", "options", "domains", "mirror", "mask"):
        assert getattr(again.label, part) == getattr(entry.label, part)


@given(DECLARATIONS)
def test_a_registry_is_the_same_after_pickling(values: dict[str, Any]) -> None:
    registry = BUILT_IN.with_custom({"mine": declared(values)})
    again = pickle.loads(pickle.dumps(registry))
    assert again == registry
    assert hash(again) == hash(registry)
    assert list(again) == list(registry) == [*BUILT_IN, "mine"]
    assert (again.title("mine"), again["mine"].classes) == (registry.title("mine"), registry["mine"].classes)
    assert again != BUILT_IN


def test_the_built_in_registry_has_every_entry_and_nothing_else() -> None:
    assert list(BUILT_IN.items()) == [(task.name, task) for task in ENTRIES]
    assert {BUILT_IN.family(name) for name in BUILT_IN} == set(FAMILIES) - {"other"}
    assert (BUILT_IN.title("mine"), BUILT_IN.family("mine"), BUILT_IN.labels_itself("mine")) == ("mine", "other", False)
    assert {name for name in BUILT_IN if BUILT_IN.labels_itself(name)} == {task.name for task in ENTRIES if task.family in ("2D", "self-supervised")}


def test_a_registry_does_not_change() -> None:
    given, more = {"mine": declared({"kind": "vector", "length": 1})}, {"other": declared({"kind": "vector", "length": 2})}
    registry = BUILT_IN.with_custom(given)
    given |= more
    wider = registry.with_custom(more)
    assert set(registry) - set(BUILT_IN) == {"mine"}
    assert set(wider) - set(BUILT_IN) == {"mine", "other"}
    for act in (
        lambda: setattr(registry, "custom", more),
        lambda: registry.custom.update(more),
        lambda: registry.__setitem__("other", wider["other"]),
        lambda: registry._tasks.__setitem__("other", wider["other"]),
        lambda: registry.custom.__setitem__("other", more["other"]),
    ):
        with pytest.raises(AttributeError):
            act()


@pytest.mark.parametrize("name", ["normal", "random", "../mine"])
def test_no_custom_task_takes_the_place_of_another(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|dictionary|meaning"):
        BUILT_IN.with_custom({name: declared({"kind": "vector", "length": 1})})


BASE: dict[str, Any] = {
    "depth": {"kind": "map", "channels": 1},
    "parts": {"kind": "pixel_classes", "classes": 4},
    "light": {"kind": "vector", "length": 3},
    "same": {"kind": "class", "classes": 2, "images": 2},
}


def cards(own: dict[str, Any]) -> dict[str, str]:
    """As the stage writes them, on one set of tasks; titles and names are known by then."""
    known = params(own, [*BASE, "normal"])
    return {name: json.dumps(task_config(known.registry[name], known).as_json(), sort_keys=True) for name in known.data.tasks}


@pytest.mark.parametrize(
    ("task", "change"),
    [
        ("depth", {"channels": 2}), ("depth", {"range": [0, 1]}), ("depth", {"loss": "l2"}), ("depth", {"kind": "pixel_classes", "classes": 2}),
        ("parts", {"classes": 5}), ("light", {"length": 4}), ("light", {"loss": "l1"}), ("light", {"images": 2}), ("same", {"images": 3}),
        ("same", {"classes": 3}), ("depth", {"mirror": False}), ("depth", {"mirror": [-1]}), ("light", {"mirror": "keep"}),
        ("light", {"mirror": [-1, 1, 1]}), ("parts", {"mirror": False}), ("same", {"mirror": False}),
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


def test_a_card_alone_tells_what_its_task_is(tmp_path: Any) -> None:
    (tmp_path / "depth.json").write_text(cards({**BASE, "depth": {**BASE["depth"], "title": "Depth"}})["depth"])
    task, whole = read_task_config(tmp_path / "depth.json").definition, params(BASE).registry["depth"]
    assert (task.name, task.head, task.loss, task.images) == ("depth", whole.head, whole.loss, whole.images)
    (tmp_path / "normal.json").write_text(cards(BASE)["normal"])
    assert read_task_config(tmp_path / "normal.json").definition == BUILT_IN["normal"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"task": "../x"}, r"bad\.json: no readable configuration of a task \(a task's name begins with"),
        ({"task": "normal"}, r"bad\.json: no readable configuration of a task \(is a task of the dictionary"),
        ({"own": {"kind": "map"}}, r"bad\.json: no configuration of a task \(own\.map\.channels: "),
        ({"own": None}, r"bad\.json: no readable configuration of a task \(depth is no task of the dictionary\)"),
    ],
)
def test_a_card_of_no_task_is_refused_in_one_line(values: dict[str, Any], said: str, tmp_path: Any) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(json.loads(cards(BASE)["depth"]) | values))
    with pytest.raises(TaskonomyError, match=said) as error:
        read_task_config(tmp_path / "bad.json")
    assert "\n" not in str(error.value)


NORMALS = {"kind": "map", "channels": 3}
LIGHT = {"kind": "vector", "length": 3}


@pytest.mark.parametrize(
    ("values", "mirror"),
    [
        (NORMALS, Mirroring(flips=True)),
        (NORMALS | {"mirror": False}, None),
        (NORMALS | {"mirror": [-1, 1, 1]}, Mirroring(flips=True, signs=(-1, 1, 1))),
        (LIGHT, None),  # whether its numbers change is not known
        (LIGHT | {"images": 2}, None),
        (LIGHT | {"mirror": "keep"}, Mirroring()),
        (LIGHT | {"mirror": [-1, 1, 1]}, Mirroring(signs=(-1, 1, 1))),
        (BASE["parts"], Mirroring(flips=True)),
        (BASE["parts"] | {"mirror": False}, None),
        (BASE["same"], Mirroring()),
        (BASE["same"] | {"mirror": False}, None),
    ],
)
def test_images_of_a_custom_task_are_mirrored_only_where_it_is_known_how_its_label_turns(values: dict[str, Any], mirror: Mirroring | None) -> None:
    label = declared(values).entry("mine").label
    assert label is not None
    assert label.mirror == mirror


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (NORMALS | {"mirror": [-1, 1]}, r"data\.own\.mine\.mirror: must be true, false, or a list of signs, 1 or -1, one for each of 3 channels"),
        (NORMALS | {"mirror": "keep"}, r"own\.mine\.mirror: must be true, false, or .*\(is 'keep'\)"),
        (LIGHT | {"mirror": True}, r"own\.mine\.mirror: must be false, keep, or a list of signs, 1 or -1, one for each of 3 numbers \(is True\)"),
        (LIGHT | {"mirror": [-1, 1, 0]}, r"own\.mine\.mirror: must be false, keep, or"),
        (LIGHT | {"mirror": [-1, 1, True]}, r"own\.mine\.mirror: must be false, keep, or"),
        (LIGHT | {"mirror": [1, 1, 1, 1]}, r"own\.mine\.mirror: must be false, keep, or"),
        (LIGHT | {"mirror": 0}, r"own\.mine\.mirror: must be false, keep, or"),
        (BASE["same"] | {"mirror": "keep"}, r"own\.mine\.mirror must be a valid boolean"),
    ],
)
def test_a_mirror_that_does_not_fit_its_label_is_refused_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskonomyError, match=said) as error:
        params({"mine": values})
    assert "\n" not in str(error.value)


def title_and_channels(item: tuple[Registry, str]) -> tuple[str, int]:
    registry, name = item
    head = registry[name].head
    assert head is not None
    return registry.title(name), head.channels


def test_a_worker_process_knows_the_tasks_of_its_item_and_no_others() -> None:
    """Both registries have a task of the same name, and it is another one in each; with two processes each item is worked on in either."""
    one, other = (BUILT_IN.with_custom({"mine": declared({"kind": "vector", "length": size, "title": f"Of {size}"})}) for size in (3, 5))
    items = [(one, "mine"), (other, "mine")] * 4
    found = list(on_every_core(title_and_channels, items, processes=2, long=True))
    assert {(registry == one, made) for (registry, _name), made in found} == {(True, ("Of 3", 3)), (False, ("Of 5", 5))}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(title_and_channels, items[:2]) == [("Of 3", 3), ("Of 5", 5)]


def test_two_parameter_files_do_not_see_each_others_tasks() -> None:
    first, second = params(BASE), params({"mood": {"kind": "class", "classes": 3}, "depth": {"kind": "map", "channels": 2}})
    assert set(first.registry) - set(BUILT_IN) == set(BASE)
    assert set(second.registry) - set(BUILT_IN) == {"mood", "depth"}
    assert (first.registry["depth"].head.channels, second.registry["depth"].head.channels) == (1, 2)  # type: ignore[union-attr]
    with pytest.raises(TaskonomyError, match=r"data: tasks: unknown 'mood'"):
        params(BASE, [*BASE, "normal", "mood"])


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("train", "tasks", {"mood": {"epochs": 3}}, "train: tasks: unknown 'mood'"),
        ("transfer", "targets", ["normal", "mood"], "transfer: targets: unknown 'mood'"),
        ("transfer", "variants", ["normal>mood"], "transfer.variants: normal>mood: unknown 'mood'"),
        ("samples", "targets", ["mood"], "samples.targets: unknown 'mood'"),
        ("query", "tasks", {"mood": {"root": "photographs"}}, "query.tasks: mood is no task of the dictionary; say what its labels are"),
    ],
)
def test_a_section_may_name_custom_tasks_that_its_own_file_declares(section: str, key: str, value: Any, said: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    mood = {"mood": {"kind": "class", "classes": 3}}
    values["data"] |= {"own": mood, "tasks": [*values["data"]["tasks"], "mood"]}
    values.setdefault(section, {})[key] = value
    checked(Params, values, "params.yaml")
    values["data"] |= {"own": {}, "tasks": [name for name in values["data"]["tasks"] if name != "mood"]}
    with pytest.raises(TaskonomyError) as error:
        checked(Params, values, "params.yaml")
    assert str(error.value).startswith(f"params.yaml: {said}")


def test_while_the_data_section_is_wrong_nobody_else_is_blamed_for_its_tasks() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] |= {"own": {"mood": {"kind": "class"}}, "tasks": ["normal", "mood"]}
    values["transfer"]["targets"] = ["mood"]
    values["normalize"]["resamples"] = -1
    with pytest.raises(TaskonomyError) as error:
        checked(Params, values, "params.yaml")
    assert str(error.value) == "params.yaml: data.own.mood.classes is missing; normalize.resamples must be greater than or equal to 0 (is -1)"


@pytest.mark.parametrize("name", ["Depth", "2d", "a-b", "a/b", "..", "a b", "", "a>b", "é", "x" * 64, "normal", "self", "rgb", "images", "a\n"])
def test_names_that_would_be_paths_or_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(TaskonomyError, match=r"data\.own\.") as error:
        params({name: {"kind": "map", "channels": 1}})
    assert "\n" not in str(error.value).replace(name, "")
    with pytest.raises(ValueError, match=r"name|dictionary|meaning"):
        custom_name(name)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"kind": "map", "channels": 1, "chanels": 2},
            "mine.chanels is not a known key; known keys: title, files, kind, channels, range, loss, missing, mirror",
        ),
        ({"kind": "mop"}, "mine.kind must be one of map, pixel_classes, vector, class, labels (is mop)"),
        ({"channels": 1}, "mine.kind must be one of map, pixel_classes, vector, class, labels (is missing)"),
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
