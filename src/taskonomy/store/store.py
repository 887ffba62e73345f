"""Finished units of work, stored by what determines them: a network trained or measured once is never trained or measured again.

A unit is a file: a digest, then safetensors (arrays, and facts as JSON). The digest covers the key and all content, so damage
anywhere, or a unit under another's name, is noticed and the unit made again. Nothing is ever unpickled.
"""

import ast
import csv
import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from taskonomy.atomic_io import write_bytes
from taskonomy.errors import TaskonomyError

_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = 16  # bytes, of every digest here
_FORMAT = b"taskonomy unit 1"  # part of a unit's digest, so that units of other formats are made again, not read
_STATE = ".state"  # sealed by `taskonomy.training.checkpoint`
_BLOCK = 1 << 22  # bytes hashed at once
_SOURCE = Path(__file__).parents[1]


def store_root(project: Path = Path(".")) -> Path:
    """Return the folder `units` beside DVC's cache: all workspaces that share the cache share the units, those of `dvc exp run --temp` included.

    Raises:
        TaskonomyError: There is no `.dvc` folder at `project`, or DVC cannot read its configuration.
    """
    return _dvc_cache(project).with_name("units")


def key_of(**what: Any) -> str:
    """Compute a unit's key: a digest of everything that determines it, whatever the order of the arguments.

    Enums count by value, tuples as lists, floats by every digit.

    Raises:
        TypeError: Something is not plain data.
    """
    text = json.dumps({name: _plain(value, name) for name, value in what.items()}, sort_keys=True, separators=(",", ":"))
    return _hex(text.encode())


