"""Custom tasks: the user's own, as declared in `data.own` of params.yaml.

A declaration makes an entry like those of the built-in tasks; a registry holds both (`taskonomy.tasks.registry`).
"""

import re
from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Bool, Num, Shaped
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from taskonomy.labels import encodings as to
from taskonomy.labels.encodings import Head, Label, Loss, Mask, ViewFiles
from taskonomy.labels.mirror import MAP, SAME, Mirroring
from taskonomy.labels.task import Task
from taskonomy.tasks import multi_view as samples
from taskonomy.tasks.dictionary import ENTRIES
from taskonomy.tasks.preprocess import resized

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Names that already have a meaning: in a folder of images and labels, among released domains, or in a table of transfers.
_TAKEN = frozenset({
    "average", "building", "group", "image", "images", "labels", "mask_valid", "nonfixated_matches", "pixels", "point_info", "random", "rgb",
    "scratch", "self", "split",
})  # fmt: skip
_BUILT_IN = frozenset(task.name for task in ENTRIES)
Signs = tuple[Literal[1, -1], ...]


class CustomTask(BaseModel, ABC):
    """Declare a custom task: what its labels are, and how a network learns them."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    title: Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 80, "pattern": "^[^<>]*$"})] | None = None
    """What people read, a line of 1 to 80 characters; null: the task's name. It changes no result."""

    @field_validator("title")
    @classmethod
    def _title_is_one_line(cls, title: str | None) -> str | None:
        if title is not None:
            _must_be_plain("must", title)
        return title

    @property
    def of_images(self) -> int:
        """Return the number of images per sample."""
        return 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the class ids; empty if there are none."""
        return ()

    @abstractmethod
    def describe(self) -> str:
        """Describe what each label must be, for error messages."""

    def says_nothing(self, values: Any) -> bool:
        """Return whether a map that matches its declaration has no pixel with a label; such an image has no label."""
        return False

    @abstractmethod
    def compact(self, values: Any, size: int) -> Shaped[np.ndarray, "..."]:
        """Convert a label that matches its declaration to the compact array, for images of this side in pixels."""

    @abstractmethod
    def entry(self, name: str) -> Task:
        """Return the task's entry for a registry."""

    def decides(self) -> dict[str, Any]:
        """Return everything that a network depends on beside its labels, as JSON: the declaration without what people read and where labels are."""
        return self.model_dump(mode="json", exclude={"title", "files", "folders", "values"})

    def _task(self, name: str, label: Label, loss: Loss, head: Head, picture: str) -> Task:
        group = samples.listed if self.of_images > 1 else None
        title = self.title or name
        return Task(name, title, "other", "", label, loss, head, images=self.of_images, group=group, picture=picture, classes=self.class_names)

    def _label(self, name: str, shape: tuple[int | str, ...], dtype: str, encode: Any, **more: Any) -> Label:
        def make(files: ViewFiles) -> Shaped[np.ndarray, "..."]:
            return self.compact(files.stored(name), files.size)

        # Labels of several images come from a table, a row for each sample, so there are no files to make them from.
        return Label(shape, dtype, encode, (name,), make if self.of_images == 1 else None, **more)


class _OfFiles(CustomTask, ABC):
    """Labels that are files, or come from one file for all images."""

    files: Annotated[str, Field(min_length=1)] | None = None
    """Where the labels are, below data.root: a pattern such as depth/{name}_depth.png, where {name} is the image's and * anything; or the .json of a
    COCO data set. null: NAME/{name}.png, .tif, .npy and so on."""

    @field_validator("files")
    @classmethod
    def _below_the_root(cls, files: str | None) -> str | None:
        if files is None:
            return None
        if files.startswith(("/", "~")) or ".." in files.split("/") or "\\" in files or not files.isprintable():
            raise ValueError(f"must be a path below data.root, with / between folders (is {files!r})")
        if not files.endswith(".json") and "{name}" not in files:
            raise ValueError(
                f"must have {{name}} where the image's name stands, such as depth/{{name}}_depth.png, or be a .json of COCO (is {files!r})"
            )
        return files


