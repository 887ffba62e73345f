"""Identify the installed code for projects elsewhere: its stages, and a version that changes with every file of it."""

import runpy
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.stage.snapshot import text_as_begun

_PACKAGE = Path(__file__).parents[1]
_KINDS = frozenset({".py", ".jinja", ".js", ".css", ".html"})


def stages() -> dict[str, Path]:
    """Find the script of every stage: in the installed package, or in a checkout beside `src`."""
    folders = (_PACKAGE / "stages", _PACKAGE.parents[1] / "stages")
    found = {path.stem: path for folder in folders if folder.is_dir() for path in folder.glob("[!.]*.py")}
    if not found:
        raise TaskonomyError(f"{folders[0]}: the stages are missing; install taskonomy again")
    return found


def code_version() -> str:
    """Return the version of the package with a digest of all its files, as two installations of one version may differ."""
    digest = blake2b(digest_size=6)
    files = [path for path in _PACKAGE.rglob("[!.]*") if path.suffix in _KINDS and "stages" not in path.parts[len(_PACKAGE.parts) :]]
    for name, path in [*((path.relative_to(_PACKAGE).as_posix(), path) for path in files), *sorted(stages().items())]:
        data = path.read_bytes()
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return f"{version('taskonomy')}+{digest.hexdigest()}"


def check_version(params: Path = Path("params.yaml")) -> dict[str, Any]:
    """Check that the installed code has the version that a project requires; return the values of its parameter file.

    Raises:
        TaskonomyError: It has another, or the file cannot be read.
    """
    try:
        values = yaml.safe_load(text_as_begun(params))
    except FileNotFoundError:
        raise TaskonomyError(f"{params}: no such parameter file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise TaskonomyError(f"{params}: not valid YAML: {' '.join(str(error).split())}") from None
    wanted, installed = (values.get("version") if isinstance(values, dict) else None), code_version()
    if wanted != installed:
        raise TaskonomyError(
            f"{params}: version is {wanted}, that of the installed code {installed}; install the former, or let 'taskonomy init --upgrade' write the"
            " latter: all stages run again then, and networks that it trains alike are not trained again"
        )
    return dict(values)


def run_stage(name: str, arguments: Sequence[str], params: Path = Path("params.yaml")) -> None:
    """Run a stage in this process as its script does, if the installed code has the version that the project requires.

    Raises:
        TaskonomyError: No such stage, another version, or parameters that the stage needs are missing.
    """
    from taskonomy.stage.guard import note_installed

    known = stages()
    if name not in known:
        raise unknown("stage", [name], known)
    note_installed(str(_PACKAGE), str(known[name]))  # before its digest is computed, and before any of it that affects results is loaded
    values = check_version(params)
    if name == "world" and "world" not in values:
        raise TaskonomyError(f"{params}: has no section world, which the stage of that name reads")
    sys.argv = [f"taskonomy stage {name}", *arguments]
    runpy.run_path(str(known[name]), run_name="__main__")
