"""Show the predictions of transfers from several sources, as in the paper's figures 5 and 6."""

from typing import Any

from taskonomy.tasks import Registry
from taskonomy.wording.wording import percent

ALIKE = 0.05  # gains that differ by less count as equal
KINDS = {"own": "its own network, all labels", "scratch": "from scratch, the same few labels"}


def shown(samples: list[dict[str, Any]], registry: Registry) -> list[dict[str, Any]]:
    """Build each target's pictures: columns from its own network over transfers, best first, to the network from scratch."""
    return [_target(one, registry) for one in samples]


def _target(one: dict[str, Any], registry: Registry) -> dict[str, Any]:
    columns = [
        {"title": _title(column, registry), "gain": column["gain"], "beats": _beats(column), "pictures": column["pictures"]}
        for column in one["columns"]
    ]
    single = [column for column in one["columns"] if column["kind"] == "transfer" and len(column["sources"]) == 1 and column["gain"] is not None]
    return {"title": registry.title(one["target"]), "seen": one["seen"], "truth": one["truth"], "columns": columns, "see": _see(single, registry)}


def _see(single: list[dict[str, Any]], registry: Registry) -> str:
    """State how much the source matters, on the test images."""
    if len(single) < 2:
        return ""
    best, worst = (key(single, key=lambda column: column["gain"]) for key in (max, min))
    wins = percent(best["gain"])
    if best["gain"] - worst["gain"] < ALIKE:
        said = "a transfer beats a shallow network on the image on"
        return f"The source hardly matters here: from any of those shown, {said} {wins} of the test images or nearly."
    of_best, of_worst = (registry.title(each["sources"][0]) for each in (best, worst))
    return (
        f"The source matters: a transfer from {of_best} beats a shallow network on the image on {wins} of the test images, one from {of_worst} on "
        f"{percent(worst['gain'])}."
    )


def _title(column: dict[str, Any], registry: Registry) -> str:
    return KINDS.get(column["kind"]) or "from " + " + ".join(map(registry.title, column["sources"]))


def _beats(column: dict[str, Any]) -> str:
    rivals = {"pixels": column["gain"], "scratch": column.get("gain_scratch")}
    said = " and ".join(f"{name} on {percent(rate)}" for name, rate in rivals.items() if rate is not None)
    return f"beats {said}" if said else ""
