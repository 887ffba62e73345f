"""Labels in a COCO file: classes of pixels from instances or panoptic segments, and classes of images from their annotations.

Format: https://cocodataset.org/#format-data. Only what labels need is read: images, annotations, categories.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from taskonomy.data.custom_files import Names, bytes_of
from taskonomy.data.custom_labels import Kept, LabelHolder
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import NO_CLASS
from taskonomy.release.file_names import few
from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import label_from
from taskonomy.tasks.custom_tasks import CustomClass, CustomLabels, CustomMap, CustomPixelClasses, CustomTask

BACKGROUND = "background"  # the class of pixels without an annotation, if a declaration has such a class


class CocoLabels(LabelHolder):
    """The labels of one task in a COCO file.

    Args:
        path: The file.
        declared: What the labels are; its classes are categories of the file by name, or all of them in the order of their ids.
        names: The images.

    Raises:
        TaskonomyError: The file is no COCO data set, or lacks a declared class.
    """

    kept = "COCO"

    def __init__(self, path: Path, declared: CustomTask, names: Names) -> None:
        self.path, self.declared = path, declared
        if isinstance(declared, CustomMap):
            raise TaskonomyError(f"{path}: a COCO file has no maps; kind: pixel_classes, class or labels would be right")
        content = _content(path)
        self._class_of = _classes(path, content["categories"], declared)
        self._images = _images(path, content["images"], names)
        self._annotations: dict[str, list[dict[str, Any]]] = {name: [] for name in self._images}
        of_id = {one["id"]: name for name, one in self._images.items()}
        for one in content["annotations"]:
            if one.get("image_id") in of_id:
                self._annotations[of_id[one["image_id"]]].append(one)

    def images(self) -> Collection[str]:
        """Return the images that the file lists; for one class of each image, those with annotations."""
        return [name for name, found in self._annotations.items() if found or not isinstance(self.declared, CustomClass)]

    def get(self, name: str) -> Kept:
        """Return the classes of an image's pixels, its one class, or a 0 or 1 for each class."""
        if name not in self._images:
            return None
        found = self._annotations[name]
        if isinstance(self.declared, CustomPixelClasses):
            return self._pixels(name, found)
        ids = sorted({self._class_of[one["category_id"]] for one in found if one.get("category_id") in self._class_of})
        if isinstance(self.declared, CustomLabels):
            return np.isin(np.arange(self.declared.count), ids).astype(np.float64)
        if len(ids) > 1:
            raise DamagedFileError(f"has {len(ids)} classes; kind: labels is for any number of them")
        return float(ids[0]) if ids else None

    def where(self, name: str) -> str:
        """Return the file and the image."""
        return f"{self.path}: {name}"

    def file(self, name: str) -> Path | None:
        """Return the PNG of an image's panoptic segments; None for what stands in the file of all images."""
        panoptic = [one for one in self._annotations.get(name, []) if "segments_info" in one]
        return self._png(panoptic[0]) if panoptic else None

    def _png(self, annotation: Mapping[str, Any]) -> Path:
        return self.path.with_suffix("") / Path(str(annotation.get("file_name", ""))).name  # a name alone: it leads nowhere else

    @cached_property
    def _empty(self) -> int:
        names = self.declared.class_names
        return names.index(BACKGROUND) if BACKGROUND in names else NO_CLASS

    def _pixels(self, name: str, found: list[dict[str, Any]]) -> UInt8[np.ndarray, "height width"]:
        if any("segments_info" in one for one in found):
            return self._panoptic(found[0])
        try:
            shape = int(self._images[name]["height"]), int(self._images[name]["width"])
            ids = np.full(shape, self._empty, np.uint8)
            masks = [(mask_of(one["segmentation"], shape), one) for one in found if one.get("category_id") in self._class_of]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DamagedFileError(f"has no segmentation that can be read: {error}") from None
        for mask, one in sorted(masks, key=lambda pair: -int(pair[0].sum())):  # small things lie on large ones
            ids[mask] = self._class_of[one["category_id"]]
        return ids

    def _panoptic(self, one: Mapping[str, Any]) -> UInt8[np.ndarray, "height width"]:
        path = self._png(one)
        colours = label_from(bytes_of(path), path.suffix.lower())
        if colours.ndim != 3:
            raise DamagedFileError(f"{path.name} is grey; a panoptic PNG has the number of a segment in its red, green and blue")
        numbers = colours.astype(np.int64) @ np.array([1, 256, 65536])
        ids = np.full(numbers.shape, self._empty, np.uint8)
        for segment in one["segments_info"]:
            if segment.get("category_id") in self._class_of:
                ids[numbers == segment["id"]] = self._class_of[segment["category_id"]]
        return ids


