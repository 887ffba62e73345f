"""What stages and units of work say that they depend on is what they import, less one list of exceptions, each with its reason."""

import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from inspect import unwrap
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from imports import PACKAGE, closure, does_nothing, in_package

from taskonomy.store.unit_keys import NETWORK_CODE, TRANSFER_CODE
from taskonomy.tasks import BUILT_IN

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PROJECT = yaml.safe_load((PACKAGE / "own/project/dvc.yaml").read_text())["stages"]
OF_ENTRIES = "cards agreement policy front savings evaluate studies report"  # read the dictionary's entries, and make no labels
OF_CARDS = "train transfer more"

# (stages, who imports, what is imported; by patterns) -> why the stage does not depend on it.
EXCEPTIONS = {
    ("*", "*", "errors.py"): "messages of runs that fail",
    ("*", "*.py", "stage.py"): "guards a stage; decides whether there is a result, not which",
    ("*", "*", "unchanged.py"): "as stage.py",
    ("*", "*", "files.py"): "how a file is put in its place; the values in it are its caller's",
    ("*", "*", "cores.py"): "who computes; the bits do not depend on it, as the tests of each stage hold",
    ("*", "*", "execution/*"): "on which machine units are computed",
    ("*", "*", "training/store.py"): "where finished units lie; their keys hold what decides them",
    ("*", "*", "params.py"): "a stage depends on keys of params.yaml, all of which stand there: test_params_yaml_states_every_key",
    (OF_CARDS, "*", "tasks/__init__.py"): "what decides a task's network stands in its card, a dependency",
    (OF_CARDS, "*", "tasks/dictionary.py"): "as tasks/__init__.py",
    (OF_CARDS, "*", "tasks/own.py"): "as tasks/__init__.py",
    (OF_ENTRIES, "tasks/*", "geometry.py"): "labels are made by prepare",
    (OF_ENTRIES, "tasks/*", "seeds.py"): "labels are made by prepare",
    ("export", "tasks/poses.py", "geometry.py"): "labels are made by prepare",
    ("facts normalize", "data/prepared.py", "tasks/*"): "which views there are, and of which building; no task's entry is read",
    ("world", "data/assign.py", "data/prepared.py"): "the names of the splits",
    ("world", "data/splits.py", "data/remote.py"): "it reads nothing from object storage",
    ("cards", "training/cards.py", "data/prepared.py"): "as_card, for the stages that train",
    ("train", "training/outputs.py", "training/transfers.py"): "write_transfers, for the stage transfer",
    ("train", "training/outputs.py", "affinity/*"): "write_transfers, for the stage transfer",
    ("report", "evaluation/*.py", "policy/*"): "names of measures and rows; the page solves and draws nothing",
    ("report", "evaluation/*.py", "seeds.py"): "as policy",
    ("report", "evaluation/studies.py", "evaluation/held_out.py"): "as policy",
    ("report", "report/facts.py", "data/prepared.py"): "the stage facts reads the data; the page shows what it found",
    ("query", "report/page.py", "*"): "embedded_json alone",
    ("query", "report/figures.py", "evaluation/*"): "colours alone",
}


def cut_by(stage: str, importer: str, imported: str) -> Iterator[tuple[str, str, str]]:
    for stages, by, what in EXCEPTIONS:
        if (stages == "*" or stage in stages.split()) and fnmatch(importer, by) and fnmatch(imported, what):
            yield (stages, by, what)


def imports(stage: str) -> set[str]:
    found = closure(ROOT / f"stages/{stage}.py", cut=lambda importer, imported: any(cut_by(stage, importer, imported)))
    return found | of_entries() if stage in OF_CARDS.split() else found


def of_entries() -> set[str]:
    """Modules whose functions a card has by name only: those that encode labels while a network is trained, and those that they call."""
    named = [unwrap(one) for task in BUILT_IN.values() if task.label for one in (task.label.encode, task.label.valid) if one is not None]
    called = [getattr(sys.modules[one.__module__], name, None) for one in named for name in one.__code__.co_names]
    modules = {one.__module__ for one in (*named, *called) if callable(one) and one.__module__.startswith("taskonomy.")}
    return {f"{name.removeprefix('taskonomy.').replace('.', '/')}.py" for name in modules - {"taskonomy.tasks.dictionary"}}


def code(stage: str) -> list[str]:
    """The dependencies of a stage that are code of the package."""
    deps = STAGES[stage].get("do", STAGES[stage])["deps"]
    return [dep.removeprefix("src/taskonomy/") for dep in deps if dep.startswith("src/")]


