"""What stages and units of work say that they depend on are the folders of what they import, less one list of exceptions, each with its reason."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from imports import PACKAGE, closure, does_nothing, in_package

from taskonomy.project.pipeline import own_pipeline
from taskonomy.store.unit_keys import UNIT_CODE
from taskonomy.tasks import BUILT_IN

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PROJECT = yaml.safe_load(own_pipeline((ROOT / "dvc.yaml").read_text()))["stages"]
OF_CARDS = "train transfer variants amounts noise"

# Folders and modules that decide no bits, in stages and in units of work -> why.
NO_BITS = {
    "errors.py": "messages of runs that fail",
    "atomic_io.py": "how a file is put in its place; the values in it are its caller's",
    "stage/*": "guards a stage; decides whether there is a result, not which",
    "machine/*": "who computes; the bits do not depend on it, as the tests of each stage hold",
    "compute/*": "on which machine units are computed",
    "store/*": "where finished units lie; their keys hold what decides them, and another key is another unit",
    **dict.fromkeys(
        (
            "config/params.py",
            "config/checked.py",
            "config/data_params.py",
            "config/encoder_params.py",
            "config/network_params.py",
            "config/policy_params.py",
            "config/execution_params.py",
        ),
        "a stage depends on keys of params.yaml, all of which stand there: test_params_yaml_states_every_key; a unit on values",
    ),
}
# (stages, who imports, what is imported; by patterns) -> why the stage does not depend on it.
EXCEPTIONS = {
    **{("*", "*", what): why for what, why in NO_BITS.items()},
    (OF_CARDS, "*", "tasks/*"): "what decides a task's network stands in its card, a dependency; what encodes labels is in labels/",
    (f"{OF_CARDS} chosen samples export", "*", "config/task_config.py"): "reads cards, which are dependencies",
    ("facts normalize", "dataset/*", "tasks/*"): "which views there are, and of which building; no task's entry is read",
    ("train", "transfers/*", "affinity/*"): "write_transfers, for the stage transfer",
    ("train", "transfers/*", "tables/*"): "as affinity",
    ("query", "report/*", "evaluation/*"): "embedded_json and colours alone",
    ("query", "report/*", "policy/*"): "as evaluation",
    ("query", "report/*", "advice/*"): "as evaluation",
}


def cut_by(stage: str, importer: str, imported: str) -> Iterator[tuple[str, str, str]]:
    for stages, by, what in EXCEPTIONS:
        if (stages == "*" or stage in stages.split()) and fnmatch(importer, by) and fnmatch(imported, what):
            yield (stages, by, what)


def imports(stage: str) -> set[str]:
    return closure(ROOT / f"stages/{stage}.py", cut=lambda importer, imported: any(cut_by(stage, importer, imported)))


def code(stage: str) -> list[str]:
    """The dependencies of a stage that are code of the package."""
    deps = STAGES[stage].get("do", STAGES[stage])["deps"]
    return [dep.removeprefix("src/taskonomy/") for dep in deps if dep.startswith("src/")]


def folders(modules: set[str]) -> set[str]:
    """The folders of modules, right below the package; a module that lies in none is itself."""
    return {name.partition("/")[0] for name in modules}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_folders_of_what_it_imports_and_on_no_other_code(stage: str) -> None:
    assert f"stages/{stage}.py" in STAGES[stage].get("do", STAGES[stage])["deps"]
    assert code(stage) == sorted(folders(imports(stage)))


@pytest.mark.parametrize(
    ("folder", "spared"),
    [
        ("tasks", "world train transfer variants amounts facts normalize"),
        ("policy", "world prepare cards train transfer variants amounts samples facts normalize noise agreement query"),
        (
            "report",
            "world prepare cards train transfer variants chosen amounts samples normalize noise agreement policy front savings evaluate studies"
            " export",
        ),
        ("evaluation", "world prepare cards train transfer variants chosen amounts samples facts normalize noise policy front export query"),
        ("world", " ".join(STAGES.keys() - {"world"})),
        ("cli", " ".join(STAGES)),
    ],
)
def test_an_edit_of_a_folder_spares_the_stages_whose_bits_it_does_not_decide(folder: str, spared: str) -> None:
    assert [stage for stage in spared.split() if folder in code(stage)] == []


def test_every_exception_is_needed() -> None:
    used: set[tuple[str, str, str]] = set()

    for stage in STAGES:

        def cut(importer: str, imported: str, stage: str = stage) -> bool:
            found = list(cut_by(stage, importer, imported))
            used.update(found[:1])
            return bool(found)

        closure(ROOT / f"stages/{stage}.py", cut=cut)
    assert EXCEPTIONS.keys() - used == set()


def test_a_package_that_is_on_the_way_to_a_module_decides_nothing() -> None:
    of_threads = {"__init__.py", "annotate/__init__.py"}  # each of them sets the threads of libraries to one
    packages = [path for path in PACKAGE.rglob("__init__.py") if "project" not in path.parts]
    assert {in_package(path) for path in packages if not does_nothing(path)} == of_threads


def test_params_yaml_states_every_key() -> None:
    from pydantic import BaseModel

    from taskonomy.config.params import Params

    def missing(model: type[BaseModel], values: object, place: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            if not isinstance(values, dict) or name not in values:
                yield f"{place}{name}"
            elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from missing(field.annotation, values[name], f"{place}{name}.")

    # `version` is for projects of `taskonomy init`, whose code is no file of theirs; `slow_after` is for a shape that the schedules do not have.
    absent = {"version", "train.schedule.slow_after", "transfer.schedule.slow_after"}
    assert set(missing(Params, yaml.safe_load((ROOT / "params.yaml").read_text()), "")) == absent


@pytest.mark.parametrize("stage", PROJECT)
def test_a_stage_of_a_project_depends_on_the_version_of_the_code(stage: str) -> None:
    own = PROJECT[stage].get("do", PROJECT[stage])
    assert "version" in own["params"]
    assert not [dep for dep in own.get("deps", ()) if dep.startswith(("src", "stages"))]


# What the keys of units do not hold, besides -> why.
NOT_IN_KEYS = {
    "config/task_config.py": "hands the card on, which is part of the key",
    "tasks/*": "an entry, as far as a network sees it, is part of the key by its values, and what encodes labels is in labels/",
}


def test_the_keys_of_units_hold_the_folders_of_what_their_training_imports() -> None:
    """And of nothing else: all of `training` trains units, whatever their kind."""
    cut = [*NO_BITS, *NOT_IN_KEYS]
    roots = sorted((PACKAGE / "training").glob("*.py"))
    found = closure(*roots, cut=lambda _importer, imported: any(fnmatch(imported, what) for what in cut))
    assert sorted(UNIT_CODE) == sorted(f"taskonomy.{name}" for name in folders(found | {"training"}))
    everything = closure(*roots, cut=lambda _importer, _imported: False)
    assert [what for what in NOT_IN_KEYS if not any(fnmatch(one, what) for one in everything)] == []


def test_what_a_card_holds_by_its_name_alone_is_code_of_the_keys() -> None:
    """The functions that encode labels while a network is trained, and say which of them are there."""
    named = [one for task in BUILT_IN.values() if task.label for one in (task.label.encode, task.label.valid) if one is not None]
    assert {one.__module__.rpartition(".")[0] for one in named} == {"taskonomy.labels"}


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import taskonomy.numeric.rng\n"
        "from typing import TYPE_CHECKING\n"
        "from taskonomy.data import preview\n"
        "from taskonomy.tasks import BUILT_IN\n"
        "if TYPE_CHECKING:\n    from taskonomy.numeric.geometry import anything\n"
        "def late():\n    try:\n        from taskonomy.affinity.win_rates import win_rates\n    except ImportError: ...\n"
    )
    direct = closure(path, cut=lambda importer, _imported: importer != "script.py")
    assert direct == {"numeric/rng.py", "data/preview.py", "tasks/__init__.py", "affinity/win_rates.py"}
    assert {"tasks/dictionary.py", "numeric/poses.py", "numeric/geometry.py"} <= closure(path, cut=lambda _importer, _imported: False)
