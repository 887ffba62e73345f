"""Parameters of networks: their shapes, and how task networks and transfers are trained."""

from collections.abc import Mapping
from enum import StrEnum
from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FiniteFloat, ValidationError, field_validator, model_validator

from taskonomy.config.checked import Checked, Count, Seed, Share, TaskName, Weight, wrong_key
from taskonomy.config.image_amounts import TrainingImages
from taskonomy.errors import unknown
from taskonomy.labels.encodings import Output
from taskonomy.numeric.cpu_info import has_bfloat16
from taskonomy.tables.transfer_spec import Variant, variant
from taskonomy.tasks import Registry


class Precision(StrEnum):
    """Arithmetic of the networks; weights, losses and sums are always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def here(self) -> "Precision":
        """Return what `auto` means on this machine. It is part of unit keys, so that machines never take one's results for the other's."""
        if self is not Precision.AUTO:
            return self
        return Precision.BFLOAT16 if has_bfloat16() else Precision.FLOAT32


class EncoderParams(Checked):
    """The shape of the encoders, the same for all tasks."""

    name: Literal["small", "resnet26", "resnet50", "resnet101"]
    """The architecture: small (for processors without a GPU) | resnet26 | resnet50 (paper) | resnet101; 26 and 101 are the paper's test of
    sensitivity to the architecture."""
    width: Annotated[FiniteFloat, Field(gt=0, le=16)]
    """Multiplies the channels of every layer but the last. Paper: 1."""
    stride: Literal[4, 8, 16, 32]
    """Side of the image over the side of the code. Paper: 16."""
    channels: Count
    """Channels of the code. Paper: 8."""

    @model_validator(mode="after")
    def _width_leaves_a_channel(self) -> "EncoderParams":
        first = 32 if self.name == "small" else 64
        if round(first * self.width) < 1:
            raise ValueError(f"width must leave the first stage of {self.name} at least one channel of {first} (is {self.width})")
        return self


class DecoderParams(Checked):
    """The shape of the decoders; what they give is the task's."""

    layers: tuple[Count, ...]
    """Channels of the convolutions at the code's side."""
    steps: Annotated[tuple[Annotated[tuple[Count, ...], Field(min_length=1)], ...], Field(min_length=1)]
    """For each doubling of the side, channels of the transposed convolution and of the convolutions after it. With more doublings than steps the last
    step repeats; with fewer, the later steps are left out."""
    last: Annotated[Count, Field(json_schema_extra={"not": {"multipleOf": 2}})] = 3
    """Kernel of the last convolution, pixels, odd."""
    shuffle: Annotated[Count, Field(json_schema_extra={"enum": [2**power for power in range(11)]})] = 1
    """Maps are decoded to this fraction of their side, and the last convolution gives this many pixels a side at once, as channels that are shuffled
    into place (Shi et al. 2016): large maps of few channels are what costs most without a GPU. A power of two; 1: none."""
    width: Annotated[FiniteFloat, Field(gt=0, le=16)] = 1.0
    """Multiplies all of these, and the 2,048 hidden units of fully connected heads. Paper: 1."""
    dropout: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.5
    """Share of the hidden units of fully connected heads that are left out of a step. Narrow heads can spare fewer. Paper: 0.5."""
    shrunk: "DecoderParams | None" = None
    """For maps smaller than the image, where they are decoded otherwise; null: nowhere."""

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


class AdversarialParams(Checked):
    """The reference's second term for tasks whose output is a map: a critic tells it from the label."""

    share: Annotated[FiniteFloat, Field(ge=0, lt=1)]
    """The second term's share of the loss, in [0, 1); 0: off. Reference: 0.004."""
    after: Annotated[FiniteFloat, Field(ge=0, le=1)]
    """Share of the epochs after which the second term begins. Reference: 0.22."""


class RateShape(StrEnum):
    """How the learning rate falls."""

    COSINE = "cosine"
    STEP = "step"


_Rate = Annotated[FiniteFloat, Field(gt=0)]


class LearningRates(Checked):
    """Learning rates by what a network gives, as differently made decoders learn at different speeds."""

    map: _Rate
    """Networks that give maps."""
    metric: _Rate
    """Networks that give embeddings for the metric loss of segmentations without classes."""
    classes: _Rate
    """Networks whose fully connected layers give classes of the whole image."""
    vector: _Rate
    """Networks whose fully connected layers give numbers."""


_Warming = Annotated[FiniteFloat, Field(ge=0, lt=1)]
_Part = Annotated[FiniteFloat, Field(gt=0, lt=1)]


