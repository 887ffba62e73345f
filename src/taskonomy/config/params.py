"""`params.yaml` as typed, checked objects: unknown keys and bad values are errors that name the key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from taskonomy.config.checked import Checked, Seed, Share, TaskName, checked, wrong_key
from taskonomy.config.data_params import DataParams, QueryParams, WorldParams
from taskonomy.config.encoder_params import Encoders
from taskonomy.config.execution_params import ExecutionParams
from taskonomy.config.network_params import TrainParams, TransferParams
from taskonomy.config.policy_params import EvaluateParams, FrontParams, PolicyParams, SavingsParams, StudiesParams
from taskonomy.errors import TaskonomyError, unknown
from taskonomy.labels.encodings import Input
from taskonomy.parsing.strict_yaml import load_yaml
from taskonomy.stage.snapshot import text_as_begun
from taskonomy.tables.transfer_spec import Variant
from taskonomy.tasks import BUILT_IN, Registry


class SamplesParams(Checked):
    """Predictions that people look at."""

    targets: tuple[TaskName, ...] = ()
    """Targets whose transfers the report draws, from several sources beside one another: those of these that transfer.targets has. Paper: normal and
    segment_unsup25d (figures 5 and 6)."""
    sources: Annotated[int, Field(ge=2, le=12)] = 5
    """From how many single sources, evenly spread from the best to the worst, beside the best set of several; 2 to 12."""
    views: Annotated[int, Field(ge=1, le=12)] = 3
    """Images of the half of the test split that policies are evaluated on, the same for all tasks; 1 to 12."""
    side: Annotated[int, Field(ge=32, le=512)] = 160
    """Side of a drawing, pixels, 32 to 512."""
    seed: Seed = 0
    """Seed of the choice of images."""

    def check_tasks(self, registry: Registry) -> None:
        """Refuse names of tasks that there are not.

        Raises:
            ValueError: Naming them.
        """
        if missing := [name for name in self.targets if name not in registry]:
            raise wrong_key("targets", str(unknown("targets", missing, registry)).removeprefix("targets: "))


class NoiseParams(Checked):
    """Noise of training: what is trained again from other seeds."""

    targets: tuple[TaskName, ...] = ()
    """Targets whose transfers are trained again: those of these that transfer.targets has; [] none."""
    sources: tuple[TaskName, ...] = ()
    """From which single sources: those of these that data.tasks has."""
    networks: tuple[TaskName, ...] = ()
    """Tasks whose networks are trained again: those of these that data.tasks has; [] none."""
    seeds: Annotated[int, Field(ge=1, le=20)] = 2
    """From how many further seeds transfers are trained, 1 to 20: those that follow on transfer.seed."""
    network_seeds: Annotated[int, Field(ge=1, le=20)] = 1
    """From how many further seeds task networks are trained, 1 to 20: those that follow on train.seed."""

    def of(self, targets: tuple[str, ...], tasks: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return targets, sources and networks to train again, of those that a run has."""
        kept = ((self.targets, targets), (self.sources, tasks), (self.networks, tasks))
        first, second, third = (tuple(name for name in named if name in there) for named, there in kept)
        return (first, second, third) if first and second else ((), (), third)

    def check_tasks(self, registry: Registry) -> None:
        """Refuse names of tasks that there are not, and of networks that there are not.

        Raises:
            ValueError: Naming them.
        """
        for key in ("targets", "sources", "networks"):
            if missing := [name for name in getattr(self, key) if name not in registry]:
                raise wrong_key(key, str(unknown(key, missing, registry)).removeprefix(f"{key}: "))
        if wrong := [name for name in self.networks if registry[name].label is None]:
            raise wrong_key("networks", f"{', '.join(wrong)} has no network that is trained")


class NormalizeParams(Checked):
    """Losses to affinities."""

    method: Literal["ahp", "linear"]
    """From per-image losses to affinities: ahp (paper: win rates, then the Analytic Hierarchy Process) | linear (mean losses; what the paper
    rejects)."""
    resamples: Annotated[int, Field(ge=0)]
    """Bootstrap draws of the test images for the intervals of affinities; 0: no intervals."""
    confidence: Share
    """Share of the draws that an interval holds, in (0, 1)."""
    seed: Seed
    """Seed of the bootstrap draws."""


class ReportParams(Checked):
    """The page."""

    title: Annotated[str, Field(min_length=1)]
    """Title of the report."""


def _refuse_encoder(one: Variant, encoders: Encoders) -> None:
    """Refuse what cannot be done with an encoder trained by others: train it further, or transfer to it.

    Raises:
        ValueError: Naming the transfer.
    """
    if one.source in encoders and one.share is not None:
        raise ValueError(f"transfer.variants: {one.written} cannot be: {one.source} is an ONNX file, which is used as it is and not trained further")
    if one.intermediate in encoders:
        raise ValueError(f"transfer.variants: {one.written} cannot be: {one.intermediate} is an encoder, which has no labels to transfer to")


