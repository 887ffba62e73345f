"""Draw labels as pictures: one function per kind of label, chosen by the task's entry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Num, UInt8
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from taskonomy.labels.classes import OBJECTS, PLACES
from taskonomy.labels.colour import expected_ab
from taskonomy.labels.encodings import NO_CLASS, Input
from taskonomy.labels.jigsaw import SIDE, permutation_set, tiles
from taskonomy.tasks import Task

Picture = UInt8[np.ndarray, "_ _ 3"]
INK, PAPER = (30, 30, 34), (246, 246, 244)
AXES = ((214, 69, 65), (60, 160, 75), (56, 110, 205))


@dataclass(frozen=True)
class Sample:
    """What a label's picture is drawn from.

    Attributes:
        target: The label as the loss compares it, but without z-scores: in metres and radians.
        images: The sample's images.
        fov: Field of view of the first image, in radians; None if there are no cameras.
        side: Side of the picture, in pixels.
        like: Another label of the sample whose range and colours are used, such as the ground truth of a prediction, so that the two can be compared.
        names: Names of the class ids; empty: their numbers are shown.
        known: Pixels of the label (of `like`, where that is given) that have one; the others are holes in the label's picture. None: all.
    """

    target: Any
    images: list[Picture]
    fov: float | None
    side: int
    like: Any = None
    names: tuple[str, ...] = ()
    known: Any = None


def input_picture(task: Task, image: Picture, rng: np.random.Generator) -> Picture:
    """Draw an image as the encoder sees it."""
    return _INPUTS[task.input](image, rng)


def label_picture(task: Task, sample: Sample) -> Picture:
    """Draw a sample's label as the task's entry says."""
    return PICTURES[task.picture](sample)


def fit(image: Num[np.ndarray, "height width 3"], side: int, *, smooth: bool = False) -> Picture:
    """Resize a picture; it is enlarged without smoothing unless `smooth` is set."""
    return cv2.resize(
        image, (side, side), interpolation=cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    )


def write(picture: Picture, lines: list[str], *, size: float = 0.42) -> Picture:
    """Write lines of text from the top, on a copy."""
    out = picture.copy()
    for number, line in enumerate(lines):
        cv2.putText(out, line, (6, 18 + int(number * 38 * size)), cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
    return out


def _bytes(share: Any) -> Any:
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)


def _map(sample: Sample) -> Picture:
    """Draw a map: three channels in the range [-1, 1] or [0, 1], a single one in colours that span its 0.5 to 99.5 percentiles."""
    values, side = np.asarray(sample.target, np.float32), sample.side
    ranged = values if sample.like is None else np.asarray(sample.like, np.float32)
    if sample.known is not None and sample.known.any():
        ranged = ranged[sample.known]
    low, high = (-1.0, 1.0) if ranged.min() < 0 else (0.0, 1.0)
    if values.shape[-1] == 3:
        return fit(_with_holes(_bytes((values - low) / (high - low)), sample), side)
    if values.shape[-1] == 2:
        values = np.concatenate([values / 4, np.zeros_like(values[..., :1])], -1)
        return fit(_with_holes(_bytes(values + 0.5), sample), side)
    low, high = float(np.percentile(ranged, 0.5)), max(float(np.percentile(ranged, 99.5)), float(ranged.min()) + 1e-6)
    grey = _bytes((values[..., 0] - low) / (high - low))
    return fit(_with_holes(cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), sample), side)


def _with_holes(picture: Picture, sample: Sample) -> Picture:
    """Show the background where a label has no value; predictions have values everywhere."""
    if sample.known is not None and sample.like is None:
        picture[~sample.known] = PAPER
    return picture


def _palette(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Return distinct colours, spaced by the golden angle; the first is grey."""
    hue = (np.arange(count) * 0.618 * 180 % 180).astype(np.uint8)
    value = np.where(np.arange(count) % 2, 235, 180).astype(np.uint8)
    colours = cv2.cvtColor(np.stack([hue, np.full(count, 150, np.uint8), value], -1)[None], cv2.COLOR_HSV2RGB)[0]
    colours[0] = 205
    return colours


def _segments(sample: Sample) -> Picture:
    ids = _renumbered(sample.target)
    return fit(_palette(514)[(ids if sample.like is None else _matched(ids, _renumbered(sample.like))) + 1], sample.side)


def _renumbered(segments: Any) -> Any:
    return np.unique(np.asarray(segments), return_inverse=True)[1].reshape(np.shape(segments))


