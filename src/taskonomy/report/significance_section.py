"""Show the significance of the policy compared with random ones."""

from typing import Any

from taskonomy.evaluation.significance import JUDGED_BY
from taskonomy.wording.wording import SPACE

NAMES = {"objective": "objective", "gain": "gain", "gain_scratch": "gain against scratch", "quality": "quality"}


def better_than_chance(significance: dict[str, Any]) -> str:
    """State how many random policies have as high an objective, which the policy was chosen for."""
    held = {draw: significance[draw]["objective"] for draw in ("connections", "sources")}
    said = []
    for draw, what in (("connections", "with random sources and transfers"), ("sources", "with random sources and the best transfers from them")):
        percentile, draws = held[draw]["percentile"], held[draw]["draws"]
        as_good = round(draws * (1 - percentile / 100))
        said.append(f"{'none' if not as_good else f'{as_good:,}'} of {draws:,} {what} {'have' if as_good > 1 else 'has'} as high an objective")
    return f"Of random policies within the same budget, {', and '.join(said)}."


def shown(significance: dict[str, Any]) -> list[dict[str, Any]]:
    """Write the caption of each measured figure."""
    rows = []
    for name in JUDGED_BY:
        if name not in significance["connections"]:
            continue
        random, sources = (significance[draw][name] for draw in ("connections", "sources"))
        said = (
            f"{NAMES[name]}: better than {random['percentile']:.2f}{SPACE}% of random policies (p = {random['p_value']:.2g}), and than "
            f"{sources['percentile']:.2f}{SPACE}% of random sources (p = {sources['p_value']:.2g}); {sources['draws']:,} draws each."
        )
        rows.append({"name": name, "said": said})
    return rows


def elsewhere(policy: dict[str, Any], significance: dict[str, Any]) -> dict[str, tuple[float | None, float]]:
    """Compare the images of the affinities with those of the significance test, where they differ: the policy's mean gain and quality on both."""
    held = significance["connections"]
    both = {name: (policy.get(f"mean_{name}"), held[name]["policy"]) for name in JUDGED_BY[1:] if name in held}
    return {NAMES[name]: (own, other) for name, (own, other) in both.items() if own is None or abs(own - other) > 1e-9}
