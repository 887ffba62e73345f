"""What the script of every stage begins and ends with. Imported before all other code of the project, it notes what the stage depends on.

A stage that finds in the end that some of it has changed says so in one line and fails, so that DVC records nothing; what it has written is
removed, as DVC has removed what was there before. A script that is started by hand, not by DVC, depends on nothing that anybody records.
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
from taskonomy.stage.snapshot import InputSnapshot, begin, begun, forget_stale_bytecode, told

DVC_STAGE = "DVC_STAGE"  # the name of the stage, in the environment of its command


@contextmanager
def stage() -> Iterator[None]:
    """Run the stage's work; what the user can mend is one line on standard error and exit status 1.

    Raises:
        SystemExit: It failed, or what it depends on has changed.
    """
    with one_line():
        if isinstance(_STAGE, TaskonomyError):
            raise _STAGE
        seen = begun()
        if _STAGE is None or seen is None:
            yield
            return
        if _script_changed(seen):
            raise TaskonomyError(told([os.path.relpath(str(_main().__file__))]))
        try:
            yield
        except Exception as error:  # which may be of code that does not fit together, or of a file that is gone
            if names := seen.changed():
                _remove(_STAGE)
                said = " ".join(str(error).split())
                why = "" if isinstance(error, TaskonomyError) and said == told(names) else f", which failed ({type(error).__name__}: {said})"
                raise TaskonomyError(told(names, why)) from error
            raise
        if names := seen.changed():
            _remove(_STAGE)
            raise TaskonomyError(told(names))


def note(*more: str) -> DeclaredStage | TaskonomyError | None:
    """Note what the stage that DVC runs here depends on; what it is, or why that cannot be said; None: DVC runs none here.

    Args:
        more: Files and folders that it depends on besides what dvc.yaml says.
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
    """This process was started by that of a stage, which hands on what it has noted."""
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
    """The script was read before anything could be noted: it runs as it is written if compiling it gives what runs."""
    path = os.path.abspath(str(getattr(_main(), "__file__", "")))
    return _RUNS is not None and any(path in files for files in seen.folders.values()) and compile(Path(path).read_bytes(), path, "exec") != _RUNS


def _what_runs() -> CodeType | None:
    """The code of the script that imports this."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    return None if frame is None else frame.f_code


def note_installed(*code: str) -> None:
    """For `taskonomy stage`: note files and folders of code as well; the script among them has not been read yet."""
    global _RUNS, _STAGE  # of this process, as the stage that it is
    _RUNS, _STAGE = None, note(*code)


_RUNS = _what_runs()
_STAGE = note()
