"""Formats of the released files: bit depths, value conventions and names, domain by domain.

In memory a domain has physical values (metres, unit vectors, 1/m, shares); in its file, those of the release. `encode` and `decode` are each other's
inverse up to the file's quantisation.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

HOLE = 65535  # depth value of pixels without geometry
DEPTH_UNIT = 512.0  # units per metre
REACH = 128.0  # metres: of this depth a file of 16 bits holds shares
CURVATURE_LIMIT = 1 / 0.03  # 1/m, of either sign
NORMAL_AXES = (1, -1, -1)  # axes of normal files, in camera coordinates: right, down, and away from the viewer


class ViewKey(NamedTuple):
    """Identity of a view: its building, and the point and view of the file names."""

    building: str
    point: int
    view: int


class DamagedFileError(Exception):
    """A file that does not hold what its domain requires; the text says why."""


class MissingFileError(DamagedFileError):
    """A file that is not there, or a label of which nothing is known."""


Codec = Callable[[Any], Any]


@dataclass(frozen=True)
class Domain:
    """One released domain.

    Attributes:
        name: Name of its folders and tars.
        kind: `png8`, `png16`, `npy` or `json`.
        channels: Channels of a PNG (1 or 3), or length of an array.
        encode: Converts physical values to those of the file.
        decode: Converts the file's values to physical ones.
        tag: Name of the domain in its file names, where it differs from that of the folder.
    """

    name: str
    kind: str
    channels: int
    encode: Codec
    decode: Codec
    tag: str = ""

    @property
    def extension(self) -> str:
        """Return the extension of its files."""
        return self.kind.rstrip("0123456789")

    @property
    def ending(self) -> str:
        """Return how the names of its files end, after point and view."""
        return f"_domain_{self.tag or self.name}.{self.extension}"


def _same(values: Any) -> Any:
    return values


def _depth_to_file(metres: Any) -> Any:
    """Convert metres to whole units of 1/512 m; what is farther than the format reaches is a hole, as are pixels without geometry."""
    units = np.rint(np.where(np.isfinite(metres), metres, 1e9) * DEPTH_UNIT)
    return np.where(units < HOLE, units, HOLE).astype(np.uint16)


def _depth_from_file(units: Any) -> Any:
    return np.where(units == HOLE, np.inf, units / DEPTH_UNIT).astype(np.float32)


def _normal_to_file(normal: Any) -> Any:
    """Convert unit vectors from [-1, 1] to [0, 255]: +X to the right is red, +Y down green, and a surface that faces the camera has no blue.

    Zero lies between 127 and 128. It becomes 128, as in the release, which rounds halves up, so holes are 128 in every channel. Adding a
    thousandth of a step sends values there, too, that are zero except for rounding errors.
    """
    return np.clip(np.floor(np.asarray(normal, np.float64) * NORMAL_AXES * 127.5 + 128.001), 0, 255).astype(np.uint8)


def _normal_from_file(stored: Any) -> Any:
    """Convert stored normals to unit vectors in camera coordinates (+X right, +Y up, +Z towards the viewer); zero in holes."""
    hole = ((stored == 127) | (stored == 128)).all(axis=-1, keepdims=True)
    return np.where(hole, 0, (stored.astype(np.float32) / np.float32(127.5) - 1) * np.array(NORMAL_AXES, np.float32)).astype(np.float32)


def _curvature_to_file(curvature: Any) -> Any:
    """Convert two principal curvatures (1/m) to red and green; 127 is flat. NaN becomes 0 in every channel, the release's mask value."""
    inside = np.clip(np.nan_to_num(curvature), -CURVATURE_LIMIT, CURVATURE_LIMIT)
    stored = np.maximum(np.rint(127 + 127 * inside / CURVATURE_LIMIT), 1).astype(np.uint8)  # 0 is reserved for pixels without curvature
    stored = np.concatenate([stored, np.zeros_like(stored[..., :1])], axis=-1)
    stored[np.isnan(curvature).any(axis=-1)] = 0
    return stored


def _curvature_from_file(stored: Any) -> Any:
    curvature = (stored[..., :2].astype(np.float32) - 127) / 127 * np.float32(CURVATURE_LIMIT)
    curvature[(stored == 0).all(axis=-1)] = np.nan
    return curvature


def _share_to_16(share: Any) -> Any:
    return np.rint(np.clip(share, 0, 1) * 65535).astype(np.uint16)


def _share_from_16(stored: Any) -> Any:
    return (stored / np.float32(65535)).astype(np.float32)


def _grey_to_rgb(share: Any) -> Any:
    return np.repeat(np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=-1)


def _grey_from_rgb(stored: Any) -> Any:
    return (stored[..., 0] / np.float32(255)).astype(np.float32)


def _segments_to_file(segments: Any) -> Any:
    """Spread segment ids of any values over 0 to 255, keeping their order."""
    _values, index = np.unique(segments, return_inverse=True)
    index = index.reshape(np.shape(segments))
    return np.rint(index * (255 / max(int(index.max()), 1))).astype(np.uint8)


