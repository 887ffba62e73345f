"""Types and shapes of all calls, as the signatures of taskonomy have them: whoever imports this, before all of taskonomy, has them checked."""

import ast
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from functools import partial, wraps
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any
from unittest.mock import patch

import jaxtyping
from beartype import BeartypeConf, beartype

PACKAGE = "taskonomy"
TAG = "checked1"  # of compiled files; another one for every other way to decorate
_check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
_of_inner: dict[object, Callable[..., Any]] = {}


def check(one: Any) -> Any:
    """A function whose calls are held against its signature; of a dataclass, its construction.

    The work on a function waits until it is called: most are in no one test process, and it takes seconds for all.
    """
    if inspect.isclass(one):
        if "__dataclass_fields__" in vars(one):
            one.__init__ = check(one.__init__)
        return one
    checked: Callable[..., Any] | None = None

    @wraps(one)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if jaxtyping.config.jaxtyping_disable:
            return one(*args, **kwargs)
        if checked is None:
            checked = _checked(one)
        return checked(*args, **kwargs)

    return call


def _checked(function: types.FunctionType) -> Callable[..., Any]:
    """jaxtyping compares the shapes of one call with each other; where there are none, beartype alone finds the same in a fraction of the time."""
    hints = {name: _hint(function, name) for name in function.__annotations__}
    if "<locals>" in function.__qualname__:
        return jaxtyping.jaxtyped(function, typechecker=_check_of_inner)
    if any(map(_has_shape, hints.values())) or inspect.isgeneratorfunction(function):  # of which beartype checks the arguments later than when called
        return jaxtyping.jaxtyped(function, typechecker=_check)
    same = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    same.__kwdefaults__, same.__module__, same.__qualname__ = function.__kwdefaults__, function.__module__, function.__qualname__
    same.__annotations__ = hints
    return _check(same)


def _check_of_inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """What checks the arguments of a function that is defined within another; it comes anew with each call of that, and once is enough.

    What jaxtyping asks about is not the function itself but a stand-in, which does nothing but have its signature.
    """
    key = (function.__module__, function.__qualname__, function.__code__, *function.__annotations__.items())
    try:
        known = _of_inner.get(key)
    except TypeError:  # an annotation that cannot be hashed
        return _check(function)
    return known or _of_inner.setdefault(key, _check(function))


def _hint(function: types.FunctionType, name: str) -> Any:
    """Anything, where it names what is imported for type checkers only."""
    alone = types.SimpleNamespace(__annotations__={name: function.__annotations__[name]})
    try:
        return typing.get_type_hints(alone, function.__globals__, include_extras=True)[name]
    except Exception:  # not only a NameError: tqdm[str], say, is none while running
        return Any


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, list):  # of the arguments of a Callable
        return any(map(_has_shape, hint))
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_shape, typing.get_args(hint)))


class _Decorate(ast.NodeTransformer):
    """`check` on every function, innermost, and on every class, outermost, but for what says `no_type_check`."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        docstring = bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        node.body.insert(docstring, ast.ImportFrom(__name__, [ast.alias("check", "_check_calls")], 0))
        return ast.fix_missing_locations(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if not any(isinstance(one, ast.Name) and one.id == "no_type_check" for one in node.decorator_list):
            self.generic_visit(node)
            node.decorator_list.append(ast.copy_location(ast.Name("_check_calls", ast.Load()), node))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.decorator_list.insert(0, ast.copy_location(ast.Name("_check_calls", ast.Load()), node))
        return node


class Loader(SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> types.CodeType:
        return compile(_Decorate().visit(ast.parse(data, path)), path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> types.CodeType | None:
        named = partial(importlib.util.cache_from_source, optimization=TAG)
        with patch("importlib._bootstrap_external.cache_from_source", named):  # of this module only: what it imports comes later
            return super().get_code(fullname)


class _Finder(PathFinder):
    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None) -> ModuleSpec | None:
        if fullname.split(".")[0] != PACKAGE:
            return None
        spec = super().find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


if PACKAGE not in sys.modules:  # a worker process has imported what it works with before it imports the module of a test
    sys.meta_path.insert(0, _Finder)
