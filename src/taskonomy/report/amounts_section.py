"""Show what labels are good for: how many of which task each budget buys, and the loss of every target against its labelled images."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.advice.basis import LABELS
from taskonomy.advice.curves import CONFIDENCE, FURTHEST, LabelCurve
from taskonomy.policy.label_costs import money
from taskonomy.policy.planner import FULL
from taskonomy.report.amounts_figures import LabelWay, loss_figure, points
from taskonomy.report.figures import by_family
from taskonomy.report.inputs import RunAmounts
from taskonomy.tables.table import PIXELS, SELF, split_sources
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import Registry
from taskonomy.wording.wording import count, percent, sources_title, titles

OWN, SHALLOW = "whole network from scratch", "shallow network on the image"


def ways_of(curves: Iterable[LabelCurve], registry: Registry) -> list[LabelWay]:
    """Choose the lines of one target's figure: its best single source and best set, of those with most amounts, its own network, the shallow one."""
    known = {one.sources: one for one in curves}
    plain = [one for name, one in known.items() if name not in (SELF, PIXELS) and all(variant(each) is None for each in split_sources(name))]
    found = []
    for kind, said, several in (("single", "best single source", False), ("set", "best set", True)):
        fit = [one for one in plain if (len(split_sources(one.sources)) > 1) == several]
        if fit:
            best = min(fit, key=lambda one: (-one.images[-1], -len(one.images), one.losses[0, -1]))
            found.append(LabelWay(kind, f"{said}: {sources_title(split_sources(best.sources), registry)}", best))
    return found + [LabelWay(kind, said, known[name]) for kind, said, name in (("scratch", OWN, SELF), ("pixels", SHALLOW, PIXELS)) if name in known]


def shown(amounts: RunAmounts | None, registry: Registry) -> dict[str, Any] | None:
    """Collect what the section shows; None for a run with one amount."""
    if amounts is None:
        return None
    by_target: dict[str, list[LabelCurve]] = {}
    for one in amounts.curves:
        by_target.setdefault(one.target, []).append(one)
    panels = []
    for target in by_family(list(by_target), registry):
        ways = ways_of(by_target[target], registry)
        found = points(ways)
        short = sorted({way.curve.why_not for way in ways if not way.curve.fitted})
        panels.append(
            {
                "id": f"amounts-loss-{target}",
                "title": registry.title(target),
                "family": registry.family(target),
                "ways": ways,
                "points": found,
                "figure": loss_figure(ways, found),
                "short": f"Not predicted: {'; '.join(short)}." if short else "",
                "said": _said(ways),
            }
        )
    return {"panels": panels, "see": _see(panels), "choices": _choices(amounts.table, registry), **_spending(amounts, registry)}


def of_script(section: dict[str, Any]) -> dict[str, Any]:
    """Collect what the page's script draws of a section."""
    return {name: section[name] for name in ("budgets", "chosen", "unit", "choices")}


def tasks(section: dict[str, Any] | None) -> set[str]:
    """Return the tasks that some budget labels; none where there is no section."""
    return {name for one in section["budgets"] for name, *_ in one["rows"]} if section else set()


