"""Parameters of images and labels: the built-in world, the data of a run, and those of new tasks."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, FiniteFloat, field_validator, model_validator

from taskonomy.config.checked import Checked, Count, Seed, Share, Side, TaskName, must_be_a_path, wrong_key
from taskonomy.errors import unknown
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.custom_tasks import AnyCustomTask, CustomTasks, custom_name


class Splits(Checked):
    """Shares of the buildings; together 1."""

    train: Share
    """Share to train on, in (0, 1)."""
    val: Share
    """Share to validate on, in (0, 1)."""
    test: Share
    """Share to test on, in (0, 1)."""

    @model_validator(mode="after")
    def _together_one(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train, val and test must add up to 1 (are {self.train + self.val + self.test:g})")
        return self


class WorldParams(Checked):
    """The built-in world: how much of it, and how finely it is drawn."""

    buildings: Annotated[int, Field(ge=5, le=100_000)]
    """Buildings of the built-in world, >= 5."""
    points: Count
    """Points on surfaces of each building that views look at. Released data: about 1,700."""
    views: Annotated[int, Field(ge=3, le=50)]
    """Views that look at each point, >= 3: a triplet is the label of egomotion. Released data: 5 on average."""
    resolution: Side
    """Side of the rendered images, pixels, a multiple of 16. Released data: 512."""
    samples: Annotated[int, Field(ge=1, le=4096)]
    """Rays per pixel."""
    splits: Splits
    """Shares of the buildings in the split lists; together 1."""
    seed: Seed
    """Seed of the buildings, of the views of them, and of their splits."""


class OnBad(StrEnum):
    """What to do about damaged files."""

    ERROR = "error"
    SKIP = "skip"


class Fit(StrEnum):
    """What becomes of images that are not square."""

    CROP = "crop"
    PAD = "pad"
    SQUEEZE = "squeeze"


class DataParams(Checked):
    """Which images and labels, and how they are prepared."""

    root: Annotated[str, Field(min_length=1)]
    """Where images and labels are read:
        a folder of your own images and labels (docs/own-data.md);
        the root of a released Taskonomy or Omnidata download, folders or tars;
        the index of one, a file that `taskonomy data index ROOT -o FILE` writes, for terabytes and for object storage (docs/scale.md);
        data/world, the built-in world, where there is a stage `world` that renders it."""
    on_bad: OnBad
    """What to do about damaged files, and labels that do not fit their declaration: error (list them and stop) | skip (leave out what they spoil, and
    list them in the manifest). Images of your own may lack any label, which is no damage."""
    resolution: Side
    """Side of the prepared images, pixels, a multiple of 16, >= 32: the square that `fit` makes of each image is resized to it. Paper: 256."""
    fit: Fit = Fit.CROP
    """What becomes of images that are not square, and of their labels: crop (the central square) | pad (the whole, with bars that count in no loss) |
    squeeze (the whole, its longer side squeezed)."""
    white: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """The value that is white in your own images of more than 8 bits per channel, such as 4095 for 12 bits. null: measured, the largest number of as
    many bits as the largest value of all images has."""
    components: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Components of an Omnidata download to read, such as [replica, hypersim]; [] all."""
    own: CustomTasks = {}
    """Tasks of your own, by name (a to z, 0 to 9, _); name them in data.tasks as well. `title` is what people read; it changes no result.
        map: an image for each image. channels; range: lowest and highest value that may occur; loss: l1 | l2; missing: value of pixels without one.
        pixel_classes: a class for each pixel, 255: none. classes: a number, or a list of names in the order of the ids.
        vector: numbers for each image. length; loss: l1 | l2; images: 2 for pairs (or 3), listed in NAME.csv.
        class: a class for each image. classes; images as above; folders: true where images lie in a folder for each class.
        labels: any number of classes for each image, names with | between them or a column each. classes.
    files, of all but vectors: where label files are, such as depth/{name}_depth.png, or the .json of a COCO data set.
    mirror: whether train.mirror mirrors the images, and how labels turn with them: true | false (default: false for vectors, else true); for a
    vector that stays as it is, keep; for a vector's numbers or a map's channels also signs, [-1, 1, 1] where the first points to the right.
    Example: {mood: {kind: class, classes: 3, title: Mood of the photograph}}."""
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=2)]
    """Tasks whose labels are prepared and whose networks are trained: of the dictionary (`taskonomy tasks` describes them), and of data.own."""
    labels: dict[TaskName, dict[str, Annotated[FiniteFloat, Field(gt=0)]]]
    """Options of single labels, where they differ from the dictionary's. Example: {edge_occlusion: {blur: 2}}. The metric loss of the segmentations
    without classes compares `pixels` pixels of an image; its cost grows with their square. Paper: 300 of 256 x 256."""
    splits: Splits
    """Shares of the buildings (of your own images: groups) where the root does not say which split each is in; together 1."""
    transfer_share: Share
    """Of the validation split's images: the share that transfers are trained on; the rest selects among their epochs. The test split falls into two
    halves: one to measure affinities, one to evaluate policies. Paper: transfers are trained on the validation split."""
    seed: Seed
    """Seed of pairs, and of the splits where the root has none."""

    @property
    def registry(self) -> Registry:
        """Return the built-in tasks, and the custom ones of `own`."""
        return BUILT_IN.with_custom(self.own)

    @field_validator("root")
    @classmethod
    def _dvc_can_compare_it(cls, root: str) -> str:
        must_be_a_path(root)
        if "://" in root:
            raise ValueError(f"{root} is in object storage: name its index, which DVC can compare: taskonomy data index {root} -o data/index.json")
        return root

    @model_validator(mode="after")
    def _tasks_and_labels_are_known(self) -> "DataParams":
        registry = self.registry
        if missing := [name for name in (*self.tasks, *self.labels) if name not in registry]:
            raise ValueError(str(unknown("tasks", missing, registry)))
        if own := [name for name in self.labels if name in self.own]:
            raise ValueError(f"labels names {', '.join(own)}: declared by data.own, which says all there is to their labels")
        if twice := sorted({name for name in self.tasks if self.tasks.count(name) > 1}):
            raise ValueError(f"tasks names {', '.join(twice)} twice")
        for name, values in self.labels.items():
            label = registry[name].label
            options = label.options if label else {}
            if missing := [option for option in values if option not in options]:
                raise ValueError(f"labels.{name} has no option {', '.join(missing)}; it has {', '.join(options) or 'none'}")
        return self


