"""One view's files, read and decoded once each, as the labels' `make` wants them."""

from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from taskonomy.data.formats import DOMAINS, HOLE, DamagedFileError, ViewKey, from_bytes
from taskonomy.geometry import Camera
from taskonomy.tasks.labels import ViewFiles

CAMERA_FIELDS = ("camera_location", "camera_rotation_final", "field_of_view_rads")


@runtime_checkable
class Readable(Protocol):
    """What a view needs of a source."""

    def read(self, key: ViewKey, domain: str) -> bytes:
        """A file's bytes."""

    def where(self, key: ViewKey, domain: str) -> str:
        """A file's name for people."""


class ReadView(ViewFiles):
    """A view that remembers what was damaged."""

    damage: dict[str, str]  # domain -> what is wrong with its file
    files: int = 0  # that were read
    bytes: int = 0  # of them


class View(ReadView):
    """A view of a source.

    Args:
        source: Where its files are.
        key: Which view.
        size: Side of the prepared image.
    """

    def __init__(self, source: Readable, key: ViewKey, size: int) -> None:
        self.source, self.key, self.size = source, key, size
        self.name = f"{key.building}/{key.point}/{key.view}"
        self.damage: dict[str, str] = {}  # domain -> what is wrong with its file
        self._stored: dict[str, Any] = {}

    def stored(self, domain: str) -> Any:
        """The values of a domain's file; a damaged one is noted in `damage`.

        Raises:
            DamagedFileError: The file is missing or is not what its domain promises.
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
        """point_info, with the fields that cameras and labels need."""
        info = self.stored("point_info")
        missing = [name for name in (*CAMERA_FIELDS, "bounding_box_ranges") if name not in info]
        if missing:
            self.damage["point_info"] = f"no {', '.join(missing)}"
            raise DamagedFileError(self.damage["point_info"])
        return info

    @cached_property
    def camera(self) -> Camera:
        """The view's camera."""
        location, euler, fov = (self.info[name] for name in CAMERA_FIELDS)
        numbers = np.array([*location, *euler, fov], float)
        if numbers.shape != (7,) or not np.isfinite(numbers).all() or not 0 < numbers[6] < np.pi:
            self.damage["point_info"] = "camera that is not three finite numbers of place, three of rotation and a field of view"
            raise DamagedFileError(self.damage["point_info"])
        x, y, z, a, b, c, angle = map(float, numbers)
        return Camera((x, y, z), (a, b, c), angle, self.size)

    def _side(self, domain: str) -> int | None:
        """Every image of a view must be as large as its rgb."""
        if domain == "rgb" or not DOMAINS[domain].kind.startswith("png"):
            return None
        return int(self.stored("rgb").shape[0])