class ScheduleParams(Checked):
    """How long and how fast a network is trained (paper: Adam, 1e-4, then 1e-5 for the last part)."""

    epochs: Count
    """Passes over the training samples."""
    least_steps: Count = 1
    """Steps that a training has at least: few samples are passed more often."""
    batch: Annotated[int, Field(ge=2)]
    """Samples per step, >= 2."""
    rate: _Rate | LearningRates
    """Adam's highest learning rate: a number, or one for each kind of output {map: , metric: , classes: , vector: }."""
    shape: RateShape = RateShape.STEP
    """cosine: it falls to zero as half a cosine | step: after the share slow_after of the steps it is a tenth (paper)."""
    warm_up: _Warming = 0.0
    """Share of the steps over which the rate rises to its highest."""
    slow_after: _Part | None = None
    """With the shape step: share of the steps after which the rate is a tenth."""
    weight_decay: Weight
    """L2 penalty on weights, as Adam's."""

    @model_validator(mode="after")
    def _falls(self) -> "ScheduleParams":
        if self.shape is RateShape.STEP and self.slow_after is None:
            raise ValueError("shape step needs slow_after, the share of the steps after which the rate is a tenth (paper: 0.7)")
        if self.shape is RateShape.COSINE and self.slow_after is not None:
            raise ValueError(f"slow_after belongs to shape step (shape is cosine, slow_after {self.slow_after:g}): remove it, or set shape to step")
        if self.slow_after is not None and self.warm_up > self.slow_after:
            raise ValueError(f"warm_up must end before slow_after ({self.slow_after:g}; warm_up is {self.warm_up:g})")
        return self

    def of(self, output: Output) -> "ScheduleParams":
        """Return the schedule of a network with this kind of output: its rate is a number."""
        if not isinstance(self.rate, LearningRates):
            return self
        return self.model_copy(update={"rate": getattr(self.rate, output.value)})

    def passes(self, steps: int) -> int:
        """Compute the passes over samples of which one takes so many steps."""
        return max(self.epochs, ceil(self.least_steps / steps))

    def steps(self, samples: int) -> int:
        """Compute the steps of a training on so many samples."""
        once = ceil(samples / self.batch)
        return self.passes(once) * once

    def of_steps(self, steps: int, samples: int) -> "ScheduleParams":
        """Return the schedule with which a training on so many samples takes so many steps, rounded up to whole passes; this one where it does."""
        once = ceil(samples / self.batch)
        passes = ceil(steps / once)
        return self if self.passes(once) == passes else self.model_copy(update={"epochs": passes, "least_steps": 1})


class ScheduleChange(Checked):
    """What a single task does otherwise; what is not named stays."""

    epochs: Count | None = None
    """Passes over the training samples; null: as for all."""
    least_steps: Count | None = None
    """Steps that a training has at least; null: as for all."""
    batch: Annotated[int, Field(ge=2)] | None = None
    """Samples per step, >= 2; null: as for all."""
    rate: _Rate | None = None
    """Adam's highest learning rate; null: as for all."""
    shape: RateShape | None = None
    """cosine | step; null: as for all."""
    warm_up: _Warming | None = None
    """Share of the steps over which the rate rises to its highest; null: as for all."""
    slow_after: _Part | None = None
    """With the shape step: share of the steps after which the rate is a tenth; null: as for all."""
    weight_decay: Weight | None = None
    """L2 penalty on weights, as Adam's; null: as for all."""


