"""Show the policy: which tasks to label, what that saves, and how good it is, for every budget and order that the reader can choose."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.config.policy_params import PolicyParams
from taskonomy.evaluation.full_supervision import FULL_QUALITY, labels_share
from taskonomy.evaluation.jackknife import Interval
from taskonomy.policy import numbers
from taskonomy.policy.label_costs import costs_nothing
from taskonomy.report.inputs import Results
from taskonomy.tables.table import SELF, has_amounts, labelled
from taskonomy.tables.transfer_spec import Variant, variant
from taskonomy.tasks import Registry
from taskonomy.wording.wording import SPACE, as_it_is, count, percent, titles

# Measure -> what a target beats so often.
AGAINST = {
    "gain": "a shallow network on the same few images",
    "gain_scratch": "its whole network trained from scratch on them",
    "quality": "its own fully supervised network",
}
SHOWN = ("gain", "quality", "gain_scratch")  # in the order of the page's script
SCRATCH = "scratch"  # on the page: the target's own network on few images, of a table with several amounts
ENOUGH = 0.95  # share of the best gain of any budget


def points(results: Results) -> list[dict[str, Any]]:
    """Prepare the points of the front, with gain and quality on held-out images and a description of each; the pipeline's policy is one of them."""
    solved = list(results.front)
    if not any(_same_rules(point, results.policy) for point in solved):
        solved.append({**results.policy, "one_more_label": dict.fromkeys(("cost", "objective", "gain", "quality"))})
    return [_point(point, results) for point in solved]


def chosen(policy: dict[str, Any], shown: list[dict[str, Any]]) -> int:
    """Find the pipeline's policy among the points: the page shows it first."""
    return next(place for place, point in enumerate(shown) if _same_rules(point, policy))


def _same_rules(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["max_order"] == other["max_order"] and one["budget"] == other["budget"])


def how_sure(results: Results) -> str:
    """Describe which images gain and quality are measured on, and what their intervals mean."""
    if results.buildings is None:
        return "The table has no losses of single images, so gain and quality come without intervals."
    names = len(results.buildings.names)
    where = f"{count(results.buildings.images, 'image')} of {count(names, 'building')}"
    judged = f"Gain and quality are measured on {where} that served neither to train, nor to measure the affinities by which transfers are chosen."
    if names < 2:
        return f"{judged} Views of one building are alike, so one building alone gives no intervals."
    return (
        f"{judged} In brackets, intervals of {percent(results.buildings.confidence)}: what other buildings might have given, by leaving out each "
        f"of the {names} in turn (jackknife, Student's t with {count(names - 1, 'degree')} of freedom)."
    )


def what_a_budget_buys(results: Results, shown: list[dict[str, Any]]) -> str:
    """Describe the budget from which on more labels gain little, and what transfers from several sources gain."""
    order = max(point["max_order"] for point in shown)
    reached = [point for point in shown if point["max_order"] == order and point["gain"][0] is not None]
    if not reached:
        return "Each line is one highest order."
    best = max(point["gain"][0] for point in reached)
    enough = next(point for point in reached if point["gain"][0] >= ENOUGH * best)
    few, all_of_them = (len(_labelled(point) - _free(point)) for point in (enough, reached[-1]))
    said = (
        f"{count(few, 'labelled task')} of the {all_of_them} that the largest budget takes{', beside those with free labels,' * bool(_free(enough))} "
        f"already {'brings' if few == 1 else 'bring'} {percent(ENOUGH)} of the best mean gain ({percent(best)})."
    )
    budget, low = results.policy["budget"], min(point["max_order"] for point in shown)
    at = {one: [point for point in shown if point["max_order"] == one and point["budget"] <= budget] for one in (low, order)}
    if low == order or not (at[low] and at[order]):
        return said
    fewer, more = at[low][-1]["quality"][0], at[order][-1]["quality"][0]
    if fewer is None or more is None:
        return said
    change = 100 * (more - fewer)
    several = f"up to {count(low, 'source')} to up to {count(order, 'source')} for a target"
    return f"{said} At budget {numbers.shown(budget)}, going from {several} changes the mean quality by {change:+.1f} points."


