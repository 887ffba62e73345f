"""Turn an empty folder into a project: parameters, pipeline, example, git and DVC."""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from taskonomy.atomic_io import write_text
from taskonomy.config.params_schema import SCHEMA, schema_text
from taskonomy.errors import TaskonomyError
from taskonomy.pipeline.dvc_state import STATE, keep_state_in
from taskonomy.project.code_version import code_version
from taskonomy.project.pipeline import own_pipeline, template

# File in the folder `template` -> its path in a project, beside its pipeline.
LAID_DOWN = {
    "params.yaml": "params.yaml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "dvcignore": ".dvcignore",
}
PIPELINE = "dvc.yaml"
EXAMPLE = Path("data/example")
_VERSION = re.compile(r"^version: .*$", re.MULTILINE)


def init(root: Path, source: Path | None = None, *, partial: bool = False) -> list[str]:
    """Create a project; existing files are never changed.

    Args:
        root: A folder, new or without any file that the project needs to write.
        source: A folder of images and labels to declare; None: an example is drawn.
        partial: Whether images of the example lack labels, and its distances have holes.

    Returns:
        What was created, and what was not possible, in messages for the user.

    Raises:
        TaskonomyError: A file that would have to be written exists, or the source is no folder of images and labels.
    """
    from taskonomy.project.example import write_example
    from taskonomy.project.from_folder import declared_of

    if partial and source is not None:
        raise TaskonomyError("--partial is of the example, and --from draws none; leave one out")
    example = [EXAMPLE.as_posix()] if source is None else []
    wanted = [*LAID_DOWN.values(), PIPELINE, SCHEMA, *example, ".dvc"]
    if there := [name for name in wanted if (root / name).exists()]:
        raise TaskonomyError(f"{root}: has {', '.join(there)} already; choose a folder without, init overwrites nothing")
    declare, told = (partial_labels if partial else lambda text: text, []) if source is None else declared_of(source, root)
    root.mkdir(parents=True, exist_ok=True)
    for name, place in LAID_DOWN.items():
        text = files("taskonomy.project").joinpath("template", name).read_text(encoding="utf-8")
        write_text(root / place, declare(_VERSION.sub(f"version: {code_version()}", text, count=1)) if name == "params.yaml" else text)
    write_text(root / PIPELINE, own_pipeline(template(), example=source is None, partial=partial))
    write_text(root / SCHEMA, schema_text())
    if source is None:
        write_example(root / EXAMPLE, partial=partial)
    within = _top(root)
    said = [_with_git(root), _with_dvc(root)]
    if within is None and _top(root) is not None:
        _commit(root)
    return [*said, *told]


def partial_labels(params: str) -> str:
    """Declare in the parameters of the example which of its distances are holes."""
    return params.replace(
        "distance: {kind: map, channels: 1, range: [0, 10000], ", "distance: {kind: map, channels: 1, range: [0, 10000], missing: 0, "
    )


def upgrade(root: Path) -> str:
    """Write what belongs to the installed code: its version into params.yaml, and the schema beside it.

    Raises:
        TaskonomyError: There is no project.
    """
    path = root / "params.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TaskonomyError(f"{path}: no such parameter file; 'taskonomy init {root}' lays one down") from None
    found, now = _VERSION.findall(text), f"version: {code_version()}"
    if len(found) != 1:
        raise TaskonomyError(f"{path}: must have one line 'version: ...' (has {len(found)}); only projects of 'taskonomy init' have a version")
    write_text(path, _VERSION.sub(now, text))
    write_text(root / SCHEMA, schema_text())
    return f"{path}: {now}" + (" (as before)" if found == [now] else f" (was {found[0].removeprefix('version: ')})")


def _with_git(root: Path) -> str:
    """Create a git repository, if git is installed and the folder is in none."""
    if shutil.which("git") is None:
        return "git is not installed: without a repository, DVC keeps no history"
    if (top := _top(root)) is not None:
        return f"in the git repository {top}"
    made = subprocess.run(["git", "init", "-q"], cwd=root, capture_output=True, text=True, check=False)
    return "git repository" if made.returncode == 0 else f"no git repository: {' '.join(made.stderr.split())}"


def _commit(root: Path) -> None:
    """Make the first commit, which DVC's experiments and training curves start from, as the user that git knows or else a placeholder."""
    git = ["git", "-c", "commit.gpgsign=false"]
    if subprocess.run([*git, "var", "GIT_COMMITTER_IDENT"], cwd=root, capture_output=True, check=False).returncode:
        git += ["-c", "user.name=taskonomy init", "-c", "user.email=taskonomy@localhost"]
    subprocess.run([*git, "add", "--", *LAID_DOWN.values(), PIPELINE, SCHEMA, ".dvc"], cwd=root, capture_output=True, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "taskonomy init"], cwd=root, capture_output=True, check=True)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, unless it is set already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep DVC from saying what it did, and to commit it, which is done here."""
    logger = logging.getLogger("dvc.repo.init")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _top(root: Path) -> Path | None:
    """Return the root of the repository that a folder is in; None where there is no git or no repository."""
    if shutil.which("git") is None:
        return None
    found = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=root, capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def _with_dvc(root: Path) -> str:
    """Set up DVC through its Python interface, like `dvc init`: as a subproject below the root of a repository, without git where there is none."""
    from taskonomy.dvc_internals import DvcException, Repo

    top = _top(root)
    tracked, below = top is not None, top is not None and top.resolve() != root.resolve()
    dvc = root.absolute() / ".dvc"
    try:
        with (
            _environment("DVC_SITE_CACHE_DIR", str(dvc / STATE)),
            _without_greeting(),
            Repo.init(str(root), no_scm=not tracked, subdir=below) as repo,
            repo.config.edit("repo") as config,
        ):
            config["core"] |= {"analytics": "false", "check_update": "false"}
        keep_state_in(dvc)
    except DvcException as error:
        raise TaskonomyError(f"{root}: {' '.join(str(error).split())}") from None
    return "DVC project" + ("" if tracked else " without a repository")