def _matched(ids: Any, like: Any) -> Any:
    """Renumber segments, one to one, as those of the other label that they overlap most; the remaining ones get unused numbers."""
    count, free = int(ids.max()) + 1, int(like.max()) + 1
    overlap = np.zeros((count, free), np.int64)
    np.add.at(overlap, (ids.ravel(), like.ravel()), 1)
    number = free + np.arange(count)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    number[rows] = columns
    return number[ids]


def _classes(sample: Sample) -> Picture:
    colours = np.concatenate([_palette(NO_CLASS), np.zeros((1, 3), np.uint8)])
    picture = fit(colours[np.asarray(sample.target)], sample.side)
    present = [one for one in np.unique(sample.target) if 0 < one <= len(OBJECTS)]
    return _legend(picture, [(OBJECTS[one - 1].name, colours[one]) for one in present[:5]])


def _legend(picture: Picture, entries: list[tuple[str, Any]]) -> Picture:
    for number, (name, colour) in enumerate(entries):
        cv2.rectangle(picture, (4, 6 + 15 * number), (14, 16 + 15 * number), tuple(map(int, colour)), -1)
        cv2.putText(picture, name, (18, 16 + 15 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.38, INK, 1, cv2.LINE_AA)
    return picture


def _ids(sample: Sample) -> Picture:
    """Draw the classes of a custom task; pixels without one are black."""
    colours = np.concatenate([_palette(NO_CLASS), np.zeros((1, 3), np.uint8)])
    picture = fit(colours[np.asarray(sample.target)], sample.side)
    return _legend(picture, [(sample.names[one], colours[one]) for one in np.unique(sample.target)[:6] if one < len(sample.names)])


def _id(sample: Sample) -> Picture:
    one = int(np.ravel(sample.target)[0])
    return _words(sample, [sample.names[one] if sample.names else f"class {one}"])


def _labels(sample: Sample) -> Picture:
    """Write the names of the classes that a sample has."""
    present = np.flatnonzero(np.ravel(sample.target) == 1)
    names = [sample.names[one] if sample.names else f"class {one}" for one in present]
    return _words(sample, names[:5] or ["none"])


def _vector(sample: Sample) -> Picture:
    values = np.ravel(np.asarray(sample.target, np.float32))
    return _words(sample, [" ".join(f"{value:+.3g}" for value in values[start : start + 3]) for start in range(0, min(len(values), 15), 3)])


def _words(sample: Sample, lines: list[str]) -> Picture:
    """Write lines of text below the images if there are several, on a blank picture otherwise."""
    return _below(sample.images, sample.side, lines) if len(sample.images) > 1 else write(_blank(sample.side), lines)


def _blank(side: int) -> Picture:
    return np.full((side, side, 3), PAPER, np.uint8)


def _numbers(sample: Sample) -> Picture:
    values = np.asarray(sample.target, np.float32).ravel()
    return write(_blank(sample.side), [" ".join(f"{value:+.2f}" for value in values[start : start + 3]) for start in range(0, len(values), 3)])


def _beside(images: list[Picture], side: int) -> Picture:
    """Draw the images of a sample side by side."""
    small = side // len(images)
    out = _blank(side)
    for number, image in enumerate(images):
        out[2 : 2 + small - 2, number * small + 1 : (number + 1) * small - 1] = fit(image, small - 2, smooth=True)
    return out


def _below(images: list[Picture], side: int, lines: list[str]) -> Picture:
    out = _beside(images, side)
    top = side // len(images) + 4
    out[top:] = write(out[top:], lines, size=0.38)
    return out


def _pose(sample: Sample) -> Picture:
    values = np.asarray(sample.target, np.float32).reshape(-1, 6)
    lines = []
    for pair, one in zip(("1-2", "1-3", "2-3"), values, strict=False):
        lines += [f"{pair} r " + " ".join(f"{v:+.1f}" for v in one[:3]), "    t " + " ".join(f"{v:+.1f}" for v in one[3:])]
    return _below(sample.images, sample.side, lines)


def _match(sample: Sample) -> Picture:
    return _below(sample.images, sample.side, ["same point" if int(np.ravel(sample.target)[0]) else "different points"])


def _top(names: list[str]) -> Callable[..., Picture]:
    def draw(sample: Sample) -> Picture:
        values, side = np.asarray(sample.target, np.float32), sample.side
        picture = _blank(side)
        for number, one in enumerate(np.argsort(-values, kind="stable")[:5]):
            y = 12 + number * (side - 12) // 5
            cv2.rectangle(picture, (6, y + 6), (6 + int((side - 12) * min(1.0, float(values[one]))), y + 12), (232, 119, 34), -1)
            cv2.putText(picture, f"{names[one]} {values[one]:.2f}", (6, y + 2), cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)
        return picture

    return draw


def _imagenet_names() -> list[str]:
    names = [f"class {number}" for number in range(1000)]
    for one in OBJECTS:
        names[one.imagenet] = one.name
    return names


def _colour(sample: Sample) -> Picture:
    (bins, weights), side = sample.target, sample.side
    shares = np.zeros((*bins.shape[:2], 313), np.float32)
    np.put_along_axis(shares, bins.astype(np.intp), weights, -1)
    ab = cv2.resize(expected_ab(shares).astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    light = cv2.cvtColor(fit(sample.images[0], side, smooth=True).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., :1]
    return _bytes(cv2.cvtColor(np.concatenate([light, ab], -1), cv2.COLOR_LAB2RGB))


def _jigsaw(sample: Sample) -> Picture:
    order = permutation_set()[int(np.ravel(sample.target)[0])]
    side, cut = sample.side, tiles(sample.images[0], np.full((9, 2), 0.5))[order]
    small = side // SIDE
    out = _blank(side)
    for number, tile in enumerate(cut):
        top, left = number // SIDE * small, number % SIDE * small
        out[top + 1 : top + small - 1, left + 1 : left + small - 1] = fit(tile, small - 2, smooth=True)
    return out


def _directions(sample: Sample) -> Picture:
    """Draw arrows from the image's centre towards the vanishing points of the building's three axes."""
    side, image = sample.side, fit(sample.images[0], sample.side, smooth=True)
    focal = side / (2 * np.tan((sample.fov or np.pi / 3) / 2))
    centre = np.array([side / 2, side / 2])
    for direction, colour in zip(np.asarray(sample.target, float).reshape(3, 3), AXES, strict=True):
        x, y, z = -direction if direction[2] > 0 else direction
        step = focal * np.array([x, -y]) / max(-z, 1e-3)
        length = max(float(np.linalg.norm(step)), 1e-6)
        end = centre + step / length * min(side * 0.45, length)
        cv2.arrowedLine(image, (side // 2, side // 2), (int(end[0]), int(end[1])), colour, 2, cv2.LINE_AA, tipLength=0.15)
    return image


def _box(sample: Sample) -> Picture:
    """Draw the edges of the room's box over the image."""
    side, metres = sample.side, np.asarray(sample.target, float)
    centre, extent = metres[:3], metres[6:]
    axes = Rotation.from_euler("xyz", metres[3:6]).as_matrix().T  # maps the box's frame to the camera's
    corners = centre + np.array([(axes @ (np.array([i, j, k]) * extent / 2)) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    focal = side / (2 * np.tan((sample.fov or np.pi / 3) / 2))
    image = fit(sample.images[0], side, smooth=True)
    for one in range(8):
        for other in (one | bit for bit in (1, 2, 4) if not one & bit):
            steps = corners[one] + np.linspace(0, 1, 60)[:, None] * (corners[other] - corners[one])
            seen = steps[steps[:, 2] < -0.05]
            pixels = (side / 2 + focal * seen[:, :2] * (1, -1) / -seen[:, 2:]).clip(-4 * side, 5 * side)
            cv2.polylines(image, [pixels.astype(np.int32).reshape(-1, 1, 2)], False, (255, 210, 60), 2, cv2.LINE_AA)
    return image


PICTURES: dict[str, Callable[[Sample], Picture]] = {
    "": _numbers,
    "map": _map,
    "segments": _segments,
    "classes": _classes,
    "box": _box,
    "directions": _directions,
    "poses": _pose,
    "match": _match,
    "objects": _top(_imagenet_names()),
    "scenes": _top(list(PLACES)),
    "colours": _colour,
    "tiles": _jigsaw,
    "ids": _ids,
    "id": _id,
    "labels": _labels,
    "vector": _vector,
}


def _noisy(image: Picture, rng: np.random.Generator) -> Picture:
    return _bytes(image / 255 + rng.normal(0, 0.1, image.shape))


def _hole(image: Picture, rng: np.random.Generator) -> Picture:
    out, quarter = image.copy(), image.shape[0] // 4
    out[quarter : 3 * quarter, quarter : 3 * quarter] = 128
    return out


def _lightness(image: Picture, rng: np.random.Generator) -> Picture:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., :1], 3, -1)


_INPUTS: dict[Input, Callable[[Picture, np.random.Generator], Picture]] = {
    Input.IMAGE: lambda image, rng: image,
    Input.NOISE: _noisy,
    Input.HOLE: _hole,
    Input.LIGHTNESS: _lightness,
    Input.TILES: lambda image, rng: image,
}
