"""Parameters of what is computed from an affinity table: the policy, fronts of budgets, savings, significance, studies."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, WithJsonSchema, model_validator

from taskonomy.config.checked import Amount, Checked, Count, Images, Name, Seed, Share, SomeImages


class Preset(StrEnum):
    """Named rules: the paper's, or those of a person who pays for labels."""

    PAPER = "paper"
    PRACTICE = "practice"


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


class LabelsOfTask(Checked):
    """Where one task's labels differ; what is not named is as for all."""

    price: Amount | None = None
    """Price of one labelled image of this task, in `currency`; null: as for all tasks."""
    full: SomeImages | None = None
    """Labelled images that this task takes in full; null: as for all tasks."""
    transfer: Images | None = None
    """Labelled images that a transfer to this task takes, where the table does not say it; null: as for all tasks."""
    there: Images | None = None
    """Labelled images of this task that there are already, and that cost nothing; null: as for all tasks."""


class LabelsParams(Checked):
    """How many labelled images a task takes, and what one costs; with a currency, costs and budget are money."""

    currency: Annotated[str, Field(min_length=1, max_length=12, pattern=r"^[^\W\d_]+$|^[$€£¥]$")] | None = None
    """Currency of prices, costs and the budget, a word such as EUR or one of $ € £ ¥; null: the budget counts tasks."""
    price: Amount | None = None
    """Price of one labelled image, where `tasks` names none, in `currency`; null: nobody named one."""
    full: SomeImages = 120_000
    """Labelled images that a task takes in full, for its own network. Paper: 120,000."""
    transfer: Images = 16_000
    """Labelled images that a transfer to a task takes, at most `full`, where the table has no column `images`. Paper: 16,000."""
    there: Images = 0
    """Labelled images of a task that there are already, and that cost nothing."""
    tasks: dict[Name, LabelsOfTask] = {}
    """Tasks whose price or numbers of images differ."""

    def of(self, task: str) -> LabelsOfTask:
        """Return a task's labels, with what it shares with all others; the price is None where none is set."""
        mine = self.tasks.get(task, LabelsOfTask())
        values = {name: getattr(self, name) if (own := getattr(mine, name)) is None else own for name in ("price", "full", "transfer", "there")}
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


class PolicyParams(Checked):
    """The supervision policy: what may be chosen, and what a choice costs (paper section 3.4)."""

    budget: Amount
    """Supervision budget: the total label cost of the sources, tasks labelled and trained in full; with labels.currency, of all labels, in money.
    With every cost 1 it is their number. Paper: 1 to 26; its large figure shows 8."""
    max_order: Count = 4
    """Maximum number of sources per transfer (its order), >= 1. Paper: 1 to 4; released measurements go to 24."""
    preset: Preset = Preset.PRACTICE
    """Rules for what other keys leave open (self_edge: null, a task that cost does not name); what they say wins:
        practice: sources that label themselves (families 2D and self-supervised) cost nothing, others 1, and a labelled task uses its own network;
        paper: each source costs 1, and is solved by itself through a transfer."""
    self_edge: Annotated[SelfEdge, WithJsonSchema({"enum": [*SelfEdge, None]})] = SelfEdge.GOLD
    """What a source may be solved by itself; null: gold with the preset practice, transfer with paper.
        gold: its own fully supervised network (row `self`);
        transfer: its own frozen encoder with a fresh readout (row `t -> t`);
        none: neither, every target is transferred from other tasks."""
    balance: Balance = Balance.NONE
    """Rescale each target's admissible affinities, so that targets with one dominant row do not hog small budgets:
        none: as measured (paper);
        sum: to sum 1;
        peak: to best 1."""
    importance: dict[Name, Amount] = {}
    """Weight of a target in the objective, >= 0; 1 where not named. Paper: 1. Example: {jigsaw: 0}."""
    cost: dict[Name, Amount] = {}
    """Label cost of a source, >= 0, in units of the budget; as the preset says where not named. Paper: 1. Example: {normal: 3}."""
    labels: LabelsParams = LabelsParams()
    """Labelled images that a task takes, in full (its own network) and for a transfer to it, and what one costs. Paper: 120,000 and 16,000, no
    prices.
        currency: null, and the budget counts tasks, by `cost`; or a name, such as EUR: the budget is all the money that labels may cost, those for
        transfers included; `cost` must then be {}, and the cost of a source is what its labels in full cost beyond those for a transfer.
        price: of one labelled image, where tasks do not say otherwise; tasks that label themselves (families 2D and self-supervised) cost nothing
        unless they are named.
    Example: {currency: EUR, price: 0.05, tasks: {normal: {price: 0.12}, segment_semantic: {price: 2.5, full: 20000, transfer: 3000}}}."""
    roles: dict[Name, Role] = {}
    """What a task may be: both (default) | source (never has to be solved) | target (never labelled in full). Example: {jigsaw: source}."""
    exclude: tuple[Name, ...] = ()
    """Tasks that may not be sources. Random weights (random_projection) are a baseline, and the 100-class network (class_object_100) is a duplicate
    of the 1000-class one."""
    require: tuple[Name, ...] = ()
    """Sources that the policy must use."""
    external: dict[Name, str] = {}
    """Sources that others trained, with their licence (empty: unknown), where the table does not say it: they are used as they are, so they cost no
    labels, unless `cost` says otherwise. Those of the section `encoders` are known. Example: {dinov2_s: Apache-2.0}."""
    licences: tuple[str, ...] | None = None
    """Licences of external sources that may be used; null: all. Tasks of the run have none and may always be. Example: [Apache-2.0, MIT]."""
    inference: dict[Name, Amount] = {}
    """Multiply-adds of a source's encoder, millions for each image, where the table does not say them. Example: {normal: 12.5}."""
    max_inference: Amount | None = None
    """Most multiply-adds of all sources' encoders together, millions for each image; null: no bound. An encoder runs once, however many transfers
    read it. Fine-tuned encoders are not shared, so that with a bound their transfers are left out."""
    solver: SolverName = SolverName.GLPK
    """Who solves the Boolean program: glpk | highs. Both prove the same optimum."""
    time_limit: Annotated[FiniteFloat, Field(gt=0)] = 60.0
    """Seconds for one program; the best policy by then is given as `feasible`, never called optimal."""
    alternatives: Annotated[int, Field(ge=0)] = 0
    """How many next-best policies to list as well."""
    alternatives_differ_in: AlternativesDiffer = AlternativesDiffer.SOURCES
    """In what each next-best policy must differ from all better ones: sources | transfers."""

    def as_in_paper(self) -> "PolicyParams":
        """Return the paper's rules for the same tasks, budget and order.

        Every source costs 1, a source is solved by itself through a transfer, and all targets count alike. What may be a source stays as it is.
        """
        given = {"preset": Preset.PAPER, "self_edge": SelfEdge.TRANSFER, "balance": Balance.NONE, "importance": {}, "cost": {}}
        return self.model_copy(update={**given, "labels": LabelsParams(), "require": ()})

    @model_validator(mode="before")
    @classmethod
    def _self_edge_is_of_the_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("self_edge") is None:
            return {**values, "self_edge": SelfEdge.TRANSFER if values.get("preset") == Preset.PAPER else SelfEdge.GOLD}
        return values

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


