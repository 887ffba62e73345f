"""Which modules of the project a piece of code imports, by its text alone: also inside functions, and all that those import in turn."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

SOURCE = ROOT / "src"
PACKAGE = SOURCE / "taskonomy"


@cache
def imported(path: Path) -> frozenset[Path]:
    """The files of the project that a file takes names or modules from.

    A package that is only on the way to a module is left out: `__init__.py` is loaded with it, and decides nothing (see `does_nothing`).
    """
    return frozenset(file for name in _names(path) if (file := _file_of(name.split("."))) is not None and file != path)


def closure(*roots: Path, cut: Callable[[str, str], bool]) -> set[str]:
    """Modules of the package that running files may load, as paths in it; imports for which `cut` says so are not followed."""
    found: set[str] = set()
    left = list(roots)
    while left:
        importer = left.pop()
        for file in imported(importer):
            if (name := in_package(file)) not in found and not cut(in_package(importer), name):
                found.add(name)
                left.append(file)
    return found


def in_package(file: Path) -> str:
    """Its path in the package; a script's name."""
    return file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else file.name


def _names(path: Path) -> Iterator[str]:
    """Dotted names of `taskonomy` that are imported, `from a import b` as `a.b`, a module or not; what is for types only is left out."""
    tree = ast.parse(path.read_bytes(), str(path))
    for_types = {
        id(node) for one in ast.walk(tree) if isinstance(one, ast.If) and "TYPE_CHECKING" in ast.unparse(one.test) for node in _all(one.body)
    }
    package = path.relative_to(SOURCE).with_suffix("").parts[:-1] if path.is_relative_to(SOURCE) else ()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] == "taskonomy")
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*start, *([node.module] if node.module else [])])
            if name.partition(".")[0] == "taskonomy":
                yield from (f"{name}.{one.name}" for one in node.names)


def _all(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield from ast.walk(statement)


def _file_of(parts: list[str]) -> Path | None:
    """The module of this name, or the one that holds this name."""
    for length in (len(parts), len(parts) - 1):
        place = SOURCE.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if length and file.is_file():
                return file
    return None


def does_nothing(package: Path) -> bool:
    """An `__init__.py` that has a docstring and hands on names, and no more."""
    body = ast.parse(package.read_bytes()).body
    return all(
        isinstance(node, ast.ImportFrom | ast.Expr) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__") for node in body
    )
