"""Draw loss against labelled images: what was measured, and what is predicted of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from taskonomy.advice.curves import CONFIDENCE, FURTHEST, LabelCurve
from taskonomy.report.figures import below, label, plain

# One of each kind of way: colour (Okabe and Ito), its band, symbol.
WAYS = {
    "single": ("#0072B2", "rgba(0,114,178,.16)", "circle"),
    "set": ("#009E73", "rgba(0,158,115,.16)", "square"),
    "scratch": ("#D55E00", "rgba(213,94,0,.16)", "diamond"),
    "pixels": ("#8a8f98", "rgba(138,143,152,.16)", "triangle-up"),
}
COLUMNS = ["target", "way", "sources", "images", "loss", "low", "high", "predicted"]
_STEPS = 7  # of a predicted line
_WIDTH = 38  # characters of a line of the legend


@dataclass(frozen=True)
class LabelWay:
    """A way to solve a target, as one line of its figure.

    Attributes:
        kind: One of `WAYS`.
        title: Its name for people.
        curve: Its losses.
    """

    kind: str
    title: str
    curve: LabelCurve


def points(ways: Sequence[LabelWay]) -> pd.DataFrame:
    """List what a figure shows: each measured point with its interval over buildings, then the predicted ones of the curves that are fitted."""
    rows = []
    for way in ways:
        curve, ends = way.curve, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
        about = (curve.target, way.kind, curve.sources)
        bounds = np.quantile(curve.losses[1:], ends, axis=0)
        rows += [(*about, images, *values, False) for images, *values in zip(curve.images, curve.losses[0], *bounds, strict=True)]
        if curve.fitted:
            more = curve.images[-1] * np.geomspace(1, FURTHEST, _STEPS)[1:]
            found = [(images, curve.at(min(images, FURTHEST * curve.images[-1]))) for images in more]
            rows += [(*about, images, one.value, one.low, one.high, True) for images, one in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def loss_figure(ways: Sequence[LabelWay], shown: pd.DataFrame) -> go.Figure:
    """Draw the points of one target: measured ones filled, on solid lines, predicted ones on dashed lines in a band that starts at the last measured.

    Args:
        ways: Its lines.
        shown: Their `points`.
    """
    figure = go.Figure()
    for way in ways:
        colour, band, symbol = WAYS[way.kind]
        mine = shown[shown["way"] == way.kind]
        there, then = mine[~mine["predicted"]], mine[mine["predicted"]]
        if len(then):
            on = pd.concat([there.tail(1), then])
            x, y = [*on["images"], *on["images"][::-1]], [*on["high"], *on["low"][::-1]]
            figure.add_scatter(x=x, y=y, fill="toself", mode="lines", line={"width": 0}, fillcolor=band, hoverinfo="skip", showlegend=False)
            dashed = {"color": colour, "dash": "dash", "width": 1.6}
            said = "%{y:.3g} predicted with %{x:,.0f} images"
            figure.add_scatter(x=on["images"], y=on["loss"], mode="lines", line=dashed, hovertemplate=said, name=label(way.title), showlegend=False)
        ends = ((there["high"] - there["loss"]).clip(lower=0), (there["loss"] - there["low"]).clip(lower=0))
        bars = {"type": "data", "symmetric": False, "array": ends[0], "arrayminus": ends[1]}
        figure.add_scatter(
            x=there["images"],
            y=there["loss"],
            error_y={**bars, "color": colour, "thickness": 1, "width": 3},
            mode="lines+markers",
            name="<br>".join(map(label, _lines(way))),
            line={"color": colour, "width": 1.6},
            marker={"symbol": symbol, "size": 7},
            hovertemplate="%{y:.3g} measured with %{x:,.0f} images",
        )
    if shown["predicted"].any():
        grey = {"color": "#8a8f98", "dash": "dash", "width": 1.6}
        figure.add_scatter(x=[None], y=[None], mode="lines", line=grey, name=f"predicted, {CONFIDENCE:.0%} band", hoverinfo="skip")
    measured = sorted(set(shown.loc[~shown["predicted"], "images"]))
    ticks = [*_apart(measured), *([FURTHEST * measured[-1]] if shown["predicted"].any() else [])]
    limits = [float(np.log10(each)) for each in (0.85 * measured[0], 1.15 * max(ticks))]
    figure.update_xaxes(type="log", range=limits, tickvals=ticks, ticktext=[f"{one:,.0f}" for one in ticks], title="labelled images")
    figure.update_yaxes(title="mean loss", nticks=5, rangemode="normal")
    lines = sum(len(_lines(way)) for way in ways) + bool(shown["predicted"].any())
    figure.update_layout(height=262 + 19 * lines, legend=below(-0.36))
    return plain(figure)


def _lines(way: LabelWay) -> list[str]:
    """Break a title so that it fits below a small figure."""
    return wrap(way.title, _WIDTH)


def _apart(amounts: Sequence[float], ratio: float = 1.5) -> list[float]:
    """Drop amounts whose ticks would run into the next larger one's."""
    kept: list[float] = []
    for one in reversed(amounts):
        if not kept or kept[-1] >= ratio * one:
            kept.append(one)
    return kept[::-1]