def labels_saved(results: Results) -> str:
    """Describe what random sets of tasks reach with a third of the labels."""
    third = results.savings["random sets"].get("a third of the labels", {})
    size = int(results.task_sets["budget"].max())
    if not third.get("sets") or third.get("quality") is None:
        return f"No random set of {size} tasks can do with a third of the labels under these rules."
    quality = third["quality"]
    share = quality["50%"] / FULL_QUALITY
    return (
        f"With a third of the labels, the median random set of {size} tasks reaches a mean quality of {percent(quality['50%'])} "
        f"(middle 90{SPACE}% of the sets: {100 * quality['5%']:.0f} to {100 * quality['95%']:.0f}): {percent(share)} of the "
        f"{percent(FULL_QUALITY)} that full supervision has by definition."
    )


def variants(table: pd.DataFrame, registry: Registry) -> dict[str, dict[str, str]]:
    """Collect the transitive and fine-tuned sources of a table: as written -> the task and a title."""
    written = sorted({name for sources in table["sources"] for name in sources})
    found = {one.written: {"source": one.source, "title": title_of_variant(one, registry)} for name in written if (one := variant(name)) is not None}
    return {**found, **({SCRATCH: {"source": SCRATCH, "title": "its own network, trained from scratch on few images"}} if has_amounts(table) else {})}


def title_of_variant(one: Variant, registry: Registry) -> str:
    """Name a transitive or fine-tuned source for people."""
    if one.intermediate is not None:
        return f"{registry.title(one.source)} by way of {registry.title(one.intermediate)}"
    return f"{registry.title(one.source)} fine-tuned on {100 * (one.share or 0):g}{SPACE}% of the training images"


def _point(point: dict[str, Any], results: Results) -> dict[str, Any]:
    names = ("max_order", "budget", "cost", "objective", "sources", "status", "one_more_label")
    judged = {name: _judged(point, name, results) for name in AGAINST}
    share = _labels_share(point, results)
    return {
        **{name: point[name] for name in (*names, "use_as_they_are") if name in point},
        "free": sorted(_free(point)),
        **{name: [_number(one.value), _number(one.low), _number(one.high)] for name, one in judged.items()},
        "labels": share,
        "headline": _headline(point, results.registry),
        "details": _details(judged, share, results),
        "see": _feeds(point, results.registry),
        "transfers": [[one["target"], _drawn_from(one), *_of_transfer(one, results)] for one in point["transfers"]],
    }


def _labels_share(point: dict[str, Any], results: Results) -> float | None:
    """Compute the share of labels that a policy takes; those that cost nothing are no labels, whether the policy uses them or not."""
    if results.images is None:
        return None
    params = None if results.params is None else PolicyParams.model_validate(results.params["policy"])
    targets, sources = (
        [name for name in names if params is None or not costs_nothing(params, name)]
        for names in ([one["target"] for one in point["transfers"]], sorted(_labelled(point)))
    )
    return labels_share(targets, sources, *results.images) if targets else None


def _drawn_from(one: dict[str, Any]) -> list[str]:
    """Return the sources of a transfer as the page names them: a network from scratch on few images is no full supervision, and reads no source."""
    return [SCRATCH] if one["sources"] == [SELF] and "images" in one else list(one["sources"])


def _judged(point: dict[str, Any], measure: str, results: Results) -> Interval:
    mean = point.get(f"mean_{measure}")
    table = Interval(np.nan if mean is None else float(mean), np.nan, np.nan)
    if results.buildings is None:
        return table
    return results.buildings.interval([(one["target"], tuple(one["sources"])) for one in point["transfers"]], measure) or table


