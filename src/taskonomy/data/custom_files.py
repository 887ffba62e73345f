"""Find a user's images and label files, in sub-folders too, and match labels to images by name."""

import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, takewhile
from pathlib import Path

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import is_hidden, normal
from taskonomy.release.discover import hides_from_dvc, refuse_links
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import IMAGES

NAME = "{name}"  # stands in a pattern of label files for the name of the image


def files_below(folder: Path) -> list[Path]:
    """Return every file below a folder that is data, sorted; links to folders are refused, because DVC does not follow them."""
    links: list[str] = []
    found = sorted(_below(folder, links))
    refuse_links(folder, sorted(links), "")
    return found


def by_name(folder: Path, extensions: Collection[str]) -> dict[str, Path]:
    """Return the files below a folder by name: their path below it without extension, as `cats/1` of `cats/1.png`.

    Raises:
        TaskonomyError: There are files with other extensions, or two with one name.
    """
    files: dict[str, Path] = {}
    odd = []
    for path in files_below(folder):
        below = path.relative_to(folder)
        if path.suffix.lower() not in extensions:
            odd.append(below.as_posix())
        elif files.setdefault(name := normal(below.with_suffix("").as_posix()), path) != path:
            raise TaskonomyError(f"{folder}: {files[name].relative_to(folder)} and {below} have the same name; keep one")
    if odd:
        raise TaskonomyError(f"{folder}: {len(odd):,} files are no {' or '.join(sorted(extensions))}: {few(odd)}")
    return files


def by_pattern(root: Path, pattern: str, names: Iterable[str], extensions: Collection[str]) -> dict[str, Path]:
    """Return the label file of each image by a pattern such as `depth/{name}_depth.png`; of `*` in it, whatever file there is.

    Raises:
        TaskonomyError: The pattern leads out of the folder, or two files of one image fit it.
    """
    found: dict[str, Path] = {}
    there = {normal(path.relative_to(root).as_posix()): path for path in files_below(root)} if "*" in pattern else {}
    ordered = sorted(there)
    for name in names:
        place = pattern.replace(NAME, name)
        if "*" in pattern:
            start = pattern.partition("*")[0].replace(NAME, name)
            fits = re.compile("[^/]*".join(re.escape(part.replace(NAME, name)) for part in pattern.split("*")))
            near = takewhile(lambda below, start=start: below.startswith(start), islice(ordered, bisect_left(ordered, start), None))  # type: ignore[misc]
            paths = [there[below] for below in near if fits.fullmatch(below) and there[below].suffix.lower() in extensions]
        else:
            paths = [path] if (path := root / place).is_file() else []
        if len(paths) > 1:
            raise TaskonomyError(
                f"{root}: {few([path.relative_to(root).as_posix() for path in paths])} all fit {pattern} for the image {name}; keep one"
            )
        if paths:
            found[name] = paths[0]
    return found


def _below(folder: Path, links: list[str]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if hides_from_dvc(entry):
                links.append(entry.path)
            elif entry.is_dir():
                yield from _below(Path(entry.path), links)
            else:
                yield Path(entry.path)


class Names:
    """The names of images, and the image that a name in a table means.

    Args:
        files: Path of each image by its name.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files
        self._short: dict[str, list[str]] = {}
        for name in files:
            self._short.setdefault(name.rpartition("/")[2], []).append(name)

    def find(self, text: str) -> str | None:
        """Return the image that a cell of a table means: its name, its path with any folders before it, or its file's name where only one has it."""
        name = without_extension(normal(text.strip()).replace("\\", "/"))
        parts = [part for part in name.split("/") if part not in ("", ".")]
        for start in range(len(parts)):
            if (place := "/".join(parts[start:])) in self.files:
                return place
        short = self._short.get(parts[-1], []) if len(parts) == 1 else []
        return short[0] if len(short) == 1 else None

    def lost_zeros(self, unknown: Collection[str]) -> str | None:
        """Return an example, `1 is 0001`, if what is unknown are names without their leading zeros, as spreadsheets write them."""
        if not unknown or not all(one.isdecimal() for one in map(without_extension, unknown)):
            return None
        shortened = {short.lstrip("0") or "0": short for short in self._short if short.isdecimal()}
        pairs = [(one, shortened[bare]) for one in map(without_extension, sorted(unknown)) if (bare := one.lstrip("0") or "0") in shortened]
        return f"{pairs[0][0]} is {pairs[0][1]}" if len(pairs) == len(unknown) else None


def without_extension(name: str) -> str:
    """Return a name without the extension of an image."""
    head, dot, extension = name.rpartition(".")
    return head if dot and f".{extension.lower()}" in IMAGES else name


def bytes_of(path: Path) -> bytes:
    """Read a file.

    Raises:
        DamagedFileError: It cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"unreadable: {error.strerror or error}") from None
    if not data:
        raise DamagedFileError("empty file")
    return data


def pair(where: Path, labelled: Iterable[str], names: Collection[str]) -> None:
    """Refuse labels of images that do not exist.

    Raises:
        TaskonomyError: There are some; the message gives their number and the first few.
    """
    wanted = set(labelled)
    if lost := sorted(wanted - set(names), key=numbers_as_numbers):
        raise TaskonomyError(f"{where}: {len(lost):,} of {len(wanted):,} labels have no image: {few(lost)}")


def numbers_as_numbers(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a key that sorts numbers in names by their value."""
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name) if part)