class CustomMap(_OfFiles):
    """A map for each image, of the image's size: depth, normals, a heat map, a picture."""

    kind: Literal["map"]
    """An image for each image, of the same size."""
    channels: Annotated[int, Field(ge=1, le=16)]
    """Channels of the map, 1 to 16."""
    range: tuple[FiniteFloat, FiniteFloat] = (0, 255)
    """Lowest and highest value that may occur; networks see it as [-1, 1]. 16-bit files: [0, 65535]."""
    loss: Literal["l1", "l2"] = "l1"
    """What the network is trained with, and judged by: l1 | l2."""
    missing: FiniteFloat | Literal["nan"] | None = None
    """The value of pixels without a label, such as 0 for depth; nan: those that are no finite number. They count in no loss. null: there are none."""
    mirror: bool | Signs = True
    """Whether train.mirror mirrors the images, and the map with them: true | false | for each channel 1 or -1, where -1 reflects its values about the
    middle of the range, as a component to the right needs."""

    @field_validator("mirror", mode="before")
    @classmethod
    def _mirror_fits(cls, mirror: Any, info: Any) -> Any:
        return _turning(mirror, (True, False), info.data.get("channels"), "channel")

    @field_validator("missing", mode="before")
    @classmethod
    def _nan_of_yaml(cls, missing: Any) -> Any:
        return "nan" if isinstance(missing, float) and np.isnan(missing) else missing

    @field_validator("range")
    @classmethod
    def _from_low_to_high(cls, values: tuple[float, float]) -> tuple[float, float]:
        if not values[0] < values[1]:
            raise ValueError(f"must be [lowest, highest] (is [{values[0]:g}, {values[1]:g}])")
        return values

    def describe(self) -> str:
        """Describe its channels and range."""
        return f"map of {_of(self.channels, 'channel')}, values {self.range[0]:g} to {self.range[1]:g}"

    def decides(self) -> dict[str, Any]:
        """Return what a network depends on; whether values may be missing only where they may."""
        return {name: value for name, value in super().decides().items() if name != "missing" or value is not None}

    def is_missing(self, values: Num[np.ndarray, "height width channels"]) -> Bool[np.ndarray, "height width"]:
        """Return which pixels have no label."""
        if self.missing is None:
            return np.zeros(values.shape[:2], bool)
        none = ~np.isfinite(values) if self.missing == "nan" else values == self.missing
        return none.any(-1)

    def says_nothing(self, values: Num[np.ndarray, "height width channels"]) -> bool:
        """Return whether every pixel is missing."""
        return bool(np.isnan(values).any(-1).all())

    def compact(self, values: Num[np.ndarray, "height width channels"], size: int) -> Shaped[np.ndarray, "size size channels"]:
        """Resize the map and convert it to 16-bit shares of the range; pixels without a label (NaN) have no part in their neighbours' values."""
        low, high = self.range
        shares = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
        known = np.isfinite(shares).all(-1) if self.missing is not None else None
        if known is not None:
            shares[~known] = 0
        small = np.stack([resized(np.ascontiguousarray(shares[..., one]), size) for one in range(self.channels)], -1)
        if known is not None:
            small = small / np.maximum(resized(np.asarray(known, np.float32), size), 1e-6)[..., None]
        return np.rint(np.clip(small, 0, 1) * 65535).astype(np.uint16)

    def entry(self, name: str) -> Task:
        """Return an entry that is trained like the paper's maps."""
        mirror = Mirroring(flips=True, signs=self.mirror) if isinstance(self.mirror, tuple) else MAP if self.mirror else None

        def known(files: ViewFiles) -> Bool[np.ndarray, "h h"]:
            # As the mask of depth: a pixel that any share of a missing one went into has no label.
            whole = np.asarray(np.isfinite(files.stored(name)).all(-1), np.float32)
            return resized(whole, files.size) >= 0.99

        more: dict[str, Any] = {} if self.missing is None else {"mask": Mask.OWN, "make_mask": known}
        label = self._label(name, ("h", "h", self.channels), "uint16", to.limited, options={"limit": 1.0}, mirror=mirror, **more)
        return self._task(name, label, Loss(self.loss), Head(self.channels, tanh=True), "map")


class _Classes(CustomTask, ABC):
    """Classes, numbered from 0."""

    classes: (
        Annotated[int, Field(json_schema_extra={"minimum": 2, "maximum": to.NO_CLASS})]
        | Annotated[tuple[str, ...], Field(json_schema_extra={"minItems": 2, "maxItems": to.NO_CLASS, "uniqueItems": True})]
    )
    """How many classes, 2 to 255, or their names in the order of their numbers."""
    mirror: bool = True
    """Whether train.mirror mirrors the images: true | false, where a class means left or right."""

    @field_validator("classes", mode="before")
    @classmethod
    def _number_or_names(cls, classes: Any) -> Any:
        names = list(classes) if isinstance(classes, list | tuple) else []
        if odd := [name for name in names if not isinstance(name, str)]:
            raise ValueError(f"names must be text, in quotes where YAML sees something else (are also {', '.join(map(repr, odd))})")
        for name in names:
            _must_be_plain("names must", name)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice")
        count = len(names) if names else classes
        if not isinstance(count, int) or isinstance(count, bool) or not 2 <= count <= to.NO_CLASS:
            raise ValueError(f"must be a number from 2 to {to.NO_CLASS}, or a list of as many names (is {classes!r})")
        return tuple(names) or count

    @property
    def count(self) -> int:
        """Return the number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the declared names; empty if only their number is declared."""
        return () if isinstance(self.classes, int) else self.classes

    def decides(self) -> dict[str, Any]:
        """Return what labels and networks depend on: the number of classes, not their names."""
        return {**super().decides(), "classes": self.count}