class TrainParams(Checked):
    """Task networks."""

    encoder: EncoderParams
    """Encoder of every network: small (three stages of two units, for processors without a GPU) | resnet26 | resnet50 | resnet101. Its codes are
    side/stride x side/stride x channels numbers. Paper: resnet50, width 1, stride 16, 8 channels."""
    decoder: DecoderParams
    """Decoder of maps: channels of the convolutions at the code's side, then steps that double it, then `shuffle` pixels a side at once from the last
    convolution (kernel `last`). `width` multiplies all channels and the 2,048 hidden units of fully connected heads, `dropout` is theirs (paper:
    0.5). `shrunk`: where the map is smaller than the image (colours)."""
    tile_side: Annotated[int, Field(ge=8)] | None
    """Side of the jigsaw's nine tiles as the encoder sees them, pixels, >= 8; null: the image's, as in the reference, at nine times the work."""
    embedding: Count
    """Numbers per pixel of the embeddings of segmentations without classes. Paper: 64."""
    schedule: ScheduleParams
    """Adam: epochs over the train split, but least_steps at least; samples per step; the highest rate, a number or {map, metric, classes, vector};
    shape of its fall (cosine to zero | step: a tenth after the share slow_after of the steps) after the share warm_up in which it rises. Paper:
    30 epochs, batch 32, rate 1e-4, step, slow after 80,000 of 112,500 steps (0.7), weight decay 2e-6."""
    tasks: dict[TaskName, ScheduleChange] | None
    """What single tasks do otherwise; null: nothing. Example: {egomotion: {epochs: 20, rate: 0.0005}}."""
    precision: Precision
    """Arithmetic of the networks: float32 | bfloat16 | auto (bfloat16 where the machine has instructions for it; elsewhere it takes up to six times
    as long as float32)."""
    mirror: bool
    """Mirror each training image left and right with probability 1/2 in each epoch, and its label with it; images that transfers are trained on never
    are. Paper: false."""
    adversarial: AdversarialParams
    """Second term for maps trained with L1 or L2: its share of the loss (reference: 0.004; 0: off), after this share of the epochs
    (reference: 0.22)."""
    seed: Seed
    """Seed of initial weights and of the order of samples."""

    @model_validator(mode="after")
    def _schedules_fall(self) -> "TrainParams":
        for task in self.tasks or {}:
            try:
                self._changed(task)
            except ValidationError as error:
                raise wrong_key("tasks", f"{task}: {error.errors()[0]['ctx']['error']}") from None
        return self

    def schedule_of(self, task: str, output: Output) -> ScheduleParams:
        """Return the schedule of a task's network: what the task does otherwise, and the rate of this kind of output."""
        return self._changed(task).of(output)

    def _changed(self, task: str) -> ScheduleParams:
        change = (self.tasks or {}).get(task, ScheduleChange()).model_dump(exclude_none=True)
        return ScheduleParams(**{**self.schedule.model_dump(), **({"slow_after": None} if change.get("shape") is RateShape.COSINE else {}), **change})

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


class ScreenParams(Checked):
    """Which transfers are trained where closed-form readouts choose them."""

    keep: Annotated[int, Field(ge=3)] = 8
    """Single sources to train for each target, >= 3: the best by the screen. The target's own encoder and the baselines are trained besides."""
    sets: Count = 4
    """Sets of each order above 1 to train for each target: of those that the beam gives, the ones with the largest sum of single affinities."""
    reliability: Share = 0.6
    """Least rank correlation of the screen's scores between two halves of the samples; for a target below it, every source is trained."""


class FewerParams(Checked):
    """What is trained for the smaller amounts of `images`, where it has several."""

    same: Literal["steps", "epochs"] = "steps"
    """What smaller amounts have in common with the largest:
        steps: their number, so that amounts differ in their images alone; fewer images are passed more often;
        epochs: as the schedules say, and with fewer images there are fewer steps.
    Fine-tuned shares of the train split, and the learning curves of new tasks, have the same in common."""
    sources: Literal["all"] | Count = "all"
    """Single sources of each target: all that the largest amount was transferred from | the so many best of them with the largest amount."""
    sets: Annotated[int, Field(ge=0)] = 1
    """Sets of each order above 1 for each target: the best with the largest amount, and those that the policy program chose beyond a screen."""
    fine_tuned: Annotated[int, Field(ge=0)] = 1
    """From how many of a target's best single sources the encoder is fine-tuned as well, with each amount (of the target's train split); 0: none."""


