"""Read and decode the files of one view, each once, for the functions that make labels."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt16

from taskonomy.config.data_params import Fit
from taskonomy.data.framing import shown, square
from taskonomy.labels.encodings import ViewFiles
from taskonomy.numeric.geometry import Camera
from taskonomy.release.formats import DOMAINS, HOLE, REACH, DamagedFileError, MissingFileError, ViewKey, from_bytes

CAMERA_FIELDS = {"camera_location": 3, "camera_rotation_final": 3, "field_of_view_rads": 0}  # length of each field; 0 is a single number
_NEEDED = ("rgb", "point_info")  # files that no view can do without
_LARGEST = 1e300  # JSON may hold integers that exceed any float


@runtime_checkable
class Readable(Protocol):
    """What a view needs of its source."""

    def read(self, key: ViewKey, domain: str) -> bytes:
        """Return the bytes of a file."""

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the location of a file for messages."""

    def lacks(self, building: str, domain: str) -> bool:
        """Return whether a building has nothing of a domain."""

    def depth_range(self, key: ViewKey) -> float:
        """Return the depth that 65536 stands for in a view's depth files, metres."""


class ReadView(ViewFiles):
    """A view that remembers which of its files were damaged."""

    damage: dict[str, str]  # domain -> what is wrong with its file
    missing: dict[str, str]  # domain -> why there is no such file, where others of its folder are there; only labels may be missing
    notes: dict[str, int]  # what people must know of how its files were read -> how often
    files: int = 0  # number of files read
    bytes: int = 0  # their total size

    @abstractmethod
    def shown(self) -> Bool[np.ndarray, "side side"]:
        """Return which pixels of the square image are not padding."""


class ViewOnDisk(ReadView):
    """A view of released data.

    Args:
        source: Source of its files.
        key: Identity of the view.
        size: Side of the prepared image, in pixels.
        fit: What becomes of images that are not square.
    """

    def __init__(self, source: Readable, key: ViewKey, size: int, fit: Fit = Fit.CROP) -> None:
        self.source, self.key, self.size, self.fit = source, key, size, fit
        self.name = f"{key.building}/{key.point}/{key.view}"
        self.damage: dict[str, str] = {}  # domain -> what is wrong with its file
        self.missing: dict[str, str] = {}
        self.notes = {}
        self._stored: dict[str, Any] = {}

    def stored(self, domain: str) -> Any:
        """Return the values of a domain's file; if it is damaged or missing, the reason is added to `damage` or `missing`.

        Raises:
            MissingFileError: The file is missing; where the whole building has nothing of the domain, that is not noted, as it is no damage.
            DamagedFileError: The file is not what its domain requires.
        """
        if domain not in self._stored:
            if domain not in _NEEDED and self.source.lacks(self.key.building, domain):
                raise MissingFileError("missing")
            if reason := self.damage.get(domain):
                raise DamagedFileError(reason)
            if reason := self.missing.get(domain):
                raise MissingFileError(reason)
            try:
                data = self.source.read(self.key, domain)
                self.files, self.bytes = self.files + 1, self.bytes + len(data)
                values = from_bytes(domain, data, self._shape(domain))
                if depth := domain in ("depth_zbuffer", "depth_euclidean"):
                    values = in_release_units(values, self.source.depth_range(self.key))
                    if (values == HOLE).all():
                        raise DamagedFileError("no valid depth")
                if domain == "rgb":
                    self._of_rgb: tuple[int, int] = values.shape[:2]
                if DOMAINS[domain].kind.startswith("png"):
                    values = square(values, self.fit, smooth=domain == "rgb", fill=HOLE if depth else 0)
            except DamagedFileError as error:
                noted = self.missing if isinstance(error, MissingFileError) and domain not in _NEEDED else self.damage
                noted[domain] = str(error)
                raise
            self._stored[domain] = values
        return self._stored[domain]

    @cached_property
    def info(self) -> dict[str, Any]:
        """Return the contents of `point_info`, checked to have the fields that every camera needs."""
        info = self.stored("point_info")
        if reason := odd_camera(info):
            raise self._odd(reason)
        return dict(info)

    @cached_property
    def camera(self) -> Camera:
        """Return the view's camera."""
        location, euler, fov = (self.info[name] for name in CAMERA_FIELDS)
        x, y, z, a, b, c, angle = map(float, (*location, *euler, fov))
        if self.fit is Fit.CROP:
            self.stored("rgb")
            angle = cropped_fov(angle, self._of_rgb)
        return Camera((x, y, z), (a, b, c), angle, self.size)

    def field(self, name: str) -> Any:
        """Return a field of `point_info` that does not belong to the camera.

        Raises:
            MissingFileError: The file lacks the field, which not every camera has: the view has no label that needs it.
            DamagedFileError: Its value is not valid.
        """
        if name not in self.info:
            self.notes[f"camera files have no {name}: their views have no label that needs it"] = 1
            raise MissingFileError(f"without {name}")
        if reason := odd_field(name, self.info[name]):
            raise self._odd(reason)
        return self.info[name]

    def _odd(self, reason: str) -> DamagedFileError:
        self.damage["point_info"] = reason
        return DamagedFileError(reason)

    def shown(self) -> Bool[np.ndarray, "side side"]:
        """Return which pixels of the square image are not padding."""
        self.stored("rgb")
        return shown(self._of_rgb, self.fit)

    def _shape(self, domain: str) -> tuple[int, int] | None:
        """Return the height and width that an image must have, those of the view's rgb; None for rgb itself and for files that are no images."""
        if domain == "rgb" or not DOMAINS[domain].kind.startswith("png"):
            return None
        self.stored("rgb")
        return self._of_rgb