class CustomPixelClasses(_Classes, _OfFiles):
    """A class for each pixel; 255 marks pixels without one."""

    kind: Literal["pixel_classes"]
    """A class for each pixel."""
    values: Annotated[tuple[Annotated[int, Field(ge=0, le=65535)], ...], Field(min_length=2)] | None = None
    """The number that stands in the files for each class, in their order, such as [0, 255] for a mask of black and white. null: 0, 1, 2, ..."""

    @model_validator(mode="after")
    def _a_value_for_each_class(self) -> "CustomPixelClasses":
        if self.values is not None and len(set(self.values)) != self.count:
            raise ValueError(f"values must be {self.count} different numbers, one for each class (are {', '.join(map(str, self.values))})")
        return self

    def describe(self) -> str:
        """Describe the ids that may occur."""
        if self.values is not None:
            return f"pixel_classes, values {', '.join(map(str, self.values))} and no other"
        return f"pixel_classes, ids 0 to {self.count - 1} and {to.NO_CLASS} for none"

    def says_nothing(self, values: Num[np.ndarray, "height width"]) -> bool:
        """Return whether no pixel has a class."""
        return bool((values == to.NO_CLASS).all())

    def compact(self, values: Num[np.ndarray, "height width"], size: int) -> Shaped[np.ndarray, "size size"]:
        """Resize the map to the nearest ids, because ids must not be averaged."""
        return resized(np.ascontiguousarray(values, np.uint8), size, nearest=True)

    def entry(self, name: str) -> Task:
        """Return an entry that is trained like semantic segmentation."""
        label = self._label(name, ("h", "h"), "uint8", to.same, statistics="class_weights", mirror=MAP if self.mirror else None)
        return self._task(name, label, Loss.CROSS_ENTROPY, Head(self.count), "ids")


class _OfImages(CustomTask, ABC):
    """A label of one, two or three images."""

    images: Annotated[int, Field(ge=1, le=3)] = 1
    """Images per sample, 1 to 3. Labels of several are rows of NAME.csv, under image_a, image_b (and image_c)."""

    @property
    def of_images(self) -> int:
        """Return the declared number of images."""
        return self.images


class CustomVector(_OfImages):
    """A vector of numbers for each image, pair or triplet: a regression."""

    kind: Literal["vector"]
    """Numbers for each image (or pair)."""
    length: Annotated[int, Field(ge=1, le=10_000)]
    """How many numbers, 1 to 10,000; networks see each as z-scores."""
    loss: Literal["l1", "l2"] = "l2"
    """What the network is trained with, and judged by: l1 | l2."""
    mirror: Literal[False, "keep"] | Signs = False
    """Whether train.mirror mirrors the images: false | keep, where the numbers stay | for each number 1 or -1, where -1 changes its sign, as a
    position to the right needs."""

    @field_validator("mirror", mode="before")
    @classmethod
    def _mirror_fits(cls, mirror: Any, info: Any) -> Any:
        return _turning(mirror, (False, "keep"), info.data.get("length"), "number")

    def describe(self) -> str:
        """Describe the length of the vector."""
        return f"vector of {_of(self.length, 'finite number')}"

    def compact(self, values: Num[np.ndarray, " length"], size: int) -> Shaped[np.ndarray, " length"]:
        """Convert the numbers to float32."""
        return np.asarray(values, np.float32)

    def entry(self, name: str) -> Task:
        """Return an entry that is trained like room layout."""
        mirror = Mirroring(signs=self.mirror) if isinstance(self.mirror, tuple) else SAME if self.mirror else None
        label = self._label(name, (self.length,), "float32", to.scores, statistics="mean_std", mirror=mirror)
        return self._task(name, label, Loss(self.loss), Head(self.length, layers=2), "vector")


