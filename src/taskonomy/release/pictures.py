"""Decode the image files that people have: usual formats, any bit depth, palettes, transparency, and the orientation that cameras note.

An image becomes RGB of 8 bits, as a viewer shows it. A label keeps its numbers.
"""

import io
from typing import Any

import cv2
import numpy as np
from jaxtyping import Num, Shaped, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from taskonomy.release.formats import DamagedFileError, array_from, image_from

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LABELS = (*IMAGES, ".npy")
LOSSY = (".jpg", ".jpeg", ".webp")  # their compression changes numbers
DEEP = (".png", ".tif", ".tiff")  # those that may have more than 8 bits per channel
UPRIGHT = 1  # the orientation of EXIF that turns nothing
_ORIENTATION = 0x0112  # tag of EXIF
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_MARKS = (b"Exif\0", b"eXIf", b"EXIF")  # without any of them, a JPEG, PNG or WebP has no orientation
_TIFF = (b"II*\0", b"MM\0*")
_GREY, _PALETTE = 0, 3  # kinds of colour of a PNG
_WHITE = 255


def rgb_from(data: bytes, white: float | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """Return an image as RGB: grey is repeated, transparency laid over white, and a photograph turned as its orientation says.

    Args:
        data: Bytes of the file.
        white: The value that is white in images of more than 8 bits; None: as `white_of` measures it in this image.

    Raises:
        DamagedFileError: It is cut off, cannot be decoded, or has no whole numbers.
    """
    refuse_cut_off(data)
    if _is_plain(data):
        return np.ascontiguousarray(image_from(data, cv2.IMREAD_COLOR)[..., ::-1])
    data = _with_alpha(data)
    pixels = image_from(data)
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise DamagedFileError(f"has pixels of type {pixels.dtype}; images have 8 or 16 bits: save it so")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    colours = pixels[..., 2::-1]
    if pixels.dtype == np.uint16:
        colours = np.rint(np.minimum(colours * (_WHITE / (white or white_of(int(colours.max())))), _WHITE)).astype(np.uint8)
    if pixels.shape[2] == 4:
        share = pixels[..., 3:] / np.float32(np.iinfo(pixels.dtype).max)
        colours = np.rint(colours * share + _WHITE * (1 - share)).astype(np.uint8)
    return turned(colours, _still_to_turn(data))


def bits_of(data: bytes) -> int:
    """Return the bits per channel of an image, from its first bytes where they say it; 8 for formats that have no more."""
    if data.startswith(_PNG):
        return data[24] if len(data) > 24 else 8
    if not data.startswith(_TIFF):
        return 8
    return image_from(data).dtype.itemsize * 8


def white_of(largest: int) -> int:
    """Return the value that is white where this is the largest one: the largest number of as many bits, 8 at least."""
    return (1 << max(largest.bit_length(), 8)) - 1


def largest_of(data: bytes) -> int:
    """Return the largest value of an image of more than 8 bits."""
    pixels = image_from(data)
    return int((pixels[..., :3] if pixels.ndim == 3 else pixels).max())


def label_from(data: bytes, extension: str) -> Shaped[np.ndarray, "..."]:
    """Return the numbers of a label: an array; the values of an image (RGB if it has colours), of any type; the indices of a palette.

    An image that notes an orientation of its own is turned.

    Raises:
        DamagedFileError: It is cut off, or cannot be decoded.
    """
    if extension == ".npy":
        return array_from(data)
    refuse_cut_off(data)
    if (indices := _palette_indices(data)) is not None:
        return indices
    values = image_from(data)
    if data.startswith(_PNG) and data[25] == _GREY and data[24] < 8:
        values = values // (255 // ((1 << data[24]) - 1))  # OpenCV spreads values of 1, 2 and 4 bits over 0 to 255
    return turned(values[..., 2::-1] if values.ndim == 3 else values, _still_to_turn(data))


def has_palette_of_colours(data: bytes) -> bool:
    """Return whether an image's numbers are places in a palette."""
    return _palette_indices(data) is not None


def orientation_of(data: bytes) -> int:
    """Return the orientation that an image notes, 1 to 8 as in EXIF; `UPRIGHT` if it notes none."""
    if not data.startswith(_TIFF) and not any(mark in data for mark in _MARKS):
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = image.getexif().get(_ORIENTATION, UPRIGHT)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError):  # an EXIF block that is none says nothing
        return UPRIGHT
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