def mask_of(segmentation: Any, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Return the pixels of a segmentation: polygons (a pixel belongs to them if its centre does), or run lengths, compressed or not.

    Raises:
        ValueError: It is neither, or of another size.
    """
    if isinstance(segmentation, list):
        from skimage.draw import polygon

        mask = np.zeros(shape, bool)
        for corners in segmentation:
            places = np.array(corners, np.float64).reshape(-1, 2) - 0.5  # COCO counts from the corner of the first pixel
            mask[polygon(places[:, 1], places[:, 0], shape)] = True
        return mask
    counts = segmentation["counts"]
    lengths = runs_of(counts) if isinstance(counts, str) else [int(one) for one in counts]
    if tuple(segmentation["size"]) != shape or sum(lengths) != shape[0] * shape[1]:
        raise ValueError(f"run lengths of {segmentation['size']} for an image of {list(shape)}")
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(values.reshape(shape[1], shape[0]).T)


def runs_of(text: str) -> list[int]:
    """Return the run lengths that a string of COCO's holds: five bits a character, each from the fourth on as the difference from that two back."""
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise TaskonomyError(f"{path}: no such file; files of data.own is a path below data.root") from None
    except (ValueError, RecursionError) as error:
        raise TaskonomyError(f"{path}: is no JSON: {error}") from None
    if not is_coco(content):
        raise TaskonomyError(f"{path}: is no COCO data set, which has lists of objects images, annotations and categories")
    return dict(content)


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file is a COCO data set."""
    lists = [content.get(part) for part in ("images", "annotations", "categories")] if isinstance(content, dict) else [None]
    return all(isinstance(one, list) and all(isinstance(entry, dict) for entry in one) for one in lists)


def _classes(path: Path, categories: Iterable[Mapping[str, Any]], declared: CustomTask) -> dict[Any, int]:
    """Return category id -> class."""
    found: dict[int, str] = {}
    for one in categories:
        if not isinstance(number := one.get("id"), int) or isinstance(number, bool):
            raise TaskonomyError(f"{path}: the category {one.get('name')!r} has the id {number!r}: must be a whole number")
        found[number] = str(one.get("name"))
    names = [name for name in declared.class_names if name != BACKGROUND]
    if names:
        if lost := [name for name in names if name not in found.values()]:
            raise TaskonomyError(f"{path}: has no category {few(lost)}, which data.own declares; it has {few(list(found.values()), 10)}")
        return {key: declared.class_names.index(name) for key, name in found.items() if name in names}
    if isinstance(declared, CustomPixelClasses | CustomClass | CustomLabels) and declared.count != len(found):
        raise TaskonomyError(
            f"{path}: has {len(found)} categories, declared {declared.count} classes; name those to learn: classes: [{few(list(found.values()), 4)}]"
        )
    return {key: number for number, key in enumerate(sorted(found))}


def _images(path: Path, listed: Iterable[Mapping[str, Any]], names: Names) -> dict[str, Mapping[str, Any]]:
    images: dict[str, Mapping[str, Any]] = {}
    for one in listed:
        name = names.find(str(one.get("file_name", "")))
        if name is not None and "id" in one:  # a part of a data set keeps the whole's annotations
            images[name] = one
    if not images:
        raise TaskonomyError(f"{path}: none of its images is in images/, such as {next((one.get('file_name') for one in listed), 'none')}")
    return images
