"""Check the paths that a command is given as they are parsed, before anything large is imported."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError

PARAMS = Path("params.yaml")
RESULTS = Path("results/measured")


def file_to_read(what: str) -> Callable[[Any], Any]:
    """Return a check that each path given is a file, called `what` where it is missing."""

    def check(value: Any) -> Any:
        for path in _paths(value):
            if not path.exists():
                raise TaskonomyError(f"{path}: no such {what}")
            if path.is_dir():
                raise TaskonomyError(f"{path}: is a folder; a {what} is a file")
        return value

    return check


def folder_to_read(hint: str = "") -> Callable[[Any], Any]:
    """Return a check that a folder is there; the error says `hint`, what is expected in it."""

    def check(value: Any) -> Any:
        for path in _paths(value):
            if not path.is_dir():
                raise TaskonomyError(f"{path}: {'is a file, must be a folder' if path.exists() else 'no such folder'}{hint}")
        return value

    return check


def existing(value: Any) -> Any:
    """Check that files or folders are there; an address in object storage is left to who opens it."""
    for path in _paths(value):
        if "://" not in str(value) and not path.exists():
            raise TaskonomyError(f"{path}: no such file or folder")
    return value


def file_to_write(value: Path | None) -> Path | None:
    """Check that an output, a file, is no folder."""
    if value is not None and value.is_dir():
        raise TaskonomyError(f"{value}: is a folder; name the file to write")
    return value


def folder_to_write(value: Path | None) -> Path | None:
    """Check that an output, a folder, is no file."""
    if value is not None and value.exists() and not value.is_dir():
        raise TaskonomyError(f"{value}: is a file; name the folder to write")
    return value


def need_project(root: Path = Path()) -> None:
    """Check that a folder is the root of a project.

    Raises:
        TaskonomyError: It holds no parameters.
    """
    if not (root / PARAMS).is_file():
        raise TaskonomyError(f"{root / PARAMS}: no such parameter file; run from the project's root, or create a project: taskonomy init FOLDER")


def need_results() -> None:
    """Check that the pipeline has run here.

    Raises:
        TaskonomyError: Its first results are missing: one that git keeps, and one that DVC does.
    """
    for path in (RESULTS / "normalize_metrics.json", RESULTS / "affinities.csv"):
        if not path.is_file():
            raise TaskonomyError(f"{path}: no such result; run `taskonomy repro` first")


def need_dvc() -> None:
    """Check that the working directory is in a project of DVC.

    Raises:
        TaskonomyError: Neither it nor a folder above is one.
    """
    here = Path.cwd()
    if not any((folder / ".dvc").is_dir() for folder in (here, *here.parents)):
        raise TaskonomyError(f"{here}: is in no project (no .dvc here or above); run inside one, or create one: taskonomy init FOLDER")


def _paths(value: Any) -> Iterable[Path]:
    given = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [Path(one) for one in given]


def known_profile(name: str) -> None:
    """Check that there is a profile of this name.

    Raises:
        TaskonomyError: There is none.
    """
    from taskonomy.config.profile_files import profile_file  # late: what a stage is to note must not be loaded before it looks

    profile_file(name)