def turned(values: Num[np.ndarray, "height width *channels"], orientation: int) -> Num[np.ndarray, "turned_height turned_width *channels"]:
    """Turn stored pixels upright: what EXIF's orientation says of where their first row and column lie."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def stored_shape(shape: tuple[int, ...], orientation: int) -> tuple[int, int]:
    """Return height and width of the stored pixels of an image that has this shape when upright."""
    return (shape[1], shape[0]) if orientation in (5, 6, 7, 8) else (shape[0], shape[1])


def has_transparency(data: bytes) -> bool:
    """Return whether some pixel of an image is transparent."""
    if _is_plain(data):
        return False
    pixels = image_from(_with_alpha(data))
    return pixels.ndim == 3 and pixels.shape[2] == 4 and bool((pixels[..., 3] < np.iinfo(pixels.dtype).max).any())


def refuse_cut_off(data: bytes) -> None:
    """Refuse an image whose end is missing, which OpenCV fills up without a word.

    Raises:
        DamagedFileError: It is empty, or its end is missing.
    """
    if not data:
        raise DamagedFileError("empty file")
    # Cameras append to a JPEG; an end in its first half alone is that of its thumbnail.
    ends = b"IEND" in data[-64:] if data.startswith(_PNG) else data.find(b"\xff\xd9", len(data) // 2) >= 0 if data.startswith(_JPEG) else True
    if not ends:
        raise DamagedFileError(f"truncated {'PNG' if data.startswith(_PNG) else 'JPEG'}: copy it again")


def _is_plain(data: bytes) -> bool:
    """Return whether OpenCV's own conversion to colours gives what a viewer shows: 8 bits or less, no transparency."""
    if data.startswith(_JPEG):
        return True
    if not data.startswith(_PNG) or len(data) < 26:
        return False
    return data[24] <= 8 and data[25] in (0, 2, _PALETTE) and b"tRNS" not in data[: data.find(b"IDAT")]


def _with_alpha(data: bytes) -> bytes:
    """Return an upright image in which transparency is a channel: that of a palette, or of one colour, becomes one.

    OpenCV reads a TIFF's colours multiplied by its transparency, so that one is converted too.
    """
    is_png = data.startswith(_PNG) and len(data) > 25 and data[24] <= 8 and data[25] in (0, 2, _PALETTE)
    if not is_png and not data.startswith(_TIFF):
        return data
    try:
        with Image.open(io.BytesIO(data)) as image:
            if not is_png and image.mode not in ("RGBA", "LA", "PA"):
                return data
            image.load()
            again = io.BytesIO()
            ImageOps.exif_transpose(image).convert("RGBA").save(again, "PNG", compress_level=0, exif=b"")
    except UnidentifiedImageError:
        return data  # OpenCV knows more kinds of TIFF, or says that it cannot be decoded
    except (OSError, ValueError, SyntaxError) as error:
        raise DamagedFileError(f"image that cannot be decoded: {error}") from None
    return again.getvalue()


def _still_to_turn(data: bytes) -> int:
    """Return the orientation that OpenCV has not applied yet; it turns a TIFF itself."""
    return UPRIGHT if data.startswith(_TIFF) else orientation_of(data)


def _palette_indices(data: bytes) -> Any:
    """Return the indices of an image with a palette, upright; None if it has none."""
    if data.startswith(_JPEG) or (data.startswith(_PNG) and (len(data) < 26 or data[25] != _PALETTE)):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "P":
                return None
            image.load()  # turns a TIFF, and forgets its orientation
            return np.asarray(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError):
        return None  # OpenCV says whether it can be decoded
