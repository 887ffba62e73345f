"""Index of a released root: a small file that stands for it, so that DVC sees a changed image without hashing terabytes.

`data.root` may name one. It holds the location of the root and, for each building and domain, the number of files, their bytes and a digest of their
names, sizes and times (in object storage: etags). A stage that reads the root depends on the index; when it is rewritten, it differs only if the
data does.

```
{"root": "s3://bucket/taskonomy", "layouts": [...], "splits": {"train_val_test_tiny.csv": DIGEST},
 "shelves": [[building, domain, path below the root, files, bytes, digest], ...]}
```
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from taskonomy.atomic_io import write_text
from taskonomy.errors import TaskonomyError
from taskonomy.release.archive import Archive
from taskonomy.release.layouts import FoundFiles, ReleasedSource, open_source
from taskonomy.release.object_storage import Place, place_of
from taskonomy.release.split_lists import split_lists

_AT_ONCE = 32  # archives looked at in parallel: network file systems and object storage are slow to answer
Progress = Callable[[Iterable[Archive], str], Iterable[Archive]]


@dataclass(frozen=True)
class Written:
    """Summary of a written index.

    Attributes:
        buildings: Number of buildings.
        domains: Number of domains.
        files: Number of files; a tar counts as one.
        bytes: Total size of the files.
    """

    buildings: int
    domains: int
    files: int
    bytes: int


def write_index(root: Place | str, path: Path, progress: Progress = lambda shelves, unit: shelves) -> Written:
    """Write the index of a released root from the metadata of every file. Only the split lists are read.

    Raises:
        TaskonomyError: There is no released data.
    """
    source = open_source(root, follow_links=True)
    rows: list[list[Any]] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for shelf, (files, size, marks) in zip(progress(source.shelves, "folders and tars"), pool.map(Archive.facts, source.shelves), strict=True):
            rows.append([shelf.building, shelf.domain, _below(shelf.path, source.root), files, size, _digest(marks.encode())])
    splits = {one.name: _digest(one.read_bytes()) for one in split_lists(source.root)}
    head = {"root": str(source.root), "layouts": list(source.layouts), "splits": splits}
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    write_text(path, f'{json.dumps(head)[:-1]}, "shelves": [\n{lines}\n]}}\n')
    return Written(len(source.buildings), len(source.domains), sum(row[3] for row in rows), sum(row[4] for row in rows))


def open_index(path: Path) -> ReleasedSource:
    """Open the root that an index stands for. Its folders and tars are taken from the index, without a search.

    Raises:
        TaskonomyError: The file is not an index, or the split lists have changed since it was written.
    """
    index = read_index(path)
    root = place_of(index["root"])
    shelves = [Archive(_under(root, below), building, domain) for building, domain, below, *_facts in index["shelves"]]
    if {one.name: _digest(one.read_bytes()) for one in split_lists(root)} != index["splits"]:
        raise TaskonomyError(f"{path}: the split lists of {root} are not those that it names; write it anew: taskonomy data index {root} -o {path}")
    return ReleasedSource(root, FoundFiles(shelves, index["layouts"], []))


def read_index(path: Path) -> dict[str, Any]:
    """Read an index as it is written.

    Raises:
        TaskonomyError: The file is not an index.
    """
    try:
        index = json.loads(path.read_text("utf-8"))
        good = isinstance(index["root"], str) and isinstance(index["splits"], dict) and {len(row) for row in index["shelves"]} <= {6}
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise TaskonomyError(f"{path}: neither a folder of images nor an index of one; taskonomy data index ROOT -o {path} writes an index")
    return dict(index)


def _below(path: Place, root: Place) -> str:
    return str(path).removeprefix(str(root)).strip("/")


def _under(root: Place, below: str) -> Place:
    for part in below.split("/"):
        if part == "..":
            raise TaskonomyError(f"index of {root}: {below!r} is not below it")
        root = root / part if part else root
    return root


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
