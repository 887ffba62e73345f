"""Read a user's images of any size as the networks need them: a square, made as in the stage `prepare`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import visible

if TYPE_CHECKING:
    from taskonomy.data.framing import ReadOptions
    from taskonomy.inference.manifest import Exported

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
Image = UInt8[np.ndarray, "height width 3"]


def read_image(path: Path, white: float | None = None) -> Image:
    """Read an image file as RGB, as the stage `prepare` does: over white where it is transparent, and upright by its orientation tag.

    Args:
        path: The file.
        white: The value that is white in an image of more than 8 bits per channel; None: measured in this image alone.

    Raises:
        TaskonomyError: The file is missing, or cannot be decoded.
    """
    from taskonomy.release.formats import DamagedFileError
    from taskonomy.release.pictures import rgb_from

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TaskonomyError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    if not data:
        raise TaskonomyError(f"{path}: empty file")
    try:
        return rgb_from(data, white)
    except DamagedFileError as error:
        raise TaskonomyError(f"{path}: {error}; images are {', '.join(ENDINGS)}") from None


def reading_of(exported: "Exported") -> "ReadOptions":
    """Return how the images of an export's run were read and made square; earlier exports do not say it: images were cropped.

    Raises:
        TaskonomyError: The index says something else.
    """
    from taskonomy.config.data_params import Fit
    from taskonomy.data.framing import ReadOptions

    data = exported.index.get("data", {})
    try:
        return ReadOptions(Fit(data.get("fit", Fit.CROP)), None if data.get("white") is None else float(data["white"]))
    except (TypeError, ValueError, AttributeError) as error:
        raise TaskonomyError(f"{exported.root}/index.json: not what the stage `export` writes ({error}); export again") from None


def read_square(image: Path | str | Image, how: "ReadOptions") -> UInt8[np.ndarray, "side side 3"]:
    """Read a file, or take an image, and make a square of it as the run's images were made.

    Raises:
        TaskonomyError: As `read_image`.
    """
    from taskonomy.data.framing import square

    pixels = image if isinstance(image, np.ndarray) else read_image(Path(image), how.white)
    whole: Any = square(pixels, how.fit, smooth=True)
    return whole


def found_images(paths: Sequence[Path]) -> list[Path]:
    """List image files: files as given, and the images of folders in natural order of their names (numbers by value).

    Raises:
        TaskonomyError: A path does not exist, or a folder holds no images.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted((one for one in visible(path.iterdir()) if one.suffix.lower() in ENDINGS), key=_natural)
            if not inside:
                raise TaskonomyError(f"{path}: no image in it; images are {', '.join(ENDINGS)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise TaskonomyError(f"{path}: no such file")
    return found


def _natural(path: Path) -> tuple[tuple[bool, int, str], ...]:
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", path.stem) if part)
