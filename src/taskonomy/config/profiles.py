"""Profiles: files that hold only what differs from params.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from taskonomy.atomic_io import write_text
from taskonomy.config.checked import checked
from taskonomy.config.params import Params
from taskonomy.config.profile_files import profile_file
from taskonomy.config.yaml_text import with_values
from taskonomy.errors import TaskonomyError
from taskonomy.parsing.strict_yaml import load_yaml


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
    path = profile_file(name)
    try:
        return load_yaml(params.read_text(encoding="utf-8")), load_yaml(path.read_text(encoding="utf-8")), path
    except (OSError, yaml.YAMLError) as error:
        raise TaskonomyError(f"{params}, {path}: not readable YAML ({' '.join(str(error).split())})") from None


def overlaid(values: Any, changes: Any) -> Any:
    """Sections and their parts key by key; anything else, and what has no fixed keys, as a whole."""
    if not (isinstance(values, dict) and isinstance(changes, dict)):
        return changes
    return {**values, **{key: overlaid(values[key], change) if key in values else change for key, change in changes.items()}}


def write_profile(name: str, params: Path = Path("params.yaml")) -> int:
    """Set a profile's values in params.yaml; order, spacing and comments stay as they are.

    Returns:
        How many values differ.
    """
    overrides = read_profile(name, params)
    values, changes, _ = _read(name, params)
    if overrides:
        write_text(params, with_values(params.read_text(encoding="utf-8"), values, overlaid(values, changes)))
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
