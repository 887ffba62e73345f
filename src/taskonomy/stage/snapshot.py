"""Check that what a stage depends on is still as it was when the stage began.

DVC hashes dependencies when a command has ended, and assumes that the command used what it finds then. So each stage records what it finds when it
begins, before it loads any code that decides its result (see `stage`), and compares: before it moves each output into place, and at the end.

As in DVC's own cache of hashes, time, size and inode stand for contents. Two kinds of files are hashed as well: small ones, because a file that was
touched but has the same bytes counts as unchanged, and files changed so recently that their file system's clock may not distinguish the next edit.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from importlib.util import cache_from_source
from pathlib import Path
from stat import S_ISREG
from typing import Any

from taskonomy.errors import TaskonomyError
from taskonomy.stage.declaration import DeclaredStage

_SMALL, _FEW = 1 << 20, 1000  # largest file in bytes, and number of files of a folder, that are hashed: includes all code, takes 10 ms in all
_MANY = 10_000  # files; larger folders are checked at the end only: a second for each 200,000 files
_BEHIND = 50_000_000  # nanoseconds that a file system's clock may lag behind
_SECOND = 1_000_000_000  # nanoseconds; bytecode records its source's time to the second
_NOT_OURS = frozenset({"__pycache__", ".git", ".hg", ".dvc"})  # written by Python; DVC ignores them in dependencies
_UNFINISHED = ".unfinished"
_NAMED = 3  # names in a message
_NOTHING = "\0"  # the value of a missing key

Stat = tuple[int, int, int]  # bytes, time of the last change (nanoseconds since 1970), inode


@dataclass(frozen=True)
class InputSnapshot:
    """The state of everything that a stage depends on, at one moment.

    Attributes:
        folders: Dependency -> its files (path: size, time, inode).
        digests: Digests of files that are small or were changed recently.
        lately: Recently changed files, for which size, time and inode do not suffice.
        params: File of parameters -> values of the keys that are read.
        texts: Contents of the files of parameters.
        root: Folder of the project; names in messages are relative to it.
    """

    folders: Mapping[str, dict[str, Stat]]
    digests: Mapping[str, bytes]
    lately: frozenset[str]
    params: Mapping[str, dict[str, Any]]
    texts: Mapping[str, bytes]
    root: str = field(default_factory=os.getcwd)

    @classmethod
    def now(cls, stage: DeclaredStage, more: Iterable[str] = ()) -> "InputSnapshot":
        """Take a snapshot of everything that a stage depends on.

        Args:
            stage: Its declaration in dvc.yaml.
            more: Files and folders that it depends on besides those.
        """
        texts = {path: _text(path) for path in stage.params}  # read first, so that values compared later are not newer than these
        whole = [path for path, keys in stage.params.items() if not keys or not path.endswith((".yaml", ".yml", ".json"))]
        folders = {path: _files(path) for path in dict.fromkeys((*stage.deps, *more, *whole))}
        moment = time.time_ns() - _BEHIND
        small = [path for files in folders.values() if len(files) <= _FEW for path, stat in files.items() if stat[0] <= _SMALL]
        lately = [path for files in folders.values() for path, stat in files.items() if stat[1] >= moment]
        digests = {path: digest for path in {*small, *lately} if (digest := _digest(path)) is not None}
        params = {path: _values(texts[path], keys) for path, keys in stage.params.items() if path not in whole}
        return cls(folders, digests, frozenset(lately), params, texts)

    def changed(self, *, all_files: bool = True) -> list[str]:
        """Return the files and keys of parameters that have changed.

        Args:
            all_files: Whether to check folders of very many files as well.
        """
        found: dict[str, None] = {}
        for folder, before in self.folders.items():
            if len(before) > _MANY and not all_files:
                continue
            now = _files(folder)
            for path in sorted(before.keys() | now.keys()) if before != now else ():
                if before.get(path) != now.get(path) and not self._same_bytes(path):
                    found[path] = None
            for path in sorted(self.lately & before.keys()):
                if not self._same_bytes(path):
                    found[path] = None
        keys = [key for path, values in self.params.items() for key in self._changed_keys(path, values)]
        names = [os.path.relpath(path, self.root) for path in found]
        return [*(_not_ignored(names, self.root) if names else ()), *keys]

    def of_few(self) -> "InputSnapshot":
        """Return the snapshot without folders of very many files, for other processes that write parts of the result."""
        return replace(self, folders={folder: files for folder, files in self.folders.items() if len(files) <= _MANY})

    def _same_bytes(self, path: str) -> bool:
        return path in self.digests and _digest(path) == self.digests[path]

    def _changed_keys(self, path: str, before: Mapping[str, Any]) -> Iterator[str]:
        text = _text(path)
        if text == self.texts[path]:
            return
        now = _values(text, before)
        name = os.path.relpath(path, self.root)
        yield from (f"{key} of {name}" for key in before if before[key] != now[key])


_begun: InputSnapshot | None = None  # of this process


def begin(seen: InputSnapshot | None) -> None:
    """Set the snapshot that everything this process writes from now on depends on."""
    global _begun  # one per process, as is the stage
    _begun = seen


def begun() -> InputSnapshot | None:
    """Return the snapshot taken when the stage began; None: DVC runs no stage in this process."""
    return _begun


def refuse_changed(path: Path | str = "") -> None:
    """Check that nothing the stage depends on has changed; call it before anything is stored that a later run may use.

    Args:
        path: The file or folder that is to be moved into place; one inside a folder that will itself be moved is not checked.

    Raises:
        TaskonomyError: A dependency has changed.
    """
    if _begun is not None and _UNFINISHED not in os.path.dirname(path) and (names := _begun.changed(all_files=False)):
        raise TaskonomyError(changed_message(names))


def text_as_begun(path: Path | str) -> str:
    """Return the text of a file of parameters; within a stage, as it was when the stage began.

    Raises:
        OSError, UnicodeDecodeError: The file cannot be read.
    """
    known = None if _begun is None else _begun.texts.get(os.path.abspath(path))
    return Path(path).read_text(encoding="utf-8") if known is None else known.decode()


def changed_message(names: list[str], why: str = "") -> str:
    """Format the message of a stage whose dependencies have changed."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more} changed while the stage ran{why}; run it again"


