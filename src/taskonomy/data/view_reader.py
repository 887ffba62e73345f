"""Read and decode the files of one view, each once, for the functions that make labels."""

from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from taskonomy.labels.encodings import ViewFiles
from taskonomy.numeric.geometry import Camera
from taskonomy.release.formats import DOMAINS, HOLE, DamagedFileError, ViewKey, from_bytes

CAMERA_FIELDS = {"camera_location": 3, "camera_rotation_final": 3, "field_of_view_rads": 0}  # length of each field; 0 is a single number
_LARGEST = 1e300  # JSON may hold integers that exceed any float


def lacks(field: str) -> str:
    """Return the reason why a view has no label if its camera file is intact but lacks a field that the label needs."""
    return f"without {field}"


@runtime_checkable
class Readable(Protocol):
    """What a view needs of its source."""

    def read(self, key: ViewKey, domain: str) -> bytes:
        """Return the bytes of a file."""

    def where(self, key: ViewKey, domain: str) -> str:
        """Return the location of a file for messages."""


class ReadView(ViewFiles):
    """A view that remembers which of its files were damaged."""

    damage: dict[str, str]  # domain -> what is wrong with its file
    files: int = 0  # number of files read
    bytes: int = 0  # their total size


class ViewOnDisk(ReadView):
    """A view of released data.

    Args:
        source: Source of its files.
        key: Identity of the view.
        size: Side of the prepared image, in pixels.
    """

    def __init__(self, source: Readable, key: ViewKey, size: int) -> None:
        self.source, self.key, self.size = source, key, size
        self.name = f"{key.building}/{key.point}/{key.view}"
        self.damage: dict[str, str] = {}  # domain -> what is wrong with its file
        self._stored: dict[str, Any] = {}

    def stored(self, domain: str) -> Any:
        """Return the values of a domain's file; if it is damaged, the reason is added to `damage`.

        Raises:
            DamagedFileError: The file is missing or is not what its domain requires.
        """
        if domain not in self._stored:
            if domain in self.damage:
                raise DamagedFileError(self.damage[domain])
            try:
                data = self.source.read(self.key, domain)
                self.files, self.bytes = self.files + 1, self.bytes + len(data)
                values = from_bytes(domain, data, self._side(domain))
                if domain in ("depth_zbuffer", "depth_euclidean") and (values == HOLE).all():
                    raise DamagedFileError("no valid depth")
            except DamagedFileError as error:
                self.damage[domain] = str(error)
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
        return Camera((x, y, z), (a, b, c), angle, self.size)

    def field(self, name: str) -> Any:
        """Return a field of `point_info` that does not belong to the camera.

        Raises:
            DamagedFileError: The file lacks the field, or its value is not valid.
        """
        if name not in self.info:
            raise self._odd(lacks(name))
        if reason := odd_field(name, self.info[name]):
            raise self._odd(reason)
        return self.info[name]

    def _odd(self, reason: str) -> DamagedFileError:
        self.damage["point_info"] = reason
        return DamagedFileError(reason)

    def _side(self, domain: str) -> int | None:
        """Return the side that an image must have: that of the view's rgb image. None for rgb itself and for files that are not images."""
        if domain == "rgb" or not DOMAINS[domain].kind.startswith("png"):
            return None
        return int(self.stored("rgb").shape[0])


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
