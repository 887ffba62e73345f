"""The options of a stage's script: files and folders by name, so that a command of dvc.yaml reads by itself."""

import argparse
from collections.abc import Mapping
from pathlib import Path


def paths(doc: str | None, *required: str, optional: Mapping[str, str] | None = None) -> argparse.Namespace:
    """Parse `--name PATH` for each of these names, every one of them required.

    Args:
        doc: What the stage does.
        required: Names, as attributes: `held_out` is the option `--held-out`.
        optional: More of them that may be left out, and what they are for.

    Raises:
        SystemExit: An option is missing or unknown; standard error says which.
    """
    return path_parser(doc, *required, optional=optional).parse_args()


def path_parser(doc: str | None, *required: str, optional: Mapping[str, str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of `paths`, for a stage that has other options as well."""
    parser = argparse.ArgumentParser(description=doc, allow_abbrev=False)
    for name in required:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    for name, purpose in (optional or {}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help=purpose)
    return parser