def _of_transfer(one: dict[str, Any], results: Results) -> list[float | None]:
    if results.buildings is None:
        return [one.get(name) for name in SHOWN]
    found = [results.buildings.interval([(one["target"], tuple(one["sources"]))], name) for name in SHOWN]
    return [None if each is None else each.value for each in found]


def _headline(point: dict[str, Any], registry: Registry) -> str:
    """Say in one line what to do; the page lists the sources below it."""
    targets = [one["target"] for one in point["transfers"]]
    others = sum(target not in point["sources"] for target in targets)
    parts = _chosen(point, registry)
    said = ", ".join(parts) + (", and" if len(parts) > 1 else " and")
    return f"{said[:1].upper()}{said[1:]} transfer to the other {others} of {count(len(targets), 'target')}."


def _details(judged: dict[str, Interval], share: float | None, results: Results) -> str:
    """Say what the policy saves, and how often a target then beats its rivals."""
    said = []
    if share is not None and results.images is not None:
        full, transfer = results.images
        saved = f"saves {percent(1 - share)}" if share < 1 else f"takes {percent(share)}"
        said.append(
            f"This {saved} of the labels of training every target by itself (counting {full:,} images for a network and {transfer:,} for a transfer)."
        )
    parts = [
        f"{against} on {percent(judged[name].value)} of the images{_among(judged[name])}"
        for name, against in AGAINST.items()
        if not np.isnan(judged[name].value)
    ]
    if parts:
        said.append(f"On average, a target then beats {', '.join(parts[:-1]) + ', and ' * (len(parts) > 1) + parts[-1]}.")
    return " ".join(said)


def _labelled(point: dict[str, Any]) -> set[str]:
    """Return the tasks that a policy labels in full."""
    return set(point["sources"]) - set(point.get("use_as_they_are", ()))


def _free(point: dict[str, Any]) -> set[str]:
    """Return the tasks that a policy labels in full at no cost."""
    return set(point.get("free", ()))


def _chosen(point: dict[str, Any], registry: Registry) -> list[str]:
    """Say how many tasks to label, how many more have free labels, and which sources that others trained to use."""
    free, others = _free(point), point.get("use_as_they_are", {})
    paid = _labelled(point) - free
    use = [f"{registry.title(name)} ({as_it_is(one['licence'], one['inference'])})" for name, one in others.items()]
    return [
        *([f"label {count(len(paid), 'task')} in full"] if paid or not (free or use) else []),
        *([f"train {count(len(free), 'task')} whose labels are free"] if free else []),
        *([f"use {', '.join(use)} as {'it is' if len(use) == 1 else 'they are'}"] if use else []),
    ]


def _feeds(point: dict[str, Any], registry: Registry) -> str:
    """Name the sources that are used by the largest number of targets, and those used by their own target only."""
    fed: Counter[str] = Counter()
    for one in point["transfers"]:
        fed.update({one["target"] if name == SELF else labelled(name) for name in one["sources"]})
    if not point["sources"]:
        return "No task is labelled in full."
    times = max(fed[name] for name in point["sources"])
    own = [name for name in point["sources"] if not any(name in map(labelled, one["sources"]) for one in point["transfers"] if one["target"] != name)]
    ties = [name for name in point["sources"] if fed[name] == times]
    said = f"{titles(ties, registry)} {'each feed' if len(ties) > 1 else 'feeds'} {times} of {count(len(point['transfers']), 'target')}"
    said += ", more than any other source" if len(ties) == 1 and len(point["sources"]) > 1 else ""
    if own:
        said += f"; {titles(own, registry, 4)} {'help' if len(own) > 1 else 'helps'} no target but {'themselves' if len(own) > 1 else 'itself'}"
    return f"{said}."


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _among(interval: Interval | None) -> str:
    """Format the bounds of an interval, in %, in brackets; empty where there are none."""
    if interval is None or np.isnan(interval.low):
        return ""
    return f" ({100 * interval.low:.0f} to {100 * interval.high:.0f})"
