"""Read what a stage depends on and makes from dvc.yaml: the same as DVC finds, but in milliseconds, as every stage asks when it begins.

Common templates are resolved here (`foreach`, `matrix`, keys of params.yaml); for anything else in dvc.yaml, DVC itself is asked.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskonomy.errors import TaskonomyError

if TYPE_CHECKING:
    from dvc.stage import Stage  # type: ignore[import-untyped]

PROJECT, PARAMS = "dvc.yaml", "params.yaml"
_FILLED = re.compile(r"(?<!\\)\$\{(.*?)\}")
_KEY = re.compile(r"\s*[\w-]+(\.[\w-]+)*\s*")
_KNOWN = {"desc", "cmd", "deps", "params", "outs", "metrics", "plots", "foreach", "do", "matrix", "meta", "frozen"}


@dataclass(frozen=True)
class DeclaredStage:
    """Dependencies and outputs of one stage.

    Attributes:
        deps: Files and folders that it reads, absolute.
        params: Keys that it reads, by file of parameters (absolute); none: the whole file.
        outs: Files and folders that it makes, absolute.
    """

    deps: tuple[str, ...]
    params: Mapping[str, tuple[str, ...]]
    outs: tuple[str, ...]


class _AskDvc(Exception):  # noqa: N818  # a signal, not an error
    """A template that only DVC itself can resolve."""


def declared(name: str, folder: Path) -> DeclaredStage:
    """Return the declaration of the stage that DVC runs in a folder.

    Args:
        name: As in DVC_STAGE: `train@normal`, with a path and a colon before it where dvc.yaml lies outside the folder that DVC was called in.
        folder: Folder that its command runs in.

    Raises:
        TaskonomyError: No dvc.yaml there has this stage, for instance as it was edited after DVC read it.
    """
    name = name.rpartition(":")[2]
    path = folder / PROJECT
    try:
        return _resolved(name, _yaml(path.read_text(encoding="utf-8")), folder)
    except (_AskDvc, OSError):
        return _by_dvc(name, folder)


def of_dvc(stage: "Stage") -> DeclaredStage:
    """Convert DVC's own object; what is not on this machine is left out."""
    from taskonomy.dvc_internals import ParamsDependency

    deps, params = [], {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            params[str(dep.fs_path)] = tuple(dep.params)
        elif getattr(dep, "protocol", None) == "local" and getattr(dep, "fs_path", None) and os.path.isabs(dep.fs_path):
            deps.append(str(dep.fs_path))
    return DeclaredStage(tuple(deps), params, tuple(str(out.fs_path) for out in stage.outs if out.protocol == "local"))


def _yaml(text: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)  # noqa: S506  # a safe loader
    except yaml.YAMLError:
        raise _AskDvc from None


def _resolved(name: str, project: Any, folder: Path) -> DeclaredStage:
    if not isinstance(project, dict) or "vars" in project:
        raise _AskDvc
    group, _at, key = name.partition("@")
    entry = (project.get("stages") or {}).get(group)
    if not isinstance(entry, dict) or entry.keys() - _KNOWN:
        raise _AskDvc
    text = (folder / PARAMS).read_text(encoding="utf-8") if (folder / PARAMS).is_file() else ""
    values = (_yaml(text) if "${" in str(entry) else None) or {}
    if "foreach" in entry:
        values = values | _item(_items(entry["foreach"], values), key)
        entry = entry["do"]
    elif "matrix" in entry:
        values = values | _item(dict(_combined(entry["matrix"], values)), key)
    elif key:
        raise _AskDvc
    if not isinstance(entry, dict) or entry.keys() - _KNOWN:
        raise _AskDvc

    def paths(*sections: str) -> tuple[str, ...]:
        found = [one for section in sections for one in entry.get(section) or ()]
        names = [next(iter(one)) if isinstance(one, dict) and len(one) == 1 else one for one in found]
        return tuple(os.path.normpath(folder / _filled(one, values)) for one in names)

    if any(not isinstance(one, str) for one in entry.get("deps") or ()):
        raise _AskDvc
    params: dict[str, tuple[str, ...]] = {}
    for one in entry.get("params") or ():
        for file, keys in one.items() if isinstance(one, dict) else ((PARAMS, [one]),):
            place = os.path.normpath(folder / _filled(file, values))
            if (place in params and not params[place]) or not keys:
                params[place] = ()
            else:
                params[place] = (*params.get(place, ()), *(_filled(key, values) for key in keys))
    return DeclaredStage(paths("deps"), params, paths("outs", "metrics", "plots"))


def _items(foreach: Any, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the values that `foreach` binds for each of its items, by the name that DVC gives the item."""
    foreach = _value(foreach, values)
    if isinstance(foreach, dict):
        return {str(key): {"key": key, "item": item} for key, item in foreach.items()}
    if isinstance(foreach, list):
        plain = all(isinstance(item, str | int) for item in foreach)
        return {str(item if plain else number): {"item": item} for number, item in enumerate(foreach)}
    raise _AskDvc


def _combined(matrix: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(matrix, dict):
        raise _AskDvc
    lists = {name: _value(one, values) for name, one in matrix.items()}
    if any(not isinstance(one, list) or any(type(item) not in (str, int) for item in one) for one in lists.values()):
        raise _AskDvc
    for items in product(*lists.values()):
        yield "-".join(map(str, items)), {"item": dict(zip(lists, items, strict=True))}


def _item(known: Mapping[str, dict[str, Any]], key: str) -> dict[str, Any]:
    if key not in known:
        raise _AskDvc
    return known[key]


def _value(written: Any, values: Mapping[str, Any]) -> Any:
    """Resolve a value: as it is written, or the one that its template names."""
    if isinstance(written, str):
        if not (whole := _FILLED.fullmatch(written)):
            raise _AskDvc
        return _looked_up(whole[1], values)
    return written


def _filled(written: Any, values: Mapping[str, Any]) -> str:
    def text(found: re.Match[str]) -> str:
        value = _looked_up(found[1], values)
        if type(value) not in (str, int):
            raise _AskDvc
        return str(value)

    if not isinstance(written, str) or "\\$" in written:
        raise _AskDvc
    return _FILLED.sub(text, written)


def _looked_up(key: str, values: Mapping[str, Any]) -> Any:
    if not _KEY.fullmatch(key):
        raise _AskDvc
    value: Any = values
    for part in key.strip().split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise _AskDvc
        value = value[part]
    if isinstance(value, str) and "${" in value:
        raise _AskDvc
    return value


def _by_dvc(name: str, folder: Path) -> DeclaredStage:
    from taskonomy.dvc_internals import DvcException, Repo

    try:
        with Repo() as repo:
            found: Sequence[Stage] = [stage for stage in repo.index.stages if stage.addressing.rpartition(":")[2] == name]
            here = [stage for stage in found if os.path.samefile(stage.wdir, folder)]
            if len(here) == 1:
                return of_dvc(here[0])
    except DvcException as error:
        raise TaskonomyError(f"{folder / PROJECT}: {' '.join(str(error).split())}") from None
    raise TaskonomyError(f"{folder / PROJECT}: has no stage {name}, which DVC runs; if it was edited meanwhile, run DVC again")
