"""Build a self-contained page for one query that works offline, with its plotly figures."""

import json
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from taskonomy.new_task.learning_curve import Way
from taskonomy.new_task.query_text import HOW, as_they_are, crossing, verdict
from taskonomy.new_task.ranking import QueryResult
from taskonomy.report.figures import ACCENT, FAMILY_COLOURS, MUTED
from taskonomy.report.page import embedded_json
from taskonomy.tables.table import join_sources, split_sources
from taskonomy.tasks import FAMILIES, Registry
from taskonomy.wording.wording import sources_title

COLOURS = {Way.TRANSFER.value: ACCENT, Way.FINE_TUNED.value: "#D55E00", Way.SCRATCH.value: "#5b6875"}
_MOST_ROWS = 30


def page(found: QueryResult) -> str:
    """Render the result of a query as one HTML file."""
    orders = {order: found.ranking[found.ranking["order"] == order] for order in sorted(found.ranking["order"].unique().tolist())}
    ends = found.ranking[["affinity", "low", "high"]].to_numpy(float)
    span = float(np.log10(np.nanmin(ends))) - 0.05, float(np.log10(np.nanmax(ends))) + 0.05
    figures = {f"order-{order}": ranking_figure(rows, span, found.registry) for order, rows in orders.items()}
    figures |= {name: curve_figure(found.curve, name) for name in ("loss", "gain")}
    seen = {found.registry.family(source) for sources in found.ranking["sources"] for source in sources}
    families = [name for name in FAMILIES if name in seen]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("taskonomy.new_task").joinpath("page.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        title=found.registry.title(found.target),
        verdict=verdict(found),
        crossings=[sentence for way in (Way.TRANSFER, Way.FINE_TUNED) if (sentence := crossing(found, way))],
        as_they_are=as_they_are(found),
        best=[_row(found, sources) for sources in found.best],
        orders={order: min(len(rows), _MOST_ROWS) for order, rows in orders.items()},
        counts={order: len(rows) for order, rows in orders.items()},
        tuned=next(
            (sources_title(split_sources(one), found.registry) for one in found.curve.loc[found.curve["way"] == Way.FINE_TUNED.value, "sources"]),
            None,
        ),
        winner=sources_title(found.winner, found.registry),
        curve=_curve(found.curve),
        ways={way: (COLOURS[way], HOW[way]) for way in COLOURS if (found.curve["way"] == way).any()},
        families={name: FAMILY_COLOURS[name] for name in families},
        samples=found.samples,
        plotly=Markup(get_plotlyjs()),  # noqa: S704, plotly's own file
        figures=Markup(embedded_json({name: json.loads(figure.to_json()) for name, figure in figures.items()})),  # noqa: S704, escaped
    )


def ranking_figure(rows: pd.DataFrame, span: tuple[float, float], registry: Registry) -> go.Figure:
    """Draw affinities of one order with their intervals, the best on top; sources of one family in its colour.

    Args:
        rows: Rows of the ranking, best first.
        span: Range of the axis in decadic logarithms: affinities are ratio scores (the odds of winning), and span decades.
        registry: Registry of tasks.
    """
    rows = rows.head(_MOST_ROWS)
    sources = [tuple(one) for one in rows["sources"]]
    names = [escape(sources_title(one, registry)) for one in sources]  # plotly interprets markup in labels
    colours = [FAMILY_COLOURS[registry.family(one[0])] if len(set(map(registry.family, one))) == 1 else MUTED for one in sources]
    hover = [
        f"{name}<br>affinity {row.affinity:.4g} ({row.low:.4g} to {row.high:.4g})<br>gain on held-out images {row.gain_held_out:.2f}"
        for name, row in zip(names, rows.itertuples(), strict=True)
    ]
    bars = {"type": "data", "symmetric": False, "array": rows["high"] - rows["affinity"], "arrayminus": rows["affinity"] - rows["low"]}
    if rows["low"].isna().any():
        bars = {"type": "data", "array": [0.0] * len(rows)}
    figure = go.Figure(
        go.Scatter(
            x=rows["affinity"], y=names, mode="markers", marker={"color": colours, "size": 9}, text=hover, hoverinfo="text", showlegend=False,
            error_x={**bars, "color": MUTED, "thickness": 1.4, "width": 3},
        )
    )  # fmt: skip
    figure.update_layout(height=90 + 21 * len(rows))
    figure.update_xaxes(
        title="affinity (all transfers to this task sum to 1)",
        type="log",
        range=span,
        dtick=1,
        exponentformat="none",
        gridcolor="rgba(128,128,128,.25)",
    )
    figure.update_yaxes(autorange="reversed", gridcolor="rgba(128,128,128,.15)")
    return _plain(figure)


def curve_figure(curve: pd.DataFrame, measure: str) -> go.Figure:
    """Draw the learning curve: mean loss, or the share of held-out images on which a network beats the one from scratch."""
    figure = go.Figure()
    for way, colour in COLOURS.items():
        rows = curve[curve["way"] == way].sort_values("images")
        if rows.empty or (measure == "gain" and way == Way.SCRATCH.value):
            continue
        bars = {"array": rows[f"{measure}_high"] - rows[measure], "arrayminus": rows[measure] - rows[f"{measure}_low"]}
        figure.add_scatter(
            x=rows["images"], y=rows[measure], name=way, mode="lines+markers", line={"color": colour, "width": 2.4}, marker={"size": 8},
            error_y={"type": "data", "symmetric": False, **bars, "thickness": 1.2, "width": 4},
        )  # fmt: skip
    if measure == "gain":
        figure.add_hline(y=0.5, line={"dash": "dot", "color": COLOURS[Way.SCRATCH.value]}, annotation_text="training from scratch")
    ticks = sorted(curve["images"].unique().tolist())
    figure.update_xaxes(
        type="log", tickvals=ticks, ticktext=[f"{one:,}" for one in ticks], title="labelled samples", gridcolor="rgba(128,128,128,.25)"
    )
    named = {"loss": "mean loss on held-out images", "gain": "beats scratch, share of held-out images"}
    figure.update_yaxes(title=named[measure], gridcolor="rgba(128,128,128,.25)")
    figure.update_layout(height=360, legend={"orientation": "h", "y": 1.12})
    return _plain(figure)


def _row(found: QueryResult, sources: tuple[str, ...]) -> dict[str, Any]:
    row = found.ranking[found.ranking["sources"] == sources].iloc[0]
    return {**{str(name): value for name, value in row.items()}, "written": join_sources(sources), "titles": sources_title(sources, found.registry)}


def _curve(curve: pd.DataFrame) -> dict[int, dict[str, dict[str, Any]]]:
    """Group the rows of the curve: size -> way -> row."""
    rows = [{str(name): value for name, value in row.items()} for row in curve.to_dict("records")]
    return {images: {row["way"]: row for row in rows if row["images"] == images} for images in sorted(curve["images"].unique().tolist())}


def _plain(figure: go.Figure) -> go.Figure:
    figure.update_layout(
        template="none",
        margin={"l": 10, "r": 10, "t": 26, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