def digest_of(*arrays: np.ndarray) -> str:
    """Compute a digest of the arrays' types, shapes and content, whatever their memory layout; a memory-mapped array is never copied whole.

    Raises:
        TypeError: An array holds objects, which have no content of their own.
    """
    digest = blake2b(digest_size=_DIGEST)
    for array in arrays:
        if array.dtype.hasobject:
            raise TypeError("arrays of objects have no digest")
        digest.update(f"{np.lib.format.dtype_to_descr(array.dtype)}{array.shape}\n".encode())
        step = max(1, _BLOCK // max(1, array.itemsize))
        flat = array.reshape(-1) if array.flags.c_contiguous else array.flat  # slices of `flat` are copies, in C order
        for start in range(0, array.size, step):
            digest.update(flat[start : start + step].view(np.uint8).data)
    return digest.hexdigest()


@cache
def code_digest(*packages_or_modules: str, root: Path = _SOURCE) -> str:
    """Compute a digest of the source of modules, and of all modules below packages, without comments, docstrings and layout.

    Nothing is imported.

    Args:
        packages_or_modules: Dotted names, with or without the leading `taskonomy`.
        root: The folder of the package `taskonomy`.

    Raises:
        ModuleNotFoundError: A name is no module below `root`.
    """
    files = {path for name in packages_or_modules for path in _sources(name, root)}
    code = {path.relative_to(root).as_posix(): _without_docstrings(path) for path in files}
    return _hex(json.dumps(code, sort_keys=True).encode())


@dataclass(frozen=True)
class Unit:
    """A finished unit of work."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


class Store:
    """A folder of finished units, and of the states of unfinished trainings; it is created with the first of them."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def read(self, key: str) -> Unit | None:
        """Read a unit; None where there is none, or where it is damaged: then it is removed, and standard error says so.

        Raises:
            TaskonomyError: The file exists and cannot be read, or cannot be removed.
        """
        path = self.path(key)
        try:
            data = path.read_bytes()
            if (unit := _unpacked(key, data)) is None:
                path.unlink(missing_ok=True)
                print(f"{path}: damaged, so it is removed and made again", file=sys.stderr)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TaskonomyError(f"{path}: {error.strerror or error}") from None
        return unit

    def write(self, key: str, arrays: Mapping[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Write a unit, whole or not at all, and remove the state of its training.

        Raises:
            TypeError: An array does not hold numbers, or the facts are not JSON.
            TaskonomyError: The disk is full, or the folder cannot be written.
        """
        self._keep(key, _packed(_checked(key), arrays, facts))

    def packed(self, key: str) -> bytes:
        """Read a unit's file, for another store.

        Raises:
            TaskonomyError: The file cannot be read.
        """
        try:
            return self.path(key).read_bytes()
        except OSError as error:
            raise TaskonomyError(f"{self.path(key)}: {error.strerror or error}") from None

    def accept(self, key: str, data: bytes) -> None:
        """Write a unit's file that `packed` of another store returned.

        Raises:
            TaskonomyError: It was damaged on its way; or as `write`.
        """
        if _unpacked(key, data) is None:
            raise TaskonomyError(f"{self.path(key)}: came damaged")
        self._keep(key, data)

    def identity(self) -> Path:
        """Return the marker file that identifies this store, created if needed: a worker that sees the same file there shares this file system."""
        path = self.root / ".identity"
        if not path.exists():
            write_bytes(path, uuid4().hex.encode())
        return path

    def has(self, key: str) -> bool:
        """Return whether a unit's file exists, damaged or not."""
        return self.path(key).is_file()

    def size_of(self, key: str) -> int:
        """Return the bytes of a unit's file; 0 where there is none."""
        return self.path(key).stat().st_size if self.has(key) else 0

    def unfinished(self, key: str) -> Path:
        """Return the path for the state of this unit's interrupted training, in a folder that exists."""
        path = self._state(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TaskonomyError(f"{path}: {error.strerror or error}") from None
        return path

    def keys(self) -> Iterator[str]:
        """Yield the keys of the units, in order."""
        for path in sorted(self.root.glob("??/*.unit")):
            if _KEY.fullmatch(path.stem) and path.parent.name == path.stem[:2]:
                yield path.stem

    def states(self) -> Iterator[str]:
        """Yield the keys of the units whose training has left a state, in order."""
        yield from (path.stem for path in sorted(self.root.glob(f"unfinished/*{_STATE}")) if _KEY.fullmatch(path.stem))

    def size(self) -> int:
        """Compute the bytes on disk, states of unfinished trainings included."""
        total = 0
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):  # a writer may just have renamed its temporary file
                total += path.stat().st_size if path.is_file() else 0
        return total

    def remove(self, key: str) -> None:
        """Remove a unit, if it exists."""
        self.path(key).unlink(missing_ok=True)

    def clear(self, used: Collection[str] | None) -> tuple[int, int]:
        """Remove the units that are not in use, and states whose unit is finished; None removes every unit and state.

        Returns:
            The numbers of units and of states removed.
        """
        states = [key for key in self.states() if used is None or self.has(key)]
        units = [key for key in self.keys() if used is None or key not in used]
        for key in states:
            self._state(key).unlink(missing_ok=True)
        for key in units:
            self.remove(key)
        if used is None:
            for left in [*self.root.glob("??/.*.unit.*.unfinished"), *self.root.glob(f"unfinished/.*{_STATE}.*.unfinished")]:
                left.unlink(missing_ok=True)  # temporary files of writers that were killed
        return len(units), len(states)

    def _keep(self, key: str, data: bytes) -> None:
        path = self.path(key)
        try:
            write_bytes(path, data)
            self._state(key).unlink(missing_ok=True)
        except OSError as error:
            raise TaskonomyError(f"{path}: {error.strerror or error}") from None

    def path(self, key: str) -> Path:
        """Return the path of a unit, whether or not it exists."""
        return self.root / _checked(key)[:2] / f"{key}.unit"

    def _state(self, key: str) -> Path:
        return self.root / "unfinished" / f"{_checked(key)}{_STATE}"


@dataclass(frozen=True)
class Usage:
    """Which units are in use, and which outputs could not be read to find out."""

    workspace: frozenset[str]
    revisions: frozenset[str]
    gone: int  # outputs whose content is no longer in DVC's cache, so that the units they use are unknown
    unreadable: tuple[str, ...]  # one line for each listing of units that is damaged


def usage(project: Path = Path(".")) -> Usage:
    """Find the units that `units.csv` of any output names: in the workspace, and in DVC's cache for every dvc.lock that a git ref reaches.

    Raises:
        TaskonomyError: There is no `.dvc` folder at `project`.
    """
    stored = _dvc_cache(project) / "files" / "md5"
    unreadable: list[str] = []
    gone = 0
    workspace: set[str] = set()
    revisions: set[str] = set()
    here = _folders([(project / "dvc.lock").read_bytes()] if (project / "dvc.lock").is_file() else [], unreadable)
    committed = _folders(_committed(project, unreadable), unreadable)

    for path in sorted(file for folders in here.values() for folder in folders for file in (project / folder).rglob("units.csv")):
        try:
            workspace |= _named(path)
        except _DAMAGE as error:
            unreadable.append(f"{path}: {error}")
    for digest, folders in (committed | here).items():
        listing = _stored(stored, digest)
        try:
            for table in _tables(listing):
                found = _named(_stored(stored, table))
                workspace |= found if digest in here else set()
                revisions |= found if digest in committed else set()
        except FileNotFoundError:
            gone += not (digest in here and all((project / folder).is_dir() for folder in folders))
        except _DAMAGE as error:
            unreadable.append(f"{listing} ({', '.join(sorted(folders))}): {error}")
    return Usage(frozenset(workspace), frozenset(revisions), gone, tuple(dict.fromkeys(unreadable)))


_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error)  # what reading a damaged listing raises


def _dvc_cache(project: Path) -> Path:
    """Return the folder of DVC's cache, as DVC itself reads its configuration files (0.1 s)."""
    from taskonomy.dvc_internals import Config, ConfigError

    folder = project / ".dvc"
    if not folder.is_dir():
        raise TaskonomyError(f"{folder}: no such folder; this runs at the root of a DVC project")
    try:
        configured = Config(str(folder), validate=False).get("cache", {}).get("dir")
    except ConfigError as error:
        raise TaskonomyError(f"{folder}: {error}") from None
    if configured is not None and "://" in configured:
        raise TaskonomyError(f"{folder}: cache.dir must be a folder of this machine (is {configured})")
    return Path(configured or folder / "cache").absolute()


def _stored(files: Path, digest: str) -> Path:
    """Return the path of a file in DVC's cache."""
    return files / digest[:2] / digest[2:]


def _tables(listing: Path) -> list[str]:
    """Read the digests of each units.csv in a folder that DVC's cache lists."""
    entries = json.loads(listing.read_bytes())
    if not isinstance(entries, list):
        raise ValueError("no list of files")
    return [entry["md5"] for entry in entries if entry["relpath"].split("/")[-1] == "units.csv"]


def _named(path: Path) -> set[str]:
    """Read the keys in a units.csv."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if "key" not in (rows.fieldnames or ()):
            raise ValueError("no column `key`")
        return {_checked(row["key"]) for row in rows}


def _committed(project: Path, unreadable: list[str]) -> Iterator[bytes]:
    """Yield each version of dvc.lock that some git ref reaches, experiments included, once; none outside git."""

    def git(*arguments: str, given: bytes = b"") -> bytes:
        return subprocess.run(["git", "-C", str(project), *arguments], input=given, capture_output=True, check=True).stdout

    try:
        # Full history: git leaves out side branches that a merge made no difference to, and their dvc.lock with them.
        listed = git("rev-list", "--all", "--full-history", "--objects", "--", "dvc.lock").decode(errors="replace").splitlines()
        blobs = [name for name, _space, path in (line.partition(" ") for line in listed) if path.split("/")[-1] == "dvc.lock"]
        content = BytesIO(git("cat-file", "--batch", given="".join(f"{name}\n" for name in blobs).encode()))
    except (OSError, subprocess.CalledProcessError) as error:
        if any((folder / ".git").exists() for folder in (project.absolute(), *project.absolute().parents)):
            said = getattr(error, "stderr", b"") or str(error).encode()
            unreadable.append(f"git: {' '.join(said.decode(errors='replace').split())}")
        return
    for name in blobs:
        head = content.readline().split()
        if head[1:2] != [b"blob"]:
            unreadable.append(f"git: dvc.lock {name} is missing")
            continue
        yield content.read(int(head[2]))
        content.readline()


def _folders(locks: Iterable[bytes], unreadable: list[str]) -> dict[str, set[str]]:
    """Find the folders among the outputs of these dvc.lock: the digest of DVC's listing -> the paths that it is an output at."""
    import yaml

    blocks: dict[bytes, None] = {}
    for lock in locks:
        blocks |= dict.fromkeys(_stages(lock))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    folders: dict[str, set[str]] = {}
    for block in blocks:
        try:
            content = yaml.load(block, loader) or {}  # noqa: S506
            stages = content.get("stages", {}) if "schema" in content else content
            for out in [out for stage in stages.values() for out in stage.get("outs", ())]:
                if out.get("md5", "").endswith(".dir"):
                    folders.setdefault(out["md5"], set()).add(out["path"])
        except (yaml.YAMLError, *_DAMAGE) as error:
            unreadable.append(f"a dvc.lock: {' '.join(str(error).split())}")
    return folders


def _stages(lock: bytes) -> list[bytes]:
    """Split a dvc.lock into its stages, each YAML of its own: a commit changes few of them, and parsing YAML is slow.

    A file that does not look as DVC writes it is returned whole.
    """
    head = b"schema: '2.0'\nstages:\n"
    if lock.startswith(head) and all(line.startswith(b"  ") or not line for line in lock[len(head) :].split(b"\n")):
        return re.split(rb"^(?=  [^ ])", lock[len(head) :], flags=re.MULTILINE)
    return [lock]


def _packed(key: str, arrays: Mapping[str, np.ndarray], facts: dict[str, Any]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise TypeError(f"array {name!r} of a unit must hold numbers (is {array.dtype})")
    try:
        # safetensors copies memory as it is, so arrays have to be in C order
        payload = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, {"facts": json.dumps(facts)})
    except SafetensorError as error:
        raise TypeError(f"safetensors: {error}") from None
    return _seal(key, payload) + payload


def _unpacked(key: str, data: bytes) -> Unit | None:
    """Read a unit from its file's content; None where it is not what was written under this key."""
    seal, payload = data[:_DIGEST], data[_DIGEST:]
    if seal != _seal(key, payload):
        return None
    header = int.from_bytes(payload[:8], "little")
    return Unit(load(payload), json.loads(json.loads(payload[8 : 8 + header])["__metadata__"]["facts"]))


def _seal(key: str, payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST, key=bytes.fromhex(key), person=_FORMAT).digest()


def _hex(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST).hexdigest()


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"a unit's key is 32 hexadecimal digits (is {key!r})")
    return key


def _plain(value: Any, where: str) -> Any:
    """Convert a value to JSON data."""
    match value:
        case Enum():
            return _plain(value.value, where)
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_plain(item, where) for item in value]
        case dict() if all(isinstance(name, str) for name in value):
            return {str(_plain(name, where)): _plain(item, f"{where}.{name}") for name, item in value.items()}
    raise TypeError(f"{where}: a unit is determined by plain data, not by {type(value).__name__}")


def _sources(name: str, root: Path) -> list[Path]:
    """List the files of a module, or of a package and all below it."""
    parts = name.split(".")[name.split(".")[0] == "taskonomy" :]
    path = root.joinpath(*parts)
    if all(part.isidentifier() for part in parts):
        if path.is_dir() and (files := [file for file in path.rglob("*.py") if file.stem.isidentifier()]):
            return files
        if parts and path.with_suffix(".py").is_file():
            return [path.with_suffix(".py")]
    raise ModuleNotFoundError(f"no module {name!r} in {root}")


def _without_docstrings(path: Path) -> str:
    tree = ast.parse(path.read_bytes(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)
