"""Advice as people read it."""

import math
from collections.abc import Callable

from taskonomy.advice.advice import Advice, Improvement, Plan, Purchase
from taskonomy.advice.basis import LABELS
from taskonomy.machine.terminal import text_table
from taskonomy.policy.label_costs import money
from taskonomy.policy.problem import Transfer
from taskonomy.tables.table import SELF

_SHOWN = 3  # improvements of one purchase


def told(advice: Advice, title: Callable[[str], str]) -> str:
    """Write advice for a terminal.

    Args:
        advice: What to buy.
        title: Task -> its title.
    """
    parts = []
    if advice.purchases:
        parts += [_purchases(advice), _first(advice, title)]
    else:
        parts.append(f"Nothing that {_sum(advice.money, advice)} can buy improves a target, as far as this table tells.")
    parts += [_plans(advice), *(f"Note: {one}." for one in advice.notes)]
    return "\n\n".join(parts)


def _purchases(advice: Advice) -> str:
    rows = [("", "task", "label", "price", "labelled then", "mean quality then", "improves")]
    for place, one in enumerate(advice.purchases, start=1):
        quality = "-" if math.isnan(one.quality) else f"{one.quality:.3f}"
        rows.append((f"{place}", one.task, f"{one.images:,}", _sum(one.price, advice), f"{one.total:,}", quality, _improves(one)))
    return "Buy\n" + text_table(rows)


def _improves(one: Purchase) -> str:
    if not one.improves:
        return "with the next purchases"
    best = sorted(one.improves, key=_size)
    more = f"; {len(best) - _SHOWN} more" if len(best) > _SHOWN else ""
    return "; ".join(f"{each.target}: {_by(each)}" for each in best[:_SHOWN]) + more


def _size(one: Improvement) -> float:
    value = 0.0 if math.isnan(one.ratio.value) else one.ratio.value
    return -math.inf if one.before is None else value if one.measure == "loss" else -value


def _by(one: Improvement) -> str:
    if one.before is None:
        return "solved at all"
    if math.isnan(one.ratio.value):
        return "by an amount that is not measured"
    ends = "" if math.isnan(one.ratio.low) or math.isnan(one.ratio.high) else f" ({one.ratio.low:+.0%} to {one.ratio.high:+.0%})"
    return f"{one.measure} {one.ratio.value:+.0%}{ends}" + ("" if one.decided else ", not certain")


def _first(advice: Advice, title: Callable[[str], str]) -> str:
    """Explain the first purchase in one sentence."""
    one = advice.purchases[0]
    what = f"First label {one.images:,} images of {title(one.task)} ({_sum(one.price, advice)})"
    if not one.improves:
        return f"{what}, since the purchases that follow need them. Then run again: taskonomy repro, and taskonomy advise."
    best = min(one.improves, key=_size)
    now = f", in place of {_way(best.before, title)}" if best.before is not None else ""
    change = "" if best.before is None else f", {_by(best).removesuffix(', not certain')}"
    certain = "" if best.decided else ", though the interval does not exclude that it helps nothing"
    return (
        f"{what}: {title(best.target)} is then solved by {_way(best.after, title)}{now}{change}{certain}."
        " Then label these and run again: taskonomy repro, and taskonomy advise."
    )


def _way(one: Transfer | None, title: Callable[[str], str]) -> str:
    if one is None:
        return "nothing"
    images = "all of its images" if one.images is None else f"{one.images:,} images"
    predicted = ", as predicted" if one.imputed else ""
    if one.sources == (SELF,):
        return f"its own network trained on {images}{predicted}"
    return f"a transfer from {' + '.join(map(title, one.sources))} on {images}{predicted}"


def _plans(advice: Advice) -> str:
    rows = [("", "spent", "objective", "mean quality", "labels")]
    for one in (advice.now, *advice.plans):
        quality = "-" if math.isnan(one.quality) else f"{one.quality:.3f}"
        labels = ", ".join(f"{task} {images:,}" for task, images in sorted(one.labels.items())) + _unserved(one)
        rows.append((one.rule, _sum(one.cost, advice), f"{one.worth:.4f}", quality, labels or "-"))
    return text_table(rows)


def _unserved(one: Plan) -> str:
    return f" (without {', '.join(one.unserved)})" if one.unserved else ""


def _sum(amount: float, advice: Advice) -> str:
    return f"{amount:,.0f} labels" if advice.currency == LABELS else money(amount, advice.currency)
