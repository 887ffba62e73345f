"""Read and decode one of a user's images and its labels, each once, turned upright and made square alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Num

from taskonomy.data.custom import CustomSource
from taskonomy.data.custom_checks import fitted, of_text
from taskonomy.data.custom_labels import as_numbers
from taskonomy.data.framing import ReadOptions, at_size, shown, square, whole_factor
from taskonomy.data.view_reader import ReadView
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import NO_CLASS
from taskonomy.numeric.geometry import Camera
from taskonomy.release.formats import HOLE, DamagedFileError, MissingFileError
from taskonomy.release.pictures import UPRIGHT, orientation_of, rgb_from, stored_shape, turned
from taskonomy.tasks.custom_tasks import CustomMap, CustomPixelClasses, CustomTask

TURNED = "images are turned upright, as their orientation (EXIF) says"
TURNED_TOO = (
    "labels of the size of the stored pixels are turned with them; save a label upright, or with an orientation of its own, if it was not drawn so"
)


class CustomView(ReadView):
    """One of a user's images, made square, and its labels.

    Args:
        source: The folder.
        name: Name of the image.
        size: Side of the prepared image, in pixels.
        declared: What the labels are.
        options: How images are read.
    """

    def __init__(self, source: CustomSource, name: str, size: int, declared: Mapping[str, CustomTask], options: ReadOptions) -> None:
        self.source, self.name, self.size, self.declared, self.options = source, name, size, declared, options
        self.damage = {}
        self.missing = {}
        self.notes = {}
        self._stored: dict[str, Any] = {}

    def stored(self, domain: str) -> Any:
        """Return the image, a label of the image's size (made square in the same way), a vector, or one number.

        Raises:
            MissingFileError: The image has no such label, or one that says nothing.
            DamagedFileError: It cannot be decoded, or its size does not fit the image's.
        """
        if domain not in self._stored:
            if domain in self.damage:
                raise DamagedFileError(self.damage[domain])
            try:
                self._stored[domain] = self._image() if domain == "rgb" else self._label(domain)
            except MissingFileError:
                raise  # any image may lack any label
            except DamagedFileError as error:
                self.damage[domain] = error.args[0]  # not as text: a `Misfit` carries its task
                raise
        return self._stored[domain]

    def shown(self) -> Bool[np.ndarray, "side side"]:
        """Return which pixels of the square image are not padding."""
        self.stored("rgb")
        return shown(self._shape, self.options.fit)

    def _image(self) -> Any:
        data = self.source.image_bytes(self.name)
        image = rgb_from(data, self.options.white)
        self._orientation = orientation_of(data)
        self._shape: tuple[int, int] = (image.shape[0], image.shape[1])
        if self._orientation != UPRIGHT:
            self.notes[TURNED] = 1
        return square(image, self.options.fit, smooth=True)

    def _label(self, domain: str) -> Any:
        self.stored("rgb")
        kept, declared = self.source.label(self.name, domain), self.declared.get(domain)
        if kept is None:
            raise MissingFileError("has no label")
        if isinstance(kept, str):
            if declared is None:
                raise DamagedFileError(f"is {kept!r}, no number; data.own declares what it means")
            kept = of_text(domain, declared, kept)
        values = as_numbers(kept)
        if values.ndim >= 2:
            values = self._upright(values)
        if declared is not None:
            values = fitted(domain, declared, values)
        if values.ndim < 2:
            return values
        ids = isinstance(declared, CustomPixelClasses)
        whole = square(at_size(values, self._shape, nearest=ids), self.options.fit, fill=_fill(domain, declared))
        if declared is not None and declared.says_nothing(whole):
            raise MissingFileError("has no pixel with a label")
        return whole

    def _upright(self, values: Num[np.ndarray, "rows columns *channels"]) -> Any:
        """Turn a label with its image if it has the size of the stored pixels; one that was drawn upright already has another, or the same."""
        if self._orientation == UPRIGHT or not _fits(values.shape[:2], stored_shape(self._shape, self._orientation)):
            return values
        self.notes[TURNED_TOO] = self.notes.get(TURNED_TOO, 0) + 1
        return turned(values, self._orientation)

    @property
    def camera(self) -> Camera:
        """Raise an error: images of a folder have no cameras."""
        raise TaskonomyError(f"{self.source.root}: images of a folder have no cameras")

    def field(self, name: str) -> Any:
        """Raise an error: images of a folder have no `point_info`."""
        raise TaskonomyError(f"{self.source.root}: images of a folder have no point_info")


def _fits(shape: tuple[int, ...], other: tuple[int, int]) -> bool:
    return whole_factor(shape, other) is not None or whole_factor(other, shape) is not None


def _fill(domain: str, declared: CustomTask | None) -> float:
    """Return what stands in the pixels that padding adds: no class, the lowest value of a map, no depth."""
    if declared is None:
        return HOLE if domain in ("depth_zbuffer", "depth_euclidean") else 0
    if isinstance(declared, CustomPixelClasses):
        return NO_CLASS
    return declared.range[0] if isinstance(declared, CustomMap) else 0