def _not_there() -> Any:
    return None


class Params(Checked):
    """Every knob of the pipeline; sections are named as the stages, but for `execution`, which is about all of them."""

    version: Annotated[str, Field(min_length=1)] | None = None
    """The code that this project's results are made with. Another one refuses to run; `taskonomy init --upgrade` writes the one that is installed."""
    world: WorldParams = Field(default_factory=_not_there, validate_default=False)
    """The built-in world: how much of it, and how finely it is drawn. Projects of `taskonomy init` have none."""
    data: DataParams
    """Which images and labels, and how they are prepared."""
    train: TrainParams
    """Task networks: encoders and decoders, and how they are trained."""
    encoders: Encoders = Field(default_factory=dict)
    """Encoders trained by others, from ONNX files, as further sources: no labels, any licence; {} none. docs/pretrained-encoders.md describes each
    key and exports such files.
    Example: {dinov2_s: {file: encoders/dinov2_s.onnx, output: patch_tokens, side: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225],
    skip_tokens: 1, channels: 32, licence: Apache-2.0, title: DINOv2 small}}."""
    transfer: TransferParams
    """Transfers between tasks: which, and how they are trained."""
    samples: SamplesParams = SamplesParams()
    """Predictions that the report shows."""
    normalize: NormalizeParams
    """From losses to affinities."""
    noise: NoiseParams = NoiseParams()
    """How much of a difference is chance of training: what is trained again from other seeds."""
    policy: PolicyParams
    """The supervision policy: what may be chosen, and what a choice costs (paper's section 3.4)."""
    front: FrontParams
    """All budgets for some orders."""
    savings: SavingsParams
    """How many labels transfer saves (paper's abstract and section 4)."""
    evaluate: EvaluateParams
    """Significance of the policy, and the similarity tree of tasks."""
    studies: StudiesParams = StudiesParams()
    """The paper's experiments on one table, by the paper's rules, whatever the section policy says of costs and self edges."""
    query: QueryParams = QueryParams()
    """New tasks: which sources they should start from."""
    report: ReportParams
    """The report."""
    execution: ExecutionParams = ExecutionParams()
    """How units of work (a task network, a transfer) are computed, never what they give. So no stage has this section among its `params:`, no unit's
    key holds it, and a change reruns nothing: stages read it from this file when they run. docs/cluster.md says more."""

    @property
    def registry(self) -> Registry:
        """Return all tasks that there are for this run: the built-in ones, and the custom ones of `data.own`."""
        return self.data.registry.with_titles({name: one.title for name, one in self.encoders.items() if one.title})

    @property
    def sources(self) -> tuple[str, ...]:
        """Return all sources of transfers: tasks, then encoders trained by others."""
        return (*self.data.tasks, *self.encoders)

    @field_validator("train", "transfer", "samples", "noise", "query")
    @classmethod
    def _tasks_are_known(cls, section: Any, info: Any) -> Any:
        """Check the names of tasks in a section; while `data` is wrong itself, nobody knows which there are."""
        if (data := info.data.get("data")) is not None:
            others = {"others": frozenset(info.data.get("encoders") or ())} if isinstance(section, TransferParams) else {}
            section.check_tasks(data.registry, **others)
        return section

    @model_validator(mode="after")
    def _targets_are_prepared(self) -> "Params":
        if missing := [name for name in self.transfer.targets if name not in self.data.tasks]:
            raise ValueError(f"transfer.targets names {', '.join(missing)}, not in data.tasks")
        return self

    @model_validator(mode="after")
    def _encoders_have_names_of_their_own(self) -> "Params":
        if both := sorted(set(self.encoders) & set(self.registry)):
            raise ValueError(f"encoders.{both[0]} has the name of a task; call it otherwise")
        return self

    @model_validator(mode="after")
    def _variants_can_be_made(self) -> "Params":
        registry = self.registry
        inputs = {Input.IMAGE, *(registry[name].input for name in self.transfer.targets)}
        for one in self.transfer.parsed_variants():
            _refuse_encoder(one, self.encoders)
            if one.source in self.encoders:
                continue
            if missing := [name for name in (one.source, one.intermediate) if name is not None and name not in self.data.tasks]:
                raise ValueError(f"transfer.variants: {one.written} names {', '.join(missing)}, not in data.tasks")
            if one.intermediate is not None and registry[one.intermediate].input not in inputs:
                # Codes of changed images (noise) are stored for targets alone.
                raise ValueError(f"transfer.variants: the intermediate of {one.written} must be in transfer.targets: it changes its images")
            grey = registry[one.source].input is Input.LIGHTNESS
            others = [name for name in self.transfer.targets if (registry[name].input is Input.LIGHTNESS) != grey]
            if one.share is not None and others:
                raise ValueError(
                    f"transfer.variants: {one.written} cannot be: the encoder of {one.source} reads {'grey' if grey else 'colour'} images,"
                    f" those of {', '.join(others)} {'colours' if grey else 'grey'}"
                )
        return self


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
