"""All that this project takes from inside DVC, with the reason: DVC promises only its commands, so a new version is held against this list.

No other module imports DVC. A name is imported when it is first asked for, as loading DVC takes a second: `from taskonomy.dvc_internals
import Repo`. tests/pipeline/test_dvc_internals.py fails where DVC no longer has one of these, takes other arguments, or does otherwise what this
project does in its place.
"""

from importlib import import_module
from typing import Any

# Name -> its module in DVC, and why it is taken.
TAKEN = {
    "Repo": ("dvc.repo", "one object serves a whole run, where each command would read dvc.yaml and dvc.lock anew; `taskonomy init` makes a project"),
    "lock_repo": ("dvc.repo", "the lock of the workspace, as `dvc repro` holds it"),
    "get_active_graph": ("dvc.repo.reproduce", "the stages without frozen edges, as `dvc repro` sees them"),
    "plan_repro": ("dvc.repo.reproduce", "the stages that `dvc repro` would visit, in its order"),
    "rwlock": ("dvc.rwlock", "the read locks of all stages at once, where DVC would take them three times a stage"),
    "RWLOCK_FILE": ("dvc.rwlock", "where a killed run leaves its file locks, which are released for it"),
    "PROJECT_FILE": ("dvc.dvcfile", "the target of a run without targets"),
    "param": ("dvc.dependency", "its `load_path` is replaced for the time of a plan, so that params.yaml is parsed once and not for every stage"),
    "ParamsDependency": ("dvc.dependency.param", "which dependencies are keys of a file"),
    "Dependency": ("dvc.dependency.base", "which dependencies are files, whose comparison is kept for all stages that share one"),
    "AbstractDependency": ("dvc.dependency.db", "dependencies that are no files: nothing is kept, nothing is locked"),
    "RepoDependency": ("dvc.dependency.repo", "as AbstractDependency"),
    "to_lockfile": ("dvc.stage.serialize", "a stage's entry of dvc.lock, which is written without the others"),
    "dumps_yaml": ("dvc.utils.serialize", "that entry's text, byte for byte as DVC writes it"),
    "Config": ("dvc.config", "where the cache is, and a setting of .dvc/config.local"),
    "localfs": ("dvc.fs", "what DvcIgnoreFilter reads .dvcignore with"),
    "DvcIgnoreFilter": ("dvc.ignore", "which files DVC leaves out of a folder"),
    "DvcException": ("dvc.exceptions", "an error of DVC's own is one line"),
    "ParseError": ("dvc.utils.serialize", "as DvcException"),
    "ConfigError": ("dvc.config", "as DvcException"),
    "LockError": ("dvc.lock", "another command holds the workspace: wait for it"),
    "StageCmdFailedError": ("dvc.stage.exceptions", "a command that failed has said why"),
    "RunCacheNotSupported": ("dvc.stage.cache", "a remote without run cache is no error, as for `dvc repro --pull`"),
}
# Methods and attributes of DVC's objects that are called, by the object's class -> why.
CALLED = {
    "dvc.stage.Stage.changed_stage": "the first of three comparisons that make `Stage.changed`",
    "dvc.stage.Stage.reproduce": "one stage, as `dvc repro --single-item` runs it",
    "dvc.stage.Stage.remove_outs": "the outputs of a stage whose dependencies changed while it ran",
    "dvc.stage.Stage.dump": "a stage's entry, where dvc.lock is not laid out as DVC writes it",
    "dvc.repo.index.Index.graph": "which stage needs which; its `stages` are every stage of the project, read once",
    "dvc.output.Output.status": "whether an output, or a dependency, differs from dvc.lock",
    "dvc.repo.stage.StageLoad.collect_granular": "a target that is an output",
    "dvc.repo.Repo.find_dvc_dir": "the project around",
    "dvc.stage.cache.StageCache.pull": "the run cache of a remote, for `--pull`",
    "dvc_data.hashfile.db.local.LocalHashFileDB.oid_to_path": "where the cache holds a file",
    "dvc.repo.scm_context.SCMContext.track_file": "a dvc.lock that was written without DVC",
}
# What this project does in the place of DVC's own functions -> the function here, and why.
REPLACED = {
    "dvc.stage.Stage.changed": "pipeline.plan._changed: without the locks that are held already, and with each folder walked once",
    "dvc.stage.Stage._changed_deps": "pipeline.plan._changed, too",
    "dvc.stage.Stage.changed_outs": "pipeline.plan._changed, too",
    "dvc.stage.Stage.save_deps": "pipeline.stage_process._recording_what_was_used: compares dependencies once more after DVC has hashed them",
    "dvc.repo.reproduce._reproduce_stage": "pipeline.stage_process._reproduce: writes the stage's own entry of dvc.lock",
    "dvc.dvcfile.Lockfile.dump_stages": "pipeline.lockfile.write_entry: DVC reads and writes the entries of all stages for each",
    "dvc.stage.decorators.unlocked_repo": "pipeline.stage_process.Turn: takes the place of `Repo.lock`, which DVC releases while the command runs",
    "dvc.dependency.param.read_param_file": "pipeline.plan._parameters_once: replaces the `load_path` that this calls",
    "dvc.rwlock._edit_rwlock": "pipeline.plan.let_go: reads and writes the file of locks that this does",
}


def __getattr__(name: str) -> Any:
    """Import a name from DVC."""
    if name not in TAKEN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(TAKEN[name][0]), name)