def cropped_fov(fov: float, shape: tuple[int, int]) -> float:
    """Return the field of view (rad) of the central square of an image; that of camera files is of its longer side, as Blender has it."""
    shorter, longer = sorted(shape)
    return fov if shorter == longer else float(2 * np.arctan(np.tan(fov / 2) * shorter / longer))


def in_release_units(units: UInt16[np.ndarray, "height width"], reach: float) -> UInt16[np.ndarray, "height width"]:
    """Convert stored depths to the release's unit, 1/512 m.

    Args:
        units: Depths in shares of `reach`; 65535 is a hole.
        reach: Depth that 65536 stands for, metres; 128 in the release.
    """
    if reach == REACH:
        return units
    # A depth beyond the release's is a hole; none of a reach below it is.
    return np.where(units == HOLE, HOLE, np.minimum(np.rint(units * (reach / REACH)), HOLE)).astype(np.uint16)


def odd_camera(info: Any) -> str | None:
    """Return why a camera file does not describe a camera; None if it does."""
    if not isinstance(info, dict):
        return "is no JSON object"
    for name, length in CAMERA_FIELDS.items():
        if name not in info:
            return f"has no {name}"
        numbers = info[name] if length else [info[name]]
        if not isinstance(numbers, list) or (length and len(numbers) != length) or not all(map(_is_number, numbers)):
            return f"its {name} must be {f'{length} numbers' if length else 'a number'}"
    if not 0 < info["field_of_view_rads"] < np.pi:
        return "its field_of_view_rads must lie between 0 and pi"
    return None


def odd_field(name: str, value: Any) -> str | None:
    """Return why a field beyond the camera's is not valid; None if it is."""
    if name != "bounding_box_ranges":
        return None
    ranges = [value.get(axis) for axis in "xyz"] if isinstance(value, dict) else []
    good = len(ranges) == 3 and all(isinstance(one, list) and len(one) == 2 and all(map(_is_number, one)) for one in ranges)
    return None if good else f"its {name} must be x, y and z, each with the least and the largest"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
