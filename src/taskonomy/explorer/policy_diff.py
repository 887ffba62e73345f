"""Compare two policies."""

from dataclasses import dataclass

from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Transfer


@dataclass(frozen=True)
class Rerouted:
    """A target that another transfer solves in the later policy, or one on another number of labelled images."""

    before: Transfer
    after: Transfer


@dataclass(frozen=True)
class PolicyDifference:
    """The difference of two policies; numbers are the later minus the earlier, NaN where one was not measured."""

    sources_added: tuple[str, ...]
    sources_removed: tuple[str, ...]
    targets_added: tuple[str, ...]
    targets_removed: tuple[str, ...]
    rerouted: tuple[Rerouted, ...]
    objective: float
    cost: float
    gain: float
    quality: float

    @property
    def none(self) -> bool:
        """Return whether both label the same tasks and solve every target by the same transfer."""
        return not (self.sources_added or self.sources_removed or self.targets_added or self.targets_removed or self.rerouted)


def differs(before: Transfer, after: Transfer) -> bool:
    """Return whether two transfers to one target are different rows of a table."""
    return (before.sources, before.images) != (after.sources, after.images)


def difference(before: Policy, after: Policy) -> PolicyDifference:
    """Compare two policies; targets that only one of them has do not count as rerouted."""
    old, new = ({one.target: one for one in policy.transfers} for policy in (before, after))
    return PolicyDifference(
        sources_added=tuple(sorted(set(after.sources) - set(before.sources))),
        sources_removed=tuple(sorted(set(before.sources) - set(after.sources))),
        targets_added=tuple(sorted(set(new) - set(old))),
        targets_removed=tuple(sorted(set(old) - set(new))),
        rerouted=tuple(Rerouted(old[name], one) for name, one in new.items() if name in old and differs(old[name], one)),
        objective=after.objective - before.objective,
        cost=after.cost - before.cost,
        gain=after.mean_gain - before.mean_gain,
        quality=after.mean_quality - before.mean_quality,
    )