class QueryTask(Checked):
    """One new task: where its images and labels are, and what they are where the run knows no such task."""

    root: Annotated[str, Field(min_length=1)]
    """Where its images and labels are: a folder, as data.root."""
    own: AnyCustomTask | None = None
    """What its labels are, as in data.own; null: a task that the run knows."""

    @field_validator("root")
    @classmethod
    def _root_is_a_path(cls, root: str) -> str:
        must_be_a_path(root)
        return root


class QueryParams(Checked):
    """New tasks that the run's sources are tried for."""

    tasks: dict[TaskName, QueryTask] = {}
    """New tasks that the sources of this run are tried for: name -> where its images and labels are, and for a task of your own what they are, as in
    data.own; {} none. A task of the dictionary with the root of the run is held out: it is no source for itself.
    Example: {normal: {root: data/world}, mood: {root: data/mood, own: {kind: class, classes: 3}}}."""
    images: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (200, 500, 1000, 2000)
    """Labelled samples of the points of the learning curve; more than there are: all."""
    splits: Splits = Splits(train=0.7, val=0.1, test=0.2)
    """Shares of the images to learn from, to choose among epochs by, and to test on, where the folder has no split lists; together 1."""

    @field_validator("tasks")
    @classmethod
    def _names_can_be_names(cls, tasks: dict[str, QueryTask]) -> dict[str, QueryTask]:
        for name, task in tasks.items():
            if task.own is not None:
                try:
                    custom_name(name)
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from None
        return tasks

    def check_tasks(self, registry: Registry) -> None:
        """Refuse tasks that neither are there nor are declared here.

        Raises:
            ValueError: Naming the first.
        """
        if missing := [name for name, task in self.tasks.items() if task.own is None and name not in registry]:
            raise wrong_key("tasks", f"{missing[0]} is no task of the dictionary; say what its labels are, such as own: {{kind: vector, length: 3}}")