class CustomClass(_Classes, _OfImages, _OfFiles):
    """One class for each image, pair or triplet."""

    kind: Literal["class"]
    """One class for each image (or pair)."""
    folders: bool = False
    """Whether the class of an image is the name of the folder it lies in, as images/CLASS/1.jpg; else it stands in the table, or in files."""

    @model_validator(mode="after")
    def _one_place(self) -> "CustomClass":
        _must_be_coco(self.files)
        if self.folders and self.files:
            raise ValueError("folders and files are two places for one label; keep one")
        if self.folders and not self.class_names:
            raise ValueError("folders needs the names of the classes, such as classes: [cat, dog]; `taskonomy data inspect` lists those there are")
        return self

    def describe(self) -> str:
        """Describe the ids that may occur."""
        return f"class, one id from 0 to {self.count - 1}"

    def compact(self, values: Num[np.ndarray, "1"], size: int) -> Shaped[np.ndarray, "1"]:
        """Convert the id to 8 bits."""
        return np.asarray(values, np.uint8)

    def entry(self, name: str) -> Task:
        """Return an entry that is trained like point matching and jigsaw."""
        label = self._label(name, (1,), "uint8", to.same, mirror=SAME if self.mirror else None)
        return self._task(name, label, Loss.CROSS_ENTROPY, Head(self.count, layers=2), "id")


class CustomLabels(_Classes, _OfFiles):
    """Any number of classes for each image: tags, findings, things that can be seen."""

    kind: Literal["labels"]
    """Any number of classes for each image."""

    @model_validator(mode="after")
    def _one_place(self) -> "CustomLabels":
        _must_be_coco(self.files)
        return self

    def describe(self) -> str:
        """Describe what each label must be."""
        return f"labels, {self.count} numbers that are 0 or 1, or names with | between them"

    def compact(self, values: Num[np.ndarray, " classes"], size: int) -> Shaped[np.ndarray, " classes"]:
        """Convert to 8 bits; a class of which nothing is known (NaN) becomes 255."""
        return np.where(np.isnan(values), to.NO_CLASS, values).astype(np.uint8)

    def entry(self, name: str) -> Task:
        """Return an entry that is trained with a yes or no for each class."""
        label = self._label(name, (self.count,), "uint8", to.same, mirror=SAME if self.mirror else None)
        return self._task(name, label, Loss.BINARY_CROSS_ENTROPY, Head(self.count, layers=2), "labels")


def custom_name(name: str) -> str:
    """Check that a custom task may have this name, which becomes part of paths, tables and pages; return it.

    Raises:
        ValueError: The name is that of a built-in task, has another meaning, or has characters that are not allowed.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a task's name begins with a letter from a to z and goes on with at most 62 of a to z, 0 to 9 and _")
    if name in _BUILT_IN:
        raise ValueError("is a task of the dictionary (`taskonomy tasks`); call yours otherwise")
    if name in _TAKEN:
        raise ValueError("has a meaning of its own in data and tables; call the task otherwise")
    return name


KINDS: dict[str, type[CustomTask]] = {
    "map": CustomMap,
    "pixel_classes": CustomPixelClasses,
    "vector": CustomVector,
    "class": CustomClass,
    "labels": CustomLabels,
}
AnyCustomTask = Annotated[CustomMap | CustomPixelClasses | CustomVector | CustomClass | CustomLabels, Field(discriminator="kind")]
CustomTasks = dict[Annotated[str, AfterValidator(custom_name), Field(json_schema_extra={"pattern": f"^{_NAME.pattern}$"})], AnyCustomTask]


def _must_be_coco(files: str | None) -> None:
    if files is not None and not files.endswith(".json"):
        raise ValueError(f"files must be the .json of a COCO data set for classes of whole images (is {files!r}); other labels stand in labels.csv")


def _must_be_plain(what: str, text: str) -> None:
    """Check that a text is one short line without < and >, which figures take for markup."""
    if not 1 <= len(text) <= 80 or not text.isprintable() or set("<>") & set(text):
        raise ValueError(f"{what} be a line of 1 to 80 characters without < and > (is {text!r})")


def _turning(mirror: Any, words: tuple[bool | str, bool | str], count: int | None, of: str) -> Any:
    """Check how a label is said to turn with its image: a word, or a sign for each of its channels or numbers."""
    if count is None:  # told as an error of its own
        return mirror
    signs = isinstance(mirror, list | tuple) and len(mirror) == count and all(type(one) is int and abs(one) == 1 for one in mirror)
    if not signs and not any(type(mirror) is type(word) and mirror == word for word in words):
        first, second = (str(word).lower() for word in words)
        raise ValueError(f"must be {first}, {second}, or a list of signs, 1 or -1, one for each of {_of(count, of)} (is {mirror!r})")
    return mirror


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
