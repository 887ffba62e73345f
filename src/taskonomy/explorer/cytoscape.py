"""Draw the policy as elements of cytoscape: sources on the left, targets on the right, coloured by family as in the report."""

import math
from functools import partial
from typing import Any

from taskonomy.policy.planner import Policy
from taskonomy.report.figures import FAMILY_COLOURS, by_family
from taskonomy.tables.table import SELF, labelled
from taskonomy.tasks import Registry
from taskonomy.wording import wording as words

ROW, WIDTH = 20, 128  # pixels between targets, and between the two columns
TITLE = 230  # pixels for a task's title on either side; longer ones take several lines
_MARGIN = 20
_LETTERS = 34  # that surely have place in them
_INK = {"light": "#1c2733", "dark": "#e6ebf0"}
PAPER = {"light": "#ffffff", "dark": "#1c232b"}

Element = dict[str, Any]


def elements(policy: Policy, registry: Registry) -> list[Element]:
    """Make nodes and edges with their positions; ids are numbers, never names.

    A task that is both source and target appears on both sides. Each source is placed at the middle of its targets, so that few edges cross.
    """
    targets = {name: number for number, name in enumerate(by_family([one.target for one in policy.transfers], registry))}
    feeds: dict[str, list[int]] = {name: [] for name in policy.sources}
    edges = []
    for one in policy.transfers:
        if one.sources == (SELF,) and one.images is not None:
            continue  # its own network from scratch on some images reads no source
        for written in one.sources:
            source = one.target if written == SELF else labelled(written)
            feeds[source].append(targets[one.target])
            edges.append((source, one.target, "dotted" if written == SELF else "solid"))
    ordered = sorted(policy.sources, key=lambda name: (sum(feeds[name]) / len(feeds[name]), name))
    sources = {name: number for number, name in enumerate(ordered)}
    rows = height(policy, registry) - _MARGIN
    node, left, right = partial(_node, registry), *_titles(policy, registry)
    nodes = [
        *(node(f"s{number}", name, left[name], "from", 0.0, (number + 0.5) * rows / len(sources)) for name, number in sources.items()),
        *(node(f"t{number}", name, right[name], "to", WIDTH, (number + 0.5) * rows / len(targets)) for name, number in targets.items()),
    ]
    place = {one["data"]["id"]: one["position"]["y"] for one in nodes}
    lines = []
    for source, target, style in edges:
        start, end = f"s{sources[source]}", f"t{targets[target]}"
        bend = _bend(place[end] - place[start])
        lines.append({"data": {"source": start, "target": end, "colour": _colour(source, registry), **bend}, "classes": style})
    return [*nodes, *lines]


def height(policy: Policy, registry: Registry) -> int:
    """Compute the height in pixels: a row for each target or source, whichever are more, of as many lines as the longest title takes."""
    lines = max(math.ceil(len(title) / _LETTERS) for side in _titles(policy, registry) for title in side.values())
    return max(8, len(policy.sources), len(policy.transfers)) * (ROW + 14 * (lines - 1)) + _MARGIN


def _titles(policy: Policy, registry: Registry) -> tuple[dict[str, str], dict[str, str]]:
    """Name the sources and the targets; where a table has several amounts, each with its labelled images."""

    def named(name: str, images: int | None) -> str:
        return f"{registry.title(name)}, {'in full' if images is None else words.count(images, 'image')}" if policy.amounts else registry.title(name)

    sources = {name: registry.title(name) if name in policy.licences else named(name, None) for name in policy.sources}
    return sources, {one.target: named(one.target, policy.amounts.get(one.target, one.images)) for one in policy.transfers}


def stylesheet(theme: str) -> list[Element]:
    """Return the styles for `light` or `dark`, as a canvas ignores the page's style sheet."""
    text = {"color": _INK[theme], "font-family": "system-ui, sans-serif", "font-size": 12, "text-valign": "center"}
    whole = {"text-wrap": "wrap", "text-max-width": f"{TITLE}px"}
    node = {"label": "data(title)", "width": 11, "height": 11, "background-color": "data(colour)", **text, **whole}
    bent = {"curve-style": "unbundled-bezier", "control-point-distances": "data(aside)", "control-point-weights": "data(along)"}
    edge = {"line-color": "data(colour)", "width": 1.8, "opacity": 0.65, **bent}
    return [
        {"selector": "node", "style": node},
        {"selector": ".from", "style": {"text-halign": "left", "text-margin-x": -6}},
        {"selector": ".to", "style": {"text-halign": "right", "text-margin-x": 6}},
        {"selector": "edge", "style": edge},
        {"selector": ".dotted", "style": {"line-style": "dashed"}},
    ]


def _bend(rise: float) -> dict[str, list[float]]:
    """Compute the two control points of an S-shaped edge, level at both ends, in cytoscape's terms: fractions along it, and pixels beside it."""
    length = (WIDTH**2 + rise**2) ** 0.5
    reach = 0.4 * WIDTH
    along, aside = reach * WIDTH / length**2, -reach * rise / length
    return {"along": [along, 1 - along], "aside": [aside, -aside]}


def _node(registry: Registry, key: str, name: str, title: str, side: str, x: float, y: float) -> Element:
    data = {"id": key, "task": name, "title": title, "colour": _colour(name, registry)}
    return {"data": data, "position": {"x": x, "y": y}, "classes": side}


def _colour(name: str, registry: Registry) -> str:
    return FAMILY_COLOURS[registry.family(name)]
