"""The pipeline of a project of one's own, made from this project's `dvc.yaml`: one measured table, the installed code, nothing published."""

import re
from pathlib import Path
from typing import Any

import yaml

from taskonomy.errors import TaskonomyError

_PACKAGE = Path(__file__).parents[1]
# What a project has none of: built-in buildings, published measurements to compare with, a study of noise; and what commands do when it is asked
# for: predictors (`own_command`) and queries.
LEFT_OUT = ("world", "agreement", "noise", "export", "query")
TABLE = "measured"  # of those that `foreach` goes through
_ONLY_HERE = "experiments"  # of a table: kept beside the results of this project
_HEAD = """\
# Each stage depends on the files and the keys of params.yaml that it reads, and on the version of the code: `version` of params.yaml.
# Remove the stage `example` when data.root is a folder of yours, and keep that in DVC: `dvc add data/mine`.
stages:
"""
_EXAMPLE = {
    "desc": "Pictures of balls and boxes with a task of every kind",
    "cmd": "taskonomy stage example --example data/example",
    "params": ["version"],
    "outs": ["data/example"],
}
_OUTS = ("outs", "plots", "metrics")
_CODE = ("stages/", "src/")


def template() -> str:
    """Read this project's `dvc.yaml`; it lies in the installed package beside the stages, and in a checkout beside `src`.

    Raises:
        TaskonomyError: It is not there.
    """
    places = (_PACKAGE / "stages/dvc.yaml", _PACKAGE.parents[1] / "dvc.yaml")
    for path in places:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise TaskonomyError(f"{places[0]}: the pipeline is missing; install taskonomy again")


def own_pipeline(text: str, *, example: bool = True, partial: bool = False) -> str:
    """Derive the text of a project's `dvc.yaml` from that of this project, with or without the stage that draws the example (partly labelled)."""
    stages = yaml.safe_load(text)["stages"]
    missing = {path for name in LEFT_OUT for path in _made(_of_table(stages[name]))}
    kept = {name: _own(_of_table(stage), missing) for name, stage in stages.items() if name not in LEFT_OUT}
    drawn = {**_EXAMPLE, "cmd": f"{_EXAMPLE['cmd']} --partial"} if partial else _EXAMPLE
    first = {"example": drawn} if example else {}
    return _HEAD + "\n".join(_written(name, stage) for name, stage in {**first, **kept}.items())


def own_command(name: str) -> str:
    """Return the command that runs a stage by the installed code, in a project whose pipeline leaves it out."""
    stage = yaml.safe_load(template())["stages"][name]
    return str(_own(stage, set())["cmd"])


def _of_table(stage: dict[str, Any]) -> dict[str, Any]:
    """Fill in the one table that a project has; other stages have no tables."""
    if TABLE not in stage.get("foreach", ()):
        return stage
    table = {name: value for name, value in stage["foreach"][TABLE].items() if name != _ONLY_HERE}
    values = {"key": TABLE, **{f"item.{name}": value for name, value in table.items()}}
    found: dict[str, Any] = _filled(stage["do"], values)
    return {**found, "cmd": re.sub(r" --[\w-]+ \$\{item\.\w+\}", "", found["cmd"])}


def _filled(what: Any, values: dict[str, str]) -> Any:
    if isinstance(what, str):
        return re.sub(r"\$\{([\w.]+)\}", lambda found: values.get(found[1], found[0]), what)
    if isinstance(what, dict):
        return {_filled(key, values): _filled(value, values) for key, value in what.items()}
    return [_filled(one, values) for one in what] if isinstance(what, list) else what


def _own(stage: dict[str, Any], missing: set[str]) -> dict[str, Any]:
    """Make a stage run the installed code, and depend on nothing that a project lacks."""
    if "do" in stage:  # one stage for each key of a section of params.yaml
        return {**stage, "do": _own(stage["do"], missing)}
    command = re.sub(r"^python stages/(\w+)\.py", r"taskonomy stage \1", stage["cmd"])
    deps = [dep for dep in stage["deps"] if not dep.startswith(_CODE) and dep not in missing and "${item." + _ONLY_HERE not in dep]
    params = ["version", *(name for name in stage.get("params", ()) if name not in LEFT_OUT)]
    own = {**stage, "cmd": command, "deps": deps, "params": params}
    return {name: value for name, value in own.items() if value}


def _made(stage: dict[str, Any]) -> set[str]:
    return {one if isinstance(one, str) else next(iter(one)) for kind in _OUTS for one in stage.get(kind, ())}


def _written(name: str, stage: dict[str, Any]) -> str:
    text = yaml.dump({name: stage}, Dumper=_Plain, sort_keys=False, width=140, allow_unicode=True)
    return "".join(f"  {line}\n" for line in text.splitlines())


class _Plain(yaml.SafeDumper):
    """Without anchors, with lists indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)
