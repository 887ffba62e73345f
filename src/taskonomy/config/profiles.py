"""Profiles: files that hold only what differs from params.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from taskonomy.config.checked import checked
from taskonomy.config.params import Params
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.parsing.strict_yaml import load_yaml
from taskonomy.parsing.user_text import visible

FOLDER = Path("profiles")


def read_profile(name: str, params: Path = Path("params.yaml")) -> list[str]:
    """List what a profile sets, as DVC's overrides: `section.key=value`, or `+section.key=value` of a key that params.yaml leaves to its default.

    Args:
        name: Of a file in `profiles/` or a folder of it, without its ending.
        params: The file it is laid over.

    Raises:
        TaskonomyError: There is no such profile, or params.yaml would not be valid with it.
    """
    values, changes, path = _read(name, params)
    checked(Params, overlaid(values, changes), str(path))
    return [f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in _leaves(values, changes)]


def with_profile(name: str, params: Path = Path("params.yaml")) -> Params:
    """Return the parameters as a profile would set them; nothing is written. Raises as `read_profile`."""
    values, changes, path = _read(name, params)
    return checked(Params, overlaid(values, changes), str(path))


def _read(name: str, params: Path) -> tuple[Any, Any, Path]:
    profiles = known_profiles()
    if name not in profiles:
        raise unknown("profile", [name], profiles)
    try:
        return load_yaml(params.read_text(encoding="utf-8")), load_yaml(profiles[name].read_text(encoding="utf-8")), profiles[name]
    except (OSError, yaml.YAMLError) as error:
        raise TaskonomyError(f"{params}, {profiles[name]}: not readable YAML ({' '.join(str(error).split())})") from None


def known_profiles() -> dict[str, Path]:
    """Every profile: `tiny`, and `experiments/images-60` of a folder below."""
    files = {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in visible(FOLDER.rglob("*.yaml"))}
    return {name: path for name, path in files.items() if not name.startswith("references/")}


def overlaid(values: Any, changes: Any) -> Any:
    """Sections and their parts key by key; anything else, and what has no fixed keys, as a whole."""
    if not (isinstance(values, dict) and isinstance(changes, dict)):
        return changes
    return {**values, **{key: overlaid(values[key], change) if key in values else change for key, change in changes.items()}}


def write_profile(name: str, params: Path = Path("params.yaml")) -> int:
    """Set a profile's values in params.yaml as `dvc exp run -S` does: order and comments stay, but for a comment after a replaced list.

    Returns:
        How many values differ.
    """
    from taskonomy.dvc_internals import apply_overrides

    overrides = read_profile(name, params)
    apply_overrides(str(params), overrides)
    return len(overrides)


def _leaves(values: Any, changes: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    for name, change in changes.items():
        before = values.get(name) if isinstance(values, dict) else None
        path = f"{key}.{name}" if key else name
        if isinstance(change, dict) and change and isinstance(before, dict):
            yield from _leaves(before, change, path)
        elif not isinstance(values, dict) or name not in values:
            yield f"+{path}", change
        elif change != before:
            yield path, change