def numbers(section: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Build the tables that each figure is drawn from."""
    columns = ["budget", "cost", "objective", "gain", "quality"]
    front = pd.DataFrame([[one[name] for name in columns] for one in section["budgets"]], columns=columns)
    return {"amounts-quality": front, "amounts-objective": front, **{one["id"]: one["points"] for one in section["panels"]}}


def _said(ways: list[LabelWay]) -> str:
    """Say of one target's figure what a reader without it should know."""
    best = min(ways, key=lambda way: way.curve.losses[0, -1])
    first, last = best.curve.losses[0, 0], best.curve.losses[0, -1]
    images = f"{best.curve.images[0]:,.0f} to {best.curve.images[-1]:,.0f} images"
    return f"{best.title}: loss {first:.3g} to {last:.3g} from {images}"


def _see(panels: list[dict[str, Any]]) -> str:
    """Say how much the largest amount is better than the smallest, and for which targets more images would certainly be better still."""
    best = [min((way.curve for way in one["ways"]), key=lambda curve: curve.losses[0, -1]) for one in panels]
    falls = [1 - curve.losses[0, -1] / curve.losses[0, 0] for curve in best]
    ends = f"{min(curve.images[0] for curve in best):,.0f} to {max(curve.images[-1] for curve in best):,.0f}"
    said = f"From {ends} labelled images, the loss of the best way to solve a target falls by {percent(float(np.median(falls)))}"
    if len(panels) > 1:
        most, least = (panels[int(place)]["title"] for place in (np.argmax(falls), np.argmin(falls)))
        said += f" in the median, that of {most} most and that of {least} least"
    if not (fitted := [curve for curve in best if curve.fitted]):
        return f"{said}. What more images would bring is not predicted from so few amounts."
    surely = sum(curve.at(FURTHEST * curve.images[-1]).high < curve.losses[0, -1] for curve in fitted)
    more = f"with {FURTHEST} times the most images it is predicted to fall further for {surely} of {count(len(fitted), 'target')}"
    return f"{said}; {more}, judged by intervals of {percent(CONFIDENCE)}."


def _choices(table: pd.DataFrame, registry: Registry) -> dict[str, list[int]]:
    """List the amounts that there are to choose from, by target."""
    some = table[table["images"].notna()]
    found = {str(target): sorted(set(rows["images"].astype(int))) for target, rows in some.groupby("target")}
    return {name: found[name] for name in by_family(list(found), registry)}


def _spending(amounts: RunAmounts, registry: Registry) -> dict[str, Any]:
    spent = amounts.spending
    currency = spent["currency"]
    shown_points = [_point(one, spent, registry) for one in spent["points"]]
    chosen = shown_points[spent["chosen"]]
    return {
        "budgets": shown_points,
        "chosen": spent["chosen"],
        "unit": "labelled images" if currency == LABELS else currency,
        "counted": currency == LABELS,
        "front_see": _what_is_enough(shown_points, chosen, currency),
    }


def _what_is_enough(all_points: list[dict[str, Any]], chosen: dict[str, Any], currency: str) -> str:
    most, share = all_points[-1], percent(chosen["objective"] / (all_points[-1]["objective"] or 1))
    if chosen is most:
        half = [one for one in all_points if one["cost"] <= most["cost"] / 2][-1:] or [most]
        some = percent(half[0]["objective"] / (most["objective"] or 1))
        return f"From {most['text']} on, no more labels improve a target; with {half[0]['text']} the policy has {some} of the objective."
    said = f"All that improves a target costs {most['text']}; {chosen['text']} {'buy' if currency == LABELS else 'buys'} {share} of the objective"
    if chosen["quality"] is None or most["quality"] is None:
        return f"{said}."
    return f"{said}, and a mean quality of {chosen['quality']:.3f} in place of {most['quality']:.3f}."


def _point(one: dict[str, Any], spent: dict[str, Any], registry: Registry) -> dict[str, Any]:
    full = {name for name, images in one["amounts"].items() if images == FULL}
    labelled = {name: spent["full"][name] if name in full else images for name, images in one["amounts"].items()}
    solved = {each["target"]: _solved(each["sources"], registry) for each in one["transfers"]}
    return {
        "budget": one["budget"],
        "text": amount_text(one["cost"], spent["currency"]),
        "cost": one["cost"],
        "objective": one["objective"],
        "gain": one["mean_gain"],
        "quality": one["mean_quality"],
        "said": _headline(one, full, spent["currency"], registry),
        "rows": [[name, labelled[name], name in full, solved.get(name, "")] for name in by_family(list(labelled), registry)],
    }


def _headline(one: dict[str, Any], full: set[str], currency: str, registry: Registry) -> str:
    """Say in one line what a budget buys."""
    some = sum(each["target"] not in full for each in one["transfers"])
    others = f"some images of {'the other ' * bool(full)}{count(some, 'target')}"
    labels = f"{titles(by_family(sorted(full), registry), registry)} in full" if full else ""
    return f"For {amount_text(one['cost'], currency)}: label {', and '.join(filter(None, (labels, others if some else '')))}."


def _solved(sources: list[str], registry: Registry) -> str:
    """Say how a target is solved."""
    return "by its own network" if sources == [SELF] else f"from {sources_title(sources, registry)}"


def amount_text(amount: float, currency: str) -> str:
    """Write a budget: labelled images as a whole number, money with its currency."""
    return count(round(amount), "labelled image") if currency == LABELS else money(round(amount, 2), currency)