class FrontParams(Checked):
    """All budgets for some orders."""

    orders: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Orders whose every budget is solved. Paper's figure 9: 1 and 4."""


class SavingsParams(Checked):
    """How many labels transfer saves (paper abstract and section 4)."""

    quality_levels: Annotated[tuple[Share, ...], Field(min_length=1)]
    """Shares of full supervision's quality (0.5: a network ties with itself) for which the smallest budget is sought, in (0, 1)."""
    set_size: Annotated[int, Field(ge=2)]
    """Targets in each random set of tasks, for the claim about sets, >= 2. Paper: 10."""
    draws: Count
    """How many random sets of tasks are drawn."""
    max_order: Count
    """Highest order of the transfers in the random sets."""
    images_full: Count
    """Labelled images of a fully supervised network. Paper: 120,000."""
    images_transfer: Count
    """Labelled images of a transfer. Paper: 16,000."""
    seed: Seed
    """Seed of the random sets."""


class TreeMethod(StrEnum):
    """How two clusters' distance follows from their members'."""

    COMPLETE = "complete"
    AVERAGE = "average"
    SINGLE = "single"
    WARD = "ward"


class TreeMetric(StrEnum):
    """The distance of two transfer patterns."""

    CORRELATION = "correlation"
    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


class TreeConstruction(StrEnum):
    """How the similarity tree is made."""

    STANDARDISED = "standardised"
    PAPER = "paper"


class EvaluateParams(Checked):
    """Significance of the policy, and the similarity tree."""

    random_policies: Annotated[int, Field(ge=1000)]
    """Random feasible policies that the chosen one is held against, >= 1000."""
    seed: Seed
    """Seed of the random policies."""
    tree: TreeConstruction = TreeConstruction.STANDARDISED
    """What the similarity tree of tasks compares:
        standardised: log affinities, of each target with mean 0 and deviation 1; cosine distance, average linkage, and nothing else to choose;
        paper: exp(-beta * affinity), as in the paper's figures, with the three keys below."""
    tree_method: TreeMethod = TreeMethod.COMPLETE
    """Of tree paper, its linkage: complete | average | single | ward."""
    tree_metric: TreeMetric = TreeMetric.CORRELATION
    """Of tree paper, the distance of two tasks: correlation | cosine | euclidean."""
    tree_beta: Annotated[FiniteFloat, Field(gt=0)] = 20.0
    """Of tree paper, the beta of exp(-beta * affinity), > 0. With complete and correlation, 20 recovers most of the tree that the paper prints."""
    tree_permutations: Annotated[int, Field(ge=100)] = 10_000
    """Permutations of the families' names that tell how often the tree would join a family first by chance, >= 100."""

    @model_validator(mode="after")
    def _ward_needs_euclidean(self) -> "EvaluateParams":
        if self.tree_method is TreeMethod.WARD and self.tree_metric is not TreeMetric.EUCLIDEAN:
            raise ValueError("tree_method ward needs tree_metric euclidean")
        return self


class StudiesParams(Checked):
    """The paper's experiments on one table, by the paper's rules, whatever the section policy says of costs and self edges."""

    budgets: Annotated[tuple[Amount, ...], Field(min_length=1)] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 25)
    """Budgets at which policies by the paper's rules (preset paper) are held against random ones (paper's figure 11), in labelled tasks; those that
    serve not all targets are passed over."""
    random_policies: Annotated[int, Field(ge=100)] = 10_000
    """Random feasible policies of either kind at each budget, >= 100."""
    seed: Seed = 0
    """Seed of the random policies."""
