"""Per-image losses of one target on disk: `TARGET.npz` with `losses` [candidates, images], `candidates` and optionally `BASELINES`, `groups`."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import normal, visible
from taskonomy.tables.table import join_sources, split_sources, wrong_names

BASELINES = ("scratch", "pixels", "average")


@dataclass(frozen=True)
class Losses:
    """The test losses of every candidate for one target.

    Attributes:
        target: The task that is solved.
        candidates: The sources of each transfer, joined by `+`; `self` is the target's own fully supervised network.
        losses: Lower is better; mapped from disk, so a block is read when it is used.
        scratch: Losses, on the same test images, of the target's whole network, trained from scratch on the transfer's images.
        average: The same of the best constant.
        groups: The building, or another group of images that are alike, of each; intervals are over groups where they are known.
        pixels: The same of a shallow network, trained as the transfers are, but on the images; the baseline of gain.
    """

    target: str
    candidates: list[str]
    losses: Shaped[np.ndarray, "candidates images"]
    scratch: Shaped[np.ndarray, " images"] | None = None
    pixels: Shaped[np.ndarray, " images"] | None = None
    average: Shaped[np.ndarray, " images"] | None = None
    groups: Shaped[np.ndarray, " images"] | None = None

    def __post_init__(self) -> None:
        if self.losses.ndim != 2 or len(self.losses) != len(self.candidates):
            raise TaskonomyError(f"target {self.target}: losses must be [{len(self.candidates)} candidates, images] (is {list(self.losses.shape)})")
        baselines = {name: array for name in BASELINES if (array := getattr(self, name)) is not None}
        for name, array in {"losses": self.losses, **baselines}.items():
            if not np.issubdtype(array.dtype, np.floating):
                raise TaskonomyError(f"target {self.target}: {name} must be floating-point numbers (is {array.dtype})")
        for name, array in (baselines if self.groups is None else baselines | {"groups": self.groups}).items():
            if array.shape != self.losses.shape[1:]:
                raise TaskonomyError(
                    f"target {self.target}: {name} must have one value for each of {self.losses.shape[1]} images (is {list(array.shape)})"
                )
        if not self.candidates:
            raise TaskonomyError(f"target {self.target}: no candidates")
        seen: dict[frozenset[str], str] = {}
        for name in self.candidates:
            sources = split_sources(name)
            # Names that no table could hold are refused before anything is computed.
            if wrong := next(wrong_names(self.target, sources), None):
                raise TaskonomyError(f"target {self.target}, candidate {name!r}: {wrong}")
            if (key := frozenset(sources)) in seen:
                raise TaskonomyError(f"target {self.target}, candidate {name}: stands twice (also as {seen[key]})")
            seen[key] = name


def find_losses(folder: Path | str) -> list[Path]:
    """Find the loss files of a folder, by target name; names that `policy` would refuse are refused before anything is computed.

    Raises:
        TaskonomyError: No such folder, no such file in it, or a file with names that no table can hold.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TaskonomyError(f"{folder}: no such folder; expected one with a TARGET.npz per target")
    if not (found := visible(folder.glob("*.npz"))):
        raise TaskonomyError(f"{folder}: no TARGET.npz in it")
    targets: dict[str, Path] = {}
    for path in found:
        if (first := targets.setdefault(normal(path.stem), path)) != path:
            raise TaskonomyError(f"{path}: its name is that of {first.name} in another Unicode form; keep one")
        _check_names(path)
    return found


def _check_names(path: Path) -> None:
    """Check the names in a loss file without reading its losses."""
    with tempfile.TemporaryDirectory(prefix="taskonomy-") as folder:
        candidates = _candidates(path, _arrays(path, Path(folder), "candidates")[0])
    try:
        Losses(normal(path.stem), candidates, np.zeros((len(candidates), 0)))
    except TaskonomyError as error:
        raise TaskonomyError(f"{path}: {error}") from None


def _candidates(path: Path, names: np.ndarray | None) -> list[str]:
    if names is None:
        raise TaskonomyError(f"{path}: must hold the arrays losses and candidates")
    if names.ndim != 1 or names.dtype.kind != "U":
        raise TaskonomyError(f"{path}: candidates must be a list of strings (is {names.dtype}, {list(names.shape)})")
    return [join_sources(split_sources(name)) for name in names.tolist()]


@contextmanager
def open_losses(path: Path, target: str | None = None) -> Iterator[Losses]:
    """Open one target's losses without holding them in memory; they are valid inside the `with` block only.

    Args:
        path: `TARGET.npz`, or any other name if `target` is given.
        target: Name of the target; None: the name of the file.
    """
    with tempfile.TemporaryDirectory(prefix="taskonomy-") as folder:
        losses, candidates, *others = _arrays(path, Path(folder), "losses", "candidates", *BASELINES, "groups")
        if losses is None:
            raise TaskonomyError(f"{path}: must hold the arrays losses and candidates")
        yield Losses(normal(target or path.stem), _candidates(path, candidates), losses, *others)


def read_losses(path: Path, *names: str) -> list[np.ndarray]:
    """Read the named arrays of an .npz; nothing in it is ever unpickled.

    Raises:
        TaskonomyError: The file cannot be read, or lacks one of the arrays.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise TaskonomyError(f"{path}: not readable losses ({error}); remove it, and run the stage that writes it again") from None


def _arrays(path: Path, folder: Path, *names: str) -> list[np.ndarray | None]:
    """Read arrays of an .npz, unpacked into a folder; None for each that it lacks."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [_mapped(archive, name, folder) for name in names]
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise TaskonomyError(f"{path}: not a readable .npz file: {error}") from None


def _mapped(archive: zipfile.ZipFile, name: str, folder: Path) -> np.ndarray | None:
    """Unpack an array of the archive as a stream and map it; pickled objects are refused."""
    if f"{name}.npy" not in archive.namelist():
        return None
    with archive.open(f"{name}.npy") as packed, open(folder / f"{name}.npy", "wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
