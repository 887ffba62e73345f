"""The structure of the code: folders are layers, names are unique, files and functions are small."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from conftest import ROOT

SOURCE = ROOT / "src/taskonomy"
FILES = sorted(path for path in SOURCE.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 60
# What may be longer, and why.
LONG_FUNCTIONS = {
    ("training/trainer.py", "fit"): "the training loop, to be read in one piece, with its arguments explained",
    ("policy/program.py", "boolean_program"): "the paper's program, constraint by constraint, to be read in one piece",
    ("world/shading.py", "light_rays"): "compiled by numba as one kernel",
    ("training/train_unit.py", "train_unit"): "one unit from its key to its file, with its arguments explained",
    ("data/prepare/finalize.py", "finish"): "the last step of prepare in its order, with its arguments explained",
}


def name_of(path: Path) -> str:
    """A module as imports name it."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


@cache
def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere in it, but where types alone are imported."""
    tree, found = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "taskonomy":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Every way from a node back to itself, once."""
    found, done = [], set()

    def follow(node: str, way: list[str]) -> None:
        if node in way:
            found.append([*way[way.index(node) :], node])
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                follow(other, [*way, node])
            done.add(node)

    for node in sorted(graph):
        follow(node, [])
    return found


def test_circles_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [["a", "b", "c", "a"]]
    assert circles({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_no_file_imports_itself_by_way_of_others() -> None:
    assert circles({name: imports(path) for name, path in MODULES.items()}) == []


def test_no_folder_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for other in imports(path):
            here, there = (str(one.parent.relative_to(SOURCE)) for one in (path, MODULES[other]))
            if "." not in (here, there) and here != there:  # files beside the folders are at the very bottom, or the package's facade
                graph[here].add(there)
    assert circles(graph) == []


def test_no_two_files_have_one_name() -> None:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in FILES:
        if path.name != "__init__.py":
            by_name[path.name].append(path)
    assert {name: paths for name, paths in by_name.items() if len(paths) > 1} == {}


def test_no_two_classes_have_one_name() -> None:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                by_name[node.name].append(name_of(path))
    assert {name: places for name, places in by_name.items() if len(places) > 1} == {}


def test_files_and_functions_are_small_but_for_a_reason() -> None:
    long_files = {str(path.relative_to(SOURCE)): lines for path in FILES if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert long_files == {}
    long = {
        (str(path.relative_to(SOURCE)), node.name)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert long == set(LONG_FUNCTIONS)
