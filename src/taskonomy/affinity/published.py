"""The authors' released result files: Python 2 pickles of `source1__source2__target` -> float.

A pickle is a program. This reader runs none of it: whatever asks for more than dicts, strings and float64 numbers is refused.
"""

import io
import pickle
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pandas as pd

from taskonomy.affinity.table import SELF
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.tasks import DICTIONARY

# Column of the table -> how the released files of it are named (`wins_vs_pixels` is gain, `wins_vs_task` quality).
_FILES = {"affinity": "affinities", "gain": "wins_vs_pixels", "quality": "wins_vs_task"}
# Later spellings of the result files, beside the paper-era keys of the dictionary; `pixels` is the baseline of gain itself.
_ALIASES = {"self": SELF, "segmentsemantic": "segment_semantic", "vanishing_point": "vanishing_point", "inpainting_whole": "inpainting"}
_BASELINE = "pixels"


class _Float64:
    """Stands for `numpy.dtype('f8')` while a pickle is read."""

    def __init__(self, kind: object, *_flags: object) -> None:
        if kind not in ("f8", "<f8"):
            raise pickle.UnpicklingError(f"number type {kind!r} instead of float64")

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] == "<"):
            raise pickle.UnpicklingError("float64 that is not little-endian")


def _scalar(kind: object, raw: object) -> float:
    """Stands for `numpy.core.multiarray.scalar`: eight bytes, written by Python 2 as a str and read as latin1."""
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    if not (isinstance(kind, _Float64) and isinstance(data, bytes) and len(data) == 8):
        raise pickle.UnpicklingError("a scalar that is not a float64")
    return float(struct.unpack("<d", data)[0])


def _latin1(text: object, encoding: object) -> bytes:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes into old protocols."""
    if not (isinstance(text, str) and encoding == "latin1"):
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


class _Restricted(pickle.Unpickler):
    """Resolves three names, to functions of this module, and refuses all others."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "scalar"): _scalar,
        ("numpy._core.multiarray", "scalar"): _scalar,
        ("numpy", "dtype"): _Float64,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (found := self._ALLOWED.get((module, name))) is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError("it asks for an outside object")


def read_released(path: Path | str) -> dict[str, float]:
    """Read one released result file, running nothing of it.

    Raises:
        TaskonomyError: if it holds, or asks for, anything but one dict of strings to float64 numbers.
    """
    try:
        values = _Restricted(io.BytesIO(Path(path).read_bytes()), encoding="latin1").load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle may raise anything; whatever it is, the file is refused
        raise TaskonomyError(f"{path}: refused: {error or type(error).__name__}; only dicts of strings to float64 are read") from None
    if type(values) is not dict:
        raise TaskonomyError(f"{path}: refused: holds a {type(values).__name__}, not a dict of strings to float64")
    for key, value in values.items():
        if type(key) is not str or type(value) is not float:
            raise TaskonomyError(f"{path}: refused: entry {key!r} is a {type(value).__name__}, not a string to float64")
    return values


def import_released(paths: Iterable[Path]) -> pd.DataFrame:
    """One affinity table from released affinity and win-rate files, under this project's task names.

    Rows whose source is the baseline `pixels` are gain 0.5 by construction and are left out.
    """
    columns: dict[str, dict[tuple[str, frozenset[str]], float]] = {}
    written: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
    for path in paths:
        column = _column_of(path)
        if column in columns:
            raise TaskonomyError(f"{path}: a second file of {column}; give one of each regime (1k, 16k) at a time")
        columns[column] = {}
        for key, value in read_released(path).items():
            *sources, target = _names(key, path)
            if _BASELINE in sources:
                continue
            transfer = (target, frozenset(sources))
            if transfer in columns[column]:
                raise TaskonomyError(f"{path}: {key} stands twice")
            columns[column][transfer] = value
            written.setdefault(transfer, tuple(sorted(sources)))
    if "affinity" not in columns:
        raise TaskonomyError(f"no file of affinities among those given; their names hold {', '.join(map(repr, _FILES.values()))}")
    rows = [
        {"target": target, "sources": sources, **{name: values.get((target, frozenset(sources))) for name, values in columns.items()}}
        for (target, _), sources in sorted(written.items(), key=lambda item: (item[0][0], len(item[1]), item[1]))
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(columns, float))


def _column_of(path: Path) -> str:
    for column, part in _FILES.items():
        if part in Path(path).name:
            return column
    raise TaskonomyError(f"{path}: which measurement is it? the file's name must hold one of {', '.join(map(repr, _FILES.values()))}")


def _names(key: str, path: Path) -> list[str]:
    known = {task.published_key: task.name for task in DICTIONARY.values() if task.published_key} | _ALIASES
    parts = key.split("__")
    if missing := [part for part in parts if part not in known and part != _BASELINE]:
        raise unknown(f"{path}: entry {key!r}", missing, known)
    if len(parts) < 2:
        raise TaskonomyError(f"{path}: entry {key!r} must be source__target")
    return [known.get(part, part) for part in parts]
