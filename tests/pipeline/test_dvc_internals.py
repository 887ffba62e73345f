"""What this project takes from inside DVC is there, takes the arguments that it is given, and is what this project took the place of."""

import ast
import hashlib
import inspect
import textwrap
from importlib import import_module
from typing import Any

import pytest
from conftest import ROOT

from taskonomy import dvc_internals
from taskonomy.dvc_internals import CALLED, REPLACED, TAKEN

# How this project calls each of them: positions, and names.
CALLS: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "dvc.repo.Repo": ((), ("_wait_for_lock",)),
    "dvc.repo.Repo.find_dvc_dir": ((), ()),
    "dvc.repo.Repo.init": (("root",), ("no_scm", "subdir")),
    "dvc.repo.lock_repo": (("repo",), ()),
    "dvc.repo.reproduce.get_active_graph": (("graph",), ()),
    "dvc.repo.reproduce.plan_repro": (("graph", "stages"), ("downstream",)),
    "dvc.rwlock.rwlock": (("tmp_dir", "fs", "cmd", "read", "write", "hardlink"), ()),
    "dvc.stage.serialize.to_lockfile": (("stage",), ()),
    "dvc.utils.serialize.dumps_yaml": (("values",), ()),
    "dvc.config.Config": (("folder",), ("validate",)),
    "dvc.config.Config.edit": (("self", "level"), ("validate",)),
    "dvc.ignore.DvcIgnoreFilter": (("fs", "root"), ()),
    "dvc.stage.Stage.changed_stage": (("self",), ()),
    "dvc.stage.Stage.reproduce": (("self",), ("force", "pull")),
    "dvc.stage.Stage.remove_outs": (("self",), ("ignore_remove", "force")),
    "dvc.stage.Stage.dump": (("self",), ("update_pipeline",)),
    "dvc.output.Output.status": (("self",), ()),
    "dvc.repo.stage.StageLoad.collect_granular": (("self", "target"), ()),
    "dvc.stage.cache.StageCache.pull": (("self", "remote"), ()),
    "dvc_data.hashfile.db.local.LocalHashFileDB.oid_to_path": (("self", "name"), ()),
    "dvc.repo.scm_context.SCMContext.track_file": (("self", "path"), ()),
}
# Digests of the code that this project does something in the place of. Where one differs, read what DVC changed, carry it over to the function that
# `REPLACED` names, and only then write the new digest here.
SEEN = {
    "dvc.stage.Stage.changed": "0a2a3314f6d65313",
    "dvc.stage.Stage._changed_deps": "a2f659fcd0e3f1e7",
    "dvc.stage.Stage.changed_outs": "7f5fd49cd2a3cffd",
    "dvc.stage.Stage.save_deps": "754e7f2e22e97a02",
    "dvc.repo.reproduce._reproduce_stage": "ad142f95f72bc0cd",
    "dvc.dvcfile.Lockfile.dump_stages": "6384b2b2d58adb10",
    "dvc.stage.decorators.unlocked_repo": "9ae6d77d1e1cdd70",
    "dvc.dependency.param.read_param_file": "60e1a87456555560",
    "dvc.rwlock._edit_rwlock": "b9dbd5a304ec0c6e",
}


def found(path: str) -> Any:
    """What a dotted path names."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            one: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            one = inspect.getattr_static(one, name) if inspect.isclass(one) else getattr(one, name)
        return one
    raise ModuleNotFoundError(path)


def digest(source: str) -> str:
    """Of the code alone: neither of comments and docstrings, nor of messages to its log."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [one for one in body if not (isinstance(one, ast.Expr) and _says(one.value))] or [ast.Pass()]  # type: ignore[attr-defined]
    return hashlib.blake2b(ast.unparse(tree).encode(), digest_size=8).hexdigest()


def _says(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Call) and ast.unparse(value.func).startswith("logger."))


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_there(name: str) -> None:
    assert getattr(dvc_internals, name) is not None


@pytest.mark.parametrize("path", [*CALLED, *REPLACED])
def test_what_is_called_or_replaced_is_there(path: str) -> None:
    assert found(path) is not None


@pytest.mark.parametrize("path", CALLS)
def test_it_takes_the_arguments_that_it_is_given(path: str) -> None:
    function = found(path)
    signature = inspect.signature(getattr(function, "__func__", function))
    positions, names = CALLS[path]
    of_class = ("cls",) if isinstance(function, classmethod) else ()
    signature.bind(*of_class, *positions, **dict.fromkeys(names))
    assert all(name in signature.parameters or _takes_any(signature) for name in names)


def _takes_any(signature: inspect.Signature) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())


@pytest.mark.parametrize("path", REPLACED)
def test_dvc_still_does_what_this_project_does_in_its_place(path: str) -> None:
    assert digest(inspect.getsource(found(path))) == SEEN[path], f"{path} is another in this version of DVC: {REPLACED[path]}"


ONE = 'def f(path):\n    """It says."""\n    logger.debug("here")\n    return path == "a"\n'


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('def f(path):\n    # a comment\n    return path == "a"\n', True),
        ('def f(path):\n    return path == "b"\n', False),
        ('def f(path, other=None):\n    return path == "a"\n', False),
    ],
)
def test_a_digest_is_of_what_the_code_does(text: str, same: bool) -> None:
    assert (digest(ONE) == digest(text)) is same


def test_no_other_module_imports_dvc() -> None:
    for path in (ROOT / "src/taskonomy").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not {name for name in names if name.split(".")[0] in ("dvc", "dvc_data", "dvc_objects")}, path