DOMAINS = {
    domain.name: domain
    for domain in (
        Domain("rgb", "png8", 3, _same, _same),
        Domain("depth_zbuffer", "png16", 1, _depth_to_file, _depth_from_file),
        Domain("depth_euclidean", "png16", 1, _depth_to_file, _depth_from_file),
        Domain("normal", "png8", 3, _normal_to_file, _normal_from_file),
        Domain("principal_curvature", "png8", 3, _curvature_to_file, _curvature_from_file),
        Domain("reshading", "png8", 3, _grey_to_rgb, _grey_from_rgb),
        Domain("edge_texture", "png16", 1, _share_to_16, _share_from_16),
        Domain("edge_occlusion", "png16", 1, _share_to_16, _share_from_16),
        Domain("keypoints2d", "png16", 1, _share_to_16, _share_from_16),
        Domain("keypoints3d", "png16", 1, _share_to_16, _share_from_16),
        Domain("segment_unsup2d", "png8", 1, _segments_to_file, _same),
        Domain("segment_unsup25d", "png8", 1, _segments_to_file, _same),
        Domain("segment_semantic", "png8", 1, _same, _same, tag="segmentsemantic"),
        Domain("mask_valid", "png8", 1, lambda valid: valid.astype(np.uint8) * 255, lambda stored: stored > 127),
        Domain("class_object", "npy", 1000, lambda logits: logits.astype(np.float32), _same),
        Domain("class_scene", "npy", 365, lambda shares: shares.astype(np.float32), _same, tag="class_places"),
        Domain("point_info", "json", 0, _same, _same),
        Domain("nonfixated_matches", "json", 0, _same, _same),
    )
}
NOT_RELEASED = frozenset({"mask_valid"})  # derived from depth_zbuffer where the file is missing


def file_name(domain: str, point: int, view: int | str) -> str:
    """Build a released file name, as `point_3_view_7_domain_rgb.png`; the matches of a point have the view `all`."""
    return f"point_{point}_view_{view}{DOMAINS[domain].ending}"


def to_bytes(domain: str, values: Any) -> bytes:
    """Encode physical values as the bytes of a file; the same values give the same bytes."""
    stored = DOMAINS[domain].encode(values)
    match DOMAINS[domain].kind:
        case "json":
            return json.dumps(stored).encode()
        case "npy":
            file = io.BytesIO()
            np.save(file, stored, allow_pickle=False)
            return file.getvalue()
    ok, png = cv2.imencode(".png", stored[..., ::-1] if stored.ndim == 3 else stored, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not ok:
        raise ValueError(f"{domain}: OpenCV cannot encode {stored.shape} {stored.dtype}")
    return png.tobytes()


def from_bytes(domain: str, data: bytes, resolution: int | tuple[int, int] | None = None) -> Any:
    """Decode a file to its stored (not yet physical) values, and check them against the format of the domain.

    Args:
        domain: A key of `DOMAINS`.
        data: Bytes of the file.
        resolution: Height and width of the image in pixels, or the side of a square; None: any.

    Raises:
        DamagedFileError: The file is empty, truncated or not decodable, or has the wrong bit depth, channels or size.
    """
    form = DOMAINS[domain]
    if not data:
        raise DamagedFileError("empty file")
    if form.kind == "json":
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DamagedFileError(f"not JSON: {error}") from None
    if form.kind == "npy":
        return _vector(data, form.channels)
    return _image(data, form, resolution)


def array_from(data: bytes) -> Any:
    """Return the array of an `.npy` file.

    Raises:
        DamagedFileError: It is not an `.npy` file, or holds anything but numbers.
    """
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy's header parser raises whatever Python's own does: TokenError, SyntaxError, MemoryError, ...
        raise DamagedFileError(f"not an array: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise DamagedFileError("not an array of real numbers")
    return values


def image_from(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> Any:
    """Return the pixels of an image, with channels in OpenCV's order.

    Raises:
        DamagedFileError: The image cannot be decoded.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # raised where a header claims an absurd size
        pixels = None
    if pixels is None:
        raise DamagedFileError("image that cannot be decoded")
    return pixels


def has_palette(png: bytes) -> bool:
    """Return whether a PNG has a palette; its numbers index colours then, and OpenCV would return the colours instead of the numbers."""
    return png[25:26] == b"\x03"


def _vector(data: bytes, length: int) -> Any:
    values = np.squeeze(array_from(data))
    if values.shape != (length,):
        raise DamagedFileError(f"has shape {values.shape}, must have {length} numbers")
    if not np.isfinite(values).all():
        raise DamagedFileError("holds numbers that are not finite")
    return values.astype(np.float32)


def _image(data: bytes, form: Domain, resolution: int | tuple[int, int] | None) -> Any:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise DamagedFileError("not a PNG")
    if b"IEND" not in data[-12:]:
        raise DamagedFileError("truncated PNG")
    if form.channels == 1 and has_palette(data):
        raise DamagedFileError("has a palette, must be grey")
    image = image_from(data)
    bits = 16 if form.kind == "png16" else 8
    if image.dtype != (np.uint16 if bits == 16 else np.uint8):
        raise DamagedFileError(f"has {image.dtype.itemsize * 8} bits per channel, must have {bits}")
    if form.channels == 3:
        if image.ndim != 3:
            raise DamagedFileError("is grey, must be RGB")
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    elif image.ndim == 3:
        if not (image[..., :3] == image[..., :1]).all():
            raise DamagedFileError("is coloured, must be grey")
        image = image[..., 0]
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution or image.shape[:2]
    if image.shape[:2] != (height, width):
        raise DamagedFileError(f"is {image.shape[1]} x {image.shape[0]} pixels, must be {width} x {height}")
    return np.ascontiguousarray(image)