def forget_stale_bytecode(seen: InputSnapshot) -> None:
    """Remove bytecode that may belong to an earlier source.

    Python compares the source's size and its time in seconds, so it misses a second edit within a second.
    """
    for files in seen.folders.values():
        for path, (_size, touched, _inode) in files.items():
            if path.endswith(".py"):
                compiled = cache_from_source(path)
                with suppress(OSError):  # there is none, or this user may not remove it
                    if os.stat(compiled).st_mtime_ns < (touched // _SECOND + 1) * _SECOND:
                        os.unlink(compiled)


def _files(path: str) -> dict[str, Stat]:
    """List a file, or all files in a folder and its subfolders; as in DVC, links to folders are not followed."""
    found: dict[str, Stat] = {}
    folders = [path]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except NotADirectoryError:
            stat = os.stat(path)
            return {path: (stat.st_size, stat.st_mtime_ns, stat.st_ino)}
        except FileNotFoundError:  # it has been removed
            continue
        with entries:
            for entry in entries:
                if entry.name in _NOT_OURS or entry.name.endswith(_UNFINISHED):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                try:
                    stat = entry.stat()
                except FileNotFoundError:  # it has been removed, or is a dangling link
                    continue
                if S_ISREG(stat.st_mode):
                    found[entry.path] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found


def _digest(path: str) -> bytes | None:
    digest = blake2b(digest_size=16)
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_SMALL):
                digest.update(block)
    except OSError:
        return None
    return digest.digest()


def _text(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def _values(text: bytes, keys: Iterable[str]) -> dict[str, Any]:
    """Return the values of dotted keys."""
    import yaml

    try:
        whole = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # a safe loader
    except yaml.YAMLError:
        whole = None  # so that each key counts as changed
    return {key: _comparable(_looked_up(whole, key)) for key in keys}


def _looked_up(value: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return _NOTHING
        value = value[part]
    return value


def _comparable(value: Any) -> Any:
    """Make a value comparable: NaN, which differs from itself, becomes equal to itself."""
    return value if value == value else json.dumps(value)


def _not_ignored(names: list[str], root: str) -> list[str]:
    """Drop names that .dvcignore excludes, as DVC ignores them too. DVC itself is asked, which takes a second, but only after a change was found."""
    from taskonomy.dvc_internals import DvcIgnoreFilter, localfs

    top = next((str(folder) for folder in (Path(root), *Path(root).parents) if (folder / ".dvc").is_dir()), root)
    ignored = DvcIgnoreFilter(localfs, top)
    return [name for name in names if not ignored.is_ignored_file(os.path.abspath(os.path.join(root, name)))]
