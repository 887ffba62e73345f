"""Render a network's output for people: as a picture, as JSON, as an array."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from taskonomy.atomic_io import to_json, write_bytes, write_text
from taskonomy.errors import TaskonomyError
from taskonomy.labels.classes import OBJECTS, PLACES
from taskonomy.tasks import Task
from taskonomy.tasks.decode import decode

SIDE = 256
BEST = 5
PAIRS = ("1-2", "1-3", "2-3")


@dataclass(frozen=True)
class Prediction:
    """A predictor's output for one sample.

    Attributes:
        task: The task.
        images: Squares made of the sample's images.
        output: The network's output: [channels, height, width], or [numbers].
        statistics: Statistics that decode the output.
        codes: Codes that it was computed from: source -> [images, channels, height, width].
    """

    task: Task
    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    output: Float[np.ndarray, " outputs *side"]
    statistics: dict[str, Any]
    codes: dict[str, Shaped[np.ndarray, "images channels height width"]] = field(default_factory=dict)

    @cached_property
    def label(self) -> Any:
        """Decode the output into the units of the task's label: see `taskonomy.tasks.decode`."""
        return decode(self.task, self.output, self.statistics)

    def picture(self, side: int = SIDE) -> UInt8[np.ndarray, "side side 3"]:
        """Draw the output, RGB. Axes and boxes assume a camera with a field of view of 60 degrees, as the user's camera is unknown."""
        from taskonomy.tasks.visualize import Sample, label_picture

        return np.ascontiguousarray(label_picture(self.task, Sample(self.label, list(self.images), None, side, names=self.task.classes)))

    def as_dict(self) -> dict[str, Any]:
        """Return named values for JSON; for a map, a summary of its values."""
        return {"task": self.task.name, **_NAMED.get(self.task.picture, _numbers)(self)}

    def save(self, path: Path | str, side: int = SIDE) -> None:
        """Write the output atomically: `.png` a picture, `.json` named values, `.npy` the label as an array.

        Raises:
            TaskonomyError: Any other file extension.
        """
        path = Path(path)
        if path.suffix not in _WRITERS:
            raise TaskonomyError(f"{path}: must end in {', '.join(_WRITERS)}")
        _WRITERS[path.suffix](self, path, side)

    def save_codes(self, path: Path | str) -> None:
        """Write the codes as an .npz file with an array for each source."""
        from io import BytesIO

        buffer = BytesIO()
        np.savez(buffer, allow_pickle=False, **self.codes)
        write_bytes(Path(path), buffer.getvalue())


def _picture(answer: Prediction, path: Path, side: int) -> None:
    import cv2

    write_bytes(path, cv2.imencode(".png", answer.picture(side)[..., ::-1])[1].tobytes())


def _array(answer: Prediction, path: Path, side: int) -> None:
    from io import BytesIO

    buffer = BytesIO()
    label = answer.label[1] if isinstance(answer.label, tuple) else answer.label
    np.save(buffer, np.ascontiguousarray(label), allow_pickle=False)
    write_bytes(path, buffer.getvalue())


_WRITERS: dict[str, Callable[[Prediction, Path, int], None]] = {
    ".png": _picture,
    ".json": lambda answer, path, side: write_text(path, to_json(answer.as_dict())),
    ".npy": _array,
}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in np.ravel(values)]


def _numbers(answer: Prediction) -> dict[str, Any]:
    return {"values": _rounded(answer.label)}


def _map(answer: Prediction) -> dict[str, Any]:
    label = np.asarray(answer.label, np.float64)
    return {"shape": list(label.shape), **{name: round(float(getattr(label, name)()), 6) for name in ("min", "mean", "max")}}


def _segments(answer: Prediction) -> dict[str, Any]:
    shares = np.bincount(np.ravel(answer.label)) / np.size(answer.label)
    return {"segments": int((shares > 0).sum()), "shares": sorted(_rounded(shares[shares > 0]), reverse=True)}


def _classes(answer: Prediction) -> dict[str, Any]:
    names = ("background", *(one.name for one in OBJECTS))
    shares = np.bincount(np.ravel(answer.label), minlength=len(names)) / np.size(answer.label)
    return {"shares": {names[one]: round(float(shares[one]), 6) for one in np.argsort(-shares, kind="stable") if shares[one] > 0}}


def _best(names: Callable[[int], str]) -> Callable[[Prediction], dict[str, Any]]:
    def top(answer: Prediction) -> dict[str, Any]:
        shares = np.asarray(answer.label)
        order = np.argsort(-shares, kind="stable")[:BEST]
        return {f"top{BEST}": [{"class": names(int(one)), "number": int(one), "share": round(float(shares[one]), 6)} for one in order]}

    return top


def _box(answer: Prediction) -> dict[str, Any]:
    return dict(zip(("centre_m", "rotation_rad", "extents_m"), (_rounded(part) for part in np.reshape(answer.label, (3, 3))), strict=True))


def _directions(answer: Prediction) -> dict[str, Any]:
    """Name the axes, each a vector of unit length as in labels."""
    axes = np.reshape(answer.label, (3, 3))
    return {name: _rounded(axis / max(float(np.linalg.norm(axis)), 1e-9)) for name, axis in zip("xyz", axes, strict=True)}


def _poses(answer: Prediction) -> dict[str, Any]:
    """Name the poses of each pair: the first image's camera in the frame of the second's."""
    poses = np.reshape(answer.label, (-1, 6))
    return {pair: {"rotation_rad": _rounded(one[:3]), "translation_m": _rounded(one[3:])} for pair, one in zip(PAIRS, poses, strict=False)}


def _match(answer: Prediction) -> dict[str, Any]:
    odds = np.exp(np.asarray(answer.output, np.float64) - answer.output.max())
    return {"same_point": bool(np.ravel(answer.label)[0]), "share": round(float(odds[1] / odds.sum()), 6)}


def _imagenet(number: int) -> str:
    return next((one.name for one in OBJECTS if one.imagenet == number), f"class {number}")


_NAMED: dict[str, Callable[[Prediction], dict[str, Any]]] = {
    "map": _map,
    "segments": _segments,
    "classes": _classes,
    "box": _box,
    "directions": _directions,
    "poses": _poses,
    "match": _match,
    "objects": _best(_imagenet),
    "scenes": _best(lambda number: list(PLACES)[number]),
}
