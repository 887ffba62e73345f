"""`params.yaml` as typed, checked objects: unknown keys and bad values are errors that name the key."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.labels.encodings import Input
from taskonomy.numeric.cpu_info import has_bfloat16
from taskonomy.parsing.strict_yaml import load_yaml
from taskonomy.parsing.user_text import normal
from taskonomy.stage.snapshot import text_as_begun
from taskonomy.tables.transfer_spec import Variant, variant
from taskonomy.tasks import BUILT_IN, Registry
from taskonomy.tasks.custom_tasks import KINDS, AnyCustomTask, CustomTasks, custom_name

Weight = Annotated[FiniteFloat, Field(ge=0)]
# Of costs, prices, labels, budgets and importances: a double holds thousandths of their unit up to here, and sums and products of as many as
# there can be stay far from infinity.
LARGEST = 1e12


def _not_too_large(value: float) -> float:
    if value > LARGEST:
        raise PydanticCustomError("too_large", "is too large: must be at most {most}", {"most": f"{LARGEST:,.0f}"})
    return value


Amount = Annotated[Weight, AfterValidator(_not_too_large)]
Images = Annotated[int, Field(ge=0), AfterValidator(_not_too_large)]
Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, AfterValidator(normal)]  # of a task, as tables have it
Model = TypeVar("Model", bound=BaseModel)


class SelfEdge(StrEnum):
    """What a labelled task may be solved by: its own full network, its own frozen encoder, or only by others."""

    GOLD = "gold"
    TRANSFER = "transfer"
    NONE = "none"


class Balance(StrEnum):
    """How each target's rows are rescaled once the admissible transfers are known."""

    NONE = "none"
    SUM = "sum"
    PEAK = "peak"


class Role(StrEnum):
    """What a task may be."""

    BOTH = "both"
    SOURCE = "source"
    TARGET = "target"


class SolverName(StrEnum):
    """Who solves the Boolean program."""

    GLPK = "glpk"
    HIGHS = "highs"


class AlternativesDiffer(StrEnum):
    """In what an alternative policy must differ from all better ones."""

    SOURCES = "sources"
    TRANSFERS = "transfers"


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_enum_values=False)


class LabelsOfTask(_Checked):
    """Where one task's labels differ; what is not named is as for all."""

    price: Amount | None = None
    full: Annotated[Images, Field(ge=1)] | None = None
    transfer: Images | None = None


class LabelsParams(_Checked):
    """How many labelled images a task takes, and what one costs; with a currency, costs and budget are money."""

    currency: Annotated[str, Field(min_length=1, max_length=12, pattern=r"^[^\W\d_]+$|^[$€£¥]$")] | None = None
    price: Amount | None = None
    full: Annotated[Images, Field(ge=1)] = 120_000
    transfer: Images = 16_000
    tasks: dict[Name, LabelsOfTask] = {}

    def of(self, task: str) -> LabelsOfTask:
        """A task's, with what it shares with all others; its price is None where nobody named one."""
        mine = self.tasks.get(task, LabelsOfTask())
        values = {name: getattr(self, name) if (own := getattr(mine, name)) is None else own for name in ("price", "full", "transfer")}
        return LabelsOfTask(**values)

    @model_validator(mode="after")
    def _prices_have_a_currency_and_transfers_take_fewer_images(self) -> "LabelsParams":
        if self.currency is None and (self.price is not None or any(one.price is not None for one in self.tasks.values())):
            raise ValueError("currency is missing: in which are the prices?")
        for name in (None, *self.tasks):
            one = self if name is None else self.of(name)
            if (one.transfer or 0) > (one.full or 0):
                where = f"tasks.{name}." if name is not None else ""
                raise ValueError(f"{where}transfer must be at most full, {one.full:,} (is {one.transfer:,})")
        return self