class TransferParams(Checked):
    """Transfers between all tasks."""

    renamed: ClassVar[Mapping[str, str]] = {"more": "variants"}

    targets: Annotated[tuple[TaskName, ...], Field(min_length=1)]
    """Tasks to transfer to, one stage each, from every task of data.tasks. Paper: 22."""
    images: TrainingImages
    """Samples of the transfer split to train on, at most; fewer are a part of more. A number, or several in rising order, [125, 250, 500]: all is
    measured with the largest, and for the others what `fewer` says. Paper: 16,000; also 1,000 to 8,000."""
    fewer: FewerParams = FewerParams()
    """What is trained for the smaller amounts of `images`, where it has several."""
    max_order: Count
    """Maximum number of sources per transfer (its order). Paper: 1 to 4."""
    beam: Beam | Count
    """Candidates of orders above 1:
        paper: all subsets of the best first-order sources (5 of them for orders 2 and 3, 6 for order 4, k for order k);
        a number: the so many best sets of the order below, each with one more source (1: greedy);
        all: every subset."""
    screen: Literal["none"] | ScreenParams = "none"
    """Whether a screen says which transfers are trained:
        none: all are;
        {keep: 8, sets: 4, reliability: 0.6}: closed-form readouts of the codes rank the single sources of each target, and the best `keep` are
        trained; then whatever the policy program chooses, until nothing chosen is untrained. The others have an imputed affinity, marked as such. Of
        the sets of each order the `sets` most promising are trained. Where the screen's ranks from two halves of the samples correlate less than
        `reliability`, all single sources of the target are trained."""
    schedule: ScheduleParams
    """As train.schedule; with fewer images than the least steps take in the epochs, each is passed more often. Paper: 30 epochs at 16,000 images, 200
    at 1,000; rate 1e-4, slow after 5,000 of 15,000 steps; weight decay 1e-5."""
    precision: Precision
    """As train.precision."""
    codes: Literal["float16", "float32"]
    """How the sources' codes are stored: float16 | float32."""
    decoder_width: Annotated[FiniteFloat, Field(gt=0, le=16)] = 1.0
    """Channels of the transfers' decoders, as a multiple of those of train.decoder. Paper: 1."""
    variants: tuple[Annotated[str, Field(json_schema_extra={"pattern": r"^[\w-]+(>[\w-]+|@[0-9]*\.?[0-9]+)$"})], ...] = ()
    """Other transfers, to every target that they do not name; each is one more row of the affinity table, [] none. Two forms:
        normal>reshading: transitive, the transfer normal -> reshading is trained and frozen, and its representation of reshading transferred from;
        normal@0.02: fine-tuned, the encoder of normal is trained on with 2 % of the target's train split, at least one batch.
    Example: [normal>reshading, normal@0.02, normal@0.1]."""
    seed: Seed
    """Seed of the choice of samples, of initial weights, and of the order of samples."""

    @property
    def amounts(self) -> tuple[int, ...]:
        """Return all amounts of `images`, the largest last."""
        return (*getattr(self.images, "smaller", ()), int(self.images))

    def with_images(self, images: int) -> "TransferParams":
        """Return the parameters with this one amount."""
        return self.model_copy(update={"images": images})

    @property
    def limits(self) -> ScreenParams | None:
        """Return the parameters of the screen; None: there is none."""
        return None if isinstance(self.screen, str) else self.screen

    def parsed_variants(self) -> tuple[Variant, ...]:
        """Parse the tokens of `variants`."""
        return tuple(found for written in self.variants if (found := variant(written)) is not None)

    @field_validator("variants")
    @classmethod
    def _variants_are_understood(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[tuple[str, str | None, float | None], str] = {}
        for written in variants:
            one = _variant(written)
            what = one.source, one.intermediate, one.share
            if what in seen:
                raise ValueError(f"{written} stands twice (also as {seen[what]})")
            seen[what] = written
        return variants

    @model_validator(mode="after")
    def _no_target_twice(self) -> "TransferParams":
        if twice := sorted({name for name in self.targets if self.targets.count(name) > 1}):
            raise ValueError(f"targets names {', '.join(twice)} twice")
        return self

    def check_tasks(self, registry: Registry, others: frozenset[str] = frozenset()) -> None:
        """Refuse names of tasks that there are not, and tasks that cannot be what they are named for.

        Args:
            registry: The tasks.
            others: Encoders trained by others, which can be sources.

        Raises:
            ValueError: Naming them.
        """
        if encoders := sorted(others & {*self.targets}):
            raise ValueError(f"targets names {', '.join(encoders)}: an encoder has no labels to transfer to")
        if missing := [name for name in self.targets if name not in registry]:
            raise ValueError(str(unknown("targets", missing, registry)))
        if wrong := [name for name in self.targets if "target" not in registry[name].roles]:
            raise ValueError(f"targets names {', '.join(wrong)}, whose labels cost nothing or which has none: source only")
        for one in self.parsed_variants():
            if missing := [name for name in (one.source, one.intermediate) if name is not None and name not in registry and name not in others]:
                raise wrong_key("variants", str(unknown(one.written, missing, registry)))
            if one.intermediate is not None and one.intermediate in registry and "target" not in registry[one.intermediate].roles:
                why = f"the intermediate {one.intermediate} must be a task with labels that can be transferred to; it is source only"
                raise wrong_key("variants", f"{one.written}: {why}")


def _variant(written: str) -> Variant:
    """Read a token of `transfer.variants`; whether there are such tasks is seen later."""
    one = variant(written)
    if one is None:
        raise ValueError(f"{written!r} must be SOURCE>INTERMEDIATE, as normal>reshading, or SOURCE@SHARE, as normal@0.02")
    if one.source == one.intermediate:
        raise ValueError(f"{written}: the intermediate must be another task than the source")
    if one.share is not None and not 0 < one.share <= 1:
        raise ValueError(f"{written}: the share of the train split must be above 0 and at most 1 (is {one.share:g})")
    return one
