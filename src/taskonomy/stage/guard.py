"""Guard the script of every stage. Imported before all other code of the project, this module records what the stage depends on.

A stage that finds at its end that a dependency has changed fails with a one-line error, so that DVC records nothing; its outputs are removed, as DVC
had removed the earlier ones. A script that is started by hand, not by DVC, has no recorded dependencies.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, ModuleType

from taskonomy.errors import TaskonomyError, one_line
from taskonomy.stage.declaration import DeclaredStage, declared
from taskonomy.stage.snapshot import InputSnapshot, begin, begun, changed_message, forget_stale_bytecode

DVC_STAGE = "DVC_STAGE"  # environment variable with the stage's name


@contextmanager
def stage() -> Iterator[None]:
    """Run the stage's work; an error that the user can correct becomes one line on standard error and exit status 1.

    Raises:
        SystemExit: The stage failed, or a dependency has changed.
    """
    with one_line():
        if isinstance(_STAGE, TaskonomyError):
            raise _STAGE
        seen = begun()
        if _STAGE is None or seen is None:
            yield
            return
        if _script_changed(seen):
            raise TaskonomyError(changed_message([os.path.relpath(str(_main().__file__))]))
        try:
            yield
        except Exception as error:  # it may come from code that does not fit together, or a missing file
            if names := seen.changed():
                _remove(_STAGE)
                said, message = " ".join(str(error).split()), changed_message(names)
                why = "" if isinstance(error, TaskonomyError) and said == message else f", which failed ({type(error).__name__}: {said})"
                raise TaskonomyError(changed_message(names, why)) from error
            raise
        if names := seen.changed():
            _remove(_STAGE)
            raise TaskonomyError(changed_message(names))


def note(*more: str) -> DeclaredStage | TaskonomyError | None:
    """Record what the stage that DVC runs here depends on; return it, or the error if it cannot be found; None: DVC runs no stage here.

    Args:
        more: Files and folders that it depends on besides those in dvc.yaml.
    """
    name = os.environ.get(DVC_STAGE)
    if not name or _helps_another():
        return None
    try:
        found = declared(name, Path.cwd())
    except TaskonomyError as error:
        return error
    begin(seen := InputSnapshot.now(found, more))
    forget_stale_bytecode(seen)
    return found


def _helps_another() -> bool:
    """Return whether a stage's process started this one; that process passes on what it has recorded."""
    spawn = sys.modules.get("multiprocessing.process")
    return spawn is not None and spawn.parent_process() is not None


def _remove(stage: DeclaredStage) -> None:
    for out in stage.outs:
        if os.path.isdir(out) and not os.path.islink(out):
            shutil.rmtree(out)
        else:
            Path(out).unlink(missing_ok=True)


def _main() -> ModuleType:
    return sys.modules["__main__"]


def _script_changed(seen: InputSnapshot) -> bool:
    """Return whether the script has changed.

    It was read before anything could be recorded, so its compiled source is compared with the running code.
    """
    path = os.path.abspath(str(getattr(_main(), "__file__", "")))
    return _RUNS is not None and any(path in files for files in seen.folders.values()) and compile(Path(path).read_bytes(), path, "exec") != _RUNS


def _what_runs() -> CodeType | None:
    """Return the code object of the script that imports this module."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    return None if frame is None else frame.f_code


def note_installed(*code: str) -> None:
    """Record the files and folders of code as well, for `taskonomy stage`; the stage's script, among them, has not been read yet."""
    global _RUNS, _STAGE  # one per process, as is the stage
    _RUNS, _STAGE = None, note(*code)


_RUNS = _what_runs()
_STAGE = note()
