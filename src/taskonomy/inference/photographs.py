"""Read a user's images of any size as the networks need them: the central square, resized as in the stage `prepare`."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.user_text import visible

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
Image = UInt8[np.ndarray, "height width 3"]


def read_image(path: Path) -> Image:
    """Read an image file as RGB, as the stage `prepare` does: over white where it is transparent, and upright by its orientation tag.

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
        return rgb_from(data)
    except DamagedFileError as error:
        raise TaskonomyError(f"{path}: {error}; images are {', '.join(ENDINGS)}") from None


def central_square(image: Image) -> UInt8[np.ndarray, "side side 3"]:
    """Crop an image to its central square, without distortion."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


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