class PolicyParams(_Checked):
    """The supervision policy: what may be chosen, and what a choice costs (paper section 3.4)."""

    budget: Amount
    max_order: Count = 4
    self_edge: SelfEdge = SelfEdge.TRANSFER
    balance: Balance = Balance.NONE
    importance: dict[Name, Amount] = {}
    cost: dict[Name, Amount] = {}
    labels: LabelsParams = LabelsParams()
    roles: dict[Name, Role] = {}
    exclude: tuple[Name, ...] = ()
    require: tuple[Name, ...] = ()
    solver: SolverName = SolverName.GLPK
    time_limit: Annotated[FiniteFloat, Field(gt=0)] = 60.0
    alternatives: Annotated[int, Field(ge=0)] = 0
    alternatives_differ_in: AlternativesDiffer = AlternativesDiffer.SOURCES

    @model_validator(mode="after")
    def _no_source_both_required_and_excluded(self) -> "PolicyParams":
        if both := sorted(set(self.require) & set(self.exclude)):
            raise ValueError(f"{', '.join(both)} cannot be both required and excluded")
        return self

    @model_validator(mode="after")
    def _costs_are_either_money_or_not(self) -> "PolicyParams":
        if self.cost and self.labels.currency is not None:
            raise ValueError("cost and labels.currency exclude each other: with a currency, costs follow from labels")
        return self


class FrontParams(_Checked):
    """All budgets for some orders."""

    orders: Annotated[tuple[Count, ...], Field(min_length=1)]


class SavingsParams(_Checked):
    """How many labels transfer saves (paper abstract and section 4)."""

    quality_levels: Annotated[tuple[Share, ...], Field(min_length=1)]
    set_size: Annotated[int, Field(ge=2)]
    draws: Count
    max_order: Count
    images_full: Count
    images_transfer: Count
    seed: Annotated[int, Field(ge=0)]


class TreeMethod(StrEnum):
    """How two clusters' distance follows from their members'."""

    COMPLETE = "complete"
    AVERAGE = "average"
    SINGLE = "single"
    WARD = "ward"


class TreeMetric(StrEnum):
    """The distance of two transferring-out patterns."""

    CORRELATION = "correlation"
    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


class EvaluateParams(_Checked):
    """Significance of the policy, and the similarity tree."""

    random_policies: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]
    tree_method: TreeMethod
    tree_metric: TreeMetric
    tree_beta: Annotated[FiniteFloat, Field(gt=0)]

    @model_validator(mode="after")
    def _ward_needs_euclidean(self) -> "EvaluateParams":
        if self.tree_method is TreeMethod.WARD and self.tree_metric is not TreeMetric.EUCLIDEAN:
            raise ValueError("tree_method ward needs tree_metric euclidean")
        return self


