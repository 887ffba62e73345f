"""That calls are held against signatures while testing."""

from contextlib import suppress
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from checks import Loader
from jaxtyping import TypeCheckError
from tiny import unchecked

from taskonomy.annotate.pixel_scale import length
from taskonomy.world.meshes import Shape, rectangle

WRITTEN = '''"""A module."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, no_type_check

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from pathlib import Path

Vector = Float[np.ndarray, " n"]


def count(values: list[int], *, times: int = 1, where: "Path | None" = None) -> int:
    return times * (len(values) if where is None else where)

def dot(a: Vector, b: Vector) -> Float[np.ndarray, ""]:
    return np.asarray(a @ b[: len(a)])

def pairs(them: "list[tuple[Vector, Vector]]") -> int:
    return len(them)

def scaled(values: Vector, by: int) -> list[float]:
    def one(value: float, by: int) -> int:
        return value if by == 0 else int(value) * by

    return [one(float(value), by) for value in values]

@no_type_check
def anything(value: int) -> int:
    return value

@contextmanager
def within(name: str) -> Iterator[str]:
    yield name

class Plain:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def size(self) -> int:
        return self.name

    @classmethod
    def named(cls, name: str) -> "Plain":
        return cls(name)

@dataclass(frozen=True)
class Both:
    first: Vector
    second: Vector
    name: str = ""
'''


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    path: Path = tmp_path_factory.mktemp("module") / "written.py"
    path.write_text(WRITTEN)
    loader = Loader("written", str(path))
    module = module_from_spec(spec_from_loader("written", loader))
    loader.exec_module(module)
    return module


ONES = np.ones(3)


def test_calls_that_fit_give_what_they_give(written: ModuleType) -> None:
    assert written.count([1, 2], times=3) == 6
    assert written.dot(ONES, ONES) == 3
    assert written.pairs([(ONES, ONES)]) == 1
    assert written.scaled(ONES, 2) == [2, 2, 2]
    assert written.anything("1") == "1"
    with written.within("a") as name:
        assert name == "a"
    assert written.Plain.named("a").name == "a"
    assert written.Both(ONES, ONES).name == ""
    assert (written.count.__name__, written.count.__doc__, written.__doc__) == ("count", None, "A module.")


@pytest.mark.parametrize(
    "call",
    [
        lambda of: of.count(["1"]),
        lambda of: of.count([1], times="2"),
        lambda of: of.count([], where="3"),  # returns a text
        lambda of: of.dot(ONES, [1, 1, 1]),
        lambda of: of.dot(ONES, ONES.astype(int)),
        lambda of: of.dot(ONES, np.ones((3, 1))),
        lambda of: of.dot(ONES, np.ones(4)),  # each is a vector
        lambda of: of.pairs([(ONES, np.ones(4))]),
        lambda of: of.scaled(ONES, 0),  # of the inner function
        lambda of: of.within(1),
        lambda of: of.Plain(1),
        lambda of: of.Plain.named(1),
        lambda of: of.Plain("a").size,
        lambda of: of.Both(ONES, ONES, 1),
        lambda of: of.Both(ONES, np.ones(4)),
    ],
)
def test_what_does_not_fit_a_signature_is_an_error(written: ModuleType, call) -> None:
    for _ in range(2):  # of an inner function, another one
        with pytest.raises(TypeCheckError):
            call(written)
    with unchecked(), suppress(AttributeError, TypeError, ValueError):  # what happens without checks
        call(written)


def test_the_packages_functions_are_checked() -> None:
    with pytest.raises(TypeCheckError, match="resolution"):
        length(2.0, resolution="64", floor=1.0)


def test_a_wrong_shape_is_an_error_but_where_checks_are_off() -> None:
    good = rectangle((0, 0, 0), (1, 0, 0), (0, 1, 0))
    values = good.vertices[:, :2], good.normals, good.faces, good.local
    with pytest.raises(TypeCheckError, match="vertices"):
        Shape(*values)
    with unchecked():
        assert Shape(*values).vertices.shape == (4, 2)
    with pytest.raises(TypeCheckError, match="vertices"):
        Shape(*values)