def holds(dep: str, module: str) -> bool:
    return module == dep or module.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_it_imports(stage: str) -> None:
    assert f"stages/{stage}.py" in STAGES[stage].get("do", STAGES[stage])["deps"]
    assert sorted(one for one in imports(stage) if not any(holds(dep, one) for dep in code(stage))) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_module_that_it_does_not_import(stage: str) -> None:
    assert [dep for dep in code(stage) if not (PACKAGE / dep).exists() or not any(holds(dep, one) for one in imports(stage))] == []
    assert len(code(stage)) == len(set(code(stage)))


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

    # `version` is for projects of `taskonomy init`, whose code is no file of theirs.
    assert list(missing(Params, yaml.safe_load((ROOT / "params.yaml").read_text()), "")) == ["version"]


@pytest.mark.parametrize("stage", PROJECT)
def test_a_stage_of_a_project_depends_on_the_version_of_the_code(stage: str) -> None:
    assert "version" in PROJECT[stage]["params"]
    assert not [dep for dep in PROJECT[stage].get("deps", ()) if dep.startswith(("src", "stages"))]


# Which unit of work, and what code its key does not hold -> why.
NOT_IN_KEYS = {
    ("*", "errors.py"): "messages of runs that fail",
    ("*", "files.py"): "how a file is put in its place",
    ("*", "cores.py"): "who computes",
    ("*", "execution/*"): "on which machine",
    ("*", "training/store.py"): "where units lie",
    ("*", "training/keys.py"): "what a key is: another one is another unit",
    ("*", "params.py"): "settings are part of the key by their values",
    ("*", "tasks/__init__.py"): "an entry, as far as a network sees it, is part of the key by its values, and of_entries are in it",
    ("*", "tasks/dictionary.py"): "as tasks/__init__.py",
    ("*", "tasks/own.py"): "as tasks/__init__.py",
    ("*", "training/cards.py"): "hands the card on, which is part of the key",
    ("*", "training/ahead.py"): "who makes a batch",
    ("*", "training/device.py"): "where it is trained: moving a training trains nothing again",
    ("*", "training/codes.py"): "codes are made of a finished network; a transfer's key has those it reads by their bytes",
    ("*", "nets/shapes.py"): "MISSING: it makes shapes of the card; adding it trains all units once more",
    ("network", "nets/vision.py"): "how torchvision is imported beside a torch for another device",
    ("network", "nets/transfer.py"): "no part of a task's network",
    ("transfer", "training/readouts.py"): "MISSING: it says how a transfer is trained; adding it trains all transfers once more",
    ("transfer", "training/transfers.py"): "which units there are; the samples that it chooses are part of the key",
    ("transfer", "training/beam.py"): "which units there are",
    ("transfer", "affinity/*"): "which units there are",
    ("transfer", "nets/encoder.py"): "sources are part of the key by their codes",
    ("transfer", "nets/critic.py"): "transfers are trained without one",
    ("transfer", "training/networks.py"): "the network from scratch, whose key is a network's",
}


@pytest.mark.parametrize(
    ("unit", "root", "held"),
    [("network", "training/networks.py", NETWORK_CODE), ("transfer", "training/readouts.py", TRANSFER_CODE)],
)
def test_the_key_of_a_unit_holds_the_code_that_its_training_imports(unit: str, root: str, held: tuple[str, ...]) -> None:
    reasons = [what for of, what in NOT_IN_KEYS if of in ("*", unit)]
    found = closure(PACKAGE / root, cut=lambda _importer, imported: any(fnmatch(imported, what) for what in reasons)) | of_entries()
    found |= set() if any(fnmatch(root, what) for what in reasons) else {root}
    assert {f"{name.removeprefix('taskonomy.').replace('.', '/')}.py" for name in held} == found
    everything = closure(PACKAGE / root, cut=lambda _importer, _imported: False) | {root}
    assert [what for what in reasons if not any(fnmatch(one, what) for one in everything)] == []


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import taskonomy.numeric.rng\n"
        "from typing import TYPE_CHECKING\n"
        "from taskonomy.data import names\n"
        "from taskonomy.tasks import BUILT_IN\n"
        "if TYPE_CHECKING:\n    from taskonomy.numeric.geometry import anything\n"
        "def late():\n    try:\n        from taskonomy.affinity.win_rates import wins\n    except ImportError: ...\n"
    )
    direct = closure(path, cut=lambda importer, _imported: importer != "script.py")
    assert direct == {"seeds.py", "data/names.py", "tasks/__init__.py", "affinity/wins.py"}
    assert {"tasks/dictionary.py", "tasks/poses.py", "geometry.py"} <= closure(path, cut=lambda _importer, _imported: False)