class Splits(_Checked):
    """Shares of the buildings; together 1."""

    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _together_one(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train, val and test must add up to 1 (are {self.train + self.val + self.test:g})")
        return self


class WorldParams(_Checked):
    """The built-in world: how much of it, and how finely it is drawn."""

    buildings: Annotated[int, Field(ge=5, le=100_000)]
    points: Count
    views: Annotated[int, Field(ge=3, le=50)]
    resolution: Annotated[int, Field(ge=32, le=2048, multiple_of=16)]
    samples: Annotated[int, Field(ge=1, le=4096)]
    splits: Splits
    seed: Annotated[int, Field(ge=0)]


class OnBad(StrEnum):
    """What to do about damaged files."""

    ERROR = "error"
    SKIP = "skip"


class DataParams(_Checked):
    """Which images and labels, and how they are prepared."""

    root: Annotated[str, Field(min_length=1)]
    on_bad: OnBad
    resolution: Annotated[int, Field(ge=32, le=2048, multiple_of=16)]
    own: CustomTasks = {}
    tasks: Annotated[tuple[str, ...], Field(min_length=2)]
    labels: dict[str, dict[str, Annotated[FiniteFloat, Field(gt=0)]]]
    splits: Splits
    transfer_share: Share
    seed: Annotated[int, Field(ge=0)]

    @property
    def registry(self) -> Registry:
        """Return the built-in tasks, and the custom ones of `own`."""
        return BUILT_IN.with_custom(self.own)

    @field_validator("root")
    @classmethod
    def _dvc_can_compare_it(cls, root: str) -> str:
        _must_be_a_path(root)
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


class Precision(StrEnum):
    """Arithmetic of the networks; weights, losses and sums are always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def here(self) -> "Precision":
        """What `auto` means on this machine; whatever is trained is named by this, so that machines never take one's results for the other's."""
        if self is not Precision.AUTO:
            return self
        return Precision.BFLOAT16 if has_bfloat16() else Precision.FLOAT32


class EncoderParams(_Checked):
    """The shape of the encoders, the same for all tasks.

    Attributes:
        name: The architecture. `small` is for processors without a GPU; 26 and 101 are the paper's test of sensitivity to the architecture.
        width: Multiplies the channels of every layer but the last.
        stride: Side of the image over the side of the code.
        channels: Channels of the code.
    """

    name: Literal["small", "resnet26", "resnet50", "resnet101"]
    width: Annotated[FiniteFloat, Field(gt=0, le=16)]
    stride: Literal[4, 8, 16, 32]
    channels: Count

    @model_validator(mode="after")
    def _width_leaves_a_channel(self) -> "EncoderParams":
        first = 32 if self.name == "small" else 64
        if round(first * self.width) < 1:
            raise ValueError(f"width must leave the first stage of {self.name} at least one channel of {first} (is {self.width})")
        return self


class DecoderParams(_Checked):
    """The shape of the decoders; what they give is the task's.

    Attributes:
        layers: Channels of the convolutions at the code's side.
        steps: For each doubling of the side, channels of the transposed convolution and of the convolutions after it. With more doublings than
            steps the last step repeats; with fewer, the later steps are left out.
        last: Kernel of the last convolution.
        shuffle: Maps are decoded to this fraction of their side, and the last convolution gives this many pixels a side at once, as channels that
            are shuffled into place (Shi et al. 2016): large maps of few channels are what costs most without a GPU. 1: none.
        width: Multiplies all of these, and the head's hidden width.
        dropout: Share of the hidden units of fully connected heads that are left out of a step. Narrow heads can spare fewer.
        shrunk: For maps smaller than the image, where they are decoded otherwise.
    """

    layers: tuple[Count, ...]
    steps: Annotated[tuple[Annotated[tuple[Count, ...], Field(min_length=1)], ...], Field(min_length=1)]
    last: Count = 3
    shuffle: Count = 1
    width: Annotated[FiniteFloat, Field(gt=0, le=16)] = 1.0
    dropout: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.5
    shrunk: "DecoderParams | None" = None

    @field_validator("last")
    @classmethod
    def _is_odd(cls, last: int) -> int:
        if last % 2 == 0:
            raise ValueError(f"must be odd (is {last})")
        return last

    @field_validator("shuffle")
    @classmethod
    def _is_a_power_of_two(cls, shuffle: int) -> int:
        if shuffle & (shuffle - 1):
            raise ValueError(f"must be a power of two (is {shuffle})")
        return shuffle

    def scaled(self, channels: int) -> int:
        """Return the channels at this width, at least one."""
        return max(1, round(channels * self.width))


class AdversarialParams(_Checked):
    """The reference's second term for tasks whose output is a map: a critic tells it from the label."""

    share: Annotated[FiniteFloat, Field(ge=0, lt=1)]
    after: Annotated[FiniteFloat, Field(ge=0, le=1)]


class ScheduleParams(_Checked):
    """How long and how fast a network is trained (paper: Adam, 1e-4, then 1e-5 for the last part).

    Attributes:
        epochs: Passes over the training samples.
        batch: Samples per step.
        rate: Adam's learning rate.
        slow_after: Share of the epochs after which the rate is a tenth.
        weight_decay: L2 penalty on weights, as Adam's.
    """

    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    rate: Annotated[FiniteFloat, Field(gt=0)]
    slow_after: Annotated[FiniteFloat, Field(gt=0, le=1)]
    weight_decay: Weight

    def rate_in(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.rate if epoch < self.slow_after * self.epochs else self.rate / 10


class ScheduleChange(_Checked):
    """What a single task does otherwise; what is not named stays."""

    epochs: Count | None = None
    batch: Annotated[int, Field(ge=2)] | None = None
    rate: Annotated[FiniteFloat, Field(gt=0)] | None = None
    slow_after: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = None
    weight_decay: Weight | None = None


class TrainParams(_Checked):
    """Task networks."""

    encoder: EncoderParams
    decoder: DecoderParams
    tile_side: Annotated[int, Field(ge=8)] | None
    embedding: Count
    schedule: ScheduleParams
    tasks: dict[str, ScheduleChange] | None
    precision: Precision
    adversarial: AdversarialParams
    seed: Annotated[int, Field(ge=0)]

    def schedule_of(self, task: str) -> ScheduleParams:
        """With what this task does otherwise."""
        change = (self.tasks or {}).get(task, ScheduleChange()).model_dump(exclude_none=True)
        return self.schedule.model_copy(update=change)

    def check_tasks(self, registry: Registry) -> None:
        """Refuse names of tasks that there are not.

        Raises:
            ValueError: Naming them.
        """
        if missing := [name for name in self.tasks or {} if name not in registry]:
            raise ValueError(str(unknown("tasks", missing, registry)))


class Beam(StrEnum):
    """Widths that are not numbers."""

    PAPER = "paper"
    ALL = "all"


class TransferParams(_Checked):
    """Transfers between all tasks."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    images: Annotated[int, Field(ge=2)]
    max_order: Count
    beam: Beam | Count
    schedule: ScheduleParams
    precision: Precision
    codes: Literal["float16", "float32"]
    decoder_width: Annotated[FiniteFloat, Field(gt=0, le=16)] = 1.0
    more: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0)]

    def variants(self) -> tuple[Variant, ...]:
        """What `more` asks for."""
        return tuple(found for written in self.more if (found := variant(written)) is not None)

    @field_validator("more")
    @classmethod
    def _more_is_understood(cls, more: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[tuple[str, str | None, float | None], str] = {}
        for written in more:
            one = _variant(written)
            what = one.source, one.intermediate, one.share
            if what in seen:
                raise ValueError(f"{written} stands twice (also as {seen[what]})")
            seen[what] = written
        return more

    @model_validator(mode="after")
    def _no_target_twice(self) -> "TransferParams":
        if twice := sorted({name for name in self.targets if self.targets.count(name) > 1}):
            raise ValueError(f"targets names {', '.join(twice)} twice")
        return self

    def check_tasks(self, registry: Registry) -> None:
        """Refuse names of tasks that there are not, and tasks that cannot be what they are named for.

        Raises:
            ValueError: Naming them.
        """
        if missing := [name for name in self.targets if name not in registry]:
            raise ValueError(str(unknown("targets", missing, registry)))
        if wrong := [name for name in self.targets if "target" not in registry[name].roles]:
            raise ValueError(f"targets names {', '.join(wrong)}, whose labels cost nothing or which has none: source only")
        for one in self.variants():
            if missing := [name for name in (one.source, one.intermediate) if name is not None and name not in registry]:
                raise _wrong("more", str(unknown(one.written, missing, registry)))
            if one.intermediate is not None and "target" not in registry[one.intermediate].roles:
                why = f"the intermediate {one.intermediate} must be a task with labels that can be transferred to; it is source only"
                raise _wrong("more", f"{one.written}: {why}")


class SamplesParams(_Checked):
    """Predictions that people look at."""

    targets: tuple[str, ...] = ()
    sources: Annotated[int, Field(ge=2, le=12)] = 5
    views: Annotated[int, Field(ge=1, le=12)] = 3
    side: Annotated[int, Field(ge=32, le=512)] = 160
    seed: Annotated[int, Field(ge=0)] = 0

    def check_tasks(self, registry: Registry) -> None:
        """Refuse names of tasks that there are not.

        Raises:
            ValueError: Naming them.
        """
        if missing := [name for name in self.targets if name not in registry]:
            raise _wrong("targets", str(unknown("targets", missing, registry)).removeprefix("targets: "))


class NormalizeParams(_Checked):
    """Losses to affinities."""

    method: Literal["ahp", "linear"]
    resamples: Annotated[int, Field(ge=0)]
    confidence: Share
    seed: Annotated[int, Field(ge=0)]


class StudiesParams(_Checked):
    """The paper's experiments on one table."""

    budgets: Annotated[tuple[Amount, ...], Field(min_length=1)] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 25)
    random_policies: Annotated[int, Field(ge=100)] = 2000
    seed: Annotated[int, Field(ge=0)] = 0


class QueryTask(_Checked):
    """One new task: where its images and labels are, and what they are where the run knows no such task."""

    root: Annotated[str, Field(min_length=1)]
    own: AnyCustomTask | None = None

    @field_validator("root")
    @classmethod
    def _root_is_a_path(cls, root: str) -> str:
        _must_be_a_path(root)
        return root


class QueryParams(_Checked):
    """New tasks that the run's sources are tried for."""

    tasks: dict[str, QueryTask] = {}
    images: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (200, 500, 1000, 2000)
    splits: Splits = Splits(train=0.7, val=0.1, test=0.2)

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
            raise _wrong("tasks", f"{missing[0]} is no task of the dictionary; say what its labels are, such as own: {{kind: vector, length: 3}}")


class ReportParams(_Checked):
    """The page."""

    title: Annotated[str, Field(min_length=1)]


class WorkKind(StrEnum):
    """What a unit of work trains."""

    NETWORK = "network"
    TRANSFER = "transfer"


class Needs(_Checked):
    """What a worker of a cluster reserves for units of one kind, and how often such a unit is given to another one when its worker dies."""

    cpus: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    gpus: Weight = 0.0
    memory: Weight = 0.0
    retries: Annotated[int, Field(ge=0)] = 2


class Kinds(_Checked):
    """Kinds of units."""

    network: Needs = Needs()
    transfer: Needs = Needs()


class ExecutionParams(_Checked):
    """Where units of work are computed: it changes how, not what."""

    engine: Literal["local", "ray"] = "local"
    address: str = "auto"
    inputs: Literal["auto", "path", "copy"] = "auto"
    device: str = "auto"
    deterministic: bool = True
    compile: bool = True
    per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    kinds: Kinds = Kinds()

    def needs(self, kind: WorkKind) -> Needs:
        """Of a kind of unit."""
        return {WorkKind.NETWORK: self.kinds.network, WorkKind.TRANSFER: self.kinds.transfer}[kind]

    @field_validator("address")
    @classmethod
    def _address_is_one(cls, address: str) -> str:
        if not re.fullmatch(r"auto|[^\s/:]+:\d+", address):
            raise ValueError(f"must be auto or HOST:PORT (is {address!r})")
        return address

    @field_validator("device")
    @classmethod
    def _device_is_one(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"must be auto, cpu, cuda or cuda:N (is {device!r})")
        return device

    @model_validator(mode="after")
    def _a_cluster_gives_each_worker_its_gpu(self) -> "ExecutionParams":
        if self.engine == "ray" and self.device.startswith("cuda:"):
            raise ValueError(f"device must be auto, cpu or cuda with engine ray, which gives each worker its GPU (is {self.device!r})")
        return self


def _not_there() -> Any:
    return None


class Params(_Checked):
    """Every knob of the pipeline; sections are named as the stages, but for `execution`, which is about all of them.

    Attributes:
        version: Of the code, in projects of `taskonomy init`, which `taskonomy stage` holds against the installed one.
        world: Not there (None) in such projects: they have no stage of that name.
    """

    version: Annotated[str, Field(min_length=1)] | None = None
    world: WorldParams = Field(default_factory=_not_there, validate_default=False)
    data: DataParams
    train: TrainParams
    transfer: TransferParams
    samples: SamplesParams = SamplesParams()
    normalize: NormalizeParams
    policy: PolicyParams
    front: FrontParams
    savings: SavingsParams
    evaluate: EvaluateParams
    studies: StudiesParams = StudiesParams()
    query: QueryParams = QueryParams()
    report: ReportParams
    execution: ExecutionParams = ExecutionParams()

    @property
    def registry(self) -> Registry:
        """Return all tasks that there are for this run: the built-in ones, and the custom ones of `data.own`."""
        return self.data.registry

    @field_validator("train", "transfer", "samples", "query")
    @classmethod
    def _tasks_are_known(cls, section: Any, info: Any) -> Any:
        """Check the names of tasks in a section; while `data` is wrong itself, nobody knows which there are."""
        if (data := info.data.get("data")) is not None:
            section.check_tasks(data.registry)
        return section

    @model_validator(mode="after")
    def _targets_are_prepared(self) -> "Params":
        if missing := [name for name in self.transfer.targets if name not in self.data.tasks]:
            raise ValueError(f"transfer.targets names {', '.join(missing)}, not in data.tasks")
        return self

    @model_validator(mode="after")
    def _more_can_be_made(self) -> "Params":
        registry = self.registry
        inputs = {Input.IMAGE, *(registry[name].input for name in self.transfer.targets)}
        for one in self.transfer.variants():
            if missing := [name for name in (one.source, one.intermediate) if name is not None and name not in self.data.tasks]:
                raise ValueError(f"transfer.more: {one.written} names {', '.join(missing)}, not in data.tasks")
            if one.intermediate is not None and registry[one.intermediate].input not in inputs:
                # Codes of changed images (noise) are stored for targets alone.
                raise ValueError(f"transfer.more: the intermediate of {one.written} must be in transfer.targets: it changes its images")
            grey = registry[one.source].input is Input.LIGHTNESS
            others = [name for name in self.transfer.targets if (registry[name].input is Input.LIGHTNESS) != grey]
            if one.share is not None and others:
                raise ValueError(
                    f"transfer.more: {one.written} cannot be: the encoder of {one.source} reads {'grey' if grey else 'colour'} images,"
                    f" those of {', '.join(others)} {'colours' if grey else 'grey'}"
                )
        return self


def _must_be_a_path(path: str) -> None:
    """Control characters DVC does not always read back as it wrote them, and no error could name the path in one line; `~` pandas alone expands.

    Raises:
        ValueError: There is such a character in it.
    """
    if str(Path(path)).startswith("~"):
        raise ValueError(f"begins with ~, which stands for no folder here (is {path!r}); write the whole path")
    if odd := [one for one in path if unicodedata.category(one) in ("Cc", "Zl", "Zp")]:
        raise ValueError(f"must be a path in one line, without control characters (is {path!r}: {odd[0]!r}); rename the folder, or link to it")


def _variant(written: str) -> Variant:
    """Read a token of `transfer.more`; whether there are such tasks is seen later."""
    one = variant(written)
    if one is None:
        raise ValueError(f"{written!r} must be SOURCE>INTERMEDIATE, as normal>reshading, or SOURCE@SHARE, as normal@0.02")
    if one.source == one.intermediate:
        raise ValueError(f"{written}: the intermediate must be another task than the source")
    if one.share is not None and not 0 < one.share <= 1:
        raise ValueError(f"{written}: the share of the train split must be above 0 and at most 1 (is {one.share:g})")
    return one


def _wrong(key: str, message: str) -> ValidationError:
    """Make an error of one key of the section that is checked."""
    return ValidationError.from_exception_data(
        "params", [{"type": "value_error", "loc": (key,), "input": None, "ctx": {"error": ValueError(message)}}]
    )


def read_params(path: Path | str = "params.yaml") -> Params:
    """Read and check a parameter file.

    Raises:
        TaskonomyError: naming the file and, per problem, the key, its value and what is allowed.
    """
    try:
        text = text_as_begun(path)
    except FileNotFoundError:
        raise TaskonomyError(f"{path}: no such parameter file; run from the project's root") from None
    try:
        values = load_yaml(text)
    except yaml.YAMLError as error:
        raise TaskonomyError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise TaskonomyError(f"{path}: must hold the sections {', '.join(Params.model_fields)}")
    return checked(Params, values, str(path))


def registry_here(path: Path | str = "params.yaml") -> Registry:
    """Return the tasks that there are for the project around; where there is none, the built-in ones.

    Raises:
        TaskonomyError: As `read_params`.
    """
    return read_params(path).registry if Path(path).is_file() else BUILT_IN


def checked(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Build `model` from `values`, or fail with one line that names each bad key."""
    with told(model, where):
        made = model.model_validate(values)
    if taken := next(_taken_for_numbers(values, made), None):
        raise TaskonomyError(f"{where}: {taken}")
    return made


@contextmanager
def told(model: type[BaseModel], where: str) -> Iterator[None]:
    """Turn errors of a section into one line that names each bad key."""
    try:
        yield
    except ValidationError as error:
        raise TaskonomyError(f"{where}: {'; '.join(_problem(model, problem) for problem in error.errors())}") from None


def _taken_for_numbers(value: Any, made: Any, key: str = "") -> Iterator[str]:
    """What pydantic reads as a number and people do not write as one: yes and no, and text with underscores."""
    match value, made:
        case dict(), BaseModel() | dict():
            for name, one in value.items():
                part = getattr(made, name, None) if isinstance(made, BaseModel) else made.get(normal(name) if isinstance(name, str) else name)
                yield from _taken_for_numbers(one, part, f"{key}.{name}" if key else str(name))
        case list() | tuple(), list() | tuple():
            for place, (one, part) in enumerate(zip(value, made, strict=False)):
                yield from _taken_for_numbers(one, part, f"{key}.{place}")
        case bool() | str(), int() | float() if not isinstance(made, bool) and (isinstance(value, bool) or "_" in value):
            yield f"{key} must be a number, written with the digits 0-9 and without underscores (is {value!r})"


def _problem(model: type[BaseModel], problem: Any) -> str:
    key, last = _key(model, problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return f"{key} is not a known key; known keys: {', '.join(last.model_fields)}"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
        case "union_tag_invalid" | "union_tag_not_found":
            return f"{key}.kind must be one of {', '.join(KINDS)} (is {problem['ctx'].get('tag', 'missing')})"
    allowed = problem["msg"].replace("Input should be", "must be").replace("Value should", "must")
    return f"{key} {allowed} (is {problem['input']!r})"


def _key(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[str, type[BaseModel]]:
    """A key as params.yaml has it, and the innermost section around it: what pydantic's location of an error means."""
    parts = [str(part) for part in location if part != "[key]"]
    for place, part in enumerate(location):
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif part == "own" and place >= 2 and location[place - 2] == "tasks" and location[place + 1 : place + 2] and location[place + 1] in KINDS:
            del parts[place + 1]
            model = KINDS[location[place + 1]]
        elif part == "own" and location[place + 2 : place + 3] and location[place + 2] in KINDS:
            del parts[place + 2]  # which of the kinds NAME of `own.NAME` was taken for: no key of the file
            model = KINDS[location[place + 2]]
    return ".".join(parts), model
