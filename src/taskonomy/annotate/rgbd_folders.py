"""Find images, depths and intrinsics in a folder of RGB-D images, in the layouts that depth cameras and common data sets have.

NAME.png|jpg  NAME_depth.png                                side by side
rgb|color|colour|image|images|jpg/NAME.*  depth/NAME.*      a folder each, as of ScanNet (color, depth) and of NYU's exports
rgb.txt  depth.txt                                          of TUM: lists `time path`, matched by the nearest time within 0.02 s
r-TIME-*.ppm  d-TIME-*.pgm                                  of NYU's raw recordings, matched likewise
intrinsics|intrinsic/NAME.txt, or one file for all          a matrix of 3 x 3 or 4 x 4, or fx fy cx cy
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import number, visible
from taskonomy.release.pictures import IMAGES

COLOURS = ("rgb", "color", "colour", "image", "images", "jpg")
DEPTHS = ("depth", "depths")
PICTURES = (*IMAGES, ".ppm")
DEPTH_FILES = (".png", ".tif", ".tiff", ".npy", ".pgm")
NEAREST = 0.02  # seconds between an image and its depth, at most, as TUM's own tool has it
_FOLDERS = ("intrinsics", "intrinsic")
# Of one file for all images; the depth's camera, to which both are registered, before the colour camera.
_FOR_ALL = ("intrinsics.txt", "intrinsic.txt", "intrinsic_depth.txt", "intrinsics_depth.txt", "intrinsic_color.txt", "camera.txt", "K.txt")


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics of a pinhole camera, in pixels; the first pixel has its centre at (0, 0), as OpenCV has it."""

    fx: float
    fy: float
    cx: float
    cy: float

    def scaled(self, across: float, down: float) -> "Intrinsics":
        """Return those of the same image enlarged by these factors."""
        return Intrinsics(self.fx * across, self.fy * down, (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5)


@dataclass(frozen=True)
class RgbdFiles:
    """Files of one view.

    Attributes:
        name: Its name.
        image: The image.
        depth: Its depth; None: the folder has none at all.
        intrinsics: The file of its camera's intrinsics; None: there is none.
    """

    name: str
    image: Path
    depth: Path | None
    intrinsics: Path | None = None


def rgbd_files(source: Path) -> list[RgbdFiles]:
    """Return the files of each view, in order of name; a missing depth file is reported when it is read.

    Raises:
        TaskonomyError: There are no images, or two with one name.
    """
    if not source.is_dir():
        raise TaskonomyError(f"{source}: no such folder")
    found = next((files for look in (_listed, _raw, _apart, _beside) if (files := look(source))), [])
    if not found:
        raise TaskonomyError(
            f"{source}: holds no images; expected NAME.png with NAME_depth.png, or rgb/NAME.png (or color/NAME.jpg) with depth/NAME.png, or rgb.txt"
            " with depth.txt"
        )
    names = [name for name, _image, _depth in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TaskonomyError(f"{source}: has two images of the name {twice}; keep one")
    camera = _intrinsics_files(source)
    return [RgbdFiles(name, image, depth, camera(name)) for name, image, depth in sorted(found)]


def read_intrinsics(text: str, where: str) -> Intrinsics:
    """Read intrinsics: fx, fy, cx, cy with commas or spaces between them, or a matrix of 3 x 3 or 4 x 4.

    Raises:
        TaskonomyError: They are none; the message says what they must be.
    """
    try:
        values = [number(one) for one in re.split(r"[,;\s]+", text.strip(" \t\r\n[]")) if one]
    except ValueError as error:
        raise TaskonomyError(f"{where}: intrinsics {error}") from None
    if len(values) in (9, 16):
        matrix = np.reshape(values, (3, 3) if len(values) == 9 else (4, 4))
        values = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]
    if len(values) != 4 or not np.isfinite(values).all() or min(values[:2]) <= 0:
        raise TaskonomyError(f"{where}: intrinsics must be fx,fy,cx,cy in pixels, or a matrix of 3 x 3 or 4 x 4, with positive focal lengths")
    return Intrinsics(*map(float, values))


Found = list[tuple[str, Path, Path | None]]


def _listed(source: Path) -> Found:
    if not ((source / "rgb.txt").is_file() and (source / "depth.txt").is_file()):
        return []
    colours, depths = _times(source, "rgb.txt"), _times(source, "depth.txt")
    return [(place.stem, place, depth) for time, place in colours if (depth := _nearest(time, depths)) is not None]


def _times(source: Path, name: str) -> list[tuple[float, Path]]:
    rows = []
    for line, text in enumerate((source / name).read_text("utf-8", "replace").splitlines(), 1):
        parts = text.split(maxsplit=1)
        if not parts or text.startswith("#"):
            continue
        try:
            place = source / parts[1].strip()
            if ".." in place.parts:
                raise ValueError
            rows.append((number(parts[0]), place))
        except (ValueError, IndexError):
            raise TaskonomyError(f"{source / name}: line {line}: must be a time and the path of an image below {source} (is {text!r})") from None
    return rows


def _raw(source: Path) -> Found:
    def of(kind: str) -> list[tuple[float, Path]]:
        fits = [(re.fullmatch(rf"{kind}-(\d+\.\d+)-\d+\.p[gp]m", path.name), path) for path in visible(source.iterdir())]
        return [(float(match[1]), path) for match, path in fits if match]

    depths = of("d")
    return [(path.stem, path, depth) for time, path in of("r") if (depth := _nearest(time, depths)) is not None]


def _nearest(time: float, others: list[tuple[float, Path]]) -> Path | None:
    gap, path = min(((abs(other - time), path) for other, path in others), default=(np.inf, None))
    return path if gap <= NEAREST else None


def _apart(source: Path) -> Found:
    folder = next((source / name for name in COLOURS if (source / name).is_dir()), None)
    if folder is None:
        return []
    depths = next((source / name for name in DEPTHS if (source / name).is_dir()), None)
    beside = {path.stem: path for path in visible(depths.iterdir()) if path.suffix.lower() in DEPTH_FILES} if depths else {}
    images = [path for path in visible(folder.iterdir()) if path.suffix.lower() in PICTURES]
    return [(path.stem, path, beside.get(path.stem, depths / f"{path.stem}.png") if depths else None) for path in images]


def _beside(source: Path) -> Found:
    there = visible(path for path in source.iterdir() if path.is_file())
    depths = {path.stem.removesuffix("_depth"): path for path in there if path.stem.endswith("_depth") and path.suffix.lower() in DEPTH_FILES}
    images = [path for path in there if path.suffix.lower() in PICTURES and not path.stem.endswith("_depth")]
    return [(path.stem, path, depths.get(path.stem, path.with_name(f"{path.stem}_depth.png")) if depths else None) for path in images]


def _intrinsics_files(source: Path) -> Callable[[str], Path | None]:
    """Return a function that finds the file of a view's intrinsics: its own, or one for all views."""
    folders = [source / name for name in _FOLDERS if (source / name).is_dir()]
    own = {path.stem: path for folder in folders for path in visible(folder.glob("*.txt"))}
    whole = next((path for place in (source, *folders) for name in _FOR_ALL if (path := place / name).is_file()), None)
    return lambda name: own.get(name, whole)
